//! Runs of the load test `requests`, and their summaries.

use std::collections::BTreeMap;
use std::fs;

use golo_tests::{Finished, Program, command};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::log::Log;

/// A run of the load test `requests`.
pub(crate) struct Load {
    command: Command,
    folder: TempDir,
}

impl Load {
    /// Returns a run that requests `url`, with these flags.
    pub(crate) fn on(url: &str, flags: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(env!("CARGO_BIN_EXE_requests"));
        command.env("URL", url).args(["run", "--no-progress", "--workers", "2"]).args(flags.split_whitespace());
        command.arg("--out").arg(format!("summary={}", folder.path().join("summary.json").display()));
        Self { command, folder }
    }

    /// Sets a parameter of the load test.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// Adds an argument.
    pub(crate) fn flag(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) -> Summary {
        let Finished { code, stdout, stderr } = Program::spawn(self.command).finish().await;
        let json = fs::read_to_string(self.folder.path().join("summary.json"));
        let json = json.unwrap_or_else(|_| panic!("no summary: {code:?}: {stdout:#?} {stderr:#?}"));
        let json: Value = serde_json::from_str(&json).unwrap();
        let text = format!("{}: {:#}", json["verdict"]["text"], json["errors"]);
        Summary { json, text }
    }
}

/// The summary of a run.
pub(crate) struct Summary {
    json: Value,
    text: String,
}

impl Summary {
    /// Returns the number of requests that the load test sent.
    pub(crate) fn requests(&self) -> u64 {
        self.number("/requests/total/duration/count")
    }

    pub(crate) fn failed(&self) -> u64 {
        self.number("/requests/total/failed")
    }

    /// Returns the number of redirects that were followed.
    pub(crate) fn redirects(&self) -> u64 {
        self.number("/requests/total/redirects")
    }

    /// Returns the number of requests that were sent again because the server had closed their connection.
    pub(crate) fn resent(&self) -> u64 {
        found(&self.json, "resent").unwrap_or_default()
    }

    /// Returns the number of requests for each status.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, u64> {
        let read = |count: &Value| Some((count["status"].as_u64()?.try_into().ok()?, count["count"].as_u64()?));
        let mut statuses = BTreeMap::new();
        for (status, count) in self.json["statuses"].as_array().into_iter().flatten().filter_map(read) {
            *statuses.entry(status).or_default() += count;
        }
        statuses
    }

    /// Asserts that no request failed, that there were `requests`, and that the log has them.
    #[track_caller]
    pub(crate) fn assert_flawless(&self, requests: u64, log: &Log) {
        assert_eq!((self.requests(), self.failed()), (requests, 0), "{}", self.text);
        self.assert_logged(log);
    }

    /// Asserts that the log has the answers that the run reports, and no request that the run does not report.
    ///
    /// The log may or may not have the first attempt of a request that was sent again, and a request without an answer.
    #[track_caller]
    pub(crate) fn assert_logged(&self, log: &Log) {
        let answered: u64 = self.statuses().values().sum();
        let least = answered + self.redirects();
        let most = self.requests() + self.redirects() + self.resent();
        let logged = log.requests();
        assert!((least..=most).contains(&logged), "{logged} logged, {least} to {most} reported: {}", self.text);
    }

    /// Asserts that the log has the same statuses, each as often.
    #[track_caller]
    pub(crate) fn assert_statuses(&self, log: &Log) {
        assert_eq!(self.statuses(), log.statuses(), "{}", self.text);
    }

    /// Returns the verdict and the errors, for messages of assertions.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn number(&self, path: &str) -> u64 {
        self.json.pointer(path).and_then(Value::as_u64).unwrap_or_default()
    }
}

/// Returns the first number with this key, at any depth.
fn found(json: &Value, key: &str) -> Option<u64> {
    match json {
        Value::Object(fields) => {
            let own = fields.get(key).and_then(Value::as_u64);
            own.or_else(|| fields.values().find_map(|value| found(value, key)))
        }
        Value::Array(values) => values.iter().find_map(|value| found(value, key)),
        _ => None,
    }
}
