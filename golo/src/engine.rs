//! The engine: turns a plan into triggers, starts them on time and measures them. It does not depend on the command
//! line, gRPC or stdout.
//!
//! This module is public for the `golo` command only. It may change in any release without notice.

pub mod arrivals;
pub mod connections;
pub mod curve;
pub mod errors;
mod event;
pub mod failures;
mod finished;
pub mod health;
pub mod histogram;
pub(crate) mod lag;
pub mod metrics;
pub mod mix;
mod orders;
pub mod phases;
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
pub mod standstill;
mod stillness;
pub mod tags;
mod timer;
pub mod trigger;
mod users;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

pub use event::RunEvent;
use failures::Masks;
pub use finished::{Finished, Progress};
use health::{Descriptors, Health, LagWindows};
use orders::Command;
use plan::{Plan, PlanError, Target};
use recorder::{Outside, RecorderSink};
use room::Selected;
use roster::{Roster, State, Worker};
use snapshot::Snapshot;
use trigger::Trigger;
use worker::{Message, Run};

pub use crate::user::share;
use crate::{Sink, support::until::until, user::share::Share};

/// Time that workers get to answer, in addition to the time they are allowed.
const PATIENCE: Duration = Duration::from_secs(2);
/// If a time limit is noticed this much too late, this process itself stood still.
const STOOD_STILL: Duration = Duration::from_secs(1);

/// Options of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Name of the job. Triggers receive it in their context.
    pub job_name: String,
    /// Number of worker threads. The engine starts no more than there are users.
    pub workers: usize,
    /// Seed of random choices.
    pub seed: u64,
    /// Part of the plan that this engine runs.
    pub share: Share,
    /// Delay of starts above which the run is invalid. `None` for the default: 10 ms, or a tenth of the time between
    /// two starts if that is longer.
    pub max_lag: Option<Duration>,
}

/// Sinks that receive the measurements of a run.
pub struct Sinks {
    /// Sink for measured triggers.
    pub measured: Arc<RecorderSink>,
    /// Sink for requests and checks made outside of triggers.
    pub outside: Arc<Outside>,
}

impl Sinks {
    /// Creates the sinks of a run. Every output and check also goes to each sink of `beside`.
    #[must_use]
    pub fn new(beside: Vec<Arc<dyn Sink>>) -> Self {
        Self::selecting(Selected::default(), None, beside)
    }

    /// Creates the sinks of a run whose thresholds select the routes in `selected`. Requests that fail are sampled if
    /// there are masks.
    #[must_use]
    pub fn selecting(selected: Selected, masks: Option<Masks>, beside: Vec<Arc<dyn Sink>>) -> Self {
        let measured = Arc::new(RecorderSink::selecting(selected, masks, beside));
        let outside = Arc::new(Outside::new(Arc::clone(&measured)));
        Self { measured, outside }
    }
}

/// A run that is in progress.
pub struct Engine {
    plan: Plan,
    options: Options,
    sinks: Sinks,
    command: Command,
    messages: mpsc::UnboundedReceiver<(usize, Message)>,
    workers: Roster,
    /// Earliest start of the warm-up, or of the measured part if there is no warm-up. `None` while the run is held.
    begin: Option<Instant>,
    start: Option<(Instant, SystemTime)>,
    /// Time at which triggers in flight were cut off.
    cut: Option<Instant>,
    /// Time from which nothing was in flight any more.
    drained: Option<Instant>,
    /// Time at which all users had stopped.
    released: Option<Instant>,
    /// Workers are not given up before this time. Set when this process stood still and could not receive their
    /// messages.
    forbearance: Option<Instant>,
    /// Last time at which something moved.
    moved: Option<Instant>,
    /// Reason why the run was cut off, if nothing moved any more.
    stuck: Option<String>,
    second: Snapshot,
    seconds: u64,
    totals: Snapshot,
    lag: LagWindows,
    descriptors: Descriptors,
    most_users: u64,
    most_connections: u64,
    not_started: Option<String>,
}

