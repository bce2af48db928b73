//! A scripted load test that logs every event, and a run of it.

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use golo::engine::errors::ErrorKind;
use golo::engine::mix::Mix;
use golo::engine::plan::{Asked, Plan, Stage};
use golo::engine::recorder::Outside;
use golo::engine::share::Share;
use golo::engine::snapshot::Triggers;
use golo::engine::trigger::{Failure, Outcome, Trigger};
use golo::engine::{Engine, Finished, Options, Progress, Sinks};
use golo::report::{Moment, RunOutcome, Verdict};
use golo::{Context, OutputRef, Sink as _};
use golo_tests::{PATIENCE, within};
use tokio::sync::Barrier;

pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);

const REQUEST: &str = r#"{"sequenceID":"s","url":"http://h/","method":"GET","status":200,"size":3,"timestamp":"2026-11-22T10:05:13.123456789Z","duration":1000,"error":null}"#;

/// Behaviour of a trigger.
pub(crate) enum Act {
    End,
    Take(Duration),
    /// Thinks for the first time, then spends the second one in requests.
    Think(Duration, Duration),
    /// Waits until all parties of the barrier have arrived.
    Meet(Arc<Barrier>),
    Never,
    Fail,
    Panic,
    /// Blocks its thread.
    Block(Duration),
    /// Panics without being caught.
    Die,
    /// Passes a request to this sink, as a task outside of the trigger would.
    Report(Arc<Outside>),
}

type ActOf = dyn Fn(u64, u64) -> Act + Send + Sync;
type StartOf = dyn Fn(u64, u64) -> Start + Send + Sync;

/// Behaviour of a user's start.
pub(crate) enum Start {
    Ready,
    Fails(&'static str),
    Takes(Duration),
    Never,
}

/// The load test.
pub(crate) struct Probe {
    log: Arc<Log>,
    act: Box<ActOf>,
    start: Box<StartOf>,
    stop: Act,
    has_users: bool,
    unprepared: Option<&'static str>,
    prepared: Arc<AtomicU64>,
}

impl Probe {
    /// Creates a load test. `act` returns the behaviour of a trigger for a user and an iteration.
    pub(crate) fn new(act: impl Fn(u64, u64) -> Act + Send + Sync + 'static) -> Self {
        Self {
            log: Arc::default(),
            act: Box::new(act),
            start: Box::new(|_, _| Start::Ready),
            stop: Act::End,
            has_users: false,
            unprepared: None,
            prepared: Arc::default(),
        }
    }

    pub(crate) fn quick() -> Self {
        Self::new(|_, _| Act::End)
    }

    /// Adds users. `start` receives the user's number and the number of the start, counted over all users.
    pub(crate) fn users(mut self, start: impl Fn(u64, u64) -> Start + Send + Sync + 'static) -> Self {
        (self.start, self.has_users) = (Box::new(start), true);
        self
    }

    pub(crate) fn with_users(self) -> Self {
        self.users(|_, _| Start::Ready)
    }

    pub(crate) fn stop(mut self, stop: Act) -> Self {
        self.stop = stop;
        self
    }

    /// Makes the preparation fail on one of its threads.
    pub(crate) fn unprepared(mut self, reason: &'static str) -> Self {
        self.unprepared = Some(reason);
        self
    }
}

impl Trigger for Probe {
    type User = Guest;

    fn has_users(&self) -> bool {
        self.has_users
    }

    fn prepare(&self) -> Result<(), String> {
        match self.unprepared {
            Some(reason) if self.prepared.fetch_add(1, SeqCst) == 1 => Err(reason.to_owned()),
            _ => Ok(()),
        }
    }

    async fn start(&self, context: &Context, _: &Mix) -> Result<Guest, String> {
        let user = context.user.unwrap();
        let nth = self.log.write(user, What::Start);
        match (self.start)(user, nth) {
            Start::Ready => {}
            Start::Fails(reason) => return Err(reason.to_owned()),
            Start::Takes(time) => tokio::time::sleep(time).await,
            Start::Never => pending().await,
        }
        Ok(Guest { user, nth, log: Arc::clone(&self.log) })
    }

