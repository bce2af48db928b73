//! Load tests as processes: started, read, signalled, waited for, and killed when the test ends.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::within;
pub use rustix::process::Signal;

/// Keys of an `Output` line, in order.
const KEYS: [&str; 8] = ["sequenceID", "url", "method", "status", "size", "timestamp", "duration", "error"];

/// Returns a command that runs the program at `path`. By default it serves on a free port.
pub fn command(path: &str) -> Command {
    let mut command = Command::new(path);
    command.env_remove("GOLO_GRACEFUL_STOP").env_remove("GOLO_NAME").env("GOLO_ADDR", "127.0.0.1:0");
    // Tests that store results set a file of their own.
    command.env_remove("GOLO_DB").env("GOLO_NO_KEEP", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    pipe: Option<ChildStdout>,
    /// Lines of stdout, once it is read.
    pub stdout: Lines,
    /// Lines of stderr.
    pub stderr: Lines,
    /// Address on which the program serves. Empty until it is known.
    pub address: String,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code, or `None` if a signal killed the program.
    pub code: Option<i32>,
    /// All lines of stdout.
    pub stdout: Vec<String>,
    /// All lines of stderr.
    pub stderr: Vec<String>,
}

impl Program {
    /// Starts `command` and leaves its stdout unread until [`read`](Self::read) is called.
    pub fn spawn_unread(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Lines::of(child.stderr.take().unwrap());
        let pipe = child.stdout.take();
        Self { child, pipe, stdout: Lines::none(), stderr, address: String::new() }
    }

    /// Starts `command`.
    pub fn spawn(command: Command) -> Self {
        let mut program = Self::spawn_unread(command);
        program.read();
        program
    }

    /// Starts `command` and waits until it serves.
    pub async fn serve(command: Command) -> Self {
        Self::spawn(command).serving().await
    }

    /// Waits until the program serves.
    pub async fn serving(mut self) -> Self {
        let greeting = self.stderr.wait_for("serving golo.Job on ").await;
        let (_, address) = greeting.split_once("serving golo.Job on ").unwrap();
        self.address = address.split_once(", ").map_or(address, |(address, _)| address).to_owned();
        self
    }

    /// Starts `command`, an agent or a collector, and waits until it listens. Returns the program and its `HOST:PORT`.
    pub async fn listen(command: Command) -> (Self, String) {
        let mut program = Self::spawn(command);
        let greeting = program.stderr.wait_for("listens on http").await;
        let (_, place) = greeting.split_once("://").unwrap();
        let place = place.split([' ', ',', '/']).next().unwrap().to_owned();
        (program, place)
    }

    /// Starts reading stdout, unless it has been closed or redirected.
    pub fn read(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.stdout = Lines::of(pipe);
        }
    }

    /// Closes the reader's end of a stdout that is not being read.
    pub fn close_stdout(&mut self) {
        drop(self.pipe.take().unwrap());
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.id(), signal).unwrap();
    }

    /// Stops the process with SIGSTOP for this time.
    pub async fn freeze(&self, time: std::time::Duration) {
        self.signal(Signal::STOP);
        tokio::time::sleep(time).await;
        self.signal(Signal::CONT);
    }

    /// Sends a signal repeatedly until the program has ended.
    pub async fn insist(&mut self, signal: Signal) {
        crate::until("the program ends", || {
            self.signal(signal);
            self.child.try_wait().unwrap().is_some()
        })
        .await;
    }

    /// Waits until the program ends and all of its output has been read.
    pub async fn finish(mut self) -> Finished {
        let status = within("the program's end", self.child.wait()).await.unwrap();
        self.read();
        let stdout = self.stdout.all().await;
        Finished { code: status.code(), stdout, stderr: self.stderr.all().await }
    }

    /// Ends the program with SIGTERM.
    pub async fn stop(self) -> Finished {
        self.signal(Signal::TERM);
        self.finish().await
    }

    /// Returns the peak memory of the program in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Waits until the program has used no CPU time for 0.5 s, which means that it is waiting for something.
    #[cfg(target_os = "linux")]
    pub async fn rest(&self) {
        // The process name may contain spaces. User and system time are fields 14 and 15.
        let ticks = || self.proc("stat").rsplit_once(')').unwrap().1.split(' ').skip(12).take(2).collect::<String>();
        within("the program to rest", async {
            let (mut last, mut same) = (ticks(), 0);
            while same < 10 {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                let now = ticks();
                same = if now == last { same + 1 } else { 0 };
                last = now;
            }
        })
        .await;
    }

    #[cfg(target_os = "linux")]
    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id().unwrap())).unwrap()
    }

    /// Returns the ID of the process.
    pub fn id(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap()
    }
}

