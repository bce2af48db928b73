//! The service `golo.engine.v1.Engine`: runs a whole plan for the client that opened the stream.
//!
//! A plan runs in the [run loop](crate::run_loop), as every run does. Orders come from the client and from the signals
//! of this process. Events go to an [`Outbox`]. A separate task sends them, so that a slow client does not delay the
//! run.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};
use tokio::time::{sleep_until, timeout};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{in_process::InProcess, line_buffer::LineBuffer, outbox::Outbox, service::InFlight};
use crate::engine::failures::Masks;
use crate::engine::plan::{Plan, PlanError, Rate, ScenarioRequest, Target};
use crate::engine::room::Selected;
use crate::engine::share::Share;
use crate::engine::snapshot::Snapshot;
use crate::engine::{Finished, Options, RunEvent, Sinks};
use crate::error::chain;
use crate::metrics::scope::SharedValue;
use crate::metrics::sink;
use crate::pb::engine as pb;
use crate::pb::engine::command::Command;
use crate::pb::engine::event::Event;
use crate::report::{MetricsOutput, Threshold};
use crate::run_loop::{self, Control, Driver, EngineHandle, LAST_MOMENT, LocalEngine, Order, RunSpec};
use crate::support::cores;
use crate::support::panic::{print_at_most, watch};
use crate::support::until::until;
use crate::user::member;
use crate::{Loadtest, Sink, wire};

/// Capacity of the channel to the client. Further events wait in the [`Outbox`].
const EVENTS: usize = 1;
/// Revision of the protocol that has scenarios.
const SCENARIOS: u32 = 2;
/// Number of panics that are printed. A load test may panic thousands of times.
const PANICS: usize = 3;

/// Runs plans of one load test, one at a time.
pub(super) struct Plans {
    loadtest: Arc<Loadtest>,
    in_flight: InFlight,
    /// Locked by the running plan.
    turn: Arc<Mutex<()>>,
}

impl Plans {
    pub(super) fn new(loadtest: Arc<Loadtest>, in_flight: InFlight) -> Self {
        Self { loadtest, in_flight, turn: Arc::default() }
    }
}

type Events = mpsc::Sender<Result<pb::Event, Status>>;
type Answer = Pin<Box<dyn Stream<Item = Result<pb::Event, Status>> + Send>>;

#[tonic::async_trait]
impl pb::engine_server::Engine for Plans {
    type RunStream = Answer;

    async fn run(&self, request: Request<Streaming<pb::Command>>) -> Result<Response<Answer>, Status> {
        let mut commands = request.into_inner();
        let requested = match commands.message().await?.and_then(|first| first.command) {
            Some(Command::Plan(plan)) => RequestedPlan::read(plan, &self.loadtest)?,
            _ => return Err(Status::invalid_argument("the first command must be a plan")),
        };
        let turn = Arc::clone(&self.turn).try_lock_owned();
        let turn = turn.map_err(|_| Status::resource_exhausted("another plan is running; only one runs at a time"))?;
        let (events, received) = mpsc::channel(EVENTS);
        let running = Running::start(self, requested, events, turn).await?;
        tokio::spawn(running.run(commands));
        Ok(Response::new(Box::pin(ReceiverStream::new(received))))
    }
}

/// A plan from a client.
struct RequestedPlan {
    plan: Plan,
    /// Thresholds that the load test itself requires, as text.
    thresholds: Vec<String>,
    options: Options,
    /// Routes and tags that thresholds select.
    selected: Selected,
    /// Further names of secrets, if samples of failed requests are wanted.
    masks: Option<Masks>,
    wants_outputs: bool,
    /// True if the client passes the value of `setup` from one member of the run to the others.
    hands_over_setup: bool,
    /// Revision of the protocol that both sides speak.
    revision: u32,
}