    async fn trigger(&self, context: Context, guest: &mut Guest, is_measured: bool) -> Outcome {
        let (user, iteration) = (context.user.unwrap(), context.iteration.unwrap());
        assert_eq!(context.job_name, "probe");
        self.log.write(user, What::Trigger { iteration, nth: guest.nth, is_measured });
        let _running = Running { user, log: &self.log };
        let act = (self.act)(user, iteration);
        let mut thought = Duration::ZERO;
        let mut requesting = None;
        let failure = match act {
            Act::Think(time, then) => {
                let started = Instant::now();
                tokio::time::sleep(time).await;
                thought = started.elapsed();
                let sent = Instant::now();
                tokio::time::sleep(then).await;
                requesting = Some(sent.elapsed());
                None
            }
            Act::Fail => Some(Failure::new(ErrorKind::Returned, "out of stock")),
            Act::Panic => Some(Failure::new(ErrorKind::Panic, "panicked: out of stock")),
            act => {
                act.play().await;
                None
            }
        };
        Outcome { failure, thought, requesting, ..Outcome::default() }
    }

    async fn stop(&self, guest: Guest) {
        self.log.write(guest.user, What::Stop { nth: guest.nth });
        self.stop.play().await;
    }
}

impl Act {
    async fn play(&self) {
        match self {
            Self::End | Self::Fail | Self::Panic | Self::Think(..) => {}
            Self::Take(time) => tokio::time::sleep(*time).await,
            Self::Meet(barrier) => _ = barrier.wait().await,
            Self::Never => pending().await,
            Self::Block(time) => std::thread::sleep(*time),
            Self::Die => panic!("nobody catches this"),
            Self::Report(outside) => outside.output(&OutputRef::parse(REQUEST).unwrap()),
        }
    }
}

/// State of a user.
pub(crate) struct Guest {
    user: u64,
    nth: u64,
    log: Arc<Log>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.log.write(self.user, What::Gone { nth: self.nth });
    }
}

/// Logs the end of a trigger when it is dropped.
struct Running<'a> {
    user: u64,
    log: &'a Log,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.log.write(self.user, What::End);
    }
}

/// An event in the life of a user. `nth` is the number of its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Start,
    Trigger {
        iteration: u64,
        nth: u64,
        is_measured: bool,
    },
    /// The trigger's future has ended or was dropped.
    End,
    Stop {
        nth: u64,
    },
    Gone {
        nth: u64,
    },
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) at: Instant,
    pub(crate) user: u64,
    pub(crate) what: What,
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    events: Mutex<Vec<Event>>,
    starts: AtomicU64,
}

impl Log {
    /// Adds an event. For a start, returns the number of starts before it.
    fn write(&self, user: u64, what: What) -> u64 {
        let mut events = self.events.lock().unwrap();
        // Read the clock under the lock, so that events are in the order of their times.
        events.push(Event { at: Instant::now(), user, what });
        if what == What::Start { self.starts.fetch_add(1, SeqCst) } else { 0 }
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, is: impl Fn(&What) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| is(&event.what)).count()
    }

    pub(crate) fn triggers(&self) -> usize {
        self.count(|what| matches!(what, What::Trigger { .. }))
    }

    /// Returns the number of users that have had a trigger.
    pub(crate) fn users(&self) -> usize {
        let events = self.events.lock().unwrap();
        let triggers = events.iter().filter(|event| matches!(event.what, What::Trigger { .. }));
        triggers.map(|event| event.user).collect::<HashSet<_>>().len()
    }
}

/// Builds the plan.
pub(crate) fn plan(asked: Asked) -> Plan {
    Plan::new(asked).unwrap()
}

pub(crate) fn stages(text: &str) -> Vec<Stage> {
    text.split(',').map(|stage| stage.parse().unwrap()).collect()
}

/// Returns a plan with a constant rate and a duration.
pub(crate) fn rate(rate: &str, duration: Duration) -> Asked {
    Asked { rate: Some(rate.parse().unwrap()), duration: Some(duration), ..Asked::default() }
}

