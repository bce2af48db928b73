//! SIGINT and SIGTERM, as those hear them who run until then.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both of them, which are heard from now on.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens.
    ///
    /// # Errors
    ///
    /// Where they cannot be heard.
    pub fn listen() -> Result<Self, String> {
        let hear = |kind| signal(kind).map_err(|error| format!("signals cannot be heard: {error}"));
        Ok(Self { interrupt: hear(SignalKind::interrupt())?, terminate: hear(SignalKind::terminate())? })
    }

    /// Waits for the next of either.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
