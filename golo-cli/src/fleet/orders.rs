//! Passes orders to stop or to cut off on to agents. An order is repeated until it has arrived.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::part::Part;
use crate::{drive::run_end::RunEnd, http::client::CallError};

/// Pause after a call that did not arrive.
const PAUSE: Duration = Duration::from_millis(200);

/// An order to the agents. Later variants are stronger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    /// Run the plan.
    #[default]
    Run,
    /// Start no further triggers. Triggers in flight may finish.
    Stop,
    /// Cut off the triggers in flight.
    Cut,
}

/// An order and the known reasons for the end of the run.
#[derive(Debug, Clone, Default)]
pub struct Given {
    pub(super) order: Order,
    pub(super) run: RunEnd,
}

impl Given {
    /// Adds an order and reasons. The stronger order applies.
    pub(super) fn give(&mut self, order: Order, run: &RunEnd) {
        self.order = self.order.max(order);
        self.run.add(run);
    }
}

/// Passes orders on to an agent until its part is over.
pub(super) async fn obey(part: Arc<Part>, mut given: watch::Receiver<Given>) {
    let Some(job) = part.job() else { return };
    let Given { order: mut passed_on, run: mut told } = Given::default();
    loop {
        let Given { order, run } = given.borrow_and_update().clone();
        while passed_on < order || told != run {
            if part.is_over() {
                return;
            }
            // A call with reasons may be repeated and cuts nothing off. A call without reasons cuts off.
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
