//! Panics of a load test. They are caught, so that one trigger cannot end another. Those that appear nowhere else in
//! the report are counted.

mod hook;
mod stray;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::task::Poll;

use hook::{Catching, take_place};
pub(crate) use hook::{print_at_most, watch};
use stray::count;
pub(crate) use stray::{Stray, is_counted, take};

/// Runs `future`. If it panics, returns `Err` with the panic's message. The caller must drop what the panic left
/// behind.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match catching(|| future.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => Poll::Ready(Err(message(&*panicked.payload))),
    })
    .await
}

/// Like [`caught`], but counts a panic as one outside of a trigger, because nothing else reports it. `there` describes
/// its place in the load test, as in ``in a user's `stop` ``.
pub(crate) async fn caught_and_counted<F: Future>(there: &str, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match catching(|| future.as_mut().poll(context)) {
        Ok(poll) => poll.map(Some),
        Err(panicked) => {
            panicked.count(there);
            Poll::Ready(None)
        }
    })
    .await
}

/// Runs `future`, a task of the load test. A panic is counted as one outside of a trigger and then resumed.
pub(crate) async fn counted<F: Future>(future: F) -> F::Output {
    // Boxed, because the task would have room for the future twice otherwise.
    let mut future = Box::pin(future);
    std::future::poll_fn(|context| {
        catching(|| future.as_mut().poll(context)).unwrap_or_else(|panicked| {
            panicked.count("in a task");
            resume_unwind(panicked.payload)
        })
    })
    .await
}

/// A caught panic.
struct Caught {
    payload: Box<dyn Any + Send>,
    /// Location of the panic, if the hook has seen it.
    place: Option<String>,
}

impl Caught {
    fn count(&self, there: &str) {
        count(there, self.place.as_deref(), &message(&*self.payload));
    }
}

/// Runs code that may panic, and lets the hook see that the panic is caught.
fn catching<T>(run: impl FnOnce() -> T) -> Result<T, Caught> {
    let _catching = Catching::begin();
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| Caught { payload, place: take_place() })
}

/// Runs a closure. If it panics, returns `Err` with the panic's message.
pub(crate) fn caught_now<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catching(run).map_err(|panicked| message(&*panicked.payload))
}

pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    match text {
        Some(text) => format!("panicked: {text}"),
        None => "panicked with a payload that is not text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn caught_returns_the_text_of_a_panic() {
        let number = 7;
        assert_eq!(caught(async { panic!("plain") }).await, Err::<(), _>("panicked: plain".to_owned()));
        assert_eq!(caught(async { panic!("with {number}") }).await, Err::<(), _>("panicked: with 7".to_owned()));
        let other = caught(async { std::panic::panic_any(number) }).await;
        assert_eq!(other, Err::<(), _>("panicked with a payload that is not text".to_owned()));
        assert_eq!(caught(async { number }).await, Ok(7));
    }
}
