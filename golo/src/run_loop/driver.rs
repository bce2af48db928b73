//! What a run drives: the load test of this process, one in another process, or a fleet of agents.

use tokio::sync::oneshot;

use super::engine::EngineHandle;
use crate::{
    Error,
    engine::{Options, Sinks, plan::Plan},
};

/// A load test that is ready to run a plan once it is set up. The [run loop](super::run) calls the methods in this order.
pub trait Driver {
    /// Name of the load test in messages.
    fn name(&self) -> &str;

    /// What [`set_up`](Self::set_up) does, in words: "giving up …".
    fn set_up_in_words(&self) -> &'static str;

    /// What [`tear_down`](Self::tear_down) does, in words: "cut off …".
    fn tear_down_in_words(&self) -> &'static str;

    /// Prepares the load test. Returns false if that was cut off, as it is once the other end of `is_cut` is dropped.
    ///
    /// # Errors
    ///
    /// Why the run cannot start.
    fn set_up(
        &mut self,
        sinks: &Sinks,
        is_cut: oneshot::Receiver<()>,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Starts an engine that runs the plan.
    ///
    /// # Errors
    ///
    /// Why the run cannot start.
    fn start(
        &mut self,
        plan: &Plan,
        options: &Options,
        sinks: Sinks,
    ) -> impl Future<Output = Result<Box<dyn EngineHandle>, Error>> + Send;

    /// Waits until the load test dies, and returns why. What is in flight is then cut off.
    fn died(&mut self) -> impl Future<Output = String> + Send {
        std::future::pending()
    }

    /// Waits until everything that was measured has arrived, once nothing is in flight any more.
    fn settle(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Returns what has not arrived all the same, in words.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Ends the load test.
    ///
    /// # Errors
    ///
    /// What went wrong with that.
    fn tear_down(&mut self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends the load test at once.
    fn kill(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}
