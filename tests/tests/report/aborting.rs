//! Tests of `--abort-on-fail`.

use std::time::{Duration, Instant};

use crate::call::{Call, sample};

#[tokio::test]
async fn run_ends_once_a_threshold_can_no_longer_hold() {
    let target = sample();
    let started = Instant::now();
    let thresholds = ["http_req_duration p(95)<1m", "http_req_failed rate<=0%"];
    let ran = Call::new(&target, "fail", "-u 2 -d 60 --abort-on-fail").with(&thresholds).finish().await;
    assert!(started.elapsed() < Duration::from_secs(30), "it was to take a minute");
    ran.assert_reported(99, "FAILED");
    let headline = ran.headline();
    assert!(headline.contains("http_req_failed rate<=0% was 100%"), "{headline}");
    assert_eq!(ran.finished.said("stopping, since `http_req_failed rate<=0%` can no longer hold"), 1);
    let summary = ran.summary();
    assert_eq!(summary["requests"]["total"]["failed"], target.counter().seen);
    assert_eq!([&summary["thresholds"][0]["passed"], &summary["thresholds"][1]["passed"]], [true, false]);
}

#[tokio::test]
async fn run_without_abort_on_fail_continues() {
    let target = sample();
    let ran = Call::new(&target, "fail", "-u 2 -d 3").with(&["http_req_failed rate<=0%"]).finish().await;
    ran.assert_reported(99, "FAILED");
    assert!(ran.summary()["run"]["load_time"].as_u64().unwrap() >= 3_000_000_000);
    assert_eq!(ran.finished.said("can no longer hold"), 0);
}

#[tokio::test]
async fn threshold_that_can_still_hold_does_not_end_the_run() {
    let target = sample();
    let thresholds = ["http_req_failed rate<50%", "http_reqs count>=40", "iterations rate>0.1"];
    let ran = Call::new(&target, "get", "-u 2 -d 3 --abort-on-fail").with(&thresholds).finish().await;
    ran.assert_reported(0, "PASSED");
    assert!(ran.summary()["run"]["load_time"].as_u64().unwrap() >= 3_000_000_000);
}

/// The limit that the two seconds of a bad deploy exceed in a window, and not in the whole run.
const WINDOW: &str = "http_req_failed rate<50% over 2s";
const WHOLE: &str = "http_req_failed rate<50%";

#[tokio::test]
async fn bad_deploy_ends_the_run_within_a_window() {
    let target = sample();
    let flags = "-u 2 --pace 20ms -d 12 --abort-on-fail --max-lag 10s";
    let ran = Call::new(&target, "bad deploy", flags).with(&[WHOLE, WINDOW]).finish().await;
    ran.assert_reported(99, "FAILED");
    assert_eq!(ran.finished.said(&format!("stopping, since `{WINDOW}` can no longer hold")), 1, "{:#?}", ran.finished);
    let summary = ran.summary();
    assert_eq!([&summary["thresholds"][0]["passed"], &summary["thresholds"][1]["passed"]], [true, false]);
    let load_time = summary["run"]["load_time"].as_u64().unwrap();
    assert!((5_000_000_000..9_000_000_000).contains(&load_time), "it began after 4 s: {load_time} ns");
    assert_eq!(summary["thresholds"][1]["windows"]["failed"], 1, "the first window that fails ends the run");
    let headline = ran.headline();
    assert!(
        headline.contains("http_req_failed rate<50% over 2s was ") && headline.contains(" windows failed"),
        "{headline}"
    );
}

#[tokio::test]
async fn worst_window_is_in_every_report() {
    let target = sample();
    let ran =
        Call::new(&target, "bad deploy", "-u 2 --pace 20ms -d 8 --max-lag 10s").with(&[WHOLE, WINDOW]).finish().await;
    ran.assert_reported(99, "FAILED");
    let thresholds = &ran.summary()["thresholds"];
    assert!(thresholds[0]["passed"] == true && thresholds[0]["windows"].is_null(), "{thresholds}");
    let windows = &thresholds[1]["windows"];
    assert_eq!((&windows["length"], &windows["judged"]), (&2_000_000_000_u64.into(), &7.into()), "{windows}");
    let failed = windows["failed"].as_u64().unwrap();
    assert!((1..=3).contains(&failed), "{windows}");
    let from = windows["worst_from"].as_u64().unwrap();
    assert!((3_000_000_000..=5_000_000_000).contains(&from), "{windows}");
    let said = format!("{failed} of 7 windows failed");
    let printed = ran.finished.stdout.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(printed.contains(&said), "{printed}");
    let junit = std::fs::read_to_string(ran.path("junit.xml")).unwrap();
    assert!(junit.contains(&said), "{junit}");
}

#[tokio::test]
async fn window_longer_than_the_run_covers_all_of_it() {
    let target = sample();
    let ran = Call::new(&target, "get", "-u 2 -d 1").with(&["http_req_failed rate<1% over 30s"]).finish().await;
    ran.assert_reported(0, "PASSED");
    let threshold = &ran.summary()["thresholds"][0];
    assert_eq!(threshold["windows"]["judged"], 0);
    assert_eq!(threshold["note"], "judged over the whole run, which was shorter than 30s");
}
