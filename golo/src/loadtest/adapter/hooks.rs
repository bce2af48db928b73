//! Signatures of `setup` and `teardown`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::IntoError;
use crate::{BoxError, Shared};

/// Function that may be a `setup`: it has no parameters.
pub trait Setup: Send + Sync + 'static {
    /// Value that the function returns. [`Loadtest::setup`](crate::Loadtest::setup) requires that it is a future. A
    /// bound here as well would report a `setup` that is not async twice.
    type Returned;

    /// Calls the function.
    fn setup(&self) -> Self::Returned;
}

impl<F, R> Setup for F
where
    F: Fn() -> R + Send + Sync + 'static,
{
    type Returned = R;

    fn setup(&self) -> R {
        self()
    }
}

/// Value that `setup` may return if the load test takes `Shared<T>`: a `T`, or a `Result` of one.
///
/// `T` is a type parameter and not an associated type: the macro names it, so that the compiler checks `setup` against
/// it.
#[diagnostic::on_unimplemented(
    message = "`setup` returns `{Self}`, but the load test needs `{T}`",
    label = "returns something other than `{T}`",
    note = "`setup` returns what the load test takes as `golo::Shared<T>`, either a `T` or a `Result` of one, or `()` if the load test takes none"
)]
pub trait IntoShared<T> {
    /// Returns the value to share.
    ///
    /// # Errors
    ///
    /// Returns the reason if `setup` failed. The run does not start then.
    fn into_shared(self) -> Result<T, BoxError>;
}

impl<T> IntoShared<T> for T {
    fn into_shared(self) -> Result<T, BoxError> {
        Ok(self)
    }
}

impl<T, E: IntoError> IntoShared<T> for Result<T, E> {
    fn into_shared(self) -> Result<T, BoxError> {
        self.map_err(IntoError::into_error)
    }
}

/// Value of a `setup` that runs once a run. It goes to the other members of the run as JSON.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to the other members of a run",
    label = "does not implement both `serde::Serialize` and `serde::Deserialize`",
    note = "`setup_scope = \"run\"` sends the value of `setup` to all agents as JSON: add `#[derive(serde::Serialize, serde::Deserialize)]` to its type, or leave `setup_scope` out, so that `setup` runs on each agent"
)]
pub trait Portable: Serialize + DeserializeOwned + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Portable for T {}

/// Function that may be a `teardown`: an async function that takes nothing or the `Shared<T>` of the load test.
///
/// `Marker` is the inferred type of the function. It keeps the two implementations apart.
#[diagnostic::on_unimplemented(
    message = "this function cannot be the `teardown` of a load test",
    label = "not an async function that takes nothing or `golo::Shared<{T}>`",
    note = "`teardown` is an `async fn` that takes nothing, or `golo::Shared<T>` where `T` is what `setup` returns"
)]
pub trait Teardown<T, Marker>: Send + Sync + 'static {
    /// Value that the function returns.
    type Future: Future;

    /// Calls the function.
    fn teardown(&self, shared: Shared<T>) -> Self::Future;
}

impl<T, F, R> Teardown<T, fn() -> R> for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future,
{
    type Future = R;

    fn teardown(&self, _: Shared<T>) -> R {
        self()
    }
}

impl<T, F, R> Teardown<T, fn(Shared<T>) -> R> for F
where
    F: Fn(Shared<T>) -> R + Send + Sync + 'static,
    R: Future,
{
    type Future = R;

    fn teardown(&self, shared: Shared<T>) -> R {
        self(shared)
    }
}

/// Value that `teardown` may return.
#[diagnostic::on_unimplemented(
    message = "`teardown` cannot return `{Self}`",
    label = "returns something other than `()` or `Result<(), E>`",
    note = "`teardown` returns `()` or `Result<(), E>`"
)]
pub trait IntoOutcome {
    /// Converts the value into a `Result`.
    ///
    /// # Errors
    ///
    /// Returns the reason if `teardown` failed.
    fn into_outcome(self) -> Result<(), BoxError>;
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: IntoError> IntoOutcome for Result<(), E> {
    fn into_outcome(self) -> Result<(), BoxError> {
        self.map_err(IntoError::into_error)
    }
}
