//! The value of a `setup` that runs once a run, on its way from the load test of one member of the run to those of all
//! others. It may be a secret: it stays in memory, and `Debug` does not show it.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use golo::cli::until;
use golo::report::duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Shortest time without a sign of the run's client, after which a member no longer waits for the others' end.
const UNWATCHED: Duration = Duration::from_secs(60);

/// One member's side of the exchange.
pub struct SetupExchange {
    /// Value that the load test of this member has returned.
    returned: watch::Sender<Option<Bytes>>,
    /// Value of another member, for the load test of this one.
    given: watch::Sender<Option<Bytes>>,
    /// Longest time to wait for that value. Without one, the run's client gives other signs of life.
    patience: Option<Duration>,
    /// End of the wait for that value, once it has begun.
    until: OnceLock<Option<Instant>>,
    /// True once the load of all other members has ended.
    are_others_over: watch::Sender<bool>,
    has_started: AtomicBool,
    /// Time of the last sign of the run's client.
    watched: Mutex<Instant>,
}

impl Default for SetupExchange {
    fn default() -> Self {
        Self {
            returned: watch::Sender::default(),
            given: watch::Sender::default(),
            patience: None,
            until: OnceLock::new(),
            are_others_over: watch::Sender::default(),
            has_started: AtomicBool::new(false),
            watched: Mutex::new(Instant::now()),
        }
    }
}

impl SetupExchange {
    /// Creates an exchange that waits for the value of another member for at most `patience`.
    #[must_use]
    pub fn bounded(patience: Duration) -> Self {
        Self { patience: Some(patience), ..Self::default() }
    }

    /// Records the value that the load test of this member has returned, as JSON.
    pub fn set_returned(&self, json: Bytes) {
        self.returned.send_replace(Some(json));
    }

    /// Returns the value that the load test of this member has returned, if it has.
    #[must_use]
    pub fn returned(&self) -> Option<Bytes> {
        self.returned.borrow().clone()
    }

    /// Returns a receiver that is notified when the load test has returned a value.
    #[must_use]
    pub fn returns(&self) -> watch::Receiver<Option<Bytes>> {
        self.returned.subscribe()
    }

    /// Records the value of another member.
    pub fn give(&self, json: Bytes) {
        self.given.send_replace(Some(json));
    }

    /// Waits for the value of another member. Returns an error if it does not come in time, counted from the first call.
    ///
    /// # Errors
    ///
    /// Returns the reason in words.
    pub async fn given(&self) -> Result<Bytes, String> {
        let mut given = self.given.subscribe();
        let ends = *self.until.get_or_init(|| Instant::now().checked_add(self.patience?));
        tokio::select! {
            given = given.wait_for(Option::is_some) => {
                if let Ok(Some(json)) = given.map(|given| given.clone()) {
                    return Ok(json);
                }
            }
            () = until(ends.map(Instant::into_std)) => {
                let waited = duration(self.patience.unwrap_or_default());
                return Err(format!("the value of `setup` of another member did not come within {waited}"));
            }
        }
        // The sender is in `self`.
        std::future::pending().await
    }

    /// Records that the load of this member has started.
    pub fn start(&self) {
        self.has_started.store(true, Relaxed);
    }

    /// Records that the run's client is there.
    pub fn watch(&self) {
        *self.watched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Records that the load of all other members has ended, so that this one may tear down.
    pub fn release(&self) {
        self.are_others_over.send_replace(true);
    }

    /// Waits until this member may tear down, after its own load has ended: at once, unless its `setup` was that of the whole
    /// run and the load has started. If the run's client is not there to say that the others are over, waits for a minute
    /// from now, or for twice the plan's `grace` if that is longer: by then the others have ended too.
    pub async fn may_tear_down(&self, grace: Duration) {
        if self.returned.borrow().is_none() || !self.has_started.load(Relaxed) {
            return;
        }
        self.watch();
        let unwatched = UNWATCHED.max(2 * grace);
        let mut are_others_over = self.are_others_over.subscribe();
        loop {
            let until = *self.watched.lock().unwrap_or_else(PoisonError::into_inner) + unwatched;
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                _ = are_others_over.wait_for(|is| *is) => return,
                () = sleep_until(until) => {}
            }
        }
    }

    /// Forgets the values, once the job is over.
    pub fn clear(&self) {
        self.returned.send_replace(None);
        self.given.send_replace(None);
    }
}

impl fmt::Debug for SetupExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetupExchange").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn is_pending(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn of_whole_run() -> SetupExchange {
        let exchange = SetupExchange::default();
        exchange.set_returned(Bytes::from_static(b"\"hush\""));
        exchange.start();
        exchange
    }

    #[tokio::test]
    async fn tear_down_of_a_whole_run_waits_for_the_others() {
        let exchange = of_whole_run();
        assert!(is_pending(exchange.may_tear_down(Duration::ZERO)));
        exchange.release();
        exchange.may_tear_down(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn tear_down_waits_for_nobody_else() {
        // Every member has its own `setup`, or no load has started.
        SetupExchange::default().may_tear_down(Duration::ZERO).await;
        let exchange = SetupExchange::default();
        exchange.set_returned(Bytes::new());
        exchange.may_tear_down(Duration::ZERO).await;
    }

    #[tokio::test(start_paused = true)]
    async fn value_of_a_client_that_has_gone_is_not_waited_for() {
        let exchange = SetupExchange::bounded(Duration::from_secs(600));
        let begun = Instant::now();
        // Only the last of these waits is not given up.
        for _ in 0..5 {
            assert!(tokio::time::timeout(Duration::from_secs(100), exchange.given()).await.is_err());
        }
        let reason = exchange.given().await.unwrap_err();
        assert_eq!(reason, "the value of `setup` of another member did not come within 10m");
        assert_eq!(begun.elapsed().as_secs(), 600);
        let exchange = SetupExchange::bounded(Duration::from_secs(600));
        exchange.give(Bytes::from_static(b"1"));
        assert_eq!(exchange.given().await.unwrap(), "1");
    }

    #[tokio::test(start_paused = true)]
    async fn tear_down_without_a_client_waits_for_the_time_that_others_may_take() {
        for (grace, expected) in [(0, 60), (30, 60), (90, 180)] {
            let exchange = of_whole_run();
            // The client left long before the end of this member's load.
            tokio::time::sleep(Duration::from_secs(600)).await;
            let ended = Instant::now();
            exchange.may_tear_down(Duration::from_secs(grace)).await;
            assert_eq!(ended.elapsed().as_secs(), expected, "{grace}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_comes_back_is_waited_for() {
        let exchange = of_whole_run();
        let ended = Instant::now();
        let watching = async {
            tokio::time::sleep(Duration::from_secs(50)).await;
            exchange.watch();
            std::future::pending().await
        };
        tokio::select! {
            () = exchange.may_tear_down(Duration::ZERO) => {}
            () = watching => {}
        }
        assert_eq!(ended.elapsed().as_secs(), 110);
    }

    #[test]
    fn debug_does_not_show_the_value() {
        assert_eq!(format!("{:?}", of_whole_run()), "SetupExchange { .. }");
    }
}
