//! `run`: the load test drives itself and reports.

use std::{process::ExitCode, sync::Arc};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::{Runtimes, in_process::InProcess, run_on};
use crate::engine::plan::Plan;
use crate::engine::recorder::Outside;
use crate::engine::{Finished, Options, Sinks};
use crate::error::chain;
use crate::error::exit::report;
use crate::metrics::scope::SharedValue;
use crate::metrics::sink;
use crate::report::{MetricsOutput, RunOutcome, Unwritten, outputs};
use crate::run_loop::signals::Signals;
use crate::run_loop::{
    self, Driver, EngineHandle, LAST_MOMENT, LocalEngine, Order, RunCall, SignalsAndOrders, reports,
};
use crate::support::message::say;
use crate::support::panic::{print_at_most, watch};
use crate::transport::client;
use crate::{Error, Loadtest};

/// Number of panics that are printed. A load test may panic thousands of times.
const PANICS: usize = 3;
/// Threads of the load test's runtime, which runs `setup` and `teardown` only: one more than a blocking `setup`
/// occupies.
const THREADS: usize = 2;

/// Runs the load test with its own engine, reports, and returns the exit code.
pub(super) fn run(loadtest: Loadtest, call: RunCall) -> ExitCode {
    client::set_options(call.transport.clone());
    print_at_most(if call.quiet { 0 } else { PANICS });
    if cfg!(debug_assertions) && !call.quiet {
        say("golo: built without optimisations; to measure, use `cargo run --release`");
    }
    let name = loadtest.name.clone();
    deliver(&name, &call, RunExtras::default, |outputs, _| drive(loadtest, &call, outputs))
}

/// What the caller of [`run_driver`] adds to a run.
#[derive(Default)]
pub struct RunExtras {
    /// Outputs in addition to those of the call.
    pub outputs: Vec<Box<dyn MetricsOutput>>,
    /// Orders in addition to the signals. The run goes on if the channel is closed.
    pub orders: Option<mpsc::Receiver<Order>>,
}

/// Runs the [`Driver`] that `driver` returns, reports, and returns the exit code. The `golo` command uses this.
/// `further` returns outputs and orders in addition to those of the call; it is called once the call's outputs are open.
pub fn run_driver<D: Driver>(
    name: &str,
    call: &RunCall,
    further: impl FnOnce() -> RunExtras,
    driver: impl FnOnce(&Handle) -> D,
) -> ExitCode {
    deliver(name, call, further, |outputs, orders| {
        let Runtimes { control, .. } = Runtimes::start(1)?;
        let sinks = Sinks::selecting(call.selected(), call.masks(), outputs::sinks(outputs).collect());
        let mut driver = driver(control.handle());
        let outcome = control.block_on(async {
            let mut given = SignalsAndOrders::new(Signals::listen()?, orders);
            Ok(run_loop::run(&mut driver, call.spec(name), sinks, &mut given, outputs).await)
        })?;
        drop(driver);
        Ok(outcome.with_unwritten(control.block_on(flush(outputs))))
    })
}

/// Opens the outputs, runs `drive` and reports.
fn deliver(
    name: &str,
    call: &RunCall,
    further: impl FnOnce() -> RunExtras,
    drive: impl FnOnce(&mut [Box<dyn MetricsOutput>], Option<mpsc::Receiver<Order>>) -> Result<RunOutcome, Error>,
) -> ExitCode {
    let requested = match call.outputs() {
        Ok(outputs) => outputs,
        Err(error) => return report(&error),
    };
    // Before the requested outputs, which can block: one that is not read must not keep a run from being stored.
    let RunExtras { mut outputs, orders } = further();
    outputs.extend(requested);
    let outcome = match drive(&mut outputs, orders) {
        Err(error) if error.is_start() => {
            let finished = Finished::not_started(call.plan.clone(), call.options(name), Some(chain(&error)));
            finished.into()
        }
        Err(error) => return report(&error),
        Ok(outcome) => outcome,
    };
    reports::finish(outcome, outputs)
}

/// Waits until all raw outputs are written, and returns those that are not.
async fn flush(outputs: &mut [Box<dyn MetricsOutput>]) -> Vec<Unwritten> {
    let mut unwritten = Vec::new();
    for output in outputs {
        unwritten.extend(output.flush(LAST_MOMENT).await);
    }
    unwritten
}

fn drive(loadtest: Loadtest, call: &RunCall, outputs: &mut [Box<dyn MetricsOutput>]) -> Result<RunOutcome, Error> {
    let runtimes = Runtimes::start(THREADS)?;
    let sinks =
        Sinks::selecting(call.selected(), call.masks(), outputs::sinks(outputs).chain(loadtest.own_sink()).collect());
    sink::install(Arc::<Outside>::clone(&sinks.outside));
    let spec = call.spec(&loadtest.name);
    let loadtest = Arc::new(loadtest);
    let mut driver =
        OwnLoadtest { loadtest: Arc::clone(&loadtest), load: runtimes.load.handle().clone(), shared: None };
    let outcome = runtimes.control.block_on(async {
        let mut signals = Signals::listen()?;
        Ok(run_loop::run(&mut driver, spec, sinks, &mut signals, outputs).await)
    });
    drop(driver);
    let control = runtimes.end(loadtest);
    let unwritten = control.block_on(flush(outputs));
    outcome.map(|outcome: RunOutcome| outcome.with_unwritten(unwritten).with_last_panics())
}

/// The load test of this process.
struct OwnLoadtest {
    loadtest: Arc<Loadtest>,
    /// Runtime of `setup` and `teardown`.
    load: Handle,
    /// Value that `setup` returned.
    shared: Option<SharedValue>,
}

impl Driver for OwnLoadtest {
    fn name(&self) -> &str {
        &self.loadtest.name
    }

    fn set_up_in_words(&self) -> &'static str {
        "`setup`"
    }

    fn tear_down_in_words(&self) -> &'static str {
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
        // `setup` may have replaced the panic hook.
        watch();
        Ok(self.shared.is_some())
    }

    async fn start(&mut self, plan: &Plan, options: &Options, sinks: Sinks) -> Result<Box<dyn EngineHandle>, Error> {
        let shared = self.shared.clone().ok_or_else(|| Error::start("`setup` was cut off", None))?;
        let engine = InProcess::start(&self.loadtest, shared, plan.clone(), options.clone(), sinks)?;
        Ok(Box::new(LocalEngine::new(engine)))
    }

    async fn tear_down(&mut self) -> Result<(), Error> {
        let loadtest = Arc::clone(&self.loadtest);
        run_on(&self.load, async move { loadtest.tear_down().await }).await
    }
}