/// Returns a plan with a constant number of users and a duration.
pub(crate) fn closed(users: u64, duration: Duration) -> Asked {
    Asked { users: Some(users), duration: Some(duration), ..Asked::default() }
}

/// Returns the sinks of a run.
pub(crate) fn sinks() -> Sinks {
    Sinks::new(Vec::new())
}

/// A run in progress.
pub(crate) struct Run {
    pub(crate) engine: Engine,
    pub(crate) log: Arc<Log>,
    pub(crate) seconds: Vec<Progress>,
    started: Option<Instant>,
}

impl Run {
    pub(crate) fn start(probe: Probe, asked: Asked, workers: usize) -> Self {
        Self::with(probe, asked, workers, 0, sinks())
    }

    /// Starts one of several runs that share a plan.
    pub(crate) fn of_share(probe: Probe, asked: Asked, workers: usize, share: Share) -> Self {
        let options = Options { job_name: "probe".to_owned(), workers, seed: 0, share, max_lag: None };
        Self::with_options(probe, asked, options, sinks())
    }

    pub(crate) fn with(probe: Probe, asked: Asked, workers: usize, seed: u64, sinks: Sinks) -> Self {
        let options = Options { job_name: "probe".to_owned(), workers, seed, share: Share::WHOLE, max_lag: None };
        Self::with_options(probe, asked, options, sinks)
    }

    fn with_options(probe: Probe, asked: Asked, options: Options, sinks: Sinks) -> Self {
        let log = Arc::clone(&probe.log);
        let engine = Engine::start(Arc::new(probe), plan(asked), options, sinks).unwrap();
        Self { engine, log, seconds: Vec::new(), started: None }
    }

    /// Runs until `condition` holds.
    pub(crate) async fn until(&mut self, what: &str, condition: impl Fn(&Log) -> bool) {
        let began = Instant::now();
        while !condition(&self.log) {
            assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
            tokio::select! {
                Some(progress) = self.engine.next() => self.seconds.push(progress),
                () = tokio::time::sleep(MILLI * 5) => {}
            }
        }
    }

    /// Runs to the end.
    pub(crate) async fn finish(mut self) -> Ran {
        within("the end of the run", async {
            while let Some(progress) = self.engine.next().await {
                self.seconds.push(progress);
            }
        })
        .await;
        self.started = self.engine.started();
        let finished = self.engine.finish();
        Ran { finished, events: self.log.events(), seconds: self.seconds, started: self.started }
    }
}

/// Runs `probe` as planned.
pub(crate) async fn run(probe: Probe, asked: Asked, workers: usize) -> Ran {
    Run::start(probe, asked, workers).finish().await
}

pub(crate) async fn run_seeded(probe: Probe, asked: Asked, workers: usize, seed: u64) -> Ran {
    Run::with(probe, asked, workers, seed, sinks()).finish().await
}

/// A run that has ended.
pub(crate) struct Ran {
    pub(crate) finished: Finished,
    pub(crate) events: Vec<Event>,
    pub(crate) seconds: Vec<Progress>,
    started: Option<Instant>,
}

impl Ran {
    pub(crate) fn triggers(&self) -> &Triggers {
        &self.finished.totals.triggers
    }

    /// Returns the start of the measured part.
    pub(crate) fn start(&self) -> Instant {
        self.started.unwrap()
    }

    /// Returns the triggers due, done, dropped and interrupted. Asserts that the first is the sum of the others, and
    /// that the seconds add up to the totals.
    #[track_caller]
    pub(crate) fn counts(&self) -> (u64, u64, u64, u64) {
        let triggers = self.triggers();
        let counts = (triggers.due, triggers.done, triggers.dropped(), triggers.interrupted);
        assert_eq!(counts.0, counts.1 + counts.2 + counts.3, "{triggers:?}");
        assert_eq!((triggers.service.count(), triggers.response.count()), (triggers.done, triggers.done));
        let told = self.seconds.iter().map(|progress| &progress.second).chain([&self.finished.rest]);
        let told = told.map(|second| &second.triggers).fold((0, 0, 0, 0), |sum, one| {
            (sum.0 + one.due, sum.1 + one.done, sum.2 + one.dropped(), sum.3 + one.interrupted)
        });
        assert_eq!(told, counts, "the seconds and the rest are the whole");
        counts
    }

