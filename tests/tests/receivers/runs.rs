//! Runs of the load test `routes` with receivers of metrics.

use std::fs;

use golo_tests::{Finished, Program, command};
use sample_service::SampleService;
use serde_json::Value;
use tempfile::TempDir;

/// Path of a load test with three routes, one of which fails at times.
pub(crate) const ROUTES: &str = env!("CARGO_BIN_EXE_routes");

/// A run that is going on.
pub(crate) struct Run {
    program: Program,
    folder: TempDir,
    _target: SampleService,
}

/// A run that has ended.
pub(crate) struct Ran {
    pub(crate) finished: Finished,
    pub(crate) summary: Value,
}

impl Run {
    /// Starts `golo run` with these flags and variables.
    pub(crate) fn start(flags: &str, variables: &[(&str, &str)]) -> Self {
        Self::call("run", flags, variables)
    }

    /// Starts `golo submit` with these flags.
    pub(crate) fn submit(flags: &str) -> Self {
        Self::call("submit", flags, &[])
    }

    fn call(subcommand: &str, flags: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = sample_service::start().unwrap();
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        command.envs(variables.iter().copied());
        command.args([subcommand, ROUTES, "--no-progress"]).args(flags.split_whitespace());
        command.args(["-e", &format!("TARGET_URL={}", target.url())]);
        command.arg("--out").arg(format!("summary={}", folder.path().join("summary.json").display()));
        Self { program: Program::spawn(command), folder, _target: target }
    }

    /// Waits until the load begins.
    pub(crate) async fn begins(mut self) -> Self {
        self.program.stderr.wait_for("Ctrl-C stops it").await;
        self
    }

    pub(crate) async fn finish(self) -> Ran {
        let finished = self.program.finish().await;
        let summary = fs::read(self.folder.path().join("summary.json"));
        let summary = summary.map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap());
        Ran { finished, summary }
    }
}

impl Ran {
    /// Asserts that the run ended with this code.
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) {
        assert_eq!(self.finished.code, Some(code), "{}", self.text());
    }

    /// Returns what the run printed.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}", self.finished.stdout.join("\n"), self.finished.stderr.join("\n"))
    }

    /// Returns the number of requests, and of those that failed.
    pub(crate) fn requests(&self) -> (u64, u64) {
        let total = &self.summary["requests"]["total"];
        (total["duration"]["count"].as_u64().unwrap(), total["failed"].as_u64().unwrap())
    }

    /// Returns a percentile of all requests, in seconds.
    pub(crate) fn percentile(&self, name: &str) -> f64 {
        self.summary["requests"]["total"]["duration"][name].as_u64().unwrap() as f64 / 1e9
    }
}
