//! Metrics of the collector itself, in the Prometheus text format.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::{Collector, refusals::Failed};
use crate::results::store::Store;

/// Amount of data received since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    records: AtomicU64,
    record_bytes: AtomicU64,
    outputs: AtomicU64,
}

impl Counts {
    pub(super) fn records(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Relaxed);
        self.record_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn outputs(&self, outputs: u64) {
        self.outputs.fetch_add(outputs, Relaxed);
    }
}

pub(super) async fn metrics(State(collector): State<Collector>) -> Result<Response, Failed> {
    let bytes = collector.readers.read(|store: &Store| Ok(store.bytes())).await?;
    let Counts { records, record_bytes, outputs } = &*collector.counts;
    let mut text = String::new();
    for (name, kind, help, value) in [
        ("golo_collector_records_total", "counter", "New records of runs.", records.load(Relaxed)),
        (
            "golo_collector_record_bytes_total",
            "counter",
            "Bytes of received records, new or not.",
            record_bytes.load(Relaxed),
        ),
        ("golo_collector_outputs_total", "counter", "Pushed outputs.", outputs.load(Relaxed)),
        ("golo_collector_database_bytes", "gauge", "Size of the database on disk.", bytes),
    ] {
        _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    collector.statuses.write(&mut text, "golo_collector_http_requests_total");
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
