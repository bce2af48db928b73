//! Clock of one request: divides its duration into phases.

use std::time::{Duration, Instant};

use crate::Phases;
pub(crate) use crate::metrics::phases::Phase;

/// Adds each stretch of time to exactly one phase, so that the phases never overlap and are never negative. Time between
/// hops of a redirect belongs to the phase that ended last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PhaseClock {
    phases: Phases,
    phase: Phase,
    /// True if the request has waited in the phase `blocked`.
    has_waited: bool,
    /// Time from which `phase` has not been added yet.
    since: Instant,
}

impl PhaseClock {
    /// Starts a clock in the phase `blocked`.
    pub(crate) fn start(now: Instant) -> Self {
        Self { phases: Phases::default(), phase: Phase::Blocked, has_waited: false, since: now }
    }

    /// Ends the current phase now and begins another one.
    ///
    /// A request that did not wait was not blocked: the few instructions before its first phase belong to that phase,
    /// and the time need not be read.
    pub(crate) fn enter(&mut self, phase: Phase) {
        if self.phase == Phase::Blocked && !self.has_waited {
            self.phase = phase;
        } else if self.phase != phase {
            self.enter_at(phase, Instant::now());
        }
    }

    /// Begins to wait for a connection or a stream.
    pub(crate) fn wait(&mut self) {
        self.enter(Phase::Blocked);
        self.has_waited = true;
    }

    fn enter_at(&mut self, phase: Phase, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        *self.of(self.phase) += passed;
        (self.phase, self.since, self.has_waited) = (phase, now, false);
    }

    fn of(&mut self, phase: Phase) -> &mut Duration {
        let phases = &mut self.phases;
        match phase {
            Phase::Blocked => &mut phases.blocked,
            Phase::Dns => &mut phases.dns,
            Phase::Connecting => &mut phases.connecting,
            Phase::TlsHandshaking => &mut phases.tls_handshaking,
            Phase::Sending => &mut phases.sending,
            Phase::Waiting => &mut phases.waiting,
            Phase::Receiving => &mut phases.receiving,
        }
    }

    /// Returns the phases of a request that ended at `ended`.
    pub(crate) fn phases(&self, ended: Instant) -> Phases {
        let mut clock = *self;
        clock.enter_at(clock.phase, ended);
        clock.phases
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn phases_add_up_to_the_duration(steps in proptest::collection::vec((0_usize..7, 0_u64..1_000_000), 0..20), rest in 0_u64..1_000) {
            let started = Instant::now();
            let mut clock = PhaseClock::start(started);
            let mut now = started;
            for (phase, nanoseconds) in steps {
                now += Duration::from_nanos(nanoseconds);
                clock.enter_at(Phase::ALL[phase], now);
            }
            now += Duration::from_nanos(rest);
            prop_assert_eq!(clock.phases(now).total(), now - started);
        }
    }
}
