//! The engine: turns a plan into triggers, on time, and measures them. It knows nothing of command lines, gRPC or stdout.
//!
//! Public for the `golo` command, and nothing else may use it: it changes without notice.

pub mod arrivals;
pub mod curve;
pub mod errors;
mod finished;
pub mod health;
pub mod histogram;
pub(crate) mod lag;
mod orders;
pub mod plan;
mod reason;
pub mod recorder;
pub mod room;
mod roster;
pub mod route;
pub mod series;
pub mod slowest;
pub mod snapshot;
pub mod spent;
pub mod tags;
mod timer;
pub mod trigger;
mod users;
mod worker;

use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::mpsc;

pub use finished::{Finished, Progress};
use health::{Descriptors, Health, LagWindows};
use orders::Command;
use plan::{Plan, PlanError, Target};
use recorder::{Outside, RecorderSink};
use room::Selected;
use roster::{Roster, State, Worker};
use snapshot::{Snapshot, Triggers};
use trigger::Trigger;
use worker::{Message, Run};

pub use crate::user::share;
use crate::{Sink, support::until::until, user::share::Share};

/// How long workers are waited for beyond the time they have.
const PATIENCE: Duration = Duration::from_secs(2);
/// A limit that is noticed this much later has passed while this engine stood still itself.
const STOOD_STILL: Duration = Duration::from_secs(1);

/// How a plan is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The job's name, which triggers find in their context.
    pub job_name: String,
    /// Threads; never more than there are users.
    pub workers: usize,
    /// What random choices depend on.
    pub seed: u64,
    /// The part of the plan that is this engine's.
    pub share: Share,
    /// How late starts may be before the run is invalid; `None` for the larger of 10 ms and a tenth of their spacing.
    pub max_lag: Option<Duration>,
}

/// Where the measurements of a run come together.
pub struct Sinks {
    /// The sink of measured triggers.
    pub measured: Arc<RecorderSink>,
    /// The sink of what belongs to no trigger.
    pub outside: Arc<Outside>,
}

impl Sinks {
    /// Those of a run; every output and check goes to each of `beside` too.
    #[must_use]
    pub fn new(beside: Vec<Arc<dyn Sink>>) -> Self {
        Self::selecting(Selected::default(), beside)
    }

    /// The same for a run whose thresholds select these routes.
    #[must_use]
    pub fn selecting(selected: Selected, beside: Vec<Arc<dyn Sink>>) -> Self {
        let measured = Arc::new(RecorderSink::selecting(selected, beside));
        let outside = Arc::new(Outside::new(Arc::clone(&measured)));
        Self { measured, outside }
    }
}

/// A run that is under way.
pub struct Engine {
    plan: Plan,
    options: Options,
    sinks: Sinks,
    command: Command,
    messages: mpsc::UnboundedReceiver<(usize, Message)>,
    workers: Roster,
    /// From when on the warm-up may begin, or what is measured; nothing while it is held.
    begin: Option<Instant>,
    start: Option<(Instant, SystemTime)>,
    /// When what is in flight was cut off.
    cut: Option<Instant>,
    /// When nothing was in flight any more, and when all users had stopped.
    drained: Option<Instant>,
    released: Option<Instant>,
    /// Until when workers are waited for all the same, since this engine could not hear them.
    forbearance: Option<Instant>,
    second: Snapshot,
    seconds: u64,
    totals: Snapshot,
    lag: LagWindows,
    descriptors: Descriptors,
    most_users: u64,
    not_started: Option<String>,
}

