//! `--traceparent`: the header as a target receives it, and the trace IDs in the reports.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::sync::{Arc, Mutex};

use golo_tests::{Finished, Program, command};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

const TRACES: &str = env!("CARGO_BIN_EXE_traces");
/// Trace ID and span ID that the load test sets for one request.
const OWN: (&str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");

/// A received request.
#[derive(Debug, Clone)]
struct Received {
    sequence: String,
    name: String,
    traceparent: Option<String>,
}

/// A server that records requests.
#[derive(Clone, Default)]
struct Target(Arc<Mutex<Vec<Received>>>);

impl Target {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let target = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let target = target.clone();
                tokio::spawn(async move { target.serve(stream).await });
            }
        });
        url
    }

    /// Serves one connection.
    async fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        for number in 0.. {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                match stream.read_line(&mut head).await {
                    Ok(1..) => {}
                    _ => return,
                }
            }
            let path = head.split(' ').nth(1).unwrap_or_default();
            let (sequence, name) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
            let header = |line: &str| line.to_ascii_lowercase().strip_prefix("traceparent: ").map(str::to_owned);
            let (sequence, name) = (sequence.to_owned(), name.to_owned());
            let answer = match &*name {
                "redirect" => format!("302 Found\r\nlocation: /{sequence}/redirected"),
                "fails" => "500 Internal Server Error".to_owned(),
                _ => "200 OK".to_owned(),
            };
            let is_lost = name == "lost" && number > 0;
            self.0.lock().unwrap().push(Received { sequence, name, traceparent: head.lines().find_map(header) });
            // A kept connection is closed before the answer, so that the client sends the request again.
            if is_lost
                || stream.write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await.is_err()
            {
                return;
            }
        }
    }

    fn received(&self) -> Vec<Received> {
        self.0.lock().unwrap().clone()
    }
}

impl Received {
    /// Returns the trace ID and the span ID of the header.
    fn ids(&self) -> (String, String) {
        let header = self.traceparent.as_deref().unwrap_or_else(|| panic!("no header: {self:?}"));
        let parts: Vec<_> = header.split('-').collect();
        let [version, trace, span, flags] = parts[..] else { panic!("{self:?}") };
        assert!(version == "00" && ["00", "01"].contains(&flags), "{self:?}");
        assert_eq!((trace.len(), span.len()), (32, 16), "{self:?}");
        for id in [trace, span] {
            assert!(id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0'), "{self:?}");
        }
        (trace.to_owned(), span.to_owned())
    }
}

/// A run with its reports, and what the target received.
struct Ran {
    finished: Finished,
    received: Vec<Received>,
    folder: TempDir,
}

impl Ran {
    /// Runs the load test, with 3 triggers. `prepare` completes the command line.
    async fn of(prepare: impl FnOnce(&mut Command)) -> Self {
        Self::by(command(TRACES), &["run"], prepare).await
    }

    /// Runs the load test by `golo run`, which stores the results.
    async fn by_golo(prepare: impl FnOnce(&mut Command)) -> Self {
        Self::by(command(env!("CARGO_BIN_EXE_golo-command")), &["run", TRACES], prepare).await
    }

    async fn by(mut command: Command, first: &[&str], prepare: impl FnOnce(&mut Command)) -> Self {
        let (target, folder) = (Target::default(), tempfile::tempdir().unwrap());
        command.args(first).args(["--users", "2", "--iterations", "3", "--workers", "1"]);
        for out in ["summary=summary.json", "failures=failures.jsonl", "html=report.html"] {
            command.args(["--out", out]);
        }
        command.env("TARGET_URL", target.start().await).env("GOLO_DB", folder.path().join("runs.db"));
        command.env_remove("GOLO_NO_KEEP").current_dir(folder.path());
        prepare(&mut command);
        let finished = Program::spawn(command).finish().await;
        Self { finished, received: target.received(), folder }
    }

    fn file(&self, name: &str) -> String {
        let path = self.folder.path().join(name);
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}: {:#?}", self.finished))
    }

    fn summary(&self) -> Value {
        serde_json::from_str(&self.file("summary.json")).unwrap()
    }

