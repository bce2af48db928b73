//! The signals that ask a load test to stop: SIGINT and SIGTERM, or Ctrl-C where there are no others.

use crate::Error;

/// Both of them, which are heard from when it listens on.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Listens from now on: neither signal ends the process by itself any more.
    ///
    /// # Errors
    ///
    /// Where the system does not let it.
    pub fn listen() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen =
            |kind| signal(kind).map_err(|error| Error::start("signals cannot be listened to", Some(error.into())));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(windows)]
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
}

#[cfg(windows)]
impl Signals {
    /// Listens from now on: Ctrl-C does not end the process by itself any more.
    ///
    /// # Errors
    ///
    /// Where the system does not let it.
    pub fn listen() -> Result<Self, Error> {
        let interrupt = tokio::signal::windows::ctrl_c();
        Ok(Self {
            interrupt: interrupt.map_err(|error| Error::start("Ctrl-C cannot be listened to", Some(error.into())))?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        self.interrupt.recv().await;
    }
}
