//! Cost of `golo run`: a trigger over gRPC compared with a bare tonic client, a whole plan compared with the load
//! test's own `run`, and reading one line.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use golo::engine::plan::{Asked, Plan};
use golo::engine::share::Share;
use golo::engine::{Engine, Options as EngineOptions, Sinks};
use golo_cli::drive::job_client::{Address, ServedJob};
use golo_cli::drive::journeys::OpenJourneys;
use golo_cli::drive::line_reader::Reader;

use crate::compare::{
    Target, counted, cpu_time, has_valgrind, instructions, measured, nanoseconds, pin, quartiles, table, tell, worker,
};
use crate::hello::{Ended, built, cargo, workspace};
use crate::trigger::{self, IN_FLIGHT};
use crate::{Options, Size};

const CLIENTS: [&str; 2] = ["bare tonic client", "golo's engine"];
const LINE: &str = r#"{"sequenceID":"2f0c26b1-6d3f-4c5e-9a86-9f6d0b1f3a57","url":"http://127.0.0.1:8765/path/of/some/length?x=1","method":"GET","status":200,"size":12,"timestamp":"2026-11-22T10:29:20.123456789Z","duration":1234567,"error":null}
"#;

pub(crate) fn compare(size: Size, options: &Options) {
    triggers(size);
    whole_plans(size, options);
    lines(size);
}

