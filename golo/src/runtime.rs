//! What a load test's `main` does: reads the command line, then serves, or triggers once.

mod args;
mod lines;
mod listener;
mod once;
mod serve;
mod service;
mod signals;

use std::process::ExitCode;

use args::Call;

use crate::{Error, Loadtest, client, error::chain, message::say};
pub use listener::Listener;
pub use serve::Serve;

/// Where a load test is served unless it is told otherwise.
///
/// ```
/// assert!(golo::RPC_ADDR.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_loopback()));
/// ```
pub const RPC_ADDR: &str = "127.0.0.1:9999";

/// How a load test's process ends, beside 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Anything unforeseen, and a trigger of `once` that failed.
    Failed = 1,
    /// The command line, the environment or the address is wrong.
    BadConfiguration = 104,
    Interrupted = 105,
    /// The load test could not start.
    NotStarted = 107,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        if error.is_address() {
            Self::BadConfiguration
        } else if error.is_start() {
            Self::NotStarted
        } else {
            Self::Failed
        }
    }
}

impl Loadtest {
    /// Does what the command line asks for: serves the load test, which is the default, or triggers it `once`.
    ///
    /// Blocks until that is done, and gives the process's exit code: 0, or 1 for a failed trigger of `once` and
    /// anything unforeseen, 104 for a wrong command line or an address that is taken, 105 where a signal cut `once`
    /// short, 107 where `setup` failed or the HTTP client could not be built. What went wrong is on stderr.
    pub fn start(self) -> ExitCode {
        // A runtime cannot be started from within one, as it would be under `#[tokio::main]`.
        if tokio::runtime::Handle::try_current().is_ok() {
            let started = std::thread::scope(|scope| scope.spawn(|| self.start_on_this_thread()).join());
            return started.unwrap_or_else(|_| Exit::Failed.into());
        }
        self.start_on_this_thread()
    }

    fn start_on_this_thread(self) -> ExitCode {
        let call = match Call::read(&self) {
            Ok(call) => call,
            Err(error) => {
                // A closed stream is no reason for another exit code.
                let _ = error.print();
                return if error.use_stderr() { Exit::BadConfiguration.into() } else { ExitCode::SUCCESS };
            }
        };
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return self.report(&Error::io("the runtime could not be started", error)),
        };
        match call {
            Call::Serve(args) => serve::serve(self, &args, runtime),
            Call::Once(args) => once::once(&self, args, runtime),
        }
    }

    /// Builds the HTTP client and runs `setup`, so that what is wrong is known before the first trigger.
    async fn prepare(&self) -> Result<(), Error> {
        client::current()?;
        self.set_up().await.map(drop)
    }

    fn report(&self, error: &Error) -> ExitCode {
        say(format_args!("{}: {}", self.name, chain(error)));
        Exit::from(error).into()
    }
}