    /// Returns the verdict of the run.
    pub(crate) fn verdict(&self) -> Verdict {
        RunOutcome::from(self.finished.clone()).verdict()
    }

    /// Returns the verdict of the run if an order had stopped it.
    pub(crate) fn stopped(&self) -> Verdict {
        let stopped = Some(Moment::Load(self.finished.load_time));
        RunOutcome { stopped, ..self.finished.clone().into() }.verdict()
    }

    /// Returns the reasons why the run is invalid. Panics if it is valid.
    #[track_caller]
    pub(crate) fn blamed(&self) -> Vec<String> {
        match self.verdict() {
            Verdict::Invalid(reasons) => reasons,
            other => panic!("{other:?}: {:?}", self.finished),
        }
    }

    /// Returns the reasons why the run is invalid, except late starts, which a busy machine can cause.
    pub(crate) fn invalid(&self) -> Vec<String> {
        match self.verdict() {
            Verdict::Passed => Vec::new(),
            // The triggers of the probe cause this, not the engine.
            Verdict::Failed(reasons) if reasons.iter().all(|reason| reason.starts_with("nothing succeeded")) => {
                Vec::new()
            }
            Verdict::Invalid(reasons) => {
                reasons.into_iter().filter(|reason| !reason.starts_with("starts were late")).collect()
            }
            other => vec![format!("{other:?}")],
        }
    }

    /// Returns the triggers in the order of their starts: time, user, and true if the trigger is measured.
    pub(crate) fn started(&self) -> Vec<(Instant, u64, bool)> {
        let started = self.events.iter().filter_map(|event| match event.what {
            What::Trigger { is_measured, .. } => Some((event.at, event.user, is_measured)),
            _ => None,
        });
        started.collect()
    }

    /// Returns the start time of each measured trigger, relative to the start of the measured part.
    #[track_caller]
    pub(crate) fn times(&self) -> Vec<Duration> {
        let measured = self.started().into_iter().filter(|(_, _, is_measured)| *is_measured);
        // A start before that would be early, and panics here.
        measured.map(|(at, _, _)| at.checked_duration_since(self.start()).unwrap()).collect()
    }

    /// Returns the highest number of triggers in flight at the same time.
    pub(crate) fn most_in_flight(&self) -> u64 {
        let (mut now, mut most) = (0, 0);
        for event in &self.events {
            match event.what {
                What::Trigger { .. } => now += 1,
                What::End => now -= 1,
                _ => {}
            }
            most = most.max(now);
        }
        most
    }

    /// Returns the iterations of each user, in order.
    pub(crate) fn iterations(&self) -> HashMap<u64, Vec<u64>> {
        let mut iterations = HashMap::<_, Vec<_>>::new();
        for event in &self.events {
            if let What::Trigger { iteration, .. } = event.what {
                iterations.entry(event.user).or_default().push(iteration);
            }
        }
        iterations
    }

    pub(crate) fn count(&self, is: impl Fn(&What) -> bool) -> u64 {
        self.events.iter().filter(|event| is(&event.what)).count() as u64
    }

    /// Asserts that every started user was stopped exactly once and had no trigger afterwards. Returns the number of
    /// starts.
    #[track_caller]
    pub(crate) fn assert_each_is_stopped_once(&self) -> u64 {
        let mut here = HashMap::<u64, bool>::new();
        for event in &self.events {
            match event.what {
                What::Trigger { nth, .. } => assert!(*here.entry(nth).or_insert(true), "{event:?} after its stop"),
                What::Stop { nth } => assert_ne!(here.insert(nth, false), Some(false), "{event:?} again"),
                _ => {}
            }
        }
        let starts = self.count(|what| *what == What::Start);
        assert_eq!(self.count(|what| matches!(what, What::Stop { .. })), starts);
        assert_eq!(self.count(|what| matches!(what, What::Gone { .. })), starts);
        starts
    }
}
