//! A run from its setup to its report, whatever it drives.

use std::{
    io::{self, Write as _},
    pin::pin,
    process::ExitCode,
    sync::mpsc,
    thread,
};

use tokio::{
    runtime::Builder,
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use super::{
    LAST_MOMENT,
    exit::Exit,
    live::Live,
    outs::{Out, Outs},
    signals::Signals,
};
use crate::runtime::RunCall;
use crate::{
    Error,
    engine::{Engine, Finished, Options, Progress, Sinks, plan::Plan, snapshot::Snapshot},
    error::chain,
    report as reports,
    report::{Ending, Moment, Page, Threshold, Timeline, Unwritten, Verdict, Watch},
    support::{message::say, panic::caught_now, until::until},
    transport::proxy,
};

/// An engine that runs a plan: that of this process, or others elsewhere.
pub trait Drive {
    /// Waits for the next second to be over; gives nothing once the run has ended. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Progress>>;

    /// Has no trigger start any more; those in flight may finish within the grace.
    fn stop(&mut self);

    /// The same, since a signal came then.
    fn interrupt(&mut self, at: Moment) {
        let _ = at;
        self.stop();
    }

    /// The same, since this threshold can no longer hold.
    fn abort(&mut self, lost: &Threshold) {
        let _ = lost;
        self.stop();
    }

    /// Cuts off what is in flight.
    fn cut(&mut self);

    /// What was measured until the last second.
    fn totals(&self) -> &Snapshot;

    /// When the measured part starts, once that is known.
    fn started(&self) -> Option<std::time::Instant>;

    /// Whether nothing is in flight any more.
    fn has_drained(&mut self) -> bool;

    /// Why no more is heard of it, where that is before it has ended.
    fn broken(&self) -> Option<String> {
        None
    }

    /// Why it has not delivered all of the plan, where nobody here had it stop.
    fn ended_early(&self) -> Option<String> {
        None
    }

    /// How many raw outputs never came here.
    fn outputs_lost(&self) -> u64 {
        0
    }

    /// Everything, once it has ended.
    fn finish(self) -> Finished;
}

impl Drive for Engine {
    fn next(&mut self) -> impl Future<Output = Option<Progress>> {
        self.next()
    }

    fn stop(&mut self) {
        self.stop();
    }

    fn cut(&mut self) {
        self.cut();
    }

    fn totals(&self) -> &Snapshot {
        self.totals()
    }

    fn started(&self) -> Option<std::time::Instant> {
        self.started()
    }

    fn has_drained(&mut self) -> bool {
        self.has_drained()
    }

    fn finish(self) -> Finished {
        with_proxies(self.finish())
    }
}

/// A run of this process that has ended, with the proxies that its requests went through.
pub(crate) fn with_proxies(finished: Finished) -> Finished {
    let proxies = proxy::used_for_any(finished.origins());
    Finished { proxies, ..finished }
}

/// What a run drives: the load test of this process, or one in another.
pub trait Subject {
    /// The engine that runs its plan.
    type Engine: Drive;

    /// What it is called in messages.
    fn name(&self) -> &str;

    /// What [`set_up`](Self::set_up) is called there, and what [`tear_down`](Self::tear_down) is.
    fn preparation(&self) -> &'static str;

    /// See [`preparation`](Self::preparation).
    fn ending(&self) -> &'static str;

    /// Gets it ready, and gives whether it is; it is not where that was cut off, which it is once the other end of `is_cut`
    /// is dropped.
    ///
    /// # Errors
    ///
    /// Why it cannot be: the run does not start.
    fn set_up(&mut self, sinks: &Sinks, is_cut: oneshot::Receiver<()>) -> impl Future<Output = Result<bool, Error>>;

    /// Has an engine run the plan, once it is ready.
    ///
    /// # Errors
    ///
    /// Why none can: the run does not start.
    fn start(
        &mut self,
        plan: &Plan,
        options: &Options,
        sinks: Sinks,
    ) -> impl Future<Output = Result<Self::Engine, Error>>;

    /// Waits until it cannot go on, and gives why: whatever is in flight is cut off then.
    fn died(&mut self) -> impl Future<Output = String>;

    /// Takes note of how the run ended, before it is reported.
    fn ended(&mut self, finished: &Finished, ending: &Ending) {
        let _ = (finished, ending);
    }

    /// Waits until everything it measured has come, once nothing is in flight any more.
    fn settle(&mut self) -> impl Future<Output = ()>;

    /// What has not come all the same, in words.
    fn missing(&self) -> Option<String> {
        None
    }

    /// Ends it.
    ///
    /// # Errors
    ///
    /// What went wrong with that.
    fn tear_down(&mut self) -> impl Future<Output = Result<(), Error>>;
}

/// A run that has ended.
pub(crate) struct Ran {
    finished: Finished,
    timeline: Timeline,
    ending: Ending,
}

impl Ran {
    pub(crate) fn not_started(plan: Plan, options: Options, error: &Error) -> Self {
        let finished = Finished::not_started(plan, options, Some(chain(error)));
        Self { finished, timeline: Timeline::default(), ending: Ending::default() }
    }

    pub(crate) fn with_unwritten(mut self, unwritten: Vec<Unwritten>) -> Self {
        for one in unwritten {
            match self.ending.unwritten.iter_mut().find(|known| known.place == one.place) {
                Some(known) => known.lines += one.lines,
                None => self.ending.unwritten.push(one),
            }
        }
        self
    }

    /// Adds the panics that came after the engine's end, as in `teardown`.
    pub(crate) fn with_last_panics(mut self) -> Self {
        let now = std::time::Instant::now();
        let mut last = Snapshot::default();
        last.add_stray_panics(now.checked_sub(self.finished.whole_time));
        self.finished.totals.merge(&last);
        self.finished.rest.merge(&last);
        self
    }

    /// Writes every report, prints the summary, and says what else is to be said. A signal ends that where nobody reads what
    /// is written.
    pub(crate) fn report(self, outs: Outs, is_stdout_taken: bool) -> ExitCode {
        let reporting: Reporting = Box::new(move || self.tell(outs, is_stdout_taken));
        let (hand_over, handed_over) = mpsc::channel::<Reporting>();
        let (done, is_done) = oneshot::channel();
        let writing = thread::Builder::new().name("golo-reports".to_owned()).spawn(move || {
            // Nobody waits for it any more where it was given up.
            let _ = handed_over.recv().map(|reporting| done.send(reporting()));
        });
        // tokio panics where the system has too little left for it, and then nothing looks after the reports.
        let runtime = || writing.and_then(|_| Builder::new_current_thread().enable_all().build());
        let Ok(Ok(runtime)) = caught_now(runtime) else { return reporting() };
        match hand_over.send(reporting) {
            Ok(()) => runtime.block_on(unless_interrupted(is_done)),
            Err(mpsc::SendError(reporting)) => reporting(),
        }
    }

    fn tell(self, outs: Outs, is_stdout_taken: bool) -> ExitCode {
        let Self { finished, timeline, mut ending } = self;
        let verdict = Verdict::of(&finished, &ending);
        outs.write(&finished, &verdict, &mut ending, &timeline);
        let page = if is_stdout_taken { Page::stderr() } else { Page::stdout() };
        let printed = print_beside(&reports::summary(&finished, &verdict, &ending, page), is_stdout_taken);
        for trouble in ending.troubles() {
            say(format_args!("golo: {trouble}"));
        }
        let code = verdict.exit_code(&ending);
        let Err(error) = printed else { return code.into() };
        say(format_args!("golo: the summary could not be written to stdout: {error}"));
        if code == 0 { 1 } else { code }.into()
    }
}

type Reporting = Box<dyn FnOnce() -> ExitCode + Send>;

/// Waits for the reports. After a signal they have a moment: as long as anybody reads them, that is enough.
async fn unless_interrupted(mut is_done: oneshot::Receiver<ExitCode>) -> ExitCode {
    if let Ok(mut signals) = Signals::listen() {
        tokio::select! {
            code = &mut is_done => return code.unwrap_or(ExitCode::FAILURE),
            () = signals.next() => {}
        }
        match timeout(LAST_MOMENT, &mut is_done).await {
            Ok(code) => return code.unwrap_or(ExitCode::FAILURE),
            Err(_) => {
                say(format_args!("golo: gave up writing reports, since nobody reads them"));
                return Exit::Interrupted.into();
            }
        }
    }
    is_done.await.unwrap_or(ExitCode::FAILURE)
}

/// Writes the summary where the reader looks for it.
fn print_beside(summary: &str, is_stdout_taken: bool) -> io::Result<()> {
    if is_stdout_taken {
        say(summary.trim_end());
        return Ok(());
    }
    print(summary)
}

/// Writes all of `text` on stdout.
///
/// # Errors
///
/// Where that cannot be written, unless nobody wants to read it.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Who has closed stdout wants to read no more: the exit code says how it went.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// A run that is under way.
pub(crate) struct Running<'a, S> {
    subject: S,
    call: &'a RunCall,
    signals: Signals,
    watch: Watch,
    timeline: Timeline,
    ending: Ending,
    is_slow_pace_said: bool,
}

