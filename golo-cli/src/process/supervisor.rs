//! The supervisor: a small process between `golo` and a load test that leaves nothing of the load test running, however
//! `golo` ends.
//!
//! ```text
//! golo ── golo supervise ── golo exec, which becomes the load test ── its child processes
//! ```
//!
//! `golo` starts itself again as `golo supervise` ([`Supervised::start`]), and that starts itself again as `golo exec`,
//! which becomes the load test. Supervisor and load test each lead a process group of their own, so Ctrl-C in a
//! terminal reaches only `golo`, which decides what to do.
//!
//! | process that dies | noticed by | action |
//! |---|---|---|
//! | `golo` | the supervisor: its socket is closed | SIGTERM, the grace period, SIGKILL; then the same for processes that left the group |
//! | the load test | the supervisor: its child ended | the same for the remaining processes, and a report to `golo` |
//! | the supervisor | the kernel (Linux), and `golo`: its socket is closed | SIGKILL from the kernel for the load test, from `golo` for its group, the processes that bear its mark, and the processes that `golo` has adopted |
//!
//! On Linux the supervisor is the subreaper of all processes that the load test starts. None escapes by leaving the
//! group, the session or its parent: the supervisor ends when the kernel reports that it has no children. If it is
//! killed, `golo run` and `golo agent` are the next subreaper, and kill what they have adopted ([`Supervisor::adopting`]).
//! Elsewhere only the group is known.
//!
//! A supervisor that is stopped (SIGSTOP) continues with each order, because `golo` sends SIGCONT too. If it still does not
//! end 10 s after the grace period, `golo` kills it.
//!
//! # Messages between `golo` and the supervisor
//!
//! The supervisor's stdin is a socket; only `golo` holds the other end. Both send lines. `golo` sends:
//!
//! | line | meaning |
//! |---|---|
//! | `stop` | SIGTERM now, SIGKILL after the grace period; closing the socket means the same |
//! | `kill` | SIGKILL now |
//!
//! The supervisor sends, in this order, and exits with 0 when no process is left:
//!
//! | line | meaning |
//! |---|---|
//! | `group ID` | the load test's process and process group, sent before it is known whether it can run |
//! | `started`, or `refused STEP ERRNO` | the load test runs, or the step that failed: `folder`, `descriptors` or `program` |
//! | `stood MICROSECONDS` | it was stopped by a signal for so long, and runs again or has ended |
//! | `exited CODE`, `signalled SIGNAL`, `killed` (after the grace period), `cut` (by `kill`), or `memory BYTES` | how it ended; not sent after `refused` |
//!
//! `golo exec` has a pipe as its stdin and writes `STEP ERRNO` there, in one piece, if it fails. A successful `exec`
//! closes the pipe. The load test's stdin is `/dev/null`; its stdout and stderr are `golo`'s pipes, unchanged.

mod adopted;
mod binary;
mod descendants;
mod elf;
mod ended;
mod exec;
mod flags;
mod follower;
mod orders;
mod printable;
mod report;
mod start;
mod start_error;
mod stderr;
mod supervised;
mod watch;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

pub use binary::check;
pub use ended::Ended;
pub use exec::exec;
pub use start::Supervisor;
pub use start_error::StartError;
pub use supervised::{Limits, Program, Supervised};
pub use watch::supervise;

/// Name of the processes in between, as their argument 0.
const NAME: &str = "golo";
/// Hidden subcommand that runs the supervisor.
const SUPERVISE: &str = "supervise";
/// Hidden subcommand that becomes the load test.
const EXEC: &str = "exec";

/// Runs the hidden subcommand in `arguments` (without the program's own name), if there is one. Must be called first in
/// `main`, before a second thread exists.
#[must_use]
pub fn answer(arguments: &[OsString]) -> Option<ExitCode> {
    let (subcommand, rest) = arguments.split_first()?;
    match subcommand.to_str()? {
        SUPERVISE => Some(supervise(rest)),
        EXEC => Some(exec(rest)),
        _ => None,
    }
}

/// Returns the path of the running executable, even if the file on disk has been replaced.
fn own_executable() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

/// Sets the name in process lists, which would be `exe` after starting `/proc/self/exe`.
fn set_process_name(name: &str) {
    if cfg!(target_os = "linux") {
        _ = std::fs::write("/proc/self/comm", name);
    }
}

/// Prints an error of a hidden subcommand to stderr. A closed stderr is ignored.
fn say(subcommand: &str, message: impl std::fmt::Display) {
    _ = writeln!(io::stderr(), "golo {subcommand}: {message}");
}
