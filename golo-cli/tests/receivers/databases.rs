//! Databases of metrics as processes: started in a temporary folder on a free port, awaited, queried, killed and started
//! again.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::waiting::{PATIENCE, until};

/// A running database. Dropping it kills the process.
pub(crate) struct Database {
    kind: Kind,
    folder: TempDir,
    port: u16,
    /// Command-line arguments and variables in addition to those of its kind.
    more: Vec<(String, String)>,
    process: Option<Child>,
    client: Client,
}

/// A program that stores metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Influxdb,
    VictoriaMetrics,
    Prometheus,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Influxdb => "influxd",
            Self::VictoriaMetrics => "victoria-metrics",
            Self::Prometheus => "prometheus",
        }
    }

    /// Path that answers with success once the database is ready.
    fn ready(self) -> &'static str {
        match self {
            Self::Influxdb => "/ping",
            Self::VictoriaMetrics => "/health",
            Self::Prometheus => "/-/ready",
        }
    }

    fn command(self, folder: &Path, port: u16) -> Command {
        let mut command = Command::new(self.program());
        let path = |name: &str| folder.join(name).display().to_string();
        match self {
            Self::Influxdb => {
                let settings = format!(
                    "reporting-disabled = true\nbind-address = \"127.0.0.1:{}\"\n[meta]\ndir = \"{}\"\n[data]\ndir = \"{}\"\n\
                     wal-dir = \"{}\"\n[http]\nbind-address = \"127.0.0.1:{port}\"\n[monitor]\nstore-enabled = false\n",
                    free_port(),
                    path("meta"),
                    path("data"),
                    path("wal"),
                );
                std::fs::write(path("influxdb.conf"), settings).unwrap();
                command.args(["-config", &path("influxdb.conf")]);
            }
            Self::VictoriaMetrics => {
                command.arg(format!("-storageDataPath={}", path("data")));
                command.arg(format!("-httpListenAddr=127.0.0.1:{port}"));
                // Otherwise the newest values stay hidden.
                command.args(["-search.latencyOffset=0s", "-search.disableCache", "-retentionPeriod=1"]);
                // A second whose answer was lost is sent again.
                command.arg("-dedup.minScrapeInterval=1ms");
            }
            Self::Prometheus => {
                std::fs::write(path("prometheus.yml"), "").unwrap();
                command.args(["--config.file", &path("prometheus.yml"), "--storage.tsdb.path", &path("data")]);
                command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--web.enable-remote-write-receiver");
            }
        }
        command
    }
}

/// Returns true if all of these are installed. Otherwise reports that the test is skipped.
pub(crate) fn are_installed(kinds: &[Kind]) -> bool {
    let is_missing = |kind: &&Kind| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        !std::env::split_paths(&paths).any(|folder| folder.join(kind.program()).is_file())
    };
    let missing = kinds.iter().find(is_missing);
    if let Some(kind) = missing {
        eprintln!("skipped: {} is not installed", kind.program());
    }
    missing.is_none()
}

/// Returns a port on which nothing listens.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Database {
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_with(kind, &[]).await
    }

    /// Starts a database with these environment variables.
    pub(crate) async fn start_with(kind: Kind, variables: &[(&str, &str)]) -> Self {
        // Another test may already have installed it.
        _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        let more = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut database = Self { kind, folder, port: free_port(), more, process: None, client };
        database.start_again().await;
        database
    }

    /// Starts the killed database with the data that it has.
    pub(crate) async fn start_again(&mut self) {
        let mut command = self.kind.command(self.folder.path(), self.port);
        command.envs(self.more.iter().map(|(name, value)| (name, value)));
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        let started = std::time::Instant::now();
        loop {
            let ready = self.client.get(self.url(self.kind.ready())).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            let has_ended = self.process.as_mut().unwrap().try_wait().unwrap().is_some();
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(!has_ended && started.elapsed() < PATIENCE, "{:?} is not ready: {}", self.kind, log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Ends the process. What it has answered with success survives.
    pub(crate) async fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        // VictoriaMetrics keeps the newest values in memory.
        let signal = if self.kind == Kind::Influxdb { Signal::KILL } else { Signal::TERM };
        kill_process(Pid::from_child(&process), signal).unwrap();
        until("the database ends", || process.try_wait().unwrap().is_some()).await;
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let answer = self.client.get(self.url(path)).query(parameters).send().await.unwrap();
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    /// Runs InfluxQL as an administrator of influxd, if there is one.
    pub(crate) async fn influxql(&self, database: &str, query: &str) -> Value {
        let path = self.client.post(self.url("/query")).basic_auth("admin", Some("hush"));
        let answer = path.query(&[("db", database), ("epoch", "ms"), ("q", query)]).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert!(answer["error"].is_null() && answer["results"][0]["error"].is_null(), "{query}: {answer}");
        answer["results"][0]["series"].clone()
    }

    /// Writes points.
    pub(crate) async fn write(&self, database: &str, points: &str) {
        let request = self.client.post(self.url("/write")).query(&[("db", database)]).body(points.to_owned());
        assert!(request.send().await.unwrap().status().is_success(), "{points}");
    }

    /// Waits until queries to VictoriaMetrics return everything that it has accepted: values of the last second or two
    /// are hidden.
    pub(crate) async fn settle(&self) {
        let started = std::time::Instant::now();
        let mark = free_port();
        self.write("", &format!("settled,mark={mark} value=1")).await;
        while self.promql(&format!("sum_over_time(settled_value{{mark=\"{mark}\"}}[1h])")).await.is_empty() {
            assert!(started.elapsed() < PATIENCE, "{:?} never returned the newest value", self.kind);
            self.get("/internal/force_flush", &[]).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Runs a query of PromQL or MetricsQL, of all values up to now. Returns its result.
    pub(crate) async fn promql(&self, query: &str) -> Vec<Value> {
        let answer = self.get("/api/v1/query", &[("query", query)]).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// Returns the only number of the result of a query of PromQL or MetricsQL.
    pub(crate) async fn number(&self, query: &str) -> f64 {
        let result = self.promql(query).await;
        assert_eq!(result.len(), 1, "{query}: {result:?}");
        result[0]["value"][1].as_str().unwrap().parse().unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            _ = process.kill();
            _ = process.wait();
        }
    }
}
