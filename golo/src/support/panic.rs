//! Panics of a load test: caught, so that one trigger's never ends another's, and counted if nothing else tells of them.

mod hook;
mod stray;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    task::Poll,
};

use hook::{Catching, take_place};
pub(crate) use hook::{print_at_most, watch};
use stray::count;
pub(crate) use stray::{Stray, is_counted, take};

/// Runs `future`; a panic becomes an `Err` with its message. What the panic left behind must be dropped by the caller.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match catching(|| future.as_mut().poll(context)) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => Poll::Ready(Err(message(&*panicked.payload))),
    })
    .await
}

/// The same; a panic is counted as one outside of a trigger, `there` in the load test, since nothing else tells of it.
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

/// Runs `future`, a task of the load test; a panic is counted as one outside of a trigger, and goes on.
pub(crate) async fn counted<F: Future>(future: F) -> F::Output {
    // Boxed, or the task would have room for it twice.
    let mut future = Box::pin(future);
    std::future::poll_fn(|context| {
        catching(|| future.as_mut().poll(context)).unwrap_or_else(|panicked| {
            panicked.count("in a task");
            resume_unwind(panicked.payload)
        })
    })
    .await
}

/// A panic that was caught.
struct Caught {
    payload: Box<dyn Any + Send>,
    /// Where it was, if the hook has seen it.
    place: Option<String>,
}

impl Caught {
    fn count(&self, there: &str) {
        count(there, self.place.as_deref(), &message(&*self.payload));
    }
}

/// Runs what may panic, and tells the hook that somebody catches that.
fn catching<T>(run: impl FnOnce() -> T) -> Result<T, Caught> {
    let _catching = Catching::begin();
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| Caught { payload, place: take_place() })
}

/// Runs what is no future; a panic becomes an `Err` with its message.
pub(crate) fn caught_now<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catching(run).map_err(|panicked| message(&*panicked.payload))
}

pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    match text {
        Some(text) => format!("panicked: {text}"),
        None => "panicked with a payload that is no text".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_kinds_of_text_are_kept() {
        let number = 7;
        assert_eq!(caught(async { panic!("plain") }).await, Err::<(), _>("panicked: plain".to_owned()));
        assert_eq!(caught(async { panic!("with {number}") }).await, Err::<(), _>("panicked: with 7".to_owned()));
        let other = caught(async { std::panic::panic_any(number) }).await;
        assert_eq!(other, Err::<(), _>("panicked with a payload that is no text".to_owned()));
        assert_eq!(caught(async { number }).await, Ok(7));
    }
}
