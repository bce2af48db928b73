//! The think time of a trigger: moments in which somebody pauses and nothing is measured, however they overlap.

use std::{
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use crate::support::lock::lock;

#[derive(Default)]
pub(crate) struct Thought(Mutex<State>);

#[derive(Default)]
struct State {
    pauses: Overlapping,
    /// Pauses that have ended, while another has not: in order, and apart.
    ended: Vec<(Mark, Mark)>,
    /// Of all before them.
    total: Duration,
    measurements: Overlapping,
}

/// A moment, and how long something had been measured by then.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    at: Instant,
    measured: Duration,
}

/// How many are open, since when any is, and how long any was before.
#[derive(Default)]
struct Overlapping {
    open: usize,
    since: Option<Instant>,
    before: Duration,
}

impl Overlapping {
    fn begin(&mut self, now: Instant) {
        self.open += 1;
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: Instant) {
        self.open -= 1;
        if self.open == 0 {
            self.before = self.until(now);
            self.since = None;
        }
    }

    fn until(&self, now: Instant) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

impl Thought {
    /// Time in which somebody paused and nothing was measured. A pause that has not ended is no part of it: nobody may
    /// be waiting for it.
    pub(crate) fn total(&self) -> Duration {
        let state = self.state();
        state.total + length(&state.ended)
    }

    /// [`total`](Self::total), and the time in which anything was measured until now.
    pub(crate) fn totals(&self) -> (Duration, Duration) {
        let state = self.state();
        let measurements = &state.measurements;
        // Most triggers have nothing open any more, and then the clock need not be read.
        let measured = if measurements.open == 0 { measurements.before } else { measurements.until(Instant::now()) };
        (state.total + length(&state.ended), measured)
    }

    /// Begins a pause, which ends when what this gives is dropped.
    pub(crate) fn pause(&self) -> Pause<'_> {
        let mut state = self.state();
        let now = Instant::now();
        state.pauses.begin(now);
        Pause { thought: self, started: state.mark(now) }
    }

    /// Something is measured from `now` on.
    pub(crate) fn begin_measurement(&self, now: Instant) {
        self.state().measurements.begin(now);
    }

    pub(crate) fn end_measurement(&self, now: Instant) {
        self.state().measurements.end(now);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    fn mark(&self, at: Instant) -> Mark {
        Mark { at, measured: self.measurements.until(at) }
    }
}

pub(crate) struct Pause<'a> {
    thought: &'a Thought,
    started: Mark,
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let mut state = self.thought.state();
        let mut started = self.started;
        while let Some((before, _)) = state.ended.pop_if(|(_, ended)| ended.at >= started.at) {
            if before.at < started.at {
                started = before;
            }
        }
        let now = Instant::now();
        let ended = state.mark(now);
        state.ended.push((started, ended));
        state.pauses.end(now);
        if state.pauses.open == 0 {
            let ended = std::mem::take(&mut state.ended);
            state.total += length(&ended);
        }
    }
}

fn length(pauses: &[(Mark, Mark)]) -> Duration {
    let alone =
        |(started, ended): &(Mark, Mark)| (ended.at - started.at).saturating_sub(ended.measured - started.measured);
    pauses.iter().map(alone).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(20);

    #[test]
    fn a_moment_counts_once() {
        let thought = Thought::default();
        let started = Instant::now();
        let outer = thought.pause();
        for _ in 0..3 {
            let inner = [thought.pause(), thought.pause()];
            std::thread::sleep(LONG);
            drop(inner);
        }
        assert!(thought.total() >= LONG * 3 && thought.total() <= started.elapsed());
        drop(outer);
        assert!(thought.total() >= LONG * 3 && thought.total() <= started.elapsed());
        assert_eq!(thought.state().ended, []);
    }

    #[test]
    fn a_pause_that_has_not_ended_hides_no_other() {
        let thought = Thought::default();
        let _background = thought.pause();
        std::thread::sleep(LONG);
        assert_eq!(thought.total(), Duration::ZERO);
        let foreground = thought.pause();
        std::thread::sleep(LONG);
        drop(foreground);
        assert!(thought.total() >= LONG);
    }

    #[test]
    fn measurements_that_overlap_count_once_and_open_ones_until_now() {
        let thought = Thought::default();
        let before = Instant::now();
        thought.begin_measurement(before);
        thought.begin_measurement(before + LONG);
        thought.end_measurement(before + 2 * LONG);
        thought.end_measurement(before + 3 * LONG);
        assert_eq!(thought.totals(), (Duration::ZERO, 3 * LONG));
        thought.begin_measurement(Instant::now());
        std::thread::sleep(LONG);
        assert!(thought.totals().1 >= 4 * LONG);
    }

    #[test]
    fn what_is_measured_meanwhile_is_no_thought() {
        let thought = Thought::default();
        let before = Instant::now();
        let pause = thought.pause();
        std::thread::sleep(LONG);
        let measured = Instant::now();
        thought.begin_measurement(measured);
        std::thread::sleep(LONG);
        thought.begin_measurement(Instant::now());
        std::thread::sleep(LONG);
        thought.end_measurement(Instant::now());
        let ended = Instant::now();
        thought.end_measurement(ended);
        drop(pause);
        let all = before.elapsed();
        assert!(thought.total() >= LONG && thought.total() <= all - (ended - measured));
    }
}
