//! Number of responses by status.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;

/// Counts responses by their status.
#[derive(Debug, Clone, Default)]
pub struct Statuses(Arc<Mutex<BTreeMap<u16, u64>>>);

impl Statuses {
    pub(crate) fn count(&self, status: StatusCode) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(status.as_u16()).or_default() += 1;
    }

    /// Writes them as the Prometheus counter `name` with the label `status`.
    pub fn write(&self, text: &mut String, name: &str) {
        _ = writeln!(text, "# HELP {name} HTTP requests that were answered, by status.\n# TYPE {name} counter");
        for (status, count) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            _ = writeln!(text, "{name}{{status=\"{status}\"}} {count}");
        }
    }
}
