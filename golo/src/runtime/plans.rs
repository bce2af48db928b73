//! The service `golo.engine.v1.Engine`: whole plans, run here for whoever holds the stream.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, OwnedMutexGuard, mpsc},
    time::{sleep_until, timeout},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{cores, in_process::InProcess, outbox::Outbox, service::InFlight, told::Told};
use crate::run_loop::{LAST_MOMENT, running::with_proxies};
use crate::{
    Loadtest, Sink,
    engine::{
        Engine, Finished, Options, Sinks,
        plan::{Plan, Rate, Target},
        room::Selected,
    },
    error::chain,
    metrics::sink,
    pb::{
        engine as pb,
        engine::{command::Command, event::Event},
    },
    support::{
        panic::{print_at_most, watch},
        until::until,
    },
    user::{member, share::Share},
    wire,
};

/// Events that are being sent; others wait in the [`Outbox`].
const EVENTS: usize = 1;
/// Panics that are printed: a load test that panics may do so thousands of times.
const PANICS: usize = 3;

/// Runs plans of one load test, one at a time.
pub(super) struct Plans {
    loadtest: Arc<Loadtest>,
    in_flight: InFlight,
    /// Held by the plan that is running.
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
        let asked = match commands.message().await?.and_then(|first| first.command) {
            Some(Command::Plan(plan)) => Asked::read(plan, &self.loadtest.name)?,
            _ => return Err(Status::invalid_argument("the first command is a plan")),
        };
        let turn = Arc::clone(&self.turn).try_lock_owned();
        let turn = turn.map_err(|_| Status::resource_exhausted("another plan is running; one runs at a time"))?;
        let (events, told) = mpsc::channel(EVENTS);
        let running = Running::start(self, asked, events, turn).await?;
        tokio::spawn(running.run(commands));
        Ok(Response::new(Box::pin(ReceiverStream::new(told))))
    }
}

/// A plan that came over the wire.
struct Asked {
    plan: Plan,
    options: Options,
    /// Routes that thresholds select.
    selected: Selected,
    wants_outputs: bool,
    /// The revision that is spoken.
    revision: u32,
}

impl Asked {
    fn read(written: pb::Plan, name: &str) -> Result<Self, Status> {
        let pb::Plan { needs, load, share, job_name, workers, seed, outputs, speaks, selected_routes, max_lag } =
            written;
        if needs > pb::REVISION {
            return Err(Status::failed_precondition(format!(
                "the plan needs revision {needs} of golo.engine.v1, and this load test was built with golo {}, which speaks \
                 {}: build it with a later golo",
                env!("CARGO_PKG_VERSION"),
                pb::REVISION
            )));
        }
        let revision = pb::spoken_with(speaks).ok_or_else(|| {
            Status::failed_precondition(format!(
                "revision {} of golo.engine.v1 is the latest that is understood there, and this load test was built with golo \
                 {}, which speaks none before {}: use a later golo",
                speaks.max(1),
                env!("CARGO_PKG_VERSION"),
                pb::EARLIEST
            ))
        })?;
        let wrong = |error: wire::WireError| Status::invalid_argument(error.to_string());
        let load = load.ok_or_else(|| Status::invalid_argument("no load"))?;
        let options = Options {
            job_name: if job_name.is_empty() { name.to_owned() } else { job_name },
            workers: if workers == 0 { cores() } else { workers as usize },
            seed,
            share: share.as_ref().map_or(Ok(Share::WHOLE), Share::try_from).map_err(wrong)?,
            max_lag: max_lag.map(Duration::from_nanos),
        };
        Ok(Self {
            plan: Plan::try_from(&load).map_err(wrong)?,
            options,
            selected: selected_routes.into_iter().collect(),
            wants_outputs: outputs,
            revision,
        })
    }
}

/// A plan that is being run.
struct Running {
    engine: Engine,
    outputs: Option<Arc<Told>>,
    events: Events,
    outbox: Outbox,
    in_flight: InFlight,
    is_ready: bool,
    is_started: bool,
    /// Its process was told to stop.
    is_stopped: bool,
    is_cut: bool,
    /// The sink of the process, until it has it back.
    process: Arc<dyn Sink>,
    turn: OwnedMutexGuard<()>,
}

