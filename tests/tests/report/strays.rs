//! Panics outside of triggers, and problems caused by the load test itself.

use crate::call::{Call, Ran, sample};

const STRAYS: &str = env!("CARGO_BIN_EXE_strays");

async fn ran(job: &str, flags: &str) -> Ran {
    Call::of_program(STRAYS, &sample(), job, &format!("-q {flags}")).finish().await
}

/// Returns the number of errors of this kind that contain this text.
fn errors(ran: &Ran, kind: &str, text: &str) -> u64 {
    let summary = ran.summary();
    let errors = summary["errors"].as_array().unwrap().iter();
    let of = errors.filter(|error| error["kind"] == kind && error["text"].as_str().unwrap().contains(text));
    of.map(|error| error["count"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn panics_outside_of_triggers_are_reported_once() {
    for (job, there) in [
        ("task", "in a task at "),
        ("plain task", "in a task at "),
        ("thread", "in a thread at "),
        ("named thread", "in the thread `oven` at "),
    ] {
        for hook in ["", "-e HOOK=own"] {
            let ran = ran(job, &format!("-u 2 -i 20 {hook}")).await;
            ran.assert_ended_with(0, "PASSED, but 2 panics outside of a trigger: ");
            assert_eq!(errors(&ran, "panic", "the oven is cold"), 2, "{job}: {}", ran.summary()["errors"]);
            let there = format!("{there}tests/src/bin/strays.rs:");
            assert_eq!(errors(&ran, "panic", &there), 2, "{job}: {}", ran.summary()["errors"]);
            assert_eq!(ran.summary()["generator"]["stray_panics"], 2);
            assert_eq!(ran.summary()["triggers"]["panicked"], 0);
            let shown = ran.finished.stdout.iter().any(|line| line.trim_start().starts_with("panic "));
            assert!(shown, "{:#?}", ran.finished.stdout);
            let hooked = format!("the hook has seen {}", if hook.is_empty() { 0 } else { 2 });
            assert_eq!(ran.finished.said(&hooked), 1, "{:#?}", ran.finished.stderr);
        }
    }
}

#[tokio::test]
async fn panic_of_a_trigger_is_not_counted_as_outside() {
    for hook in ["", "-e HOOK=own"] {
        let ran = ran("trigger", &format!("-u 2 -i 20 {hook}")).await;
        ran.assert_ended_with(0, "PASSED, but 2 of 20 triggers panicked: the oven is cold");
        assert_eq!((errors(&ran, "panic", ""), errors(&ran, "panic", "the oven is cold")), (2, 2));
        assert_eq!(ran.summary()["generator"]["stray_panics"], 0);
    }
}

#[tokio::test]
async fn panic_of_a_user_stop_is_reported() {
    let ran = ran("stop", "-u 3 -i 20").await;
    ran.assert_ended_with(
        0,
        "PASSED, but 3 panics outside of a trigger: in a user's `stop` at tests/src/bin/strays.rs:",
    );
    assert_eq!(errors(&ran, "panic", "a cook does not leave"), 3);
}

#[tokio::test]
async fn panic_after_the_run_is_reported() {
    let ran = ran("nothing", "-u 2 -i 20 -e TEARDOWN=panics").await;
    ran.assert_ended_with(0, "PASSED, but 1 panic outside of a trigger: in a task at ");
    assert_eq!(errors(&ran, "panic", "the lights stay on"), 1);
}

#[tokio::test]
async fn user_stop_cut_off_by_the_grace_is_reported() {
    let ran = ran("never stop", "-u 3 -i 20 --graceful-stop 100ms").await;
    ran.assert_ended_with(0, "PASSED, but the `stop` of 3 users was cut off: it took longer than the grace");
    assert_eq!(ran.summary()["generator"]["stops_cut_off"], 3);
}

#[tokio::test]
async fn pace_below_the_think_time_is_warned_about() {
    let call = Call::of_program(STRAYS, &sample(), "think", "-u 2 --pace 100ms -d 2s");
    let mut running = call.spawn();
    let warning = running.program.stderr.wait_for("warning: the load test thinks for ").await;
    assert!(warning.contains("a trigger, longer than its pace of 100ms: "), "{warning}");
    let ran = running.finish().await;
    assert_eq!(ran.finished.said("warning: the load test thinks"), 1, "{:#?}", ran.finished.stderr);
    ran.assert_ended_with(0, "PASSED, but the load test thinks for ");
    assert!(ran.headline().contains(" by the load test's own pauses"), "{}", ran.headline());
    let summary = ran.summary();
    let dropped = &summary["load"]["dropped"];
    assert!(dropped["busy"].as_u64() > Some(0) && dropped["busy"] == dropped["pausing"], "{dropped}");
    let response = &summary["triggers"]["response"]["p95"];
    assert!(response.as_u64() < Some(600_000_000), "{response}");
    let spent = &summary["triggers"]["spent"];
    assert!(spent["thinking"].as_u64() > spent["working"].as_u64(), "{spent}");
    let shown =
        ran.finished.stdout.iter().any(|line| line.starts_with("  time ") && line.contains("in requests and steps"));
    assert!(shown, "{:#?}", ran.finished.stdout);
}

#[tokio::test]
async fn slow_user_starts_are_reported() {
    let call = Call::of_program(STRAYS, &sample(), "start slowly", "-r 20/s -d 1s");
    let ran = call.with(&["user_start_duration p(95)>=400ms", "user_start_duration p(95)<10s"]).finish().await;
    ran.assert_ended_with(0, "PASSED, but ");
    let headline = ran.headline();
    let said = "of 20 starts were late, by p95 ";
    assert!(headline.contains(said) && headline.contains("their user was still starting"), "{headline}");
    for label in ["  late starts ", "  user starts "] {
        assert!(ran.finished.stdout.iter().any(|line| line.starts_with(label)), "{:#?}", ran.finished.stdout);
    }
    let summary = ran.summary();
    assert!(summary["triggers"]["response"]["p50"].as_u64() > summary["triggers"]["service"]["p50"].as_u64());
    assert!(summary["load"]["user_starts"]["min"].as_u64() >= Some(400_000_000));
}

#[tokio::test]
async fn limit_for_late_starts_can_be_set() {
    // Each trigger blocks the only thread for longer than the time between two starts.
    let flags = "-r 50/s -d 2s --workers 1";
    let late = ran("block", flags).await;
    late.assert_ended_with(96, "INVALID");
    assert!(late.headline().contains("raise the limit with `--max-lag`"), "{}", late.headline());
    let lag = late.summary()["load"]["worst_lag"].clone();
    assert!(lag["late"].as_u64() >= Some(5) && lag["limit"] == 10_000_000, "{lag}");
    for limit in ["--max-lag 1h", "--max-lag 3600"] {
        let ran = ran("block", &format!("{flags} {limit}")).await;
        ran.assert_ended_with(0, "PASSED");
        assert_eq!(ran.summary()["load"]["worst_lag"]["limit"], 3_600_000_000_000_u64);
    }
    let mut call = Call::of_program(STRAYS, &sample(), "block", flags);
    call.command.env("GOLO_MAX_LAG", "1h");
    call.finish().await.assert_ended_with(0, "PASSED");
    let bad = Call::of_program(STRAYS, &sample(), "block", "-r 50/s --max-lag soon").finish().await;
    assert_eq!((bad.finished.code, bad.finished.said("--max-lag")), (Some(104), 1), "{:#?}", bad.finished.stderr);
}
