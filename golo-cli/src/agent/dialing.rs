//! An agent that dials out to a NATS server: it registers there, and answers the calls that arrive over the connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use golo::cli::say;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt as _;

use super::jobs::Agent;
use super::routes;
use super::uploads::Uploads;
use crate::http::server::Refusal;
use crate::nats::calls;
use crate::nats::connection::Nats;
use crate::nats::objects::Objects;
use crate::nats::registry::{RENEWAL, Registered, Registration, Registry};
use crate::support::environment::is_machine;
use crate::support::failure::Failure;

/// Interval between looks at the state of the agent.
const LOOK: Duration = Duration::from_millis(500);
/// Pause after a registration that failed, or whose name is another agent's.
const AGAIN: Duration = Duration::from_secs(2);
/// Longest time to remove a registration.
const REMOVAL: Duration = Duration::from_secs(2);

/// Registers the agent and answers calls until `over` is true. Tries for ever.
pub(super) async fn dial(agent: Arc<Agent>, nats: Nats, mut over: watch::Receiver<bool>) {
    let fetching = Fetching { agent: Arc::clone(&agent), nats: nats.clone() };
    let router = routes::router(Arc::clone(&agent)).merge(fetching.router());
    let name = agent.options.name.clone();
    let mut entry = Entry::new(agent, nats.clone());
    let mut is_new = true;
    while !*over.borrow() {
        tokio::select! {
            () = entry.take() => {}
            _ = over.wait_for(|is| *is) => break,
        }
        if std::mem::take(&mut is_new) {
            say(format_args!("golo agent: registered as {name} at the NATS server {}", nats.name()));
        }
        let (subject, statuses) = (calls::subject(&name), entry.agent.options.statuses.clone());
        let mut over_too = over.clone();
        let ended = async {
            tokio::select! {
                () = entry.keep() => {}
                _ = over_too.wait_for(|is| *is) => {}
            }
        };
        if let Err(failure) = calls::answer(&nats, subject, router.clone(), statuses, ended).await {
            say(format_args!("golo agent: {failure}"));
            sleep(AGAIN).await;
        }
    }
    entry.remove().await;
}

/// The agent's entry in the list of the server's agents.
struct Entry {
    agent: Arc<Agent>,
    nats: Nats,
    registry: Option<Registry>,
    revision: Option<u64>,
    registration: Registration,
    renewed: Instant,
    /// The last trouble, which is said once.
    trouble: Option<String>,
}

impl Entry {
    fn new(agent: Arc<Agent>, nats: Nats) -> Self {
        let registration = agent.registration();
        Self { agent, nats, registry: None, revision: None, registration, renewed: Instant::now(), trouble: None }
    }

    /// Registers, and tries again until it has succeeded.
    async fn take(&mut self) {
        self.note_state();
        while !self.renew().await {
            sleep(AGAIN).await;
            self.note_state();
        }
    }

    /// Renews the entry until another agent has the name.
    async fn keep(&mut self) {
        loop {
            sleep(LOOK).await;
            let is_due = self.renewed.elapsed() >= RENEWAL;
            if *self.agent.stopping.borrow() {
                // Nothing should choose this agent any more. It still answers the clients of its last job.
                self.remove().await;
                std::future::pending::<()>().await;
            }
            if (self.note_state() || is_due) && self.nats.is_up() && !self.renew().await && self.revision.is_none() {
                return;
            }
        }
    }

    /// Takes over the state of the agent. Returns true if it has changed.
    fn note_state(&mut self) -> bool {
        let now = self.agent.registration();
        let is_changed = self.registration != now;
        self.registration = now;
        is_changed
    }

    /// Adds or renews the entry. Returns false if that failed; then `revision` is `None` if another agent has the name.
    async fn renew(&mut self) -> bool {
        match self.try_to_renew().await {
            Ok(Registered::Yes) => {
                self.renewed = Instant::now();
                if self.trouble.take().is_some() {
                    say("golo agent: registered again");
                }
                true
            }
            Ok(Registered::Taken) => {
                let name = &self.registration.name;
                self.complain(format!(
                    "another agent is registered as {name}: set another name with `--name`; waiting for it to leave"
                ));
                self.revision = None;
                false
            }
            Err(failure) => {
                // The server may have lost the bucket.
                self.registry = None;
                self.complain(format!("cannot register, trying again: {failure}"));
                // As long as it is not known to be another's, the name is kept.
                self.revision = self.revision.or(Some(0));
                false
            }
        }
    }

    async fn try_to_renew(&mut self) -> Result<Registered, Failure> {
        let registry = match self.registry.take() {
            Some(registry) => registry,
            None => Registry::open(&self.nats).await?,
        };
        let registered = registry.register(&self.registration, &mut self.revision).await;
        self.registry = Some(registry);
        registered
    }

    fn complain(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            say(format_args!("golo agent: {trouble}"));
            self.trouble = Some(trouble);
        }
    }

    /// Removes the entry, if it is this agent's.
    async fn remove(&mut self) {
        if let (Some(registry), Some(revision)) = (&self.registry, self.revision.take()) {
            // An entry that stays expires.
            _ = timeout(REMOVAL, registry.remove(&self.registration.name, revision)).await;
        }
    }
}

/// State of the calls by which an agent fetches files from the server.
#[derive(Clone)]
struct Fetching {
    agent: Arc<Agent>,
    nats: Nats,
}

impl Fetching {
    fn router(self) -> Router {
        Router::new()
            .route("/binaries/{hash}/fetch", post(fetch_binary))
            .route("/files/{hash}/fetch", post(fetch_file))
            .with_state(self)
    }

    /// Fetches a file, which has the name `name` in messages.
    async fn fetch(&self, uploads: &Uploads, hash: &str, name: &str) -> Result<StatusCode, Refusal> {
        if uploads.find(hash).is_some() {
            return Ok(StatusCode::NO_CONTENT);
        }
        let away = |failure: Failure| Refusal::new(StatusCode::BAD_GATEWAY, failure.to_string());
        let objects = Objects::open(&self.nats).await.map_err(away)?;
        let broken = |error: std::io::Error| {
            Refusal::new(StatusCode::BAD_GATEWAY, format!("the file cannot be fetched from the NATS server: {error}"))
        };
        let pieces = objects.get(hash).await.map_err(away)?.map(|piece| piece.map_err(broken));
        uploads.receive_as(Some(hash), Some(name), pieces, &self.agent.writing).await?;
        self.agent.count_upload();
        Ok(StatusCode::NO_CONTENT)
    }
}

async fn fetch_binary(
    State(fetching): State<Fetching>,
    Path(hash): Path<String>,
    name: String,
) -> Result<StatusCode, Refusal> {
    fetching.fetch(&fetching.agent.binaries, &hash, &name).await
}

async fn fetch_file(
    State(fetching): State<Fetching>,
    Path(hash): Path<String>,
    name: String,
) -> Result<StatusCode, Refusal> {
    fetching.fetch(&fetching.agent.files, &hash, &name).await
}

/// Reads a label of `--label`.
pub(super) fn label(text: &str) -> Result<(String, String), String> {
    let expected = "expected KEY=VALUE of at most 64 letters, digits, `-`, `_` and `.` each, as zone=eu";
    let (key, value) = text.split_once('=').ok_or(expected)?;
    if !is_machine(key) || !is_machine(value) {
        return Err(expected.to_owned());
    }
    if Registration::FIELDS.contains(&key) {
        return Err(format!(
            "`{key}` is known of each agent: expected another key than {}",
            Registration::FIELDS.join(", ")
        ));
    }
    Ok((key.to_owned(), value.to_owned()))
}
