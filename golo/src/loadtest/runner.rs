//! `Runner`: the interface of the older go-lo, a struct with a `run` method.

/// A struct that holds its configuration and runs once for each trigger, as in the older go-lo.
///
/// New load tests are functions with [`#[golo::loadtest]`](macro@crate::loadtest). Serve a runner with
/// [`Loadtest::runner`](crate::Loadtest::runner):
///
/// ```no_run
/// struct Front {
///     url: String,
/// }
///
/// impl golo::Runner for Front {
///     async fn run(&self) {
///         let journey = golo::new_sequence_id();
///         let _ = golo::do_request(&journey, golo::client().get(&self.url)).await;
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     golo::Loadtest::runner(Front { url: "http://127.0.0.1:8765/".into() }).start()
/// }
/// ```
pub trait Runner: Send + Sync + 'static {
    /// Runs one trigger. If it panics, the trigger fails with the panic's message.
    fn run(&self) -> impl Future<Output = ()> + Send;
}