impl Engine {
    /// Starts the workers, which get ready; the measured part starts when all are, and the warm-up is over. There are no
    /// more of them than the plan has users at its peak, and that stays so however it is [adjusted](Self::adjust).
    ///
    /// # Errors
    ///
    /// Where the system has no thread left.
    pub fn start<T: Trigger>(trigger: Arc<T>, plan: Plan, options: Options, sinks: Sinks) -> io::Result<Self> {
        // Where not all can be started, dropping it ends those that were.
        let command = Command::default();
        let (share, max_lag) = (options.share, options.max_lag);
        let run = Arc::new(Run {
            trigger,
            plan: plan.clone(),
            job_name: options.job_name.clone(),
            seed: options.seed,
            commander: Arc::clone(&command.0),
            measured: Arc::clone(&sinks.measured),
            most_iterations: plan.iterations().map(|iterations| share.count(iterations)),
            iterations: AtomicU64::new(0),
            most_in_flight: share.count(plan.peak_users()),
            in_flight: AtomicU64::new(0),
        });
        let descriptors = Descriptors::with_limit_raised();
        let workers = u64::try_from(options.workers).unwrap_or(u64::MAX);
        let workers = workers.clamp(1, share.count(plan.peak_users()).max(1));
        let (sender, messages) = mpsc::unbounded_channel();
        for (number, share) in share.split(workers).enumerate() {
            // They end by themselves, and one that does not is not waited for.
            drop(worker::spawn(number, share, Arc::clone(&run), sender.clone())?);
        }
        let workers = Roster::of(workers);
        Ok(Self {
            plan,
            options: Options { workers: workers.len(), ..options },
            sinks,
            command,
            messages,
            workers,
            begin: Some(Instant::now()),
            start: None,
            cut: None,
            drained: None,
            released: None,
            forbearance: None,
            second: Snapshot::default(),
            seconds: 0,
            totals: Snapshot::default(),
            lag: LagWindows::new(max_lag),
            descriptors,
            most_users: 0,
            not_started: None,
        })
    }

    /// Holds the run, once its users have started, until it may [begin](Self::begin).
    pub fn hold(&mut self) {
        self.begin = None;
    }

    /// Waits until all users have started, and gives how many have; gives nothing once the run has ended. Dropping the
    /// future loses nothing.
    pub async fn ready(&mut self) -> Option<u64> {
        loop {
            if self.workers.are_gone() {
                return None;
            }
            if self.workers.are_all(|worker| worker.state != State::Preparing) {
                return Some(self.count_users());
            }
            self.listen().await;
        }
    }

    /// Begins at `at`, or as soon as all users have started.
    pub fn begin(&mut self, at: Instant) {
        self.begin = Some(at);
        self.go_on();
    }

    /// Begins when a clock on the wall shows `at`, or as soon as all users have started.
    pub fn begin_at(&mut self, at: SystemTime) {
        let wait = at.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
        self.begin(Instant::now() + wait);
    }

    /// Changes the load from now on, and gives the plan as it is then: it stays at this level until the plan is over. One
    /// that its iterations end waits for more load while there is none.
    ///
    /// # Errors
    ///
    /// The level is in the wrong unit, or beyond a limit.
    pub fn adjust(&mut self, level: Target) -> Result<&Plan, PlanError> {
        let now = Instant::now();
        let elapsed = self.start.map_or(Duration::ZERO, |(start, _)| now.saturating_duration_since(start));
        self.plan = self.plan.adjusted(elapsed, level)?;
        self.command.0.adjust(self.plan.curve().clone(), now);
        Ok(&self.plan)
    }