impl<'a, S: Subject> Running<'a, S> {
    /// Listens to signals from now on.
    pub(crate) fn start(subject: S, call: &'a RunCall) -> Result<Self, Error> {
        Ok(Self {
            subject,
            call,
            signals: Signals::listen()?,
            watch: Watch::new(call.thresholds.iter().cloned(), &call.plan),
            timeline: Timeline::default(),
            ending: Ending::default(),
            is_slow_pace_said: false,
        })
    }

    pub(crate) async fn run(mut self, options: Options, sinks: Sinks) -> Ran {
        let plan = self.call.plan.clone();
        let finished = match self.set_up(&sinks).await {
            Ok(true) => self.drive(plan, options, sinks).await,
            Ok(false) => Finished::not_started(plan, options, None),
            Err(error) => Finished::not_started(plan, options, Some(chain(&error))),
        };
        self.ending.torn_down = self.tear_down().await.err().map(|error| chain(&error));
        self.ending.thresholds = self.watch.judge(&finished);
        self.timeline.finish(&finished);
        self.subject.ended(&finished, &self.ending);
        Ran { finished, timeline: self.timeline, ending: self.ending }
    }

    /// Gives whether it is ready, which it is unless it was stopped.
    async fn set_up(&mut self, sinks: &Sinks) -> Result<bool, Error> {
        let what = self.subject.preparation();
        let name = self.subject.name().to_owned();
        let (cut, is_cut) = oneshot::channel::<()>();
        let mut setting_up = pin!(self.subject.set_up(sinks, is_cut));
        tokio::select! {
            result = &mut setting_up => return result,
            () = self.signals.next() => {}
        }
        self.ending.stopped = Some(Moment::Setup);
        say(format_args!("{name}: giving up {what}"));
        drop(cut);
        // One that blocks its thread cannot be cut off.
        tokio::select! {
            result = &mut setting_up => result.map(|_| false),
            () = sleep(LAST_MOMENT) => Ok(false),
            () = self.signals.next() => Ok(false),
        }
    }

