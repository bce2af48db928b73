//! Panics outside of triggers and the limit for late starts, both sent over the wire.

use crate::Call;

const STRAYS: &str = env!("CARGO_BIN_EXE_strays");

#[tokio::test]
async fn panics_outside_of_triggers_are_reported() {
    for (job, said) in [
        ("task", "2 panics outside of a trigger: in a task at tests/src/bin/strays.rs:"),
        ("stop", "2 panics outside of a trigger: in a user's `stop` at "),
    ] {
        let ran = Call::new(STRAYS, "", &format!("-u 2 -i 20 -q --drive plan --name {job}")).finish().await;
        ran.assert_ended_with(0, "PASSED, but 2 panics outside of a trigger").await;
        let summary = ran.summary();
        assert_eq!(summary["generator"]["stray_panics"], 2);
        let text = summary["verdict"]["text"].as_str().unwrap();
        assert!(text.contains(said), "{text}");
        let panics = summary["errors"].as_array().unwrap().iter().filter(|error| error["kind"] == "panic");
        assert_eq!(panics.map(|error| error["count"].as_u64().unwrap()).sum::<u64>(), 2);
    }
}

#[tokio::test]
async fn pace_below_the_think_time_is_warned_about() {
    let ran = Call::new(STRAYS, "", "-u 2 --pace 100ms -d 2s --drive plan --name think").finish().await;
    ran.assert_ended_with(0, "PASSED, but the load test thinks for ").await;
    assert_eq!(ran.finished.said("warning: the load test thinks for "), 1, "{:#?}", ran.finished.stderr);
    let dropped = ran.summary()["load"]["dropped"].clone();
    assert!(dropped["busy"].as_u64() > Some(0) && dropped["busy"] == dropped["pausing"], "{dropped}");
}

#[tokio::test]
async fn slow_user_starts_are_reported() {
    let mut call = Call::new(STRAYS, "", "-r 20/s -d 1s --drive plan");
    call.command.args(["--name", "start slowly"]);
    let ran = call.finish().await;
    ran.assert_ended_with(0, "of 20 starts were late").await;
    let load = ran.summary()["load"].clone();
    assert!(
        load["start_waits"]["count"].as_u64() > Some(0) && load["user_starts"]["min"].as_u64() >= Some(400_000_000)
    );
}

#[tokio::test]
async fn limit_for_late_starts_can_be_set() {
    for (limit, code, word) in [("", 96, "INVALID"), ("--max-lag 1h", 0, "PASSED")] {
        let flags = format!("-r 50/s -d 2s --workers 1 --drive plan --name block {limit}");
        let ran = Call::new(STRAYS, "", &flags).finish().await;
        ran.assert_ended_with(code, word).await;
        let lag = ran.summary()["load"]["worst_lag"].clone();
        let nanos = if limit.is_empty() { 10_000_000_u64 } else { 3_600_000_000_000 };
        assert!(lag["limit"] == nanos && lag["starts"].as_u64() > Some(10), "{lag}");
    }
}
