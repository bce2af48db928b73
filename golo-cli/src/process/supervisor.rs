//! The supervisor: the small process between `golo` and a load test, that leaves nothing of it running however `golo` ends.
//!
//! ```text
//! golo ── golo supervise ── golo exec, which becomes the load test ── whatever that starts
//! ```
//!
//! `golo` starts itself again as `golo supervise` ([`Supervised::start`]), and that starts itself again as `golo exec`,
//! which becomes the load test. Supervisor and load test each lead a process group of their own: a terminal's Ctrl-C
//! reaches `golo` alone, which decides.
//!
//! | who dies | who notices | what happens |
//! |---|---|---|
//! | `golo` | the supervisor, whose socket is closed | SIGTERM, the grace, SIGKILL; then whatever has left the group |
//! | the load test | the supervisor, whose child it is | the same for what it left behind, and `golo` is told |
//! | the supervisor | the kernel (Linux), and `golo`, whose socket is closed | the load test gets SIGKILL from the kernel, its group and what bears its mark from `golo` |
//!
//! On Linux the supervisor is the subreaper of all that the load test starts, so that nothing gets away by leaving the
//! group, the session or its parent: it is done when the kernel says that it has no children. Elsewhere the group is all.
//!
//! # What they tell each other
//!
//! The supervisor's stdin is a socket whose other end `golo` alone holds. Over it go lines. `golo` says:
//!
//! | line | means |
//! |---|---|
//! | `stop` | SIGTERM now, SIGKILL after the grace; closing the socket says the same |
//! | `kill` | SIGKILL now |
//!
//! The supervisor says, in this order, and exits with 0 when nothing is left:
//!
//! | line | means |
//! |---|---|
//! | `group ID` | the load test's process and process group, before it is known whether it can run |
//! | `started`, or `refused STEP ERRNO` | whether it runs, or what it failed at: `folder`, `descriptors` or `program` |
//! | `exited CODE`, `signalled SIGNAL`, `killed` (after the grace), `cut` (by `kill`), or `memory BYTES` | how it ended; not said of one that was refused |
//!
//! `golo exec` has a pipe as its stdin, and writes `STEP ERRNO` there, in one piece, where it fails. The pipe is closed by
//! what succeeds: the `exec`. The load test's stdin is `/dev/null`; its stdout and its stderr are `golo`'s pipes, untouched.

mod binary;
mod descendants;
mod elf;
mod ended;
mod exec;
mod flags;
mod follower;
mod orders;
mod report;
mod start;
mod start_error;
mod stderr;
mod supervised;
mod watch;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

pub use binary::check;
pub use ended::Ended;
pub use exec::exec;
pub use start::Supervisor;
pub use start_error::StartError;
pub use supervised::{Limits, Program, Supervised};
pub use watch::supervise;

/// What the processes in between are called by their first argument.
const NAME: &str = "golo";
/// The hidden subcommand that is the supervisor.
const SUPERVISE: &str = "supervise";
/// The hidden subcommand that becomes the load test.
const EXEC: &str = "exec";

/// Answers the hidden subcommands, where `arguments` (without the program's own name) are one: to be asked first thing in
/// `main`, before there is a second thread.
#[must_use]
pub fn answer(arguments: &[OsString]) -> Option<ExitCode> {
    let (subcommand, rest) = arguments.split_first()?;
    match subcommand.to_str()? {
        SUPERVISE => Some(supervise(rest)),
        EXEC => Some(exec(rest)),
        _ => None,
    }
}

/// The running executable, even where another has taken its place on disk since.
fn own_executable() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

/// What the process is called in lists of processes: `/proc/self/exe` would be called `exe`.
fn call_itself(name: &str) {
    if cfg!(target_os = "linux") {
        _ = std::fs::write("/proc/self/comm", name);
    }
}

/// Says on stderr what keeps a hidden subcommand from its work. A closed stderr is nobody's concern.
fn say(subcommand: &str, message: impl std::fmt::Display) {
    _ = writeln!(io::stderr(), "golo {subcommand}: {message}");
}
