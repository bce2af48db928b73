//! The client of `golo.engine.v1.Engine`: a load test in another process that runs a whole plan itself.

use std::time::{Duration, Instant};

use golo::{
    Error, OutputRef, Sink as _,
    cli::{Drive, not_started, say},
    engine::{
        Finished, Options, Progress, Sinks,
        plan::{Plan, Target},
        snapshot::Snapshot,
    },
    pb::engine::{self as pb, command::Command, engine_client, event::Event},
    wire,
};
use tokio::{
    sync::mpsc,
    time::{sleep_until, timeout},
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::{job_client::Address, merged::Merged};

/// The largest event that is taken: a thousand series, each with the widest histogram there is, are half of it.
const LARGEST: usize = 1 << 30;
/// How long a load test may take to say whether it runs plans: it has been set up, so that it knows at once.
const ANSWER: Duration = Duration::from_secs(3);
/// How long beyond its time a load test is waited for that does not say that it has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// A load test's own engine.
pub struct EngineClient {
    commands: mpsc::UnboundedSender<pb::Command>,
    events: Streaming<pb::Event>,
    merged: Merged,
    sinks: Sinks,
    plan: Plan,
    /// Whether it begins as soon as it is ready.
    is_held: bool,
    is_ready: bool,
    started: Option<Instant>,
    /// When what is in flight was told to be cut off.
    cut: Option<Instant>,
    broken: Option<String>,
    /// Whether raw outputs that could not be read have been said.
    has_said: bool,
}

impl EngineClient {
    /// Hands the plan to the load test at `address`; gives nothing where that runs no plans itself.
    ///
    /// # Errors
    ///
    /// Why it does not take this plan.
    pub async fn open(address: &Address, plan: &Plan, options: &Options, sinks: &Sinks) -> Result<Option<Self>, Error> {
        let channel = address.channel().map_err(|error| not_started("its address is none", Some(error.into())))?;
        let mut client = engine_client::EngineClient::new(channel).max_decoding_message_size(LARGEST);
        let (commands, stream) = mpsc::unbounded_channel();
        let workers = u32::try_from(options.workers).unwrap_or(u32::MAX);
        let asked = pb::Plan {
            needs: 1,
            load: Some(plan.into()),
            share: Some(options.share.into()),
            job_name: options.job_name.clone(),
            workers,
            seed: options.seed,
            outputs: sinks.measured.passes_on(),
        };
        // The other end is in the stream below.
        let _ = commands.send(command(Command::Plan(asked)));
        let running = client.run(UnboundedReceiverStream::new(stream));
        let events = match timeout(ANSWER, running).await.unwrap_or_else(|_| Err(Status::unimplemented(""))) {
            Ok(response) => response.into_inner(),
            Err(status) if is_refusal(status.code()) => {
                return Err(not_started(format!("the load test does not take the plan: {}", status.message()), None));
            }
            // It serves golo.Job alone.
            Err(_) => return Ok(None),
        };
        let merged = Merged::new(plan.clone(), options.clone(), [options.job_name.clone()]);
        Ok(Some(Self {
            commands,
            events,
            merged,
            sinks: Sinks { measured: sinks.measured.clone(), outside: sinks.outside.clone() },
            plan: plan.clone(),
            is_held: false,
            is_ready: false,
            started: None,
            cut: None,
            broken: None,
            has_said: false,
        }))
    }

    /// Holds the run, once its users have started, until it may [begin](Self::begin).
    pub fn hold(&mut self) {
        self.is_held = true;
    }

    /// Begins at `at`, by the clock of the load test's machine, or as soon as it is ready.
    pub fn begin(&mut self, at: std::time::SystemTime) {
        self.is_held = false;
        self.command(Command::Start(pb::Start { at: wire::unix_nanoseconds(at) }));
    }

    /// Changes the load from now on; the answer is an event.
    pub fn adjust(&mut self, level: Target) {
        let level = match level {
            Target::Users(users) => pb::adjust::Level::Users(users),
            Target::Rate(rate) => pb::adjust::Level::Rate(rate.millionths_per_hour()),
        };
        self.command(Command::Adjust(pb::Adjust { level: Some(level) }));
    }

    /// Waits for what it tells next; gives nothing once it has ended, or where no more is heard of it. Dropping the future
    /// loses nothing.
    pub async fn told(&mut self) -> Option<Event> {
        loop {
            if self.merged.is_over() {
                return None;
            }
            // Where raw outputs are not taken as fast as they come, the load test waits.
            if let Some(room) = self.sinks.measured.backpressure() {
                room.await;
            }
            let give_up = self.give_up_at();
            let message = tokio::select! {
                message = self.events.message() => message,
                () = until(give_up) => {
                    self.broke("it did not end in its time".to_owned());
                    continue;
                }
            };
            match message {
                Ok(Some(pb::Event { event: Some(event) })) => {
                    if let Some(event) = self.hear(event) {
                        return Some(event);
                    }
                }
                // Of a later revision.
                Ok(Some(_)) => {}
                Ok(None) => self.broke("the load test ended its stream before the run had ended".to_owned()),
                Err(status) => self.broke(format!("the stream from the load test broke: {}", status.message())),
            }
        }
    }

    /// [`told`](Self::told), where nobody asks for [`next`](Drive::next); how it ended is not told.
    pub async fn told_anew(&mut self) -> Option<Event> {
        let event = self.told().await?;
        // What has been told is over, so that it is no part of the end.
        let _ = self.merged.progress();
        Some(event).filter(|event| !matches!(event, Event::Finished(_)))
    }

    /// Gives what is worth telling.
    fn hear(&mut self, event: Event) -> Option<Event> {
        match &event {
            Event::Ready(_) => {
                self.is_ready = true;
                if !self.is_held {
                    self.command(Command::Start(pb::Start { at: 0 }));
                }
            }
            Event::Started(started) => {
                let ahead = wire::moment(started.at).duration_since(std::time::SystemTime::now());
                let since = wire::moment(started.at).elapsed().unwrap_or_default();
                let now = Instant::now();
                self.started = Some(now.checked_sub(since).unwrap_or(now) + ahead.unwrap_or_default());
            }
            Event::Outputs(outputs) => {
                self.pass_on(&outputs.lines);
                return None;
            }
            _ => {}
        }
        if let Err(error) = self.merged.hear(0, &event) {
            self.broke(format!("the load test tells what cannot be: {error}"));
            return None;
        }
        Some(event)
    }

    fn pass_on(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match std::str::from_utf8(line).map(OutputRef::parse) {
                Ok(Ok(output)) => self.sinks.measured.pass_on(&output),
                _ if !std::mem::replace(&mut self.has_said, true) => {
                    say("golo: an output of the load test cannot be read, and is not passed on");
                }
                _ => {}
            }
        }
    }

    fn broke(&mut self, reason: String) {
        // What it did in its last second dies with it.
        self.merged.lose(0, &reason);
        self.broken.get_or_insert(reason);
    }

    /// Whether its users have started.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn command(&self, what: Command) {
        // Whoever is gone obeys nothing, and that is told where events are waited for.
        let _ = self.commands.send(command(what));
    }

    /// From when on it is not waited for any more.
    fn give_up_at(&self) -> Option<Instant> {
        // The grace is for triggers, and as long again for users.
        let end = self.started.zip(self.plan.duration()).map(|(start, duration)| start + duration);
        let end = end.map(|end| end + 2 * self.plan.graceful_stop());
        [self.cut, end].into_iter().flatten().min().map(|end| end + PATIENCE)
    }
}

fn command(command: Command) -> pb::Command {
    pb::Command { command: Some(command) }
}

/// Whether a load test that runs plans says so of this one.
fn is_refusal(code: Code) -> bool {
    matches!(code, Code::FailedPrecondition | Code::InvalidArgument | Code::ResourceExhausted | Code::Aborted)
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

impl Drive for EngineClient {
    async fn next(&mut self) -> Option<Progress> {
        loop {
            if let Some(progress) = self.merged.progress() {
                return Some(progress);
            }
            self.told().await?;
        }
    }

    fn stop(&mut self) {
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

    fn finish(self) -> Finished {
        self.merged.finish()
    }
}
