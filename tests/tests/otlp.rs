//! Metrics and traces of runs at a receiver of OTLP, which reads them with the messages of OpenTelemetry. What it has at
//! the end must equal the summary.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "support/acceptor.rs"]
mod acceptor;
#[path = "otlp/metrics.rs"]
mod metrics;
#[path = "otlp/outages.rs"]
mod outages;
#[path = "otlp/points.rs"]
mod points;
#[path = "otlp/receiver.rs"]
mod receiver;
#[path = "otlp/refusals.rs"]
mod refusals;
#[path = "otlp/runs.rs"]
mod runs;
#[path = "otlp/secrets.rs"]
mod secrets;
#[path = "otlp/tls.rs"]
mod tls;
#[path = "otlp/traces.rs"]
mod traces;
