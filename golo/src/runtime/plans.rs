//! The service `golo.engine.v1.Engine`: whole plans, run here for whoever holds the stream.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{cores, in_process::InProcess, service::InFlight, told::Told};
use crate::{
    Loadtest, Sink,
    engine::{
        Engine, Options, Sinks,
        plan::{Plan, Rate, Target},
        recorder::{Outside, RecorderSink},
        share::Share,
    },
    error::chain,
    panic::print_at_most,
    pb::engine::{self as pb, command::Command, event::Event},
    sink, wire,
};

/// Events that wait for whoever holds the stream.
const EVENTS: usize = 256;
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

type Events = Pin<Box<dyn Stream<Item = Result<pb::Event, Status>> + Send>>;

#[tonic::async_trait]
impl pb::engine_server::Engine for Plans {
    type RunStream = Events;

    async fn run(&self, request: Request<Streaming<pb::Command>>) -> Result<Response<Events>, Status> {
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
    wants_outputs: bool,
}

impl Asked {
    fn read(written: pb::Plan, name: &str) -> Result<Self, Status> {
        let pb::Plan { needs, load, share, job_name, workers, seed, outputs } = written;
        if needs > pb::REVISION {
            return Err(Status::failed_precondition(format!(
                "the plan needs revision {needs} of golo.engine.v1, and this load test was built with golo {}, which speaks \
                 {}: build it with a later golo",
                env!("CARGO_PKG_VERSION"),
                pb::REVISION
            )));
        }
        let wrong = |error: wire::WireError| Status::invalid_argument(error.to_string());
        let load = load.ok_or_else(|| Status::invalid_argument("no load"))?;
        let options = Options {
            job_name: if job_name.is_empty() { name.to_owned() } else { job_name },
            workers: if workers == 0 { cores() } else { workers as usize },
            seed,
            share: share.as_ref().map_or(Ok(Share::WHOLE), Share::try_from).map_err(wrong)?,
        };
        Ok(Self { plan: Plan::try_from(&load).map_err(wrong)?, options, wants_outputs: outputs })
    }
}

/// A plan that is being run.
struct Running {
    engine: Engine,
    outputs: Option<Arc<Told>>,
    events: mpsc::Sender<Result<pb::Event, Status>>,
    in_flight: InFlight,
    is_ready: bool,
    is_started: bool,
    /// The sink of the process, until it has it back.
    process: Arc<dyn Sink>,
    _turn: OwnedMutexGuard<()>,
}

impl Running {
    async fn start(
        plans: &Plans,
        Asked { plan, options, wants_outputs }: Asked,
        events: mpsc::Sender<Result<pb::Event, Status>>,
        turn: OwnedMutexGuard<()>,
    ) -> Result<Self, Status> {
        let failed = |error: crate::Error| Status::new(Code::Aborted, chain(&error));
        let shared = plans.loadtest.set_up().await.map_err(failed)?;
        let outputs = wants_outputs.then(Arc::<Told>::default);
        let beside = outputs.iter().map(|told| Arc::<Told>::clone(told) as Arc<dyn Sink>);
        let measured = Arc::new(RecorderSink::new(beside.chain(plans.loadtest.own_sink()).collect()));
        let outside = Arc::new(Outside::new(Arc::clone(&measured)));
        let sinks = Sinks { measured, outside: Arc::clone(&outside) };
        let mut engine = InProcess::start(&plans.loadtest, shared, plan, options, sinks).map_err(failed)?;
        engine.hold();
        print_at_most(PANICS);
        let process = sink::process();
        sink::install(outside);
        let in_flight = plans.in_flight.clone();
        Ok(Self { engine, outputs, events, in_flight, is_ready: false, is_started: false, process, _turn: turn })
    }

    async fn run(mut self, mut commands: Streaming<pb::Command>) {
        let _entered = self.in_flight.enter();
        self.tell(Event::Accepted(pb::Accepted {
            revision: pb::REVISION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
        .await;
        let (in_flight, outputs, events) = (self.in_flight.clone(), self.outputs.clone(), self.events.clone());
        let (mut is_stopping, mut is_cut, mut is_broken) = (false, false, false);
        loop {
            tokio::select! {
                told = next(&mut self.engine, self.is_ready) => match told {
                    Some(told) => {
                        self.is_ready |= matches!(told, Event::Ready(_));
                        self.tell(told).await;
                    }
                    None => break,
                },
                lines = lines(outputs.as_deref()) => self.tell(Event::Outputs(pb::Outputs { lines })).await,
                command = commands.message(), if !is_broken => match command {
                    Ok(Some(command)) => self.obey(command).await,
                    // Whoever wanted this load is gone.
                    Ok(None) | Err(_) => {
                        is_broken = true;
                        self.engine.cut();
                    }
                },
                () = events.closed(), if !is_broken => {
                    is_broken = true;
                    self.engine.cut();
                }
                () = in_flight.are_stopped(), if !is_stopping => {
                    is_stopping = true;
                    self.engine.stop();
                }
                () = in_flight.are_cut_off(), if !is_cut => {
                    is_cut = true;
                    self.engine.cut();
                }
            }
            self.tell_start().await;
        }
        self.end().await;
    }

    async fn obey(&mut self, command: pb::Command) {
        match command.command {
            Some(Command::Start(pb::Start { at })) => {
                let wait = wire::moment(at).duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
                self.engine.begin(Instant::now() + wait);
            }
            Some(Command::Adjust(pb::Adjust { level: Some(level) })) => {
                let adjusted = self.adjust(level);
                self.tell(Event::Adjusted(adjusted)).await;
            }
            Some(Command::Stop(_)) => self.engine.stop(),
            Some(Command::Cut(_)) => self.engine.cut(),
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
    async fn tell_start(&mut self) {
        if !self.is_started
            && let Some(at) = self.engine.started_at()
        {
            self.is_started = true;
            self.tell(Event::Started(pb::Started { at: wire::unix_nanoseconds(at) })).await;
        }
    }

    /// Whoever is gone hears nothing.
    async fn tell(&self, event: Event) {
        let _ = self.events.send(Ok(wire::event(event))).await;
    }

    async fn end(self) {
        let Self { engine, outputs, events, process, .. } = self;
        sink::install(process);
        let finished = engine.finish();
        if let Some(lines) = outputs.map(|outputs| outputs.take()).filter(|lines| !lines.is_empty()) {
            let _ = events.send(Ok(wire::event(Event::Outputs(pb::Outputs { lines })))).await;
        }
        let _ = events.send(Ok(wire::event(Event::from(&finished)))).await;
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
