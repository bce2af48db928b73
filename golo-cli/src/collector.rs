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
mod writer;

use std::{process::ExitCode, sync::Arc};

use axum::{
    Router,
    routing::{get, post},
};
use golo::cli::{Exit, Signals, chain, say};

pub use line::CollectorLine;

use crate::{
    http::COLLECTOR_PORT,
    http::server::{Refusal, ServerOptions, Statuses, serve},
    results::{
        readers::Readers,
        store::{Store, StoreError, database_path},
    },
    support::{environment::variable, failure::Failure},
};
use body::Bodies;
use metrics::Counts;
use writer::Writer;

/// State of a collector, cloned for each request.
#[derive(Clone)]
pub struct Collector {
    writer: Writer,
    readers: Readers,
    counts: Arc<Counts>,
    statuses: Statuses,
    bodies: Bodies,
}

impl Collector {
    /// Starts a collector that writes to `store`. `statuses` are the response counts for its metrics.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start a thread.
    pub fn start(store: Store, statuses: Statuses) -> std::io::Result<Self> {
        let readers = Readers::of(store.path());
        Ok(Self { writer: Writer::start(store)?, readers, counts: Arc::default(), statuses, bodies: Bodies::default() })
    }

    /// Returns the HTTP routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/push/{db}", post(push::push))
            .route("/api/runs", get(api::runs))
            .route("/api/runs/{run}", get(api::run))
            .route("/api/runs/{run}/series", get(api::series))
            .route("/api/runs/{run}/seconds", get(api::seconds))
            .route("/api/runs/{run}/records", get(records::all))
            .route("/api/runs/{run}/agents/{agent}/records", post(records::ingest))
            .route("/api/runs/{run}/agents/{agent}/next", get(records::next))
            .route("/healthz", get(api::health))
            .route("/metrics", get(metrics::metrics))
            .with_state(self)
    }
}

/// Runs `golo collector` until a signal stops it.
#[must_use]
pub fn collect(line: CollectorLine) -> ExitCode {
    let opened = line.server.into_options("collector", COLLECTOR_PORT, variable).and_then(|options| {
        let path = database_path(line.db).map_err(|error| error.to_string())?;
        Ok((options, Store::open(&path)?))
    });
    let ran = opened.and_then(|(options, store)| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start: {error}"))?;
        runtime.block_on(run(options, store))
    });
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(format_args!("golo: {failure}"));
            Exit::BadConfiguration.into()
        }
    }
}

async fn run(options: ServerOptions, store: Store) -> Result<(), Failure> {
    say(format_args!("golo collector: stores results in {}", store.path().display()));
    let collector =
        Collector::start(store, options.statuses.clone()).map_err(|error| format!("cannot start: {error}"))?;
    let writer = collector.writer.clone();
    // Signals must be handled before the log reports that the collector listens.
    let mut signals = Signals::listen().map_err(|error| chain(&error))?;
    serve(collector.router(), options, async move { signals.next().await }).await?;
    writer.close().await;
    Ok(())
}
