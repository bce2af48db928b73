//! Lines of the load tests that are spawned.

use std::{fmt::Display, io::Write as _};

/// Writes a line to stderr in one piece: what a panic prints waits for nobody, and would come in between.
pub fn tell(line: impl Display) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
