//! `run`: the load test drives itself, and reports.

use std::{process::ExitCode, sync::Arc};

use tokio::{runtime::Handle, sync::oneshot};

use super::{Runtimes, in_process::InProcess, run_args::RunCall, run_on};
use crate::run_loop::{
    LAST_MOMENT,
    exit::report,
    outs::{Out, Outs},
    running::{Ran, Running, Subject},
};
use crate::{
    Error, Loadtest,
    engine::{Engine, Options, Sinks, plan::Plan, recorder::Outside},
    metrics::scope::SharedValue,
    metrics::sink,
    support::{
        message::say,
        panic::{print_at_most, watch},
    },
    transport::client,
};

/// Panics that are printed: a load test that panics may do so thousands of times.
const PANICS: usize = 3;
/// Threads of the load test's runtime, where `setup` and `teardown` run alone: one more than a `setup` can block by
/// itself.
const THREADS: usize = 2;

/// Drives the load test as planned, and reports.
pub(super) fn run(loadtest: Loadtest, call: RunCall) -> ExitCode {
    let (no_keep_alive, insecure) = call.client_options();
    client::set_options(client::Options { no_keep_alive, insecure, proxy: call.proxy().clone() });
    print_at_most(if call.quiet { 0 } else { PANICS });
    if cfg!(debug_assertions) && !call.quiet {
        say("golo: built without optimisations; to measure, use `cargo run --release`");
    }
    let name = loadtest.name.clone();
    deliver(&name, &call, |options, outs| drive(loadtest, &call, options, outs))
}

/// Drives what `subject` makes as planned, and reports: for the `golo` command.
pub fn run_subject<S: Subject>(name: &str, call: RunCall, subject: impl FnOnce(&RunCall, &Handle) -> S) -> ExitCode {
    deliver(name, &call, |options, outs| {
        let Runtimes { control, .. } = Runtimes::start(1)?;
        let sinks = Sinks::selecting(call.selected(), outs.sinks().collect());
        let subject = subject(&call, control.handle());
        let running = async { Ok(Running::start(subject, &call)?.run(options, sinks).await) };
        let ran: Ran = control.block_on(running)?;
        Ok(ran.with_unwritten(control.block_on(outs.flush(LAST_MOMENT))))
    })
}

/// Opens what is asked for beside the summary, has `drive` make the run, and reports.
fn deliver(name: &str, call: &RunCall, drive: impl FnOnce(Options, &Outs) -> Result<Ran, Error>) -> ExitCode {
    let options = call.options(name);
    let outs = match Outs::open(&call.out) {
        Ok(outs) => outs,
        Err(error) => return report(&error),
    };
    let ran = match drive(options.clone(), &outs) {
        Err(error) if error.is_start() => Ran::not_started(call.plan.clone(), options, &error),
        Err(error) => return report(&error),
        Ok(ran) => ran,
    };
    ran.report(outs, call.out.contains(&Out::Stdout))
}

fn drive(loadtest: Loadtest, call: &RunCall, options: Options, outs: &Outs) -> Result<Ran, Error> {
    let runtimes = Runtimes::start(THREADS)?;
    let sinks = Sinks::selecting(call.selected(), outs.sinks().chain(loadtest.own_sink()).collect());
    sink::install(Arc::<Outside>::clone(&sinks.outside));
    let loadtest = Arc::new(loadtest);
    let itself = Itself { loadtest: Arc::clone(&loadtest), load: runtimes.load.handle().clone(), shared: None };
    let ended = runtimes.control.block_on(async { Ok(Running::start(itself, call)?.run(options, sinks).await) });
    let control = runtimes.end(loadtest);
    let unwritten = control.block_on(outs.flush(LAST_MOMENT));
    ended.map(|ran: Ran| ran.with_unwritten(unwritten).with_last_panics())
}

/// The load test of this process.
struct Itself {
    loadtest: Arc<Loadtest>,
    /// The runtime of `setup` and `teardown`.
    load: Handle,
    /// What `setup` made.
    shared: Option<SharedValue>,
}

impl Subject for Itself {
    type Engine = Engine;

    fn name(&self) -> &str {
        &self.loadtest.name
    }

    fn preparation(&self) -> &'static str {
        "`setup`"
    }

    fn ending(&self) -> &'static str {
        "`teardown`"
    }

    async fn set_up(&mut self, _: &Sinks, is_cut: oneshot::Receiver<()>) -> Result<bool, Error> {
        let loadtest = Arc::clone(&self.loadtest);
        let setting_up = async move {
            tokio::select! {
                biased;
                _ = is_cut => Ok(None),
                result = loadtest.set_up() => result.map(Some),
            }
        };
        self.shared = run_on(&self.load, setting_up).await?;
        // It may have set a panic hook of its own.
        watch();
        Ok(self.shared.is_some())
    }

    async fn start(&mut self, plan: &Plan, options: &Options, sinks: Sinks) -> Result<Engine, Error> {
        let shared = self.shared.clone().ok_or_else(|| Error::start("`setup` was cut off", None))?;
        InProcess::start(&self.loadtest, shared, plan.clone(), options.clone(), sinks)
    }

    async fn died(&mut self) -> String {
        // It would take this process with it.
        std::future::pending().await
    }

    async fn settle(&mut self) {}

    async fn tear_down(&mut self) -> Result<(), Error> {
        let loadtest = Arc::clone(&self.loadtest);
        run_on(&self.load, async move { loadtest.tear_down().await }).await
    }
}
