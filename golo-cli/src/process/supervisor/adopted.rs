//! Processes that a killed supervisor leaves, adopted by `golo`. Their parentage tells what they are: neither a session
//! of their own nor another environment hides them.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::net::UnixStream;
use tokio::process::Child;

use super::descendants;

/// Supervisors that this process has started. They are no adopted processes.
static SUPERVISORS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// The adopted processes of one supervisor: the children of this process that are no supervisors and were started after
/// this one. Older ones are children of the program that became `golo`, such as a shell.
#[derive(Debug)]
pub(super) struct Adopted {
    supervisor: i32,
    /// Start time of the supervisor, in clock ticks.
    since: u64,
}

impl Adopted {
    /// Makes this process the one that adopts, and starts a supervisor.
    ///
    /// # Errors
    ///
    /// Returns an error if `start` does, or if the system refuses.
    pub(super) fn of(
        start: impl FnOnce() -> io::Result<(Child, UnixStream)>,
    ) -> io::Result<((Child, UnixStream), Self)> {
        descendants::become_subreaper()?;
        // Locked until the ID is known: otherwise another supervisor's end could take this one for an adopted process.
        let mut supervisors = SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner);
        let started = start()?;
        let supervisor = started.0.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        supervisors.insert(supervisor);
        drop(supervisors);
        Ok((started, Self { supervisor, since: descendants::started(supervisor) }))
    }

    /// Kills the adopted processes. Returns whether there was one. Their children are adopted next.
    pub(super) fn kill(&self) -> bool {
        let supervisors = SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner);
        descendants::kill_adopted(self.since, &supervisors)
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.supervisor);
    }
}
