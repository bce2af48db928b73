//! Metrics of thresholds and their statistics.

use std::fmt;

use super::{limit::Dimension, tag::Key};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    HttpReqs,
    HttpReqDuration,
    HttpReqWaiting,
    HttpReqConnecting,
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
    /// One value of a tag of triggers.
    TagValue,
    Vus,
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
}

impl Metric {
    /// All metrics that have a name of their own.
    pub(super) const ALL: [Self; 22] = [
        Self::HttpReqs,
        Self::HttpReqDuration,
        Self::HttpReqWaiting,
        Self::HttpReqConnecting,
        Self::HttpReqFailed,
        Self::HttpReqInterrupted,
        Self::DataSent,
        Self::DataReceived,
        Self::Iterations,
        Self::IterationDuration,
        Self::IterationResponse,
        Self::IterationFailed,
        Self::IterationInterrupted,
        Self::DroppedIterations,
        Self::JourneyDuration,
        Self::UserStartDuration,
        Self::Steps,
        Self::StepDuration,
        Self::StepFailed,
        Self::Checks,
        Self::Tag,
        Self::Vus,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::HttpReqs => "http_reqs",
            Self::HttpReqDuration => "http_req_duration",
            Self::HttpReqWaiting => "http_req_waiting",
            Self::HttpReqConnecting => "http_req_connecting",
            Self::HttpReqFailed => "http_req_failed",
            Self::HttpReqInterrupted => "http_req_interrupted",
            Self::DataSent => "data_sent",
            Self::DataReceived => "data_received",
            Self::Iterations => "iterations",
            Self::IterationDuration => "iteration_duration",
            Self::IterationResponse => "iteration_response",
            Self::IterationFailed => "iteration_failed",
            Self::IterationInterrupted => "iteration_interrupted",
            Self::DroppedIterations => "dropped_iterations",
            Self::JourneyDuration => "journey_duration",
            Self::UserStartDuration => "user_start_duration",
            Self::Steps => "steps",
            Self::StepDuration => "step_duration",
            Self::StepFailed => "step_failed",
            Self::Checks => "checks",
            Self::Tag | Self::TagValue => "tag",
            Self::Vus => "vus",
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::HttpReqs
            | Self::DataSent
            | Self::DataReceived
            | Self::Iterations
            | Self::DroppedIterations
            | Self::Steps => Kind::Counter,
            Self::HttpReqDuration
            | Self::HttpReqWaiting
            | Self::HttpReqConnecting
            | Self::IterationDuration
            | Self::IterationResponse
            | Self::JourneyDuration
            | Self::StepDuration
            | Self::UserStartDuration => Kind::Distribution,
            Self::HttpReqFailed | Self::HttpReqInterrupted | Self::IterationFailed => Kind::Part,
            Self::IterationInterrupted | Self::StepFailed => Kind::Part,
            Self::Checks => Kind::Share,
            Self::Tag => Kind::Numbers,
            Self::TagValue => Kind::Occurrences,
            Self::Vus => Kind::Gauge,
        }
    }

    /// Returns the keys of the metric's tags.
    pub(super) fn keys(self) -> &'static [Key] {
        match self {
            Self::HttpReqs
            | Self::HttpReqDuration
            | Self::HttpReqFailed
            | Self::HttpReqInterrupted
            | Self::DataSent
            | Self::DataReceived => &[Key::Route, Key::Method, Key::Status, Key::Origin, Key::Error, Key::Outcome],
            Self::Steps | Self::StepDuration | Self::StepFailed => &[Key::Step, Key::Error, Key::Outcome],
            Self::Checks => &[Key::Check],
            Self::Tag | Self::TagValue => &[Key::Outcome],
            _ => &[],
        }
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
            (Kind::Numbers, _) => Dimension::Number,
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
        }
    }
}

impl Statistic {
    /// Returns the statistic with this name, except a percentile.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "med" => Self::Med,
            "count" => Self::Count,
            "rate" => Self::Rate,
            _ => return None,
        })
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Med => "med",
            Self::Percentile(percent) => return write!(f, "p({percent})"),
            Self::Count => "count",
            Self::Rate => "rate",
        })
    }
}
