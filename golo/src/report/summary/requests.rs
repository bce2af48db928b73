//! Requests by route, with their durations, amounts and failures.

use std::collections::{BTreeMap, BTreeSet};

use super::{ROWS, more, quantiles, route::Route};
use crate::{
    engine::{
        histogram::Histogram,
        series::Label,
        snapshot::{Redirects, Snapshot},
    },
    report::{
        Page, RateTime,
        text::{align, clean, left, right, shorten, width},
        units::{count, counted, nanoseconds},
    },
};

/// The requests of a run by route, and its measured steps.
pub(in crate::report) struct Requests {
    /// Routes, those with the most time spent first.
    pub(in crate::report) routes: Vec<(Label, Route)>,
    /// All requests together.
    pub(in crate::report) total: Route,
    /// Number of requests that are derived from the tags of triggers.
    pub(in crate::report) from_tags: u64,
    /// Measured steps. They are not requests.
    pub(in crate::report) steps: Steps,
    /// Number of responses by status and by whether they count as failed.
    pub(in crate::report) statuses: BTreeMap<(u16, bool), u64>,
    /// Requests that followed an unknown number of redirects. One redirect is counted for each.
    pub(in crate::report) redirects_at_least: u64,
    /// Origins of all requests.
    pub(super) origins: Vec<Box<str>>,
}

/// Measured steps of a run by name.
#[derive(Default)]
pub(in crate::report) struct Steps {
    /// Steps, those with the most time spent first.
    pub(in crate::report) named: Vec<(Label, Route)>,
    /// All steps together.
    pub(in crate::report) total: Route,
}

impl Requests {
    pub(in crate::report) fn of(totals: &Snapshot) -> Self {
        let mut statuses = BTreeMap::new();
        for (series, measure) in &totals.requests {
            if let Some(status) = series.outcome.status()
                && !series.is_step()
            {
                let known: &mut u64 = statuses.entry((status, series.outcome.is_failed())).or_default();
                *known = known.saturating_add(measure.durations.count());
            }
        }
        let (routes, mut total) = by_label(totals, false);
        let (named, all_steps) = by_label(totals, true);
        let mut redirects = Redirects::default();
        totals.redirects.values().for_each(|of_label| redirects.merge(of_label));
        total.redirects = redirects.followed;
        let labels = totals.requests.keys().map(|series| &series.label.origin);
        let origins: BTreeSet<_> = labels.filter(|origin| !origin.is_empty()).cloned().collect();
        Self {
            routes,
            total,
            steps: Steps { named, total: all_steps },
            from_tags: totals.requests_from_tags,
            statuses,
            redirects_at_least: redirects.at_least,
            origins: origins.into_iter().collect(),
        }
    }

