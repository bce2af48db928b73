//! The loop that drives every run: it receives orders, reports events and returns one outcome.
//!
//! A load test's own `run`, `golo run`, a job of an agent, a plan that a served load test runs and `golo submit` all
//! use [`run`]. They differ in three parts: the [`Driver`] prepares the load test and starts the engine, the
//! [`Control`] supplies orders, and the [`MetricsOutput`]s receive events and results.

pub mod call;
pub mod control;
pub mod driver;
pub mod engine;
mod pulse;
pub mod reports;
pub mod signals;

use std::pin::pin;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

pub use self::call::RunCall;
pub use self::control::{Control, Order, Orders, SignalsAndOrders};
pub use self::driver::Driver;
pub use self::engine::{EngineHandle, LocalEngine, NextEvent, StopReason};
use self::pulse::Pulse;
use crate::Error;
use crate::engine::plan::{Plan, Target};
use crate::engine::snapshot::Snapshot;
use crate::engine::standstill::{Standstill, worst};
use crate::engine::{Finished, Options, RunEvent, Sinks};
use crate::error::chain;
use crate::report::{self, Change, MetricsOutput, Moment, RunOutcome, Threshold, Unwritten, Watch};
use crate::support::message::say;
use crate::support::until::until;

/// Time for the last lines, for `teardown` and for cutting off triggers after the grace period.
pub(crate) const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Settings of one run.
#[derive(Debug, Clone)]
pub struct RunSpec {
    /// Plan of the load.
    pub plan: Plan,
    /// Options of the engine.
    pub options: Options,
    /// Thresholds that the run must pass.
    pub thresholds: Vec<Threshold>,
    /// True if the run stops as soon as a threshold can no longer pass.
    pub abort_on_fail: bool,
    /// True if only problems are reported.
    pub is_quiet: bool,
    /// Longest time to wait for [`Order::Start`] after the users have started, if the run is held.
    pub held: Option<Duration>,
    /// Destinations of raw outputs, as text.
    pub lines: Vec<String>,
}

/// Drives a run from set-up to tear-down and returns its outcome. `outputs` receive each event when it happens.
pub async fn run<D: Driver, C: Control>(
    driver: &mut D,
    spec: RunSpec,
    sinks: Sinks,
    control: &mut C,
    outputs: &mut [Box<dyn MetricsOutput + '_>],
) -> RunOutcome {
    let watch = Watch::new(spec.thresholds.iter().cloned(), &spec.plan);
    let not_started = Finished::not_started(spec.plan.clone(), spec.options.clone(), None);
    let run = Run {
        driver,
        spec,
        control,
        outputs,
        watch,
        outcome: not_started.into(),
        early: EarlyOrders::default(),
        held_until: None,
        cut_at: None,
        is_interrupt_pending: false,
        is_slow_pace_reported: false,
    };
    run.run_to_end(sinks).await
}

/// State of a run.
struct Run<'a, 'o, D, C> {
    driver: &'a mut D,
    spec: RunSpec,
    control: &'a mut C,
    outputs: &'a mut [Box<dyn MetricsOutput + 'o>],
    watch: Watch,
    outcome: RunOutcome,
    early: EarlyOrders,
    held_until: Option<Instant>,
    /// Time at which remaining work is cut off after a stop.
    cut_at: Option<Instant>,
    /// Set if a signal came while the run loop could not act on it.
    is_interrupt_pending: bool,
    is_slow_pace_reported: bool,
}

/// Orders for the engine that came before there was one.
#[derive(Default)]
struct EarlyOrders {
    /// Start time of a held run.
    begin_at: Option<SystemTime>,
    level: Option<Target>,
}

impl EarlyOrders {
    /// Waits for an order to stop, and keeps the other orders. Dropping the future loses none.
    async fn until_stop(&mut self, control: &mut impl Control) -> Order {
        loop {
            match control.next().await {
                Order::Start { at } => self.begin_at = Some(at),
                Order::Adjust(level) => self.level = Some(level),
                stop @ (Order::Stop | Order::Cut | Order::Interrupt) => return stop,
            }
        }
    }
}