impl RequestedPlan {
    fn read(written: pb::Plan, loadtest: &Loadtest) -> Result<Self, Status> {
        let pb::Plan {
            needs,
            load,
            share,
            job_name,
            workers,
            seed,
            outputs,
            speaks,
            mut selected_routes,
            max_lag,
            scenarios,
            only,
            load_is_asked,
            mut selected_tags,
            failures,
            hands_over_setup,
        } = written;
        let request = scenario_request(&scenarios, only, load_is_asked);
        if needs > pb::REVISION {
            return Err(Status::failed_precondition(format!(
                "the plan needs revision {needs} of golo.engine.v1, but this load test was built with golo {}, which supports up \
                 to revision {}: build it with a later golo",
                env!("CARGO_PKG_VERSION"),
                pb::REVISION
            )));
        }
        let revision = pb::spoken_with(speaks).ok_or_else(|| {
            Status::failed_precondition(format!(
                "the client supports golo.engine.v1 up to revision {}, but this load test was built with golo {}, which needs at \
                 least revision {}: use a later golo",
                speaks.max(1),
                env!("CARGO_PKG_VERSION"),
                pb::EARLIEST
            ))
        })?;
        let wrong = |error: wire::WireError| Status::invalid_argument(error.to_string());
        let load = load.ok_or_else(|| Status::invalid_argument("the plan has no load"))?;
        let options = Options {
            job_name: if job_name.is_empty() { loadtest.name.clone() } else { job_name },
            workers: if workers == 0 { cores() } else { workers as usize },
            seed,
            share: share.as_ref().map_or(Ok(Share::WHOLE), Share::try_from).map_err(wrong)?,
            max_lag: max_lag.map(Duration::from_nanos),
        };
        let plan = Plan::try_from(&load).map_err(wrong)?;
        let completed = request.and_then(|request| loadtest.complete(&plan, &request));
        let completed = completed.map_err(|error| Status::invalid_argument(error.to_string()))?;
        if revision < SCENARIOS && completed.plan.scenarios().next().is_some() {
            return Err(Status::failed_precondition(format!(
                "the load test has scenarios, which need revision {SCENARIOS} of golo.engine.v1, and the client supports \
                 revision {revision}: use a later golo"
            )));
        }
        for threshold in &completed.thresholds {
            selected_routes.extend(threshold.route().map(str::to_owned));
            selected_tags.extend(
                threshold.tags().map(|(key, value)| pb::TagPair { key: key.to_owned(), value: value.to_owned() }),
            );
        }
        Ok(Self {
            plan: completed.plan,
            options,
            selected: wire::selected(selected_routes, selected_tags),
            thresholds: completed.thresholds.iter().map(Threshold::to_string).collect(),
            masks: failures.map(|failures| failures.masks.into_iter().collect()),
            wants_outputs: outputs,
            hands_over_setup,
            revision,
        })
    }
}

/// Reads what a client asks of scenarios.
fn scenario_request(settings: &[String], only: String, load_is_asked: bool) -> Result<ScenarioRequest, PlanError> {
    let settings = settings.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    Ok(ScenarioRequest { settings, only: Some(only).filter(|only| !only.is_empty()), load_is_asked })
}

/// A plan with everything that its run needs.
struct Running {
    served: Served,
    /// Receiver's end is in `served` if it waits for the value of `setup`.
    setup_value: Option<oneshot::Sender<Vec<u8>>>,
    spec: RunSpec,
    outputs: Option<Arc<LineBuffer>>,
    events: Events,
    outbox: Outbox,
    in_flight: InFlight,
    /// Previous sink of the process. It is installed again after the run.
    process: Arc<dyn Sink>,
    turn: OwnedMutexGuard<()>,
}

