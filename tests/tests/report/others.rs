//! More paths than the limit of series.

use crate::call::{Call, Ran, sample};

const OF_CHECKOUT: &str = "http_req_failed{route:/checkout} rate<1%";
const OF_POSTS: &str = "http_reqs{method:POST} count<1";

/// Returns the numbers of ended and of failed requests to `/checkout` in the summary.
fn checkout(ran: &Ran) -> (u64, u64) {
    let summary = ran.summary();
    let routes = summary["requests"]["routes"].as_array().unwrap();
    let checkout = routes.iter().find(|route| route["route"] == "/checkout").expect("a row of `/checkout`");
    (checkout["duration"]["count"].as_u64().unwrap(), checkout["failed"].as_u64().unwrap())
}

#[tokio::test]
async fn failures_of_a_named_route_are_not_hidden_by_other_paths() {
    let target = sample();
    for thresholds in [&[][..], &[OF_CHECKOUT]] {
        let ran = Call::new(&target, "checkout", "-u 4 -i 1500 --workers 2").with(thresholds).finish().await;
        assert_eq!(checkout(&ran), (301, 100));
        match thresholds {
            [] => ran.assert_reported(0, "PASSED"),
            _ => {
                ran.assert_reported(99, "FAILED");
                let headline = ran.headline();
                assert!(headline.starts_with(&format!("FAILED: {OF_CHECKOUT} was 33.2% ")), "{headline}");
            }
        }
    }
}

#[tokio::test]
async fn threshold_over_hidden_requests_fails_with_a_reason() {
    let target = sample();
    let ran = Call::new(&target, "other paths", "-u 4 -i 1500 --workers 2").with(&[OF_POSTS]).finish().await;
    ran.assert_reported(99, "FAILED");
    let reason = "not known: 500 requests past the limit of series are in `other`, and may have this method or origin";
    assert_eq!(ran.headline(), format!("FAILED: {OF_POSTS}: {reason}"));
    assert_eq!(ran.summary()["thresholds"][0]["reason"], reason);
}

#[tokio::test]
async fn abort_on_fail_ends_the_run_once_requests_are_hidden() {
    let target = sample();
    let ran = Call::new(&target, "other paths", "-u 4 -d 60 --abort-on-fail").with(&[OF_POSTS]).finish().await;
    ran.assert_reported(99, "FAILED");
    assert!(ran.summary()["run"]["load_time"].as_u64().unwrap() < 50_000_000_000);
    assert_eq!(ran.finished.said("can no longer hold: not known: "), 1, "{:#?}", ran.finished.stderr);
}
