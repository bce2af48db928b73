//! The reports of a run that is over: the same as `run` writes, of what was kept.

use std::{io, path::PathBuf, process::ExitCode};

use clap::{ArgAction, Args};

use super::{
    exit::{Exit, report},
    outs::{Out, Outs},
    running::print,
};
use crate::{
    engine::Finished,
    report as reports,
    report::{Document, Ending, Page, Timeline, Verdict},
    support::message::say,
};

/// How a run is to be reported that is over.
#[derive(Debug, Clone, Default, Args)]
pub struct ReportArgs {
    /// Write it as a page of charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a report (may be repeated): summary=FILE.json, html=FILE.html, junit=FILE.xml, csv=PREFIX
    #[arg(short, long, value_name = "TYPE=ARG", value_parser = report_file)]
    out: Vec<Out>,
    /// Print what `-o summary=FILE` writes, rather than text
    #[arg(long, action = ArgAction::SetTrue)]
    json: bool,
}

/// What is written once a run is over.
fn report_file(text: &str) -> Result<Out, String> {
    match text.parse()? {
        Out::Stdout | Out::Lines(_) => Err("expected summary=FILE.json, html=FILE.html, junit=FILE.xml or csv=PREFIX: requests are kept by the second, and not one by one".to_owned()),
        out => Ok(out),
    }
}

/// A run that is over.
#[derive(Debug)]
pub struct Reported {
    /// What was measured.
    pub finished: Finished,
    /// The same over time.
    pub timeline: Timeline,
    /// How it ended.
    pub ending: Ending,
}

impl Reported {
    /// What it comes to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.finished, &self.ending)
    }

    /// Writes every report, prints the summary, and says what could not be written. The exit code is 0 whatever the run came
    /// to, 104 where a file cannot be written at all, 1 where something was not written whole.
    #[must_use]
    pub fn report(mut self, args: ReportArgs) -> ExitCode {
        let ReportArgs { html, out, json } = args;
        let verdict = self.verdict();
        let html = html.map(|path| format!("html={}", path.display()).parse::<Out>()).transpose();
        let outs = match html {
            Ok(html) => Outs::open(&html.into_iter().chain(out).collect::<Vec<_>>()),
            Err(message) => {
                say(format_args!("golo: {message}"));
                return Exit::BadConfiguration.into();
            }
        };
        let outs = match outs {
            Ok(outs) => outs,
            Err(error) => return report(&error),
        };
        outs.write(&self.finished, &verdict, &mut self.ending, &self.timeline);
        let Self { finished, timeline, ending } = self;
        let text = match json {
            true => serde_json::to_string(&Document::of(&finished, &verdict, &ending, &timeline))
                .map(|json| json + "\n")
                .map_err(io::Error::from),
            false => Ok(reports::summary(&finished, &verdict, &ending, Page::stdout())),
        };
        let printed = text.and_then(|text| print(&text));
        let mut is_whole = true;
        for (path, error) in ending.files.iter().filter_map(|file| Some((&file.path, file.error.as_ref()?))) {
            is_whole = false;
            say(format_args!("golo: `{path}` could not be written: {error}"));
        }
        if let Err(error) = printed {
            is_whole = false;
            say(format_args!("golo: the summary could not be written to stdout: {error}"));
        }
        if is_whole { ExitCode::SUCCESS } else { Exit::Failed.into() }
    }
}