impl Running {
    async fn start(
        plans: &Plans,
        RequestedPlan { plan, thresholds, options, selected, masks, wants_outputs, hands_over_setup, revision }: RequestedPlan,
        events: Events,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Self, Status> {
        let failed = |error: crate::Error| Status::new(Code::Aborted, chain(&error));
        // Before `setup`, which may distribute the rows of a feed.
        member::join(options.share);
        let (loadtest, share) = (&plans.loadtest, options.share);
        let is_handed_over = hands_over_setup && share.of() > 1 && loadtest.has_setup_of_run();
        let is_waiting = is_handed_over && share.index() > 0 && !loadtest.is_set_up();
        let shared = if is_waiting { None } else { Some(loadtest.set_up().await.map_err(failed)?) };
        let set_up = match &shared {
            Some(shared) if is_handed_over && share.index() == 0 => {
                Some(loadtest.setup_values(shared).map_err(failed)?)
            }
            _ => None,
        };
        let outputs = wants_outputs.then(Arc::<LineBuffer>::default);
        let buffer = outputs.iter().map(|buffer| Arc::<LineBuffer>::clone(buffer) as Arc<dyn Sink>);
        let sinks = Sinks::selecting(selected, masks, buffer.chain(plans.loadtest.own_sink()).collect());
        let outside = Arc::clone(&sinks.outside);
        let starting = Starting { loadtest: Arc::clone(loadtest), plan: plan.clone(), options: options.clone(), sinks };
        let mut served = Served { name: loadtest.name.clone(), engine: None, waiting: None };
        let mut setup_value = None;
        match shared {
            Some(shared) => served.engine = Some(starting.engine(shared).map_err(failed)?),
            None => {
                let (sender, value) = oneshot::channel();
                setup_value = Some(sender);
                served.waiting = Some((value, starting));
            }
        }
        print_at_most(PANICS);
        // `setup` may have replaced the panic hook.
        watch();
        let process = sink::process();
        sink::install(outside);
        let mut outbox = Outbox::default();
        outbox.push(Event::Accepted(pb::Accepted { revision, version: env!("CARGO_PKG_VERSION").to_owned() }));
        if plan.scenarios().next().is_some() {
            outbox.push(Event::Planned(pb::Planned { load: Some((&plan).into()), thresholds }));
        }
        if let Some(json) = set_up {
            outbox.push(Event::SetUp(pb::SetupValue { json }));
        }
        let spec = RunSpec {
            plan,
            options,
            thresholds: Vec::new(),
            abort_on_fail: false,
            is_quiet: true,
            held: Some(Duration::MAX),
            lines: Vec::new(),
        };
        let in_flight = plans.in_flight.clone();
        Ok(Self { served, setup_value, spec, outputs, events, outbox, in_flight, process, turn })
    }

    async fn run(self, commands: Streaming<pb::Command>) {
        let Self { mut served, setup_value, spec, outputs, events, outbox, in_flight, process, turn } = self;
        let _entered = in_flight.enter();
        let (to_outbox, messages) = mpsc::unbounded_channel();
        let sending = tokio::spawn(send(outbox, events.clone(), outputs.clone(), messages));
        let mut client = Client::new(commands, setup_value, to_outbox.clone(), events.clone(), in_flight.clone());
        let mut stream: [Box<dyn MetricsOutput>; 1] = [Box::new(EventStream(to_outbox))];
        let outcome = run_loop::run(&mut served, spec, Sinks::new(Vec::new()), &mut client, &mut stream).await;
        let ended = Instant::now();
        drop(stream);
        let Client { mut commands, is_stopped, is_cut, to_outbox, .. } = client;
        drop(to_outbox);
        let Ok(outbox) = sending.await else { return };
        sink::install(process);
        let (finished, given_up) = (outcome.finished, outcome.died);
        // The grace period begins at the end of the planned time. A plan of iterations may have ended earlier.
        let time = if finished.plan.iterations().is_some() { finished.whole_time } else { finished.load_time };
        let over = ended.checked_sub(finished.whole_time.saturating_sub(time)).unwrap_or(ended);
        let until = if is_cut { over } else { over + finished.plan.graceful_stop() };
        let last = FinalEvents { outbox, outputs, until, taken: Instant::now(), lost: 0, given_up };
        last.send(&events, finished, is_stopped, &mut commands, &in_flight).await;
        drop(turn);
        if commands.is_some() {
            // If this process exits now, a client that writes to the closed connection gets an error and loses what it
            // has not read. So the client closes first.
            let closed = async { while next_command(&mut commands).await.is_some() {} };
            let _ = timeout(LAST_MOMENT, closed).await;
        }
    }
}

/// A load test, and the plan that its engine is to run.
struct Starting {
    loadtest: Arc<Loadtest>,
    plan: Plan,
    options: Options,
    sinks: Sinks,
}

impl Starting {
    /// Starts the engine. `shared` is the value of `setup`.
    fn engine(self, shared: SharedValue) -> Result<LocalEngine, crate::Error> {
        let Self { loadtest, plan, options, sinks } = self;
        InProcess::start(&loadtest, shared, plan, options, sinks).map(LocalEngine::new)
    }
}

/// The load test of this process. It is set up before its plan is accepted, unless it waits for the value of `setup`
/// from another member of the run.
struct Served {
    name: String,
    engine: Option<LocalEngine>,
    waiting: Option<(oneshot::Receiver<Vec<u8>>, Starting)>,
}

impl Driver for Served {
    fn name(&self) -> &str {
        &self.name
    }

    fn set_up_in_words(&self) -> &'static str {
        "`setup`"
    }

