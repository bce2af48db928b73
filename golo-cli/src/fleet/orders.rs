//! Has agents stop, and cut, what they run: an order is repeated until it has arrived.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::part::Part;
use crate::{http_client::CallError, run_end::RunEnd};

/// The pause after a call that did not arrive.
const PAUSE: Duration = Duration::from_millis(200);

/// What the agents are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Run.
    Run,
    /// Start nothing any more, and let what is in flight finish.
    Stop,
    /// Cut off what is in flight.
    Cut,
}

/// An order, and what is known of the end of the run.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) order: Order,
    pub(super) run: RunEnd,
}

impl Given {
    /// What agents do until they are told otherwise.
    pub(super) fn to_run() -> Self {
        Self { order: Order::Run, run: RunEnd::default() }
    }

    /// Gives another order, unless that is less than what was given.
    pub(super) fn give(&mut self, order: Order, run: &RunEnd) {
        self.order = self.order.max(order);
        self.run.add(run);
    }
}

/// Passes orders on to an agent, until its part is over.
pub(super) async fn obey(part: Arc<Part>, mut given: watch::Receiver<Given>) {
    let Some(job) = part.job() else { return };
    let Given { order: mut passed_on, run: mut told } = Given::to_run();
    loop {
        let Given { order, run } = given.borrow_and_update().clone();
        while passed_on < order || told != run {
            if part.is_over() {
                return;
            }
            match part.agent.stop(&job, &run).await {
                Ok(_) => {
                    passed_on = match passed_on {
                        Order::Run => Order::Stop,
                        // The second call that brings no news cuts.
                        Order::Stop if told == run => Order::Cut,
                        same => same,
                    };
                    told = run.clone();
                }
                Err(CallError::Refused(status, _)) if !status.is_server_error() => return,
                Err(_) => sleep(PAUSE).await,
            }
        }
        if given.changed().await.is_err() {
            return;
        }
    }
}
