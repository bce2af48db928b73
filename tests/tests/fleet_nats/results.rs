//! Results reach collectors through the stream, each once, whichever program is killed.

use golo_tests::{Program, Signal, within};
use serde_json::Value;
use tempfile::TempDir;

use super::drills::{a_moment, moments, rounds};
use super::fleet::{Call, agents, golo, sample, until_idle};
use super::server::Nats;

/// Flags of an agent that sends results through the stream.
pub(super) const NATS_COLLECTOR: [&str; 2] = ["--collector", "nats"];

/// Collectors with one database.
pub(super) struct Collectors {
    folder: TempDir,
    pub(super) programs: Vec<Program>,
}

impl Collectors {
    pub(super) async fn start(nats: &Nats, number: usize) -> Self {
        let mut collectors = Self { folder: tempfile::tempdir().unwrap(), programs: Vec::new() };
        for _ in 0..number {
            collectors.add(nats).await;
        }
        collectors
    }

    pub(super) async fn add(&mut self, nats: &Nats) {
        let mut command = golo(nats, &["collector", "--addr", "127.0.0.1:0", "--db"]);
        let (program, _) = Program::listen({
            command.arg(self.database());
            command
        })
        .await;
        self.programs.push(program);
    }

    pub(super) async fn kill(&mut self) {
        let program = self.programs.remove(0);
        program.signal(Signal::KILL);
        program.finish().await;
    }

    pub(super) fn database(&self) -> String {
        self.folder.path().join("runs.db").display().to_string()
    }

    /// Waits until the newest run has ended in the database. Returns its verdict and its number of requests.
    pub(super) async fn newest(&self, nats: &Nats, number: usize) -> (String, u64) {
        let ended = async {
            loop {
                let listing = golo(nats, &["runs", "--json", "--limit", "1000", "--db", &self.database()]);
                let finished = Program::spawn(listing).finish().await;
                let runs: Vec<Value> =
                    finished.stdout.first().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
                if runs.len() == number && runs[0]["verdict"] != "NOT ENDED" {
                    let requests = runs[0]["requests"].as_u64().unwrap();
                    return (runs[0]["verdict"].as_str().unwrap().to_owned(), requests);
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        };
        // Longer than the time after which what a killed collector has taken comes again.
        let waited = tokio::time::timeout(std::time::Duration::from_secs(150), ended).await;
        waited.unwrap_or_else(|_| panic!("the run has not ended in the database"))
    }
}

#[tokio::test]
async fn collectors_share_the_work() {
    let Some(nats) = Nats::start().await else { return };
    let collectors = Collectors::start(&nats, 2).await;
    let _agents = agents(&nats, 3, &NATS_COLLECTOR).await;
    let target = sample();
    let ran = Call::new(&nats, target.url(), "-u 6 --pace 50ms -d 4 --max-lag 10s").finish().await;
    ran.assert_ended_with(0, "PASSED");
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), target.counter().seen));
}

#[tokio::test]
async fn late_collector_gets_everything() {
    let Some(mut nats) = Nats::start().await else { return };
    let mut agents = agents(&nats, 2, &NATS_COLLECTOR).await;
    let target = sample();
    let ran = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 2 --max-lag 10s").finish().await;
    ran.assert_ended_with(0, "PASSED");
    until_idle(&nats).await;
    // One agent is gone, and what it has stored in the stream is not.
    let program = agents[0].program.take().unwrap();
    program.signal(Signal::TERM);
    assert_eq!(program.finish().await.code, Some(0));
    nats.kill();
    nats.start_again().await;
    let collectors = Collectors::start(&nats, 1).await;
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), target.counter().seen));
}

#[tokio::test]
async fn lost_volume_is_filled_again_from_the_agents() {
    let Some(mut nats) = Nats::start().await else { return };
    let _agents = agents(&nats, 2, &NATS_COLLECTOR).await;
    let target = sample();
    let ran = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 2 --max-lag 10s").finish().await;
    ran.assert_ended_with(0, "PASSED");
    nats.kill();
    nats.lose_volume();
    nats.start_again().await;
    let collectors = Collectors::start(&nats, 1).await;
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), target.counter().seen));
}

#[tokio::test]
async fn killed_collector_and_server_lose_nothing() {
    let Some(mut nats) = Nats::start().await else { return };
    let mut collectors = Collectors::start(&nats, 1).await;
    let _agents = agents(&nats, 2, &NATS_COLLECTOR).await;
    let mut moments = moments();
    for round in 0..usize::try_from(rounds()).unwrap() {
        let target = sample();
        let mut running = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 5 --max-lag 10s").spawn();
        running.program.stderr.wait_for("started together").await;
        a_moment(&mut moments, 3000).await;
        collectors.kill().await;
        a_moment(&mut moments, 500).await;
        nats.kill();
        a_moment(&mut moments, 1000).await;
        nats.start_again().await;
        collectors.add(&nats).await;
        let ran = running.finish().await;
        ran.assert_ended_with(0, "PASSED");
        assert_eq!(ran.requests(), target.counter().seen);
        assert_eq!(collectors.newest(&nats, round + 1).await, ("PASSED".to_owned(), target.counter().seen));
    }
}

/// The agent is killed, and tells the collector later how its job ended.
#[tokio::test]
async fn killed_agent_completes_the_record_of_the_run() {
    let Some(nats) = Nats::start().await else { return };
    let collectors = Collectors::start(&nats, 1).await;
    let mut agents = agents(&nats, 2, &NATS_COLLECTOR).await;
    let mut moments = moments();
    for round in 0..usize::try_from(rounds()).unwrap() {
        let target = sample();
        let mut running = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 600 --on-agent-loss fail").spawn();
        running.program.stderr.wait_for("started together").await;
        a_moment(&mut moments, 3000).await;
        agents[round % 2].kill().await;
        let ran = running.finish().await;
        ran.assert_ended_with(107, "was lost");
        agents[round % 2].start_again(&nats).await;
        let (verdict, kept) = collectors.newest(&nats, round + 1).await;
        assert_eq!(verdict, "DIED");
        let seen = target.counter().seen;
        // What was sent since the last record of the killed agent is in no record.
        assert!(ran.requests() <= kept && kept <= seen && seen - kept <= 2 * 20 * 3, "{kept} of {seen}");
        until_idle(&nats).await;
    }
}

/// The stream has room for nothing, so the agents keep their records until there is room.
#[tokio::test]
async fn full_stream_loses_nothing() {
    let lines = "jetstream { store_dir: \"$FOLDER/small\", max_file_store: 3MB }";
    let Some(mut nats) = Nats::start_with(lines, |_| {}).await else { return };
    let configuration = std::fs::read_to_string(nats.file("nats.conf")).unwrap();
    let mut agents = within("agents", agents(&nats, 1, &NATS_COLLECTOR)).await;
    let stderr = &mut agents[0].program.as_mut().unwrap().stderr;
    let target = sample();
    let running = Call::new(&nats, target.url(), "-u 2 --pace 50ms -d 3 --max-lag 10s").spawn();
    stderr.wait_for("cannot send records to the collector, retrying").await;
    running.finish().await.assert_ended_with(0, "PASSED");
    nats.kill();
    std::fs::write(nats.file("nats.conf"), configuration.replace("3MB", "3GB")).unwrap();
    nats.start_again().await;
    let collectors = Collectors::start(&nats, 1).await;
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), target.counter().seen));
}
