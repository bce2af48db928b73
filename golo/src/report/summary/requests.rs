//! The requests by route: what each of them cost, and how many failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{ROWS, more, quantiles};
use crate::{
    engine::{
        histogram::Histogram,
        series::{Label, Outcome, SERIES},
        snapshot::Snapshot,
    },
    report::{
        text::{WIDTH, align, clean, left, right, shorten, width},
        units::{bytes, count, counted, nanoseconds, percent, rate},
    },
};

/// The requests of a run that ended, by what was requested.
pub(super) struct Requests {
    /// The most time spent first.
    routes: Vec<(Label, Route)>,
    /// All of them together.
    pub(super) total: Route,
    /// How many the run cut off.
    pub(super) interrupted: u64,
    /// How many had each status, and whether that counts as failed.
    pub(super) statuses: BTreeMap<(u16, bool), u64>,
    /// Where they went.
    pub(super) origins: Vec<Box<str>>,
}

/// What was measured of one route, whatever the outcome.
#[derive(Default)]
pub(super) struct Route {
    durations: Histogram,
    pub(super) failed: u64,
    received: u64,
}

impl Route {
    fn add(&mut self, durations: &Histogram, received: u64, is_failed: bool) {
        self.durations.merge(durations);
        self.received = self.received.saturating_add(received);
        if is_failed {
            self.failed = self.failed.saturating_add(durations.count());
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.durations.count()
    }

    fn amounts(&self, time: Duration) -> Vec<String> {
        let number = self.count();
        vec![count(number), percent(self.failed, number), rate(number, time), bytes(self.received)]
    }

    fn latencies(&self) -> Vec<String> {
        let durations = &self.durations;
        let mean = durations.mean().map(|mean| mean as u64);
        let mut cells = vec![nanoseconds(mean), nanoseconds(durations.min())];
        cells.extend(quantiles(durations, &[0.5, 0.9, 0.95, 0.99, 0.999]));
        cells.push(nanoseconds(durations.max()));
        cells
    }
}

impl Requests {
    pub(super) fn of(totals: &Snapshot) -> Self {
        let mut routes = BTreeMap::<&Label, Route>::new();
        let mut total = Route::default();
        let mut interrupted = 0_u64;
        let mut statuses = BTreeMap::<_, u64>::new();
        for (series, measure) in &totals.requests {
            let number = measure.durations.count();
            if series.outcome == Outcome::Interrupted {
                interrupted = interrupted.saturating_add(number);
                continue;
            }
            let is_failed = series.outcome.is_failed();
            routes.entry(&series.label).or_default().add(&measure.durations, measure.received, is_failed);
            total.add(&measure.durations, measure.received, is_failed);
            if let Outcome::Answered { status: status @ 1.., failed } = series.outcome {
                let known = statuses.entry((status, failed)).or_default();
                *known = known.saturating_add(number);
            }
        }
        let mut routes: Vec<_> = routes.into_iter().map(|(label, route)| (label.clone(), route)).collect();
        routes.sort_by_key(|(_, route)| std::cmp::Reverse(route.durations.sum()));
        let labels = totals.requests.keys().map(|series| &series.label.origin);
        let origins: BTreeSet<_> = labels.filter(|origin| !origin.is_empty()).cloned().collect();
        Self { routes, total, interrupted, statuses, origins: origins.into_iter().collect() }
    }

    /// What was requested, in words; where it went only if that is not always the same.
    pub(super) fn name(&self, label: &Label) -> String {
        if label.is_other() {
            return format!("other (all beyond {} series)", count(SERIES as u64));
        }
        let origin = if self.origins.len() > 1 { &*label.origin } else { "" };
        let space = if origin.is_empty() || label.route.starts_with('/') { "" } else { " " };
        clean(&format!("{} {origin}{space}{}", label.method, label.route))
    }

    /// The table, where anything ended.
    pub(super) fn lines(&self, time: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        if self.total.count() > 0 {
            self.table(time, &mut lines);
        }
        if self.interrupted > 0 {
            if lines.is_empty() {
                lines.push("Requests".to_owned());
            }
            let were = if self.interrupted == 1 { "was" } else { "were" };
            let requests = counted(self.interrupted, "request");
            lines.push(format!("  {requests} {were} cut off by the end of the run, and not counted here"));
        }
        lines
    }

    fn table(&self, time: Duration, lines: &mut Vec<String>) {
        let shown = &self.routes[..self.routes.len().min(ROWS)];
        let title = if self.routes.len() > 1 { "Requests, most time spent first" } else { "Requests" };
        let names: Vec<_> = shown.iter().map(|(label, _)| self.name(label)).chain(["total".to_owned()]).collect();
        let routes = || shown.iter().map(|(_, route)| route).chain([&self.total]);

        let amounts = table(&["count", "failed", "rate", "received"], routes().map(|route| route.amounts(time)));
        let latencies = ["avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"];
        let latencies = table(&latencies, routes().map(Route::latencies));
        let widest = |lines: &[String]| lines.iter().map(|line| width(line)).max().unwrap_or_default();
        let figures = widest(&amounts);
        let longest = names.iter().map(|name| width(name)).chain([width(title)]).max().unwrap_or_default();
        // As wide as the latencies, unless that is too narrow for the names.
        let whole = (longest + 4 + figures).max(widest(&latencies) + 4).min(WIDTH);
        let room = whole.saturating_sub(figures + 4);

        let mut title = title.to_owned();
        if width(&title) > room + 2 {
            lines.push(std::mem::take(&mut title));
        }
        lines.push(left(&title, room + 2) + "  " + &right(&amounts[0], figures));
        lines.push(right(&latencies[0], whole));
        for (at, name) in names.iter().enumerate() {
            if at == shown.len() {
                lines.extend(more(shown.len(), self.routes.len(), "route"));
            }
            let mut name = shorten(name, WIDTH - 2);
            if width(&name) > room {
                lines.push(format!("  {name}"));
                name.clear();
            }
            lines.push(format!("  {}  {}", left(&name, room), right(&amounts[at + 1], figures)));
            lines.push(right(&latencies[at + 1], whole));
        }
    }
}

fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let heads = heads.iter().map(|&head| head.to_owned()).collect();
    align(&std::iter::once(heads).chain(rows).collect::<Vec<_>>(), &[], WIDTH)
}
