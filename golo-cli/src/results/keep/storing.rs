//! State of the storing of a run, shared by the thread that writes and the threads that wait for it.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use golo::cli::{is_in_hurry, say};

/// Time after which a wait looks whether it is to end.
const CHECK: Duration = Duration::from_millis(100);

/// State of the storing of a run.
#[derive(Debug, Default)]
pub(super) struct Storing {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Path of the database, once it is known.
    path: Option<PathBuf>,
    /// Reason why the last write failed, and the number of records that wait to be written. `None` if it succeeded.
    trouble: Option<(String, usize)>,
    end: Option<End>,
}

/// End of the storing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// All records are stored. `is_empty` is true if there were none.
    Stored { is_empty: bool },
    /// Records are missing, for this reason.
    Missing(String),
}

impl Storing {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if no more records are stored.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.lock().end, Some(End::Missing(_)))
    }

    /// Returns the path of the database, if it is known.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.lock().path.clone()
    }

    pub(super) fn set_path(&self, path: PathBuf) {
        self.lock().path = Some(path);
    }

    /// Records that a write has failed and is tried again with `waiting` records. Prints a warning if the write before
    /// succeeded.
    pub(super) fn retry(&self, reason: String, waiting: usize) {
        let mut state = self.lock();
        if state.trouble.is_none() && state.end.is_none() {
            say(format_args!("golo: warning: the results cannot be stored at the moment, retrying: {reason}"));
        }
        state.trouble = Some((reason, waiting));
    }

    /// Records that all records so far are written.
    pub(super) fn wrote(&self) {
        let mut state = self.lock();
        if state.trouble.take().is_some() && state.end.is_none() {
            say("golo: the results are stored again");
        }
    }

    /// Records the end. The first one counts; the loss of records is printed as a warning.
    pub(super) fn end(&self, end: End) {
        let mut state = self.lock();
        if state.end.is_none() {
            if let End::Missing(reason) = &end {
                say(format_args!(
                    "golo: warning: the results are not stored, or only in part: {reason}; `--no-keep` turns storing off"
                ));
            }
            state.end = Some(end);
            self.changed.notify_all();
        }
    }

    /// Waits for the end, at most for `patience`, and not longer after a signal. If it does not come, records are
    /// missing.
    pub(super) fn wait(&self, patience: Duration) -> End {
        let deadline = Instant::now() + patience;
        let mut state = self.lock();
        if state.trouble.is_some() && state.end.is_none() {
            let seconds = patience.as_secs();
            say(format_args!("golo: waiting at most {seconds} s for the results to be stored; Ctrl-C ends that"));
        }
        while state.end.is_none() && Instant::now() < deadline && !is_in_hurry() {
            state = self.changed.wait_timeout(state, CHECK).unwrap_or_else(PoisonError::into_inner).0;
        }
        let reason = match &state.trouble {
            Some((reason, waiting)) => {
                format!("{waiting} records with the end of the run could not be written: {reason}")
            }
            None => format!("the end of the run could not be written within {} s", patience.as_secs()),
        };
        drop(state);
        self.end(End::Missing(reason));
        // It has been set by now.
        self.lock().end.clone().unwrap_or(End::Stored { is_empty: true })
    }
}
