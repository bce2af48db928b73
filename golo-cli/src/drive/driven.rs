//! A job of an agent: one load test, run by the [run loop](golo::run_loop) with orders from a channel.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use golo::cli::{RunCall, say, without_secrets};
use golo::engine::share::Share;
use golo::engine::snapshot::Snapshot;
use golo::engine::{RunEvent, Sinks};
use golo::pb::engine as pb;
use golo::pb::results::Ended;
use golo::report::{MetricsOutput, RunOutcome, Written};
use golo::run_loop::{self, Order, Orders, RunSpec};
use golo::wire;
use tokio::{runtime::Handle, sync::mpsc};

use crate::drive::engine_client::PlanCheck;
use crate::drive::recorded_run::RecordedRun;
use crate::drive::run_end::ended;
use crate::drive::served::Served;
use crate::drive::setup_exchange::SetupExchange;
use crate::process::limits::LimitArgs;
use crate::process::load_test::LoadTest;

/// Longest time that a held job waits for the order to begin.
pub const HELD: Duration = Duration::from_secs(600);

/// A load test to run, with its plan and settings.
pub struct Job {
    /// The load test.
    pub load_test: LoadTest,
    /// Working directory of the load test. If `None`, it is that of this process.
    pub folder: Option<PathBuf>,
    /// The plan and the other settings of the run.
    pub call: RunCall,
    /// Parameters of the load test and other environment variables. They override those of this process and of a job
    /// file.
    pub params: Vec<(String, String)>,
    /// The share of the plan that runs here.
    pub share: Share,
    /// Resource limits of the load test.
    pub limits: LimitArgs,
    /// Check of the plan that the load test has completed with its scenarios.
    pub check: Option<PlanCheck>,
    /// Exchange of the value of `setup` with the other members of the run.
    pub exchange: Arc<SetupExchange>,
    /// Longest time to wait for [`Order::Start`] after the users have started, such as [`HELD`]. `None` if the job is
    /// not held.
    pub held: Option<Duration>,
    /// Further outputs of the job.
    pub outputs: Vec<Box<dyn MetricsOutput>>,
}

/// Runs a job and returns how it ended. `on_event` receives each event when it happens, and `Finished` as the last one.
/// `on_stderr` receives each line of the load test's stderr. The job stops once all senders of `orders` are dropped.
/// Dropping the future ends the load test.
///
/// # Panics
///
/// Panics outside a multi-threaded tokio runtime with I/O and time enabled.
pub async fn drive(
    job: Job,
    orders: mpsc::Receiver<Order>,
    on_stderr: impl Fn(&str) + Send + Sync + 'static,
    on_event: impl FnMut(pb::Event) + Send,
) -> Ended {
    let Job { load_test, folder, mut call, params, share, limits, check, exchange, held, outputs: further } = job;
    // The agent stores them.
    call.keep_failures();
    let sinks = Sinks::selecting(call.selected(), call.masks(), Vec::new());
    let spec = call.spec(&load_test.name);
    let options = golo::engine::Options { share, ..spec.options };
    // The collector of the results judges the thresholds of the whole run.
    let spec = RunSpec { options, thresholds: Vec::new(), abort_on_fail: false, is_quiet: true, held, ..spec };
    let served = Served::new(load_test, params, &call, Handle::current());
    let mut served = served
        .in_folder(folder)
        .limited(limits)
        .checking_plan(check)
        .sharing(share)
        .exchanging(exchange)
        .on_stderr(on_stderr);
    let mut outputs: Vec<Box<dyn MetricsOutput + '_>> =
        vec![Box::new(Events { on_event, recorded: RecordedRun::default() })];
    outputs.extend(further.into_iter().map(|output| output as Box<dyn MetricsOutput + '_>));
    let outcome = run_loop::run(&mut served, spec, sinks, &mut Orders::from(orders), &mut outputs).await;
    for Written { kind, path, remark, .. } in outputs.iter_mut().flat_map(|output| output.finish(&outcome)) {
        if let Some(remark) = remark {
            say(format_args!("{}: {kind} {path}: {remark}", outcome.finished.options.job_name));
        }
    }
    Ended { stderr: without_secrets(&served.stderr()).into_owned(), ..ended(&outcome) }
}

/// Converts events to their wire type and passes them on.
struct Events<T> {
    on_event: T,
    recorded: RecordedRun,
}

impl<T: FnMut(pb::Event) + Send> MetricsOutput for Events<T> {
    fn event(&mut self, event: &RunEvent, totals: &Snapshot) {
        (self.on_event)(wire::event(self.recorded.event(event, totals)));
    }

    fn finish(&mut self, outcome: &RunOutcome) -> Vec<Written> {
        (self.on_event)(wire::event(self.recorded.finished(&outcome.finished)));
        Vec::new()
    }
}
