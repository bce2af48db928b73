//! Cost of golo compared with the bare libraries, measured in one run. See `README.md` in this folder.
//!
//! ```text
//! cargo run --release -p golo-benches
//! ```

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark prints, and stops where it cannot go on"
)]

mod build;
mod clock;
mod compare;
mod driven;
mod fleet;
mod hello;
mod http2;
mod idle;
mod lag;
mod line;
mod metrics;
mod outputs;
mod recorder;
mod request;
mod run;
mod scenarios;
mod starting;
mod trigger;

use std::{path::PathBuf, sync::OnceLock, time::Duration};

use hello::Hello;

const USAGE: &str =
    "usage: golo-benches [--smoke | request | run | scenarios | http2 | clock | recorder | metrics | outputs | starting | lag | idle | trigger | driven | fleet | line | build]
    [--url URL] [--hello PATH] [--yardstick PATH]";

/// Amount of work per measurement.
#[derive(Clone, Copy)]
struct Size {
    /// Number of interleaved rounds that measure CPU time.
    rounds: usize,
    /// Operations per round.
    operations: u64,
    /// Duration of a round for load tests that run by time.
    run: Duration,
    /// Duration of a sample, for operations that take nanoseconds.
    sample: Duration,
    /// Operations under callgrind; 0 if none are counted.
    counted: u64,
}

const FULL: Size = Size {
    rounds: 11,
    operations: 30_000,
    run: Duration::from_secs(2),
    sample: Duration::from_millis(50),
    counted: 3_000,
};
/// Checks only that the benchmarks work. The figures mean nothing.
const SMOKE: Size =
    Size { rounds: 1, operations: 200, run: Duration::from_millis(300), sample: Duration::from_millis(1), counted: 0 };

/// Programs and servers that are supplied instead of started here.
#[derive(Default)]
struct Options {
    /// URL of a target that already runs.
    url: Option<String>,
    /// Path of `hello`, built.
    hello: OnceLock<PathBuf>,
    /// Path of `httpyard`, built.
    yardstick: Option<String>,
}

impl Options {
    /// Returns the load test to run. Builds it on the first call, unless a path was set.
    fn hello(&self, url: &str) -> Hello {
        Hello::new(self.hello.get_or_init(hello::build).clone(), url)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().expect("a number");
    match arguments[..] {
        // Worker processes that `compare` starts, one per round.
        ["work", "target"] => compare::target(),
        ["work", "request", what, operations, url] => request::work(what, number(operations), url),
        ["work", "http2", operations, url] => http2::work(number(operations), url),
        ["work", "serve", what] => trigger::serve(what),
        ["work", "call", operations, address] => trigger::call(number(operations), address),
        ["work", "trigger", client, calls, address] => driven::trigger(client, number(calls), address),
        ["work", "read", lines] => driven::read(number(lines)),
        ["work", "line", what, operations] => line::work(what, number(operations)),
        ["work", "recorder", what, operations] => recorder::work(what, number(operations)),
        ["work", "metrics", what, operations] => metrics::work(what, number(operations)),
        _ => {
            let (topic, options) = read(&arguments).unwrap_or_else(|| {
                eprintln!("{USAGE}");
                std::process::exit(2);
            });
            measure(topic, &options);
        }
    }
}

/// Returns the topic and the options. Returns `None` if the arguments are invalid.
fn read<'a>(arguments: &[&'a str]) -> Option<(&'a str, Options)> {
    let mut topic = None;
    let mut options = Options::default();
    let mut arguments = arguments.iter().copied();
    while let Some(argument) = arguments.next() {
        match argument {
            "--url" => options.url = Some(arguments.next()?.to_owned()),
            "--hello" => _ = options.hello.set(PathBuf::from(arguments.next()?)),
            "--yardstick" => options.yardstick = Some(arguments.next()?.to_owned()),
            "--smoke" | "request" | "run" | "scenarios" | "http2" | "clock" | "recorder" | "metrics" | "outputs"
            | "starting" | "lag" | "idle" | "trigger" | "driven" | "fleet" | "line" | "build"
                if topic.is_none() =>
            {
                topic = Some(argument);
            }
            _ => return None,
        }
    }
    Some((topic.unwrap_or("all"), options))
}

fn measure(topic: &str, options: &Options) {
    match topic {
        "--smoke" => all(SMOKE, options),
        "request" => request::compare(FULL),
        "run" => run::compare(FULL, options),
        "scenarios" => scenarios::compare(FULL, options),
        "http2" => http2::compare(FULL, options),
        "clock" => clock::count(FULL, options),
        "recorder" => recorder::compare(FULL),
        "metrics" => metrics::compare(FULL),
        "outputs" => outputs::compare(FULL, options),
        "starting" => starting::measure(FULL, options),
        "lag" => lag::measure(FULL, options),
        "idle" => idle::compare_many(FULL, options),
        "trigger" => trigger::compare(FULL),
        "driven" => driven::compare(FULL, options),
        "fleet" => fleet::compare(FULL),
        "line" => line::compare(FULL),
        "build" => build::compare(),
        _ => all(FULL, options),
    }
}

fn all(size: Size, options: &Options) {
    request::compare(size);
    run::compare(size, options);
    scenarios::compare(size, options);
    http2::compare(size, options);
    clock::count(size, options);
    recorder::compare(size);
    metrics::compare(size);
    outputs::compare(size, options);
    starting::measure(size, options);
    lag::measure(size, options);
    idle::compare(size, options);
    trigger::compare(size);
    driven::compare(size, options);
    fleet::compare(size);
    line::compare(size);
}
