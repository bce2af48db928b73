//! The target: it remembers when it received and answered each request.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::{Router, routing::get};
use tokio::net::TcpListener;

/// Time that an answer takes, so that some requests are always in flight.
const ANSWER: Duration = Duration::from_millis(20);

/// Requests of one part of a round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Times at which they arrived.
    pub(crate) arrived: Vec<Instant>,
    /// Times at which they were answered.
    pub(crate) answered: Vec<Instant>,
    /// Number of requests that had been received before.
    pub(crate) repeated: u64,
    /// Those that have been received.
    pub(crate) known: HashSet<String>,
}

/// Requests by round and part.
type Parts = HashMap<(String, String), Seen>;

/// A running target.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: String,
    parts: Arc<Mutex<Parts>>,
}

impl Target {
    /// Starts a target on a free port.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the target cannot listen")?;
        let target = Self { url: format!("http://{}", listener.local_addr()?), parts: Arc::default() };
        let router = Router::new().route("/{round}/{part}/{request}", get(answer)).with_state(target.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(target)
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of<T>(&self, round: &str, part: &str, change: impl FnOnce(&mut Seen) -> T) -> T {
        change(self.lock().entry((round.to_owned(), part.to_owned())).or_default())
    }

    /// Returns what a part of a round has sent.
    pub(crate) fn seen(&self, round: &str, part: &str) -> Seen {
        self.of(round, part, |seen| seen.clone())
    }

    /// Returns true if any part of a round has sent a request.
    pub(crate) fn is_loaded(&self, round: &str) -> bool {
        self.lock().iter().any(|((of, _), seen)| of == round && !seen.arrived.is_empty())
    }

    /// Forgets all requests.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }
}

async fn answer(
    State(target): State<Target>,
    Path((round, part, request)): Path<(String, String, String)>,
) -> &'static str {
    target.of(&round, &part, |seen| {
        seen.arrived.push(Instant::now());
        if !seen.known.insert(request) {
            seen.repeated += 1;
        }
    });
    tokio::time::sleep(ANSWER).await;
    target.of(&round, &part, |seen| seen.answered.push(Instant::now()));
    "ok"
}
