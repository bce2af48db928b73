//! The think time of a trigger: however its pauses overlap, each moment of them is left out once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

#[derive(Default)]
pub(crate) struct Thought(Mutex<Pauses>);

#[derive(Default)]
struct Pauses {
    /// How many have not ended.
    open: usize,
    /// Those that have ended, while another has not: in order, and apart.
    ended: Vec<(Instant, Instant)>,
    /// Of all before them.
    total: Duration,
}

impl Thought {
    /// Time in which anybody paused. A pause that has not ended is no part of it: nobody may be waiting for it.
    pub(crate) fn total(&self) -> Duration {
        let pauses = self.lock();
        pauses.total + length(&pauses.ended)
    }

    /// Begins a pause, which ends when what this gives is dropped.
    pub(crate) fn pause(&self) -> Pause<'_> {
        self.lock().open += 1;
        Pause { thought: self, started: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, Pauses> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Pause<'a> {
    thought: &'a Thought,
    started: Instant,
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let mut pauses = self.thought.lock();
        let mut started = self.started;
        while let Some((before, _)) = pauses.ended.pop_if(|(_, ended)| *ended >= started) {
            started = started.min(before);
        }
        pauses.ended.push((started, Instant::now()));
        pauses.open -= 1;
        if pauses.open == 0 {
            let ended = std::mem::take(&mut pauses.ended);
            pauses.total += length(&ended);
        }
    }
}

fn length(pauses: &[(Instant, Instant)]) -> Duration {
    pauses.iter().map(|(started, ended)| *ended - *started).sum()
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
        assert_eq!(thought.lock().ended, []);
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
}
