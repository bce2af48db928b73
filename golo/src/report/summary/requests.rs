//! The requests by route: what each of them cost, and how many failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{ROWS, more, quantiles};
use crate::{
    engine::{
        histogram::Histogram,
        series::{Label, Outcome},
        snapshot::{Measure, Redirects, Snapshot},
    },
    measure,
    report::{
        Page,
        text::{align, clean, left, right, shorten, width},
        units::{bytes, count, counted, nanoseconds, percent, rate},
    },
};

/// The requests of a run that ended, by what was requested.
pub(in crate::report) struct Requests {
    /// The most time spent first.
    pub(in crate::report) routes: Vec<(Label, Route)>,
    /// All of them together.
    pub(in crate::report) total: Route,
    /// How many the run cut off.
    pub(in crate::report) interrupted: u64,
    /// How many are made of triggers' tags.
    pub(in crate::report) from_tags: u64,
    /// How many had each status, and whether that counts as failed.
    pub(in crate::report) statuses: BTreeMap<(u16, bool), u64>,
    /// Requests that followed an unknown number of redirects, of which one is counted.
    pub(in crate::report) redirects_at_least: u64,
    /// Where they went.
    pub(super) origins: Vec<Box<str>>,
}

/// What was measured of one route, whatever the outcome.
#[derive(Default)]
pub(in crate::report) struct Route {
    pub(in crate::report) durations: Histogram,
    pub(in crate::report) failed: u64,
    pub(in crate::report) received: u64,
    pub(in crate::report) sent: u64,
    /// Redirects that its requests followed.
    pub(in crate::report) redirects: u64,
}

impl Route {
    fn add(&mut self, measure: &Measure, is_failed: bool) {
        self.durations.merge(&measure.durations);
        self.received = self.received.saturating_add(measure.received);
        self.sent = self.sent.saturating_add(measure.sent);
        if is_failed {
            self.failed = self.failed.saturating_add(measure.durations.count());
        }
    }

    pub(in crate::report) fn count(&self) -> u64 {
        self.durations.count()
    }

    /// How many a second there were over this time.
    pub(in crate::report) fn per_second(&self, time: Duration) -> f64 {
        let seconds = time.as_secs_f64();
        if seconds > 0.0 { self.count() as f64 / seconds } else { 0.0 }
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
    pub(in crate::report) fn of(totals: &Snapshot) -> Self {
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
            routes.entry(&series.label).or_default().add(measure, is_failed);
            total.add(measure, is_failed);
            if let Some(status) = series.outcome.status() {
                let known = statuses.entry((status, is_failed)).or_default();
                *known = known.saturating_add(number);
            }
        }
        let mut redirects = Redirects::default();
        for (label, of_label) in &totals.redirects {
            redirects.merge(of_label);
            // A label of which every request was cut off has no row.
            if let Some(route) = routes.get_mut(&**label) {
                route.redirects = of_label.followed;
            }
        }
        total.redirects = redirects.followed;
        let mut routes: Vec<_> = routes.into_iter().map(|(label, route)| (label.clone(), route)).collect();
        routes.sort_by_key(|(_, route)| std::cmp::Reverse(route.durations.sum()));
        let labels = totals.requests.keys().map(|series| &series.label.origin);
        let origins: BTreeSet<_> = labels.filter(|origin| !origin.is_empty()).cloned().collect();
        let (from_tags, redirects_at_least) = (totals.requests_from_tags, redirects.at_least);
        let origins = origins.into_iter().collect();
        Self { routes, total, interrupted, from_tags, statuses, redirects_at_least, origins }
    }

    /// Redirects in words, if there were any: how many were followed, and what the target saw.
    pub(in crate::report) fn redirected(&self) -> Option<String> {
        let followed = self.total.redirects;
        if followed == 0 {
            return None;
        }
        let steps = self.routes.iter().filter(|(label, _)| *label.method == *measure::METHOD);
        let steps = steps.fold(0_u64, |sum, (_, route)| sum.saturating_add(route.count()));
        let requests = self.total.count().saturating_sub(steps).saturating_add(self.interrupted);
        let seen = counted(requests.saturating_add(followed), "request");
        let redirects = counted(followed, "redirect");
        Some(match self.redirects_at_least {
            0 => format!("{redirects} followed: the target saw {seen}"),
            hidden => format!(
                "at least {redirects} followed: the target saw at least {seen} (the load test's own redirect policy does \
                 not tell how many redirects {} followed)",
                counted(hidden, "request")
            ),
        })
    }

    /// What was requested, in words; where it went only if that is not always the same.
    pub(in crate::report) fn name(&self, label: &Label) -> String {
        if label.is_other() {
            return "other (all past the limit of series)".to_owned();
        }
        let origin = if self.origins.len() > 1 { &*label.origin } else { "" };
        let space = if origin.is_empty() || label.route.starts_with('/') { "" } else { " " };
        clean(&format!("{} {origin}{space}{}", label.method, label.route))
    }

    /// The table, where anything ended.
    pub(super) fn lines(&self, page: Page, time: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        if self.total.count() > 0 {
            self.table(page, time, &mut lines);
        }
        lines.extend(self.from_tags().into_iter().flat_map(|text| page.wrap("  ", 2, &text)));
        if self.interrupted > 0 {
            if lines.is_empty() {
                lines.push("Requests".to_owned());
            }
            let were = if self.interrupted == 1 { "was" } else { "were" };
            let requests = counted(self.interrupted, "request");
            let text = format!("{requests} {were} cut off by the end of the run, and not counted here");
            lines.extend(page.wrap("  ", 2, &text));
        }
        if let Some(text) = self.redirected() {
            if lines.is_empty() {
                lines.push("Requests".to_owned());
            }
            lines.extend(page.wrap("  ", 2, &text));
        }
        lines
    }

