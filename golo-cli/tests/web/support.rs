//! Helpers: the page of a made-up run, and a viewer that reads its events.

use std::time::{Duration, SystemTime};

use golo::engine::plan::{Asked, Plan};
use golo::engine::series::{Label, Outcome, Series};
use golo::engine::share::Share;
use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, Options, Progress, RunEvent};
use golo::report::{MetricsOutput as _, RunOutcome};
use golo::reqwest::{Client, RequestBuilder, Response};
use golo::run_loop::Order;
use golo_cli::outputs::web::WebOutput;
use golo_cli::web::board::Names;
use golo_cli::web::{WebArgs, WebServer};
use serde_json::Value;
use tokio::sync::mpsc;

/// The helpers for waiting, shared with the tests across crates.
#[path = "../../../tests/waiting.rs"]
#[allow(unreachable_pub, dead_code, reason = "it is public there, and not all of it is used here")]
mod waiting;

pub(crate) use waiting::within;

pub(crate) const RUN: &str = "11111111-2222-4333-8444-555555555555";

/// A run of this process with its page, and its measurements so far.
pub(crate) struct Page {
    server: Option<WebServer>,
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) orders: mpsc::Receiver<Order>,
    pub(crate) output: WebOutput,
    pub(crate) totals: Snapshot,
    plan: Plan,
    seconds: u64,
}

impl Page {
    pub(crate) fn start() -> Self {
        Self::with(WebArgs::default(), Asked::default())
    }

    pub(crate) fn with(args: WebArgs, asked: Asked) -> Self {
        golo::cli::install_provider();
        let web = args.web.or_else(|| Some("127.0.0.1:0".to_owned()));
        let names = Names { run: RUN.to_owned(), job: "<b>sale</b>".to_owned(), load_test: "shop".to_owned() };
        let mut server = WebServer::start(WebArgs { web, ..args }, names, None).unwrap().unwrap();
        let plan = Plan::new(asked).unwrap();
        let options = Options { job_name: "sale".into(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let thresholds = vec!["http_req_failed rate<1%".parse().unwrap()];
        let mut output = WebOutput::new(server.board().clone(), plan.clone(), options, thresholds);
        output.start(&plan);
        let totals = Snapshot::default();
        output.event(&RunEvent::Started { at: SystemTime::now() }, &totals);
        let (url, orders) = (server.url().to_owned(), server.take_orders().unwrap());
        Self { server: Some(server), url, client: Client::new(), orders, output, totals, plan, seconds: 0 }
    }

    /// Returns the host and port.
    pub(crate) fn address(&self) -> &str {
        self.url.rsplit('/').next().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    /// Returns a request with JSON for the run.
    pub(crate) fn post(&self, what: &str, body: &str) -> RequestBuilder {
        let request = self.client.post(format!("{}/runs/{RUN}/{what}", self.url));
        request.header("content-type", "application/json").body(body.to_owned())
    }

    /// Reports a second with `requests` requests to each of `routes` routes, one of which fails.
    pub(crate) fn second(&mut self, routes: u64, requests: u64) {
        let event = self.prepare(routes, requests);
        self.report(&event);
    }

    /// Returns the event of a second, whose measurements are added to the totals.
    pub(crate) fn prepare(&mut self, routes: u64, requests: u64) -> RunEvent {
        self.seconds += 1;
        let second = measured(routes, requests, self.seconds);
        self.totals.merge(&second);
        let elapsed = Duration::from_secs(self.seconds);
        RunEvent::Second(Progress { elapsed, second, users: 25, connections: 0 })
    }

    /// Reports an event, as the run loop does.
    pub(crate) fn report(&mut self, event: &RunEvent) {
        self.output.event(event, &self.totals);
    }

    /// Ends the run.
    pub(crate) fn end(&mut self) -> RunOutcome {
        let options = Options { job_name: "sale".into(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let time = Duration::from_secs(self.seconds);
        let finished = Finished {
            totals: self.totals.clone(),
            started_at: Some(SystemTime::now()),
            load_time: time,
            whole_time: time,
            ..Finished::not_started(self.plan.clone(), options, None)
        };
        let outcome = RunOutcome::from(finished);
        self.output.finish(&outcome);
        outcome
    }

    /// Closes the page, as the end of the process does. Returns the time that it took.
    pub(crate) fn close(&mut self) -> Duration {
        let begun = std::time::Instant::now();
        drop(self.server.take());
        begun.elapsed()
    }

    /// Returns the memory of the charts' data, in bytes.
    #[allow(dead_code, reason = "only tests across crates measure it")]
    pub(crate) fn board_bytes(&self) -> usize {
        self.server.as_ref().unwrap().board().bytes()
    }

    /// Opens the events.
    pub(crate) async fn viewer(&self) -> Viewer {
        let response = within("the events", self.get(&format!("/runs/{RUN}/events")).send()).await.unwrap();
        Viewer::of(response)
    }
}

/// Returns a second of measurements.
pub(crate) fn measured(routes: u64, requests: u64, second: u64) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for route in 0..routes {
        for request in 0..requests {
            let is_failed = route == 0 && request == 0;
            let outcome = Outcome::Answered { status: if is_failed { 503 } else { 200 }, failed: is_failed };
            let label = Label::new("http://127.0.0.1:1", format!("/shop/{route}/items/{{id}}"), "GET");
            let measure = snapshot.requests.entry(Series { label: label.into(), outcome }).or_default();
            let nanos = 1_000_000 + (route * 7_919 + request * 104_729 + second * 31) % 9_000_000;
            measure.durations.record(nanos);
            measure.received += 900;
            let mut phases = golo::Phases::default();
            phases.waiting = Duration::from_nanos(nanos / 2);
            measure.phases.get_or_insert_default().record(&phases);
        }
    }
    snapshot.triggers.due = routes * requests;
    snapshot.triggers.done = routes * requests;
    snapshot
}

/// Somebody who reads events.
pub(crate) struct Viewer {
    response: Response,
    pub(crate) text: Vec<u8>,
    /// All bytes that arrived.
    pub(crate) bytes: usize,
}

impl Viewer {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: Vec::new(), bytes: 0 }
    }

    /// Returns the next event: its name and its data. `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let frame: Vec<_> = self.text.drain(..end + 2).collect();
                let frame = String::from_utf8(frame).unwrap();
                let Some((name, data)) = frame.strip_prefix("event: ").and_then(|frame| frame.split_once('\n')) else {
                    assert_eq!(frame, ":\n\n", "neither an event nor a comment");
                    continue;
                };
                let data = data.strip_prefix("data: ").unwrap().trim_end();
                assert!(!data.contains('\n'), "data is one line");
                return Some((name.to_owned(), serde_json::from_str(data).unwrap()));
            }
            let chunk = within("an event", self.response.chunk()).await.unwrap()?;
            self.bytes += chunk.len();
            self.text.extend_from_slice(&chunk);
        }
    }

    /// Waits for an event whose data is `wanted`, and returns it.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&str, &Value) -> bool) -> Value {
        loop {
            let (name, data) = self.next().await.expect("the events go on");
            if wanted(&name, &data) {
                return data;
            }
        }
    }
}
