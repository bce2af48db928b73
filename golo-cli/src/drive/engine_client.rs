//! The client of `golo.engine.v1.Engine`: lets a load test in another process run a whole plan itself.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use golo::cli::{not_started, say, until};
use golo::engine::plan::{Plan, ScenarioRequest, Target};
use golo::engine::share::Share;
use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, Options, RunEvent, Sinks};
use golo::pb::engine as pb;
use golo::pb::engine::command::Command;
use golo::pb::engine::engine_client;
use golo::pb::engine::event::Event;
use golo::run_loop::{EngineHandle, NextEvent, StopReason};
use golo::{Error, wire};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::drive::job_client::Address;
use crate::drive::merged_run::MergedRun;
use crate::drive::output_relay::OutputRelay;
use crate::drive::setup_exchange::SetupExchange;

/// Largest event that is accepted, in bytes. An event contains at most 6,000 series, and a series of a thousand requests
/// a second takes a few KiB.
const LARGEST: usize = 64 << 20;
/// Largest value of `setup` that is passed on, in bytes.
const LARGEST_SETUP: usize = 1 << 20;
/// Longest time for the answer whether the load test runs plans. It has been set up already, so it can answer at once.
const ANSWER: Duration = Duration::from_secs(3);
/// The same for a member of a fleet. The others wait for it, and if it were called for each trigger, its checks and the
/// value of its `setup` would be missing.
const ANSWER_OF_MEMBER: Duration = Duration::from_secs(30);
/// Longest silence of a load test after the end of its time, before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest silence of a load test that has started, before a warning is printed.
const SILENCE: Duration = Duration::from_secs(5);
/// If a deadline is noticed this late, then this process itself was paused, for example by a suspended machine.
const PAUSED: Duration = Duration::from_secs(1);

/// Checks a plan that the load test has completed. Returns the reason if it must not run.
pub type PlanCheck = Arc<dyn Fn(&Plan) -> Result<(), String> + Send + Sync>;

/// Settings of a run that the load test gets beside the load.
#[derive(Clone, Default)]
pub struct AskedOfLoadTest {
    /// Settings of its scenarios.
    pub scenarios: ScenarioRequest,
    /// Check of the completed plan.
    pub check: Option<PlanCheck>,
    /// Exchange of the value of `setup` with the other members of the run.
    pub exchange: Option<Arc<SetupExchange>>,
}

/// Answer of a load test to a plan.
pub enum Opened {
    /// The load test runs the plan.
    Runs(Box<EngineClient>),
    /// The load test serves `golo.Job` only.
    RunsNone,
    /// The load test did not answer in time.
    Nothing,
}

/// The engine of a load test in another process.
pub struct EngineClient {
    commands: mpsc::UnboundedSender<pb::Command>,
    events: Streaming<pb::Event>,
    merged: MergedRun,
    outputs: OutputRelay,
    plan: Plan,
    check: Option<PlanCheck>,
    exchange: Option<Arc<SetupExchange>>,
    /// True if the load test may still wait for the value of another member's `setup`.
    awaits_setup: bool,
    share: Share,
    /// Lowest revision of the protocol that supports the plan.
    needs: u32,
    /// True if the run waits for [`begin`](EngineHandle::begin) after its users have started.
    is_held: bool,
    started: Option<Instant>,
    /// Time at which the load test was ordered to stop.
    stopped: Option<Instant>,
    /// Time at which the load test was ordered to cut off its triggers.
    cut: Option<Instant>,
    /// Time of the last message from the load test.
    last_message: Instant,
    has_warned_of_silence: bool,
    /// Number of starts in the received events.
    due: u64,
    users_failed: u64,
    broken: Option<String>,
    ended_early: Option<String>,
    outputs_lost: u64,
}

