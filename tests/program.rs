//! Load tests as processes: spawned, read, signalled, waited for, and killed when the test ends.

use std::process::Stdio;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, ChildStdout, Command},
    sync::mpsc,
};

use crate::within;
pub use rustix::process::Signal;

/// The keys of an `Output` line, in their order.
const KEYS: [&str; 8] = ["sequenceID", "url", "method", "status", "size", "timestamp", "duration", "error"];

/// A call of the program at `path`, which serves on a free port unless it is told otherwise.
pub fn command(path: &str) -> Command {
    let mut command = Command::new(path);
    command.env_remove("GOLO_GRACEFUL_STOP").env_remove("GOLO_NAME").env("GOLO_ADDR", "127.0.0.1:0");
    // Only tests of that keep anything, each in a file of its own.
    command.env_remove("GOLO_DB").env("GOLO_NO_KEEP", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// A running program.
#[derive(Debug)]
pub struct Program {
    child: Child,
    pipe: Option<ChildStdout>,
    /// What it writes on stdout, where somebody reads that.
    pub stdout: Lines,
    /// What it writes on stderr.
    pub stderr: Lines,
    /// Where it serves, once that is known.
    pub address: String,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code, where no signal killed it.
    pub code: Option<i32>,
    /// All lines of stdout.
    pub stdout: Vec<String>,
    /// All lines of stderr.
    pub stderr: Vec<String>,
}

impl Program {
    /// Spawns `command` and leaves its stdout unread until [`read`](Self::read) is called.
    pub fn spawn_unread(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = Lines::of(child.stderr.take().unwrap());
        let pipe = child.stdout.take();
        Self { child, pipe, stdout: Lines::none(), stderr, address: String::new() }
    }

    /// Spawns `command`.
    pub fn spawn(command: Command) -> Self {
        let mut program = Self::spawn_unread(command);
        program.read();
        program
    }

    /// Spawns `command` and waits until it serves.
    pub async fn serve(command: Command) -> Self {
        Self::spawn(command).serving().await
    }

    /// Waits until it serves.
    pub async fn serving(mut self) -> Self {
        let greeting = self.stderr.wait_for("serving golo.Job on ").await;
        let (_, address) = greeting.split_once("serving golo.Job on ").unwrap();
        self.address = address.split_once(", ").map_or(address, |(address, _)| address).to_owned();
        self
    }

    /// Spawns `command`, an agent or a collector, and waits until it listens; gives where, as `HOST:PORT`.
    pub async fn listen(command: Command) -> (Self, String) {
        let mut program = Self::spawn(command);
        let greeting = program.stderr.wait_for("listens on http").await;
        let (_, place) = greeting.split_once("://").unwrap();
        let place = place.split([' ', ',', '/']).next().unwrap().to_owned();
        (program, place)
    }

    /// Begins to read stdout, unless it has been closed or goes elsewhere.
    pub fn read(&mut self) {
        if let Some(pipe) = self.pipe.take() {
            self.stdout = Lines::of(pipe);
        }
    }

    /// Closes the reader's end of an unread stdout.
    pub fn close_stdout(&mut self) {
        drop(self.pipe.take().unwrap());
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.id(), signal).unwrap();
    }

    /// Sends a signal again and again until it has ended.
    pub async fn insist(&mut self, signal: Signal) {
        crate::until("the program ends", || {
            self.signal(signal);
            self.child.try_wait().unwrap().is_some()
        })
        .await;
    }

    /// Waits for its end and for the rest of what it wrote.
    pub async fn finish(mut self) -> Finished {
        let status = within("the program's end", self.child.wait()).await.unwrap();
        self.read();
        let stdout = self.stdout.all().await;
        Finished { code: status.code(), stdout, stderr: self.stderr.all().await }
    }

    /// Ends it with SIGTERM.
    pub async fn stop(self) -> Finished {
        self.signal(Signal::TERM);
        self.finish().await
    }

    /// Most memory it ever had, in bytes.
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Waits until it has used no processor time for a while: it waits for something, too.
    #[cfg(target_os = "linux")]
    pub async fn rest(&self) {
        // The name may have spaces; user and system time are fields 14 and 15.
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

    fn id(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap()
    }
}

impl Finished {
    /// How many lines of stderr have `part` in them.
    pub fn said(&self, part: &str) -> usize {
        self.stderr.iter().filter(|line| line.contains(part)).count()
    }

    /// The lines of stdout, each of which must be an `Output`.
    pub fn outputs(&self) -> Vec<Value> {
        self.stdout.iter().map(|line| output(line)).collect()
    }
}

/// What the program at `path` prints of its one trigger, which must pass.
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

/// Reads one line as the contract has it, knowing nothing of golo; panics where it is none.
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

/// The lines of a stream, read as they come.
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
                // Kept visible, so that half a line is never taken for a whole one.
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

    /// The next line; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<String> {
        let line = within("a line", self.incoming.recv()).await?;
        self.seen.push(line.clone());
        Some(line)
    }

    /// The next line that has `part` in it.
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

    /// All lines, from the first to the end of the stream.
    pub async fn all(&mut self) -> Vec<String> {
        while self.next().await.is_some() {}
        std::mem::take(&mut self.seen)
    }
}
