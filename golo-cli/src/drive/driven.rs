//! One load test, driven as a plan says, for whoever gives commands and takes what is measured: what an agent runs.

use std::{
    pin::pin,
    time::{Duration, Instant, SystemTime},
};

use golo::{
    Error,
    cli::{Drive as _, RunCall, Subject as _, chain, until, without_secrets},
    engine::{Finished, Sinks, plan::Target, share::Share},
    pb::{
        engine as pb,
        engine::event::Event,
        results::{Ended, ended::State},
    },
    wire,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    drive::{served::Served, way::Way},
    process::{limits::LimitArgs, load_test::LoadTest},
};

/// How long one that is held is waited for.
pub const HELD: Duration = Duration::from_secs(600);
/// Time for what ends after the grace.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// How long the reason is waited for of a stream that broke.
const REASON: Duration = Duration::from_secs(1);

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

/// What whoever asked for a job may want of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Begins then, by the clock of this machine, or as soon as it is ready; one that is not held has begun.
    Start {
        /// When.
        at: SystemTime,
    },
    /// Changes the load from now on.
    Adjust(Target),
    /// Nothing starts any more; what is in flight may finish within the grace.
    Stop,
    /// What is in flight is cut off.
    Cut,
}

/// Runs a job, and gives how it ended; `tell` gets each event as it comes, the last of them `Finished`, and `on_stderr` each
/// line of the load test's stderr. Whoever drops `commands` stops it. Dropping the future ends the load test.
///
/// # Panics
///
/// Outside a tokio runtime of several threads that drives I/O and time.
pub async fn drive(
    job: Job,
    mut commands: mpsc::Receiver<Command>,
    on_stderr: impl Fn(&str) + Send + Sync + 'static,
    mut tell: impl FnMut(pb::Event),
) -> Ended {
    let Job { load_test, call, params, share, limits, held } = job;
    let sinks = Sinks::selecting(call.selected(), Vec::new());
    let options = golo::engine::Options { share, ..call.options(&load_test.name) };
    let served = Served::new(load_test, params, &call, Handle::current());
    let served = served.limited(limits).sharing(share).on_stderr(on_stderr);
    let mut driving = Driving {
        served,
        held,
        grace: call.plan().graceful_stop(),
        begin: None,
        level: None,
        stopped: None,
        cut_at: None,
        is_cut: false,
        died: None,
    };
    let finished = match driving.way(&call, &options, sinks, &mut commands).await {
        Ok(Some(way)) => driving.run(way, &mut commands, &mut tell).await,
        Ok(None) => Event::from(&Finished::not_started(call.plan().clone(), options, None)),
        Err(error) => Event::from(&Finished::not_started(call.plan().clone(), options, Some(chain(&error)))),
    };
    let not_started = if let Event::Finished(finished) = &finished { finished.not_started.clone() } else { None };
    let torn_down = driving.tear_down(&mut commands).await;
    tell(wire::event(finished));
    driving.ended(not_started, torn_down)
}

/// A job that is being run.
struct Driving {
    served: Served,
    held: Option<Duration>,
    grace: Duration,
    /// When it is to begin, where that was said before it could.
    begin: Option<SystemTime>,
    /// The load it is to have, where that was said before it could.
    level: Option<Target>,
    /// How much of it was over when it was told to stop.
    stopped: Option<Duration>,
    /// When what is in flight is cut off, where that was told to stop.
    cut_at: Option<Instant>,
    is_cut: bool,
    died: Option<String>,
}

impl Driving {
    /// Starts the load test, and gives how it is driven; nothing where it was stopped before.
    async fn way(
        &mut self,
        call: &RunCall,
        options: &golo::engine::Options,
        sinks: Sinks,
        commands: &mut mpsc::Receiver<Command>,
    ) -> Result<Option<Way>, Error> {
        let Self { served, begin, level, stopped, .. } = self;
        let (cut, is_cut) = oneshot::channel::<()>();
        let mut cut = Some(cut);
        let preparing = async {
            if !served.set_up(&sinks, is_cut).await? {
                return Ok(None);
            }
            served.start(call.plan(), options, sinks).await.map(Some)
        };
        let mut preparing = pin!(preparing);
        loop {
            tokio::select! {
                way = &mut preparing => return way,
                command = commands.recv(), if cut.is_some() => match command {
                    Some(Command::Start { at }) => *begin = Some(at),
                    Some(Command::Adjust(target)) => *level = Some(target),
                    Some(Command::Stop | Command::Cut) | None => {
                        *stopped = Some(Duration::ZERO);
                        cut = None;
                    }
                },
            }
        }
    }

