//! Signs of life of `golo submit`: it stands still, it is killed, and its connections break.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use golo_tests::{Signal, until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::fleet::{Agent, BINARY, Call, Fleet, JOBS, sample};

const RAN_OUT: &str = "the lease of 2s ran out: the client gave no sign of life";

/// The run ends while the process stands still, for longer than an agent may be silent.
#[tokio::test]
async fn standing_still_is_not_the_silence_of_agents() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let mut running = Call::new(&fleet, JOBS, target.url(), "-u 2 --pace 20ms -d 4 --max-lag 10s").spawn();
    running.program.stderr.wait_for("started together").await;
    running.program.signal(Signal::STOP);
    let stopped = Instant::now();
    until("it has stood still for long enough", || stopped.elapsed() > Duration::from_secs(12)).await;
    fleet.until_all("completed").await;
    running.program.signal(Signal::CONT);
    let ran = running.finish().await;
    ran.assert_ended_with(0, "PASSED");
    assert_eq!(ran.requests(), target.counter().seen);
    assert_eq!(ran.finished.said("lost"), 0, "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn killed_submit_leaves_no_load_and_no_blocked_queue() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let running = Call::new(&fleet, JOBS, target.url(), "-u 2 --pace 20ms -d 600 --lease 2s").spawn();
    until("there is load", || target.counter().seen > 50).await;
    running.program.signal(Signal::KILL);
    fleet.until_all("failed").await;
    for job in fleet.last_jobs().await {
        assert_eq!(job["reason"], RAN_OUT);
    }
    fleet.assert_idle().await;

    // The first agent holds its job, which is ready, until the second agent has finished another one.
    let busy = format!("--agent {}", fleet.agents[1].name);
    let first = Call::new(&fleet, JOBS, target.url(), "--name hang -u 1 -d 600").alone().args(&busy).spawn();
    golo_tests::within("it runs", async { while fleet.last_jobs().await[1]["state"] != "running" {} }).await;
    let mut held = Call::new(&fleet, JOBS, target.url(), "-u 2 -d 600 --lease 2s").spawn();
    held.program.stderr.wait_for("which has a job before this one").await;
    golo_tests::within("it is ready", async { while fleet.last_jobs().await[0]["ready"] != true {} }).await;
    held.program.signal(Signal::KILL);
    fleet.until_all("failed").await;
    let ran = Call::new(&fleet, JOBS, target.url(), "-i 2").alone();
    let ran = ran.args(&format!("--agent {}", fleet.agents[0].name)).finish().await;
    ran.assert_ended_with(0, "PASSED: 2 requests");
    first.program.signal(Signal::INT);
    first.program.signal(Signal::INT);
    assert_eq!(first.finish().await.finished.code, Some(105));
    fleet.assert_idle().await;
}

/// A way to an agent on which a connection breaks once for each of these calls, in this order, after the call has arrived
/// and before its answer.
struct Breaking {
    name: String,
    left: Arc<Mutex<Vec<&'static str>>>,
}

impl Breaking {
    async fn start(agent: &Agent, calls: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = listener.local_addr().unwrap().to_string();
        let (left, agent) = (Arc::new(Mutex::new(calls.to_vec())), agent.name.clone());
        let calls = Arc::clone(&left);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, TcpStream::connect(agent.clone()).await.unwrap(), Arc::clone(&calls)));
            }
        });
        Self { name, left }
    }
}

async fn relay(mut client: TcpStream, mut agent: TcpStream, calls: Arc<Mutex<Vec<&'static str>>>) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            Ok(length) = client.read(&mut asked) => {
                let asked = &asked[..length];
                if length == 0 || agent.write_all(asked).await.is_err() {
                    return;
                }
                let text = String::from_utf8_lossy(asked);
                let line = text.lines().next().unwrap_or_default();
                let call = {
                    let mut calls = calls.lock().unwrap();
                    let is_next = calls.first().is_some_and(|call| line.contains(call));
                    is_next.then(|| calls.remove(0))
                };
                match call {
                    // Not all of it has arrived.
                    Some("POST /upload") => return,
                    Some(_) => {
                        _ = agent.read(&mut answered).await;
                        return;
                    }
                    None => {}
                }
            }
            Ok(length) = agent.read(&mut answered) => {
                if length == 0 || client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}

#[tokio::test]
async fn lost_connection_is_tried_again() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let preparing = ["HEAD /binaries", "POST /upload", "POST /queue", "GET /jobs "];
    let running = ["GET /clock", "/start", "/records", "/lease"];
    let breaking = Breaking::start(&fleet.agents[0], &[preparing, running].concat()).await;
    let agents = format!("--agent {} --agent {}", breaking.name, fleet.agents[1].name);
    let ran = Call::new(&fleet, BINARY, target.url(), "-u 2 -i 40 --pace 100ms --max-lag 10s")
        .alone()
        .args(&agents)
        .finish()
        .await;
    ran.assert_ended_with(0, "PASSED: 40 requests");
    assert_eq!(*breaking.left.lock().unwrap(), [""; 0], "all of them were broken");
    assert_eq!(fleet.agents[0].jobs().await.len(), 1, "it was queued once");
    fleet.assert_idle().await;
}
