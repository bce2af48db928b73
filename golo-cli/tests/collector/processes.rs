//! `golo collector` as a process: killed and restarted, stopped, and refused.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use golo_cli::results::store::Store;
use serde_json::Value;

use crate::support::*;

/// A running collector. Dropping it kills the process.
struct Running {
    process: Child,
    address: SocketAddr,
    // Kept open, so that later messages of the collector do not meet a closed pipe.
    stderr: BufReader<ChildStderr>,
}

impl Running {
    fn start(db: &Path) -> Self {
        Self::of(command(db, &["--addr", "127.0.0.1:0"]))
    }

    fn of(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let mut stderr = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended: {said}");
            if let Some((_, address)) = line.split_once("listens on http://") {
                break address.trim().parse().unwrap();
            }
            said.push_str(&line);
        };
        Self { process, address, stderr }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn command(db: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golo"));
    command.arg("collector").arg("--db").arg(db).args(flags);
    command.env_remove("GOLO_TOKEN").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Sends the records that the collector asks for, until the last one or until it no longer answers. Returns the number
/// of acknowledged records.
async fn send(
    address: SocketAddr,
    agent: &str,
    records: &[golo_proto::results::Record],
    acknowledged: impl Fn(),
) -> u64 {
    let client = client();
    let url = format!("http://{address}/api/runs/r/agents/{agent}");
    let Ok(answer) = client.get(format!("{url}/next")).send().await else { return 0 };
    let Ok(answer) = answer.json::<Value>().await else { return 0 };
    let mut next = answer["next"].as_u64().unwrap();
    while let Some(record) = records.get(usize::try_from(next).unwrap()) {
        let body = body(std::slice::from_ref(record));
        let Ok(answer) = client.post(format!("{url}/records?from={next}")).body(body).send().await else { break };
        assert_eq!(answer.status(), 200);
        let Ok(answer) = answer.json::<Value>().await else { break };
        next = answer["next"].as_u64().unwrap();
        acknowledged();
    }
    next
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_survive_a_kill() {
    let place = Place::new();
    let agents = ["a", "b", "c"];
    let parts: Vec<_> = (0..).zip(agents).map(|(index, agent)| part("r", (agent, index, 3), 60)).collect();
    // The collector is killed in the middle each time, after this many acknowledgements.
    for kill_after in [5, 40] {
        let mut collector = Running::start(&place.db());
        let address = collector.address;
        let (acknowledged, mut counted) = tokio::sync::mpsc::unbounded_channel();
        let sending: Vec<_> = agents
            .into_iter()
            .zip(parts.clone())
            .map(|(agent, records)| {
                let acknowledged = acknowledged.clone();
                tokio::spawn(async move { send(address, agent, &records, || _ = acknowledged.send(())).await })
            })
            .collect();
        drop(acknowledged);
        for _ in 0..kill_after {
            counted.recv().await.unwrap();
        }
        collector.signal("-KILL");
        assert!(!collector.process.wait().unwrap().success());
        for (agent, sent) in agents.into_iter().zip(sending) {
            let acknowledged = sent.await.unwrap();
            let store = Store::open_to_read(&place.db()).unwrap();
            let kept = store.next("r", agent, None).unwrap();
            assert!(kept >= acknowledged, "agent {agent}: {kept} are kept of {acknowledged} acknowledged");
        }
    }
    let collector = Running::start(&place.db());
    for (agent, records) in agents.into_iter().zip(&parts) {
        assert_eq!(send(collector.address, agent, records, || {}).await, records.len() as u64);
    }
    let store = Store::open_to_read(&place.db()).unwrap();
    for (agent, records) in agents.into_iter().zip(&parts) {
        assert_eq!(sorted(kept(&store, "r", agent)), sorted(records.clone()));
    }
    let run = store.find("r").unwrap();
    assert_eq!(run.requests, truth(&parts).values().map(|truth| truth.durations.count()).sum::<u64>());
    assert_eq!(run.state, "completed");
}

/// Without this lock, another process that closes the database assumes that it is the last one and removes the log
/// file. The collector would continue to write to the removed file, and records acknowledged from then on would be lost
/// if it is killed.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn collector_keeps_its_database_lock_while_reading() {
    use std::os::unix::fs::MetadataExt as _;

    let place = Place::new();
    let collector = Running::start(&place.db());
    let records = part("r", ("a", 0, 1), 20);
    send(collector.address, "a", &records, || ()).await;
    let inode = std::fs::metadata(place.db()).unwrap().ino();
    let is_locked = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        let (owner, file) = (format!(" {} ", collector.process.id()), format!(":{inode} "));
        locks.lines().any(|lock| lock.contains(&owner) && lock.contains(&file))
    };
    assert!(is_locked());
    let listed = client().get(format!("http://{}/api/runs", collector.address)).send().await.unwrap();
    assert_eq!(listed.status(), 200);
    assert!(is_locked(), "reading has dropped it");
}

#[test]
fn collector_stops_on_a_signal_and_merges_its_log() {
    let place = Place::new();
    for signal in ["-TERM", "-INT"] {
        let mut collector = Running::start(&place.db());
        collector.signal(signal);
        assert_eq!(collector.process.wait().unwrap().code(), Some(0));
    }
    // After the stop, all data is in the one file.
    assert!(!place.db().with_file_name("runs.db-wal").exists());
}

/// For the collector, a file size limit acts like a full disk.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn full_disk_and_its_end_are_each_reported_once() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};

