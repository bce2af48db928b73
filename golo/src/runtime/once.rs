//! `once`: one trigger, whose `Response` is printed as JSON.

use std::{
    io::Write as _,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::runtime::Runtime;

use super::{
    Exit,
    args::OnceArgs,
    lines::{Lines, Stream},
    signals::Signals,
};
use crate::{Context, Error, Loadtest, Response, message::say, sink};

/// Time for the last lines and for cancelled requests.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// Triggers the load test once; its `Output` lines go to stderr.
pub(super) fn once(loadtest: &Loadtest, args: OnceArgs, runtime: Runtime) -> ExitCode {
    let lines = match Lines::start(Stream::Stderr) {
        Ok(lines) => lines,
        Err(error) => return loadtest.report(&error),
    };
    sink::install(Arc::new(lines.clone()));
    let result = runtime.block_on(trigger(loadtest, args));
    runtime.shutdown_timeout(LAST_MOMENT);
    lines.finish(Instant::now() + LAST_MOMENT);
    lines.say_checks();
    match result {
        Ok(Some(response)) => {
            print(&response);
            if response.error { Exit::Failed.into() } else { ExitCode::SUCCESS }
        }
        Ok(None) => {
            say(format_args!("{}: stopped by a signal", loadtest.name));
            Exit::Interrupted.into()
        }
        Err(error) => loadtest.report(&error),
    }
}

/// `None` where a signal came first.
async fn trigger(loadtest: &Loadtest, args: OnceArgs) -> Result<Option<Response>, Error> {
    let mut signals = Signals::listen()?;
    let context = Context { job_name: args.name.unwrap_or_else(|| loadtest.name.clone()), ..Context::default() };
    let response = tokio::select! {
        response = async {
            loadtest.prepare().await?;
            Ok(loadtest.trigger(context).await)
        } => Some(response?),
        () = signals.next() => None,
    };
    tokio::select! {
        result = loadtest.tear_down() => result.map(|()| response),
        () = signals.next() => Ok(None),
    }
}

/// A `Response` under its names on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Printed<'a> {
    id: &'a str,
    job_name: &'a str,
    error: bool,
    output: &'a str,
    tags: Vec<PrintedTag<'a>>,
    /// Nanoseconds.
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
    // Text and numbers always are JSON.
    let json = serde_json::to_string(&printed).unwrap_or_default();
    let mut stdout = std::io::stdout().lock();
    // A closed stdout ends nothing: the exit code says how it went.
    let _ = writeln!(stdout, "{json}").and_then(|()| stdout.flush());
}
