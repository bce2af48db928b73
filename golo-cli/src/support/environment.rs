//! Environment variables, the user's data folder and the machine's name.

use std::path::PathBuf;

/// Variables that a load test does not get. With the first two it could have an agent run anything, with the third it
/// could steer its own run, `GOLO_SIGN_PASSWORD` opens a key, and the others are credentials of receivers of metrics and of
/// NATS.
pub const SECRETS: [&str; 19] = [
    "GOLO_TOKEN",
    "GOLO_COLLECTOR_TOKEN",
    "GOLO_WEB_TOKEN",
    "GOLO_PROMETHEUS_TOKEN",
    "GOLO_PROMETHEUS_RW_TOKEN",
    "GOLO_PROMETHEUS_RW_USER",
    "GOLO_PROMETHEUS_RW_PASSWORD",
    "GOLO_INFLUXDB_TOKEN",
    "GOLO_INFLUXDB_USER",
    "GOLO_INFLUXDB_PASSWORD",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "GOLO_SIGN_PASSWORD",
    "GOLO_NATS_TOKEN",
    "GOLO_NATS_USER",
    "GOLO_NATS_PASSWORD",
    "GOLO_NATS_NKEY",
    "GOLO_NATS_CREDS",
];

/// Maximum length of a machine's name, in bytes.
const LONGEST: usize = 64;

/// Returns an environment variable if it is set and not empty.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the folder for this user's data, following the XDG base directory specification.
#[must_use]
pub fn data_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The specification says to ignore a relative path.
    let data = folder("XDG_DATA_HOME").filter(|path| path.is_absolute());
    data.or_else(|| folder("HOME").map(|home| home.join(".local/share")))
}

/// True if `name` is a valid name for a machine: it can be part of URLs and file names.
#[must_use]
pub fn is_machine(name: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=LONGEST).contains(&name.len()) && name.chars().all(is_fine) && !name.starts_with('.')
}

/// Returns this machine's name without the characters that are not [allowed](is_machine), or `localhost`.
#[must_use]
pub fn machine() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name: String = name.chars().filter(|c| is_machine(&c.to_string()) || *c == '.').take(LONGEST).collect();
    if is_machine(&name) { name } else { "localhost".to_owned() }
}
