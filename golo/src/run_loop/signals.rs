//! The signals that stop a load test: SIGINT and SIGTERM on Unix, Ctrl-C on Windows.

use crate::Error;

/// Listener for SIGINT and SIGTERM.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Starts to listen. From now on neither signal ends the process by itself.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses to install the handlers.
    pub fn listen() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen =
            |kind| signal(kind).map_err(|error| Error::start("could not listen for signals", Some(error.into())));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Listener for Ctrl-C.
#[cfg(windows)]
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
}

#[cfg(windows)]
impl Signals {
    /// Starts to listen. From now on Ctrl-C does not end the process by itself.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses to install the handler.
    pub fn listen() -> Result<Self, Error> {
        let interrupt = tokio::signal::windows::ctrl_c();
        Ok(Self {
            interrupt: interrupt.map_err(|error| Error::start("could not listen for Ctrl-C", Some(error.into())))?,
        })
    }

    /// Waits for the next Ctrl-C.
    pub async fn next(&mut self) {
        self.interrupt.recv().await;
    }
}
