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
