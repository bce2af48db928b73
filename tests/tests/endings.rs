//! Load tests that are hard to end: they block, linger, write faster than their reader, fail late, or print secrets.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::process::Stdio;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use golo_tests::{Finished, Program, Signal, command, connect, job, output, trigger, within};
use tokio::{process::Command, task::JoinHandle};
use tonic::{Code, Status};

/// Upper bound for something that should happen immediately. It is shorter than any grace or time limit that could hide
/// a hang.
const AT_ONCE: Duration = Duration::from_secs(20);

fn endings(arguments: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_endings"));
    command.args(arguments);
    command
}

async fn run(command: Command) -> Finished {
    Program::spawn(command).finish().await
}

/// Triggers the job. The returned task waits for the answer.
async fn begin(program: &Program, name: &'static str) -> JoinHandle<Result<golo::Response, Status>> {
    let channel = connect(&program.address).await;
    tokio::spawn(async move { trigger(&channel, job(name)).await })
}

async fn answered(program: &Program, name: &str) -> golo::Response {
    trigger(&connect(&program.address).await, job(name)).await.unwrap()
}

/// Returns the index of the only stderr line that contains `part`.
#[track_caller]
fn place(finished: &Finished, part: &str) -> usize {
    assert_eq!(finished.said(part), 1, "{part}: {:#?}", finished.stderr);
    finished.stderr.iter().position(|line| line.contains(part)).unwrap()
}

/// Returns the reported number of lost lines.
#[track_caller]
fn lost(finished: &Finished) -> usize {
    let line = &finished.stderr[place(finished, "output lines were lost")];
    let lost =
        line.strip_prefix("golo: ").and_then(|line| line.split_once(" output lines were lost: they were not read"));
    lost.unwrap_or_else(|| panic!("{line}")).0.parse().unwrap()
}

/// Waits until all threads of the load test are blocked.
async fn blocked(program: &mut Program) {
    for _ in 0..available_parallelism().unwrap().get() {
        program.stderr.wait_for("a thread is blocked").await;
    }
}

#[tokio::test]
async fn blocked_load_test_ends_after_its_grace() {
    let mut program = Program::serve(endings(&["--graceful-stop", "1s"])).await;
    let call = begin(&program, "block every thread").await;
    blocked(&mut program).await;
    let started = Instant::now();
    let finished = program.stop().await;
    assert!(started.elapsed() >= Duration::from_secs(1) && started.elapsed() < AT_ONCE);
    assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);
    assert!(place(&finished, "finishing the triggers") < place(&finished, "cut off the triggers still in flight"));
    assert_eq!(finished.said("cut off `teardown`"), 1, "no thread is left to run it");
    assert!(within("the call", call).await.unwrap().is_err());
}

#[tokio::test]
async fn blocked_load_test_ends_on_a_second_signal() {
    let mut program = Program::serve(endings(&["--graceful-stop", "1h"])).await;
    let _call = begin(&program, "block every thread").await;
    blocked(&mut program).await;
    let started = Instant::now();
    program.signal(Signal::TERM);
    program.stderr.wait_for("a second signal cuts them off").await;
    program.signal(Signal::INT);
    let finished = program.finish().await;
    assert!(started.elapsed() < AT_ONCE);
    assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);
    assert_eq!(finished.said("cut off the triggers still in flight"), 1, "{:#?}", finished.stderr);
}

#[tokio::test]
async fn blocked_once_ends_on_repeated_signals() {
    let mut program = Program::spawn(endings(&["once", "--name", "block every thread"]));
    blocked(&mut program).await;
    let started = Instant::now();
    program.signal(Signal::TERM);
    program.insist(Signal::TERM).await;
    let finished = program.finish().await;
    assert!(started.elapsed() < AT_ONCE);
    assert_eq!((finished.code, finished.stdout.len()), (Some(105), 0), "{:#?}", finished.stderr);
    assert_eq!(finished.said("golo: stopped by a signal"), 1, "{:#?}", finished.stderr);
}

/// Asserts that all `count` triggers and users had ended when teardown began.
#[track_caller]
fn assert_gone_before_teardown(finished: &Finished, count: usize) {
    let teardown = place(finished, "teardown begins");
    for part in ["a lingerer is gone", "a guest stops"] {
        assert_eq!(finished.said(part), count, "{:#?}", finished.stderr);
    }
    let is_late = |line: &&String| line.contains("lingerer") || line.contains("guest");
    assert_eq!(finished.stderr[teardown..].iter().find(is_late), None, "{:#?}", finished.stderr);
    assert!(teardown < place(finished, "teardown ends"));
}

