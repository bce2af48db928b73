//! Has agents stop, and cut, what they run: an order is repeated until it has arrived.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::part::Part;
use crate::{http_client::CallError, why::Why};

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

/// An order, and why it is given, where that is none of the agents' reasons.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) order: Order,
    pub(super) why: Option<Why>,
}

impl Given {
    /// What agents do until they are told otherwise.
    pub(super) const RUN: Self = Self { order: Order::Run, why: None };

    /// Gives another order, unless that is less than what was given. The first reason stays.
    pub(super) fn give(&mut self, order: Order, why: Option<Why>) {
        if self.order == Order::Run {
            self.why = why;
        }
        self.order = self.order.max(order);
    }
}

/// Passes orders on to an agent, until its part is over.
pub(super) async fn obey(part: Arc<Part>, mut given: watch::Receiver<Given>) {
    let Some(job) = part.job() else { return };
    let mut passed_on = Order::Run;
    loop {
        let Given { order: wanted, why } = given.borrow_and_update().clone();
        while passed_on < wanted {
            if part.is_over() {
                return;
            }
            match part.agent.stop(&job, why.as_ref()).await {
                // The first call stops, the second one cuts.
                Ok(_) => passed_on = if passed_on == Order::Run { Order::Stop } else { Order::Cut },
                Err(CallError::Refused(status, _)) if !status.is_server_error() => return,
                Err(_) => sleep(PAUSE).await,
            }
        }
        if given.changed().await.is_err() {
            return;
        }
    }
}
