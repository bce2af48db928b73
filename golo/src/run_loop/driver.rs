//! The load test that a run drives: in this process, in another process, or on a fleet of agents.

use tokio::sync::oneshot;

use super::engine::EngineHandle;
use crate::Error;
use crate::engine::plan::Plan;
use crate::engine::standstill::Pause;
use crate::engine::{Options, Sinks};

/// A load test that can run a plan after it was set up. The [run loop](super::run) calls the methods in this order.
pub trait Driver {
    /// Returns the name of the load test for messages.
    fn name(&self) -> &str;

    /// Returns the object of "giving up …" in the message that [`set_up`](Self::set_up) was interrupted.
    fn set_up_in_words(&self) -> &'static str;

    /// Returns the object of "cut off …" in the message that [`tear_down`](Self::tear_down) was interrupted.
    fn tear_down_in_words(&self) -> &'static str;

    /// Prepares the load test. Returns false if it was cut off, which happens when the sender of `is_cut` is dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if the run cannot start.
    fn set_up(
        &mut self,
        sinks: &Sinks,
        is_cut: oneshot::Receiver<()>,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Starts an engine that runs the plan.
    ///
    /// # Errors
    ///
    /// Returns an error if the run cannot start.
    fn start(
        &mut self,
        plan: &Plan,
        options: &Options,
        sinks: Sinks,
    ) -> impl Future<Output = Result<Box<dyn EngineHandle>, Error>> + Send;

    /// Waits until the load test dies, and returns the reason. The run loop then cuts off the triggers in flight.
    fn died(&mut self) -> impl Future<Output = String> + Send {
        std::future::pending()
    }

    /// Waits until all measurements have arrived, after the last trigger has ended.
    fn settle(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Describes measurements that have not arrived after [`settle`](Self::settle), if any.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Returns true if this process is a part of the load generator. A run is invalid if such a process stands still.
    fn is_generator(&self) -> bool {
        true
    }

    /// Returns the times in which the process of the load test stood still, in the order of their ends, unless its own
    /// engine reports them.
    fn pauses(&self) -> Vec<Pause> {
        Vec::new()
    }

    /// Ends the load test.
    ///
    /// # Errors
    ///
    /// Returns an error if the tear-down fails.
    fn tear_down(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends the load test at once.
    fn kill(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}
