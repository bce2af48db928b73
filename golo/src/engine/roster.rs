//! The workers of an engine, with the state that each has last reported.

use std::time::Instant;

/// State of one worker, as known to the engine.
#[derive(Debug, Default)]
pub(super) struct Worker {
    pub(super) state: State,
    /// Number of seconds the worker has reported.
    pub(super) seconds: u64,
    pub(super) users: u64,
    /// Most connections that were open at once in the last second.
    pub(super) connections: u64,
}

/// Stage of a worker's life.
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

    /// Returns true if the worker's users have stopped.
    pub(super) fn has_stopped(&self) -> bool {
        matches!(self.state, State::Stopped(_)) || self.is_gone()
    }

    /// Returns true if the worker has nothing in flight.
    pub(super) fn has_drained(&self) -> bool {
        matches!(self.state, State::Drained(_)) || self.has_stopped()
    }

    /// Returns the time from which the worker had nothing in flight.
    pub(super) fn drained(&self) -> Option<Instant> {
        match self.state {
            State::Drained(at) | State::Stopped(at) => Some(at),
            _ => None,
        }
    }
}

/// All workers of an engine, indexed by their numbers.
#[derive(Debug)]
pub(super) struct Roster(Vec<Worker>);

impl Roster {
    /// Creates a roster of this many workers, all in the state `Preparing`.
    pub(super) fn of(workers: u64) -> Self {
        Self((0..workers).map(|_| Worker::default()).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get_mut(&mut self, number: usize) -> &mut Worker {
        &mut self.0[number]
    }

    /// Returns true if no worker will send anything more.
    pub(super) fn are_gone(&self) -> bool {
        self.0.iter().all(Worker::is_gone)
    }

    /// Returns true if `is_so` holds for every worker that is not gone.
    pub(super) fn are_all(&self, is_so: impl Fn(&Worker) -> bool) -> bool {
        self.0.iter().all(|worker| worker.is_gone() || is_so(worker))
    }

    /// Returns the number of users of all workers.
    pub(super) fn users(&self) -> u64 {
        self.0.iter().map(|worker| worker.users).sum()
    }

    /// Returns the most connections that were open at once in the last second, added over all workers.
    pub(super) fn connections(&self) -> u64 {
        self.0.iter().map(|worker| worker.connections).sum()
    }

    /// Returns the number of seconds that every working worker has reported, or `None` if no worker is working.
    pub(super) fn seconds(&self) -> Option<u64> {
        let working = self.0.iter().filter(|worker| matches!(worker.state, State::Preparing | State::Ready));
        working.map(|worker| worker.seconds).min()
    }

    /// Returns the time at which the last worker drained. Lost workers are left out, since their time is unknown.
    pub(super) fn drained(&self) -> Option<Instant> {
        self.0.iter().filter_map(Worker::drained).max()
    }

    /// Returns the reasons why workers were lost, one for each lost worker.
    pub(super) fn lost(&self) -> Vec<String> {
        let lost = self.0.iter().filter_map(|worker| match &worker.state {
            State::Lost(reason) => Some(reason.clone()),
            _ => None,
        });
        lost.collect()
    }

    /// Marks all workers that are not gone and for which `is_so` holds as lost.
    pub(super) fn give_up(&mut self, reason: &str, is_so: impl Fn(&Worker) -> bool) {
        for worker in self.0.iter_mut().filter(|worker| !worker.is_gone()) {
            if is_so(worker) {
                worker.state = State::Lost(reason.to_owned());
            }
        }
    }
}
