//! Users: per-user state, what a load test takes as `&mut S`.

pub(crate) mod cookies;
#[cfg(feature = "feed")]
pub(crate) mod feed;
pub(crate) mod member;
pub mod share;
pub(crate) mod shared;
pub(crate) mod think;

use crate::{BoxError, Context};

/// The state of one virtual user, which a load test takes as `&mut S`.
///
/// Nothing that `start` and `stop` do is measured as load: their requests reach no line and no report.
/// A user keeps its cookies, from `start` through every trigger to `stop`.
///
/// When a load test is served, a [`Context`](crate::Context) that names its user gets that user's state, and that
/// user's triggers queue; any other trigger is lent a state from a pool that grows on demand. States are bounded
/// in number, and ended when they have been idle for a minute. After a panic a state is dropped, and set up anew.
///
/// ```no_run
/// struct Shopper {
///     token: String,
/// }
///
/// impl golo::User for Shopper {
///     async fn start(context: &golo::Context) -> Result<Self, golo::BoxError> {
///         let name = format!("shopper-{}", context.user.unwrap_or_default());
///         let login = golo::client().post("http://127.0.0.1:8765/login").body(name).send().await?;
///         Ok(Self { token: login.error_for_status()?.text().await? })
///     }
/// }
///
/// #[golo::loadtest]
/// async fn account(shopper: &mut Shopper) -> Result<(), golo::RequestError> {
///     let journey = golo::new_sequence_id();
///     let account = golo::client().get("http://127.0.0.1:8765/account").bearer_auth(&shopper.token);
///     golo::do_request(&journey, account).await?;
///     Ok(())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a user of a load test",
    label = "does not implement `golo::User`",
    note = "a load test takes `&mut S` where `S: golo::User`, whose `start` sets up the state of one user"
)]
pub trait User: Send + Sized + 'static {
    /// Sets a user up before its first trigger. In the open model that trigger is late by the time this takes, and the
    /// report says so; a `--warm-up` starts users before measuring begins. `context` is that trigger's: it says which user this is, if any.
    ///
    /// # Errors
    ///
    /// A user that fails to start does not run: its trigger fails with this reason, and the next one tries again.
    fn start(context: &Context) -> impl Future<Output = Result<Self, BoxError>> + Send;

    /// Ends a user that will not be triggered again. Does nothing unless the load test wants it. The report counts those
    /// that panic, and those that take longer than the grace (`--graceful-stop`) and are cut off.
    fn stop(self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The user of a load test that keeps no state.
#[diagnostic::do_not_recommend]
impl User for () {
    async fn start(_: &Context) -> Result<Self, BoxError> {
        Ok(())
    }
}