#[tokio::test]
async fn cut_off_triggers_are_dropped_before_teardown() {
    for (grace, is_over, teardown) in
        [("200ms", true, "slow"), ("200ms", true, "quick"), ("1h", false, "slow"), ("1h", false, "quick")]
    {
        let teardown = format!("TEARDOWN={teardown}");
        let mut program = Program::serve(endings(&["--graceful-stop", grace, "-e", &teardown])).await;
        let mut calls = Vec::new();
        for _ in 0..3 {
            calls.push(begin(&program, "linger").await);
            program.stderr.wait_for("a lingerer comes").await;
        }
        program.signal(Signal::TERM);
        program.stderr.wait_for("a second signal cuts them off").await;
        if !is_over {
            program.signal(Signal::TERM);
        }
        for call in calls {
            let status = within("a status", call).await.unwrap().unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::Unavailable, "the load test was stopped"));
        }
        let finished = program.finish().await;
        assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);
        assert_gone_before_teardown(&finished, 3);
    }
}

#[tokio::test]
async fn interrupted_once_drops_its_trigger_before_teardown() {
    for teardown in ["TEARDOWN=slow", "TEARDOWN=quick"] {
        let mut program = Program::spawn(endings(&["once", "--name", "linger", "-e", teardown]));
        program.stderr.wait_for("a lingerer comes").await;
        let finished = program.stop().await;
        assert_eq!((finished.code, finished.stdout.len()), (Some(105), 0), "{:#?}", finished.stderr);
        assert_gone_before_teardown(&finished, 1);
    }
}

