//! The data of a run that are compared: its whole seconds, one by one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use golo::engine::Progress;
use golo::engine::histogram::Histogram;
use golo::engine::series::{Label, Outcome, TagPairs};
use golo::engine::tags::Tags;

use super::bootstrap::Series;
use super::{metrics, tags};

/// Percentiles that are compared.
pub(super) const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999)];

/// A run, second by second.
#[derive(Debug, Default)]
pub struct Seconds {
    seconds: Vec<Second>,
    until: Duration,
    /// Number of each route, by its label without tags.
    routes: BTreeMap<Label, u32>,
    /// Tags of all seconds.
    tags: Tags,
}

/// Data of a second.
#[derive(Debug)]
struct Second {
    /// Time from the start of the run to the end of this second.
    until: Duration,
    /// Length of the second; more than 1 s if a worker was late.
    length: Duration,
    iterations: u64,
    requests: Requests,
    /// Requests by the number of their route, in ascending order.
    routes: Box<[(u32, Requests)]>,
    tags: tags::Second,
    metrics: metrics::Second,
}

/// Requests of a second.
#[derive(Debug, Clone, Copy, Default)]
struct Requests {
    count: u64,
    failed: u64,
    /// [`QUANTILES`] of the durations, in nanoseconds; zero if there are no requests.
    quantiles: [u64; QUANTILES.len()],
}

/// Series of requests: rate per second, share of failures, and each percentile.
pub(super) struct RequestSeries {
    pub(super) rate: Series,
    pub(super) failed: Series,
    pub(super) quantiles: Vec<Series>,
}

impl Seconds {
    /// Appends the next second.
    pub fn add(&mut self, progress: &Progress) {
        let mut all = Measured::default();
        let mut routes: BTreeMap<(&str, &str, &str), (&Label, Measured<'_>)> = BTreeMap::new();
        for (series, measure) in &progress.second.requests {
            if series.outcome == Outcome::Interrupted {
                continue;
            }
            let failed = if series.outcome.is_failed() { measure.durations.count() } else { 0 };
            // Requests of one route may have different tags.
            let (_, route) =
                routes.entry(series.label.target()).or_insert_with(|| (&*series.label, Measured::default()));
            route.add(&measure.durations, failed);
            if !series.is_step() {
                all.add(&measure.durations, failed);
            }
        }
        let length = progress.elapsed.saturating_sub(self.until);
        let routes = routes.into_values().map(|(label, measured)| (self.route(label), measured.into()));
        let mut routes: Box<[_]> = routes.collect();
        routes.sort_unstable_by_key(|(route, _)| *route);
        self.seconds.push(Second {
            until: progress.elapsed,
            length,
            iterations: progress.second.triggers.done,
            requests: all.into(),
            tags: tags::second(&progress.second.tags),
            metrics: metrics::second(&progress.second.metrics, length),
            routes,
        });
        self.until = self.until.max(progress.elapsed);
        self.tags.merge(&progress.second.tags);
    }

    /// Returns the number of a route.
    fn route(&mut self, label: &Label) -> u32 {
        if label.tags.is_empty()
            && let Some(known) = self.routes.get(label)
        {
            return *known;
        }
        let label = label.clone().with_tags(TagPairs::default());
        let next = self.routes.len() as u32;
        *self.routes.entry(label).or_insert(next)
    }

    /// Removes the seconds that do not count: the first, in which connections are opened, and those that end after
    /// `load_time`, the time during which triggers are started.
    pub fn keep_whole(&mut self, load_time: Duration) {
        let mut number = 0_usize;
        self.seconds.retain(|second| {
            number += 1;
            number > 1 && second.until <= load_time && !second.length.is_zero()
        });
    }

    /// Returns the number of seconds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seconds.len()
    }

    /// True if there are no seconds.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }

    /// Returns the labels of all requests, sorted and without duplicates.
    pub(super) fn labels(&self) -> Vec<&Label> {
        let mut occurs = vec![false; self.routes.len()];
        for (route, _) in self.seconds.iter().flat_map(|second| &*second.routes) {
            occurs[*route as usize] = true;
        }
        self.routes.iter().filter(|(_, route)| occurs[**route as usize]).map(|(label, _)| label).collect()
    }

    /// Returns the number of ended triggers per second.
    pub(super) fn iterations(&self) -> Series {
        self.seconds.iter().map(|second| (second.iterations as f64, second.length.as_secs_f64())).collect()
    }

    /// Returns the subjects of comparison in the tags.
    pub(super) fn tags(&self) -> Vec<tags::Subject> {
        tags::subjects(&self.tags)
    }

    /// Returns the series of a tag.
    pub(super) fn tag(&self, subject: &tags::Subject) -> Vec<(&'static str, Series)> {
        subject.series(self.seconds.iter().map(|second| &second.tags))
    }

    /// Returns the metrics of the load test's own, and the groups.
    pub(super) fn metrics(&self) -> BTreeSet<metrics::Subject> {
        self.seconds.iter().flat_map(|second| second.metrics.keys().cloned()).collect()
    }

    /// Returns the series of a metric, one for each of its figures.
    pub(super) fn metric(&self, subject: &metrics::Subject) -> Vec<Series> {
        let seconds = self.seconds.iter().map(|second| (&second.metrics, second.length));
        subject.series(seconds)
    }

    /// Returns the series of one route, or of all requests.
    pub(super) fn requests(&self, label: Option<&Label>) -> RequestSeries {
        let route = label.map(|label| self.routes.get(label));
        let of = |second: &Second| match route {
            None => second.requests,
            Some(route) => {
                let at = route.and_then(|route| second.routes.binary_search_by_key(route, |(route, _)| *route).ok());
                at.map_or_else(Requests::default, |at| second.routes[at].1)
            }
        };
        let seconds: Vec<_> = self.seconds.iter().map(|second| (second.length.as_secs_f64(), of(second))).collect();
        let quantile = |at: usize| {
            let pair = |requests: &Requests| match requests.count {
                0 => (0.0, 0.0),
                _ => (requests.quantiles[at] as f64, 1.0),
            };
            seconds.iter().map(|(_, requests)| pair(requests)).collect()
        };
        RequestSeries {
            rate: seconds.iter().map(|(length, requests)| (requests.count as f64, *length)).collect(),
            failed: seconds.iter().map(|(_, requests)| (requests.failed as f64, requests.count as f64)).collect(),
            quantiles: (0..QUANTILES.len()).map(quantile).collect(),
        }
    }
}

/// Durations of several series, copied only if there is more than one.
#[derive(Default)]
struct Measured<'a> {
    durations: Option<Cow<'a, Histogram>>,
    failed: u64,
}

impl<'a> Measured<'a> {
    fn add(&mut self, durations: &'a Histogram, failed: u64) {
        match &mut self.durations {
            Some(known) => known.to_mut().merge(durations),
            None => self.durations = Some(Cow::Borrowed(durations)),
        }
        self.failed += failed;
    }
}

impl From<Measured<'_>> for Requests {
    fn from(Measured { durations, failed }: Measured<'_>) -> Self {
        let durations = durations.unwrap_or_default();
        let known = durations.quantiles(&QUANTILES.map(|(_, quantile)| quantile));
        let quantiles = std::array::from_fn(|at| known.get(at).copied().flatten().unwrap_or_default());
        Self { count: durations.count(), failed, quantiles }
    }
}