    /// Drives it to its end, and gives that.
    async fn run(
        &mut self,
        mut way: Way,
        commands: &mut mpsc::Receiver<Command>,
        tell: &mut impl FnMut(pb::Event),
    ) -> Event {
        if self.held.is_some() {
            way.hold();
            if let Some(at) = self.begin {
                way.begin(at);
            }
        }
        if let Some(level) = self.level {
            way.adjust(level);
        }
        if self.stopped.is_some() {
            self.obey(Command::Stop, &mut way);
        }
        let mut is_open = true;
        let mut abandoned = None;
        let held = self.held.filter(|_| self.begin.is_none());
        let mut held_until = held.map(|held| Instant::now() + held);
        loop {
            tokio::select! {
                event = way.told() => match event {
                    Some(event) => tell(wire::event(event)),
                    None => break,
                },
                reason = self.served.died(), if self.died.is_none() => {
                    self.died = Some(reason);
                    way.cut();
                }
                command = commands.recv(), if is_open => match command {
                    Some(command) => self.obey(command, &mut way),
                    None => {
                        is_open = false;
                        self.obey(Command::Stop, &mut way);
                    }
                },
                () = until(held_until), if way.started().is_none() && self.stopped.is_none() => {
                    held_until = None;
                    abandoned = held;
                    self.obey(Command::Stop, &mut way);
                }
                () = until(self.cut_at) => {
                    self.cut_at = None;
                    way.cut();
                }
            }
        }
        if let (None, Some(held)) = (&self.died, abandoned) {
            self.died = Some(format!("nobody had it begin within {} s", held.as_secs_f64()));
        }
        if let (None, Some(reason)) = (self.stopped, way.ended_early()) {
            // It says more than that it is gone.
            self.died = Some(reason);
        }
        if let (None, Some(broken)) = (&self.died, way.broken()) {
            // Mostly since it has died, which says more.
            let died = timeout(REASON, self.served.died()).await;
            self.died = Some(died.unwrap_or(broken));
        }
        if unless_cut(commands, self.served.settle()).await.is_none() {
            self.kill().await;
        }
        way.end()
    }

    /// Ends the load test, with its grace unless it is cut; gives what went wrong with that.
    async fn tear_down(&mut self, commands: &mut mpsc::Receiver<Command>) -> Option<String> {
        let Some(torn_down) = unless_cut(commands, self.served.tear_down()).await else {
            self.kill().await;
            return None;
        };
        torn_down.err().map(|error| chain(&error))
    }

    async fn kill(&mut self) {
        self.is_cut = true;
        self.served.kill().await;
    }

    fn obey(&mut self, command: Command, way: &mut Way) {
        match command {
            Command::Start { at } => way.begin(at),
            Command::Adjust(level) => way.adjust(level),
            Command::Stop => {
                self.note_stop(way);
                // The grace is for triggers, and as long again for users: one that is still there then has to be made to.
                self.cut_at.get_or_insert_with(|| Instant::now() + 2 * self.grace + LAST_MOMENT);
                way.stop();
            }
            Command::Cut => {
                self.note_stop(way);
                (self.is_cut, self.cut_at) = (true, None);
                way.cut();
            }
        }
    }

    fn note_stop(&mut self, way: &Way) {
        let elapsed = way.started().map_or(Duration::ZERO, |start| start.elapsed());
        self.stopped.get_or_insert(elapsed);
    }

    fn ended(self, not_started: Option<String>, torn_down: Option<String>) -> Ended {
        let Self { served, stopped, is_cut, died, .. } = self;
        let (state, reason) = match (not_started, &died, stopped) {
            (Some(reason), ..) => (State::Failed, reason),
            (None, Some(reason), _) => (State::Failed, reason.clone()),
            (None, None, Some(_)) if is_cut => (State::Cancelled, "what was in flight was cut off".to_owned()),
            (None, None, Some(_)) => (State::Cancelled, "it was told to stop".to_owned()),
            (None, None, None) => (State::Completed, torn_down.unwrap_or_default()),
        };
        Ended {
            state: state.into(),
            reason,
            stopped: stopped.map(wire::nanoseconds),
            died: died.unwrap_or_default(),
            stderr: without_secrets(&served.stderr()).into_owned(),
            missing: served.missing().unwrap_or_default(),
            ..Ended::default()
        }
    }
}

/// What `future` gives, unless the job is cut before.
async fn unless_cut<T>(commands: &mut mpsc::Receiver<Command>, future: impl Future<Output = T>) -> Option<T> {
    let cut = async {
        loop {
            match commands.recv().await {
                Some(Command::Cut) => break,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    };
    tokio::select! {
        given = future => Some(given),
        () = cut => None,
    }
}