    /// Describes the redirects, if there were any: the number followed, and the requests that the target received.
    pub(in crate::report) fn redirected(&self) -> Option<String> {
        let followed = self.total.redirects;
        if followed == 0 {
            return None;
        }
        let seen = counted(self.total.tried().saturating_add(followed), "request");
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

    /// Returns the name of a route. It contains the origin only if the run has several.
    pub(in crate::report) fn name(&self, label: &Label) -> String {
        if label.is_other() {
            return other();
        }
        let origin = if self.origins.len() > 1 { &*label.origin } else { "" };
        let space = if origin.is_empty() || label.route.starts_with('/') { "" } else { " " };
        clean(&format!("{} {origin}{space}{}", label.method, label.route))
    }

    /// Returns the number of requests and measured steps that ended.
    pub(in crate::report) fn ended(&self) -> u64 {
        self.total.count().saturating_add(self.steps.total.count())
    }

    /// Returns the table of requests.
    pub(super) fn lines(&self, page: Page, rates: RateTime) -> Vec<String> {
        let named: Vec<_> = self.routes.iter().map(|(label, route)| (self.name(label), route)).collect();
        let mut lines = table(page, rates, ("Requests", "route"), &named, &self.total);
        let mut texts: Vec<_> = self.tag_note().into_iter().collect();
        texts.extend(self.total.remarks(rates, "request"));
        texts.extend(self.redirected());
        lines.extend(texts.iter().flat_map(|text| page.wrap("  ", 2, text)));
        lines
    }

    /// Describes requests that are derived from the tags of triggers.
    pub(in crate::report) fn tag_note(&self) -> Option<String> {
        tag_note(self.from_tags, self.total.tried())
    }

    /// Returns the table of measured steps.
    pub(super) fn lines_of_steps(&self, page: Page, rates: RateTime) -> Vec<String> {
        let Steps { named, total } = &self.steps;
        let named: Vec<_> = named.iter().map(|(label, step)| (step_name(label), step)).collect();
        let mut lines = table(page, rates, ("Steps", "step"), &named, total);
        lines.extend(total.remarks(rates, "step").iter().flat_map(|text| page.wrap("  ", 2, text)));
        lines
    }
}

/// Returns the name of a measured step.
pub(in crate::report) fn step_name(label: &Label) -> String {
    if label.is_other() { other() } else { clean(&label.route) }
}

fn other() -> String {
    "other (all past the limit of series)".to_owned()
}

/// Groups requests, or measured steps, by label, those with the most time spent first. Also returns all of them
/// together.
fn by_label(totals: &Snapshot, of_steps: bool) -> (Vec<(Label, Route)>, Route) {
    let mut routes: BTreeMap<&Label, Route> = BTreeMap::new();
    let mut total = Route::default();
    for (series, measure) in totals.requests.iter().filter(|(series, _)| series.is_step() == of_steps) {
        routes.entry(&series.label).or_default().add(measure, series.outcome);
        total.add(measure, series.outcome);
    }
    for (label, redirects) in &totals.redirects {
        // Past the limit of labels, some redirects belong to `other`, which may have no row.
        if let Some(route) = routes.get_mut(&**label) {
            route.redirects = redirects.followed;
        }
    }
    let mut routes: Vec<_> = routes.into_iter().map(|(label, route)| (label.clone(), route)).collect();
    routes.sort_by_key(|(_, route)| std::cmp::Reverse(route.all.durations.sum()));
    (routes, total)
}

/// Returns a table with one line per route if all columns fit, with two if half of them fit, and as a list otherwise.
/// Returns no line if nothing ended.
fn table(
    page: Page,
    rates: RateTime,
    (title, noun): (&str, &str),
    named: &[(String, &Route)],
    total: &Route,
) -> Vec<String> {
    match total.count() {
        0 if total.interrupted == 0 => return Vec::new(),
        0 => return vec![title.to_owned()],
        _ => {}
    }
    let shown = &named[..named.len().min(ROWS)];
    let title = if named.len() > 1 { format!("{title}, most time spent first") } else { title.to_owned() };
    let heads = std::iter::once(title).chain(AMOUNTS.into_iter().chain(LATENCIES).map(str::to_owned));
    let mut rows = vec![heads.collect()];
    let row = |(name, mut cells, durations): (String, Vec<String>, &Histogram)| {
        cells.insert(0, name);
        cells.extend(latencies(durations));
        cells
    };
    // If there is a single route, the total shows the same.
    for (name, route) in shown {
        rows.extend(route.rows(name, rates, named.len() > 1).into_iter().map(row));
    }
    let of_total: Vec<_> = total.rows("total", rates, true).into_iter().map(row).collect();
    let last = of_total.len();
    rows.extend(of_total);
    if noun == "step" {
        // Received bytes of a step are unknown.
        rows.iter_mut().skip(1).for_each(|row| "-".clone_into(&mut row[AMOUNTS.len()]));
    }
    let mut table = lines_of(page, &rows);
    if let Some(more) = more(shown.len(), named.len(), noun) {
        table.insert(table.len() - last, vec![more]);
    }
    table.into_iter().flatten().collect()
}

fn latencies(durations: &Histogram) -> Vec<String> {
    let mean = durations.mean().map(|mean| mean as u64);
    let mut cells = vec![nanoseconds(mean), nanoseconds(durations.min())];
    cells.extend(quantiles(durations, &[0.5, 0.9, 0.95, 0.99, 0.999]));
    cells.push(nanoseconds(durations.max()));
    cells
}

/// Describes the part of all requests that is derived from the tags of triggers.
pub(in crate::report) fn tag_note(number: u64, all: u64) -> Option<String> {
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
/// Width up to which a name must fit into one line with its figures, in columns.
const NAME: usize = 24;

/// Returns the lines of each row. The first row contains the heads.
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

/// Returns each name with its figures in the same line, or in the next line if the name is too long, followed by its
/// lines of `below`.
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
    fn amounts_wider_than_latencies_fit() {
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
