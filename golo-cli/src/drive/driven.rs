//! A job of an agent: one load test, driven by the [run loop](golo::run_loop) with orders that come over a channel.

use std::time::Duration;

use golo::{
    cli::{RunCall, without_secrets},
    engine::{Finished, RunEvent, Sinks, share::Share, snapshot::Snapshot},
    pb::{engine as pb, results::Ended},
    report::{MetricsOutput, RunOutcome, Written},
    run_loop::{self, Order, Orders, RunSpec},
    wire,
};
use tokio::{runtime::Handle, sync::mpsc};

use crate::{
    drive::{run_end::ended, served::Served},
    process::{limits::LimitArgs, load_test::LoadTest},
};

pub use golo::run_loop::Order as Command;

/// How long a held job waits for the order to begin.
pub const HELD: Duration = Duration::from_secs(600);

/// What is to be run, and how.
pub struct Job {
    /// The load test.
    pub load_test: LoadTest,
    /// The plan, and what goes with it.
    pub call: RunCall,
    /// Parameters of the load test, and other variables: they come before those of this process and of a job file.
    pub params: Vec<(String, String)>,
    /// The part of the plan that is run here.
    pub share: Share,
    /// What the load test may use.
    pub limits: LimitArgs,
    /// Whether it waits, once its users have started, for [`Command::Start`]: so long at most, as [`HELD`].
    pub held: Option<Duration>,
}

/// Runs a job and returns how it ended. `tell` gets each event as it comes, the last of them `Finished`; `on_stderr` gets
/// each line of the load test's stderr. The job stops once all senders of `orders` are gone. Dropping the future ends the
/// load test.
///
/// # Panics
///
/// Outside a tokio runtime of several threads that drives I/O and time.
pub async fn drive(
    job: Job,
    orders: mpsc::Receiver<Order>,
    on_stderr: impl Fn(&str) + Send + Sync + 'static,
    tell: impl FnMut(pb::Event) + Send,
) -> Ended {
    let Job { load_test, call, params, share, limits, held } = job;
    let sinks = Sinks::selecting(call.selected(), Vec::new());
    let spec = call.spec(&load_test.name);
    let options = golo::engine::Options { share, ..spec.options };
    // Whoever collects the results judges the thresholds of the whole run.
    let spec = RunSpec { options, thresholds: Vec::new(), abort_on_fail: false, is_quiet: true, held, ..spec };
    let served = Served::new(load_test, params, &call, Handle::current());
    let mut served = served.limited(limits).sharing(share).held(held.is_some()).on_stderr(on_stderr);
    let mut outputs: [Box<dyn MetricsOutput + '_>; 1] = [Box::new(Events(tell))];
    let outcome = run_loop::run(&mut served, spec, sinks, &mut Orders::from(orders), &mut outputs).await;
    for output in &mut outputs {
        output.finish(&outcome);
    }
    Ended { stderr: without_secrets(&served.stderr()).into_owned(), ..ended(&outcome) }
}

/// Passes events on as they go over the wire.
struct Events<T>(T);

impl<T: FnMut(pb::Event) + Send> MetricsOutput for Events<T> {
    fn event(&mut self, event: &RunEvent, _: &Snapshot) {
        (self.0)(wire::event(event));
    }

    fn finish(&mut self, outcome: &RunOutcome) -> Vec<Written> {
        let finished: &Finished = &outcome.finished;
        (self.0)(wire::event(finished));
        Vec::new()
    }
}
