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

/// Orders from the signals and, if there is one, from a channel of another source, such as a web page. A closed channel
/// does not stop the run.
#[derive(Debug)]
pub struct SignalsAndOrders {
    signals: Signals,
    orders: Option<mpsc::Receiver<Order>>,
}

impl SignalsAndOrders {
    /// Combines the signals with a channel. Without a channel, only signals order.
    #[must_use]
    pub fn new(signals: Signals, orders: Option<mpsc::Receiver<Order>>) -> Self {
        Self { signals, orders }
    }
}

impl Control for SignalsAndOrders {
    async fn next(&mut self) -> Order {
        loop {
            let Some(orders) = &mut self.orders else { return Control::next(&mut self.signals).await };
            tokio::select! {
                biased;
                order = Control::next(&mut self.signals) => return order,
                order = orders.recv() => match order {
                    Some(order) => return order,
                    None => self.orders = None,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    fn control(orders: mpsc::Receiver<Order>) -> SignalsAndOrders {
        SignalsAndOrders::new(Signals::listen().unwrap(), Some(orders))
    }

    /// Polls the control once and drops the future. Returns true if there was no order.
    async fn is_silent(control: &mut SignalsAndOrders) -> bool {
        tokio::select! {
            biased;
            _ = control.next() => false,
            () = ready(()) => true,
        }
    }

    #[tokio::test]
    async fn orders_come_in_sequence_and_a_closed_channel_stops_nothing() {
        let (sender, orders) = mpsc::channel(4);
        let mut control = control(orders);
        for order in [Order::Adjust(Target::Users(7)), Order::Stop, Order::Cut] {
            sender.try_send(order).unwrap();
        }
        assert_eq!(control.next().await, Order::Adjust(Target::Users(7)));
        drop(sender);
        assert_eq!([control.next().await, control.next().await], [Order::Stop, Order::Cut]);
        assert!(is_silent(&mut control).await);
    }

    #[tokio::test]
    async fn dropped_wait_loses_no_order() {
        let (sender, orders) = mpsc::channel(4);
        let mut control = control(orders);
        assert!(is_silent(&mut control).await);
        sender.try_send(Order::Adjust(Target::Users(3))).unwrap();
        sender.try_send(Order::Stop).unwrap();
        assert_eq!(control.next().await, Order::Adjust(Target::Users(3)));
        assert!(!is_silent(&mut control).await);
        assert!(is_silent(&mut control).await);
    }
}