/// Measures the caller's side: the same server, 64 calls in flight over 4 connections.
fn triggers(size: Size) {
    let calling = |client: &str, calls: u64| {
        let mut server = worker(&["serve", "bare tonic echo"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let server = server.as_mut().expect("it starts");
        let mut address = String::new();
        let stdout = server.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut address).expect("it says where it is");
        (worker(&["trigger", client, &calls.to_string(), address.trim()]), ServerGuard(server.stdin.take()))
    };
    let mut cpu = vec![Vec::new(); CLIENTS.len()];
    let mut rates = vec![Vec::new(); CLIENTS.len()];
    for _ in 0..size.rounds {
        for (index, client) in CLIENTS.iter().enumerate() {
            let (mut command, _server) = calling(client, size.operations);
            let started = Instant::now();
            let output = command.output().expect("it runs");
            rates[index].push(size.operations as f64 / started.elapsed().as_secs_f64());
            cpu[index].push(measured(&output.stderr));
        }
    }
    let mut counts = Vec::new();
    if size.counted > 0 && has_valgrind() {
        for client in CLIENTS {
            let count = |calls| {
                let (command, _server) = calling(client, calls);
                instructions(&counted(&command).output().expect("it runs").stderr)
            };
            counts.push((count(size.counted * 3) - count(size.counted)) / (size.counted * 2) as f64);
        }
    }
    table(
        "a trigger over gRPC, on the caller's side (64 in flight, 4 connections, one worker)",
        &CLIENTS,
        &cpu,
        &counts,
    );
    for (client, rates) in CLIENTS.iter().zip(&rates) {
        let (low, rate, high) = quartiles(rates);
        println!("  {client:<28}{rate:>9.0} triggers/s ({low:.0}–{high:.0}), from start to end");
    }
}

/// Keeps a server alive: the server ends when its stdin is closed.
struct ServerGuard(#[expect(dead_code, reason = "dropping it closes the pipe")] Option<std::process::ChildStdin>);

/// Triggers the server at `address` `calls` times and prints the CPU time per call.
pub(crate) fn trigger(client: &str, calls: u64, address: &str) {
    let before = cpu_time();
    if client == CLIENTS[0] {
        trigger::call(calls, address);
    } else {
        run_engine(calls, address);
    }
    tell(cpu_time() - before, calls);
}

fn run_engine(calls: u64, address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let asked = Asked { users: Some(IN_FLIGHT), iterations: Some(calls), ..Asked::default() };
        let plan = Plan::new(asked).expect("it is a plan");
        let options =
            EngineOptions { job_name: "job".to_owned(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let job = ServedJob::new(Address::Tcp(address.to_owned()), Arc::default());
        let mut engine = Engine::start(Arc::new(job), plan, options, sinks()).expect("it starts");
        while engine.next().await.is_some() {}
        let triggers = engine.finish().totals.triggers;
        assert_eq!((triggers.done, triggers.failed), (calls, 0));
    });
}

fn sinks() -> Sinks {
    Sinks::new(Vec::new())
}

/// Compares `golo run hello` with `hello run`. The CPU time is that of all processes together.
fn whole_plans(size: Size, options: &Options) {
    pin(Some(0));
    let target = Target::start(options.url.as_deref());
    let hello = options.hello(&target.url);
    cargo(workspace(), &["-p", "golo-cli"]);
    let golo = built().join("golo");
    pin(Some(1));
    let arguments = |size: Size| format!("-u 64 --workers 1 -d {}ms", size.run.as_millis());
    let names = ["hello run", "golo run hello", "golo run by triggers"];
    let mut cpu = vec![Vec::new(); names.len()];
    for _ in 0..size.rounds {
        for (name, times) in names.iter().zip(&mut cpu) {
            let ended = match *name {
                "hello run" => hello.run(&arguments(size)),
                name => {
                    let way = if name == names[1] { "plan" } else { "trigger" };
                    let mut command = Command::new(&golo);
                    command.arg("run").arg(&hello.path).args(["--drive", way]).env("TARGET_URL", &hello.url);
                    command.args(arguments(size).split_whitespace()).args(["-q", "--no-progress"]);
                    command.env("GOLO_NO_KEEP", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
                    Ended::of(command)
                }
            };
            times.push(ended.cpu_per_request());
        }
    }
    pin(None);
    table("a request of a whole run, every process of it (64 users, one worker)", &names, &cpu, &[]);
}

/// Measures the line reader on one core. Each line is its own journey, and its trigger is answered 1,000 lines later.
fn lines(size: Size) {
    let times = nanoseconds(size.sample.max(Duration::from_millis(20)), read);
    let (low, middle, high) = quartiles(&times);
    println!("\nthe line reader, on one core (lines of {} bytes, recorded, each a journey)", LINE.len());
    if size.counted > 0 && has_valgrind() {
        let count = |lines: u64| {
            let output = counted(&worker(&["read", &lines.to_string()])).output().expect("it runs");
            instructions(&output.stderr)
        };
        println!("  a line                      {:>9.0} instructions", (count(60_000) - count(20_000)) / 40_000.0);
    }
    println!("  a line                      {middle:>9.0} ns ({low:.0}–{high:.0})");
    println!("  in a second                 {:>9.2} million lines", 1e3 / middle);
}

/// Reads `lines` lines.
pub(crate) fn read(lines: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it starts");
    let sinks = sinks();
    sinks.outside.measure_from(Instant::now());
    let journeys = Arc::<OpenJourneys>::default();
    let reader = Reader::new("bench", &sinks, false, Arc::clone(&journeys), runtime.handle().clone());
    reader.read(Repeated { journeys, line: LINE.as_bytes().to_owned(), at: 0, number: 0, lines });
}

/// Reader of lines with different sequence IDs. Each trigger is answered 1,000 lines later.
struct Repeated {
    journeys: Arc<OpenJourneys>,
    line: Vec<u8>,
    at: usize,
    number: u64,
    lines: u64,
}

/// Position of the sequence ID in a line.
const ID: std::ops::Range<usize> = 15..51;

impl Repeated {
    /// Formats a number as a sequence ID. It must be cheap, because it is measured together with the reader.
    fn id(number: u64) -> [u8; 36] {
        let mut id = *b"2f0c26b1-6d3f-4c5e-9a86-000000000000";
        for (place, digit) in id.iter_mut().rev().take(12).enumerate() {
            *digit = b"0123456789abcdef"[(number >> (4 * place)) as usize & 15];
        }
        id
    }
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut filled = 0;
        // The capacity of a pipe.
        let buffer_length = buffer.len().min(64 << 10);
        while self.number < self.lines && filled < buffer_length {
            if self.at == 0 {
                self.line[ID].copy_from_slice(&Self::id(self.number));
                if let Some(answered) = self.number.checked_sub(1000) {
                    self.journeys.answered(std::str::from_utf8(&Self::id(answered)).expect("it is text"));
                }
            }
            let rest = &self.line[self.at..];
            let length = rest.len().min(buffer_length - filled);
            buffer[filled..filled + length].copy_from_slice(&rest[..length]);
            filled += length;
            self.at += length;
            if self.at == self.line.len() {
                (self.at, self.number) = (0, self.number + 1);
            }
        }
        Ok(filled)
    }
}
