//! The pulse of this process: a thread that only sleeps, and so finds out that the process stood still.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{io, thread};

use crate::engine::standstill::Pause;
use crate::support::clock::TwoClocks;
use crate::support::lock::lock;

/// Time between two beats.
const BEAT: Duration = Duration::from_millis(100);

/// The pauses of this process since this value was created. Dropping it ends its thread.
pub(super) struct Pulse {
    beats: Arc<Mutex<Beats>>,
    _ends: mpsc::Sender<()>,
}

impl Pulse {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start another thread.
    pub(super) fn start() -> io::Result<Self> {
        let beats = Arc::new(Mutex::new(Beats { last: TwoClocks::now(), pauses: Vec::new() }));
        let (ends, end) = mpsc::channel();
        let beating = Arc::clone(&beats);
        thread::Builder::new().name("golo-pulse".to_owned()).spawn(move || {
            while end.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                lock(&beating).beat(TwoClocks::now());
            }
        })?;
        Ok(Self { beats, _ends: ends })
    }

    /// Returns the pauses so far, in the order of their ends.
    pub(super) fn pauses(&self) -> Vec<Pause> {
        let mut beats = lock(&self.beats);
        // After a pause, this thread may run before the other one.
        beats.beat(TwoClocks::now());
        beats.pauses.clone()
    }
}

struct Beats {
    last: TwoClocks,
    pauses: Vec<Pause>,
}

impl Beats {
    /// Records a beat, and a pause if it comes late.
    fn beat(&mut self, now: TwoClocks) {
        let late = now.with_suspension.saturating_sub(self.last.with_suspension + BEAT);
        let seen = now.at.saturating_duration_since(self.last.at + BEAT);
        self.pauses.extend(Pause::new(now.at, late, seen));
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn late_beat_is_a_pause() {
        let (start, ran) = (Instant::now(), 100 * SECOND);
        let beat =
            |at: Duration, suspended: Duration| TwoClocks { at: start + at, with_suspension: ran + at + suspended };
        let mut beats = Beats { last: beat(Duration::ZERO, Duration::ZERO), pauses: Vec::new() };
        beats.beat(beat(BEAT, Duration::ZERO));
        beats.beat(beat(BEAT + BEAT / 2, Duration::ZERO));
        assert_eq!(beats.pauses, [], "on time, and early");
        beats.beat(beat(5 * SECOND, Duration::ZERO));
        let stopped = 5 * SECOND - BEAT * 5 / 2;
        assert_eq!(beats.pauses, [Pause::new(start + 5 * SECOND, stopped, stopped).unwrap()]);
        beats.beat(beat(5 * SECOND + BEAT, 60 * SECOND));
        let suspended = Pause::new(start + 5 * SECOND + BEAT, 60 * SECOND, Duration::ZERO).unwrap();
        assert_eq!(beats.pauses[1..], [suspended], "the machine was suspended");
    }
}
