//! How long the silence of an agent is borne: calls that were not answered are tried again.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::standstill::Standstill;
use crate::http::client::CallError;

/// Longest time that an agent may be unreachable.
const LONGEST: Duration = Duration::from_secs(10);
/// Pause after the first failed call. It doubles after each further one, up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Patience with one agent. It starts anew after each answer, and after this process stood still.
pub(super) struct Patience<'s> {
    standstill: &'s Standstill,
    last_answer: Instant,
    pause: Duration,
}

impl<'s> Patience<'s> {
    /// Returns the whole patience.
    pub(super) fn new(standstill: &'s Standstill) -> Self {
        Self { standstill, last_answer: Instant::now(), pause: PAUSE }
    }

    /// Restores the whole patience after an answer.
    pub(super) fn restore(&mut self) {
        (self.last_answer, self.pause) = (Instant::now(), PAUSE);
    }

    /// Waits before the next attempt. Returns false if the patience is over.
    pub(super) async fn wait(&mut self) -> bool {
        let left = LONGEST.saturating_sub(self.standstill.awake_since(self.last_answer));
        if left.is_zero() {
            return false;
        }
        sleep(self.pause.min(left)).await;
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
        true
    }
}

/// Makes a call, and repeats it while it is not answered and the patience is not over. The agent must bear a call that
/// arrives twice.
///
/// # Errors
///
/// Returns the error of the last attempt.
pub(super) async fn patiently<T, F: Future<Output = Result<T, CallError>>>(
    standstill: &Standstill,
    call: impl Fn() -> F,
) -> Result<T, CallError> {
    let mut patience = Patience::new(standstill);
    loop {
        match call().await {
            Err(CallError::Away(reason)) => {
                if !patience.wait().await {
                    return Err(CallError::Away(reason));
                }
            }
            answered => return answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn away() -> CallError {
        CallError::Away("it does not answer".to_owned())
    }

    #[tokio::test]
    async fn lost_connection_is_tried_again() {
        let tries = Cell::new(0);
        let call = async || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Err(away()) } else { Ok(tries.get()) }
        };
        assert_eq!(patiently(&Standstill::default(), call).await, Ok(3));
    }

    #[tokio::test]
    async fn refusal_is_final() {
        let tries = Cell::new(0);
        let refused = CallError::Refused(reqwest::StatusCode::TOO_MANY_REQUESTS, "full".to_owned());
        let call = async || {
            tries.set(tries.get() + 1);
            Err::<(), _>(refused.clone())
        };
        assert_eq!(patiently(&Standstill::default(), call).await, Err(refused.clone()));
        assert_eq!(tries.get(), 1);
    }

    #[tokio::test]
    async fn patience_ends_and_an_answer_restores_it() {
        let standstill = Standstill::default();
        let mut patience = Patience::new(&standstill);
        patience.last_answer = Instant::now().checked_sub(LONGEST).unwrap();
        assert!(!patience.wait().await);
        patience.restore();
        assert!(patience.wait().await);
    }
}
