//! Targets that are down, hang or fail: such a run passes only if a threshold asks for it.

use std::net::TcpListener;

use crate::call::{Call, sample};

/// Returns a URL at which nothing listens.
fn refused() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

#[tokio::test]
async fn unreachable_target_fails_the_run_even_if_errors_are_swallowed() {
    let target = sample();
    for job in ["get", "swallow errors"] {
        let mut call = Call::new(&target, job, "-u 2 -i 10");
        call.command.env("TARGET_URL", refused());
        let ran = call.finish().await;
        ran.assert_reported(99, "FAILED");
        let said = "FAILED: nothing succeeded: every request failed: connect: ";
        assert!(ran.headline().starts_with(said) && !ran.headline().contains("also"), "{}", ran.headline());
        let junit = ran.junit();
        assert_eq!((junit.failures, junit.errors), (1, 0), "{junit:#?}");
        let (kind, message) = junit.case("run", "10 iterations by 2 users").trouble.clone().unwrap();
        assert!(
            kind == "failure" && message.starts_with("nothing succeeded: every request failed"),
            "{kind}: {message}"
        );
    }
}

#[tokio::test]
async fn hanging_target_fails_the_run_and_interruptions_can_be_thresholds() {
    let target = sample();
    let hang = || Call::new(&target, "hang", "-u 20 -d 1 --graceful-stop 200ms");
    // Interrupted requests are part of the total for the share of failed ones. The share is known, and it is 0.
    let ran = hang().with(&["http_req_failed rate<1%", "iteration_failed rate<1%"]).finish().await;
    ran.assert_reported(99, "FAILED");
    let said = "FAILED: nothing succeeded: no request ended, 20 requests cut off";
    assert!(ran.headline().starts_with(said), "{}", ran.headline());
    let thresholds = ran.summary()["thresholds"].clone();
    assert_eq!([&thresholds[0]["value"], &thresholds[1]["value"]], [0.0, 0.0]);

    for threshold in
        ["http_req_interrupted rate<1%", "http_req_interrupted{route:/slow} count<20", "iteration_interrupted rate<1%"]
    {
        let ran = hang().with(&[threshold]).finish().await;
        ran.assert_reported(99, "FAILED");
        assert!(ran.headline().starts_with(&format!("FAILED: {threshold} was ")), "{}", ran.headline());
    }
    let ran = hang().with(&["http_req_interrupted rate==100%", "iteration_interrupted count==20"]).finish().await;
    ran.assert_reported(0, "PASSED");
    assert_eq!(ran.summary()["requests"]["total"]["interrupted"], 20);
    assert_eq!((&*ran.table("stats")[0]["requests"], &*ran.table("stats")[0]["interrupted"]), ("0", "20"));
}

#[tokio::test]
async fn expected_failures_need_a_threshold() {
    let target = sample();
    for (threshold, code) in [
        ("http_req_failed rate==100%", 0),
        ("http_req_duration{status:500} p(95)<10s", 0),
        ("http_reqs{outcome:failed} count>0", 0),
        ("http_req_failed rate<=100%", 99),
        ("http_req_duration p(95)<10s", 99),
    ] {
        let ran = Call::new(&target, "fail", "-u 2 -i 10").with(&[threshold]).finish().await;
        ran.assert_reported(code, if code == 0 { "PASSED" } else { "FAILED" });
    }
}

#[tokio::test]
async fn steps_or_triggers_decide_without_requests() {
    let target = sample();
    for (job, code, said) in [
        ("failed steps", 99, "FAILED: nothing succeeded: every step failed: other: no database"),
        ("return an error", 99, "FAILED: nothing succeeded: every trigger failed: out of stock"),
        ("steps alone", 0, "PASSED: 10 steps, none failed, and no request"),
        ("nothing", 0, "PASSED: 10 triggers, none failed, and no request"),
    ] {
        let ran = Call::new(&target, job, "-u 2 -i 10").finish().await;
        ran.assert_reported(code, said.split(':').next().unwrap());
        assert_eq!(ran.headline(), said);
    }
}

#[tokio::test]
async fn fast_failures_are_reported_separately_from_passed_requests() {
    let target = sample();
    let thresholds = ["http_req_duration p(50)<100ms", "http_req_duration{outcome:passed} p(50)<100ms"];
    let ran = Call::new(&target, "fail fast", "-u 2 -i 200").with(&thresholds).finish().await;
    ran.assert_reported(99, "FAILED");
    let summary = ran.summary();
    let judged = &summary["thresholds"];
    // Half of all requests were faster than the limit, and none of the passed ones.
    assert_eq!([&judged[0]["passed"], &judged[1]["passed"]], [true, false], "{judged}");
    let note = judged[0]["note"].as_str().unwrap();
    assert!(note.starts_with("includes 90% failed requests; p(50) of the passed ones is 1"), "{note}");
    assert!(judged[1]["note"].is_null(), "{judged}");
    let case = ran.junit().case("threshold", thresholds[0]).clone();
    assert!(case.trouble.is_none() && case.output.contains("includes 90% failed requests"), "{case:?}");
    let apart = &summary["requests"]["total"]["apart"];
    assert_eq!([&apart["passed"]["count"], &apart["failed"]["count"]], [20, 180]);
    assert!(apart["passed"]["min"].as_u64() > Some(100_000_000), "{}", apart["passed"]["min"]);
    assert!(ran.headline().contains("180 of 200 requests failed (90%), p95 "), "{}", ran.headline());
    for row in ["    passed  ", "    failed  "] {
        assert!(ran.finished.stdout.iter().any(|line| line.starts_with(row)), "{:#?}", ran.finished.stdout);
    }
    let total = ran.table("stats").pop().unwrap();
    assert!(total["passed_p95_ms"].parse::<f64>().unwrap() > 100.0, "{total:?}");
}