impl Running {
    async fn start(
        plans: &Plans,
        Asked { plan, options, selected, wants_outputs, revision }: Asked,
        events: Events,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Self, Status> {
        let failed = |error: crate::Error| Status::new(Code::Aborted, chain(&error));
        // Before `setup`, which may deal rows.
        member::join(options.share);
        let shared = plans.loadtest.set_up().await.map_err(failed)?;
        let outputs = wants_outputs.then(Arc::<Told>::default);
        let beside = outputs.iter().map(|told| Arc::<Told>::clone(told) as Arc<dyn Sink>);
        let sinks = Sinks::selecting(selected, beside.chain(plans.loadtest.own_sink()).collect());
        let outside = Arc::clone(&sinks.outside);
        let mut engine = InProcess::start(&plans.loadtest, shared, plan, options, sinks).map_err(failed)?;
        engine.hold();
        print_at_most(PANICS);
        // `setup` may have set a panic hook of its own.
        watch();
        let process = sink::process();
        sink::install(outside);
        let mut outbox = Outbox::default();
        outbox.push(Event::Accepted(pb::Accepted { revision, version: env!("CARGO_PKG_VERSION").to_owned() }));
        Ok(Self {
            engine,
            outputs,
            events,
            outbox,
            in_flight: plans.in_flight.clone(),
            is_ready: false,
            is_started: false,
            is_stopped: false,
            is_cut: false,
            process,
            turn,
        })
    }

    async fn run(mut self, mut commands: Streaming<pb::Command>) {
        let _entered = self.in_flight.enter();
        let (in_flight, outputs, events) = (self.in_flight.clone(), self.outputs.clone(), self.events.clone());
        let mut is_broken = false;
        loop {
            // Nothing in here waits for anybody: whatever the reader does, the engine goes on and orders are obeyed.
            tokio::select! {
                told = next(&mut self.engine, self.is_ready) => match told {
                    Some(told) => {
                        self.is_ready |= matches!(told, Event::Ready(_));
                        self.outbox.push(told);
                    }
                    None => break,
                },
                Ok(permit) = events.reserve(), if !self.outbox.is_empty() => self.outbox.send(permit),
                lines = lines(outputs.as_deref()), if self.outbox.has_room() => self.outbox.push_outputs(lines),
                command = commands.message(), if !is_broken => match command {
                    Ok(Some(command)) => self.obey(command),
                    // Whoever wanted this load is gone.
                    Ok(None) | Err(_) => {
                        is_broken = true;
                        self.cut();
                    }
                },
                () = events.closed(), if !is_broken => {
                    is_broken = true;
                    self.outbox.close();
                    self.cut();
                }
                () = in_flight.are_stopped(), if !self.is_stopped => {
                    self.is_stopped = true;
                    self.engine.stop();
                }
                () = in_flight.are_cut_off(), if !self.is_cut => self.cut(),
            }
            self.tell_start();
        }
        self.end((!is_broken).then_some(commands)).await;
    }

    fn cut(&mut self) {
        self.is_cut = true;
        self.engine.cut();
    }

    fn obey(&mut self, command: pb::Command) {
        match command.command {
            Some(Command::Start(pb::Start { at })) => {
                self.engine.begin_at(wire::moment(at));
            }
            Some(Command::Adjust(pb::Adjust { level: Some(level) })) => {
                let adjusted = self.adjust(level);
                self.outbox.push(Event::Adjusted(adjusted));
            }
            Some(Command::Stop(_)) => self.engine.stop(),
            Some(Command::Cut(_)) => self.cut(),
            Some(Command::Taken(pb::Taken { bytes })) => self.outbox.taken(bytes),
            // A command of a later revision comes only with a plan that needs it.
            Some(Command::Plan(_) | Command::Adjust(_)) | None => {}
        }
    }

    fn adjust(&mut self, level: pb::adjust::Level) -> pb::Adjusted {
        let level = match level {
            pb::adjust::Level::Users(users) => Ok(Target::Users(users)),
            pb::adjust::Level::Rate(rate) => Rate::new(rate).map(Target::Rate).ok_or("a rate that is too high"),
        };
        let adjusted = level.map_err(str::to_owned).and_then(|level| {
            let plan = self.engine.adjust(level).map_err(|error| error.to_string())?;
            Ok(pb::Load::from(plan))
        });
        match adjusted {
            Ok(load) => pb::Adjusted { refused: String::new(), load: Some(load) },
            Err(refused) => pb::Adjusted { refused, load: None },
        }
    }

    /// Tells when the clock starts, once that is known.
    fn tell_start(&mut self) {
        if !self.is_started
            && let Some(at) = self.engine.started_at()
        {
            self.is_started = true;
            self.outbox.push(Event::Started(pb::Started { at: wire::unix_nanoseconds(at) }));
        }
    }

    async fn end(self, mut commands: Option<Streaming<pb::Command>>) {
        let Self { engine, outputs, events, outbox, in_flight, is_stopped, is_cut, process, turn, .. } = self;
        sink::install(process);
        let over = engine.started();
        let finished = with_proxies(engine.finish());
        // The grace begins with the end of the plan's time, and a plan of iterations may have ended before.
        let time = if finished.plan.iterations().is_some() { finished.whole_time } else { finished.load_time };
        let over = over.map_or_else(Instant::now, |start| start + time);
        let until = if is_cut { over } else { over + finished.plan.graceful_stop() };
        let last = Last { outbox, outputs, until, taken: Instant::now(), lost: 0 };
        last.tell(&events, finished, is_stopped, &mut commands, &in_flight).await;
        drop(turn);
        if commands.is_some() {
            // Where this process ends too, a reader that writes to the connection once it is closed finds it broken, and what
            // it has not read is lost to it: it lets go first.
            let let_go = async { while next_command(&mut commands).await.is_some() {} };
            let _ = timeout(LAST_MOMENT, let_go).await;
        }
    }
}

/// What is told once nothing is in flight any more: the rest of the raw outputs, and the end.
struct Last {
    outbox: Outbox,
    outputs: Option<Arc<Told>>,
    /// How long raw outputs are waited for that nobody takes.
    until: Instant,
    /// When some were taken last.
    taken: Instant,
    /// Lines that were not taken in time.
    lost: u64,
}

impl Last {
    async fn tell(
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

    /// Sends what raw outputs there is room for.
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

/// Waits for what is commanded next; gives nothing once nobody commands any more.
async fn next_command(commands: &mut Option<Streaming<pb::Command>>) -> Option<Command> {
    let Some(commands) = commands else { return std::future::pending().await };
    loop {
        match commands.message().await {
            // Of a later revision.
            Ok(Some(pb::Command { command: None })) => {}
            Ok(Some(command)) => return command.command,
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Waits for what the engine tells next; gives nothing once the run has ended.
async fn next(engine: &mut Engine, is_ready: bool) -> Option<Event> {
    if !is_ready && let Some(users) = engine.ready().await {
        return Some(Event::Ready(pb::Ready { users }));
    }
    engine.next().await.map(|progress| Event::from(&progress))
}

/// Waits for lines, where they are wanted.
async fn lines(outputs: Option<&Told>) -> Vec<u8> {
    match outputs {
        Some(outputs) => outputs.next().await,
        None => std::future::pending().await,
    }
}