    async fn drive(&mut self, plan: Plan, options: Options, sinks: Sinks) -> Finished {
        self.greet(&plan);
        let started = tokio::select! {
            started = self.subject.start(&plan, &options, sinks) => started,
            () = self.signals.next() => {
                say(format_args!("{}: giving up before any load", self.subject.name()));
                self.ending.stopped = Some(Moment::Start);
                return Finished::not_started(plan, options, None);
            }
        };
        let mut engine = match started {
            Ok(engine) => engine,
            Err(error) => return Finished::not_started(plan, options, Some(chain(&error))),
        };
        let is_stdout_taken = self.call.out.contains(&Out::Stdout);
        let mut live = Live::start(self.call.progress, is_stdout_taken, &plan);
        loop {
            tokio::select! {
                progress = engine.next() => match progress {
                    Some(progress) => {
                        live.second(&progress, engine.totals(), &plan);
                        self.second(&progress, &mut engine);
                    }
                    None => break,
                },
                reason = self.subject.died(), if self.ending.died.is_none() => {
                    self.ending.died = Some(reason);
                    engine.cut();
                }
                () = self.signals.next() => self.interrupt(&mut engine),
            }
        }
        if let Some(reason) = engine.ended_early() {
            // It says more than that it is gone.
            self.ending.died = Some(reason);
        }
        if let (None, Some(broken)) = (&self.ending.died, engine.broken()) {
            // Mostly since it has died, which says more.
            let died = timeout(LAST_MOMENT, self.subject.died()).await;
            self.ending.died = Some(died.unwrap_or(broken));
        }
        self.subject.settle().await;
        self.ending.missing = self.subject.missing();
        self.ending.unwritten = self.unread(engine.outputs_lost());
        engine.finish()
    }

