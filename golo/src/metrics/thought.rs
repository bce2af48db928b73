//! Think time of a trigger: the time in which it pauses and measures nothing. Overlapping pauses count once.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::support::lock::lock;

#[derive(Default)]
pub(crate) struct Thought(Mutex<State>);

#[derive(Default)]
struct State {
    pauses: Overlapping,
    /// Pauses that have ended while another is still open. Sorted, without overlaps.
    ended: Vec<(Mark, Mark)>,
    /// Think time of all pauses before `ended`.
    total: Duration,
    measurements: Overlapping,
}

/// A time, and how long anything had been measured by then.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    at: Instant,
    measured: Duration,
}

/// Union of overlapping periods: the number of open ones, the start of the current union, and the length of earlier
/// ones.
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
    /// Returns the time in which the trigger paused and measured nothing. A pause that has not ended is not included,
    /// because a background task may hold it.
    pub(crate) fn total(&self) -> Duration {
        let state = self.state();
        state.total + length(&state.ended)
    }

    /// Returns [`total`](Self::total), and the time in which anything was measured until now.
    pub(crate) fn totals(&self) -> (Duration, Duration) {
        let state = self.state();
        let measurements = &state.measurements;
        // Most triggers have nothing open here, so reading the clock can be avoided.
        let measured = if measurements.open == 0 { measurements.before } else { measurements.until(Instant::now()) };
        (state.total + length(&state.ended), measured)
    }

    /// Starts a pause, which ends when the returned guard is dropped.
    pub(crate) fn pause(&self) -> Pause<'_> {
        let mut state = self.state();
        let now = Instant::now();
        state.pauses.begin(now);
        Pause { thought: self, started: state.mark(now) }
    }

    /// Starts a measurement at `now`.
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
    fn overlapping_pauses_count_once() {
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
    fn open_pause_does_not_hide_a_finished_one() {
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
    fn overlapping_measurements_count_once_and_open_ones_count_until_now() {
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
    fn measured_time_during_a_pause_is_not_think_time() {
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
