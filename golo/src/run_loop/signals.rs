//! The signals that stop a load test: SIGINT, SIGTERM and SIGHUP on Unix, Ctrl-C on Windows.

use crate::Error;

/// Listener for SIGINT, SIGTERM and SIGHUP.
///
/// SIGHUP comes when the terminal is lost. A process that was started with SIGHUP ignored, as by `nohup`, still ignores
/// it.
#[cfg(unix)]
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` if this process ignores SIGHUP.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    /// Starts to listen. From now on none of the signals ends the process by itself.
    ///
    /// # Errors
    ///
    /// Returns an error if the system refuses to install the handlers.
    pub fn listen() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen =
            |kind| signal(kind).map_err(|error| Error::start("could not listen for signals", Some(error.into())));
        let hangup = (!ignores_hangup()).then(|| listen(SignalKind::hangup())).transpose()?;
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())?, hangup })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = recv(&mut self.hangup) => {}
        }
    }
}

/// Waits for a signal that this process may not listen to.
#[cfg(unix)]
async fn recv(signal: &mut Option<tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Returns true if this process ignores SIGHUP.
///
/// Without `/proc`, `nohup` is recognised by its effect: stderr is no terminal.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    use std::io::IsTerminal as _;
    let status = std::fs::read_to_string("/proc/self/status");
    let known = status.ok().and_then(|status| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
        // The lowest bit is signal 1, SIGHUP.
        Some(u64::from_str_radix(mask.trim(), 16).ok()? & 1 == 1)
    });
    known.unwrap_or_else(|| !std::io::stderr().is_terminal())
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