    /// So many raw outputs that got nowhere they were to go.
    fn unread(&self, lines: u64) -> Vec<Unwritten> {
        let places = self.call.out.iter().filter(|_| lines > 0).filter_map(Out::lines);
        let reason = "nobody read them in time";
        places.map(|place| Unwritten { lines, place: place.to_string(), reason: reason.to_owned() }).collect()
    }

    /// A second is over.
    fn second(&mut self, progress: &Progress, engine: &mut S::Engine) {
        self.timeline.add(progress);
        self.watch.second(progress);
        self.warn_of_pace(engine.totals());
        if !self.call.abort_on_fail || self.ending.aborted.is_some() || self.ending.stopped.is_some() {
            return;
        }
        if let Some(lost) = self.watch.lost(engine.totals(), progress.elapsed) {
            let why = lost.hidden(engine.totals()).map_or_else(String::new, |why| format!(": {why}"));
            say(format_args!("{}: stopping, since `{lost}` can no longer hold{why}", self.subject.name()));
            engine.abort(lost);
            self.ending.aborted = Some(lost.clone());
        }
    }

    /// Says at once, and once, that the load test cannot keep its pace.
    fn warn_of_pace(&mut self, totals: &Snapshot) {
        if self.is_slow_pace_said || self.call.quiet {
            return;
        }
        if let Some(warning) = reports::slow_pace(&self.call.plan, &totals.triggers) {
            self.is_slow_pace_said = true;
            say(format_args!("{}: warning: {warning}", self.subject.name()));
        }
    }

    fn greet(&self, plan: &Plan) {
        if !self.call.quiet {
            say(format_args!("{}: {plan}; Ctrl-C stops it, and it still reports", self.subject.name()));
        }
    }

    fn interrupt(&mut self, engine: &mut S::Engine) {
        let moment = moment(engine);
        if self.ending.stopped.is_some() {
            let what = if let Moment::Load(_) = moment { "what is in flight" } else { "what is still ending" };
            say(format_args!("{}: cutting off {what}", self.subject.name()));
            return engine.cut();
        }
        let what = match moment {
            Moment::Load(_) => "finishing the triggers in flight; a second signal cuts them off",
            Moment::Stop => "no trigger is in flight any more; a second signal cuts short what else is ending",
            _ => "stopping the users before any load; a second signal cuts that short",
        };
        say(format_args!("{}: {what}", self.subject.name()));
        self.ending.stopped = Some(moment);
        engine.interrupt(moment);
    }

    /// Where a signal has come, it is given the grace and no more.
    async fn tear_down(&mut self) -> Result<(), Error> {
        let (what, name) = (self.subject.ending(), self.subject.name().to_owned());
        let grace = self.call.plan.graceful_stop().max(LAST_MOMENT);
        let deadline = self.ending.stopped.map(|_| Instant::now() + grace);
        tokio::select! {
            result = self.subject.tear_down() => return result,
            () = until(deadline.map(Instant::into_std)) => {}
            () = self.signals.next() => {
                let _ = self.ending.stopped.get_or_insert(Moment::Teardown);
            }
        }
        say(format_args!("{name}: cut off {what}"));
        Ok(())
    }
}

/// Where a run is.
fn moment(engine: &mut impl Drive) -> Moment {
    match engine.started() {
        None => Moment::Start,
        Some(_) if engine.has_drained() => Moment::Stop,
        Some(start) => Moment::Load(start.elapsed()),
    }
}
