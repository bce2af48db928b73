//! `run`: the load test drives itself, and reports.

use std::{fs::File, io::Write as _, process::ExitCode, sync::Arc};

use super::{
    Exit, LAST_MOMENT, Runtimes,
    in_process::InProcess,
    lines::{Lines, Stream},
    report,
    run_args::{Out, RunCall},
    run_on,
    signals::Signals,
};
use crate::{
    Error, Loadtest, Sink, client,
    engine::{
        Engine, Finished, Options, Sinks,
        plan::Plan,
        recorder::{Outside, RecorderSink},
    },
    error::chain,
    message::say,
    panic::print_at_most,
    report::{self as reports, Verdict},
    shared::SharedValue,
    sink,
};

/// Panics that are printed: a load test that panics may do so thousands of times.
const PANICS: usize = 3;
/// How often there is news while it runs.
const NEWS: u64 = 5;

/// Drives the load test as planned, and prints the summary.
pub(super) fn run(loadtest: Loadtest, call: RunCall, runtimes: Runtimes) -> ExitCode {
    client::set_options(client::Options { no_keep_alive: call.no_keep_alive, insecure: call.insecure });
    print_at_most(if call.quiet { 0 } else { PANICS });
    let name = loadtest.name.clone();
    let outs = match open(&call.out) {
        Ok(outs) => outs,
        Err(error) => return report(&name, &error),
    };
    let beside = outs.iter().map(|lines| Arc::new(lines.clone()) as Arc<dyn Sink>).chain(loadtest.own_sink()).collect();
    let measured = Arc::new(RecorderSink::new(beside));
    let outside = Arc::new(Outside::new(Arc::clone(&measured)));
    sink::install(Arc::<Outside>::clone(&outside));
    let loadtest = Arc::new(loadtest);
    let options = Options {
        job_name: call.job_name.unwrap_or_else(|| name.clone()),
        workers: call.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        seed: call.seed,
    };
    let ended = runtimes.control.block_on(async {
        let running = Running {
            name: &name,
            loadtest: &loadtest,
            runtimes: &runtimes,
            quiet: call.quiet,
            progress: call.progress,
            signals: Signals::listen()?,
            is_stopped: false,
        };
        running.run(call.plan, options, Sinks { measured, outside }).await
    });
    let control = runtimes.end(loadtest);
    for lines in &outs {
        let _ = control.block_on(async { tokio::time::timeout(LAST_MOMENT, lines.flush()).await });
        let lost = lines.unwritten();
        if lost > 0 {
            say(format_args!("{name}: {lost} output lines were lost: nobody read them in time"));
        }
    }
    let (finished, is_stopped, torn_down) = match ended {
        Ok(ended) => ended,
        Err(error) => return report(&name, &error),
    };
    let verdict = Verdict::of(&finished, is_stopped);
    print(&reports::summary(&finished, &verdict), call.out.contains(&Out::Stdout));
    if let Err(error) = &torn_down {
        say(format_args!("{name}: {}", chain(error)));
    }
    match verdict {
        Verdict::NotStarted(_) => Exit::NotStarted.into(),
        Verdict::Stopped => Exit::Interrupted.into(),
        Verdict::Invalid(_) => Exit::Invalid.into(),
        Verdict::Passed if torn_down.is_err() => Exit::Failed.into(),
        Verdict::Passed => ExitCode::SUCCESS,
    }
}

/// Opens what raw outputs are written to: what cannot be written is known before any load is sent.
fn open(outs: &[Out]) -> Result<Vec<Lines>, Error> {
    let open = |out: &Out| match out {
        Out::Stdout => Lines::start(Stream::Stdout),
        Out::File(path) => {
            let file = File::create(path).map_err(|error| {
                Error::address(format!("`{}` cannot be written", path.display()), Some(error.into()))
            })?;
            Lines::start_file(file)
        }
    };
    outs.iter().map(open).collect()
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
    quiet: bool,
    progress: bool,
    signals: Signals,
    is_stopped: bool,
}

impl Running<'_> {
    /// Gives what was measured, whether a signal stopped it, and whether `teardown` succeeded.
    async fn run(
        mut self,
        plan: Plan,
        options: Options,
        sinks: Sinks,
    ) -> Result<(Finished, bool, Result<(), Error>), Error> {
        let finished = match self.set_up().await {
            Ok(Some(shared)) => self.drive(plan, options, sinks, shared).await?,
            Ok(None) => Finished::not_started(plan, options, None),
            Err(error) if error.is_start() => Finished::not_started(plan, options, Some(chain(&error))),
            Err(error) => return Err(error),
        };
        let torn_down = self.tear_down().await;
        Ok((finished, self.is_stopped, torn_down))
    }

    /// Gives what is shared, unless it was stopped.
    async fn set_up(&mut self) -> Result<Option<SharedValue>, Error> {
        let loadtest = Arc::clone(self.loadtest);
        let setting_up = run_on(self.runtimes.load.handle(), async move { loadtest.set_up().await });
        tokio::select! {
            result = setting_up => result.map(Some),
            () = self.signals.next() => {
                self.is_stopped = true;
                Ok(None)
            }
        }
    }

    async fn drive(
        &mut self,
        plan: Plan,
        options: Options,
        sinks: Sinks,
        shared: SharedValue,
    ) -> Result<Finished, Error> {
        self.greet(&plan);
        let measured = Arc::clone(&sinks.measured);
        let trigger = InProcess::new(Arc::clone(self.loadtest), shared, options.seed, measured);
        let mut engine = Engine::start(Arc::new(trigger), plan.clone(), options, sinks)
            .map_err(|error| Error::io("the workers could not be started", error))?;
        loop {
            tokio::select! {
                progress = engine.next() => match progress {
                    Some(progress) if self.progress && progress.elapsed.as_secs().is_multiple_of(NEWS) => {
                        say(reports::news(&progress, engine.totals(), &plan));
                    }
                    Some(_) => {}
                    None => break,
                },
                () = self.signals.next() => self.interrupt(&mut engine),
            }
        }
        Ok(engine.finish())
    }

    fn greet(&self, plan: &Plan) {
        if !self.quiet {
            say(format_args!("{}: {plan}; Ctrl-C stops it, and it still reports", self.name));
        }
    }

    fn interrupt(&mut self, engine: &mut Engine) {
        if self.is_stopped {
            say(format_args!("{}: cutting off what is in flight", self.name));
            engine.cut();
        } else {
            say(format_args!("{}: finishing the triggers in flight; a second signal cuts them off", self.name));
            self.is_stopped = true;
            engine.stop();
        }
    }

    async fn tear_down(&mut self) -> Result<(), Error> {
        let loadtest = Arc::clone(self.loadtest);
        let tearing_down = run_on(self.runtimes.load.handle(), async move { loadtest.tear_down().await });
        tokio::select! {
            result = tearing_down => result,
            () = self.signals.next() => {
                say(format_args!("{}: cut off `teardown`", self.name));
                self.is_stopped = true;
                Ok(())
            }
        }
    }
}
