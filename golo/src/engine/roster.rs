//! The workers as the engine sees them: where each is, by what it has said.

use std::time::Instant;

/// A worker.
#[derive(Debug, Default)]
pub(super) struct Worker {
    pub(super) state: State,
    /// Seconds it has told of.
    pub(super) seconds: u64,
    pub(super) users: u64,
}

/// Where a worker is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Preparing,
    Ready,
    Drained(Instant),
    Stopped(Instant),
    Ended,
    Failed,
    Lost(String),
}

impl Worker {
    fn is_gone(&self) -> bool {
        matches!(self.state, State::Ended | State::Failed | State::Lost(_))
    }

    /// Whether its users have stopped.
    pub(super) fn has_stopped(&self) -> bool {
        matches!(self.state, State::Stopped(_)) || self.is_gone()
    }

    /// Whether it has nothing in flight.
    pub(super) fn has_drained(&self) -> bool {
        matches!(self.state, State::Drained(_)) || self.has_stopped()
    }

    /// Since when it has had nothing in flight.
    pub(super) fn drained(&self) -> Option<Instant> {
        match self.state {
            State::Drained(at) | State::Stopped(at) => Some(at),
            _ => None,
        }
    }
}

/// All workers of an engine, by their numbers.
#[derive(Debug)]
pub(super) struct Roster(Vec<Worker>);

impl Roster {
    /// So many, of whom nothing has been heard.
    pub(super) fn of(workers: u64) -> Self {
        Self((0..workers).map(|_| Worker::default()).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get_mut(&mut self, number: usize) -> &mut Worker {
        &mut self.0[number]
    }

    /// Whether nothing more comes from any.
    pub(super) fn are_gone(&self) -> bool {
        self.0.iter().all(Worker::is_gone)
    }

    /// Whether this is so of every worker that is still there.
    pub(super) fn are_all(&self, is_so: impl Fn(&Worker) -> bool) -> bool {
        self.0.iter().all(|worker| worker.is_gone() || is_so(worker))
    }

    /// How many users they have.
    pub(super) fn users(&self) -> u64 {
        self.0.iter().map(|worker| worker.users).sum()
    }

    /// How many seconds all have told of that are at work; nothing where none is.
    pub(super) fn seconds(&self) -> Option<u64> {
        let working = self.0.iter().filter(|worker| matches!(worker.state, State::Preparing | State::Ready));
        working.map(|worker| worker.seconds).min()
    }

    /// When the last of them had nothing in flight any more. Of those that are lost nobody knows it.
    pub(super) fn drained(&self) -> Option<Instant> {
        self.0.iter().filter_map(Worker::drained).max()
    }

    /// Why those are lost that are.
    pub(super) fn lost(&self) -> Vec<String> {
        let lost = self.0.iter().filter_map(|worker| match &worker.state {
            State::Lost(reason) => Some(reason.clone()),
            _ => None,
        });
        lost.collect()
    }

    /// Gives up those that are still there and of which this is so.
    pub(super) fn give_up(&mut self, reason: &str, is_so: impl Fn(&Worker) -> bool) {
        for worker in self.0.iter_mut().filter(|worker| !worker.is_gone()) {
            if is_so(worker) {
                worker.state = State::Lost(reason.to_owned());
            }
        }
    }
}