#[tokio::test]
async fn second_signal_ends_the_wait_for_a_reader() {
    let mut program = Program::spawn_unread(endings(&["--graceful-stop", "1h"])).serving().await;
    let response = answered(&program, "measure much").await;
    assert!(!response.error, "{}", response.output);
    program.signal(Signal::TERM);
    program.stderr.wait_for("teardown ends").await;
    program.insist(Signal::TERM).await;
    let finished = program.finish().await;
    assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);
    let lost = lost(&finished);
    assert!(lost > 0 && !finished.stdout.is_empty(), "a pipe holds some of them");
    // A pipe accepts whole lines, so each line was either read or lost.
    assert_eq!(finished.outputs().len() + lost, 1000);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn once_ends_when_stderr_cannot_be_written() {
    let full_disk = || std::fs::File::options().write(true).open("/dev/full").unwrap().into();
    for stderr in [full_disk(), Stdio::piped()] {
        let mut command = command(env!("CARGO_BIN_EXE_jobs"));
        command.args(["once", "--name", "flood"]).stderr(stderr);
        let mut child = command.spawn().unwrap();
        let _unread = child.stderr.take();
        let ended = within("its end", child.wait_with_output()).await.unwrap();
        assert_eq!(ended.status.code(), Some(0));
        let response: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
        assert_eq!((&response["jobName"], &response["error"]), (&"flood".into(), &false.into()));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn cancelled_outputs_wait_for_a_slow_reader() {
    let mut program = Program::spawn_unread(endings(&[])).serving().await;
    assert!(!answered(&program, "step").await.error);
    let before = program.peak_memory();
    let response = answered(&program, "have no patience").await;
    assert!(!response.error, "{}", response.output);
    let memory = program.peak_memory() - before;
    assert!(memory < 24 << 20, "{memory} bytes, of some 80 MB of lines");
    program.read();
    let finished = program.stop().await;
    assert_eq!((finished.code, finished.said("lost")), (Some(0), 0), "{:#?}", finished.stderr);
    let outputs = finished.outputs();
    assert!(outputs.len() > 100 && outputs[1..].iter().all(|output| output["error"] == "cancelled"));
}

#[tokio::test]
async fn state_of_setup_may_spawn_or_panic_when_dropped() {
    for trouble in ["DROP=spawns", "DROP=panics"] {
        let program = Program::serve(endings(&["-e", trouble])).await;
        assert!(!answered(&program, "step").await.error);
        let served = program.stop().await;
        let once = run(endings(&["once", "-e", trouble])).await;
        for finished in [served, once] {
            assert_eq!(finished.code, Some(0), "{trouble}: {:#?}", finished.stderr);
            assert_eq!(finished.said("teardown ends"), 1, "{:#?}", finished.stderr);
            let part = if trouble.ends_with("panics") { "the stage falls down" } else { "the stage is gone" };
            assert!(place(&finished, "teardown ends") < place(&finished, part));
        }
    }
}

#[tokio::test]
async fn panic_in_a_client_function_is_reported() {
    for call in ["serve", "once"] {
        let finished = run(endings(&[call, "-e", "CLIENT=panics"])).await;
        assert_eq!((finished.code, finished.stdout.len()), (Some(107), 0), "{:#?}", finished.stderr);
        let said = "golo: the HTTP client could not be built: panicked: no certificate in postgres://h/x";
        assert_eq!(finished.said(said), 1, "{:#?}", finished.stderr);
    }
}

#[tokio::test]
async fn client_function_may_set_another() {
    let program = Program::serve(endings(&["-e", "CLIENT=sets another"])).await;
    for _ in 0..2 {
        let response = answered(&program, "ask for a client").await;
        assert!(!response.error, "{}", response.output);
    }
    let finished = program.stop().await;
    assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);
    assert_eq!(finished.said("the other builds a client"), 1, "{:#?}", finished.stderr);
}

#[tokio::test]
async fn client_function_that_asks_for_its_own_client_fails() {
    let finished = run(endings(&["once", "-e", "CLIENT=asks for a client"])).await;
    assert_eq!(finished.code, Some(107), "{:#?}", finished.stderr);
    let said = "the function that builds the HTTP client uses the client itself";
    assert!(
        finished.stderr.iter().any(|line| line.starts_with("golo: ") && line.contains(said)),
        "{:#?}",
        finished.stderr
    );
}

#[tokio::test]
async fn error_that_panics_when_formatted_fails_only_its_trigger() {
    let mut command = command(env!("CARGO_BIN_EXE_jobs"));
    command.args(["once", "--name", "fail without words"]);
    let finished = run(command).await;
    assert_eq!((finished.code, finished.stdout.len()), (Some(1), 1), "{:#?}", finished.stderr);
    let response: serde_json::Value = serde_json::from_str(&finished.stdout[0]).unwrap();
    assert_eq!(response["output"], "panicked: words fail me");
}

#[tokio::test]
async fn credentials_appear_in_no_output() {
    #[track_caller]
    fn says_nothing(text: &str) {
        assert!(!text.contains("ann") && !text.contains("cret@"), "{text}");
    }
    let program = Program::serve(endings(&[])).await;
    for name in ["tell a secret", "tell a secret in a panic"] {
        let response = answered(&program, name).await;
        assert!(response.error && response.output.ends_with("no answer from postgres://h/x"), "{}", response.output);
    }
    let served = program.stop().await;
    assert_eq!(served.said(r#"check "postgres://h/x is up": 0 passed, 1 failed"#), 1, "{:#?}", served.stderr);
    assert_eq!(served.outputs()[0]["url"], "postgres://h/x");
    let mut all = vec![served];
    for (arguments, code) in [
        (&["--name", "tell a secret"][..], 1),
        (&["--name", "tell a secret in a panic"], 1),
        (&["-e", "START=fails"], 1),
        (&["-e", "SETUP=fails"], 107),
    ] {
        let mut command = endings(&["once"]);
        command.args(arguments);
        let finished = run(command).await;
        assert_eq!(finished.code, Some(code), "{arguments:?}: {:#?}", finished.stderr);
        all.push(finished);
    }
    for finished in all {
        let (stdout, stderr) = (finished.stdout.join("\n"), finished.stderr.join("\n"));
        assert!(format!("{stdout}{stderr}").contains("postgres://h/x"), "{stdout}{stderr}");
        says_nothing(&stdout);
        says_nothing(&stderr);
    }
}

#[tokio::test]
async fn output_line_starts_on_a_line_of_its_own() {
    let mut program = Program::serve(endings(&[])).await;
    for _ in 0..3 {
        assert!(!answered(&program, "print a dot").await.error);
        assert_eq!(output(&program.stdout.next().await.unwrap())["url"], "step");
    }
    let finished = program.stop().await;
    assert_eq!((finished.code, finished.stdout.len()), (Some(0), 4), "{:#?}", finished.stdout);
    assert_eq!(finished.stdout[3], "... [no line end]");
}
