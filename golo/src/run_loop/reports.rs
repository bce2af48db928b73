//! The end of a run: finishes its outputs and returns the exit code.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{io, path::PathBuf, process::ExitCode, sync::mpsc, thread};

use clap::{ArgAction, Args};
use tokio::{runtime::Builder, sync::oneshot, time::timeout};

use super::{LAST_MOMENT, signals::Signals};
use crate::error::exit::{Exit, report};
use crate::report::{Document, MetricsOutput, OutputArg, Page, RunOutcome, Written, outputs, summary};
use crate::support::message::{print, say};
use crate::support::panic::caught_now;
use crate::support::setting_error::SettingError;

/// True once a signal came while the reports were written.
static HURRY: AtomicBool = AtomicBool::new(false);

/// Returns true if a signal came while the reports of a run were written. An output that waits for another program then
/// stops waiting.
#[must_use]
pub fn is_in_hurry() -> bool {
    HURRY.load(Relaxed)
}

/// Finishes all outputs of a run and returns its exit code. A signal ends this if a reader blocks an output.
pub(crate) fn finish(outcome: RunOutcome, outputs: Vec<Box<dyn MetricsOutput>>) -> ExitCode {
    let reporting: Reporting = Box::new(move || finish_all(outcome, outputs));
    let (hand_over, handed_over) = mpsc::channel::<Reporting>();
    let (done, is_done) = oneshot::channel();
    let writing = thread::Builder::new().name("golo-reports".to_owned()).spawn(move || {
        // The receiver is dropped if writing the reports was given up.
        let _ = handed_over.recv().map(|reporting| done.send(reporting()));
    });
    // tokio panics if the system is out of resources. The reports are then written without listening to signals.
    let runtime = || writing.and_then(|_| Builder::new_current_thread().enable_all().build());
    let Ok(Ok(runtime)) = caught_now(runtime) else { return reporting() };
    match hand_over.send(reporting) {
        Ok(()) => runtime.block_on(unless_interrupted(is_done)),
        Err(mpsc::SendError(reporting)) => reporting(),
    }
}

fn finish_all(mut outcome: RunOutcome, mut outputs: Vec<Box<dyn MetricsOutput>>) -> ExitCode {
    outputs::finish(&mut outputs, &mut outcome);
    for trouble in outcome.troubles() {
        say(format_args!("golo: {trouble}"));
    }
    outcome.exit().into()
}

type Reporting = Box<dyn FnOnce() -> ExitCode + Send>;

/// Waits for the reports. After a signal it waits [`LAST_MOMENT`] longer, which is enough unless a reader blocks.
async fn unless_interrupted(mut is_done: oneshot::Receiver<ExitCode>) -> ExitCode {
    if let Ok(mut signals) = Signals::listen() {
        tokio::select! {
            code = &mut is_done => return code.unwrap_or(ExitCode::FAILURE),
            () = signals.next() => HURRY.store(true, Relaxed),
        }
        match timeout(LAST_MOMENT, &mut is_done).await {
            Ok(code) => return code.unwrap_or(ExitCode::FAILURE),
            Err(_) => {
                say(format_args!("golo: gave up writing reports because they are not read"));
                return Exit::Interrupted.into();
            }
        }
    }
    is_done.await.unwrap_or(ExitCode::FAILURE)
}

/// Flags for the reports of a run that has ended.
#[derive(Debug, Clone, Default, Args)]
pub struct ReportArgs {
    /// Write a page with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a report (may be repeated): summary=FILE.json, html=FILE.html, junit=FILE.xml, csv=PREFIX,
    /// failures=FILE.jsonl
    #[arg(short, long, value_name = "TYPE=ARG", value_parser = report_file)]
    out: Vec<OutputArg>,
    /// Print the JSON of `-o summary=FILE` instead of text
    #[arg(long, action = ArgAction::SetTrue)]
    json: bool,
}

/// Parses an output that can be written after the run has ended.
fn report_file(text: &str) -> Result<OutputArg, SettingError> {
    match text.parse::<OutputArg>()? {
        receiver if receiver.receiver().is_some() => Err(format!(
            "`{}=` receives metrics during a run: expected summary=FILE.json, html=FILE.html, junit=FILE.xml, csv=PREFIX or \
             failures=FILE.jsonl",
            receiver.name()
        )
        .into()),
        lines if lines.is_lines() => Err("expected summary=FILE.json, html=FILE.html, junit=FILE.xml, csv=PREFIX or \
                                          failures=FILE.jsonl: measurements are stored per second, not per request"
            .into()),
        output => Ok(output),
    }
}

/// Writes the reports of a run that has ended, and prints its summary. Returns 0 for every verdict, 104 if a file
/// cannot be opened, and 1 if something could not be written completely.
#[must_use]
pub fn show(mut outcome: RunOutcome, args: ReportArgs) -> ExitCode {
    let ReportArgs { html, out, json } = args;
    let html = html.map(|path| format!("html={}", path.display()).parse::<OutputArg>()).transpose();
    let opened = match html {
        Ok(html) => outputs::open(&html.into_iter().chain(out).collect::<Vec<_>>()),
        Err(message) => {
            say(format_args!("golo: {message}"));
            return Exit::BadConfiguration.into();
        }
    };
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(error) => return report(&error),
    };
    outputs::finish(&mut opened, &mut outcome);
    let text = match json {
        true => serde_json::to_string(&Document::of(&outcome)).map(|json| json + "\n").map_err(io::Error::from),
        false => Ok(summary(&outcome, Page::stdout())),
    };
    let printed = text.and_then(|text| print(&text));
    outcome.files.extend(printed.err().iter().map(Written::stdout));
    let troubles: Vec<_> = outcome.files.iter().filter_map(Written::trouble).collect();
    for trouble in &troubles {
        say(format_args!("golo: {trouble}"));
    }
    if troubles.is_empty() { ExitCode::SUCCESS } else { Exit::Failed.into() }
}
