//! `golo exec`: becomes the load test. A process must set its limits and its parent-death signal itself.

use golo::cli::Exit;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getppid, getrlimit, setrlimit};

use super::flags::Flags;
use super::report::{Refusal, Step};
use super::{EXEC, say};

/// Number of attempts, and their interval, to run a program that is still open for writing: a process that was forked
/// while the file was written keeps it open until its own `exec`.
const BUSY: (u32, Duration) = (100, Duration::from_millis(10));

/// Becomes the load test, or writes the reason why it cannot to the pipe that is its stdin.
#[must_use]
pub fn exec(arguments: &[OsString]) -> ExitCode {
    let flags = match Flags::parse(arguments) {
        Ok(flags) => flags,
        Err(wrong) => {
            say(EXEC, wrong);
            return Exit::BadConfiguration.into();
        }
    };
    // `exec` closes this duplicate, and the end of the pipe reports success.
    let Ok(pipe) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    if let Some(refusal) = attempt(&flags) {
        // In one write, because the reader reads once.
        _ = File::from(pipe).write_all(refusal.to_string().as_bytes());
    }
    ExitCode::FAILURE
}

/// Becomes the load test. Returns only if that fails; returns `None` if the supervisor is dead.
fn attempt(flags: &Flags) -> Option<Refusal> {
    die_with(flags.supervisor)?;
    match prepare(flags) {
        Ok(null) => Some(Refusal::new(Step::Program, &become_program(flags, null))),
        Err(refusal) => Some(refusal),
    }
}

/// Makes the kernel kill this process, and the program that it becomes, when the supervisor dies. Returns `None` if the
/// supervisor is dead already.
fn die_with(supervisor: Option<u32>) -> Option<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
    let parent = getppid()?.as_raw_pid();
    supervisor.is_none_or(|id| u32::try_from(parent) == Ok(id)).then_some(())
}

/// Sets folder and limits. Opens the program's stdin first, before the limit may leave no descriptor for it.
fn prepare(flags: &Flags) -> Result<File, Refusal> {
    let null = File::open("/dev/null").map_err(|error| Refusal::new(Step::Program, &error))?;
    if let Some(folder) = &flags.folder {
        std::env::set_current_dir(folder).map_err(|error| Refusal::new(Step::Folder, &error))?;
    }
    if let Some(most) = flags.descriptors {
        limit_descriptors(most).map_err(|error| Refusal::new(Step::Descriptors, &error))?;
    }
    Ok(null)
}

/// Limits the number of open descriptors, to no more than the current maximum.
fn limit_descriptors(most: u64) -> io::Result<()> {
    let most = getrlimit(Resource::Nofile).maximum.map_or(most, |maximum| maximum.min(most));
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Executes the program. Returns only if that fails.
fn become_program(flags: &Flags, null: File) -> io::Error {
    let mut command = Command::new(&flags.program);
    command.args(&flags.arguments).stdin(Stdio::from(null));
    let (times, apart) = BUSY;
    let mut tried = 0;
    loop {
        let error = command.exec();
        tried += 1;
        if error.kind() != io::ErrorKind::ExecutableFileBusy || tried == times {
            return error;
        }
        thread::sleep(apart);
    }
}
