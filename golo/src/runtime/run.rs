//! `run`: the load test drives itself, and reports.

use std::{io::Write as _, pin::pin, process::ExitCode, sync::Arc};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep, sleep_until},
};

use super::{
    LAST_MOMENT, Runtimes, cores,
    in_process::InProcess,
    live::Live,
    outs::{Out, Outs, Results},
    report,
    run_args::RunCall,
    run_on,
    signals::Signals,
};
use crate::{
    Error, Loadtest, client,
    engine::{
        Engine, Finished, Options, Progress, Sinks,
        plan::Plan,
        recorder::{Outside, RecorderSink},
    },
    error::chain,
    message::say,
    panic::print_at_most,
    report::{self as reports, Ending, Moment, Page, Timeline, Verdict, Watch},
    shared::SharedValue,
    sink,
};

/// Panics that are printed: a load test that panics may do so thousands of times.
const PANICS: usize = 3;
/// Threads of the load test's runtime, where `setup` and `teardown` run alone: one more than a `setup` can block by
/// itself.
const THREADS: usize = 2;

/// Drives the load test as planned, and reports.
pub(super) fn run(loadtest: Loadtest, call: RunCall) -> ExitCode {
    client::set_options(client::Options { no_keep_alive: call.no_keep_alive, insecure: call.insecure });
    print_at_most(if call.quiet { 0 } else { PANICS });
    let name = loadtest.name.clone();
    let options = Options {
        job_name: call.job_name.clone().unwrap_or_else(|| name.clone()),
        workers: call.workers.unwrap_or_else(cores),
        seed: call.seed,
    };
    let outs = match Outs::open(&call.out) {
        Ok(outs) => outs,
        Err(error) => return report(&name, &error),
    };
    let ran = match drive(loadtest, &call, options.clone(), &outs) {
        Err(error) if error.is_start() => Ran::not_started(call.plan, options, &error),
        Err(error) => return report(&name, &error),
        Ok(ran) => ran,
    };
    ran.report(&name, outs, call.out.contains(&Out::Stdout))
}

fn drive(loadtest: Loadtest, call: &RunCall, options: Options, outs: &Outs) -> Result<Ran, Error> {
    let runtimes = Runtimes::start(THREADS)?;
    let measured = Arc::new(RecorderSink::new(outs.sinks().chain(loadtest.own_sink()).collect()));
    let outside = Arc::new(Outside::new(Arc::clone(&measured)));
    sink::install(Arc::<Outside>::clone(&outside));
    let name = loadtest.name.clone();
    let loadtest = Arc::new(loadtest);
    let ended = runtimes.control.block_on(async {
        let running = Running {
            name: &name,
            loadtest: &loadtest,
            runtimes: &runtimes,
            call,
            signals: Signals::listen()?,
            watch: Watch::new(call.thresholds.iter().cloned(), &call.plan),
            timeline: Timeline::default(),
            ending: Ending::default(),
        };
        Ok(running.run(options, Sinks { measured, outside }).await)
    });
    let control = runtimes.end(loadtest);
    let unwritten = control.block_on(outs.flush(LAST_MOMENT));
    ended.map(|mut ran: Ran| {
        ran.ending.unwritten = unwritten;
        ran
    })
}

/// A run that has ended.
struct Ran {
    finished: Finished,
    timeline: Timeline,
    ending: Ending,
}

impl Ran {
    fn not_started(plan: Plan, options: Options, error: &Error) -> Self {
        let finished = Finished::not_started(plan, options, Some(chain(error)));
        Self { finished, timeline: Timeline::default(), ending: Ending::default() }
    }

    /// Writes every report, prints the summary, and says what else is to be said.
    fn report(self, name: &str, outs: Outs, is_stdout_taken: bool) -> ExitCode {
        let Self { finished, timeline, mut ending } = self;
        let verdict = Verdict::of(&finished, &ending);
        let results = Results { finished: &finished, verdict: &verdict, ending: &ending, timeline: &timeline };
        ending.files = outs.write(&results);
        let page = if is_stdout_taken { Page::stderr() } else { Page::stdout() };
        print(&reports::summary(&finished, &verdict, &ending, page), is_stdout_taken);
        for unwritten in &ending.unwritten {
            say(format_args!("{name}: {unwritten}"));
        }
        for (path, error) in ending.files.iter().filter_map(|file| Some((&file.path, file.error.as_ref()?))) {
            say(format_args!("{name}: `{path}` could not be written: {error}"));
        }
        if let Some(error) = &ending.torn_down {
            say(format_args!("{name}: {error}"));
        }
        verdict.exit_code(&ending).into()
    }
}

/// Writes the summary where the reader looks for it.
fn print(summary: &str, is_stdout_taken: bool) {
    if is_stdout_taken {
        return say(summary.trim_end());
    }
    let mut stdout = std::io::stdout().lock();
    // A closed stdout ends nothing: the exit code says how it went.
    let _ = stdout.write_all(summary.as_bytes()).and_then(|()| stdout.flush());
}

struct Running<'a> {
    name: &'a str,
    loadtest: &'a Arc<Loadtest>,
    runtimes: &'a Runtimes,
    call: &'a RunCall,
    signals: Signals,
    watch: Watch,
    timeline: Timeline,
    ending: Ending,
}

