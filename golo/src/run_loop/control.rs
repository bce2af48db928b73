//! Orders for a run: from signals, and from a channel.

use std::time::SystemTime;

use tokio::sync::mpsc;

use super::signals::Signals;
use crate::engine::plan::Target;

/// An order for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Begin at this time, by the clock of this machine, or as soon as the run is ready. Without effect unless it is held.
    Start {
        /// When.
        at: SystemTime,
    },
    /// Change the load from now on.
    Adjust(Target),
    /// Start nothing any more; what is in flight may finish within the grace period.
    Stop,
    /// Cut off what is in flight.
    Cut,
    /// A signal of a person who waits: the first one stops the run, the next cuts off what is in flight.
    Interrupt,
}

/// Where the orders for a run come from.
pub trait Control {
    /// Waits for the next order. Dropping the future loses none.
    fn next(&mut self) -> impl Future<Output = Order> + Send;
}

impl Control for Signals {
    async fn next(&mut self) -> Order {
        Self::next(self).await;
        Order::Interrupt
    }
}

/// Orders of a channel. Once all its senders are gone the run stops.
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
