//! Tests of every row of the table of exit codes with a real run, and of their precedence.

use golo_tests::{Signal, until};

use crate::call::{Call, sample};

/// A threshold that never holds.
const LOST: &str = "http_reqs count<0";

#[tokio::test]
async fn passed_run_exits_with_0() {
    let target = sample();
    let ran = Call::new(&target, "get", "-u 2 -i 20").with(&["http_req_failed rate==0%"]).finish().await;
    ran.assert_reported(0, "PASSED");
}

#[tokio::test]
async fn failed_teardown_exits_with_1_and_is_in_every_report() {
    let target = sample();
    let ran = Call::new(&target, "get", "-u 2 -i 20 -e TEARDOWN=fails").finish().await;
    ran.assert_reported(1, "PASSED");
    let said = "`teardown` failed: the key is lost";
    assert_eq!(ran.headline(), format!("PASSED, but {said}"));
    let junit = ran.junit();
    assert_eq!(junit.case("run", "20 iterations by 2 users").trouble, Some(("error".to_owned(), said.to_owned())));
    assert_eq!(ran.finished.said(said), 1, "{:#?}", ran.finished.stderr);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn unwritable_report_exits_with_1() {
    let target = sample();
    for out in ["summary=/dev/full", "junit=/dev/full"] {
        let mut call = Call::new(&target, "get", "-u 2 -i 20");
        call.command.args(["-o", out]);
        let ran = call.finish().await;
        let said = "`/dev/full` could not be written: No space left on device (os error 28)";
        ran.assert_ended_with(1, &format!("PASSED, but {said}"));
        assert_eq!(ran.finished.said(said), 1, "{:#?}", ran.finished.stderr);
        let files = ran.finished.stdout.iter().skip_while(|line| *line != "Files").count();
        assert_eq!(files, 1 + 11, "each file is listed: {:#?}", ran.finished.stdout);
        if out.starts_with("junit") {
            assert_eq!(ran.summary()["verdict"]["exit_code"], 1, "it is written last, and knows of the others");
        }
        assert_eq!((ran.table("stats").len(), ran.outputs().len()), (2, 20));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn unprintable_summary_exits_with_1() {
    let target = sample();
    for (thresholds, code) in [(&[][..], 1), (&[LOST][..], 99)] {
        let mut call = Call::new(&target, "get", "-u 2 -i 20").with(thresholds);
        call.command.stdout(std::fs::File::create("/dev/full").unwrap());
        let ran = call.finish().await;
        assert_eq!(ran.finished.code, Some(code), "{:#?}", ran.finished.stderr);
        assert_eq!(ran.finished.said("the summary could not be written to stdout: No space left"), 1);
        assert_eq!(ran.outputs().len(), 20);
    }
}

#[tokio::test]
async fn invalid_run_exits_with_96() {
    let target = sample();
    let blocked = "-u 1 --workers 1 -d 1 --graceful-stop 100ms";
    let ran = Call::new(&target, "block", blocked).finish().await;
    ran.assert_reported(96, "INVALID");
    assert!(ran.headline().contains("a worker was lost, of 1"), "{}", ran.headline());
    // It takes precedence over a failed threshold and over a failed teardown.
    let ran = Call::new(&target, "block", &format!("{blocked} -e TEARDOWN=fails")).with(&[LOST]).finish().await;
    ran.assert_reported(96, "INVALID");
    assert_eq!((ran.junit().failures, ran.junit().errors), (1, 1));
    assert!(ran.headline().contains("the key is lost"), "{}", ran.headline());
}

#[tokio::test]
async fn failed_threshold_exits_with_99() {
    let target = sample();
    let ran = Call::new(&target, "get", "-u 2 -i 20").with(&[LOST]).finish().await;
    ran.assert_reported(99, "FAILED");
    assert_eq!(ran.headline(), "FAILED: http_reqs count<0 was 20");
    let ran = Call::new(&target, "get", "-u 2 -i 20 -e TEARDOWN=fails").with(&[LOST]).finish().await;
    ran.assert_reported(99, "FAILED");
    assert!(ran.headline().contains("the key is lost"), "{}", ran.headline());
}

#[tokio::test]
async fn invalid_configuration_exits_with_104_without_load() {
    let target = sample();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (unknown, both) = (file("unknown.toml", "user = 5"), file("both.toml", "users = 5\nrate = '5/s'"));
    for (flags, said) in [
        (vec!["-t", "http_req_duration p(95)<fast"], "p(95)"),
        (vec!["-t", "http_req_duratoin avg<1"], "did you mean `http_req_duration`?"),
        (vec!["-f", &unknown], "did you mean `users`?"),
        (vec!["-f", &both], "both.toml`: `--users` and `--rate` are two kinds of plan"),
        (vec!["-f", "/no/such/file"], "`/no/such/file` cannot be read"),
        (vec!["-o", "summary=/no/such/folder/x"], "`/no/such/folder/x` cannot be written"),
        (vec!["-o", "junit=/"], "`/` cannot be written"),
        (vec!["-o", "csv=/no/such/folder/x"], "cannot be written"),
        (vec!["-o", "summary=-"], "`-` is stdout"),
        (vec!["-o", "jsonl=-", "-o", "jsonl=-"], "stdout would be written twice"),
        (vec!["-u", "5", "-r", "5/s"], "two kinds of plan"),
    ] {
        let mut call = Call::plain(&target, "get", "-d 1");
        call.command.args(&flags);
        let ran = call.finish().await;
        let stderr = ran.finished.stderr.join("\n");
        assert_eq!((ran.finished.code, ran.finished.stdout.len()), (Some(104), 0), "{flags:?}: {stderr}");
        assert!(stderr.contains(said), "{flags:?}: {stderr}");
    }
    assert_eq!(target.counter().seen, 0);
}

#[tokio::test]
async fn run_stopped_by_a_signal_exits_with_105() {
    for (job, flags, thresholds) in [
        ("get", "-u 4 -d 60", &[][..]),
        // It takes precedence over a failed threshold.
        ("get", "-u 4 -d 60", &[LOST]),
        // A second signal interrupts the requests in flight.
        ("hang", "-u 4 -d 60", &[LOST]),
    ] {
        let target = sample();
        let mut running = Call::new(&target, job, flags).with(thresholds).spawn();
        until("there is load", || target.counter().seen >= 4).await;
        running.program.signal(Signal::INT);
        if job == "hang" {
            running.program.stderr.wait_for("a second signal cuts them off").await;
            running.program.signal(Signal::INT);
        }
        let ran = running.finish().await;
        ran.assert_reported(105, "STOPPED");
        assert_eq!((ran.junit().failures, ran.junit().errors), (thresholds.len(), 1));
        assert_eq!(ran.outputs().len() as u64, target.counter().seen, "what was cut off is a line too");
    }
}

#[tokio::test]
async fn signal_takes_precedence_over_a_lost_worker() {
    let target = sample();
    let mut running = Call::new(&target, "block", "-u 1 --workers 1 -d 60").with(&[LOST]).spawn();
    running.program.stderr.wait_for("a thread is blocked").await;
    running.program.insist(Signal::TERM).await;
    let ran = running.finish().await;
    ran.assert_reported(105, "STOPPED");
    assert!(ran.headline().contains("a worker was lost, of 1"), "{}", ran.headline());
}

#[tokio::test]
async fn load_test_that_cannot_start_exits_with_107() {
    let target = sample();
    let ran = Call::new(&target, "get", "-u 2 -i 20 -e SETUP=fails").with(&[LOST, "http_reqs count==0"]).finish().await;
    ran.assert_reported(107, "NOT STARTED");
    assert_eq!((target.counter().seen, ran.outputs().len()), (0, 0));
    let summary = ran.summary();
    assert!(
        summary["run"]["started_at"].is_null()
            && summary["verdict"]["text"].as_str().unwrap().contains("the key is lost")
    );
}
