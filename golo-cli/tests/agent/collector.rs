//! A minimal collector. It stores records in memory, in a store that outlives it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use golo_proto::results::Record;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::support::decoded;

/// Committed records by run and agent.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) records: HashMap<(String, String), Vec<Record>>,
    pub(crate) tokens: Vec<String>,
    /// The job that sent each part.
    pub(crate) jobs: HashMap<(String, String), String>,
    /// Number of requests for the next record number.
    pub(crate) asked: usize,
}

impl Kept {
    /// Returns the refusal if another job already sent this part.
    fn refusal(&mut self, part: &(String, String), query: &HashMap<String, String>) -> Option<Taken> {
        let job = query["job"].clone();
        let is_other = *self.jobs.entry(part.clone()).or_insert_with(|| job.clone()) != job;
        is_other.then(|| (StatusCode::CONFLICT, Json(json!({ "error": "told by another job" }))))
    }
}

type Taken = (StatusCode, Json<Value>);

type Store = Arc<Mutex<Kept>>;

/// A collector that answers until it is dropped.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Collector {
    /// Starts a collector on an address of loopback that no other test uses: its port is still free after it was dropped.
    pub(crate) async fn start(store: Store) -> Self {
        static STARTED: AtomicU8 = AtomicU8::new(1);
        let [high, low] = (std::process::id() as u16).to_be_bytes();
        // Elsewhere loopback has a single address.
        let address = match cfg!(target_os = "linux") {
            true => [127, 64 | high & 63, low, STARTED.fetch_add(1, Relaxed)],
            false => [127, 0, 0, 1],
        };
        Self::at((address, 0).into(), store).await
    }

    /// Starts a collector on the address of an earlier one.
    pub(crate) async fn at(address: SocketAddr, store: Store) -> Self {
        let router = Router::new()
            .route("/api/runs/{run}/agents/{agent}/next", get(next))
            .route("/api/runs/{run}/agents/{agent}/records", post(take))
            .with_state(store);
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, server }
    }
}

async fn next(
    State(store): State<Store>,
    Path(part): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Taken {
    let mut store = store.lock().unwrap();
    store.asked += 1;
    if let Some(refusal) = store.refusal(&part, &query) {
        return refusal;
    }
    store.tokens.extend(headers.get("authorization").map(|token| token.to_str().unwrap().to_owned()));
    (StatusCode::OK, Json(json!({ "next": store.records.entry(part).or_default().len() })))
}

async fn take(
    State(store): State<Store>,
    Path(part): Path<(String, String)>,
    Query(query): Query<HashMap<String, String>>,
    body: Bytes,
) -> Taken {
    let mut store = store.lock().unwrap();
    if let Some(refusal) = store.refusal(&part, &query) {
        return refusal;
    }
    let from: usize = query["from"].parse().unwrap();
    let kept = store.records.entry(part).or_default();
    if from > kept.len() {
        return (StatusCode::CONFLICT, Json(json!({ "next": kept.len() })));
    }
    let there = kept.len() - from;
    kept.extend(decoded(&body).into_iter().skip(there));
    (StatusCode::OK, Json(json!({ "next": kept.len() })))
}
