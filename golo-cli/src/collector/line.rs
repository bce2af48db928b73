//! Command line of `golo collector`.

use std::path::PathBuf;

use clap::Args;

use crate::http::server::ServerArgs;
use crate::nats::args::NatsArgs;

/// Flags of `golo collector`.
#[derive(Debug, Args)]
#[command(
    after_help = "Runs until SIGINT, SIGTERM or SIGHUP. `sqlite3 FILE` can read the database, also while the collector runs."
)]
pub struct CollectorLine {
    /// Database file, created if it does not exist
    /// [env: GOLO_DB] [default: golo/runs.db in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Address, TLS and token of the server.
    #[command(flatten)]
    pub server: ServerArgs,
    /// NATS server from which to take the results of agents with `--collector nats`, too. Several collectors share them.
    #[command(flatten)]
    pub nats: NatsArgs,
}
