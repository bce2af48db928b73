//! The pages as HTML.

mod compared;
mod listed;

use askama::Template;
use golo::report::clean;

use super::board::Names;
use super::shelf::Shelf;
use crate::results::keep::short;
use crate::results::store::StoreError;

/// The page that asks for the token. It contains nothing of a run.
pub(super) const LOGIN: &str = include_str!("pages/login.html");

/// The page of a run. Its script fills it.
#[derive(Template)]
#[template(path = "run.html")]
struct RunPage<'a> {
    run: &'a str,
    short: &'a str,
    job: String,
    load_test: String,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    reason: &'a str,
}

/// Returns the page of a run.
pub(super) fn run(names: &Names) -> String {
    let Names { run, job, load_test } = names;
    render(&RunPage { run, short: short(run), job: clean(job), load_test: clean(load_test) })
}

/// Returns a page with an error.
pub(super) fn failed(reason: &str) -> String {
    render(&ErrorPage { reason })
}

/// Returns the list of runs. Pages are counted from 0.
///
/// # Errors
///
/// Returns an error if the store cannot be read.
pub(super) async fn list(shelf: &Shelf, page: u64) -> Result<String, StoreError> {
    listed::page(shelf, page).await.map(|page| render(&page))
}

/// Returns the comparison of two runs.
///
/// # Errors
///
/// Returns an error if a run cannot be read.
pub(super) async fn compare(shelf: &Shelf, a: String, b: String, is_forced: bool) -> Result<String, StoreError> {
    compared::page(shelf, a, b, is_forced).await.map(|page| render(&page))
}

fn render(page: &impl Template) -> String {
    // Rendering into a string fails only if a `Display` does.
    page.render().unwrap_or_else(|error| format!("<!doctype html><title>golo</title><p>{error}"))
}
