//! Ends of load tests, with and without a request to stop.

use golo_cli::process::supervisor::{Ended, Program, Supervisor};
use rustix::process::{Signal, getpgid, getpgrp};
use std::time::Duration;

use crate::support::{
    Go, Running, grace, lives, nothing_will_be_left, patient, pid, script, signal, supervisor, within,
};

/// Runs forever, in a process started by the shell.
const FOR_EVER: &str = "sleep 1000 & echo $!; echo ready; wait";
/// Like [`FOR_EVER`], and ignores SIGTERM. Its children inherit that.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo $!; echo ready; wait";
/// Starts processes that leave the group, the session or the parent.
#[cfg(target_os = "linux")]
const RUNAWAYS: &str = "
    setsid sleep 1000 & echo $!
    (setsid sh -c 'echo $$; exec sleep 1000' &)
    setsid sh -c 'trap \"\" TERM HUP INT; sh -c \"echo \\$\\$; exec setsid sleep 1000\" & echo $$; wait' &
    sleep 1000 & echo $!
";

#[tokio::test]
async fn exit_codes_and_signals_are_reported() {
    for (text, ended, told) in [
        ("exit 0", Ended::Exited(0), "the load test exited with code 0"),
        ("exit 3", Ended::Exited(3), "the load test exited with code 3"),
        ("exit 255", Ended::Exited(255), "the load test exited with code 255"),
        ("kill -TERM $$", Ended::Signalled(15), "the load test was killed by signal 15 (SIGTERM)"),
        ("kill -ABRT $$", Ended::Signalled(6), "the load test was killed by signal 6 (SIGABRT)"),
        ("kill -KILL $$", Ended::Signalled(9), "the load test was killed by signal 9 (SIGKILL)"),
    ] {
        let mut running = Running::start(text, &patient()).await;
        assert_eq!(within("its end", running.load_test.ended()).await, ended, "{text}");
        assert_eq!(ended.to_string(), told);
        assert_eq!(running.stdout.next().await, None);
        running.nothing_is_left();
    }
}

#[tokio::test]
async fn load_test_may_handle_the_stop_signal() {
    let mut running =
        Running::start("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done", &patient()).await;
    running.ready().await;
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Exited(7));
    assert_eq!(running.stdout.line().await, "bye");
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Exited(7), "as often as it is asked");
    running.nothing_is_left();
}

#[tokio::test]
async fn load_test_without_a_handler_is_ended_by_the_signal() {
    let mut running = Running::start(FOR_EVER, &patient()).await;
    running.ready().await;
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Signalled(15));
    running.nothing_is_left();
}

#[tokio::test]
async fn load_test_that_ignores_the_signal_is_killed_after_the_grace() {
    let mut running = Running::start(STUBBORN, &grace(300)).await;
    running.ready().await;
    let ended = within("its end", running.load_test.stop()).await;
    assert_eq!(ended, Ended::Killed { grace: Duration::from_millis(300) });
    assert_eq!(ended.to_string(), "the load test did not stop within 300ms and was killed");
    running.nothing_is_left();
}

#[tokio::test]
async fn load_test_that_ignores_the_signal_can_be_killed_earlier() {
    let mut running = Running::start(STUBBORN, &patient()).await;
    running.ready().await;
    let waited = tokio::time::timeout(Duration::from_millis(50), running.load_test.stop()).await;
    assert!(waited.is_err(), "it was to ignore this");
    assert_eq!(within("its end", running.load_test.kill()).await, Ended::Cut);
    running.nothing_is_left();
}

#[tokio::test]
async fn halted_load_test_can_be_stopped() {
    let mut running = Running::start(FOR_EVER, &patient()).await;
    running.ready().await;
    signal(running.load_test.id(), Signal::STOP);
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Signalled(15));
    running.nothing_is_left();
}

#[tokio::test]
async fn wait_for_the_end_can_be_cancelled_and_repeated() {
    let go = Go::default();
    let mut running = Running::start(&format!("{}; exit 4", go.awaited()), &patient()).await;
    for _ in 0..5 {
        let waited = tokio::time::timeout(Duration::from_millis(1), running.load_test.ended()).await;
        assert!(waited.is_err(), "it was to wait");
    }
    go.now();
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(4));
    running.nothing_is_left();
}

#[tokio::test]
async fn orphans_receive_the_stop_signal() {
    let go = Go::default();
    let left = "trap \"echo heard; exit\" TERM; echo $$; echo ready; while :; do sleep 0.01; done";
    let mut running = Running::start(&format!("sh -c '{left}' & {}; exit 0", go.awaited()), &patient()).await;
    running.ready().await;
    go.now();
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(0));
    assert_eq!(running.stdout.line().await, "heard");
    running.nothing_is_left();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn runaway_processes_end_with_a_stopped_load_test() {
    let mut running = Running::start(&format!("{RUNAWAYS} wait"), &grace(300)).await;
    for _ in 0..5 {
        running.processes.push(running.stdout.line().await.parse().unwrap());
    }
    assert!(running.processes.iter().all(|id| lives(*id)));
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Signalled(15));
    running.nothing_is_left();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn runaway_processes_end_with_an_exiting_load_test() {
    let go = Go::default();
    let text = format!("{RUNAWAYS} {}; exit 9", go.awaited());
    let mut running = Running::start(&text, &grace(300)).await;
    for _ in 0..5 {
        running.processes.push(running.stdout.line().await.parse().unwrap());
    }
    go.now();
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(9));
    running.nothing_is_left();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn ended_orphans_are_reaped() {
    let mut running = Running::start("(true & echo $!); echo ready; sleep 1000", &patient()).await;
    running.ready().await;
    let orphan = *running.processes.last().unwrap();
    let there = || std::path::Path::new(&format!("/proc/{orphan}")).exists();
    crate::support::until("the orphan is waited for", || !there()).await;
    within("its end", running.load_test.stop()).await;
    running.nothing_is_left();
}

