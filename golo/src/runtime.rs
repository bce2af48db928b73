//! What a load test's `main` does: reads the command line, then serves, or triggers once.

mod args;
mod in_process;
mod job_file;
mod listener;
mod once;
mod other_tools;
mod outbox;
mod own_call;
mod plans;
mod refusal;
mod run;
mod run_args;
mod serve;
mod service;
mod told;

use std::{process::ExitCode, sync::Arc};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::JoinSet,
};

use args::Call;

use crate::error::exit::{Exit, report};
use crate::run_loop::LAST_MOMENT;
use crate::support::cores;
use crate::{BoxError, Error, Loadtest, support::panic::caught_now, transport::client, user::member};
pub use args::pair;
pub use job_file::{JobFile, Key, Kind, Mistake, Value, toml};
pub use listener::Listener;
pub use refusal::{refuse, wrong};
pub use run::run_driver;
pub use run_args::{OwnFlags, RunArgs};
pub use serve::Serve;
pub use service::WireLayout;

/// Where a load test is served unless it is told otherwise.
///
/// ```
/// assert!(golo::RPC_ADDR.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_loopback()));
/// ```
pub const RPC_ADDR: &str = "127.0.0.1:9999";

impl Loadtest {
    /// Does what the command line asks for: serves the load test, which is the default, drives it, or triggers it `once`.
    ///
    /// Blocks until that is done, and gives the process's exit code: 0, or 1 for a failed trigger of `once` and anything
    /// unforeseen, as a `teardown` that failed or raw outputs of `run` that could not be written, 96 where `run` could not
    /// deliver its plan, 104 for a wrong command line or an address that is taken, 105 where a signal cut `run` or `once`
    /// short, 107 where `setup` failed, the HTTP client could not be built, or the system has too few threads or
    /// descriptors. What went wrong is on stderr.
    pub fn start(self) -> ExitCode {
        // A runtime cannot be started from within one, as it would be under `#[tokio::main]`.
        if tokio::runtime::Handle::try_current().is_ok() {
            let started = std::thread::scope(|scope| scope.spawn(|| self.start_on_this_thread()).join());
            return started.unwrap_or_else(|_| Exit::Failed.into());
        }
        self.start_on_this_thread()
    }

    fn start_on_this_thread(self) -> ExitCode {
        let mut command = Call::command(&self);
        let call = match Call::read(&mut command) {
            Ok(call) => call,
            Err(error) => return refuse(error, &command, &own_call::own_call().plain),
        };
        match call {
            Call::Serve { address, graceful_stop, client, share, quiet, wire } => {
                client::set_options(client);
                member::join(share);
                self.on_every_core(|loadtest, runtimes| {
                    serve::serve(loadtest, address, (graceful_stop, quiet, wire), runtimes)
                })
            }
            Call::Run(run) => run::run(self, *run),
            Call::Once { job_name, client } => {
                client::set_options(client);
                self.on_every_core(|loadtest, runtimes| once::once(loadtest, job_name, runtimes))
            }
        }
    }

    fn on_every_core(self, run: impl FnOnce(Self, Runtimes) -> ExitCode) -> ExitCode {
        match Runtimes::start(cores()) {
            Ok(runtimes) => run(self, runtimes),
            Err(error) => report(&error),
        }
    }

    /// Builds the HTTP client and runs `setup`, so that what is wrong is known before the first trigger.
    async fn prepare(&self) -> Result<(), Error> {
        client::current()?;
        self.set_up().await.map(drop)
    }
}

/// The load test's runtime, and one for signals and deadlines: a load test that blocks its threads must not keep those
/// from being seen.
struct Runtimes {
    load: Runtime,
    /// Runs on the main thread alone.
    control: Runtime,
}

impl Runtimes {
    fn start(threads: usize) -> Result<Self, Error> {
        let not_started = |reason: BoxError| Error::start("the runtime could not be started", Some(reason));
        let start = || {
            let load = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
            Ok(Self { load, control: Builder::new_current_thread().enable_all().build()? })
        };
        // tokio panics where the system has too little left for its threads and signals.
        let started = caught_now(start).map_err(|panicked| not_started(panicked.into()))?;
        started.map_err(|error: std::io::Error| not_started(error.into()))
    }

    /// Drops the load test, and then all that still runs: its requests are recorded as cancelled. Gives what is left.
    fn end(self, loadtest: Arc<Loadtest>) -> Runtime {
        {
            // What `setup` made may need its runtime in order to be dropped, and may panic.
            let _inside = self.load.enter();
            let _ = caught_now(|| drop(loadtest));
        }
        self.load.shutdown_timeout(LAST_MOMENT);
        self.control
    }
}

/// Runs `work` on another runtime. Dropping the future aborts it.
async fn run_on<T: Send + 'static>(
    runtime: &Handle,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let mut task = JoinSet::new();
    task.spawn_on(work, runtime);
    match task.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(error)) => Err(Error::io("a task of golo's own has ended early", error.into())),
        None => std::future::pending().await,
    }
}
