//! `golo runs`: lists stored runs, newest first.

mod prune;

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use clap::{ArgAction, Args, Subcommand};
use golo::cli::{Exit, print, say};
use golo::report::{Page, clean, count, duration, percent, rate};

use crate::results::archive::{Archive, ArchiveArgs};
use crate::results::keep::short;
use crate::results::listed::Listed;
use crate::results::store::Summary;
use crate::support::moments::date;

/// Flags of `golo runs`.
#[derive(Debug, Args)]
#[command(
    after_help = "\
Examples:
  golo runs
  golo runs --limit 5
  golo runs --json | jq -r '.[] | select(.verdict == \"FAILED\") | .run'
  golo runs --collector http://127.0.0.1:8082
  golo runs prune --keep 30d

The exit code is 0 for every verdict of the runs, 1 if a run is damaged, and 104 if there is no such file or collector.
`golo show` and `golo compare` accept the ID in the first column. Runs that did not start are listed too, and `golo show` \
prints the reason; `latest` is the newest run that started.",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct RunsLine {
    /// What to do instead of listing.
    #[command(subcommand)]
    action: Option<RunsAction>,
    /// Maximum number of runs to list
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u64,
    /// Print the runs as JSON
    #[arg(long, action = ArgAction::SetTrue)]
    json: bool,
    /// Archive with the runs.
    #[command(flatten)]
    archive: ArchiveArgs,
}

/// Subcommands of `golo runs`.
#[derive(Debug, Subcommand)]
enum RunsAction {
    /// Delete old runs and shrink the database file
    Prune(prune::PruneLine),
}

fn cells(listed: &Listed) -> Vec<String> {
    let Listed { run, summary, .. } = listed;
    vec![
        short(run).to_owned(),
        // `YYYY-MM-DD HH:MM`: the first 16 characters of the date.
        date(summary.begun_at_ns).chars().take(16).map(|c| if c == 'T' { ' ' } else { c }).collect(),
        summary.verdict.clone(),
        count(summary.requests),
        requests_rate(summary),
        summary.p95_ns.map_or_else(|| "-".to_owned(), |p95| duration(Duration::from_nanos(p95))),
        percent(summary.requests_failed, summary.requests.saturating_add(summary.requests_interrupted)),
    ]
}

/// Returns requests per second. The reply of an older collector does not contain the time that they were counted over.
fn requests_rate(summary: &Summary) -> String {
    match summary.rate_time_ns {
        0 => rate(summary.requests, Duration::from_nanos(summary.whole_time_ns)),
        time => rate(summary.rated_requests, Duration::from_nanos(time)),
    }
}

/// Lists stored runs.
#[must_use]
pub fn runs(line: RunsLine) -> ExitCode {
    let RunsLine { action, limit, json, archive } = line;
    if let Some(RunsAction::Prune(line)) = action {
        return prune::prune(line);
    }
    let listed = match Archive::open(archive).and_then(|archive| archive.list(limit)) {
        Ok(listed) => listed,
        Err(error) => {
            say(format_args!("golo: {error}"));
            return error.exit().into();
        }
    };
    let mut exit = Exit::Success;
    let mut good = Vec::new();
    for listed in listed {
        match listed {
            Ok(listed) => good.push(listed),
            Err(error) => {
                exit = error.exit();
                say(format_args!("golo: {error}"));
            }
        }
    }
    let text = match json {
        true => serde_json::to_string(&good).map(|json| json + "\n").map_err(std::io::Error::from),
        false => Ok(table(Page::stdout(), &good)),
    };
    if let Err(error) = text.and_then(|text| print(&text)) {
        exit = Exit::Failed;
        say(format_args!("golo: stdout cannot be written: {error}"));
    }
    exit.into()
}

/// Returns a table with two lines per run: its figures, and its name and plan.
fn table(page: Page, runs: &[Listed]) -> String {
    if runs.is_empty() {
        return "no run is stored yet: `golo run` stores them\n".to_owned();
    }
    let heads = ["run", "begun (UTC)", "verdict", "requests", "req/s", "p95", "failed"].map(str::to_owned).to_vec();
    let rows: Vec<_> = std::iter::once(heads).chain(runs.iter().map(cells)).collect();
    let lines = page.table(&rows, &[0, 1, 2]);
    if lines.len() != rows.len() {
        // The page is too narrow for a table, so `Page::table` returned a list.
        return lines.join("\n") + "\n";
    }
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let _ = writeln!(text, "{line}");
        if let Some(run) = number.checked_sub(1).and_then(|at| runs.get(at)) {
            let description = clean(&format!("{}: {}", run.name, run.plan));
            page.wrap("          ", 10, &description).iter().for_each(|line| {
                let _ = writeln!(text, "{line}");
            });
        }
    }
    text
}
