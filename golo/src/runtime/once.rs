//! `once`: triggers the load test once and prints its `Response` as JSON.

use std::{io::Write as _, pin::pin, process::ExitCode, sync::Arc};

use serde::Serialize;
use tokio::sync::oneshot;

use super::{Runtimes, run_on};
use crate::error::exit::{Exit, report};
use crate::report::lines::{Lines, Stream};
use crate::run_loop::{LAST_MOMENT, signals::Signals};
use crate::{Context, Error, Loadtest, Response, error::chain, metrics::sink, support::message::say};

/// Triggers the load test once, for a job of that name, with this scenario if it has several. Its `Output` lines go to
/// stderr.
pub(super) fn once(
    loadtest: Loadtest,
    job_name: Option<String>,
    scenario: Option<String>,
    runtimes: Runtimes,
) -> ExitCode {
    let name = loadtest.name.clone();
    let lines = match Lines::start(Stream::Stderr) {
        Ok(lines) => lines,
        Err(error) => return report(&error),
    };
    sink::install(Arc::new(lines.clone()));
    let loadtest = Arc::new(loadtest);
    let context = Context { job_name: job_name.unwrap_or_else(|| name.clone()), scenario, ..Context::default() };
    let (triggered, torn_down) = runtimes.control.block_on(async {
        let mut signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return (Err(error), Ok(())),
        };
        let (cut, is_cut) = oneshot::channel();
        let mut triggering = pin!(run_on(runtimes.load.handle(), trigger(Arc::clone(&loadtest), context, is_cut)));
        let triggered = tokio::select! {
            response = &mut triggering => response,
            () = signals.next() => {
                drop(cut);
                // A trigger that blocks its thread cannot be cut off.
                let _ = tokio::time::timeout(LAST_MOMENT, &mut triggering).await;
                Ok(None)
            }
        };
        let loadtest = Arc::clone(&loadtest);
        let torn_down = tokio::select! {
            result = run_on(runtimes.load.handle(), async move { loadtest.tear_down().await }) => result,
            () = signals.next() => {
                say(format_args!("{name}: cut off `teardown`"));
                Ok(())
            }
        };
        (triggered, torn_down)
    });
    if let Ok(Some(response)) = &triggered {
        print(response);
    }
    let control = runtimes.end(loadtest);
    let _ = control.block_on(async { tokio::time::timeout(LAST_MOMENT, lines.flush()).await });
    let (exit, message) = match (triggered, torn_down) {
        (Ok(None), _) => (Exit::Interrupted.into(), Some("stopped by a signal".to_owned())),
        (Err(error), _) | (_, Err(error)) => (Exit::from(&error).into(), Some(chain(&error))),
        (Ok(Some(response)), _) if response.error => (Exit::Failed.into(), None),
        _ => (ExitCode::SUCCESS, None),
    };
    // If nothing reads stderr, a message would block for ever, as the lines do. The exit code still reports the result.
    if lines.unwritten() == 0 {
        lines.print_checks();
        if let Some(message) = message {
            say(format_args!("golo: {message}"));
        }
    }
    exit
}

/// Triggers the load test. Returns `None` if it is cut off, that is, once the other end of `is_cut` is dropped.
async fn trigger(
    loadtest: Arc<Loadtest>,
    context: Context,
    is_cut: oneshot::Receiver<()>,
) -> Result<Option<Response>, Error> {
    let triggering = async {
        loadtest.prepare().await?;
        Ok(Some(loadtest.trigger(context).await))
    };
    tokio::select! {
        biased;
        _ = is_cut => Ok(None),
        response = triggering => response,
    }
}

/// A `Response` with the names of the wire format.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'a> {
    id: &'a str,
    job_name: &'a str,
    error: bool,
    output: &'a str,
    tags: Vec<PrintedTag<'a>>,
    /// In nanoseconds.
    duration: u64,
}

#[derive(Serialize)]
struct PrintedTag<'a> {
    key: &'a str,
    value: &'a str,
}

fn print(response: &Response) {
    let printed = Printed {
        id: &response.id,
        job_name: &response.job_name,
        error: response.error,
        output: &response.output,
        tags: response.tags.iter().map(|tag| PrintedTag { key: &tag.key, value: &tag.value }).collect(),
        duration: response.duration,
    };
    // Texts and numbers can always be written as JSON.
    let json = serde_json::to_string(&printed).unwrap_or_default();
    let mut stdout = std::io::stdout().lock();
    // A closed stdout is not an error: the exit code reports the result.
    let _ = writeln!(stdout, "{json}").and_then(|()| stdout.flush());
}
