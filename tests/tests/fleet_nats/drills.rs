//! Programs are killed with SIGKILL at random moments: nothing is counted twice, and no load is left.

use std::time::Duration;

use golo_tests::{Signal, until};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::fleet::{Call, agents, sample, until_idle};
use super::server::Nats;

/// Number of kills of each program.
pub(super) fn rounds() -> u64 {
    std::env::var("GOLO_DRILLS").ok().and_then(|number| number.parse().ok()).unwrap_or(1)
}

/// Returns the random moments of a drill.
pub(super) fn moments() -> StdRng {
    let seed = std::env::var("GOLO_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(17);
    StdRng::seed_from_u64(seed)
}

/// Waits for a random time of at most `most` milliseconds.
pub(super) async fn a_moment(moments: &mut StdRng, most: u64) {
    tokio::time::sleep(Duration::from_millis(moments.random_range(0..most))).await;
}

#[tokio::test]
async fn killed_server_costs_nothing_if_it_comes_back() {
    let Some(mut nats) = Nats::start().await else { return };
    let _agents = agents(&nats, 2, &[]).await;
    let mut moments = moments();
    for round in 0..2 * rounds() {
        let target = sample();
        let mut running = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 6 --max-lag 10s").spawn();
        running.program.stderr.wait_for("started together").await;
        a_moment(&mut moments, 3000).await;
        nats.kill();
        if round % 2 == 1 {
            nats.lose_volume();
        }
        a_moment(&mut moments, 2000).await;
        nats.start_again().await;
        let ran = running.finish().await;
        ran.assert_ended_with(0, "PASSED: 480 requests");
        assert_eq!(target.counter().seen, 480, "{round}");
        until_idle(&nats).await;
    }
}

#[tokio::test]
async fn killed_agent_is_told_and_the_others_go_on() {
    let Some(nats) = Nats::start().await else { return };
    let mut agents = agents(&nats, 3, &[]).await;
    let mut moments = moments();
    for round in 0..rounds() {
        let target = sample();
        let flags = "-u 6 --pace 50ms -d 14 --max-lag 10s --on-agent-loss continue";
        let mut running = Call::new(&nats, target.url(), flags).spawn();
        running.program.stderr.wait_for("started together").await;
        a_moment(&mut moments, 2000).await;
        let killed = usize::try_from(round).unwrap() % agents.len();
        agents[killed].kill().await;
        let ran = running.finish().await;
        ran.assert_ended_with(96, &format!("the agent {} was lost", agents[killed].name));
        // What the killed agent sent since its last record is not in the report.
        let (counted, seen) = (ran.requests(), target.counter().seen);
        assert!(counted <= seen && seen - counted <= 2 * 20 * 3, "{counted} of {seen}");
        agents[killed].start_again(&nats).await;
        until_idle(&nats).await;
    }
}

#[tokio::test]
async fn killed_submit_leaves_no_load() {
    let Some(nats) = Nats::start().await else { return };
    let _agents = agents(&nats, 2, &[]).await;
    let mut moments = moments();
    for _ in 0..rounds() {
        let target = sample();
        let running = Call::new(&nats, target.url(), "-u 4 --pace 20ms -d 600 --lease 2s").spawn();
        a_moment(&mut moments, 4000).await;
        running.program.signal(Signal::KILL);
        running.program.finish().await;
        until_idle(&nats).await;
        let seen = target.counter().seen;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(target.counter().seen, seen, "the load has stopped");
    }
}

#[tokio::test]
async fn interrupted_submit_stops_all_agents_and_reports() {
    let Some(nats) = Nats::start().await else { return };
    let _agents = agents(&nats, 2, &[]).await;
    let target = sample();
    let running = Call::new(&nats, target.url(), "-u 4 --pace 20ms -d 600").spawn();
    until("there is load", || target.counter().seen > 50).await;
    running.program.signal(Signal::INT);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED");
    assert_eq!(ran.requests(), target.counter().seen);
    until_idle(&nats).await;
}
