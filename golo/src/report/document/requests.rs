//! The requests by route, and their statuses.

use serde::Serialize;

use super::Distribution;
use crate::{
    engine::{Finished, series::Label},
    report::summary,
};

/// The requests that ended, by what was requested.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Requests {
    pub(in crate::report) total: Amounts,
    /// Those that the run cut off; counted nowhere else.
    pub(in crate::report) interrupted: u64,
    /// Those that are made of triggers' tags, since the load test printed no `Output`.
    pub(in crate::report) from_tags: u64,
    /// Those that followed an unknown number of redirects, of which one is counted.
    pub(in crate::report) redirects_at_least: u64,
    /// Redirects in words, if there were any.
    #[serde(skip)]
    #[cfg_attr(not(feature = "html"), expect(dead_code, reason = "only the page shows it"))]
    pub(in crate::report) redirected: Option<String>,
    /// The most time spent first.
    pub(in crate::report) routes: Vec<Route>,
    /// To the headers of the responses that came whole.
    pub(in crate::report) waiting: Distribution,
    /// Making connections, TLS and all.
    pub(in crate::report) connecting: Distribution,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct Route {
    /// In words, as the summary has it.
    pub(in crate::report) name: String,
    pub(in crate::report) origin: Box<str>,
    pub(in crate::report) route: Box<str>,
    pub(in crate::report) method: Box<str>,
    #[serde(flatten)]
    pub(in crate::report) amounts: Amounts,
}

#[derive(Debug, Serialize)]
pub(in crate::report) struct Amounts {
    pub(in crate::report) failed: u64,
    /// A second, until nothing was in flight any more.
    pub(in crate::report) rate: f64,
    /// Bytes of responses' bodies.
    pub(in crate::report) received: u64,
    /// Bytes of requests' bodies that were handed to a connection.
    pub(in crate::report) sent: u64,
    /// Redirects that were followed: the target saw each as a request of its own.
    pub(in crate::report) redirects: u64,
    pub(in crate::report) duration: Distribution,
}

/// How many responses had a status, and whether the load test expected another.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Status {
    pub(in crate::report) status: u16,
    pub(in crate::report) failed: bool,
    pub(in crate::report) count: u64,
}

impl Requests {
    pub(super) fn of(finished: &Finished, requests: &summary::Requests) -> Self {
        let amounts = |route: &summary::Route| Amounts::of(route, finished);
        let route = |(label, route): &(Label, summary::Route)| Route {
            name: requests.name(label),
            origin: label.origin.clone(),
            route: label.route.clone(),
            method: label.method.clone(),
            amounts: amounts(route),
        };
        Self {
            total: amounts(&requests.total),
            interrupted: requests.interrupted,
            from_tags: requests.from_tags,
            redirects_at_least: requests.redirects_at_least,
            redirected: requests.redirected(),
            routes: requests.routes.iter().map(route).collect(),
            waiting: (&finished.totals.waiting).into(),
            connecting: (&finished.totals.connects).into(),
        }
    }
}

impl Amounts {
    fn of(route: &summary::Route, finished: &Finished) -> Self {
        Self {
            failed: route.failed,
            rate: route.per_second(finished.whole_time),
            received: route.received,
            sent: route.sent,
            redirects: route.redirects,
            duration: (&route.durations).into(),
        }
    }
}

impl Status {
    pub(super) fn all(requests: &summary::Requests) -> Vec<Self> {
        let statuses = requests.statuses.iter();
        statuses.map(|(&(status, failed), &count)| Self { status, failed, count }).collect()
    }
}
