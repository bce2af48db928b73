//! Metrics outputs of the command `golo`, beside those of every load test.

pub mod store;

use golo::{cli::RunCall, report::MetricsOutput};

use crate::results::keep::{KeepArgs, Keeper};
use store::StoreOutput;

/// Returns the outputs of a run of the load test `name` on this machine.
#[must_use]
pub fn of_run(keep: &KeepArgs, name: &str, call: &RunCall) -> Vec<Box<dyn MetricsOutput>> {
    let mut outputs: Vec<Box<dyn MetricsOutput>> = Vec::new();
    if !keep.no_keep {
        let (keeper, keeping) = Keeper::start_alone(keep, name, call);
        outputs.push(Box::new(StoreOutput::new(keeper, keeping)));
    }
    outputs
}
