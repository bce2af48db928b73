//! What is compared of a run: its whole seconds, one by one.

use std::{collections::BTreeMap, time::Duration};

use golo::engine::{
    Progress,
    histogram::Histogram,
    series::{Label, Outcome},
    tags::Tags,
};

use super::{bootstrap::Series, tags};

/// The percentiles that are compared.
pub(super) const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];

/// A run by the second.
#[derive(Debug, Default)]
pub struct Seconds {
    seconds: Vec<Second>,
    until: Duration,
    /// The tags of all of them.
    tags: Tags,
}

/// What was measured in a second.
#[derive(Debug)]
struct Second {
    /// How much of the run was over at its end.
    until: Duration,
    /// How long it was: longer where a worker was late.
    length: Duration,
    iterations: u64,
    requests: Requests,
    routes: BTreeMap<Label, Requests>,
    tags: tags::Second,
}

/// The requests of a second.
#[derive(Debug, Clone, Default)]
struct Requests {
    count: u64,
    failed: u64,
    quantiles: Vec<Option<u64>>,
}

/// The metrics of requests: how many a second, the share that failed, and each percentile.
pub(super) struct RequestSeries {
    pub(super) rate: Series,
    pub(super) failed: Series,
    pub(super) quantiles: Vec<Series>,
}

impl Seconds {
    /// Adds the next.
    pub fn add(&mut self, progress: &Progress) {
        let mut all = Measured::default();
        let mut routes: BTreeMap<&Label, Measured> = BTreeMap::new();
        for (series, measure) in &progress.second.requests {
            if series.outcome == Outcome::Interrupted {
                continue;
            }
            let failed = if series.outcome.is_failed() { measure.durations.count() } else { 0 };
            routes.entry(&series.label).or_default().add(&measure.durations, failed);
            if !series.is_step() {
                all.add(&measure.durations, failed);
            }
        }
        self.seconds.push(Second {
            until: progress.elapsed,
            length: progress.elapsed.saturating_sub(self.until),
            iterations: progress.second.triggers.done,
            requests: all.into(),
            tags: tags::second(&progress.second.tags),
            routes: routes.into_iter().map(|(label, measured)| (label.clone(), measured.into())).collect(),
        });
        self.until = self.until.max(progress.elapsed);
        self.tags.merge(&progress.second.tags);
    }

    /// Leaves out what does not count: the first second, in which connections are made, and whatever comes after starts were
    /// made for so long.
    pub fn keep_whole(&mut self, load_time: Duration) {
        let mut number = 0_usize;
        self.seconds.retain(|second| {
            number += 1;
            number > 1 && second.until <= load_time && !second.length.is_zero()
        });
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seconds.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }

    /// What was requested in any of them.
    pub(super) fn labels(&self) -> Vec<&Label> {
        let mut labels: Vec<_> = self.seconds.iter().flat_map(|second| second.routes.keys()).collect();
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// The triggers that ended, a second.
    pub(super) fn iterations(&self) -> Series {
        self.seconds.iter().map(|second| (second.iterations as f64, second.length.as_secs_f64())).collect()
    }

    /// What may be compared of its triggers' tags.
    pub(super) fn tags(&self) -> Vec<tags::Subject> {
        tags::subjects(&self.tags)
    }

    /// What was measured of a tag each second.
    pub(super) fn tag(&self, subject: &tags::Subject) -> Vec<(&'static str, Series)> {
        subject.series(self.seconds.iter().map(|second| &second.tags))
    }

    /// The requests of a route, or all.
    pub(super) fn requests(&self, label: Option<&Label>) -> RequestSeries {
        let none = Requests::default();
        let of = |second: &Second| -> Requests {
            match label {
                Some(label) => second.routes.get(label).unwrap_or(&none).clone(),
                None => second.requests.clone(),
            }
        };
        let seconds: Vec<_> = self.seconds.iter().map(|second| (second.length.as_secs_f64(), of(second))).collect();
        let quantile = |at: usize| {
            let quantile = |requests: &Requests| requests.quantiles.get(at).copied().flatten();
            seconds
                .iter()
                .map(|(_, requests)| quantile(requests).map_or((0.0, 0.0), |nanos| (nanos as f64, 1.0)))
                .collect()
        };
        RequestSeries {
            rate: seconds.iter().map(|(length, requests)| (requests.count as f64, *length)).collect(),
            failed: seconds.iter().map(|(_, requests)| (requests.failed as f64, requests.count as f64)).collect(),
            quantiles: (0..QUANTILES.len()).map(quantile).collect(),
        }
    }
}

#[derive(Default)]
struct Measured {
    durations: Histogram,
    failed: u64,
}

impl Measured {
    fn add(&mut self, durations: &Histogram, failed: u64) {
        self.durations.merge(durations);
        self.failed += failed;
    }
}

impl From<Measured> for Requests {
    fn from(Measured { durations, failed }: Measured) -> Self {
        let quantiles = durations.quantiles(&QUANTILES.map(|(_, quantile)| quantile));
        Self { count: durations.count(), failed, quantiles }
    }
}
