//! What golo tells the person who runs a load test: on stderr, never on stdout.

use std::{fmt::Display, io::Write as _};

/// Writes a line to stderr, in one piece: what a panic prints waits for nobody, and would come in between. A closed stderr
/// is nobody's concern: `eprintln!` would panic.
pub(crate) fn say(message: impl Display) {
    let _ = std::io::stderr().write_all(format!("{message}\n").as_bytes());
}
