//! Summary of a run as plain text, with the verdict first.

mod errors;
mod files;
mod generator;
mod headline;
mod journeys;
mod load;
mod requests;
mod route;
mod tags;
#[cfg(test)]
mod tests;
mod thresholds;
mod triggers;

use super::{
    Page, RateTime, RunOutcome,
    page::TITLE,
    units::{counted, nanoseconds},
};
use crate::engine::histogram::Histogram;
#[cfg(feature = "html")]
pub(super) use generator::UNOPTIMISED;
pub(super) use generator::warning;
#[cfg(feature = "html")]
pub(super) use generator::{Made, made};
pub(super) use headline::{has_failed_so, headline, reason};
#[cfg(feature = "html")]
pub(super) use load::warm_up;
pub(super) use load::{achieved_rate, asked_rate};
#[cfg(feature = "html")]
pub(super) use requests::tag_note;
pub(super) use requests::{Requests, Steps, step_name};
pub(super) use route::Route;
#[cfg(feature = "html")]
pub(super) use route::{said_after_load, said_cut_off};

/// Maximum number of rows of a table. Further rows are counted.
const ROWS: usize = 50;

/// Returns the summary of a run for people: the verdict, and the measurements that explain it.
#[must_use]
pub fn summary(outcome: &RunOutcome, page: Page) -> String {
    let finished = &outcome.finished;
    let verdict = &outcome.verdict();
    let totals = &finished.totals;
    let requests = Requests::of(totals);
    let rates = RateTime::of(finished);
    let head = headline::lines(page, outcome, verdict, &requests);
    let sections = [
        thresholds::lines(page, &outcome.thresholds),
        load::lines(page, finished, &requests),
        requests.lines(page, rates),
        requests.lines_of_steps(page, rates),
        triggers::lines(page, finished),
        journeys::lines(page, totals, &requests),
        tags::lines(page, totals),
        errors::checks(page, totals),
        errors::statuses(page, &requests),
        errors::lines(page, totals),
        generator::lines(page, finished),
        files::lines(page, outcome),
    ];
    let titled = sections.into_iter().map(|mut lines| {
        if let Some(title) = lines.first_mut() {
            *title = page.paint(TITLE, title);
        }
        lines
    });
    let sections = std::iter::once(head).chain(titled).filter(|lines| !lines.is_empty());
    sections.map(|lines| lines.join("\n") + "\n").collect::<Vec<_>>().join("\n")
}

/// Describes the rows that are not shown.
fn more(shown: usize, all: usize, noun: &str) -> Option<String> {
    let rest = all.saturating_sub(shown);
    (rest > 0).then(|| format!("  … and {}", counted(rest as u64, &format!("more {noun}"))))
}

/// Returns quantiles of a histogram, formatted.
fn quantiles(histogram: &Histogram, quantiles: &[f64]) -> Vec<String> {
    histogram.quantiles(quantiles).into_iter().map(nanoseconds).collect()
}
