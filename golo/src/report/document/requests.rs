//! Requests by route and status, and the measured steps.

use serde::Serialize;

use super::Distribution;
use crate::{
    engine::{Finished, series::Label},
    report::{RateTime, summary},
};

/// The requests, by route.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Requests {
    pub(in crate::report) total: Amounts,
    /// Requests that were cut off by the end of the run.
    pub(in crate::report) interrupted: u64,
    /// Requests that are derived from the tags of triggers, because the load test printed no `Output`.
    pub(in crate::report) from_tags: u64,
    /// Requests that followed an unknown number of redirects. One redirect is counted for each.
    pub(in crate::report) redirects_at_least: u64,
    /// Redirects in words, if there were any.
    #[serde(skip)]
    #[cfg_attr(not(feature = "html"), expect(dead_code, reason = "only the page shows it"))]
    pub(in crate::report) redirected: Option<String>,
    /// Routes, those with the most time spent first.
    pub(in crate::report) routes: Vec<Route>,
    /// Time until the headers of responses that were received completely.
    pub(in crate::report) waiting: Distribution,
    /// Time to make connections, including TLS.
    pub(in crate::report) connecting: Distribution,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct Route {
    /// Name as in the summary.
    pub(in crate::report) name: String,
    pub(in crate::report) origin: Box<str>,
    pub(in crate::report) route: Box<str>,
    pub(in crate::report) method: Box<str>,
    #[serde(flatten)]
    pub(in crate::report) amounts: Amounts,
}

/// The measured steps. They are not requests.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Steps {
    pub(in crate::report) total: Amounts,
    /// Steps, those with the most time spent first.
    pub(in crate::report) steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct Step {
    pub(in crate::report) name: String,
    #[serde(flatten)]
    pub(in crate::report) amounts: Amounts,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct Amounts {
    pub(in crate::report) failed: u64,
    /// Requests that were cut off by the end of the run. No other field here counts them.
    pub(in crate::report) interrupted: u64,
    /// Requests that ended after the load.
    pub(in crate::report) after_load: u64,
    /// Requests per second, over the run's `rate_time`.
    pub(in crate::report) rate: f64,
    /// Bytes of response bodies.
    pub(in crate::report) received: u64,
    /// Bytes of request bodies that were handed to a connection.
    pub(in crate::report) sent: u64,
    /// Redirects that were followed. The target received each as a separate request.
    pub(in crate::report) redirects: u64,
    pub(in crate::report) duration: Distribution,
    /// Separate durations of passed and failed requests, if more than 1 % but not all of them failed.
    pub(in crate::report) apart: Option<Apart>,
}

/// Durations of passed and of failed requests.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Apart {
    pub(in crate::report) passed: Distribution,
    pub(in crate::report) failed: Distribution,
}

/// Number of responses with a status, and whether the load test counts them as failed.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Status {
    pub(in crate::report) status: u16,
    pub(in crate::report) failed: bool,
    pub(in crate::report) count: u64,
}

impl Requests {
    pub(super) fn of(finished: &Finished, requests: &summary::Requests) -> Self {
        let rates = RateTime::of(finished);
        let route = |(label, route): &(Label, summary::Route)| Route {
            name: requests.name(label),
            origin: label.origin.clone(),
            route: label.route.clone(),
            method: label.method.clone(),
            amounts: Amounts::of(route, rates),
        };
        Self {
            total: Amounts::of(&requests.total, rates),
            interrupted: requests.total.interrupted,
            from_tags: requests.from_tags,
            redirects_at_least: requests.redirects_at_least,
            redirected: requests.redirected(),
            routes: requests.routes.iter().map(route).collect(),
            waiting: (&finished.totals.waiting).into(),
            connecting: (&finished.totals.connects).into(),
        }
    }
}

impl Steps {
    pub(super) fn of(finished: &Finished, requests: &summary::Requests) -> Self {
        let rates = RateTime::of(finished);
        let summary::Steps { named, total } = &requests.steps;
        let step = |(label, step): &(Label, summary::Route)| Step {
            name: summary::step_name(label),
            amounts: Amounts::of(step, rates),
        };
        Self { total: Amounts::of(total, rates), steps: named.iter().map(step).collect() }
    }
}

impl Amounts {
    fn of(route: &summary::Route, rates: RateTime) -> Self {
        Self {
            failed: route.failed(),
            interrupted: route.interrupted,
            after_load: route.all.after_load,
            rate: route.per_second(rates),
            received: route.all.received,
            sent: route.all.sent,
            redirects: route.redirects,
            duration: (&route.all.durations).into(),
            apart: route.apart().map(|(passed, failed)| Apart { passed: passed.into(), failed: failed.into() }),
        }
    }

    /// Returns the number of requests that ended or were cut off. The share of failed requests is relative to it.
    #[cfg(feature = "html")]
    pub(in crate::report) fn all(&self) -> u64 {
        self.duration.count.saturating_add(self.interrupted)
    }

    /// Removes the buckets, which are too large for a page with many routes.
    #[cfg(feature = "html")]
    pub(in crate::report) fn drop_buckets(&mut self) {
        let apart = self.apart.iter_mut().flat_map(|apart| [&mut apart.passed, &mut apart.failed]);
        apart.chain([&mut self.duration]).for_each(|distribution| distribution.buckets = Vec::new());
    }
}

impl Status {
    pub(super) fn all(requests: &summary::Requests) -> Vec<Self> {
        let statuses = requests.statuses.iter();
        statuses.map(|(&(status, failed), &count)| Self { status, failed, count }).collect()
    }
}
