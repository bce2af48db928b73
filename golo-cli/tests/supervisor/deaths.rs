//! SIGKILL to each process involved: no process may be left.

use std::{io::Write as _, process::Stdio};

use golo_cli::process::supervisor::Ended;
use rustix::process::Signal;
use tokio::process::{Child, Command};

use crate::support::{
    Running, Stdout, grace, lives, nothing_will_be_left, patient, script, signal, supervisor, within,
};

/// A load test with a child that ignores SIGTERM. On Linux it has another one in a session of its own.
const FAMILY: &str = "
    sh -c 'trap \"\" TERM HUP; echo $$; while :; do sleep 1; done' &
    if [ -x /usr/bin/setsid ]; then setsid sh -c 'echo $$; exec sleep 1000' & else echo $$; fi
    read line
    while :; do sleep 1; done
";
/// Variable that makes the test below act as `golo`.
const PARENT: &str = "GOLO_TEST_PARENT";

/// Starts `FAMILY` and reads the IDs of its two children.
async fn family() -> Running {
    let mut running = Running::start(FAMILY, &grace(200)).await;
    for _ in 0..2 {
        running.processes.push(running.stdout.line().await.parse().unwrap());
    }
    running
}

#[tokio::test]
async fn killed_load_test_leaves_no_process() {
    let mut running = family().await;
    signal(running.load_test.id(), Signal::KILL);
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Signalled(9));
    running.nothing_is_left();
}

#[tokio::test]
async fn killed_supervisor_leaves_no_process() {
    let mut running = family().await;
    signal(running.load_test.supervisor_id(), Signal::KILL);
    let ended = within("its end", running.load_test.ended()).await;
    assert_eq!(ended, Ended::SupervisorLost);
    assert_eq!(ended.to_string(), "the load test was killed because its supervisor was killed");
    running.nothing_is_left();
}

#[tokio::test]
async fn supervisor_killed_without_a_waiter_leaves_no_process() {
    let running = family().await;
    signal(running.load_test.supervisor_id(), Signal::KILL);
    running.nothing_will_be_left().await;
}

#[tokio::test]
async fn supervisor_killed_during_a_stop_leaves_no_process() {
    let mut running =
        Running::start("trap 'echo heard' TERM; echo ready; while :; do sleep 0.01; done", &patient()).await;
    running.ready().await;
    let supervisor = running.load_test.supervisor_id();
    let Running { load_test, stdout, .. } = &mut running;
    let (ended, ()) = tokio::join!(within("its end", load_test.stop()), async {
        assert_eq!(stdout.line().await, "heard");
        signal(supervisor, Signal::KILL);
    });
    assert_eq!(ended, Ended::SupervisorLost);
    running.nothing_is_left();
}

/// A new session, an empty environment and another parent hide nothing from the process that adopts.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn killed_supervisor_leaves_no_hidden_process() {
    let daemon = "setsid env -i /bin/sh -c 'trap \"\" TERM HUP; echo $$; exec sleep 1000'";
    let (mut golo, processes) = spawn_golo(&format!("{daemon} & ({daemon} &); exec sleep 1000")).await;
    assert!(processes.iter().all(|id| lives(*id)));
    signal(processes[1], Signal::KILL);
    nothing_will_be_left(&processes).await;
    // Killed by the process that adopted them, not with it.
    assert!(golo.try_wait().unwrap().is_none());
    golo.kill().await.unwrap();
}

#[tokio::test]
async fn killed_golo_leaves_no_process() {
    let (mut golo, processes) = spawn_golo(FAMILY).await;
    assert!(processes.iter().all(|id| lives(*id)));
    golo.start_kill().unwrap();
    within("golo's end", golo.wait()).await.unwrap();
    nothing_will_be_left(&processes).await;
}

/// Only the kernel is left to clean up.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn killed_golo_and_supervisor_leave_no_process() {
    let (mut golo, processes) = spawn_golo("trap '' TERM HUP; echo $$; echo $PPID; exec sleep 1000").await;
    // A stopped process cannot react while the supervisor dies.
    signal(golo.id().unwrap(), Signal::STOP);
    signal(processes[1], Signal::KILL);
    golo.start_kill().unwrap();
    within("golo's end", golo.wait()).await.unwrap();
    nothing_will_be_left(&processes).await;
}

/// Starts another process that acts as `golo`. Returns it with the IDs of its processes: load test, supervisor, and two
/// more.
async fn spawn_golo(text: &str) -> (Child, Vec<u32>) {
    let mut golo = Command::new(std::env::current_exe().unwrap());
    golo.args(["--exact", "deaths::golo", "--ignored", "--nocapture"]).env(PARENT, text);
    let mut golo = golo.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut stdout = Stdout::of(golo.stdout.take().unwrap());
    let mut processes = Vec::new();
    while processes.len() < 4 {
        // The test harness also writes lines.
        processes.extend(stdout.line().await.strip_prefix("process ").map(|id| id.parse::<u32>().unwrap()));
    }
    (golo, processes)
}

/// Not a test: the process that other tests start and kill. It prints the IDs of its load test's processes, then waits.
#[ignore = "the process that other tests kill"]
#[tokio::test]
async fn golo() {
    let Ok(text) = std::env::var(PARENT) else { return };
    let mut running = Running::of(supervisor().adopting().start(&script(&text), &grace(200)).await);
    for _ in 0..2 {
        running.processes.push(running.stdout.line().await.parse().unwrap());
    }
    for id in &running.processes {
        writeln!(std::io::stdout(), "\nprocess {id}").unwrap();
    }
    std::future::pending().await
}
