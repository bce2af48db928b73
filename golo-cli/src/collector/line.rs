//! The command line of `golo collector`.

use std::path::PathBuf;

use clap::Args;

use crate::http::server::ServerArgs;

/// `golo collector`.
#[derive(Debug, Args)]
#[command(after_help = "It answers until SIGINT or SIGTERM. `sqlite3 FILE` reads what it keeps, also while it runs.")]
pub struct CollectorLine {
    /// The database, which is made where there is none
    /// [env: GOLO_DB] [default: golo/runs.db in $XDG_DATA_HOME or ~/.local/share]
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Where to listen, and to whom.
    #[command(flatten)]
    pub server: ServerArgs,
}