impl Finished {
    /// Returns the number of stderr lines that contain `part`.
    pub fn said(&self, part: &str) -> usize {
        self.stderr.iter().filter(|line| line.contains(part)).count()
    }

    /// Asserts that the report has a standstill of 1.5 s. A busy machine may add a short one, and then reports their number
    /// and their sum.
    #[track_caller]
    pub fn assert_stood_still(&self) {
        let text = self.stdout.join(" ");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, told) = words.split_once("standstill the load generator stood still ").expect(&words);
        let (times, length) = told.split_once("for ").expect(&words);
        let is_alone = times.is_empty() && length.starts_with("1.");
        let is_one_of_some = times.ends_with(" times, ") && length.starts_with(['1', '2']);
        assert!(is_alone || is_one_of_some, "{text}");
    }

    /// Parses the lines of stdout. Each must be an `Output`.
    pub fn outputs(&self) -> Vec<Value> {
        self.stdout.iter().map(|line| output(line)).collect()
    }
}

/// Runs `once` of the program at `path` and returns the printed response. The trigger must pass.
pub fn once(path: &str) -> Value {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let finished = runtime.block_on(async {
        let mut command = command(path);
        command.arg("once");
        Program::spawn(command).finish().await
    });
    assert_eq!((finished.code, finished.stdout.len()), (Some(0), 1), "{finished:#?}");
    let response: Value = serde_json::from_str(&finished.stdout[0]).unwrap();
    assert_eq!(response["error"], false);
    response
}

/// Parses one output line according to the contract, without golo's code. Panics if the line is invalid.
pub fn output(line: &str) -> Value {
    let output: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let mut from = 0;
    for key in KEYS {
        let place = line[from..].find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("no {key}: {line}"));
        from += place;
    }
    let is_right = output["sequenceID"].is_string()
        && output["url"].is_string()
        && output["method"].is_string()
        && output["status"].is_u64()
        && output["size"].is_i64()
        && output["timestamp"].as_str().is_some_and(|time| time.len() == 30 && time.ends_with('Z'))
        && output["duration"].is_u64()
        && (output["error"].is_null() || output["error"].is_string());
    assert!(is_right, "{line}");
    output
}

/// Lines of a stream, read as they arrive.
#[derive(Debug)]
pub struct Lines {
    incoming: mpsc::UnboundedReceiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn of(stream: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let (sender, incoming) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut stream = BufReader::with_capacity(1 << 16, stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).await.unwrap() > 0 {
                // Mark a missing line end, so that a partial line is never mistaken for a whole one.
                let text = String::from_utf8_lossy(&line);
                let text = text.strip_suffix('\n').map_or_else(|| format!("{text} [no line end]"), str::to_owned);
                let _ = sender.send(text);
                line.clear();
            }
        });
        Self { incoming, seen: Vec::new() }
    }

    fn none() -> Self {
        Self { incoming: mpsc::unbounded_channel().1, seen: Vec::new() }
    }

    /// Returns the next line, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<String> {
        let line = within("a line", self.incoming.recv()).await?;
        self.seen.push(line.clone());
        Some(line)
    }

    /// Waits for the next line that contains `part`, and returns it.
    pub async fn wait_for(&mut self, part: &str) -> String {
        let found = within(part, async {
            loop {
                match self.incoming.recv().await {
                    Some(line) => {
                        self.seen.push(line.clone());
                        if line.contains(part) {
                            return Some(line);
                        }
                    }
                    None => return None,
                }
            }
        });
        match found.await {
            Some(line) => line,
            None => panic!("no line has {part:?}: {:#?}", self.seen),
        }
    }

    /// Returns all lines, from the first one to the end of the stream.
    pub async fn all(&mut self) -> Vec<String> {
        while self.next().await.is_some() {}
        std::mem::take(&mut self.seen)
    }
}
