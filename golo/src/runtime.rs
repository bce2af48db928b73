//! A load test's `main`: parses the command line, then serves, runs or triggers the load test.

mod args;
mod in_process;
mod job_file;
mod line_buffer;
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

use std::{process::ExitCode, sync::Arc};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

use args::Call;

use crate::error::exit::{Exit, report};
use crate::run_loop::LAST_MOMENT;
use crate::support::{cores, panic::caught_now, threads::start_runtime};
use crate::{BoxError, Error, Loadtest, transport::client, user::member};
pub use args::pair;
pub use job_file::{JobFile, Key, Kind, Mistake, Value, toml};
pub use listener::Listener;
pub use refusal::{refuse, wrong};
pub use run::{RunExtras, run_driver};
pub use run_args::{OutcomeArgs, OwnFlags, RunArgs};
pub use serve::Serve;
pub use service::WireLayout;

/// Default address of a served load test.
///
/// ```
/// assert!(golo::RPC_ADDR.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_loopback()));
/// ```
pub const RPC_ADDR: &str = "127.0.0.1:9999";

impl Loadtest {
    /// Runs the command line: serves the load test (the default), drives it, or triggers it `once`.
    ///
    /// Blocks until that is done and returns the process's exit code:
    ///
    /// | code | meaning |
    /// |---|---|
    /// | 0 | success |
    /// | 1 | the trigger of `once` failed, or something unexpected happened, for example `teardown` failed or the raw outputs of `run` could not be written |
    /// | 96 | `run` could not deliver its plan |
    /// | 104 | the command line is invalid, or the address is taken |
    /// | 105 | a signal cut `run` or `once` short |
    /// | 107 | `setup` failed, the HTTP client could not be built, or the system has too few threads or descriptors |
    ///
    /// Errors are written to stderr.
    pub fn start(self) -> ExitCode {
        // A runtime cannot be started inside of another one, for example under `#[tokio::main]`.
        if tokio::runtime::Handle::try_current().is_ok() {
            return std::thread::scope(|scope| {
                match std::thread::Builder::new().spawn_scoped(scope, || self.start_on_this_thread()) {
                    Ok(started) => started.join().unwrap_or_else(|_| Exit::Failed.into()),
                    Err(error) => report(&Error::start("a thread could not be started", Some(error.into()))),
                }
            });
        }
        self.start_on_this_thread()
    }

    fn start_on_this_thread(mut self) -> ExitCode {
        let mut command = Call::command(&self);
        let call = match Call::read(&mut command, &self) {
            Ok(call) => call,
            Err(error) => return refuse(error, &command, &own_call::own_call().plain),
        };
        match call {
            Call::Serve { address, graceful_stop, transport, share, quiet, wire } => {
                client::set_options(transport);
                member::join(share);
                self.on_every_core(|loadtest, runtimes| {
                    serve::serve(loadtest, address, graceful_stop, quiet, wire, runtimes)
                })
            }
            Call::Run(run) => {
                self.only = run.scenarios().only.clone();
                run::run(self, *run)
            }
            Call::Once { job_name, scenario, transport } => {
                client::set_options(transport);
                self.only.clone_from(&scenario);
                self.on_every_core(|loadtest, runtimes| once::once(loadtest, job_name, scenario, runtimes))
            }
        }
    }

    fn on_every_core(self, run: impl FnOnce(Self, Runtimes) -> ExitCode) -> ExitCode {
        match Runtimes::start(cores()) {
            Ok(runtimes) => run(self, runtimes),
            Err(error) => report(&error),
        }
    }

    /// Builds the HTTP client and runs `setup`, so that errors appear before the first trigger. If another member of the
    /// run runs `setup`, its value comes later.
    async fn prepare(&self) -> Result<(), Error> {
        client::current()?;
        if self.waits_for_setup() {
            return Ok(());
        }
        self.set_up().await.map(drop)
    }
}

/// Runtimes of a process: one for the load test, and one for signals and deadlines. A load test that blocks its threads
/// must not delay those.
struct Runtimes {
    load: Runtime,
    /// Runs on the main thread only.
    control: Runtime,
}

impl Runtimes {
    fn start(threads: usize) -> Result<Self, Error> {
        let not_started = |reason: BoxError| Error::start("the runtime could not be started", Some(reason));
        let start = || {
            let load = start_runtime(threads)?;
            Ok(Self { load, control: Builder::new_current_thread().enable_all().build()? })
        };
        // tokio panics if the system has too few descriptors left.
        let started = caught_now(start).map_err(|panicked| not_started(panicked.into()))?;
        started.map_err(|error: std::io::Error| not_started(error.into()))
    }

    /// Drops the load test and then all tasks that still run. Their requests are recorded as cancelled. Returns the
    /// control runtime.
    fn end(self, loadtest: Arc<Loadtest>) -> Runtime {
        {
            // The value of `setup` may need its runtime to be dropped, and dropping it may panic.
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
        Some(Err(error)) => Err(Error::io("an internal task of golo ended early", error.into())),
        None => std::future::pending().await,
    }
}
