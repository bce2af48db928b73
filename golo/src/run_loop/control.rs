//! Orders for a run, from signals or from a channel.

use std::time::SystemTime;

use tokio::sync::mpsc;

use super::signals::Signals;
use crate::engine::plan::Target;

/// An order for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Begins a held run at this time, or as soon as it is ready. Other runs ignore it.
    Start {
        /// Start time by the clock of this machine.
        at: SystemTime,
    },
    /// Changes the load from now on.
    Adjust(Target),
    /// Starts no further triggers. Triggers in flight may finish within the grace period.
    Stop,
    /// Cuts off the triggers in flight.
    Cut,
    /// A signal, for example Ctrl-C. The first one stops the run, and the second one cuts off the triggers in flight.
    Interrupt,
}

/// Source of the orders for a run.
pub trait Control {
    /// Waits for the next order. Dropping the future loses no order.
    fn next(&mut self) -> impl Future<Output = Order> + Send;
}

impl Control for Signals {
    async fn next(&mut self) -> Order {
        Self::next(self).await;
        Order::Interrupt
    }
}

/// Orders from a channel. The run stops once all senders are dropped.
#[derive(Debug)]
pub struct Orders {
    orders: mpsc::Receiver<Order>,
    is_open: bool,
}

impl From<mpsc::Receiver<Order>> for Orders {
    fn from(orders: mpsc::Receiver<Order>) -> Self {
        Self { orders, is_open: true }
    }
}

impl Control for Orders {
    async fn next(&mut self) -> Order {
        if !self.is_open {
            return std::future::pending().await;
        }
        self.orders.recv().await.unwrap_or_else(|| {
            self.is_open = false;
            Order::Stop
        })
    }
}
