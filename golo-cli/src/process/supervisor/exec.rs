//! `golo exec`: what becomes the load test. Only from within a process can its limits and its death signal be set.

use golo::cli::Exit;
use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    process::{Command, ExitCode, Stdio},
    thread,
    time::Duration,
};

use rustix::process::{Resource, Rlimit, getppid, getrlimit, setrlimit};

use super::{
    EXEC,
    flags::Flags,
    report::{Refusal, Step},
    say,
};

/// How often, and how far apart, a program is tried that somebody still holds open for writing: a process that was started
/// while the file was written holds it until its own `exec`.
const BUSY: (u32, Duration) = (100, Duration::from_millis(10));

/// Becomes the load test, or says on the pipe that is its stdin why it cannot.
#[must_use]
pub fn exec(arguments: &[OsString]) -> ExitCode {
    let flags = match Flags::parse(arguments) {
        Ok(flags) => flags,
        Err(wrong) => {
            say(EXEC, wrong);
            return Exit::BadConfiguration.into();
        }
    };
    // A duplicate that is closed by `exec`: its end says that all went well.
    let Ok(pipe) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
    if let Some(refusal) = attempt(&flags) {
        // In one piece, as it is read.
        _ = File::from(pipe).write_all(refusal.to_string().as_bytes());
    }
    ExitCode::FAILURE
}

/// Returns only where it fails: without a reason where nobody is left to be told.
fn attempt(flags: &Flags) -> Option<Refusal> {
    die_with(flags.supervisor)?;
    match prepare(flags) {
        Ok(null) => Some(Refusal::new(Step::Program, &become_program(flags, null))),
        Err(refusal) => Some(refusal),
    }
}

/// From now on the supervisor's death is this process's, and that of the program it becomes. Nothing, where the supervisor
/// is dead by now.
fn die_with(supervisor: Option<u32>) -> Option<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
    let parent = getppid()?.as_raw_pid();
    supervisor.is_none_or(|id| u32::try_from(parent) == Ok(id)).then_some(())
}

/// Sets folder and limits. What the program's stdin will be is opened before there may be no descriptor left for it.
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

/// No more than `most`, and no more than were allowed before.
fn limit_descriptors(most: u64) -> io::Result<()> {
    let most = getrlimit(Resource::Nofile).maximum.map_or(most, |maximum| maximum.min(most));
    Ok(setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Returns only where it fails.
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
