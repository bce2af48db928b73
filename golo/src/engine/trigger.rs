//! Interface between the engine and a load test, which runs in this process or in another one.

use std::time::Duration;

use super::errors::ErrorKind;
use super::mix::Mix;
use crate::{Context, ResponseTag, metrics::journey::Journey};

/// A load test as the engine uses it.
pub trait Trigger: Send + Sync + 'static {
    /// State that one user keeps from trigger to trigger.
    type User: Send + 'static;

    /// Returns true if users have something to start and stop. If not, the engine waits for neither.
    fn has_users(&self) -> bool;

    /// Prepares a worker's thread. Called on that thread before anything is measured.
    ///
    /// # Errors
    ///
    /// Returns the reason if the thread cannot be prepared. The run does not start then.
    fn prepare(&self) -> Result<(), String>;

    /// Starts a user for triggers of the scenarios of `mix`. Nothing of this is measured.
    ///
    /// # Errors
    ///
    /// Returns the reason if the user could not start. The user does not run then.
    fn start(&self, context: &Context, mix: &Mix) -> impl Future<Output = Result<Self::User, String>> + Send;

    /// Runs the load test once. `is_measured` is true if the trigger counts.
    fn trigger(
        &self,
        context: Context,
        user: &mut Self::User,
        is_measured: bool,
    ) -> impl Future<Output = Outcome> + Send;

    /// Stops a user. Nothing of this is measured.
    fn stop(&self, user: Self::User) -> impl Future<Output = ()> + Send;
}

/// Outcome of a trigger.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Reason of the failure, if the trigger failed.
    pub failure: Option<Failure>,
    /// Think time, which is not part of the trigger's duration.
    pub thought: Duration,
    /// Time in requests and measured steps, with overlapping ones counted once. `None` if unknown.
    pub requesting: Option<Duration>,
    /// Journeys of the trigger's requests.
    pub journeys: Vec<Journey<u32>>,
    /// Tags of the trigger's response.
    pub tags: Vec<ResponseTag>,
}

/// Failure of a trigger.
#[derive(Debug)]
pub struct Failure {
    /// Kind of the failure. After [`ErrorKind::Panic`] the user is dropped and started anew.
    pub kind: ErrorKind,
    /// The reason and its causes.
    pub text: String,
    /// True if the failure is that of a request or measured step and was recorded there, so that it is not counted
    /// again.
    pub is_recorded: bool,
}

impl Failure {
    /// Creates a failure that was not recorded elsewhere.
    #[must_use]
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), is_recorded: false }
    }
}
