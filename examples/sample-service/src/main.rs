//! Command-line program of the sample service.
//!
//! ```text
//! cargo run -p sample-service -- --addr 127.0.0.1:8765
//! ```

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use sample_service::{ENDPOINTS, listen, router, serve};
use tokio::sync::Notify;

/// Time that requests in flight may take after the first signal.
const GRACE: Duration = Duration::from_secs(5);

/// A small HTTP server to load.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Address to listen on. There is no access control: keep it on loopback
    #[arg(long, value_name = "IP:PORT", env = "SAMPLE_SERVICE_ADDR", default_value = "127.0.0.1:8765")]
    addr: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { addr } = Arguments::parse();
    match run(addr).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(addr: SocketAddr) -> io::Result<()> {
    let listener = listen(addr).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => "the port is taken; choose another with `--addr`".to_owned(),
            _ => error.to_string(),
        };
        io::Error::new(error.kind(), format!("cannot listen on {addr}: {reason}"))
    })?;
    let mut signals = Signals::listen()?;
    eprintln!("listening on http://{}/\n\n{}", listener.local_addr()?, endpoint_table());

    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    tokio::select! {
        result = serve(listener, router(), async move { stopped.notified().await }) => result,
        () = async {
            signals.next().await;
            stop.notify_one();
            tokio::select! {
                () = signals.next() => {}
                () = tokio::time::sleep(GRACE) => {}
            }
        } => Ok(()),
    }
}

fn endpoint_table() -> String {
    ENDPOINTS
        .iter()
        .map(|endpoint| format!("  {:<4}  {:<17}  {}\n", endpoint.method, endpoint.path, endpoint.answer))
        .collect()
}

/// Ctrl-C, and SIGTERM if the system has it.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(windows)]
    interrupt: tokio::signal::windows::CtrlC,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    #[cfg(windows)]
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: tokio::signal::windows::ctrl_c()? })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(windows)]
    async fn next(&mut self) {
        self.interrupt.recv().await;
    }
}
