//! Functions that the `golo` command shares with a load test's own `run`.
//!
//! Only the `golo` command may use this module. It changes without notice.

use crate::{BoxError, Error};
pub use crate::{
    engine::plan::parse_duration,
    error::{chain, exit::Exit, is_request_error},
    run_loop::{
        RunCall,
        reports::{ReportArgs, show},
        signals::Signals,
    },
    runtime::{JobFile, Key, Kind, Mistake, OwnFlags, RunArgs, Value, pair, refuse, run_driver, toml, wrong},
    support::{
        message::{print, say},
        secrets::without_secrets,
        setting_error::SettingError,
        until::until,
    },
    transport::{
        client::install_provider,
        proxy::Proxy,
        targets::{check_proxy_among, is_target},
    },
};

/// Creates an error of the tear-down.
pub fn torn_down(message: impl Into<String>) -> Error {
    Error::teardown(message, None)
}

/// Creates an error for a load test that could not start.
pub fn not_started(message: impl Into<String>, source: Option<BoxError>) -> Error {
    Error::start(message, source)
}