    fn tear_down_in_words(&self) -> &'static str {
        "`teardown`"
    }

    async fn set_up(&mut self, _: &Sinks, is_cut: oneshot::Receiver<()>) -> Result<bool, crate::Error> {
        let Some((value, starting)) = self.waiting.take() else { return Ok(true) };
        let taking_over = async {
            match value.await {
                Ok(json) => starting.loadtest.take_over_setup(&json).await,
                // The client of the plan has gone, and the run is cut.
                Err(_) => std::future::pending().await,
            }
        };
        let shared = tokio::select! {
            biased;
            _ = is_cut => return Ok(false),
            shared = taking_over => shared?,
        };
        self.engine = Some(starting.engine(shared)?);
        Ok(true)
    }

    async fn start(&mut self, _: &Plan, _: &Options, _: Sinks) -> Result<Box<dyn EngineHandle>, crate::Error> {
        let engine =
            self.engine.take().ok_or_else(|| crate::Error::start("the plan has been started already", None))?;
        Ok(Box::new(engine))
    }

    async fn tear_down(&mut self) -> Result<(), crate::Error> {
        // Further plans may come, so `teardown` runs when the process ends.
        Ok(())
    }
}

/// Orders from the client of the stream and from the signals of this process.
struct Client {
    /// `None` once the client has closed the stream.
    commands: Option<Streaming<pb::Command>>,
    /// Receives the value of `setup`, if the load test waits for it.
    setup_value: Option<oneshot::Sender<Vec<u8>>>,
    to_outbox: mpsc::UnboundedSender<OutboxMessage>,
    events: Events,
    in_flight: InFlight,
    /// Set once this process was asked to stop.
    is_stopped: bool,
    is_cut: bool,
}

impl Client {
    fn new(
        commands: Streaming<pb::Command>,
        setup_value: Option<oneshot::Sender<Vec<u8>>>,
        to_outbox: mpsc::UnboundedSender<OutboxMessage>,
        events: Events,
        in_flight: InFlight,
    ) -> Self {
        Self { commands: Some(commands), setup_value, to_outbox, events, in_flight, is_stopped: false, is_cut: false }
    }

    /// Cuts the run, because its client has gone.
    fn gone(&mut self) -> Order {
        self.commands = None;
        self.is_cut = true;
        let _ = self.to_outbox.send(OutboxMessage::Close);
        Order::Cut
    }

    /// Returns the order of a command. Other commands are handled here.
    fn order(&mut self, command: Command) -> Option<Order> {
        match command {
            Command::Start(pb::Start { at }) => Some(Order::Start { at: wire::moment(at) }),
            Command::Adjust(pb::Adjust { level: Some(pb::adjust::Level::Users(users)) }) => {
                Some(Order::Adjust(Target::Users(users)))
            }
            Command::Adjust(pb::Adjust { level: Some(pb::adjust::Level::Rate(rate)) }) => match Rate::new(rate) {
                Some(rate) => Some(Order::Adjust(Target::Rate(rate))),
                None => {
                    let refused = "a rate that is too high".to_owned();
                    let _ = self
                        .to_outbox
                        .send(OutboxMessage::Event(Event::Adjusted(pb::Adjusted { refused, load: None })));
                    None
                }
            },
            Command::Stop(_) => Some(Order::Stop),
            Command::Cut(_) => {
                self.is_cut = true;
                Some(Order::Cut)
            }
            Command::Taken(pb::Taken { bytes }) => {
                let _ = self.to_outbox.send(OutboxMessage::Taken(bytes));
                None
            }
            Command::SetupValue(pb::SetupValue { json }) => {
                if let Some(sender) = self.setup_value.take() {
                    let _ = sender.send(json);
                }
                None
            }
            // A later revision's command comes only with a plan that needs that revision.
            Command::Plan(_) | Command::Adjust(_) => None,
        }
    }
}

impl Control for Client {
    async fn next(&mut self) -> Order {
        loop {
            let is_there = self.commands.is_some();
            tokio::select! {
                command = next_command(&mut self.commands), if is_there => match command {
                    Some(command) => {
                        if let Some(order) = self.order(command) {
                            return order;
                        }
                    }
                    None => return self.gone(),
                },
                () = self.events.closed(), if is_there => return self.gone(),
                () = self.in_flight.are_stopped(), if !self.is_stopped => {
                    self.is_stopped = true;
                    return Order::Stop;
                }
                () = self.in_flight.are_cut_off(), if !self.is_cut => {
                    self.is_cut = true;
                    return Order::Cut;
                }
                else => return std::future::pending().await,
            }
        }
    }
}

/// A message to the task that sends events.
#[expect(clippy::large_enum_variant, reason = "few messages wait at a time")]
enum OutboxMessage {
    Event(Event),
    /// The client has processed this number of bytes of raw outputs.
    Taken(u64),
    /// The client has gone.
    Close,
}