    /// Waits for the next second to be over; gives nothing once the run has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Progress> {
        loop {
            if let Some(progress) = self.progress() {
                return Some(progress);
            }
            if self.workers.are_gone() {
                return None;
            }
            self.listen().await;
        }
    }

    /// Hears what a worker says next.
    async fn listen(&mut self) {
        let give_up_at = self.give_up_at();
        tokio::select! {
            biased;
            Some((worker, message)) = self.messages.recv() => self.hear(worker, message),
            () = until(give_up_at) => match give_up_at {
                // As after a pause of the whole process: the workers have stood still for as long.
                Some(limit) if limit.elapsed() > STOOD_STILL => self.forbearance = Some(Instant::now() + PATIENCE),
                _ => self.give_up(),
            },
        }
    }

    /// Has no trigger start any more; those in flight may finish within the grace.
    pub fn stop(&mut self) {
        self.command.0.stop();
        self.end_foreign_load();
    }

    /// Tells the recorder of all threads that are no worker's when the load was over, if it is.
    fn end_foreign_load(&self) {
        if let Some(over) = self.command.0.told().over() {
            self.sinks.measured.end_load(over);
        }
    }

    /// Cuts off what is in flight.
    pub fn cut(&mut self) {
        self.stop();
        self.cut.get_or_insert_with(Instant::now);
        self.sinks.measured.foreign().cut();
        self.command.0.cut();
    }

    /// What was measured until the last second.
    #[must_use]
    pub fn totals(&self) -> &Snapshot {
        &self.totals
    }

    /// When the measured part starts, once that is known.
    #[must_use]
    pub fn started(&self) -> Option<Instant> {
        self.start.map(|(start, _)| start)
    }

    /// The same, as a clock on the wall shows it.
    #[must_use]
    pub fn started_at(&self) -> Option<SystemTime> {
        self.start.map(|(_, at)| at)
    }

    /// Whether nothing is in flight any more, by what the workers have said until now.
    pub fn has_drained(&mut self) -> bool {
        self.hear_all();
        self.drained.is_some()
    }

    /// Hears what the workers have said until now.
    fn hear_all(&mut self) {
        while let Ok((worker, message)) = self.messages.try_recv() {
            self.hear(worker, message);
        }
    }

    /// Everything, once it has ended.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let lost = self.workers.lost();
        if !lost.is_empty() {
            // What they have started and never told the end of.
            let untold = |triggers: &Triggers| {
                let ended = triggers.done + triggers.interrupted + triggers.dropped();
                i128::from(triggers.due) - i128::from(ended)
            };
            let untold = untold(&self.totals.triggers) + untold(&self.second.triggers);
            self.second.triggers.interrupted += u64::try_from(untold).unwrap_or_default();
        }
        let rest = self.end_second(true);
        let generator = &self.totals.generator;
        // Where it was stopped before the clock started, some may have been about to.
        let wanted = if self.start.is_some() { 1 } else { self.opening_users().max(1) };
        if self.not_started.is_none() && generator.users_failed >= wanted && generator.users_started == 0 {
            self.not_started = Some(nobody_started());
        }
        let whole_time = self.since_start(self.drained.unwrap_or_else(Instant::now));
        let told = self.command.0.told();
        let over = self.planned_end().into_iter().chain(told.over()).min();
        let load_time = over.map_or(whole_time, |over| self.since_start(over)).min(whole_time);
        let health = Health {
            worst_lag: self.lag.finish(load_time),
            lost,
            lost_agents: Vec::new(),
            descriptors: self.descriptors,
            is_unoptimised: cfg!(debug_assertions),
        };
        Finished {
            plan: self.plan,
            options: self.options,
            totals: self.totals,
            rest,
            started_at: self.start.map(|(_, at)| at),
            load_time,
            whole_time,
            health,
            most_users: self.most_users,
            not_started: self.not_started,
            proxies: Vec::new(),
            tells_after_load: true,
        }
    }

    fn since_start(&self, moment: Instant) -> Duration {
        self.start.map_or(Duration::ZERO, |(start, _)| moment.saturating_duration_since(start))
    }

    fn planned_end(&self) -> Option<Instant> {
        self.start.zip(self.plan.duration()).map(|((start, _), duration)| start + duration)
    }

    fn hear(&mut self, number: usize, message: Message) {
        let worker = self.workers.get_mut(number);
        match message {
            Message::Ready { users } => (worker.state, worker.users) = (State::Ready, users),
            Message::Second { second, snapshot, users, recycle } => {
                (worker.seconds, worker.users) = (second + 1, users);
                self.lag.add(second, &snapshot.generator.lag, snapshot.triggers.due);
                self.second.merge(&snapshot);
                // A worker that has ended takes nothing back.
                let _ = recycle.send(snapshot);
            }
            Message::Drained { at, second, rest, users } => {
                (worker.state, worker.users) = (State::Drained(at), users);
                self.lag.add(second, &rest.generator.lag, rest.triggers.due);
                self.second.merge(&rest);
            }
            Message::Stopped => {
                let drained = worker.drained().unwrap_or_else(Instant::now);
                worker.state = State::Stopped(drained);
            }
            Message::Ended(snapshot) => {
                worker.state = State::Ended;
                self.second.merge(&snapshot);
            }
            Message::Failed(reason) => {
                worker.state = State::Failed;
                self.not_started.get_or_insert(reason);
            }
            Message::Lost(reason) => worker.state = State::Lost(reason),
        }
        self.go_on();
    }

    /// Gives the order that the workers are waiting for, if they are.
    fn go_on(&mut self) {
        let is_over = self.command.0.is_over();
        if let Some(begin) = self.begin
            && self.start.is_none()
            && !is_over
            && self.workers.are_all(|worker| worker.state == State::Ready)
        {
            self.start_measuring(begin);
        }
        if self.drained.is_none() && self.workers.are_all(Worker::has_drained) {
            self.drained = self.workers.drained().or_else(|| Some(Instant::now()));
            self.count_users();
        }
        if self.released.is_none() && self.workers.are_all(Worker::has_stopped) {
            self.released = Some(Instant::now());
            self.command.0.release();
        }
    }

    /// How many users there are to be when it begins, in a closed model.
    fn opening_users(&self) -> u64 {
        self.options.share.count(self.plan.users_at(Duration::ZERO))
    }

    /// Starts the clock, unless there is nobody to run.
    fn start_measuring(&mut self, begin: Instant) {
        let opens_with_users = !self.plan.is_open() && self.opening_users() > 0;
        if opens_with_users && self.workers.users() == 0 {
            self.not_started.get_or_insert_with(nobody_started);
        }
        if self.not_started.is_some() {
            return self.stop();
        }
        let now = Instant::now();
        let start = begin.max(now) + self.plan.warm_up();
        self.start = Some((start, SystemTime::now() + (start - now)));
        self.sinks.measured.start(start);
        if let Some(end) = self.planned_end() {
            self.sinks.measured.end_load(end);
        }
        self.sinks.outside.measure_from(start);
        self.command.0.start(start);
        if self.plan.iterations().is_some_and(|iterations| self.options.share.count(iterations) == 0) {
            self.command.0.exhaust();
        }
    }

    /// The next second, if every worker has told of it.
    fn progress(&mut self) -> Option<Progress> {
        let seconds = self.workers.seconds()?;
        if seconds <= self.seconds {
            return None;
        }
        self.seconds = seconds;
        self.lag.judge_before(seconds);
        self.descriptors.look();
        let users = self.count_users();
        let second = self.end_second(false);
        Some(Progress { elapsed: Duration::from_secs(seconds), second, users })
    }

    fn count_users(&mut self) -> u64 {
        let users = self.workers.users();
        self.most_users = self.most_users.max(users);
        users
    }

    fn end_second(&mut self, is_over: bool) -> Snapshot {
        self.end_foreign_load();
        self.second.merge(&self.sinks.measured.take(is_over));
        self.second.add_stray_panics(self.started());
        let second = std::mem::take(&mut self.second);
        self.totals.merge(&second);
        second
    }

    /// From when on a worker that has not answered is lost.
    fn give_up_at(&self) -> Option<Instant> {
        self.limit().map(|limit| self.forbearance.map_or(limit, |until| limit.max(until)))
    }

    fn limit(&self) -> Option<Instant> {
        if let Some(released) = self.released {
            return Some(released + PATIENCE);
        }
        let grace = self.plan.graceful_stop();
        let stopped = self.command.0.told().stopped;
        let (over, grace) = match self.drained {
            // Users have as long again to stop, and a moment at least.
            Some(drained) => (Some(drained), grace.max(PATIENCE)),
            None => (stopped.into_iter().chain(self.planned_end()).min(), grace),
        };
        let cut = self.cut.map(|cut| self.drained.map_or(cut, |drained| drained.max(cut)));
        [over.map(|over| over + grace), cut].into_iter().flatten().min().map(|moment| moment + PATIENCE)
    }

    fn give_up(&mut self) {
        self.hear_all();
        if self.give_up_at().is_none_or(|limit| Instant::now() < limit) {
            return;
        }
        let (is_drained, is_released) = (self.drained.is_some(), self.released.is_some());
        self.workers.give_up("it did not answer: the load test may block its thread", |worker| match worker.state {
            State::Drained(_) => is_drained,
            State::Stopped(_) => is_released,
            _ => true,
        });
        self.go_on();
    }
}

fn nobody_started() -> String {
    "no user could start".to_owned()
}
