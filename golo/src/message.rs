//! What golo tells the person who runs a load test: on stderr, never on stdout.

use std::{fmt::Display, io::Write as _, sync::Mutex};

use indicatif::ProgressBar;

use crate::lock::lock;

/// What is to stay the last line of the terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes a line to stderr, in one piece: what a panic prints waits for nobody, and would come in between. A closed stderr
/// is nobody's concern: `eprintln!` would panic.
pub fn say(message: impl Display) {
    let line = format!("{message}\n");
    let write = || _ = std::io::stderr().write_all(line.as_bytes());
    let bar = lock(&BAR).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// From now on what is said appears above `bar`.
pub(crate) fn keep_below(bar: Option<ProgressBar>) {
    *lock(&BAR) = bar;
}
