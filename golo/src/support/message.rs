//! Messages to the person who runs a load test. They go to stderr, never to stdout.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::Mutex;

use indicatif::ProgressBar;

use crate::support::lock::lock;

/// Clears the cursor's line of a terminal.
const CLEAR: &[u8] = b"\r\x1b[2K";

/// Progress bar that stays on the last line of the terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes a line to stderr with a single write, because the output of a panic takes no lock and could come between.
/// Ignores a closed stderr, which would make `eprintln!` panic.
pub fn say(message: impl Display) {
    let line = format!("{message}\n");
    above(|| _ = io::stderr().write_all(line.as_bytes()));
}

/// Runs `write` while the progress bar is hidden.
pub(crate) fn above(write: impl FnOnce()) {
    let bar = lock(&BAR).clone();
    match bar {
        Some(bar) => bar.suspend(|| {
            // The bar does not draw, and so does not hide, on a thread that panics.
            if std::thread::panicking() {
                let _ = io::stderr().write_all(CLEAR);
            }
            write();
        }),
        None => write(),
    }
}

/// Keeps `bar` below all messages from now on.
pub(crate) fn keep_below(bar: Option<ProgressBar>) {
    *lock(&BAR) = bar;
}

/// Writes all of `text` to stdout. Ignores a closed stdout.
///
/// # Errors
///
/// Returns an error if writing fails for another reason.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // The reader has closed stdout, and the exit code still reports the result.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