/// Passes events of the engine to the task that sends them.
struct EventStream(mpsc::UnboundedSender<OutboxMessage>);

impl MetricsOutput for EventStream {
    fn event(&mut self, event: &RunEvent, _: &Snapshot) {
        let _ = self.0.send(OutboxMessage::Event(event.into()));
    }
}

/// Sends events and raw outputs at the client's pace, until all senders of `messages` are dropped. Returns the outbox
/// with everything that is unsent.
async fn send(
    mut outbox: Outbox,
    events: Events,
    outputs: Option<Arc<LineBuffer>>,
    mut messages: mpsc::UnboundedReceiver<OutboxMessage>,
) -> Outbox {
    loop {
        tokio::select! {
            message = messages.recv() => match message {
                Some(OutboxMessage::Event(event)) => outbox.push(event),
                Some(OutboxMessage::Taken(bytes)) => outbox.taken(bytes),
                Some(OutboxMessage::Close) => outbox.close(),
                None => return outbox,
            },
            Ok(permit) = events.reserve(), if !outbox.is_empty() => outbox.send(permit),
            lines = lines(outputs.as_deref()), if outbox.has_room() => outbox.push_outputs(lines),
        }
    }
}

/// Everything to send after the last trigger has ended: the remaining raw outputs and the `Finished` event.
struct FinalEvents {
    outbox: Outbox,
    outputs: Option<Arc<LineBuffer>>,
    /// Time until which raw outputs wait for the client.
    until: Instant,
    /// Time at which the client last confirmed raw outputs.
    taken: Instant,
    /// Number of lines that the client did not take in time.
    lost: u64,
    /// Reason why this process has given the run up, if it has.
    given_up: Option<String>,
}

impl FinalEvents {
    async fn send(
        mut self,
        events: &Events,
        finished: Finished,
        is_stopped: bool,
        commands: &mut Option<Streaming<pb::Command>>,
        in_flight: &InFlight,
    ) {
        let mut end = Some(Event::from(&finished));
        let mut give_up_at = None;
        loop {
            self.gather();
            if self.outputs.is_none()
                && let Some(mut end) = end.take()
            {
                if let Event::Finished(end) = &mut end {
                    (end.stopped, end.outputs_lost) = (is_stopped, self.lost);
                    end.given_up = self.given_up.take();
                }
                self.outbox.push(end);
            }
            if end.is_none() && self.outbox.is_empty() {
                return;
            }
            let forget_at = self.until.max(self.taken + LAST_MOMENT);
            tokio::select! {
                permit = events.reserve(), if !self.outbox.is_empty() => match permit {
                    Ok(permit) => self.outbox.send(permit),
                    Err(_) => return,
                },
                command = next_command(commands) => match command {
                    Some(Command::Taken(pb::Taken { bytes })) => {
                        self.outbox.taken(bytes);
                        self.taken = Instant::now();
                    }
                    Some(Command::Cut(_)) => self.until = Instant::now(),
                    Some(_) => {}
                    None => *commands = None,
                },
                () = sleep_until(forget_at.into()), if self.outputs.is_some() => self.forget_outputs(),
                () = in_flight.are_cut_off(), if give_up_at.is_none() => {
                    self.forget_outputs();
                    give_up_at = Some(Instant::now() + LAST_MOMENT);
                }
                () = until(give_up_at) => return,
            }
        }
    }

    /// Moves raw outputs to the outbox while it has room.
    fn gather(&mut self) {
        while let Some(outputs) = &self.outputs
            && self.outbox.has_room()
        {
            match outputs.take() {
                Some(lines) => self.outbox.push_outputs(lines),
                None => self.outputs = None,
            }
        }
    }

    fn forget_outputs(&mut self) {
        self.lost += self.outputs.take().map_or(0, |outputs| outputs.forget());
        self.lost += self.outbox.forget_outputs();
    }
}

/// Waits for the next command. Returns `None` once the client has closed the stream.
async fn next_command(commands: &mut Option<Streaming<pb::Command>>) -> Option<Command> {
    let Some(commands) = commands else { return std::future::pending().await };
    loop {
        match commands.message().await {
            // A command of a later revision.
            Ok(Some(pb::Command { command: None })) => {}
            Ok(Some(command)) => return command.command,
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Waits for raw outputs. Never returns if the client did not ask for them.
async fn lines(outputs: Option<&LineBuffer>) -> Vec<u8> {
    match outputs {
        Some(outputs) => outputs.next().await,
        None => std::future::pending().await,
    }
}