    /// Says that requests are made of triggers' tags.
    pub(in crate::report) fn from_tags(&self) -> Option<String> {
        from_tags(self.from_tags, self.total.count().saturating_add(self.interrupted))
    }

    /// In one line a route where they fit, in two where half of them do, else as a list.
    fn table(&self, page: Page, time: Duration, lines: &mut Vec<String>) {
        let shown = &self.routes[..self.routes.len().min(ROWS)];
        let title = if self.routes.len() > 1 { "Requests, most time spent first" } else { "Requests" };
        let names = shown.iter().map(|(label, _)| self.name(label)).chain(["total".to_owned()]);
        let mut rows = vec![[&[title], &AMOUNTS[..], &LATENCIES[..]].concat().into_iter().map(str::to_owned).collect()];
        for (name, route) in names.zip(shown.iter().map(|(_, route)| route).chain([&self.total])) {
            let mut row = vec![format!("  {name}")];
            row.extend(route.amounts(time));
            row.extend(route.latencies());
            rows.push(row);
        }
        let mut table = lines_of(page, &rows);
        if let Some(more) = more(shown.len(), self.routes.len(), "route") {
            let total = table.pop();
            table.push(vec![more]);
            table.extend(total);
        }
        lines.extend(table.into_iter().flatten());
    }
}

/// Says how many of all requests are made of triggers' tags.
pub(in crate::report) fn from_tags(number: u64, all: u64) -> Option<String> {
    let which = match number {
        0 => return None,
        1 if all <= 1 => "the request is".to_owned(),
        number if number >= all => "all requests are".to_owned(),
        number => format!("{} of {} requests are", count(number), count(all)),
    };
    Some(format!("{which} made of the tags `url`, `status` and `size` of triggers: the load test printed no `Output`"))
}

const AMOUNTS: [&str; 4] = ["count", "failed", "rate", "received"];
const LATENCIES: [&str; 8] = ["avg", "min", "p50", "p90", "p95", "p99", "p99.9", "max"];
/// Columns of a name that are enough for it to stand in one line with its figures.
const NAME: usize = 24;

/// The lines of each row, the heads first.
fn lines_of(page: Page, rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let part = |from: usize, to: usize| {
        let cells: Vec<_> = rows.iter().map(|row| row[from..to].to_vec()).collect();
        align(&cells, &[], usize::MAX)
    };
    let (figures, amounts) = (part(1, 1 + AMOUNTS.len() + LATENCIES.len()), part(1, 1 + AMOUNTS.len()));
    let latencies = part(1 + AMOUNTS.len(), 1 + AMOUNTS.len() + LATENCIES.len());
    let widest = |lines: &[String]| lines.iter().map(|line| width(line)).max().unwrap_or_default();
    let names: Vec<&String> = rows.iter().map(|row| &row[0]).collect();
    let longest = names.iter().map(|name| width(name)).max().unwrap_or_default();
    if longest.min(NAME) + 2 + widest(&figures) <= page.width {
        let room = longest.min(page.width - 2 - widest(&figures));
        return beside(page, &names, room, &figures, widest(&figures), &[]);
    }
    if widest(&latencies) + 4 <= page.width && widest(&amounts) + 4 <= page.width {
        // As wide as the latencies, unless that is too narrow for the names.
        let whole = (longest + 2 + widest(&amounts)).max(widest(&latencies) + 4).min(page.width);
        return beside(page, &names, whole - 2 - widest(&amounts), &amounts, whole, &latencies);
    }
    let list = |row: &Vec<String>| page.list(&[rows[0].clone(), row.clone()]).split_off(1);
    let heads = vec![rows[0][0].clone()];
    std::iter::once(heads).chain(rows[1..].iter().map(list)).collect()
}

/// Each name with its figures beside it, or below it where it is too long, and then what comes below these.
fn beside(
    page: Page,
    names: &[&String],
    room: usize,
    figures: &[String],
    whole: usize,
    below: &[String],
) -> Vec<Vec<String>> {
    let columns = figures.iter().map(|line| width(line)).max().unwrap_or_default();
    let lines = |(at, (name, figures)): (usize, (&&String, &String))| {
        let mut name = shorten(name, page.width);
        let mut lines = Vec::new();
        if width(&name) > room {
            lines.push(std::mem::take(&mut name));
        }
        lines.push(left(&name, room) + "  " + &right(figures, columns));
        lines.extend(below.get(at).map(|line| right(line, whole)));
        lines
    };
    names.iter().zip(figures).enumerate().map(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_that_are_wider_than_latencies_fit_too() {
        let heads = [&["Requests"], &AMOUNTS[..], &LATENCIES[..]].concat();
        let amounts = ["  GET /", "1,000,000,000,000", "<0.01%", "10,000,000/s", "18.4EB"];
        let row = [&amounts[..], &["1ms"; LATENCIES.len()]].concat();
        let rows = [heads, row].map(|row| row.into_iter().map(str::to_owned).collect());
        for columns in 30..140 {
            let lines = lines_of(Page::new(columns, false), &rows);
            assert!(lines.iter().flatten().all(|line| width(line) <= columns), "{columns}: {lines:#?}");
        }
    }
}