impl Engine {
    /// Starts the workers, which then start their users. The measured part begins when all workers are ready and the
    /// warm-up is over.
    ///
    /// There are never more workers than the plan has users at its peak, even if the run is [adjusted](Self::adjust)
    /// later.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start another thread.
    pub fn start<T: Trigger>(trigger: Arc<T>, plan: Plan, options: Options, sinks: Sinks) -> io::Result<Self> {
        // If starting a worker fails, dropping `command` ends those already started.
        let command = Command::of(plan.loads().len());
        let (share, max_lag) = (options.share, options.max_lag);
        let runs: Vec<_> = std::iter::zip(plan.loads(), command.loads())
            .enumerate()
            .map(|(number, (load, commander))| {
                let number = number as u64;
                let part = load.share(share);
                let share = part.unwrap_or(Share::NONE);
                let run = Run {
                    trigger: Arc::clone(&trigger),
                    load: load.clone(),
                    job_name: options.job_name.clone(),
                    // Each load has random choices of its own.
                    seed: options.seed.wrapping_add(number),
                    share,
                    commander: Arc::clone(commander),
                    measured: Arc::clone(&sinks.measured),
                    most_iterations: match part {
                        Some(share) => load.iterations().map(|iterations| share.count(iterations)),
                        None => Some(0),
                    },
                    iterations: AtomicU64::new(0),
                    most_in_flight: share.count(load.peak_users()),
                    in_flight: AtomicU64::new(0),
                    deck: load.mix().deck(options.seed, share, load.iterations()),
                    first_user: number << u32::BITS,
                };
                Arc::new(run)
            })
            .collect();
        let descriptors = Descriptors::with_limit_raised();
        let workers = u64::try_from(options.workers).unwrap_or(u64::MAX);
        let workers = workers.clamp(1, share.count(plan.peak_users()).max(1));
        let (sender, messages) = mpsc::unbounded_channel();
        for number in 0..workers as usize {
            // Workers end by themselves. The engine gives up a worker that does not and never joins its thread.
            drop(worker::spawn(number, workers, runs.clone(), sender.clone())?);
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
            moved: None,
            stuck: None,
            second: Snapshot::default(),
            seconds: 0,
            totals: Snapshot::default(),
            lag: LagWindows::new(max_lag),
            descriptors,
            most_users: 0,
            most_connections: 0,
            not_started: None,
        })
    }

    /// Holds the run, after its users have started, until [`begin`](Self::begin) is called.
    pub fn hold(&mut self) {
        self.begin = None;
    }

    /// Waits until all users have started and returns their number, or `None` if the run has ended.
    ///
    /// This method is cancel safe: dropping the future loses nothing.
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

    /// Begins the run at `at`, or later as soon as all users have started.
    pub fn begin(&mut self, at: Instant) {
        self.begin = Some(at);
        self.go_on();
    }

    /// Begins the run when the system clock shows `at`, or later as soon as all users have started.
    pub fn begin_at(&mut self, at: SystemTime) {
        let wait = at.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
        self.begin(Instant::now() + wait);
    }

    /// Changes the load from now on and returns the changed plan. The load stays at this level until the plan is over.
    ///
    /// A plan that ends with its iterations does not end while the load is zero: it waits for another change.
    ///
    /// # Errors
    ///
    /// Returns an error if the level has the wrong unit or exceeds a limit.
    pub fn adjust(&mut self, level: Target) -> Result<&Plan, PlanError> {
        let now = Instant::now();
        let elapsed = self.start.map_or(Duration::ZERO, |(start, _)| now.saturating_duration_since(start));
        self.plan = self.plan.adjusted(elapsed, level)?;
        self.moved = Some(now);
        for (load, commander) in std::iter::zip(self.plan.loads(), self.command.loads()) {
            commander.adjust(load.curve().clone(), now);
        }
        Ok(&self.plan)
    }

    /// Waits until the next second is over and returns it, or `None` if the run has ended.
    ///
    /// This method is cancel safe: dropping the future loses nothing.
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

    /// Handles the next message of a worker, or gives up workers that exceed the time limit, or a run that is stuck.
    async fn listen(&mut self) {
        let (give_up_at, stuck_at) = (self.give_up_at(), self.stuck_at());
        tokio::select! {
            biased;
            Some((worker, message)) = self.messages.recv() => self.hear(worker, message),
            () = until(give_up_at) => match give_up_at {
                // This process may have been paused. Then the workers stood still for as long.
                Some(limit) if limit.elapsed() > STOOD_STILL => self.forbearance = Some(Instant::now() + PATIENCE),
                _ => self.give_up(),
            },
            () = until(stuck_at) => match stuck_at {
                Some(limit) if limit.elapsed() > STOOD_STILL => self.moved = Some(Instant::now()),
                _ => self.give_up_run(),
            },
        }
    }

    /// Returns the time at which the run is stuck if nothing moves until then.
    fn stuck_at(&self) -> Option<Instant> {
        let (start, _) = self.start.filter(|_| self.stuck.is_none() && self.drained.is_none() && self.cut.is_none())?;
        if self.command.stopped().is_some() {
            return None;
        }
        let since = self.moved.map_or(start, |moved| moved.max(start));
        since.checked_add(stillness::limit(&self.plan, start.elapsed())?)
    }

    /// Cuts off a run in which nothing moves.
    fn give_up_run(&mut self) {
        let still = humantime::format_duration(stillness::STILL);
        let ends = &self.totals.triggers;
        let in_flight = ends.due.saturating_sub(ends.done + ends.dropped() + ends.interrupted);
        let which = if in_flight == 1 { "1 trigger is".to_owned() } else { format!("{in_flight} triggers are") };
        self.stuck = Some(format!(
            "no trigger, request or user has started or ended for {still}, {which} in flight, and the plan has no \
             duration that would end it"
        ));
        self.cut();
    }

    /// Returns the reason why the run was cut off, if nothing moved any more.
    #[must_use]
    pub fn stuck(&self) -> Option<&str> {
        self.stuck.as_deref()
    }

    /// Starts no more triggers. Triggers in flight may finish within the grace period.
    pub fn stop(&mut self) {
        self.command.stop();
        self.end_foreign_load();
    }

    /// If the load is over, passes its end to the recorder shared by all threads that are not workers.
    fn end_foreign_load(&self) {
        if let Some(over) = self.ordered_end() {
            self.sinks.measured.end_load(over);
        }
    }

    /// Returns the time from which nothing starts any more due to orders: a stop, or the last iteration of each load. A
    /// load that its plan has ended counts with that end.
    fn ordered_end(&self) -> Option<Instant> {
        let start = self.start.map(|(start, _)| start);
        let ends = std::iter::zip(self.plan.loads(), self.command.loads()).map(|(load, commander)| {
            let planned = start.zip(load.end()).map(|(start, end)| start + end).filter(|_| self.plan.sole().is_none());
            [commander.told().over(), planned].into_iter().flatten().min()
        });
        let ends = ends.collect::<Option<Vec<_>>>()?;
        ends.into_iter().max()
    }

    /// Cuts off triggers in flight.
    pub fn cut(&mut self) {
        self.stop();
        self.cut.get_or_insert_with(Instant::now);
        self.sinks.measured.foreign().cut();
        self.command.cut();
    }

    /// Returns everything measured up to the end of the last second.
    #[must_use]
    pub fn totals(&self) -> &Snapshot {
        &self.totals
    }

    /// Returns the start of the measured part, or `None` if it is not known yet.
    #[must_use]
    pub fn started(&self) -> Option<Instant> {
        self.start.map(|(start, _)| start)
    }

    /// Returns the start of the measured part by the system clock, or `None` if it is not known yet.
    #[must_use]
    pub fn started_at(&self) -> Option<SystemTime> {
        self.start.map(|(_, at)| at)
    }

    /// Returns true if nothing is in flight any more, according to the messages received so far.
    pub fn has_drained(&mut self) -> bool {
        self.hear_all();
        self.drained.is_some()
    }

    /// Handles all messages received so far.
    fn hear_all(&mut self) {
        while let Ok((worker, message)) = self.messages.try_recv() {
            self.hear(worker, message);
        }
    }

    /// Returns the results of the run. Call this after the run has ended.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        let lost = self.workers.lost();
        if !lost.is_empty() {
            // Triggers that lost workers started and did not report as ended.
            self.second.interrupt_untold(&self.totals);
        }
        let rest = self.end_second(true);
        let generator = &self.totals.generator;
        // If the run was stopped before the clock started, some users may still have been starting.
        let wanted = if self.start.is_some() { 1 } else { self.opening_users().max(1) };
        if self.not_started.is_none() && generator.users_failed >= wanted && generator.users_started == 0 {
            self.not_started = Some(nobody_started());
        }
        let whole_time = self.since_start(self.drained.unwrap_or_else(Instant::now));
        let over = self.planned_end().into_iter().chain(self.ordered_end()).min();
        let load_time = over.map_or(whole_time, |over| self.since_start(over)).min(whole_time);
        let health = Health {
            worst_lag: self.lag.finish(load_time),
            lost,
            lost_agents: Vec::new(),
            standstill: None,
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
            most_connections: self.most_connections,
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
            Message::Second { second, snapshot, users, connections, recycle } => {
                (worker.seconds, worker.users, worker.connections) = (second + 1, users, connections);
                self.lag.add(second, &snapshot.generator.lag, self.timed(&snapshot));
                if snapshot.has_moved() {
                    self.moved = Some(Instant::now());
                }
                self.second.merge(&snapshot);
                // The receiver is gone if the worker has ended.
                let _ = recycle.send(snapshot);
            }
            Message::Drained { at, second, rest, users, connections } => {
                (worker.state, worker.users) = (State::Drained(at), users);
                worker.connections = connections;
                self.lag.add(second, &rest.generator.lag, self.timed(&rest));
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

    /// Returns the number of starts that had a due time, as far as that matters for their delay.
    fn timed(&self, measured: &Snapshot) -> u64 {
        match self.plan.sole() {
            Some(_) => measured.triggers.due,
            // Users of another load may start again as soon as they are done.
            None => measured.generator.lag.count(),
        }
    }

    /// Sends the order that all workers are waiting for, if they are.
    fn go_on(&mut self) {
        let is_over = self.command.is_over();
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
            self.count_connections();
        }
        if self.released.is_none() && self.workers.are_all(Worker::has_stopped) {
            self.released = Some(Instant::now());
            self.command.release();
        }
    }

    /// Closed model: number of users with which this engine's share of the plan begins.
    fn opening_users(&self) -> u64 {
        let opening = self.plan.loads().iter().filter(|load| !load.is_open() && load.start().is_zero());
        let counts =
            opening.filter_map(|load| Some(load.share(self.options.share)?.count(load.users_at(Duration::ZERO))));
        counts.fold(0, u64::saturating_add)
    }

    /// Starts the clock, unless the plan begins with users and none could start.
    fn start_measuring(&mut self, begin: Instant) {
        let opens_with_users = self.opening_users() > 0 && self.plan.loads().iter().all(|load| !load.is_open());
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
        for (load, commander) in std::iter::zip(self.plan.loads(), self.command.loads()) {
            commander.start(start);
            let share = load.share(self.options.share);
            let has_none = |share: Share| load.iterations().is_some_and(|iterations| share.count(iterations) == 0);
            if share.is_none_or(has_none) {
                commander.exhaust();
            }
        }
    }

    /// Returns the next second, if every worker has reported it.
    fn progress(&mut self) -> Option<Progress> {
        let seconds = self.workers.seconds()?;
        if seconds <= self.seconds {
            return None;
        }
        self.seconds = seconds;
        self.lag.judge_before(seconds);
        self.descriptors.look();
        let (users, connections) = (self.count_users(), self.count_connections());
        let second = self.end_second(false);
        if second.has_moved() {
            self.moved = Some(Instant::now());
        }
        Some(Progress { elapsed: Duration::from_secs(seconds), second, users, connections })
    }

    fn count_users(&mut self) -> u64 {
        let users = self.workers.users();
        self.most_users = self.most_users.max(users);
        users
    }

    /// Returns the most connections that were open at once in the last second: the sum over all threads.
    fn count_connections(&mut self) -> u64 {
        let connections = self.workers.connections() + self.sinks.measured.foreign().take_most_open();
        self.most_connections = self.most_connections.max(connections);
        connections
    }

    fn end_second(&mut self, is_over: bool) -> Snapshot {
        self.end_foreign_load();
        self.second.merge(&self.sinks.measured.take(is_over));
        self.second.add_stray_panics(self.started());
        self.second.add_tags_beyond();
        let mut second = std::mem::take(&mut self.second);
        self.totals.merge(&second);
        // Each worker takes as many samples as the whole run keeps.
        second.failures.keep_those_of(&self.totals.failures);
        second
    }

    /// Time after which a worker that has not answered is lost.
    fn give_up_at(&self) -> Option<Instant> {
        self.limit().map(|limit| self.forbearance.map_or(limit, |until| limit.max(until)))
    }

    fn limit(&self) -> Option<Instant> {
        if let Some(released) = self.released {
            return Some(released + PATIENCE);
        }
        let grace = self.plan.graceful_stop();
        let stopped = self.command.stopped();
        let (over, grace) = match self.drained {
            // Users have the grace period again to stop, and at least `PATIENCE`.
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
