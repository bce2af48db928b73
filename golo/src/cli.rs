//! Functions that the `golo` command shares with a load test's own `run`.
//!
//! Only the `golo` command may use this module. It changes without notice.

pub use crate::engine::plan::parse_duration;
pub use crate::error::exit::Exit;
pub use crate::error::{chain, explained, is_request_error};
pub use crate::run_loop::reports::{ReportArgs, is_in_hurry, show};
pub use crate::run_loop::signals::Signals;
pub use crate::run_loop::{Order, RunCall, SignalsAndOrders};
pub use crate::runtime::{
    JobFile, Key, Kind, Mistake, OutcomeArgs, OwnFlags, RunArgs, RunExtras, Value, pair, refuse, run_driver, toml,
    wrong,
};
pub use crate::support::clock::TwoClocks;
pub use crate::support::message::{print, say};
pub use crate::support::secrets::without_secrets;
pub use crate::support::setting_error::SettingError;
pub use crate::support::threads::start_runtime;
pub use crate::support::until::until;
pub use crate::transport::client::install_provider;
pub use crate::transport::options::{Connections, TransportOptions};
pub use crate::transport::proxy::Proxy;
pub use crate::transport::targets::{check_among, check_proxies_among, is_target};
pub use crate::user::data_file::DataFile;
use crate::{BoxError, Error};

/// Creates an error of the tear-down.
pub fn torn_down(message: impl Into<String>) -> Error {
    Error::teardown(message, None)
}

/// Creates an error for a load test that could not start.
pub fn not_started(message: impl Into<String>, source: Option<BoxError>) -> Error {
    Error::start(message, source)
}
