//! A database as a process that can be killed and started again with its data.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use golo_tests::until;
use serde_json::Value;
use tempfile::TempDir;

use crate::port::Port;

/// A database with a folder and a port of its own. Its process is killed when this value is dropped.
pub(crate) struct Database {
    program: PathBuf,
    arguments: Vec<String>,
    folder: TempDir,
    port: Port,
    process: Option<Child>,
}

/// Returns the path of a program, or `None` and a message if it is not installed.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        eprintln!("skipped: {name} is not installed");
    }
    found
}

impl Database {
    /// Starts Prometheus, which scrapes `targets` each 250 ms and accepts remote write. Native histograms are on.
    pub(crate) async fn prometheus(targets: &[u16]) -> Option<Self> {
        let addresses: Vec<_> = targets.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
        let config = format!(
            "global: {{scrape_interval: 250ms}}\nscrape_configs:\n- job_name: golo\n  honor_labels: true\n  \
             static_configs: [{{targets: [{}]}}]\n",
            addresses.join(", ")
        );
        let database = Self::configured(&config).await?;
        if !targets.is_empty() {
            // Its first look at the list of targets takes seconds.
            let tries = async { while database.query("up").await.is_empty() {} };
            golo_tests::within("the first scrape", tries).await;
        }
        Some(database)
    }

    /// Starts Prometheus, which evaluates the rules of this file each second and accepts remote write.
    pub(crate) async fn with_rules(path: &str) -> Option<Self> {
        Self::configured(&format!("global: {{evaluation_interval: 1s}}\nrule_files: ['{path}']\n")).await
    }

    async fn configured(config: &str) -> Option<Self> {
        let program = installed("prometheus")?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        let arguments = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:PORT",
            "--web.enable-remote-write-receiver",
            "--enable-feature=native-histograms",
        ];
        Some(Self::start(program, &arguments, folder, "/-/ready").await)
    }

    /// Starts VictoriaMetrics.
    pub(crate) async fn victoria_metrics() -> Option<Self> {
        let program = installed("victoria-metrics")?;
        let arguments = ["-storageDataPath=data", "-httpListenAddr=127.0.0.1:PORT", "-search.latencyOffset=0s"];
        Some(Self::start(program, &arguments, tempfile::tempdir().unwrap(), "/health").await)
    }

    /// Starts a database. `PORT` in an argument stands for its port, and `ready` is a path that answers 200 then.
    async fn start(program: PathBuf, arguments: &[&str], folder: TempDir, ready: &str) -> Self {
        let port = Port::free();
        let arguments = arguments.iter().map(|one| one.replace("PORT", &port.number.to_string())).collect();
        let mut database = Self { program, arguments, folder, port, process: None };
        database.restart().await;
        crate::database::answers(&database.url(ready)).await;
        database
    }

    /// Starts the process again, and waits until it listens.
    pub(crate) async fn restart(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder().join("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).current_dir(self.folder()).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        until("the database listens", || TcpStream::connect(("127.0.0.1", self.port.number)).is_ok()).await;
    }

    /// Kills the process. The data stay.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port.number)
    }

    /// Returns the result of a query in the language of Prometheus at a time in seconds, or now.
    async fn result(&self, query: &str, at: Option<f64>) -> Vec<Value> {
        let time = at.map(|at| ("time", at.to_string()));
        let pairs = [("query", query.to_owned())].into_iter().chain(time);
        let url = golo::reqwest::Url::parse_with_params(&self.url("/api/v1/query"), pairs).unwrap();
        let response = golo::client().get(url).send().await.unwrap();
        let text = response.text().await.unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{query}: {answer}")).clone()
    }

    /// Returns the result of a query: labels and value of each series.
    pub(crate) async fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let result = self.result(query, None).await;
        result.into_iter().map(|one| (one["metric"].clone(), number(&one["value"]))).collect()
    }

    /// Returns the result of a query that has one series, at the time of the last sample of `of`.
    pub(crate) async fn number_at_last(&self, query: &str, of: &str) -> f64 {
        let series = self.result(&format!("{of}[1h]"), None).await;
        let last = series[0]["values"].as_array().unwrap().last().unwrap()[0].as_f64().unwrap();
        number(&self.result(query, Some(last)).await[0]["value"])
    }

    /// Returns the result of a query that has one series.
    #[track_caller]
    pub(crate) fn number(&self, query: &str) -> impl Future<Output = f64> {
        let caller = std::panic::Location::caller();
        async move {
            let found = self.query(query).await;
            assert_eq!(found.len(), 1, "{query}: {found:?}, at {caller}");
            found[0].1
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the number of a sample, which is a pair of time and text.
fn number(sample: &Value) -> f64 {
    sample[1].as_str().unwrap().parse().unwrap()
}

/// Waits until a GET request is answered with 200.
async fn answers(url: &str) {
    golo_tests::within(&format!("{url} to answer"), async {
        while !golo::client().get(url).send().await.is_ok_and(|response| response.status() == 200) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
