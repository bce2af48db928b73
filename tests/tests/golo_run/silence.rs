//! Load tests that report too little or are stopped from outside: the run ends in time and reports what is known.

use super::*;

const MUTE: &str = env!("CARGO_BIN_EXE_mute");
const PRETENDER: &str = env!("CARGO_BIN_EXE_pretender");
const DRIVER: &str = env!("CARGO_BIN_EXE_driver");

fn pretend(what: &str, flags: &str) -> Call {
    let mut call = Call::new(PRETENDER, "", flags);
    call.command.env("PRETEND", what);
    call
}

#[tokio::test]
async fn load_test_stopped_from_outside_has_not_passed() {
    let target = sample();
    for flags in ["-d 60", "-i 1000000"] {
        let before = target.counter().seen;
        let flags = format!("-u 4 {flags} --drive plan");
        let (program, folder, mark) = Call::new(JOBS, target.url(), &flags).spawn();
        until("there is load", || target.counter().seen > before + 20).await;
        running(&mark, JOBS).into_iter().for_each(|id| signal(id, Signal::TERM));
        let ran = Ran { finished: program.finish().await, folder, mark };
        ran.assert_ended_with(107, "the load test was stopped by another process").await;
        assert_eq!(ran.requests(), target.counter().seen - before, "it told everything");
    }
}

#[tokio::test]
async fn load_test_that_ends_early_has_not_passed() {
    let ran = pretend("to be done early", "-u 1 -d 10").finish().await;
    ran.assert_ended_with(107, "the load test ended after 1.0ms of 10.0s and gave no reason").await;
}

#[tokio::test]
async fn signal_ends_the_run_of_a_frozen_load_test() {
    let target = sample();
    let flags = "-u 2 -i 1000000 --graceful-stop 0s --drive plan";
    let (mut program, folder, mark) = Call::new(JOBS, target.url(), flags).spawn();
    until("there is load", || target.counter().seen > 20).await;
    running(&mark, JOBS).into_iter().for_each(|id| signal(id, Signal::STOP));
    program.stderr.wait_for("the load test has sent nothing for 5 s").await;
    program.signal(Signal::INT);
    let ran = Ran { finished: program.finish().await, folder, mark };
    ran.assert_ended_with(107, "the load test did not end in time").await;
    assert_eq!(ran.finished.said("the load test has sent nothing"), 1);
}

#[tokio::test]
async fn signal_ends_the_run_of_a_load_test_that_is_never_ready() {
    let (mut program, folder, mark) = pretend("never to be ready", "-u 1 -d 1 --graceful-stop 0s").spawn();
    program.stderr.wait_for("it is all pretence").await;
    program.signal(Signal::INT);
    let ran = Ran { finished: program.finish().await, folder, mark };
    // The signal may arrive while the load test is still being asked to accept the plan.
    match ran.finished.code {
        Some(105) => ran.assert_ended_with(105, "STOPPED by a signal while users started").await,
        _ => ran.assert_ended_with(107, "the load test did not end in time").await,
    }
}

#[tokio::test]
async fn refused_plan_is_reported_without_falling_back_to_triggers() {
    let ran = pretend("to have an error", "-u 1 -d 1").finish().await;
    let said = "NOT STARTED: the load test refused the plan: golo.engine.v1.Engine/Run failed: Internal error: the \
                kitchen is on fire";
    let text = ran.finished.stdout.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(ran.finished.code == Some(107) && text.contains(said), "{:#?}", ran.finished);
    let ran = pretend("to be of a later revision", "-u 1 -d 1").finish().await;
    ran.assert_ended_with(107, "uses revision 99").await;
}

#[tokio::test]
async fn silent_load_test_is_driven_by_triggers_with_a_message() {
    let call = Call::new(MUTE, "", "-u 1 -d 1 --graceful-stop 0s").finish().await;
    assert_eq!(
        call.finished.said("did not answer whether it runs plans, so golo triggers it"),
        1,
        "{:#?}",
        call.finished
    );
    let ran = Call::new(MUTE, "", "-u 1 -d 1 --drive plan").finish().await;
    ran.assert_ended_with(107, "did not answer whether it runs plans").await;

    let (mut program, folder, mark) = Call::new(MUTE, "", "-u 1 -d 1 --drive plan").spawn();
    program.stderr.wait_for("Ctrl-C stops it").await;
    program.signal(Signal::INT);
    let ran = Ran { finished: program.finish().await, folder, mark };
    ran.assert_ended_with(105, "STOPPED").await;
    let (mut program, folder, mark) = Call::new(MUTE, "", "-u 1 -d 1 --drive plan").spawn();
    program.stderr.wait_for("Ctrl-C stops it").await;
    running(&mark, MUTE).into_iter().for_each(kill);
    let ran = Ran { finished: program.finish().await, folder, mark };
    ran.assert_ended_with(107, "NOT STARTED: the load test ended before the plan started").await;
}

/// Drives a load test with an agent's engine. Returns the printed end.
async fn drive(load_test: &str, flags: &str, variables: &[(&str, &str)]) -> String {
    let mut command = command(DRIVER);
    command.arg(load_test).args(flags.split_whitespace()).envs(variables.iter().copied());
    let finished = Program::spawn(command).finish().await;
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    finished.stdout.join("\n")
}

#[tokio::test]
async fn agent_gives_up_a_held_run_that_is_never_started() {
    let flags = "-u 1 -d 60 --graceful-stop 0s";
    let ended = drive(JOBS, flags, &[("HELD", "300")]).await;
    assert_eq!(ended, "Failed: no order to begin came within 0.3 s");
    let ended = drive(PRETENDER, flags, &[("HELD", "300"), ("PRETEND", "never to be ready")]).await;
    assert_eq!(ended, "Failed: no order to begin came within 0.3 s");
}

#[tokio::test]
async fn agent_cuts_off_a_load_test_that_does_not_stop() {
    let flags = "-u 1 -i 1000 --graceful-stop 100ms";
    let ended = drive(PRETENDER, flags, &[("STOP", "yes"), ("PRETEND", "never to stop")]).await;
    assert_eq!(ended, "Failed: the load test did not end in time");
}