impl<D: Driver, C: Control> Run<'_, '_, D, C> {
    async fn run_to_end(mut self, sinks: Sinks) -> RunOutcome {
        let started = match self.set_up(&sinks).await {
            Ok(true) => self.start_and_drive(sinks).await,
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = started {
            self.outcome.finished.not_started = Some(chain(&error));
        }
        self.outcome.torn_down = self.tear_down().await.err().map(|error| chain(&error));
        self.outcome.thresholds = self.watch.judge(&self.outcome.finished);
        self.outcome.timeline.finish(&self.outcome.finished);
        self.outcome
    }

    fn say(&self, text: impl std::fmt::Display) {
        say(format_args!("{}: {text}", self.driver.name()));
    }

    /// Prepares the load test. Returns false if the run was stopped meanwhile.
    async fn set_up(&mut self, sinks: &Sinks) -> Result<bool, Error> {
        let (what, name) = (self.driver.set_up_in_words(), self.driver.name().to_owned());
        let (cut, is_cut) = oneshot::channel::<()>();
        let mut setting_up = pin!(self.driver.set_up(sinks, is_cut));
        let order = tokio::select! {
            result = &mut setting_up => return result,
            order = self.early.until_stop(self.control) => order,
        };
        if order == Order::Interrupt {
            self.outcome.is_interrupted = true;
            say(format_args!("{name}: giving up {what}"));
        }
        self.outcome.stopped = Some(Moment::Setup);
        drop(cut);
        // A `setup` that blocks its thread cannot be cut off, so wait for a limited time.
        tokio::select! {
            result = &mut setting_up => result.map(|_| false),
            () = sleep(LAST_MOMENT) => Ok(false),
            _ = self.control.next() => Ok(false),
        }
    }

    async fn start_and_drive(&mut self, sinks: Sinks) -> Result<(), Error> {
        if !self.spec.is_quiet {
            self.say(format_args!("{}; Ctrl-C stops it and still prints the report", self.spec.plan));
        }
        let pulse =
            Pulse::start().map_err(|error| Error::start("a thread could not be started", Some(error.into())))?;
        let order = tokio::select! {
            started = self.driver.start(&self.spec.plan, &self.spec.options, sinks) => {
                self.drive(started?, &pulse).await;
                return Ok(());
            }
            order = self.early.until_stop(self.control) => order,
        };
        if order == Order::Interrupt {
            self.outcome.is_interrupted = true;
            self.say("giving up before any load");
        }
        self.outcome.stopped = Some(Moment::Start);
        Ok(())
    }

    async fn drive(&mut self, mut engine: Box<dyn EngineHandle>, pulse: &Pulse) {
        if let Some(held) = self.spec.held {
            engine.hold();
            match self.early.begin_at {
                Some(at) => engine.begin(at),
                None => self.held_until = Instant::now().checked_add(held),
            }
        }
        if let Some(level) = self.early.level {
            engine.adjust(level);
        }
        for output in &mut *self.outputs {
            output.start(&self.spec.plan);
        }
        loop {
            tokio::select! {
                event = engine.next() => match event {
                    Some(event) => self.event(&event, &mut *engine),
                    None => break,
                },
                reason = self.driver.died(), if self.outcome.died.is_none() => {
                    self.outcome.died = Some(reason);
                    engine.cut();
                }
                order = self.control.next() => self.carry_out(order, &mut *engine),
                () = until(self.held_until.map(Instant::into_std)), if engine.started().is_none() => {
                    self.held_until = None;
                    if self.outcome.stopped.is_none() {
                        let held = self.spec.held.unwrap_or_default().as_secs_f64();
                        self.outcome.died = Some(format!("no order to begin came within {held} s"));
                        self.stop(&mut *engine);
                    }
                }
                () = until(self.cut_at.map(Instant::into_std)) => {
                    self.cut_at = None;
                    engine.cut();
                }
            }
        }
        self.ended(&mut *engine).await;
        let started = engine.started();
        self.outcome.finished = engine.finish();
        if let Some(started) = started {
            self.find_standstill(started, pulse);
        }
        for output in &mut *self.outputs {
            output.measured(&self.outcome.finished);
        }
    }

    /// Adds the standstills of this process and of the load test's, in a run whose measured part began at `start`.
    fn find_standstill(&mut self, start: std::time::Instant, pulse: &Pulse) {
        let (finished, max_lag) = (&mut self.outcome.finished, self.spec.options.max_lag);
        let end = start + finished.whole_time;
        let own = if self.driver.is_generator() { pulse.pauses() } else { Vec::new() };
        for pauses in [own, self.driver.pauses()] {
            let found = worst(&pauses, start, end, max_lag);
            finished.health.standstill = Standstill::longer(finished.health.standstill, found);
        }
    }

    /// Records why the engine ended, and waits for measurements that are still on their way.
    async fn ended(&mut self, engine: &mut dyn EngineHandle) {
        if let Some(reason) = engine.ended_early() {
            // This reason is more specific than the end of the connection.
            self.outcome.died = Some(reason);
        }
        if let (None, Some(broken)) = (&self.outcome.died, engine.broken()) {
            // The connection usually breaks because the load test died, and that reason is more specific.
            let died = timeout(LAST_MOMENT, self.driver.died()).await;
            self.outcome.died = Some(died.unwrap_or(broken));
        }
        engine.add_end(&mut self.outcome);
        self.settle().await;
        self.outcome.missing = self.driver.missing();
        let lines = engine.outputs_lost();
        if lines > 0 {
            let reason = "they were not read in time";
            let places = self.spec.lines.iter().cloned();
            self.outcome.unwritten =
                places.map(|place| Unwritten { lines, place, reason: reason.to_owned() }).collect();
        }
    }

    /// Waits until all measurements have arrived, or until the run is cut.
    async fn settle(&mut self) {
        {
            let mut settling = pin!(self.driver.settle());
            loop {
                tokio::select! {
                    () = &mut settling => return,
                    order = next_cut(self.control) => match order {
                        Order::Interrupt => self.is_interrupt_pending = true,
                        _ => break,
                    },
                }
            }
        }
        self.outcome.is_cut = true;
        self.driver.kill().await;
    }

    fn event(&mut self, event: &RunEvent, engine: &mut dyn EngineHandle) {
        for output in &mut *self.outputs {
            output.event(event, engine.totals());
        }
        if let RunEvent::Planned { plan, thresholds } = event {
            self.complete(plan, thresholds, engine);
        }
        if let RunEvent::Adjusted(Ok(plan)) = event {
            self.outcome.changes.extend(Change::last_of(plan));
        }
        let RunEvent::Second(progress) = event else { return };
        self.outcome.timeline.add(progress);
        self.watch.second(progress);
        self.warn_of_pace(engine.totals());
        if !self.spec.abort_on_fail || self.outcome.aborted.is_some() || self.outcome.stopped.is_some() {
            return;
        }
        if let Some(lost) = self.watch.lost(engine.totals(), progress.elapsed).cloned() {
            let why = lost.hidden(engine.totals()).map_or_else(String::new, |why| format!(": {why}"));
            self.say(format_args!("stopping, since `{lost}` can no longer hold{why}"));
            engine.stop(&StopReason::Threshold(lost.clone()));
            self.outcome.aborted = Some(lost);
        }
    }

    /// Continues with the plan and the thresholds that the load test has completed.
    fn complete(&mut self, plan: &Plan, thresholds: &[String], engine: &mut dyn EngineHandle) {
        if !self.spec.is_quiet {
            self.say(plan);
        }
        self.spec.plan = plan.clone();
        // A load test of a later golo may have thresholds that this one does not know. They must not pass silently.
        let (known, unknown): (Vec<_>, Vec<_>) =
            thresholds.iter().map(|text| text.parse::<Threshold>().map_err(|_| text)).partition(Result::is_ok);
        for text in unknown.into_iter().filter_map(Result::err) {
            engine.cut();
            self.outcome.died.get_or_insert_with(|| {
                format!("the load test has the threshold `{text}`, which this golo does not know")
            });
        }
        let known: Vec<_> = known.into_iter().flatten().collect();
        self.watch.complete(plan, known.iter().cloned());
        self.spec.thresholds.extend(known);
    }

    /// Warns once if the load test cannot keep its pace.
    fn warn_of_pace(&mut self, totals: &Snapshot) {
        if self.is_slow_pace_reported || self.spec.is_quiet {
            return;
        }
        if let Some(warning) = report::slow_pace(&self.spec.plan, &totals.triggers) {
            self.is_slow_pace_reported = true;
            self.say(format_args!("warning: {warning}"));
        }
    }

    fn carry_out(&mut self, order: Order, engine: &mut dyn EngineHandle) {
        match order {
            Order::Start { at } => {
                self.held_until = None;
                engine.begin(at);
            }
            Order::Adjust(level) => engine.adjust(level),
            Order::Stop => self.stop(engine),
            Order::Cut => {
                let moment = moment(engine);
                self.outcome.stopped.get_or_insert(moment);
                (self.outcome.is_cut, self.cut_at) = (true, None);
                engine.cut();
            }
            Order::Interrupt => self.interrupt(engine),
        }
    }

    fn stop(&mut self, engine: &mut dyn EngineHandle) {
        let moment = moment(engine);
        let at = *self.outcome.stopped.get_or_insert(moment);
        // The triggers have one grace period, and the users have another. The rest is cut off.
        let grace = 2 * self.spec.plan.graceful_stop() + LAST_MOMENT;
        self.cut_at.get_or_insert_with(|| Instant::now() + grace);
        engine.stop(&StopReason::Order(at));
    }

    fn interrupt(&mut self, engine: &mut dyn EngineHandle) {
        let moment = moment(engine);
        if self.outcome.stopped.is_some() {
            let what = if let Moment::Load(_) = moment { "the triggers in flight" } else { "the end of the run" };
            self.say(format_args!("cutting off {what}"));
            self.cut_at = None;
            return engine.cut();
        }
        self.say(match moment {
            Moment::Load(_) => "finishing the triggers in flight; a second signal cuts them off",
            Moment::Stop => "no trigger is in flight any more; a second signal cuts off the rest",
            _ => "stopping the users before any load; a second signal cuts them off",
        });
        self.outcome.is_interrupted = true;
        self.stop(engine);
    }

    /// Tears the load test down. After a stop by a signal, this may take the grace period at most.
    async fn tear_down(&mut self) -> Result<(), Error> {
        let what = self.driver.tear_down_in_words();
        let grace = self.spec.plan.graceful_stop().max(LAST_MOMENT);
        let deadline = self.outcome.is_interrupted.then(|| std::time::Instant::now() + grace);
        let order = if self.is_interrupt_pending {
            Some(Order::Interrupt)
        } else {
            tokio::select! {
                result = self.driver.tear_down() => return result,
                () = until(deadline) => None,
                order = next_cut(self.control) => Some(order),
            }
        };
        match order {
            Some(Order::Interrupt) if self.outcome.stopped.is_none() => {
                (self.outcome.stopped, self.outcome.is_interrupted) = (Some(Moment::Teardown), true);
            }
            Some(Order::Interrupt) => {}
            Some(_) => self.outcome.is_cut = true,
            None => {}
        }
        if self.outcome.is_cut {
            self.driver.kill().await;
        } else {
            self.say(format_args!("cut off {what}"));
        }
        Ok(())
    }
}

/// Returns the current stage of the run.
fn moment(engine: &mut dyn EngineHandle) -> Moment {
    match engine.started() {
        None => Moment::Start,
        Some(_) if engine.has_drained() => Moment::Stop,
        Some(start) => Moment::Load(start.elapsed()),
    }
}

/// Waits for an order that cuts off what comes after the load: [`Order::Cut`] or [`Order::Interrupt`].
async fn next_cut(control: &mut impl Control) -> Order {
    loop {
        let order = control.next().await;
        if matches!(order, Order::Cut | Order::Interrupt) {
            return order;
        }
    }
}
