//! The summary of a run: plain text of 80 columns, the verdict first.

mod errors;
mod generator;
mod headline;
mod journeys;
mod load;
mod requests;
#[cfg(test)]
mod tests;
mod triggers;

use super::{
    Verdict,
    text::{left, wrap},
    units::{counted, nanoseconds},
};
use crate::engine::{Finished, histogram::Histogram};
use requests::Requests;

/// Most rows of a table; the others are counted.
const ROWS: usize = 50;
/// Columns of what a line of a section is about.
const LABEL: usize = 12;

/// What a run came to, for people: its verdict, and everything measured that says why.
#[must_use]
pub fn summary(finished: &Finished, verdict: &Verdict) -> String {
    let totals = &finished.totals;
    let requests = Requests::of(totals);
    let sections = [
        headline::lines(finished, verdict, &requests),
        load::lines(finished, &requests),
        requests.lines(finished.whole_time),
        triggers::lines(finished),
        journeys::lines(totals, &requests),
        errors::checks(totals),
        errors::statuses(&requests),
        errors::lines(totals),
        generator::lines(finished),
    ];
    let sections: Vec<String> =
        sections.iter().filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n") + "\n").collect();
    sections.join("\n")
}

/// One line of a section, or more where there is more to say: what it is about, then what there is to say.
fn said(label: &str, text: &str) -> Vec<String> {
    wrap(&format!("  {}  ", left(label, LABEL - 1)), LABEL + 3, text)
}

/// Says that there is more than is shown.
fn more(shown: usize, all: usize, noun: &str) -> Option<String> {
    let rest = all.saturating_sub(shown);
    (rest > 0).then(|| format!("  … and {}", counted(rest as u64, &format!("more {noun}"))))
}

/// Some quantiles of a histogram, as they are shown.
fn quantiles(histogram: &Histogram, quantiles: &[f64]) -> Vec<String> {
    histogram.quantiles(quantiles).into_iter().map(nanoseconds).collect()
}
