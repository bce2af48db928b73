//! Metrics outputs of the command `golo`, beside those of every load test.

pub mod store;

use golo::report::MetricsOutput;

use crate::results::keep::Keeper;
use store::StoreOutput;

/// Returns the outputs of a run on this machine. Records go to `keeper`, if there is one.
#[must_use]
pub fn of_run(keeper: Option<Keeper>) -> Vec<Box<dyn MetricsOutput>> {
    let mut outputs: Vec<Box<dyn MetricsOutput>> = Vec::new();
    outputs.extend(keeper.map(|keeper| Box::new(StoreOutput::new(keeper)) as Box<dyn MetricsOutput>));
    outputs
}
