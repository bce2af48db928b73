//! Helpers that start an agent process and call it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use golo_proto::results::{Record, record};
use prost::Message as _;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Method, Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::load_test;

/// The helpers for waiting, shared with the tests across crates.
#[path = "../../../tests/waiting.rs"]
#[allow(unreachable_pub, reason = "it is public there")]
mod waiting;

pub(crate) use waiting::{PATIENCE, until, within};

/// Options of an agent process.
pub(crate) struct Start {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Shell commands to run before the shell becomes the agent.
    before: String,
}

impl Start {
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { arguments, environment: Vec::new(), before: String::new() }
    }

    pub(crate) fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn before(mut self, script: &str) -> Self {
        self.before = script.to_owned();
        self
    }

    fn command(&self, data: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{} exec \"$0\" \"$@\"", self.before), env!("CARGO_BIN_EXE_golo"), "agent"]);
        command.arg("--data").arg(data).args(&self.arguments);
        for name in ["GOLO_TOKEN", "GOLO_COLLECTOR_TOKEN"] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts an agent that is expected to fail. Returns its exit code and its stderr.
    pub(crate) fn refused(&self) -> (i32, String) {
        let data = tempfile::tempdir().unwrap();
        self.refused_in(data.path())
    }

    /// Like [`Self::refused`], with an existing data folder.
    pub(crate) fn refused_in(&self, data: &Path) -> (i32, String) {
        let output = self.command(data).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    pub(crate) fn agent(&self) -> Agent {
        self.agent_in(Arc::new(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn agent_in(&self, data: Arc<TempDir>) -> Agent {
        let mut command = self.command(data.path());
        if !self.arguments.iter().any(|argument| argument == "--addr") {
            command.args(["--addr", "127.0.0.1:0"]);
        }
        let mut process = command.spawn().unwrap();
        let (tell, told) = mpsc::channel();
        let said = Arc::<Mutex<String>>::default();
        let (stderr, saying) = (process.stderr.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("listens on ") {
                    _ = tell.send(url.to_owned());
                }
                let mut said = saying.lock().unwrap();
                said.push_str(&line);
                said.push('\n');
            }
        });
        let url = told.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no address: {}", said.lock().unwrap()));
        _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        Agent { process, url, data, said, client }
    }
}

/// A running agent. Dropping it kills the process.
pub(crate) struct Agent {
    process: Child,
    pub(crate) url: String,
    pub(crate) data: Arc<TempDir>,
    said: Arc<Mutex<String>>,
    pub(crate) client: Client,
}

impl Drop for Agent {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

impl Agent {
    pub(crate) fn start() -> Self {
        Start::with(&[]).agent()
    }

    pub(crate) fn address(&self) -> &str {
        self.url.rsplit_once('/').unwrap().1
    }

    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Returns the ID of the agent's process.
    #[cfg(target_os = "linux")]
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the IDs of the agent's child processes.
    #[cfg(target_os = "linux")]
    pub(crate) fn children(&self) -> Vec<i32> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap().flatten();
        let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        lists.flat_map(|list| list.split(' ').filter_map(|id| id.parse().ok()).collect::<Vec<_>>()).collect()
    }

    /// Waits until the process has ended. Returns its exit code, or `None` if a signal ended it.
    pub(crate) async fn gone(&mut self) -> Option<i32> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(started.elapsed() < PATIENCE, "the agent lives: {}", self.said());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut call = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            call = call.body(body.to_string());
        }
        call.send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.call(Method::GET, path, None).await).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (StatusCode, Value) {
        answer(self.call(Method::POST, path, Some(body)).await).await
    }

    pub(crate) async fn upload(&self, bytes: Vec<u8>) -> (StatusCode, Value) {
        let form = Form::new().part("file", Part::bytes(bytes).file_name("checkout"));
        answer(self.client.post(format!("{}/upload", self.url)).multipart(form).send().await.unwrap()).await
    }

    /// Uploads the load test. Returns its hash.
    pub(crate) async fn load_test(&self) -> String {
        let (status, answer) = self.upload(load_test::script()).await;
        assert_eq!(status, 200, "{answer}");
        answer["binary"].as_str().unwrap().to_owned()
    }

    /// Queues a job. Returns its ID.
    pub(crate) async fn queue(&self, job: Value) -> String {
        let (status, answer) = self.post("/queue", job).await;
        assert_eq!((status, &answer["queued"]), (StatusCode::CREATED, &Value::Bool(true)), "{answer}");
        answer["job"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn job(&self, id: &str) -> Value {
        let (status, job) = self.get(&format!("/jobs/{id}")).await;
        assert_eq!(status, 200, "{job}");
        job
    }

    /// Waits until a job is in a state.
    pub(crate) async fn until(&self, id: &str, state: &str) -> Value {
        self.until_it(id, state, |job| job["state"] == state).await
    }

    /// Waits until the job's file on disk satisfies a condition.
    pub(crate) async fn until_kept(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) {
        let path = self.data.path().join("jobs").join(id).join("job.json");
        let kept = || serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap()).unwrap();
        until(&format!("{what} is kept"), || is(&kept())).await;
    }

    pub(crate) async fn until_it(&self, id: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let job = self.job(id).await;
            if is(&job) {
                return job;
            }
            assert!(started.elapsed() < PATIENCE, "never {what}: {job}\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns all records of a job. Waits for the last one.
    pub(crate) async fn records(&self, id: &str) -> Vec<Record> {
        let (mut from, mut all) = (0, Vec::new());
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < PATIENCE, "no end of records: {all:?}");
            let response = self.call(Method::GET, &format!("/jobs/{id}/records?from={from}&wait=5"), None).await;
            let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let (next, ended) = (header("golo-next").unwrap(), header("golo-ended"));
            let status = response.status();
            let new = decoded(&response.bytes().await.unwrap());
            assert_eq!(new.is_empty(), status == StatusCode::NO_CONTENT);
            all.extend(new);
            from = next.parse().unwrap();
            assert_eq!(from, all.len());
            if ended.is_some() {
                return all;
            }
        }
    }

    pub(crate) fn files(&self, folder: &str) -> usize {
        std::fs::read_dir(self.data.path().join(folder)).unwrap().count()
    }
}

pub(crate) async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub(crate) fn decoded(mut bytes: &[u8]) -> Vec<Record> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        all.push(Record::decode_length_delimited(&mut bytes).unwrap());
    }
    all
}

/// Returns the name of a record's kind.
pub(crate) fn kind(record: &Record) -> &'static str {
    use golo_proto::engine::event::Event::{
        Accepted, Adjusted, Finished, Outputs, Planned, Ready, Second, SetUp, Started,
    };
    match record.record.as_ref().unwrap() {
        record::Record::Begun(_) => "begun",
        record::Record::Ended(_) => "ended",
        record::Record::Event(event) => match event.event.as_ref().unwrap() {
            Accepted(_) => "accepted",
            Planned(_) => "planned",
            Ready(_) => "ready",
            Started(_) => "started",
            Second(_) => "second",
            Outputs(_) => "outputs",
            Finished(_) => "finished",
            Adjusted(_) => "adjusted",
            SetUp(_) => "set up",
        },
    }
}

/// Sends these bytes on a new connection. Returns everything that is answered.
pub(crate) async fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns the status code of a raw answer.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer:?}")).parse().unwrap()
}