impl EngineClient {
    /// Sends the plan to the load test at `address`, and reports whether it runs plans itself.
    ///
    /// # Errors
    ///
    /// Returns an error if the load test refuses this plan.
    pub async fn open(
        address: &Address,
        plan: &Plan,
        options: &Options,
        asked: &AskedOfLoadTest,
        sinks: &Sinks,
    ) -> Result<Opened, Error> {
        let channel = address
            .channel()
            .map_err(|error| not_started("the address of the load test is invalid", Some(error.into())))?;
        let mut client = engine_client::EngineClient::new(channel).max_decoding_message_size(LARGEST);
        let (commands, stream) = mpsc::unbounded_channel();
        let workers = u32::try_from(options.workers).unwrap_or(u32::MAX);
        let mut requested = pb::Plan {
            needs: 0,
            load: Some(plan.into()),
            share: Some(options.share.into()),
            job_name: options.job_name.clone(),
            workers,
            seed: options.seed,
            outputs: sinks.measured.passes_on(),
            speaks: pb::REVISION,
            max_lag: options.max_lag.map(wire::nanoseconds),
            selected_routes: sinks.measured.selected().routes().map(str::to_owned).collect(),
            scenarios: asked.scenarios.settings.iter().map(ToString::to_string).collect(),
            only: asked.scenarios.only.clone().unwrap_or_default(),
            load_is_asked: asked.scenarios.load_is_asked,
            selected_tags: wire::selected_tags(sinks.measured.selected()),
            failures: sinks
                .measured
                .masks()
                .map(|masks| pb::FailureSampling { masks: masks.names().map(str::to_owned).collect() }),
            hands_over_setup: asked.exchange.is_some() && options.share.of() > 1,
        };
        let needs = pb::needs(&requested);
        requested.needs = needs;
        // The receiver is in the stream below.
        let _ = commands.send(command(Command::Plan(requested)));
        let patience = if options.share.of() > 1 { ANSWER_OF_MEMBER } else { ANSWER };
        let events = match timeout(patience, client.run(UnboundedReceiverStream::new(stream))).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) if status.code() == Code::Unimplemented => return Ok(Opened::RunsNone),
            Ok(Err(status)) => return Err(refused(&status)),
            Err(_) => return Ok(Opened::Nothing),
        };
        Ok(Opened::Runs(Box::new(Self {
            commands,
            events,
            merged: MergedRun::new(plan.clone(), options.clone(), [options.job_name.clone()]),
            outputs: OutputRelay::new(sinks.measured.clone()),
            plan: plan.clone(),
            check: asked.check.clone(),
            exchange: asked.exchange.clone(),
            awaits_setup: asked.exchange.is_some() && options.share.index() > 0,
            share: options.share,
            needs,
            is_held: false,
            started: None,
            stopped: None,
            cut: None,
            last_message: Instant::now(),
            has_warned_of_silence: false,
            due: 0,
            users_failed: 0,
            broken: None,
            ended_early: None,
            outputs_lost: 0,
        })))
    }

    async fn next_event(&mut self) -> Option<RunEvent> {
        loop {
            if let Some(event) = self.merged.next_event() {
                return Some(event);
            }
            if self.merged.is_over() {
                self.outputs.pass_on_all();
                return None;
            }
            // If raw outputs are written too slowly, the load test waits with further ones. Other events still arrive.
            let bytes = self.outputs.pass_on();
            if bytes > 0 {
                self.command(Command::Taken(pb::Taken { bytes }));
            }
            let (give_up_at, silent_at) = (self.give_up_at(), self.silent_at());
            let message = tokio::select! {
                biased;
                message = self.events.message() => message,
                () = self.outputs.room(), if self.outputs.has_some() => continue,
                json = setup_of_other(self.exchange.as_deref()), if self.awaits_setup => {
                    self.awaits_setup = false;
                    match json {
                        Ok(json) => self.command(Command::SetupValue(pb::SetupValue { json: json.into() })),
                        Err(reason) => self.fail(reason),
                    }
                    continue;
                }
                () = until(give_up_at) => {
                    match give_up_at {
                        Some(limit) if limit.elapsed() > PAUSED => self.extend_deadlines(),
                        _ => self.fail("the load test did not end in time".to_owned()),
                    }
                    continue;
                }
                () = until(silent_at) => {
                    self.has_warned_of_silence = true;
                    say(format_args!("golo: the load test has sent nothing for {} s", SILENCE.as_secs()));
                    continue;
                }
            };
            self.last_message = Instant::now();
            match message {
                Ok(Some(pb::Event { event: Some(event) })) => self.receive(event),
                // An event of a later revision.
                Ok(Some(_)) => {}
                Ok(None) => self.fail("the load test ended its stream before the run had ended".to_owned()),
                Err(status) => self.fail(format!("the stream from the load test broke: {}", status.message())),
            }
        }
    }

    /// Handles an event from the load test.
    fn receive(&mut self, event: Event) {
        match &event {
            Event::Ready(ready) => {
                // Its `setup` is over.
                self.awaits_setup = false;
                if !self.is_held {
                    self.command(Command::Start(pb::Start { at: 0 }));
                }
                self.merged.push(RunEvent::Ready { users: ready.users });
            }
            Event::Started(started) => {
                if let Some(exchange) = &self.exchange {
                    exchange.start();
                }
                let at = wire::moment(started.at);
                let ahead = at.duration_since(SystemTime::now());
                let since = at.elapsed().unwrap_or_default();
                let now = Instant::now();
                self.started = Some(now.checked_sub(since).unwrap_or(now) + ahead.unwrap_or_default());
                self.merged.push(RunEvent::Started { at });
            }
            Event::SetUp(_) => {
                let Event::SetUp(pb::SetupValue { json }) = event else { return };
                if json.len() > LARGEST_SETUP {
                    let length = json.len();
                    return self.fail(format!(
                        "the value of `setup` is {length} bytes, and at most {LARGEST_SETUP} are possible"
                    ));
                }
                if let Some(exchange) = &self.exchange {
                    exchange.set_returned(json.into());
                }
                return;
            }
            Event::Outputs(_) => {
                if let Event::Outputs(outputs) = event {
                    self.outputs.add(outputs.lines);
                }
                return;
            }
            Event::Accepted(accepted) if !(self.needs..=pb::REVISION).contains(&accepted.revision) => {
                return self.fail(format!(
                    "the load test uses revision {} of golo.engine.v1 and was built with golo {}; this is golo {} with revision {}",
                    accepted.revision,
                    accepted.version,
                    env!("CARGO_PKG_VERSION"),
                    pb::REVISION
                ));
            }
            Event::Second(second) => self.count(second.snapshot.as_ref()),
            Event::Finished(finished) => {
                self.count(finished.rest.as_ref());
                self.outputs_lost = finished.outputs_lost;
                self.ended_early = self.why_early(finished);
            }
            Event::Planned(_) | Event::Adjusted(_) | Event::Accepted(_) => {}
        }
        if let Err(error) = self.merged.receive(0, &event) {
            return self.fail(format!("the load test sent an invalid event: {error}"));
        }
        if let Event::Planned(_) = &event {
            self.plan = self.merged.plan().clone();
            if let Some(Err(reason)) = self.check.as_ref().map(|check| check(&self.plan)) {
                self.command(Command::Cut(pb::Cut {}));
                return self.fail(reason);
            }
        }
        if let Event::Adjusted(adjusted) = &event {
            let plan = match &adjusted.load {
                Some(_) => Ok(self.merged.plan().clone()),
                None => Err(adjusted.refused.clone()),
            };
            self.merged.push(RunEvent::Adjusted(plan));
        }
    }

    fn count(&mut self, measured: Option<&pb::Snapshot>) {
        let Some(measured) = measured else { return };
        self.due += measured.triggers.as_ref().map_or(0, |triggers| triggers.due);
        self.users_failed += measured.generator.as_ref().map_or(0, |generator| generator.users_failed);
    }

    /// Returns the reason why the load test did not deliver the whole plan, unless this process stopped it.
    fn why_early(&self, finished: &pb::Finished) -> Option<String> {
        if let Some(reason) = finished.given_up.as_ref().filter(|_| self.stopped.is_none()) {
            return Some(reason.clone());
        }
        let time = Duration::from_nanos(finished.load_time);
        let is_used_up = self.plan.iterations_of(self.share).is_some_and(|all| self.due >= all);
        let planned = self.plan.certain_end();
        let is_early = planned.is_none_or(|planned| time < planned) && !is_used_up && finished.not_started.is_none();
        if !is_early || self.stopped.is_some() {
            return None;
        }
        if finished.stopped {
            return Some("the load test was stopped by another process".to_owned());
        }
        // Failed users and lost threads are reported elsewhere.
        let is_explained = self.cut.is_some() || self.users_failed > 0 || !finished.lost.is_empty();
        let planned = planned.filter(|_| !is_explained)?;
        Some(format!("the load test ended after {time:.1?} of {planned:.1?} and gave no reason"))
    }

    fn extend_deadlines(&mut self) {
        // Messages from the time of the pause may still be on their way.
        let now = Instant::now();
        self.last_message = now;
        self.cut = self.cut.map(|_| now);
    }

    fn fail(&mut self, reason: String) {
        // The load test's last second is lost with the connection.
        self.merged.lose(0, &reason);
        self.broken.get_or_insert(reason);
    }

    fn command(&self, what: Command) {
        // The stream of events reports that the load test has gone.
        let _ = self.commands.send(command(what));
    }

    /// Returns the time at which this client stops to wait for the load test.
    fn give_up_at(&self) -> Option<Instant> {
        let end = self.started.zip(self.plan.duration()).map(|(start, duration)| start + duration);
        let over = [end, self.stopped].into_iter().flatten().min();
        // The triggers have one grace period, and the users have another. A load test that still sends events is waited
        // for.
        let over = over.map(|over| (over + 2 * self.plan.graceful_stop()).max(self.last_message));
        [over, self.cut].into_iter().flatten().min().map(|over| over + PATIENCE)
    }

    /// Returns the time at which to warn about the load test's silence.
    fn silent_at(&self) -> Option<Instant> {
        let started = self.started.filter(|_| !self.has_warned_of_silence)?;
        Some(started.max(self.last_message) + SILENCE)
    }
}

