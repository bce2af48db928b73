//! Metrics of thresholds and their statistics.

use std::fmt;

use super::{limit::Dimension, tag::Key};
use crate::engine::phases::Phase;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    HttpReqs,
    HttpReqDuration,
    HttpReqBlocked,
    HttpReqDns,
    HttpReqConnecting,
    HttpReqTlsHandshaking,
    HttpReqSending,
    HttpReqWaiting,
    HttpReqReceiving,
    HttpReqFailed,
    HttpReqInterrupted,
    DataSent,
    DataReceived,
    Iterations,
    IterationDuration,
    IterationResponse,
    IterationFailed,
    IterationInterrupted,
    DroppedIterations,
    JourneyDuration,
    UserStartDuration,
    Steps,
    StepDuration,
    StepFailed,
    Checks,
    /// The values of a tag of triggers.
    Tag,
    Vus,
    /// One value of a tag of triggers.
    TagValue,
    GroupDuration,
    /// A metric of the load test's own.
    Own,
}

/// Kind of a metric's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Number of events.
    Counter,
    /// Durations.
    Distribution,
    /// Part of a whole.
    Share,
    /// Part of a whole, which may also be counted.
    Part,
    /// Number that goes up and down.
    Gauge,
    /// Numbers without a unit.
    Numbers,
    /// Occurrences of a value, and their share.
    Occurrences,
    /// Any kind of a metric of the load test's own, which is known once it is recorded.
    Own,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Statistic {
    Avg,
    Min,
    Max,
    Med,
    /// Percentile, from 0 to 100.
    Percentile(f64),
    Count,
    Rate,
    /// The last value of a gauge.
    Value,
}

/// Name of a metric, kind of its samples, and keys of its tags.
struct Description(Metric, &'static str, Kind, &'static [Key]);

const REQUEST: &[Key] = &[Key::Route, Key::Method, Key::Status, Key::Origin, Key::Error, Key::Outcome];
const TRIGGER: &[Key] = &[Key::Scenario];
const STEP: &[Key] = &[Key::Step, Key::Error, Key::Outcome];

/// The metrics in the order of their variants.
static METRICS: [Description; 30] = [
    Description(Metric::HttpReqs, "http_reqs", Kind::Counter, REQUEST),
    Description(Metric::HttpReqDuration, "http_req_duration", Kind::Distribution, REQUEST),
    Description(Metric::HttpReqBlocked, "http_req_blocked", Kind::Distribution, REQUEST),
    Description(Metric::HttpReqDns, "http_req_dns", Kind::Distribution, REQUEST),
    Description(Metric::HttpReqConnecting, "http_req_connecting", Kind::Distribution, REQUEST),
    Description(Metric::HttpReqTlsHandshaking, "http_req_tls_handshaking", Kind::Distribution, REQUEST),
    Description(Metric::HttpReqSending, "http_req_sending", Kind::Distribution, REQUEST),
    Description(Metric::HttpReqWaiting, "http_req_waiting", Kind::Distribution, REQUEST),
    Description(Metric::HttpReqReceiving, "http_req_receiving", Kind::Distribution, REQUEST),
    Description(Metric::HttpReqFailed, "http_req_failed", Kind::Part, REQUEST),
    Description(Metric::HttpReqInterrupted, "http_req_interrupted", Kind::Part, REQUEST),
    Description(Metric::DataSent, "data_sent", Kind::Counter, REQUEST),
    Description(Metric::DataReceived, "data_received", Kind::Counter, REQUEST),
    Description(Metric::Iterations, "iterations", Kind::Counter, TRIGGER),
    Description(Metric::IterationDuration, "iteration_duration", Kind::Distribution, TRIGGER),
    Description(Metric::IterationResponse, "iteration_response", Kind::Distribution, TRIGGER),
    Description(Metric::IterationFailed, "iteration_failed", Kind::Part, TRIGGER),
    Description(Metric::IterationInterrupted, "iteration_interrupted", Kind::Part, TRIGGER),
    Description(Metric::DroppedIterations, "dropped_iterations", Kind::Counter, TRIGGER),
    Description(Metric::JourneyDuration, "journey_duration", Kind::Distribution, &[]),
    Description(Metric::UserStartDuration, "user_start_duration", Kind::Distribution, &[]),
    Description(Metric::Steps, "steps", Kind::Counter, STEP),
    Description(Metric::StepDuration, "step_duration", Kind::Distribution, STEP),
    Description(Metric::StepFailed, "step_failed", Kind::Part, STEP),
    Description(Metric::Checks, "checks", Kind::Share, &[Key::Check]),
    Description(Metric::Tag, "tag", Kind::Numbers, &[Key::Outcome]),
    Description(Metric::Vus, "vus", Kind::Gauge, &[]),
    Description(Metric::TagValue, "tag", Kind::Occurrences, &[Key::Outcome]),
    Description(Metric::GroupDuration, "group_duration", Kind::Distribution, &[]),
    Description(Metric::Own, "", Kind::Own, &[]),
];

