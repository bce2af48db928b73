//! Has agents stop, and cut, what they run: an order is repeated until it has arrived.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::part::Part;
use crate::{drive::run_end::RunEnd, http::client::CallError};

/// The pause after a call that did not arrive.
const PAUSE: Duration = Duration::from_millis(200);

/// What the agents are to do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Run.
    #[default]
    Run,
    /// Start nothing any more, and let what is in flight finish.
    Stop,
    /// Cut off what is in flight.
    Cut,
}

/// An order, and what is known of the end of the run.
#[derive(Debug, Clone, Default)]
pub struct Given {
    pub(super) order: Order,
    pub(super) run: RunEnd,
}

impl Given {
    /// Gives another order, unless that is less than what was given.
    pub(super) fn give(&mut self, order: Order, run: &RunEnd) {
        self.order = self.order.max(order);
        self.run.add(run);
    }
}

/// Passes orders on to an agent, until its part is over.
pub(super) async fn obey(part: Arc<Part>, mut given: watch::Receiver<Given>) {
    let Some(job) = part.job() else { return };
    let Given { order: mut passed_on, run: mut told } = Given::default();
    loop {
        let Given { order, run } = given.borrow_and_update().clone();
        while passed_on < order || told != run {
            if part.is_over() {
                return;
            }
            // What says how the run ends may be repeated; what says nothing cuts.
            let is_cut = passed_on == Order::Stop && told == run;
            let said = if is_cut { RunEnd::default() } else { run.clone() };
            match part.agent.stop(&job, &said).await {
                Ok(_) if is_cut => passed_on = Order::Cut,
                Ok(_) => (passed_on, told) = (passed_on.max(Order::Stop), run.clone()),
                Err(CallError::Refused(status, _)) if !status.is_server_error() => return,
                Err(_) => sleep(PAUSE).await,
            }
        }
        if given.changed().await.is_err() {
            return;
        }
    }
}
