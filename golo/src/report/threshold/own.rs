//! Thresholds on what the load test names: its own metrics, groups, and tags.

use std::borrow::Cow;

use super::Threshold;
use super::metric::{Metric, Statistic};
use super::samples::{Measured, Samples};
use super::tag::Tag;
use super::trigger_tags::Nothing;
use crate::engine::metrics::{self, GROUP_DURATION, MetricKind, Refusal, Value};
use crate::engine::series::TagPairs;
use crate::engine::snapshot::Snapshot;
use crate::report::units::counted;
use crate::support::nearest::{nearest, one_of};

impl Threshold {
    /// Returns the samples of a threshold on a metric of the load test's own, or on groups.
    pub(super) fn own<'a>(&self, measured: &Measured<'_>) -> Result<Samples<'a>, Nothing> {
        let totals = measured.totals;
        let name = if self.metric == Metric::GroupDuration { GROUP_DURATION } else { self.name() };
        let metric = totals.metrics.get(name).ok_or_else(|| self.not_recorded(totals))?;
        if let Some(other) = metric.other().filter(|_| !self.tags.is_empty()) {
            let hidden = counted(other.count(), "value");
            return Err(Nothing::ever(format!("not known: {hidden} past the limit of series may have this tag")));
        }
        let is_wanted = |tags: Option<&TagPairs>| self.tags.iter().all(|tag| tags.is_none_or(|tags| tag.is_in(tags)));
        let total = metric.total(is_wanted).ok_or_else(|| self.no_such_tag(metric))?;
        let wrong = || Nothing::ever(self.wrong_statistic(metric.kind()));
        Ok(match (total, self.statistic) {
            (Value::Counter(sum), Statistic::Rate) if self.limit.unit.name() != "%" => {
                Samples::Sum(if measured.rates.counts_after_load { sum.sum() } else { sum.sum() - sum.after_load() })
            }
            (Value::Counter(sum), Statistic::Count) => Samples::Sum(sum.sum()),
            (Value::Gauge(level), Statistic::Value | Statistic::Min | Statistic::Max) => Samples::Level(level),
            (Value::Trend(numbers), Statistic::Count) => Samples::Counter(numbers.count()),
            (Value::Trend(numbers), statistic) if !matches!(statistic, Statistic::Rate | Statistic::Value) => {
                Samples::Numbers(numbers)
            }
            (Value::Rate(share), Statistic::Rate) if self.limit.unit.name() != "/s" => {
                Samples::Share { part: share.part, of: share.of }
            }
            (Value::Group(group), _) => Samples::Distribution(Cow::Owned(group.durations)),
            _ => return Err(wrong()),
        })
    }

    /// Explains that a metric was not recorded, and suggests a similar name.
    fn not_recorded(&self, totals: &Snapshot) -> Nothing {
        if self.metric == Metric::GroupDuration {
            return Nothing::yet("no group was recorded".to_owned());
        }
        let name = self.name();
        let refused =
            totals.metrics.refused().find(|(refused, refusal, _)| *refused == name && *refusal == Refusal::Value);
        let hint = match (refused, nearest(name, totals.metrics.own().map(|(name, _)| name))) {
            (Some((_, _, count)), _) => format!(": {} refused", counted(count, "invalid value")),
            (None, Some(meant)) => format!("; did you mean `{meant}`?"),
            (None, None) => String::new(),
        };
        Nothing::yet(format!("no metric `{name}` was recorded{hint}"))
    }

    /// Explains which tag no value has, and suggests a similar one.
    fn no_such_tag(&self, metric: &metrics::Metric) -> Nothing {
        let tags: Vec<_> = metric.series().map(|(tags, _)| tags).collect();
        let what = if self.metric == Metric::GroupDuration { "group" } else { "value" };
        let reason = self.tags.iter().find_map(|tag| missing(tag, &tags, what));
        Nothing::yet(reason.unwrap_or_else(|| format!("no samples of `{}`", self.subject())))
    }

    fn wrong_statistic(&self, kind: MetricKind) -> String {
        let statistics: &[&str] = match kind {
            MetricKind::Counter => &["count", "rate"],
            MetricKind::Gauge => &["value", "min", "max"],
            MetricKind::Rate => &["rate"],
            MetricKind::Trend => &["avg", "min", "max", "med", "p(N)", "count"],
            MetricKind::Group => &["avg", "min", "max", "med", "p(N)"],
        };
        let (name, statistic) = (self.name(), self.statistic);
        match (kind, statistic) {
            (MetricKind::Counter, Statistic::Rate) => {
                format!("`{name}` is a counter: its rate is per second, not a share")
            }
            (MetricKind::Rate, Statistic::Rate) => {
                format!("`{name}` is a rate: it is a share, not a number per second")
            }
            _ => format!("`{name}` is a {} and has no `{statistic}`: expected {}", kind.name(), one_of(statistics)),
        }
    }

    /// Explains that nothing has a tag that the load test should set, and suggests a similar one. A threshold on a metric
    /// of golo's fails then, even if it is a counter.
    pub(super) fn unknown_tag(&self, totals: &Snapshot) -> Option<String> {
        if !self.is_of_requests() || self.tags().next().is_none() {
            return None;
        }
        let wants_steps = self.wants_steps();
        let series = totals.requests.keys().filter(|series| series.is_step() == wants_steps);
        let tags: Vec<_> = series.map(|series| &series.label.tags).collect();
        let what = if wants_steps { "step" } else { "request" };
        self.tags.iter().find_map(|tag| missing(tag, &tags, what))
    }
}

/// Returns true if any of these has the key of a tag.
fn has_key(tag: &Tag, all: &[&TagPairs]) -> bool {
    all.iter().any(|tags| tags.get(tag.name()).is_some())
}

/// Explains that none of these has a tag, and suggests a similar one. `None` if one has it, or if golo sets it.
fn missing(tag: &Tag, all: &[&TagPairs], what: &str) -> Option<String> {
    let Tag::Own { key, value } = tag else { return None };
    if all.iter().any(|tags| tag.is_in(tags)) {
        return None;
    }
    let meant = match has_key(tag, all) {
        true => nearest(value, all.iter().filter_map(|tags| tags.get(key))),
        false => nearest(key, all.iter().flat_map(|tags| tags.iter()).map(|(key, _)| key)),
    };
    let tag = if has_key(tag, all) { tag.to_string() } else { key.to_string() };
    let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    Some(format!("no {what} has the tag `{tag}`{meant}"))
}
