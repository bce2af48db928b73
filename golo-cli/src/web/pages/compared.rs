//! The comparison of two runs.

use askama::Template;
use golo::cli::chain;

use crate::results::archive::replay_kept;
use crate::results::compare::{Comparison, Deciding, Outcome, Row, Seconds, Side, Tolerance, cells};
use crate::results::store::{KeptRun, Store, StoreError};
use crate::web::shelf::Shelf;

/// Change at the ends of the drawn intervals, as a share.
const WIDEST: f64 = 0.5;

/// Width of the narrowest drawn interval, of 100.
const NARROWEST: f64 = 2.0;

/// The page with a comparison.
#[derive(Template)]
#[template(path = "compare.html")]
pub(super) struct ComparePage {
    a: String,
    b: String,
    headline: String,
    tone: &'static str,
    /// Descriptions of both runs.
    sides: Vec<String>,
    remarks: Vec<String>,
    groups: Vec<(String, Vec<Line>)>,
    legend: String,
    /// True if a run is unfit, and the comparison is not forced.
    is_refused: bool,
}

/// A metric of both runs.
struct Line {
    cells: Vec<String>,
    tone: &'static str,
    interval: Option<Interval>,
}

/// An interval as it is drawn, from 0 to 100.
struct Interval {
    from: f64,
    width: f64,
}

/// Returns the page.
pub(super) async fn page(shelf: &Shelf, a: String, b: String, is_forced: bool) -> Result<ComparePage, StoreError> {
    shelf.read_whole(move |store| compared(store, a, b, is_forced)).await
}

fn compared(store: &Store, a: String, b: String, is_forced: bool) -> Result<ComparePage, StoreError> {
    let (run_a, run_b) = (store.find(&a)?, store.find(&b)?);
    let side_a = side(store, &a, &run_a)?;
    let other = if run_a.run == run_b.run { None } else { Some(side(store, &b, &run_b)?) };
    let side_b = other.as_ref().unwrap_or(&side_a);
    let mut unfit: Vec<_> = [&side_a, side_b].into_iter().filter_map(Side::unfit).collect();
    unfit.dedup();
    if !unfit.is_empty() && !is_forced {
        return Ok(ComparePage {
            a,
            b,
            headline: "NOT COMPARED: such a run does not describe the target".to_owned(),
            tone: "warning",
            sides: Vec::new(),
            remarks: unfit,
            groups: Vec::new(),
            legend: String::new(),
            is_refused: true,
        });
    }
    let comparison = Comparison::of(&side_a, side_b, Tolerance::USUAL, Deciding::Totals);
    let groups = comparison.groups().into_iter();
    Ok(ComparePage {
        a,
        b,
        headline: comparison.headline(),
        tone: match comparison.outcome() {
            Outcome::Regression => "bad",
            Outcome::NoRegression => "good",
            Outcome::TooNoisy | Outcome::TooLittle => "warning",
        },
        sides: comparison.sides().into(),
        remarks: comparison.remarks().collect(),
        groups: groups.map(|(title, rows)| (title.trim().to_owned(), rows.into_iter().map(line).collect())).collect(),
        legend: comparison.legend().replace('`', ""),
        is_refused: false,
    })
}

/// Reads a run that the page was asked for as `called`.
fn side(store: &Store, called: &str, run: &KeptRun) -> Result<Side, StoreError> {
    let parts = store.parts(run)?;
    let mut seconds = Seconds::default();
    let replayed = replay_kept(store, &parts, None, |second| seconds.add(second));
    let replayed = replayed.map_err(|failure| StoreError::Unusable(format!("run `{called}`: {}", chain(&failure))))?;
    Ok(Side::of(&replayed, seconds))
}

fn line(row: &Row) -> Line {
    let mut cells = cells(row);
    if let Some(name) = cells.first_mut() {
        *name = name.trim().to_owned();
    }
    let tone = match cells.last().map(String::as_str) {
        Some("worse") => "bad",
        Some("noisy") => "warning",
        Some("better") => "good",
        _ => "plain",
    };
    let place = |change: f64| (change.clamp(-WIDEST, WIDEST) / WIDEST + 1.0) * 50.0;
    let interval = row.low.zip(row.high).map(|(low, high)| {
        // An interval past an edge is drawn at the edge.
        let from = place(low).min(100.0 - NARROWEST);
        Interval { from, width: (place(high) - from).max(NARROWEST) }
    });
    Line { cells, tone, interval }
}
