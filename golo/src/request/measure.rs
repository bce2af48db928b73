//! Measured steps other than requests: SQL, files, any future.

use std::fmt::Display;

use crate::metrics::scope;
use crate::request::recording::Recording;
use crate::support::secrets::{without_credentials, without_secrets};

/// The method of a measured step's `Output`.
pub(crate) const METHOD: &str = "MEASURE";

/// Times `future` as a step of the journey `id` and returns its result. The step is in a series of its own called
/// `name`.
///
/// Its [`Output`](crate::Output) has `name` as URL and route, the method `MEASURE`, and no status or size. An `Err`
/// counts as failed, with its text as the error. Dropping the future before it ends records the error `cancelled`.
///
/// Calls of tonic clients and WebSockets have measurements of their own, see
/// [data and correlation](crate::data_and_correlation).
///
/// A step is not a request: reports show steps in a table of their own and leave them out of all figures of requests.
/// Thresholds use the metrics `steps`, `step_duration` and `step_failed`, with the tag `{step:…}`.
///
/// # Errors
///
/// Returns the error of `future` unchanged.
///
/// ```no_run
/// # async fn load_test() -> std::io::Result<()> {
/// let journey = golo::new_sequence_id();
/// let connected = golo::measure(&journey, "connect to the cache", async {
///     std::net::TcpStream::connect("127.0.0.1:6379")
/// });
/// let cache = connected.await?;
/// # Ok(()) }
/// ```
pub async fn measure<T, E: Display>(id: &str, name: &str, future: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let scope = scope::current();
    let sink = scope::sink_of(scope.as_deref());
    let name = &*without_credentials(name);
    if let Some(scope) = &scope {
        scope.note_sequence(id);
    }
    if let Some(room) = scope::room(&*sink, scope.as_deref()) {
        room.await;
    }
    let tags = scope::tags(scope.as_deref());
    let recording = Recording::start(id, METHOD.into(), name.into(), &*sink, scope.as_deref());
    let recording = recording.route(Some(name)).tags(tags);
    let result = future.await;
    match &result {
        Ok(_) => recording.finish(None),
        Err(error) => {
            let error = error.to_string();
            recording.finish(Some(&without_credentials(&error)));
            scope.as_ref().inspect(|scope| scope.note_failure(&without_secrets(&error)));
        }
    }
    if let Some(room) = scope::room(&*sink, scope.as_deref()) {
        room.await;
    }
    result
}
