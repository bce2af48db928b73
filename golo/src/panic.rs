//! Panics of a load test: caught, so that one trigger's never ends another's.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::Poll,
};

use crate::message::{above, say};

/// Runs `future`; a panic becomes an `Err` with its message. What the panic left behind must be dropped by the caller.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(payload) => Poll::Ready(Err(message(&*payload))),
    })
    .await
}

/// Runs what is no future; a panic becomes an `Err` with its message.
pub(crate) fn caught_now<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| message(&*payload))
}

/// Has only the first `most` panics from here on print what they print: the others are counted by whoever caught them.
pub(crate) fn print_at_most(most: usize) {
    let print = std::panic::take_hook();
    let left = AtomicUsize::new(most);
    std::panic::set_hook(Box::new(move |panic| {
        if let Ok(before) = left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            above(|| print(panic));
            if before == 1 {
                say("golo: further panics are counted, and not printed");
            }
        }
    }));
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
