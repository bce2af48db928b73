//! What can be measured, and which statistics there are of it.

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

/// What a metric's samples add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number of things.
    Counter,
    /// Durations.
    Distribution,
    /// Some of all.
    Share,
    /// Some of all, which may be counted too.
    Part,
    /// A number that goes up and down.
    Gauge,
    /// Numbers of no unit.
    Numbers,
    /// How often something came, and its share.
    Occurrences,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Statistic {
    Avg,
    Min,
    Max,
    Med,
    /// Of a hundred.
    Percentile(f64),
    Count,
    Rate,
}

impl Metric {
    /// Those that have a name of their own.
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

    /// The keys of the tags that it has.
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

    /// Whether a trigger that ends adds one sample, and nothing else does.
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

    /// Whether it is of measured steps alone.
    pub(super) fn is_of_steps(self) -> bool {
        matches!(self, Self::Steps | Self::StepDuration | Self::StepFailed)
    }

    /// Whether what the run cut off is among its samples.
    pub(super) fn counts_cut_off(self) -> bool {
        self.kind() == Kind::Part
    }

    /// What the values of one of its statistics are.
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
    /// What can be said of it; `p` is followed by a number in brackets.
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
    /// The one of this name, but for a percentile.
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
