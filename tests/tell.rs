//! Lines printed by the load tests that these tests start.

use std::{fmt::Display, io::Write as _};

/// Writes a line to stderr in a single call, so that the output of a panic cannot come in between.
pub fn tell(line: impl Display) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
