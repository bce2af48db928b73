//! What golo costs beside the bare thing, measured in one run: see `README.md` here.
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
mod compare;
mod line;
mod request;
mod trigger;

use std::time::Duration;

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    /// Interleaved rounds for CPU time.
    rounds: usize,
    /// Operations of a round.
    operations: u64,
    /// Operations under callgrind; none without.
    counted: u64,
}

const FULL: Size = Size { rounds: 11, operations: 30_000, counted: 3_000 };
/// To see that the benchmarks work: their figures mean nothing.
const SMOKE: Size = Size { rounds: 1, operations: 200, counted: 0 };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => all(FULL),
        ["--smoke"] => all(SMOKE),
        ["request"] => request::compare(FULL),
        ["trigger"] => trigger::compare(FULL),
        ["line"] => line::compare(Duration::from_millis(50), FULL),
        ["build"] => build::compare(),
        // What `compare` starts, once for each round.
        ["work", "target"] => request::target(),
        ["work", "request", what, operations, url] => request::work(what, operations.parse().expect("a number"), url),
        ["work", "serve", what] => trigger::serve(what),
        ["work", "call", operations, address] => trigger::call(operations.parse().expect("a number"), address),
        ["work", "line", what, operations] => line::work(what, operations.parse().expect("a number")),
        _ => {
            eprintln!("usage: golo-benches [--smoke | request | trigger | line | build]");
            std::process::exit(2);
        }
    }
}

fn all(size: Size) {
    request::compare(size);
    trigger::compare(size);
    line::compare(if size.counted > 0 { Duration::from_millis(50) } else { Duration::from_millis(1) }, size);
}