    /// Returns the received requests of this name, by their sequences.
    fn named(&self, name: &str) -> BTreeMap<&str, Vec<&Received>> {
        let mut named: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for request in self.received.iter().filter(|request| request.name == name) {
            named.entry(&*request.sequence).or_default().push(request);
        }
        assert_eq!(named.len(), if name == "alone" { 1 } else { 3 }, "{name}: {:#?}", self.finished);
        named
    }

    /// Asserts that each request has the trace ID of its journey and a span ID of its own.
    fn assert_traced(&self) {
        let sent_twice = |name: &str| ["redirected", "lost"].contains(&name);
        let mut spans = HashSet::new();
        for request in self.received.iter().filter(|request| !["own", "invalid"].contains(&&*request.name)) {
            let (trace, span) = request.ids();
            if let [_, _, _, _, _] = request.sequence.split('-').collect::<Vec<_>>()[..] {
                assert_eq!(trace, request.sequence.replace('-', ""), "{request:?}");
            }
            assert!(spans.insert(span) || sent_twice(&request.name), "{request:?}");
        }
        for (sequence, order) in self.named("order") {
            let ids = [&order, &self.named("paid")[sequence]].map(|requests| requests[0].ids());
            assert_eq!(ids[0].0, ids[1].0, "a sequence ID that is no UUID: {ids:?}");
        }
        let orders: HashSet<_> = self.named("order").values().map(|requests| requests[0].ids().0).collect();
        let alone: HashSet<_> = self.named("alone")["none"].iter().map(|request| request.ids().0).collect();
        assert_eq!((orders.len(), alone.len()), (3, 3));
        for requests in self.named("own").values() {
            assert_eq!(requests[0].ids(), (OWN.0.to_owned(), OWN.1.to_owned()));
        }
        for requests in self.named("invalid").values() {
            assert_eq!(requests[0].traceparent.as_deref(), Some("mine"));
        }
        for requests in self.named("parallel").values() {
            assert_eq!(requests.len(), 2);
        }
        for requests in self.named("lost").values() {
            let ids: HashSet<_> = requests.iter().map(|request| request.ids()).collect();
            assert_eq!(ids.len(), 1, "a request that is sent again keeps its span: {requests:?}");
        }
    }

    /// Returns the span IDs of the hops of each redirect.
    fn hops(&self) -> Vec<[String; 2]> {
        let (first, second) = (self.named("redirect"), self.named("redirected"));
        first.iter().map(|(sequence, one)| [one[0].ids().1, second[sequence][0].ids().1]).collect()
    }

    /// Asserts that the slowest journeys of a report have the IDs that the target received.
    fn assert_reported(&self, summary: &Value) {
        let sent: HashSet<_> = self.received.iter().filter(|one| one.name != "invalid").map(Received::ids).collect();
        let journeys = summary["journeys"]["slowest"].as_array().unwrap();
        assert_eq!(journeys.len(), 6, "{journeys:#?}");
        for journey in journeys {
            let trace = journey["trace_id"].as_str().unwrap();
            let sequence = journey["sequence_id"].as_str().unwrap();
            assert!(sequence.starts_with("order-") || trace == sequence.replace('-', ""), "{journey:#}");
            for step in journey["steps"].as_array().unwrap() {
                let Some(span) = step["span_id"].as_str() else {
                    assert_eq!(step["route"], "/{id}/invalid");
                    continue;
                };
                let trace = if span == OWN.1 { OWN.0 } else { trace };
                assert!(sent.contains(&(trace.to_owned(), span.to_owned())), "{step:#}");
            }
        }
    }

