//! Notices if this process stood still: it was stopped by a signal, its machine was suspended, or it got no CPU time. Silence
//! of agents during that time says nothing about them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use golo::cli::TwoClocks;
use golo::report::duration;
use tokio::time::sleep;

/// Interval between looks at the clock.
const LOOK: Duration = Duration::from_millis(250);
/// Shortest time without a look that counts as standing still.
const STILL: Duration = Duration::from_secs(2);

/// Times at which this process stood still.
#[derive(Debug)]
pub struct Standstill(Mutex<State>);

#[derive(Debug)]
struct State {
    looked: TwoClocks,
    /// End of the last standstill.
    resumed: Option<Instant>,
    longest: Duration,
}

impl Default for Standstill {
    fn default() -> Self {
        Self(Mutex::new(State { looked: TwoClocks::now(), resumed: None, longest: Duration::ZERO }))
    }
}

impl Standstill {
    /// Looks at the clock from now on. Never returns.
    pub async fn watch(&self) {
        loop {
            self.look(TwoClocks::now());
            sleep(LOOK).await;
        }
    }

    fn look(&self, now: TwoClocks) -> Option<Instant> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = state.looked;
        let gap =
            now.at.saturating_duration_since(since.at).max(now.with_suspension.saturating_sub(since.with_suspension));
        if gap >= STILL {
            state.resumed = Some(now.at);
            state.longest = state.longest.max(gap);
        }
        state.looked = now;
        state.resumed
    }

    /// Returns the time since `then`, or since the end of the last standstill if that was later.
    #[must_use]
    pub fn awake_since(&self, then: Instant) -> Duration {
        let now = TwoClocks::now();
        let resumed = self.look(now);
        now.at.saturating_duration_since(resumed.map_or(then, |resumed| then.max(resumed)))
    }

    /// Returns why leases of this length ran out, if this process stood still for at least half of it.
    #[must_use]
    pub fn end_of_leases(&self, lease: Duration) -> Option<String> {
        self.look(TwoClocks::now());
        let longest = self.0.lock().unwrap_or_else(PoisonError::into_inner).longest;
        (longest >= lease / 2).then(|| {
            format!(
                "this process stood still for {} (it was stopped, or the machine was suspended), so the leases of its jobs \
                 ran out and the agents stopped their load",
                duration(longest)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(begun: TwoClocks, here: u64, with_suspension: u64) -> TwoClocks {
        let (here, with_suspension) = (Duration::from_millis(here), Duration::from_millis(with_suspension));
        TwoClocks { at: begun.at + here, with_suspension: begun.with_suspension + with_suspension }
    }

    #[test]
    fn gap_between_looks_is_a_standstill() {
        let standstill = Standstill::default();
        let begun = standstill.0.lock().unwrap().looked;
        for at in [250, 1_000, 2_900] {
            assert_eq!(standstill.look(after(begun, at, at)), None, "{at}");
        }
        let resumed = after(begun, 16_900, 16_900);
        assert_eq!(standstill.look(resumed), Some(resumed.at));
        assert_eq!(standstill.look(after(begun, 17_000, 17_000)), Some(resumed.at));
        assert_eq!(standstill.0.lock().unwrap().longest, Duration::from_secs(14));
    }

    #[test]
    fn suspension_of_the_machine_is_a_standstill() {
        let standstill = Standstill::default();
        let begun = standstill.0.lock().unwrap().looked;
        // The clock of the process did not run meanwhile.
        let resumed = after(begun, 300, 60_300);
        assert_eq!(standstill.look(resumed), Some(resumed.at));
        assert_eq!(standstill.0.lock().unwrap().longest, Duration::from_millis(60_300));
    }
}