impl Metric {
    /// Returns all of golo's metrics that have a name of their own.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let metrics = METRICS.iter().map(|Description(metric, ..)| *metric);
        metrics.filter(|metric| !matches!(metric, Self::TagValue | Self::Own))
    }

    fn description(self) -> &'static Description {
        &METRICS[self as usize]
    }

    pub(super) fn name(self) -> &'static str {
        self.description().1
    }

    pub(super) fn kind(self) -> Kind {
        self.description().2
    }

    /// Returns the keys of the metric's tags.
    pub(super) fn keys(self) -> &'static [Key] {
        self.description().3
    }

    /// Returns true if tags that the load test sets select its samples.
    pub(super) fn has_own_tags(self) -> bool {
        matches!(self, Self::GroupDuration | Self::Own) || [REQUEST, STEP].contains(&self.keys())
    }

    /// Returns the phase of requests that the metric is about, if it is about one.
    pub(super) fn phase(self) -> Option<Phase> {
        Some(match self {
            Self::HttpReqBlocked => Phase::Blocked,
            Self::HttpReqDns => Phase::Dns,
            Self::HttpReqConnecting => Phase::Connecting,
            Self::HttpReqTlsHandshaking => Phase::TlsHandshaking,
            Self::HttpReqSending => Phase::Sending,
            Self::HttpReqWaiting => Phase::Waiting,
            Self::HttpReqReceiving => Phase::Receiving,
            _ => return None,
        })
    }

    /// Returns true if each trigger that ends adds exactly one sample, and nothing else adds any.
    pub(super) fn is_one_a_trigger(self) -> bool {
        matches!(
            self,
            Self::Iterations
                | Self::IterationDuration
                | Self::IterationResponse
                | Self::IterationFailed
                | Self::IterationInterrupted
        )
    }

    /// Returns true if the metric covers only measured steps.
    pub(super) fn is_of_steps(self) -> bool {
        matches!(self, Self::Steps | Self::StepDuration | Self::StepFailed)
    }

    /// Returns true if its samples include what the run cut off.
    pub(super) fn counts_cut_off(self) -> bool {
        self.kind() == Kind::Part
    }

    /// Returns the dimension of the values of a statistic.
    pub(super) fn dimension(self, statistic: Statistic) -> Dimension {
        let is_data = matches!(self, Self::DataSent | Self::DataReceived);
        match (self.kind(), statistic) {
            (Kind::Distribution, _) => Dimension::Duration,
            (Kind::Share, _) | (Kind::Part | Kind::Occurrences, Statistic::Rate) => Dimension::Share,
            (Kind::Numbers, Statistic::Count) | (Kind::Occurrences, _) => Dimension::Count,
            (Kind::Own, Statistic::Rate) => Dimension::Rate,
            (Kind::Numbers | Kind::Own, _) => Dimension::Number,
            (Kind::Counter, Statistic::Rate) if is_data => Dimension::BytesPerSecond,
            (Kind::Counter, Statistic::Rate) => Dimension::PerSecond,
            (Kind::Counter, _) if is_data => Dimension::Bytes,
            (Kind::Counter | Kind::Part | Kind::Gauge, _) => Dimension::Count,
        }
    }
}

impl Kind {
    /// Returns the names of the available statistics. `p` is followed by a number in parentheses.
    pub(super) fn statistics(self) -> &'static [&'static str] {
        match self {
            Self::Counter => &["count", "rate"],
            Self::Distribution => &["avg", "min", "max", "med", "p(N)"],
            Self::Share => &["rate"],
            Self::Part => &["rate", "count"],
            Self::Gauge => &["min", "max"],
            Self::Numbers => &["avg", "min", "max", "med", "p(N)", "count"],
            Self::Occurrences => &["count", "rate"],
            Self::Own => &["count", "rate", "value", "avg", "min", "max", "med", "p(N)"],
        }
    }
}

/// Names of the statistics, except percentiles.
const STATISTICS: [(&str, Statistic); 7] = [
    ("avg", Statistic::Avg),
    ("min", Statistic::Min),
    ("max", Statistic::Max),
    ("med", Statistic::Med),
    ("count", Statistic::Count),
    ("rate", Statistic::Rate),
    ("value", Statistic::Value),
];

impl Statistic {
    /// Returns the statistic with this name, except a percentile.
    pub(super) fn named(name: &str) -> Option<Self> {
        STATISTICS.iter().find(|(known, _)| *known == name).map(|(_, statistic)| *statistic)
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, STATISTICS.iter().find(|(_, known)| known == self)) {
            (Self::Percentile(percent), _) => write!(f, "p({percent})"),
            (_, known) => f.write_str(known.map_or("", |(name, _)| name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::custom::is_built_in;

    #[test]
    fn each_metric_has_its_own_description() {
        for (number, Description(metric, ..)) in METRICS.iter().enumerate() {
            assert_eq!(*metric as usize, number, "{metric:?}");
            let phase = metric.phase().map(|phase| format!("http_req_{}", phase.name()));
            assert!(phase.is_none_or(|phase| phase == metric.name()), "{metric:?}");
            assert_eq!(is_built_in(metric.name()), *metric != Metric::Own, "{metric:?}");
        }
    }
}
