//! Has agents stop, and cut, what they run: an order is repeated until it has arrived.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use super::part::Part;
use crate::http_client::CallError;

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

/// Passes orders on to an agent, until its part is over.
pub(super) async fn obey(part: Arc<Part>, mut order: watch::Receiver<Order>) {
    let Some(job) = part.job() else { return };
    let mut passed_on = Order::Run;
    loop {
        let wanted = *order.borrow_and_update();
        while passed_on < wanted {
            if part.is_over() {
                return;
            }
            match part.agent.stop(&job).await {
                // The first call stops, the second one cuts.
                Ok(_) => passed_on = if passed_on == Order::Run { Order::Stop } else { Order::Cut },
                Err(CallError::Refused(status, _)) if !status.is_server_error() => return,
                Err(_) => sleep(PAUSE).await,
            }
        }
        if order.changed().await.is_err() {
            return;
        }
    }
}