impl Running<'_> {
    async fn run(mut self, options: Options, sinks: Sinks) -> Ran {
        let plan = self.call.plan.clone();
        let finished = match self.set_up().await {
            Ok(Some(shared)) => self.drive(plan, options, sinks, shared).await,
            Ok(None) => Finished::not_started(plan, options, None),
            Err(error) => Finished::not_started(plan, options, Some(chain(&error))),
        };
        self.ending.torn_down = self.tear_down().await.err().map(|error| chain(&error));
        self.ending.thresholds = self.watch.judge(&finished);
        self.timeline.finish(&finished);
        Ran { finished, timeline: self.timeline, ending: self.ending }
    }

    /// Gives what is shared, unless it was stopped.
    async fn set_up(&mut self) -> Result<Option<SharedValue>, Error> {
        let (cut, is_cut) = oneshot::channel::<()>();
        let setting_up = set_up_until(Arc::clone(self.loadtest), is_cut);
        let mut setting_up = pin!(run_on(self.runtimes.load.handle(), setting_up));
        tokio::select! {
            result = &mut setting_up => return result,
            () = self.signals.next() => {}
        }
        self.ending.stopped = Some(Moment::Setup);
        say(format_args!("{}: giving up `setup`", self.name));
        drop(cut);
        // One that blocks its thread cannot be cut off.
        tokio::select! {
            result = &mut setting_up => result.map(|_| None),
            () = sleep(LAST_MOMENT) => Ok(None),
            () = self.signals.next() => Ok(None),
        }
    }

    async fn drive(&mut self, plan: Plan, options: Options, sinks: Sinks, shared: SharedValue) -> Finished {
        self.greet(&plan);
        let measured = Arc::clone(&sinks.measured);
        let trigger = Arc::new(InProcess::new(Arc::clone(self.loadtest), shared, options.seed, measured));
        let mut engine = match Engine::start(trigger, plan.clone(), options.clone(), sinks) {
            Ok(engine) => engine,
            Err(error) => {
                let error = Error::start("the workers could not be started", Some(error.into()));
                return Finished::not_started(plan, options, Some(chain(&error)));
            }
        };
        let mut live = Live::start(self.call.progress, &plan);
        loop {
            tokio::select! {
                progress = engine.next() => match progress {
                    Some(progress) => {
                        live.second(&progress, engine.totals(), &plan);
                        self.second(&progress, &mut engine);
                    }
                    None => break,
                },
                () = self.signals.next() => self.interrupt(&mut engine),
            }
        }
        engine.finish()
    }

    /// A second is over.
    fn second(&mut self, progress: &Progress, engine: &mut Engine) {
        self.timeline.add(progress);
        self.watch.second(progress);
        if !self.call.abort_on_fail || self.ending.aborted.is_some() || self.ending.stopped.is_some() {
            return;
        }
        if let Some(lost) = self.watch.lost(engine.totals(), progress.elapsed) {
            say(format_args!("{}: stopping, since `{lost}` can no longer hold", self.name));
            self.ending.aborted = Some(lost.clone());
            engine.stop();
        }
    }

    fn greet(&self, plan: &Plan) {
        if !self.call.quiet {
            say(format_args!("{}: {plan}; Ctrl-C stops it, and it still reports", self.name));
        }
    }

    fn interrupt(&mut self, engine: &mut Engine) {
        let moment = moment(engine);
        if self.ending.stopped.is_some() {
            let what = if let Moment::Load(_) = moment { "what is in flight" } else { "what is still ending" };
            say(format_args!("{}: cutting off {what}", self.name));
            return engine.cut();
        }
        let what = match moment {
            Moment::Load(_) => "finishing the triggers in flight; a second signal cuts them off",
            Moment::Stop => "no trigger is in flight any more; a second signal cuts short what else is ending",
            _ => "stopping the users before any load; a second signal cuts that short",
        };
        say(format_args!("{}: {what}", self.name));
        self.ending.stopped = Some(moment);
        engine.stop();
    }

    /// Where a signal has come, it is given the grace and no more.
    async fn tear_down(&mut self) -> Result<(), Error> {
        let loadtest = Arc::clone(self.loadtest);
        let tearing_down = run_on(self.runtimes.load.handle(), async move { loadtest.tear_down().await });
        let grace = self.call.plan.graceful_stop().max(LAST_MOMENT);
        let deadline = self.ending.stopped.map(|_| Instant::now() + grace);
        tokio::select! {
            result = tearing_down => return result,
            () = until(deadline) => {}
            () = self.signals.next() => {
                let _ = self.ending.stopped.get_or_insert(Moment::Teardown);
            }
        }
        say(format_args!("{}: cut off `teardown`", self.name));
        Ok(())
    }
}

/// Gives nothing where it was cut off, which it is once the other end is dropped.
async fn set_up_until(loadtest: Arc<Loadtest>, is_cut: oneshot::Receiver<()>) -> Result<Option<SharedValue>, Error> {
    tokio::select! {
        biased;
        _ = is_cut => Ok(None),
        result = loadtest.set_up() => result.map(Some),
    }
}

/// Where a run is.
fn moment(engine: &Engine) -> Moment {
    match engine.started() {
        None => Moment::Start,
        Some(_) if engine.has_drained() => Moment::Stop,
        Some(start) => Moment::Load(start.elapsed()),
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
