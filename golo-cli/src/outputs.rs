//! Metrics outputs of the command `golo`, beside those of every load test.

pub mod store;
pub mod web;

use golo::report::MetricsOutput;

use crate::results::keep::Keeper;
use store::StoreOutput;
use web::WebOutput;

/// Returns the outputs of a run: the store, if its records go to `keeper`, and the web page, if there is one.
#[must_use]
pub fn of_run(keeper: Option<Keeper>, web: Option<WebOutput>) -> Vec<Box<dyn MetricsOutput>> {
    let mut outputs: Vec<Box<dyn MetricsOutput>> = Vec::new();
    outputs.extend(keeper.map(|keeper| Box::new(StoreOutput::new(keeper)) as Box<dyn MetricsOutput>));
    outputs.extend(web.map(|web| Box::new(web) as Box<dyn MetricsOutput>));
    outputs
}
