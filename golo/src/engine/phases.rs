//! Phases of requests, as one histogram for each.

use std::time::Duration;

use super::histogram::Histogram;
use crate::Phases;
use crate::metrics::output::nanoseconds;
pub use crate::metrics::phases::Phase;

/// Phases of many requests, in nanoseconds.
///
/// Each request has a sample of each of its phases. A phase that took no time, such as connecting if the connection was
/// reused, is a sample of zero. Most samples are zero, so zeros are not recorded; they are added when a
/// [distribution](Self::distribution) is read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MeasuredPhases {
    /// Number of requests whose phases are known.
    count: u64,
    /// Number of requests of which only the waiting time is known.
    only_waiting: u64,
    /// Samples above zero, in the order of [`Phase::ALL`].
    recorded: [Histogram; Phase::ALL.len()],
}

impl MeasuredPhases {
    /// Restores phases from their counts, and from the samples above zero in the order of [`Phase::ALL`].
    pub(crate) fn restored(count: u64, only_waiting: u64, recorded: [Histogram; Phase::ALL.len()]) -> Self {
        Self { count, only_waiting, recorded }
    }

    /// Records the phases of a request.
    pub fn record(&mut self, phases: &Phases) {
        let Phases { blocked, dns, connecting, tls_handshaking, sending, waiting, receiving } = *phases;
        let durations = [blocked, dns, connecting, tls_handshaking, sending, waiting, receiving];
        self.count = self.count.saturating_add(1);
        for (recorded, duration) in self.recorded.iter_mut().zip(durations) {
            if !duration.is_zero() {
                recorded.record(nanoseconds(duration));
            }
        }
    }

    /// Records the waiting time of a request whose other phases are unknown.
    pub fn record_waiting(&mut self, waiting: Duration) {
        self.only_waiting = self.only_waiting.saturating_add(1);
        if !waiting.is_zero() {
            self.recorded[Phase::Waiting as usize].record(nanoseconds(waiting));
        }
    }

    /// Adds the phases of other requests.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.only_waiting = self.only_waiting.saturating_add(other.only_waiting);
        for (recorded, more) in self.recorded.iter_mut().zip(&other.recorded) {
            recorded.merge(more);
        }
    }

    /// Removes all samples. Keeps a part of the memory for new ones.
    pub fn clear(&mut self) {
        (self.count, self.only_waiting) = (0, 0);
        self.recorded.iter_mut().for_each(Histogram::clear);
    }

    /// Drops the distributions of the samples. Their numbers and sums stay.
    pub fn keep_sums(&mut self) {
        self.recorded.iter_mut().for_each(Histogram::keep_figures);
    }

    /// Returns true if no request was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.only_waiting == 0
    }

    /// Returns the number of requests whose phases are known.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the number of requests of which only the waiting time is known.
    #[must_use]
    pub fn only_waiting(&self) -> u64 {
        self.only_waiting
    }

    /// Returns the number of samples of a phase, including zeros.
    #[must_use]
    pub fn samples(&self, phase: Phase) -> u64 {
        if phase == Phase::Waiting { self.count.saturating_add(self.only_waiting) } else { self.count }
    }

    /// Returns the samples of a phase that are above zero.
    #[must_use]
    pub fn recorded(&self, phase: Phase) -> &Histogram {
        &self.recorded[phase as usize]
    }

    /// Returns the number of samples of a phase that are zero.
    #[must_use]
    pub fn zeros(&self, phase: Phase) -> u64 {
        self.samples(phase).saturating_sub(self.recorded(phase).count())
    }

    /// Returns all samples of a phase, including zeros.
    #[must_use]
    pub fn distribution(&self, phase: Phase) -> Histogram {
        let mut all = self.recorded(phase).clone();
        all.record_n(0, self.zeros(phase));
        all
    }

    /// Returns the heap memory of the histograms, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.recorded.iter().map(Histogram::bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Generates the phases of a request, many of which are zero.
    fn phases() -> impl Strategy<Value = Phases> {
        let phase = || prop_oneof![Just(Duration::ZERO), (0..10_000_000_000_u64).prop_map(Duration::from_nanos)];
        (phase(), phase(), phase(), phase(), phase(), phase(), phase()).prop_map(
            |(blocked, dns, connecting, tls_handshaking, sending, waiting, receiving)| Phases {
                blocked,
                dns,
                connecting,
                tls_handshaking,
                sending,
                waiting,
                receiving,
            },
        )
    }

    fn of(requests: &[Phases]) -> MeasuredPhases {
        let mut measured = MeasuredPhases::default();
        requests.iter().for_each(|phases| measured.record(phases));
        measured
    }

    proptest! {
        #[test]
        fn zeros_are_samples_like_all_others(requests in prop::collection::vec(phases(), 0..700)) {
            let measured = of(&requests);
            let mut connecting = Histogram::new();
            requests.iter().for_each(|phases| connecting.record(nanoseconds(phases.connecting)));
            prop_assert_eq!(measured.distribution(Phase::Connecting), connecting);
            for phase in Phase::ALL {
                prop_assert_eq!(measured.distribution(phase).count(), requests.len() as u64);
            }
        }

        #[test]
        fn merging_is_addition(one in prop::collection::vec(phases(), 0..400), other in prop::collection::vec(phases(), 0..400)) {
            let mut merged = of(&one);
            merged.merge(&of(&other));
            prop_assert_eq!(merged, of(&[one, other].concat()));
        }
    }

    #[test]
    fn percentile_counts_reused_connections_as_zero() {
        let opened = Phases { connecting: Duration::from_nanos(300), ..Phases::default() };
        let mut requests = vec![Phases::default(); 96];
        requests.extend([opened; 4]);
        let connecting = of(&requests).distribution(Phase::Connecting);
        let quantiles = connecting.quantiles(&[0.0, 0.5, 0.95, 0.97, 1.0]);
        assert_eq!(quantiles, [0, 0, 0, 300, 300].map(Some));
        assert_eq!(connecting.mean(), Some(12.0));
    }

    #[test]
    fn only_waiting_time_of_another_client_is_known() {
        let mut measured = MeasuredPhases::default();
        measured.record_waiting(Duration::from_nanos(20));
        measured.record_waiting(Duration::ZERO);
        measured.record(&Phases { sending: Duration::from_nanos(5), ..Phases::default() });
        assert_eq!((measured.samples(Phase::Waiting), measured.samples(Phase::Sending)), (3, 1));
        let waiting = measured.distribution(Phase::Waiting);
        assert_eq!((waiting.count(), waiting.min(), waiting.max()), (3, Some(0), Some(20)));
        measured.clear();
        assert!(measured.is_empty() && measured == MeasuredPhases::default());
    }
}
