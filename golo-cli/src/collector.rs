//! The collector: receives results from agents, stores them and serves them.
//!
#![doc = include_str!("../docs/collector.md")]

mod api;
mod batch;
mod body;
mod line;
mod metrics;
mod push;
mod records;
mod refusals;
mod streamed;
mod writer;

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use axum::Router;
use axum::routing::{get, post};
use golo::cli::{Exit, Signals, chain, say};
use tokio::time::sleep;

pub use line::CollectorLine;

use crate::http::COLLECTOR_PORT;
use crate::http::server::{Refusal, Sessions, Statuses, serve};
use crate::nats::args::NatsOptions;
use crate::nats::calls::answer_in_turn;
use crate::nats::connection::Nats;
use crate::nats::results::{COLLECTORS, take};
use crate::results::readers::Readers;
use crate::results::store::{Store, StoreError, database_path};
use crate::support::environment::variable;
use crate::support::{failure::Failure, runtime};
use crate::web::{Shelf, Web, offer_pages};
use body::Bodies;
use metrics::Counts;
use writer::Writer;

/// Pause before questions over NATS are answered again.
const AGAIN: Duration = Duration::from_secs(1);

/// State of a collector, cloned for each request.
#[derive(Clone)]
pub struct Collector {
    writer: Writer,
    readers: Readers,
    counts: Arc<Counts>,
    statuses: Statuses,
    bodies: Bodies,
    sessions: Option<Sessions>,
}

impl Collector {
    /// Starts a collector that writes to `store`. `statuses` are the response counts for its metrics.
    ///
    /// # Errors
    ///
    /// Returns an error if no thread can be started.
    pub fn start(store: Store, statuses: Statuses) -> io::Result<Self> {
        let readers = Readers::of(store.path());
        let writer = Writer::start(store)?;
        Ok(Self { writer, readers, counts: Arc::default(), statuses, bodies: Bodies::default(), sessions: None })
    }

    /// Lets browsers log in.
    #[must_use]
    pub fn with_sessions(self, sessions: Sessions) -> Self {
        Self { sessions: Some(sessions), ..self }
    }

    /// Returns the routes by which agents bring results.
    fn ingestion(&self) -> Router {
        Router::new()
            .route("/api/runs/{run}/agents/{agent}/records", post(records::ingest))
            .route("/api/runs/{run}/agents/{agent}/next", get(records::next))
            .with_state(self.clone())
    }

    /// Returns the HTTP routes: the interface for programs, and the pages.
    pub fn router(self) -> Router {
        let pages = Web::new(Shelf::new(None, Some(self.readers.clone())), self.sessions.clone());
        Router::new()
            .route("/push/{db}", post(push::push))
            .route("/api/runs", get(api::runs))
            .route("/api/runs/{run}", get(api::run))
            .route("/api/runs/{run}/series", get(api::series))
            .route("/api/runs/{run}/seconds", get(api::seconds))
            .route("/api/runs/{run}/records", get(records::all))
            .route("/api/runs/{run}/agents/{agent}/records", post(records::ingest).get(records::page))
            .route("/api/runs/{run}/agents/{agent}/next", get(records::next))
            .route("/healthz", get(api::health))
            .route("/metrics", get(metrics::metrics))
            .with_state(self)
            .merge(pages.router())
    }
}

/// Takes results from a NATS server for ever, and answers the questions of agents there. Returns the failure if the server
/// cannot be used.
async fn take_over_nats(options: &NatsOptions, ingestion: Router, statuses: Statuses) -> Failure {
    let nats = match Nats::connect_patiently(options, "golo collector").await {
        Ok(nats) => nats,
        Err(failure) => return failure,
    };
    say(format_args!("golo collector: takes results from the NATS server {}", nats.name()));
    let answering = async {
        // It ends early if the connection is lost when it begins.
        while let Err(failure) =
            answer_in_turn(&nats, COLLECTORS, ingestion.clone(), statuses.clone(), std::future::pending()).await
        {
            say(format_args!("golo collector: agents cannot ask, trying again: {failure}"));
            sleep(AGAIN).await;
            nats.is_up_again().await;
        }
    };
    tokio::join!(answering, take(nats.clone(), ingestion.clone()));
    "the connection to the NATS server has ended".into()
}

/// Runs `golo collector` until a signal.
#[must_use]
pub fn collect(line: CollectorLine) -> ExitCode {
    run(line).unwrap_or_else(|failure| {
        say(format_args!("golo: {failure}"));
        Exit::BadConfiguration.into()
    })
}

/// Runs the collector and returns its exit code. Returns an error if it is configured wrongly.
fn run(line: CollectorLine) -> Result<ExitCode, Failure> {
    let mut options = line.server.into_options("collector", COLLECTOR_PORT, variable)?;
    let nats = line.nats.into_options(variable)?;
    let sessions = offer_pages(&mut options)?;
    let path = database_path(line.db).map_err(|error| error.to_string())?;
    let store = Store::open(&path)?;
    let runtime = match runtime::start() {
        Ok(runtime) => runtime,
        Err(code) => return Ok(code),
    };
    runtime.block_on(async {
        say(format_args!("golo collector: stores results in {}", store.path().display()));
        let collector = match Collector::start(store, options.statuses.clone()) {
            Ok(collector) => collector.with_sessions(sessions),
            Err(error) => {
                say(format_args!("golo: the thread that writes could not be started: {error}"));
                return Ok(Exit::NotStarted.into());
            }
        };
        let writer = collector.writer.clone();
        // Callers may send a signal as soon as they read the address.
        let mut signals = Signals::listen().map_err(|error| chain(&error))?;
        let (statuses, ingestion) = (options.statuses.clone(), collector.ingestion());
        let taking = async {
            match nats {
                Some(nats) => take_over_nats(&nats, ingestion, statuses).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            served = serve(collector.router(), options, async move { signals.next().await }) => served?,
            failure = taking => return Err(failure),
        }
        writer.close().await;
        Ok(ExitCode::SUCCESS)
    })
}
