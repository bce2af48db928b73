//! Exact request counts, kept without a lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::endpoints::ENDPOINTS;

/// Key in [`Counts::routes`] for requests to unknown paths.
pub const OTHER_ROUTE: &str = "other";

const STATUS_CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Requests seen and answered since the service started or was last reset: the body of `GET /counter`.
///
/// Requests to `/counter` and `/counter/reset` are not counted. Once nothing is in flight, `seen - answered` is the
/// number of requests that their clients abandoned before the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests with a complete head. This is the sum of `routes`.
    pub seen: u64,
    /// Requests with an answer that was handed to the connection. This is the sum of `statuses`. A request is counted
    /// before its client can receive the answer.
    pub answered: u64,
    /// Requests seen by route, such as `/items/{id}`, and [`OTHER_ROUTE`]. Contains every route, even if its count is
    /// 0.
    pub routes: BTreeMap<String, u64>,
    /// Requests answered by status class: `2xx`, `3xx`, `4xx` and `5xx`. Contains every class, even if its count is 0.
    pub statuses: BTreeMap<String, u64>,
}

/// Index of a route in the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(usize);

#[derive(Debug)]
pub(crate) struct Counter {
    routes: Vec<(&'static str, AtomicU64)>,
    other: AtomicU64,
    statuses: [AtomicU64; STATUS_CLASSES.len()],
}

impl Counter {
    pub(crate) fn new() -> Self {
        let counted = ENDPOINTS.iter().map(|endpoint| endpoint.route()).filter(|route| !route.starts_with("/counter"));
        Self {
            routes: counted.map(|route| (route, AtomicU64::new(0))).collect(),
            other: AtomicU64::new(0),
            statuses: Default::default(),
        }
    }

    /// Returns the slot that counts requests to `route`. Returns that of [`OTHER_ROUTE`] if it is not one of the
    /// endpoints.
    pub(crate) fn slot(&self, route: &str) -> Slot {
        Slot(self.routes.iter().position(|(name, _)| *name == route).unwrap_or(self.routes.len()))
    }

    pub(crate) fn see(&self, Slot(index): Slot) {
        let seen = self.routes.get(index).map_or(&self.other, |(_, seen)| seen);
        seen.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answer(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(2).min(STATUS_CLASSES.len() - 1);
        // The release pairs with the acquire in `counts`: a snapshot never contains an answer without its request.
        self.statuses[class].fetch_add(1, Ordering::Release);
    }

    pub(crate) fn counts(&self) -> Counts {
        let statuses: BTreeMap<_, _> = STATUS_CLASSES
            .iter()
            .zip(&self.statuses)
            .map(|(class, answered)| (class.to_string(), answered.load(Ordering::Acquire)))
            .collect();
        let other = (OTHER_ROUTE, &self.other);
        let routes: BTreeMap<_, _> = self
            .routes
            .iter()
            .map(|(route, seen)| (*route, seen))
            .chain([other])
            .map(|(route, seen)| (route.to_owned(), seen.load(Ordering::Relaxed)))
            .collect();
        Counts { seen: routes.values().sum(), answered: statuses.values().sum(), routes, statuses }
    }

    pub(crate) fn reset(&self) {
        let routes = self.routes.iter().map(|(_, seen)| seen);
        for count in routes.chain([&self.other]).chain(&self.statuses) {
            count.store(0, Ordering::Relaxed);
        }
    }
}
