//! Runs of a load test with three routes, one of which fails at times.

use std::fs;

use golo_tests::{Finished, Program, command};
use sample_service::{Counts, SampleService};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::points::Points;
use crate::receiver::Receiver;

const ROUTES: &str = env!("CARGO_BIN_EXE_routes");

/// A call of `golo run`, its target, and the folder for its reports.
pub(crate) struct Run {
    pub(crate) command: Command,
    pub(crate) target: SampleService,
    pub(crate) folder: TempDir,
}

/// A run that has ended.
pub(crate) struct Ran {
    pub(crate) finished: Finished,
    pub(crate) counts: Counts,
    pub(crate) summary: Value,
    pub(crate) folder: TempDir,
}

impl Run {
    /// Prepares a run of 4 users with further flags.
    pub(crate) fn new(receiver: &Receiver, flags: &str) -> Self {
        Self::to(&receiver.url(), flags)
    }

    pub(crate) fn to(url: &str, flags: &str) -> Self {
        let (target, folder) = (sample_service::start().unwrap(), tempfile::tempdir().unwrap());
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        command.env("TARGET_URL", target.url()).args(["run", ROUTES, "-u", "4"]).args(flags.split_whitespace());
        command.arg("--out").arg(format!("otlp={url}"));
        command.arg("--out").arg(format!("summary={}", folder.path().join("summary.json").display()));
        Self { command, target, folder }
    }

    /// Sets a variable of the exporter.
    pub(crate) fn set(mut self, variable: &str, value: &str) -> Self {
        self.command.env(format!("OTEL_EXPORTER_OTLP_{variable}"), value);
        self
    }

    pub(crate) async fn finish(self) -> Ran {
        self.finish_after(|_| std::future::ready(())).await
    }

    /// Starts the run, waits for a future that watches it, and then for its end.
    pub(crate) async fn finish_after<F: Future<Output = ()>>(self, watch: impl FnOnce(u64) -> F) -> Ran {
        let Self { command, target, folder } = self;
        let program = Program::spawn(command);
        let seen = || target.counter().seen;
        golo_tests::until("the load starts", || seen() > 0).await;
        watch(seen()).await;
        let finished = program.finish().await;
        let summary = fs::read(folder.path().join("summary.json"));
        let summary = summary.map(|text| serde_json::from_slice(&text).unwrap()).unwrap_or_default();
        Ran { finished, counts: target.counter(), summary, folder }
    }
}

impl Ran {
    /// Returns the summary as one line.
    pub(crate) fn text(&self) -> String {
        self.finished.stdout.iter().flat_map(|line| line.split_whitespace()).collect::<Vec<_>>().join(" ")
    }

    /// Returns what the summary says of the receiver.
    #[track_caller]
    pub(crate) fn remark(&self, url: &str) -> String {
        let text = self.text();
        let after = text.split_once(&format!(" otlp {url}")).unwrap_or_else(|| panic!("no {url}: {text}")).1;
        after.split(" summary /").next().unwrap().trim_start_matches(": ").to_owned()
    }

    /// Asserts that the run passed, unless this machine was too busy for it.
    #[track_caller]
    pub(crate) fn assert_passed(&self) {
        let Finished { code, stdout, stderr } = &self.finished;
        let is_late = *code == Some(96) && stdout.join(" ").contains("starts were late");
        assert!(is_late || *code == Some(0), "{code:?}\n{}\n{}", stdout.join("\n"), stderr.join("\n"));
    }

    /// Returns the row of a route.
    pub(crate) fn route(&self, route: &str) -> &Value {
        let rows = self.summary["requests"]["routes"].as_array().unwrap();
        rows.iter().find(|row| row["route"] == route).unwrap_or_else(|| panic!("no {route}: {rows:#?}"))
    }

    /// Asserts that the counts at the receiver equal those of the summary and of the target, by route.
    #[track_caller]
    pub(crate) fn assert_counts(&self, points: &Points) {
        self.assert_passed();
        points.assert_consistent();
        for route in ["/items/{id}", "/slow", "/flaky"] {
            let row = self.route(route);
            let (count, failed) = (row["duration"]["count"].as_u64().unwrap(), row["failed"].as_u64().unwrap());
            assert_eq!(count, self.counts.routes[route], "{route}");
            let own = |outcome| points.select("golo.http.requests", &[("route", route), ("outcome", outcome)]).total();
            assert_eq!((own("ok"), own("failed")), ((count - failed) as f64, failed as f64), "{route}");
            let durations = points.select("golo.http.request.duration", &[("route", route)]);
            let standard = points.select("http.client.request.duration", &[("url.template", route)]);
            let time = row["duration"]["avg"].as_f64().map(|avg| avg * count as f64 / 1e9);
            for points in [durations, standard] {
                assert_eq!(points.total(), count as f64, "{route}");
                assert!(time.is_none_or(|time| (points.time() / time - 1.0).abs() < 1e-6), "{route}: {time:?}");
                // golo is off by 0.05 %, its value in a bucket by 0.05 %, and the middle of a bucket by 0.068 %.
                let (p95, ours) = (points.quantile(0.95), row["duration"]["p95"].as_f64().unwrap() / 1e9);
                assert!((p95 / ours - 1.0).abs() < 0.001_7, "{route}: {p95} s, and in the summary {ours} s");
            }
        }
        let failed = points.select("http.client.request.duration", &[("error.type", "500")]);
        assert_eq!(failed.total(), self.route("/flaky")["failed"].as_f64().unwrap());
        assert!(failed.total() > 0.0);
    }
}
