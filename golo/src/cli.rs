//! What the `golo` command shares with a load test's own `run`.
//!
//! Public for that command, and nothing else may use it: it changes without notice.

use crate::{BoxError, Error};
pub use crate::{
    client::install_provider,
    engine::plan::parse_duration,
    error::{chain, is_request_error},
    message::say,
    proxy::Proxy,
    runtime::{
        Drive, JobFile, Key, Kind, Mistake, OwnFlags, ReportArgs, Reported, RunArgs, RunCall, Signals, Subject, Value,
        pair, print, refuse, run_subject, toml, wrong,
    },
    secrets::without_secrets,
    targets::{check_proxy_among, is_target},
    until::until,
};

/// An error of what comes after a run.
pub fn torn_down(message: impl Into<String>) -> Error {
    Error::teardown(message, None)
}

/// An error that keeps a load test from being started.
pub fn not_started(message: impl Into<String>, source: Option<BoxError>) -> Error {
    Error::start(message, source)
}
