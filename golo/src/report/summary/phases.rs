//! Phases of all requests.

use super::table;
use crate::report::figures::quantiles;
use crate::report::requests::Requests;
use crate::report::units::nanoseconds;
use crate::report::{Page, phases};

pub(super) fn lines(page: Page, requests: &Requests) -> Vec<String> {
    let phases = phases::rows(&requests.routes.total.phases);
    let rows = phases.into_iter().flatten().map(|(name, durations)| {
        let figures = quantiles(&durations, [0.5, 0.95, 1.0]).map(nanoseconds);
        std::iter::once(format!("  {name}")).chain(figures).collect()
    });
    table(page, &["Phases", "p50", "p95", "max"], rows, &[0])
}
