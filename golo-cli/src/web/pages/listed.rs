//! The list of runs.

use std::time::Duration;

use askama::Template;
use golo::report::{clean, count, duration, percent, rate};

use crate::results::keep::short;
use crate::results::store::{KeptRun, StoreError, Summary};
use crate::support::failure::Failure;
use crate::support::moments::date;
use crate::web::shelf::Shelf;

/// Number of runs on a page.
const MOST: u64 = 50;

/// The page with the list of runs.
#[derive(Template)]
#[template(path = "runs.html")]
pub(super) struct RunsPage {
    rows: Vec<Row>,
    /// Number of the page with newer runs.
    newer: Option<u64>,
    /// Number of the page with older runs.
    older: Option<u64>,
    has_store: bool,
}

/// A run in the list.
struct Row {
    run: String,
    short: String,
    name: String,
    plan: String,
    state: String,
    tone: &'static str,
    begun: String,
    requests: String,
    rate: String,
    p95: String,
    failed: String,
    has_failed: bool,
    /// True if the run can be compared.
    is_kept: bool,
}

/// Returns the page.
pub(super) async fn page(shelf: &Shelf, page: u64) -> Result<RunsPage, StoreError> {
    let mut kept = shelf.list(page.saturating_mul(MOST), MOST + 1).await?;
    let has_more = kept.len() as u64 > MOST;
    kept.truncate(MOST as usize);
    let own = shelf.own().filter(|_| page == 0).map(|own| Row {
        state: if own.is_over() { "ended" } else { "running" }.to_owned(),
        tone: "live",
        is_kept: false,
        ..Row::of(&own.names().run, &own.names().job)
    });
    let mut stored: Vec<_> = kept.into_iter().map(|(run, summary)| stored(&run, summary)).collect();
    // Running ones first; otherwise the newest first.
    stored.sort_by_key(|row| row.tone != "live");
    Ok(RunsPage {
        rows: own.into_iter().chain(stored).collect(),
        newer: page.checked_sub(1),
        older: has_more.then(|| page + 1),
        has_store: shelf.readers().is_some(),
    })
}

impl Row {
    fn of(run: &str, name: &str) -> Self {
        let unknown = || "-".to_owned();
        Self {
            run: run.to_owned(),
            short: short(run).to_owned(),
            name: clean(name),
            plan: String::new(),
            state: String::new(),
            tone: "bad",
            begun: String::new(),
            requests: unknown(),
            rate: unknown(),
            p95: unknown(),
            failed: unknown(),
            has_failed: false,
            is_kept: true,
        }
    }
}

fn stored(run: &KeptRun, summary: Result<Summary, Failure>) -> Row {
    let known = Row { plan: clean(&run.plan), ..Row::of(&run.run, &run.name) };
    let summary = match summary {
        Ok(summary) => summary,
        Err(reason) => return Row { state: clean(&reason.to_string()), is_kept: false, ..known },
    };
    let Summary { requests, requests_failed, requests_interrupted, rate_time_ns, rated_requests, .. } = summary;
    let is_running = run.is_running() && summary.verdict == "NOT ENDED";
    Row {
        tone: match &*summary.verdict {
            "PASSED" => "good",
            _ if is_running => "live",
            "INVALID" | "STOPPED" | "NOT ENDED" => "warning",
            _ => "bad",
        },
        state: if is_running { "running".to_owned() } else { summary.verdict },
        begun: date(summary.begun_at_ns).replace('T', " ").replace('Z', ""),
        requests: count(requests),
        rate: rate(rated_requests, Duration::from_nanos(rate_time_ns)),
        p95: summary.p95_ns.map_or_else(|| "-".to_owned(), |p95| duration(Duration::from_nanos(p95))),
        failed: percent(requests_failed, requests.saturating_add(requests_interrupted)),
        has_failed: requests_failed > 0,
        ..known
    }
}
