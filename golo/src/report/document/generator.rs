//! State of the load generator during the run.

use serde::Serialize;

use super::Distribution;
use crate::{
    engine::{Finished, health},
    metrics::output::nanoseconds,
    report::summary,
};

#[derive(Debug, Serialize)]
pub(in crate::report) struct Generator<'a> {
    /// Share of time during which the workers were busy, from 0 to 1.
    pub(in crate::report) busy_share: f64,
    /// Delay between the due time and the actual start of each trigger.
    pub(in crate::report) lag: Distribution,
    /// Reasons why workers were lost.
    pub(in crate::report) lost: &'a [String],
    /// Agents that were lost.
    pub(in crate::report) lost_agents: Vec<LostAgent<'a>>,
    /// Highest number of open descriptors, followed by the limit.
    pub(in crate::report) descriptors: u64,
    pub(in crate::report) descriptors_limit: Option<u64>,
    pub(in crate::report) requests_without_descriptor: u64,
    pub(in crate::report) requests_without_port: u64,
    /// Requests from threads that do not belong to a worker.
    pub(in crate::report) requests_from_other_threads: u64,
    pub(in crate::report) users_started: u64,
    pub(in crate::report) users_failed: u64,
    /// True if the load test was built without optimisations.
    pub(in crate::report) unoptimised: bool,
    /// Calls of a user's `stop` that were cut off at the end of the grace period.
    pub(in crate::report) stops_cut_off: u64,
    /// Panics of the load test outside triggers.
    pub(in crate::report) stray_panics: u64,
    /// Requests and connections that users made while they started and stopped. They are not counted anywhere else.
    pub(in crate::report) user_requests: u64,
    pub(in crate::report) user_connections: u64,
    /// Proxies that requests went through.
    pub(in crate::report) proxies: &'a [String],
    /// Warning about how the generator's own state affects the figures, if it does.
    pub(in crate::report) warning: Option<&'static str>,
}

/// An agent that did not deliver its share of the load until the end.
#[derive(Debug, Serialize)]
pub(in crate::report) struct LostAgent<'a> {
    pub(in crate::report) agent: &'a str,
    /// Time from which the agent is missing, in nanoseconds since the start.
    pub(in crate::report) from: u64,
    pub(in crate::report) reason: &'a str,
}

impl<'a> From<&'a health::LostAgent> for LostAgent<'a> {
    fn from(lost: &'a health::LostAgent) -> Self {
        Self { agent: &lost.name, from: nanoseconds(lost.from), reason: &lost.reason }
    }
}

impl<'a> Generator<'a> {
    pub(super) fn of(finished: &'a Finished) -> Self {
        let generator = &finished.totals.generator;
        let health = &finished.health;
        Self {
            busy_share: generator.busy_share(),
            lag: (&generator.lag).into(),
            lost: &health.lost,
            lost_agents: health.lost_agents.iter().map(LostAgent::from).collect(),
            descriptors: health.descriptors.open,
            descriptors_limit: health.descriptors.limit,
            requests_without_descriptor: generator.without_descriptor,
            requests_without_port: generator.without_port,
            requests_from_other_threads: generator.foreign,
            users_started: generator.users_started,
            users_failed: generator.users_failed,
            unoptimised: health.is_unoptimised,
            stops_cut_off: generator.stops_cut_off,
            stray_panics: generator.stray_panics,
            user_requests: generator.user_requests,
            user_connections: generator.user_connections,
            proxies: &finished.proxies,
            warning: summary::warning(finished),
        }
    }
}