/// A chain of processes: each starts the next one in a session of its own, then exits.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn chain_of_escaping_processes_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let hop = folder.path().join("hop");
    let hops = folder.path().join("hops");
    std::fs::write(&hop, format!("echo >> {}; sleep 0.01; setsid sh {} & exit", hops.display(), hop.display()))
        .unwrap();
    let mut running = Running::start(&format!("sh {}; exec sleep 1000", hop.display()), &patient()).await;
    let counted = || std::fs::read(&hops).unwrap_or_default().len();
    crate::support::until("it has run far", || counted() > 20).await;
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Signalled(15));
    running.nothing_is_left();
    let caught = counted();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(counted(), caught, "it runs still");
}

#[tokio::test]
async fn dropped_load_test_is_stopped() {
    let mut running = Running::start(FOR_EVER, &patient()).await;
    running.ready().await;
    let Running { load_test, stdout, processes } = running;
    drop((load_test, stdout));
    crate::support::nothing_will_be_left(&processes).await;
}

#[tokio::test]
async fn load_test_is_ended_when_its_start_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id");
    let text = format!("echo $$ $PPID > {}; exec sleep 1000", file.display());
    let program = script(&text);
    let limits = patient();
    let mut start = Box::pin(supervisor().start(&program, &limits));
    // Polled once: the supervisor has been started but has not reported anything.
    std::future::poll_fn(|context| {
        assert!(start.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(start);
    // The script may or may not have run before it was stopped.
    let mark = folder.path().to_str().unwrap().to_owned();
    crate::support::until("no process knows the folder", || !is_in_a_command_line(&mark)).await;
}

/// True if a process has this text in its command line.
fn is_in_a_command_line(text: &str) -> bool {
    let listed = std::process::Command::new("ps").args(["-A", "-ww", "-o", "command"]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout).contains(text)
}

#[tokio::test]
async fn terminal_signals_reach_neither_the_load_test_nor_its_supervisor() {
    let mut running = Running::start(FOR_EVER, &patient()).await;
    running.ready().await;
    let (load_test, supervisor) = (running.load_test.id(), running.load_test.supervisor_id());
    let groups = [getpgid(Some(pid(load_test))).unwrap(), getpgid(Some(pid(supervisor))).unwrap(), getpgrp()];
    assert_eq!(groups[..2], [pid(load_test), pid(supervisor)]);
    assert!(!groups[..2].contains(&groups[2]));
    for ignored in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        signal(supervisor, ignored);
    }
    let waited = tokio::time::timeout(Duration::from_millis(100), running.load_test.ended()).await;
    assert!(waited.is_err() && lives(supervisor) && lives(load_test));
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Signalled(15));
    running.nothing_is_left();
}

#[tokio::test]
async fn stopped_supervisor_continues_and_obeys() {
    for kills in [false, true] {
        let mut running = Running::start(FOR_EVER, &patient()).await;
        running.ready().await;
        signal(running.load_test.supervisor_id(), Signal::STOP);
        let (ended, expected) = if kills {
            (within("its end", running.load_test.kill()).await, Ended::Cut)
        } else {
            (within("its end", running.load_test.stop()).await, Ended::Signalled(15))
        };
        assert_eq!(ended, expected);
        running.nothing_is_left();
    }
}

#[tokio::test]
async fn stopped_supervisor_of_a_dropped_load_test_leaves_no_process() {
    let mut running = Running::start(STUBBORN, &grace(200)).await;
    running.ready().await;
    signal(running.load_test.supervisor_id(), Signal::STOP);
    let Running { load_test, stdout, processes } = running;
    drop((load_test, stdout));
    nothing_will_be_left(&processes).await;
}

#[tokio::test]
async fn supervisor_that_does_not_answer_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("golo");
    // Reports that the load test runs, and reads no order.
    std::fs::write(&path, "#!/bin/sh\nprintf 'group %s\\nstarted\\n' $$ >&0\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let deaf = Supervisor::default().executable(path);
    let mut running = Running::of(deaf.start(&script("exit 0"), &grace(0)).await);
    let ended = within("its end", running.load_test.stop()).await;
    assert_eq!(ended, Ended::SupervisorSilent);
    assert_eq!(ended.to_string(), "the load test was killed because its supervisor did not answer");
    running.nothing_is_left();
}

#[tokio::test]
async fn supervisor_deletes_the_scratch_folder() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    std::fs::write(scratch.join("job.sock"), "").unwrap();
    let program = Program { scratch: Some(scratch.clone()), ..script(FOR_EVER) };
    let mut running = Running::of(supervisor().start(&program, &patient()).await);
    running.ready().await;
    assert!(scratch.exists());
    within("its end", running.load_test.stop()).await;
    assert!(!scratch.exists() && folder.path().exists());
    running.nothing_is_left();
}
