//! What golo tells the person who runs a load test: on stderr, never on stdout.

use std::{fmt::Display, io::Write as _};

/// Writes a line to stderr. A closed stderr is nobody's concern: `eprintln!` would panic.
pub(crate) fn say(message: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{message}");
}
