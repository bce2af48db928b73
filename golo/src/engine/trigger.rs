//! What the engine drives: a load test, in this process or behind a wire.

use std::time::Duration;

use super::errors::ErrorKind;
use crate::{Context, ResponseTag, metrics::journey::Journey};

/// A load test as the engine sees it.
pub trait Trigger: Send + Sync + 'static {
    /// What one user keeps from trigger to trigger.
    type User: Send + 'static;

    /// Whether users have anything to start and stop: where they have not, neither is waited for.
    fn has_users(&self) -> bool;

    /// Gets a worker's thread ready, on that thread, before anything is measured.
    ///
    /// # Errors
    ///
    /// Why it cannot be: the run does not start.
    fn prepare(&self) -> Result<(), String>;

    /// Starts a user. Nothing of it is measured.
    ///
    /// # Errors
    ///
    /// Why it could not: this user does not run.
    fn start(&self, context: &Context) -> impl Future<Output = Result<Self::User, String>> + Send;

    /// Runs the load test once; `is_measured` says whether it counts.
    fn trigger(
        &self,
        context: Context,
        user: &mut Self::User,
        is_measured: bool,
    ) -> impl Future<Output = Outcome> + Send;

    /// Stops a user. Nothing of it is measured.
    fn stop(&self, user: Self::User) -> impl Future<Output = ()> + Send;
}

/// How a trigger went.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// Time that is no part of its duration.
    pub thought: Duration,
    /// Time in requests and measured steps, those that overlap once; `None` if it is not known.
    pub requesting: Option<Duration>,
    /// The journeys of its requests.
    pub journeys: Vec<Journey<u32>>,
    /// The tags of its response.
    pub tags: Vec<ResponseTag>,
}

/// Why a trigger failed.
#[derive(Debug)]
pub struct Failure {
    /// [`ErrorKind::Panic`] where it panicked: its user is dropped and started anew.
    pub kind: ErrorKind,
    /// The reason, and its causes.
    pub text: String,
    /// Whether it is the failure of a request, or of a measured step, that was recorded: errors count it there.
    pub is_recorded: bool,
}

impl Failure {
    /// A failure that nothing else has recorded.
    #[must_use]
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), is_recorded: false }
    }
}