    let place = Place::new();
    let mut command = Command::new("sh");
    // Ignore the signal of the limit, which would end the collector.
    command.args(["-c", r#"trap "" XFSZ; exec "$@""#, "sh", env!("CARGO_BIN_EXE_golo"), "collector", "--db"]);
    command.arg(place.db()).args(["--addr", "127.0.0.1:0"]).env_remove("GOLO_TOKEN");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut collector = Running::of(command);
    let process = Pid::from_child(&collector.process);
    let limit = |current| {
        prlimit(Some(process), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    };
    let records = part("r", ("a", 0, 1), 40);
    let url = format!("http://{}/api/runs/r/agents/a/records", collector.address);
    let post = |from: usize| {
        let body = body(&records[from..from + 10]);
        let call = client().post(format!("{url}?from={from}")).body(body);
        async { call.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(post(0).await, 200);
    limit(Some(64 << 10));
    assert!(post(10).await >= 500);
    assert!(post(10).await >= 500);
    limit(None);
    for from in [0, 10, 20] {
        assert_eq!(post(from).await, 200);
    }
    collector.signal("-TERM");
    assert!(collector.process.wait().unwrap().success());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut collector.stderr, &mut said).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("golo collector: results cannot be stored: "), "{said}");
    assert!(lines[0].ends_with("; agents keep them until they can"), "{said}");
    assert_eq!(lines[1], "golo collector: results can be stored again");
}

#[test]
fn unsafe_or_invalid_arguments_are_refused_before_listening() {
    let place = Place::new();
    for (flags, reason) in [
        (&["--addr", "0.0.0.0:0"][..], "can be reached from other machines"),
        (&["--addr", "nowhere"][..], "expected HOST:PORT"),
        (&["--bad"][..], "--bad"),
    ] {
        let output = command(&place.db(), flags).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(104), "{said}");
        assert!(said.contains(reason), "{said}");
    }
    std::fs::write(place.db(), "no database, and longer than a head of one is. ".repeat(10)).unwrap();
    let output = command(&place.db(), &["--addr", "127.0.0.1:0"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(104), "{said}");
    assert!(said.contains("it is not a database"), "{said}");
}

#[tokio::test]
async fn token_is_required_for_every_call() {
    let place = Place::new();
    let mut command = command(&place.db(), &["--addr", "127.0.0.1:0"]);
    command.env("GOLO_TOKEN", "correct-horse-battery-staple");
    let collector = Running::of(command);
    let output = r#"{"sequenceID":"s","url":"http://h/","method":"GET","status":200,"size":3,"timestamp":"2026-11-22T10:05:13Z","duration":1,"error":null}"#;
    // More than the default body limit of the server.
    let many = 40_000;
    let outputs = format!("[{}]", vec![output; many].join(","));
    let url = format!("http://{}", collector.address);
    let push = || client().post(format!("{url}/push/db")).body(outputs.clone());
    let records = || client().get(format!("{url}/api/runs"));
    assert_eq!(push().send().await.unwrap().status(), 401);
    assert_eq!(records().bearer_auth("another").send().await.unwrap().status(), 401);
    assert_eq!(records().send().await.unwrap().status(), 401);

    let token = "correct-horse-battery-staple";
    let stored = push().bearer_auth(token).send().await.unwrap().text().await.unwrap();
    assert_eq!(stored, format!(r#"{{"stored":{many}}}"#));
    assert_eq!(records().bearer_auth(token).send().await.unwrap().status(), 200);
    let page = push().bearer_auth(token).header("origin", "http://elsewhere").send().await.unwrap();
    assert_eq!(page.status(), 403);
    let metrics = client().get(format!("{url}/metrics")).bearer_auth(token).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(r#"golo_collector_http_requests_total{status="401"} 3"#), "{metrics}");
    assert!(metrics.contains(&format!("golo_collector_outputs_total {many}\n")), "{metrics}");
    let too_large = client().post(format!("{url}/push/db")).bearer_auth(token).body(" ".repeat(17 << 20)).send().await;
    assert_eq!(too_large.unwrap().status(), 413);
}

#[test]
fn commands_agree_on_the_exit_code_of_a_run_that_cannot_be_read() {
    let place = Place::new();
    let mut store = place.store();
    for run in ["good", "damaged"] {
        ingest(&mut store, (run, "a"), 0, &part(run, ("a", 0, 1), 3)).unwrap();
    }
    let damage = "UPDATE records SET record = x'ff' WHERE number = 3 AND part = 2";
    assert_eq!(place.sql().execute(damage, []).unwrap(), 1);
    let collector = Running::start(&place.db());
    let url = collector.address.to_string();
    let db = place.db().display().to_string();
    for archive in [["--db", &db], ["--collector", &url]] {
        let code = |arguments: &[&str]| {
            let mut golo = Command::new(env!("CARGO_BIN_EXE_golo"));
            golo.args(arguments).args(archive).env_remove("GOLO_TOKEN");
            let output = golo.output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        for (arguments, expected) in [
            (&["show", "good"][..], 0),
            (&["runs"], 1),
            (&["show", "damaged"], 1),
            (&["compare", "good", "damaged", "--force"], 1),
            (&["show", "unknown"], 104),
            (&["compare", "good", "unknown", "--force"], 104),
        ] {
            let (exit, said) = code(arguments);
            assert_eq!(exit, Some(expected), "{arguments:?} {archive:?}: {said}");
        }
    }
    let nowhere = ["--db", "/no/such/file"];
    for arguments in [&["runs"][..], &["show"]] {
        let golo = Command::new(env!("CARGO_BIN_EXE_golo")).args(arguments).args(nowhere).output().unwrap();
        assert_eq!(golo.status.code(), Some(104), "{arguments:?}");
    }
}