/// Waits for the value of another member's `setup`.
async fn setup_of_other(exchange: Option<&SetupExchange>) -> Result<Bytes, String> {
    match exchange {
        Some(exchange) => exchange.given().await,
        None => std::future::pending().await,
    }
}

fn command(command: Command) -> pb::Command {
    pb::Command { command: Some(command) }
}

/// Creates the error for a load test that refuses a plan.
fn refused(status: &Status) -> Error {
    let says_why = [Code::FailedPrecondition, Code::InvalidArgument, Code::ResourceExhausted, Code::Aborted];
    let reason = match status.code() {
        code if says_why.contains(&code) => status.message().to_owned(),
        code => format!("golo.engine.v1.Engine/Run failed: {code}: {}", status.message()),
    };
    not_started(format!("the load test refused the plan: {reason}"), None)
}

impl EngineHandle for EngineClient {
    fn next(&mut self) -> NextEvent<'_> {
        Box::pin(self.next_event())
    }

    fn hold(&mut self) {
        self.is_held = true;
    }

    fn begin(&mut self, at: SystemTime) {
        self.is_held = false;
        self.command(Command::Start(pb::Start { at: wire::unix_nanoseconds(at) }));
    }

    fn adjust(&mut self, level: Target) {
        let level = match level {
            Target::Users(users) => pb::adjust::Level::Users(users),
            Target::Rate(rate) => pb::adjust::Level::Rate(rate.millionths_per_hour()),
        };
        self.command(Command::Adjust(pb::Adjust { level: Some(level) }));
    }

    fn stop(&mut self, _: &StopReason) {
        self.stopped.get_or_insert_with(Instant::now);
        self.command(Command::Stop(pb::Stop {}));
    }

    fn cut(&mut self) {
        self.cut.get_or_insert_with(Instant::now);
        self.command(Command::Cut(pb::Cut {}));
    }

    fn totals(&self) -> &Snapshot {
        self.merged.totals()
    }

    fn started(&self) -> Option<Instant> {
        self.started
    }

    fn has_drained(&mut self) -> bool {
        self.merged.is_over()
    }

    fn broken(&self) -> Option<String> {
        self.broken.clone()
    }

    fn ended_early(&self) -> Option<String> {
        self.ended_early.clone()
    }

    fn outputs_lost(&self) -> u64 {
        self.outputs_lost
    }

    fn finish(mut self: Box<Self>) -> Finished {
        self.outputs.pass_on_all();
        self.merged.finish()
    }
}
