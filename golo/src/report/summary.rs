//! Summary of a run as plain text, with the verdict first.

mod errors;
mod files;
mod headline;
mod journeys;
mod load;
mod own;
mod phases;
mod requests;
mod scenarios;
mod tags;
#[cfg(test)]
mod tests;
mod thresholds;
mod triggers;

use super::facts::{self, Fact};
use super::page::TITLE;
use super::requests::Requests;
use super::units::counted;
use super::{Page, RateTime, RunOutcome};
pub(super) use headline::Headline;
#[cfg(feature = "html")]
pub(super) use {
    errors::checks_by_failures,
    journeys::{are_shown, have_steps, not_kept, outcome},
    tags::beyond,
    triggers::has_due_times,
};

/// Maximum number of rows of a table. Further rows are counted.
const ROWS: usize = 50;

/// Returns the summary of a run for people: the verdict, and the measurements that explain it.
#[must_use]
pub fn summary(outcome: &RunOutcome, page: Page) -> String {
    let finished = &outcome.finished;
    let totals = &finished.totals;
    let requests = Requests::of(totals);
    let rates = RateTime::of(finished);
    let generator = finished.started_at.map(|_| facts::generator(finished, false));
    let sections = [
        thresholds::lines(page, &outcome.thresholds),
        section(page, "Load", load::load(outcome, &requests)),
        requests::lines(page, "Requests", &requests.routes, rates, [requests.tag_note(), requests.redirected()]),
        phases::lines(page, &requests),
        requests::lines(page, "Steps", &requests.steps, rates, [None, None]),
        own::own_tags(page, totals),
        own::own_groups(page, totals),
        own::own_metrics(page, totals, rates),
        triggers::lines(page, finished),
        scenarios::lines(page, finished),
        journeys::lines(page, totals, &requests),
        tags::lines(page, totals),
        errors::checks(page, totals),
        errors::statuses(page, &requests),
        errors::errors(page, totals),
        section(page, "Generator", generator.unwrap_or_default()),
        section(page, "Files", files::files(outcome)),
    ];
    let titled = sections.into_iter().map(|mut lines| {
        if let Some(title) = lines.first_mut() {
            *title = page.paint(TITLE, title);
        }
        lines
    });
    let head = Headline::of(outcome, &requests).lines(page);
    let sections = std::iter::once(head).chain(titled).filter(|lines| !lines.is_empty());
    sections.map(|lines| lines.join("\n") + "\n").collect::<Vec<_>>().join("\n")
}

/// Returns the title and a line for each fact; nothing if there are no facts.
fn section(page: Page, title: &str, facts: Vec<Fact>) -> Vec<String> {
    let title = (!facts.is_empty()).then(|| title.to_owned());
    title.into_iter().chain(facts.iter().flat_map(|fact| page.said(fact.label, &fact.text))).collect()
}

/// Returns a table with these heads; nothing if there are no rows. `texts` are its columns of text.
fn table(page: Page, heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>, texts: &[usize]) -> Vec<String> {
    let heads = heads.iter().map(|head| (*head).to_owned()).collect();
    let rows: Vec<_> = std::iter::once(heads).chain(rows).collect();
    if rows.len() == 1 { Vec::new() } else { page.table(&rows, texts) }
}

/// Describes the rows that are not shown.
fn more(shown: usize, all: usize, noun: &str) -> Option<String> {
    let rest = all.saturating_sub(shown);
    (rest > 0).then(|| format!("  … and {}", counted(rest as u64, &format!("more {noun}"))))
}
