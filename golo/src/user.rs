//! Users: state of virtual users, which a load test takes as `&mut S`.

pub(crate) mod cookies;
pub(crate) mod data_file;
#[cfg(feature = "feed")]
pub(crate) mod feed;
pub(crate) mod member;
pub mod share;
pub(crate) mod shared;
pub(crate) mod think;

use crate::{BoxError, Context};

/// State of one virtual user, which a load test takes as `&mut S`.
///
/// Nothing that `start` and `stop` do is measured as load: their requests are in no line and no report. A user keeps
/// its cookies from `start` through all triggers to `stop`.
///
/// When a load test is served, a [`Context`] may name its user. The trigger then gets that user's
/// state, and the triggers of one user run one after another. Any other trigger borrows a state from a pool that grows
/// on demand. The number of states is limited, and a state is ended after it has been idle for a minute. After a panic
/// the state is dropped and a new one is started.
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
    /// Starts a user before its first trigger. In the open model this makes that trigger late, which the report shows.
    /// A `--warm-up` starts users before the measurement begins. `context` belongs to that trigger. It contains the
    /// user's number, if there is one.
    ///
    /// # Errors
    ///
    /// If a user fails to start, its trigger fails with this error, and its next trigger tries again.
    fn start(context: &Context) -> impl Future<Output = Result<Self, BoxError>> + Send;

    /// Stops a user that will not be triggered again. Does nothing by default. The report counts stops that panic, and
    /// those that take longer than the grace (`--graceful-stop`) and are cut off.
    fn stop(self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// User of a load test without state.
#[diagnostic::do_not_recommend]
impl User for () {
    async fn start(_: &Context) -> Result<Self, BoxError> {
        Ok(())
    }
}
