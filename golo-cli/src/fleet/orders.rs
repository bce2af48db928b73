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
pub struct OrderState {
    pub(super) order: Order,
    pub(super) run: RunEnd,
}

impl OrderState {
    /// Adds an order and reasons. The stronger order applies.
    pub(super) fn add(&mut self, order: Order, run: &RunEnd) {
        self.order = self.order.max(order);
        self.run.add(run);
    }
}

/// Passes orders on to an agent until its part is over.
pub(super) async fn carry_out_orders(part: Arc<Part>, mut orders: watch::Receiver<OrderState>) {
    let Some(job) = part.job() else { return };
    let OrderState { order: mut passed_on, run: mut reported } = OrderState::default();
    loop {
        let OrderState { order, run } = orders.borrow_and_update().clone();
        while passed_on < order || reported != run {
            if part.is_over() {
                return;
            }
            // A call with reasons may be repeated and cuts nothing off. A call without reasons cuts off.
            let is_cut = passed_on == Order::Stop && reported == run;
            let reasons = if is_cut { RunEnd::default() } else { run.clone() };
            match part.agent.stop(&job, &reasons).await {
                Ok(_) if is_cut => passed_on = Order::Cut,
                Ok(_) => (passed_on, reported) = (passed_on.max(Order::Stop), run.clone()),
                Err(CallError::Refused(status, _)) if !status.is_server_error() => return,
                Err(_) => sleep(PAUSE).await,
            }
        }
        if orders.changed().await.is_err() {
            return;
        }
    }
}
