//! How load tests end: by themselves, and because they are asked to.

use golo_cli::process::supervisor::Ended;
use rustix::process::{Signal, getpgid, getpgrp};
use std::time::Duration;

use crate::support::{Go, Running, grace, lives, patient, pid, script, signal, supervisor, within};

/// Runs for ever, in a process of its own beside the shell.
const FOR_EVER: &str = "sleep 1000 & echo $!; echo ready; wait";
/// The same, and ignores SIGTERM, which its children inherit.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo $!; echo ready; wait";
/// Runs on in ways that leave the group, the session and the parent.
#[cfg(target_os = "linux")]
const RUNAWAYS: &str = "
    setsid sleep 1000 & echo $!
    (setsid sh -c 'echo $$; exec sleep 1000' &)
    setsid sh -c 'trap \"\" TERM HUP INT; sh -c \"echo \\$\\$; exec setsid sleep 1000\" & echo $$; wait' &
    sleep 1000 & echo $!
";

#[tokio::test]
async fn each_end_is_told() {
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
async fn one_that_is_asked_to_stop_may_do_so_in_its_own_way() {
    let mut running =
        Running::start("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done", &patient()).await;
    running.ready().await;
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Exited(7));
    assert_eq!(running.stdout.line().await, "bye");
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Exited(7), "as often as it is asked");
    running.nothing_is_left();
}

#[tokio::test]
async fn one_that_does_not_care_is_ended_by_the_signal() {
    let mut running = Running::start(FOR_EVER, &patient()).await;
    running.ready().await;
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Signalled(15));
    running.nothing_is_left();
}

#[tokio::test]
async fn one_that_ignores_it_is_killed_after_the_grace() {
    let mut running = Running::start(STUBBORN, &grace(300)).await;
    running.ready().await;
    let ended = within("its end", running.load_test.stop()).await;
    assert_eq!(ended, Ended::Killed { grace: Duration::from_millis(300) });
    assert_eq!(ended.to_string(), "the load test did not stop within 300ms and was killed");
    running.nothing_is_left();
}

#[tokio::test]
async fn one_that_ignores_it_may_be_killed_before() {
    let mut running = Running::start(STUBBORN, &patient()).await;
    running.ready().await;
    let waited = tokio::time::timeout(Duration::from_millis(50), running.load_test.stop()).await;
    assert!(waited.is_err(), "it was to ignore this");
    assert_eq!(within("its end", running.load_test.kill()).await, Ended::Cut);
    running.nothing_is_left();
}

#[tokio::test]
async fn one_that_is_halted_is_asked_all_the_same() {
    let mut running = Running::start(FOR_EVER, &patient()).await;
    running.ready().await;
    signal(running.load_test.id(), Signal::STOP);
    assert_eq!(within("its end", running.load_test.stop()).await, Ended::Signalled(15));
    running.nothing_is_left();
}

#[tokio::test]
async fn waiting_may_be_given_up_and_taken_up() {
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
async fn what_is_left_behind_is_asked_to_stop_too() {
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
async fn no_runaway_outlives_one_that_is_stopped() {
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
async fn no_runaway_outlives_one_that_ends() {
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
async fn orphans_that_end_are_not_kept() {
    let mut running = Running::start("(true & echo $!); echo ready; sleep 1000", &patient()).await;
    running.ready().await;
    let orphan = *running.processes.last().unwrap();
    let there = || std::path::Path::new(&format!("/proc/{orphan}")).exists();
    crate::support::until("the orphan is waited for", || !there()).await;
    within("its end", running.load_test.stop()).await;
    running.nothing_is_left();
}

/// One process after the other, each in a session of its own: it starts the next, and is gone.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_that_always_runs_away_is_caught() {
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
async fn a_dropped_one_is_stopped() {
    let mut running = Running::start(FOR_EVER, &patient()).await;
    running.ready().await;
    let Running { load_test, stdout, processes } = running;
    drop((load_test, stdout));
    crate::support::nothing_will_be_left(&processes).await;
}

#[tokio::test]
async fn one_whose_start_is_dropped_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id");
    let text = format!("echo $$ $PPID > {}; exec sleep 1000", file.display());
    let program = script(&text);
    let limits = patient();
    let mut start = Box::pin(supervisor().start(&program, &limits));
    // Polled once: the supervisor has been started, and has said nothing yet.
    std::future::poll_fn(|context| {
        assert!(start.as_mut().poll(context).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    drop(start);
    // Whether it came to run before it was stopped is a matter of luck.
    let mark = folder.path().to_str().unwrap().to_owned();
    crate::support::until("no process knows the folder", || !is_in_a_command_line(&mark)).await;
}

/// Whether a process has this in its command line.
fn is_in_a_command_line(text: &str) -> bool {
    let listed = std::process::Command::new("ps").args(["-A", "-ww", "-o", "command"]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout).contains(text)
}

#[tokio::test]
async fn a_terminal_reaches_neither_the_load_test_nor_its_supervisor() {
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