    /// Returns the trace IDs of the journeys that are UUIDs.
    fn visits(&self) -> BTreeSet<String> {
        self.named("first").keys().map(|sequence| sequence.replace('-', "")).collect()
    }
}

#[tokio::test]
async fn requests_have_the_trace_of_their_journey_and_a_span_of_their_own() {
    let ran = Ran::of(|command| _ = command.arg("--traceparent")).await;
    ran.assert_traced();
    assert!(ran.hops().iter().all(|[first, second]| first == second), "a redirect keeps the header");
    assert!(ran.named("lost").values().all(|requests| requests.len() == 2), "the first connection is kept");
    let summary = ran.summary();
    ran.assert_reported(&summary);
    let journeys = summary["journeys"]["slowest"].as_array().unwrap();
    let visits: Vec<_> = journeys
        .iter()
        .filter(|journey| !journey["sequence_id"].as_str().unwrap().starts_with("order-"))
        .map(|journey| journey["steps"].as_array().unwrap())
        .collect();
    assert_eq!(visits.len(), 3, "{journeys:#?}");
    for steps in visits {
        // A request without a valid header has neither.
        assert!(steps.iter().all(|step| step["phases"].is_object() == step["span_id"].is_string()), "{steps:#?}");
        let traced: Vec<_> = steps.iter().filter(|step| step["span_id"].is_string()).collect();
        assert!(traced.len() > 3, "{steps:#?}");
        for step in traced {
            let (phases, duration) = (step["phases"].as_object().unwrap(), step["duration"].as_u64().unwrap());
            let total: u64 = phases.values().map(|phase| phase.as_u64().unwrap()).sum();
            assert!(phases.len() == 7 && 0 < total && total <= duration, "{step:#}");
        }
    }
    let samples: Vec<Value> =
        ran.file("failures.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(samples.len(), 3);
    for sample in &samples {
        let failed = &ran.named("fails")[sample["sequence_id"].as_str().unwrap()][0];
        let (trace, span) = failed.ids();
        assert_eq!((&sample["trace_id"], &sample["span_id"]), (&trace.into(), &span.into()));
        let before = sample["journey"].as_array().unwrap();
        assert!(before.len() >= 7 && before[0]["span_id"].is_string() && before[0]["phases"].is_object(), "{sample:#}");
    }
    let (page, shown) = (ran.file("report.html"), ran.finished.stdout.join("\n"));
    for trace in ran.visits() {
        assert!(page.contains(&format!("trace {trace}")), "{trace}");
    }
    let copied = ran.visits().iter().filter(|trace| shown.contains(&format!("    trace {trace}"))).count();
    assert!(copied > 0, "{shown}");
}

#[tokio::test]
async fn separate_redirects_have_a_span_each() {
    let ran = Ran::of(|command| _ = command.args(["--traceparent", "--redirects", "separate"])).await;
    ran.assert_traced();
    assert!(ran.hops().iter().all(|[first, second]| first != second), "{:?}", ran.hops());
    ran.assert_reported(&ran.summary());
}

#[tokio::test]
async fn client_of_the_load_test_sends_the_header_too() {
    let ran = Ran::of(|command| _ = command.arg("--traceparent").env("CLIENT", "own")).await;
    ran.assert_traced();
    assert!(ran.hops().iter().all(|[first, second]| first == second), "{:?}", ran.hops());
    ran.assert_reported(&ran.summary());
}

#[tokio::test]
async fn stored_run_of_golo_has_the_traces() {
    let ran = Ran::by_golo(|command| _ = command.env("GOLO_TRACEPARENT", "1")).await;
    ran.assert_traced();
    ran.assert_reported(&ran.summary());
    let mut show = command(env!("CARGO_BIN_EXE_golo-command"));
    show.args(["show", "latest", "--json", "-o", "failures=again.jsonl"]).current_dir(ran.folder.path());
    show.env("GOLO_DB", ran.folder.path().join("runs.db"));
    let shown = Program::spawn(show).finish().await;
    let shown: Value = serde_json::from_str(&shown.stdout.join("\n")).unwrap();
    assert_eq!(shown["journeys"], ran.summary()["journeys"]);
    assert_eq!(ran.file("again.jsonl"), ran.file("failures.jsonl"));
}

#[tokio::test]
async fn no_header_is_sent_without_the_flag() {
    for ran in [Ran::of(|_| {}).await, Ran::by_golo(|_| {}).await] {
        let sent: BTreeSet<_> =
            ran.received.iter().filter(|request| request.traceparent.is_some()).map(|request| &*request.name).collect();
        assert_eq!(sent, BTreeSet::from(["invalid", "own"]));
        let summary = ran.summary();
        for journey in summary["journeys"]["slowest"].as_array().unwrap() {
            assert!(journey["trace_id"].is_null() && journey["steps"][0]["span_id"].is_null(), "{journey:#}");
        }
        assert!(!ran.file("report.html").contains("<p>trace "));
    }
}
