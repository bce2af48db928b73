//! What golo tells the person who runs a load test: on stderr, never on stdout.

use std::{
    fmt::Display,
    io::{self, Write as _},
    sync::Mutex,
};

use indicatif::ProgressBar;

use crate::support::lock::lock;

/// Takes the cursor's line off a terminal.
const CLEAR: &[u8] = b"\r\x1b[2K";

/// What is to stay the last line of the terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes a line to stderr, in one piece: what a panic prints waits for nobody, and would come in between. A closed stderr
/// is nobody's concern: `eprintln!` would panic.
pub fn say(message: impl Display) {
    let line = format!("{message}\n");
    above(|| _ = io::stderr().write_all(line.as_bytes()));
}

/// Runs what `write`s on the terminal while the bar is not there.
pub(crate) fn above(write: impl FnOnce()) {
    let bar = lock(&BAR).clone();
    match bar {
        Some(bar) => bar.suspend(|| {
            // It draws nothing for a thread that panics, and so does not go away either.
            if std::thread::panicking() {
                let _ = io::stderr().write_all(CLEAR);
            }
            write();
        }),
        None => write(),
    }
}

/// From now on what is said appears above `bar`.
pub(crate) fn keep_below(bar: Option<ProgressBar>) {
    *lock(&BAR) = bar;
}

/// Writes all of `text` on stdout.
///
/// # Errors
///
/// Where that cannot be written, unless nobody wants to read it.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Who has closed stdout wants to read no more: the exit code says how it went.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
