//! What `--out` may ask for, and what becomes of it.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use super::{
    files::ReportFile,
    lines::{Lines, Stream},
};
use crate::{
    Error, Sink,
    engine::Finished,
    error::chain,
    report::{self, Document, Ending, Page, Timeline, Unwritten, Verdict, Written},
};

/// Something to be written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Out {
    /// Every request as a line of JSON, on stdout.
    Stdout,
    /// The same, in a file.
    Lines(PathBuf),
    /// The summary as JSON.
    Summary(PathBuf),
    /// Thresholds and checks as test cases.
    Junit(PathBuf),
    /// Tables, whose files begin with this.
    Csv(PathBuf),
}

impl FromStr for Out {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected summary=FILE.json, junit=FILE.xml, csv=PREFIX, jsonl=FILE, or jsonl=- for stdout";
        let (kind, path) = text.split_once('=').filter(|(_, path)| !path.is_empty()).ok_or(expected)?;
        Ok(match (kind, path) {
            ("jsonl", "-") => Self::Stdout,
            ("jsonl", path) => Self::Lines(path.into()),
            ("summary", path) => Self::Summary(path.into()),
            ("junit", path) => Self::Junit(path.into()),
            ("csv", prefix) => Self::Csv(prefix.into()),
            _ => return Err(expected.to_owned()),
        })
    }
}

/// What is written beside the summary that a person reads.
pub(super) struct Outs {
    lines: Vec<(Stream, Lines)>,
    reports: Vec<(Report, ReportFile)>,
}

/// A file that is written once the run is over.
#[derive(Debug, Clone, Copy)]
enum Report {
    Summary,
    Junit,
    Stats,
    StatsHistory,
    Failures,
}

/// What reports are made of.
pub(super) struct Results<'a> {
    pub(super) finished: &'a Finished,
    pub(super) verdict: &'a Verdict,
    pub(super) ending: &'a Ending,
    pub(super) timeline: &'a Timeline,
}

impl Outs {
    /// Opens everything: what cannot be written is known before any load is sent.
    pub(super) fn open(outs: &[Out]) -> Result<Self, Error> {
        let mut opened = Self { lines: Vec::new(), reports: Vec::new() };
        for out in outs {
            match out {
                Out::Stdout => opened.open_lines(Stream::Stdout)?,
                Out::Lines(path) => opened.open_lines(Stream::File(path.clone()))?,
                Out::Summary(path) => opened.open_report(Report::Summary, path)?,
                Out::Junit(path) => opened.open_report(Report::Junit, path)?,
                Out::Csv(prefix) => {
                    for report in [Report::Stats, Report::StatsHistory, Report::Failures] {
                        let mut path = prefix.clone().into_os_string();
                        path.push(report.suffix());
                        opened.open_report(report, path.as_ref())?;
                    }
                }
            }
        }
        Ok(opened)
    }

    fn open_lines(&mut self, stream: Stream) -> Result<(), Error> {
        self.lines.push((stream.clone(), Lines::start(stream)?));
        Ok(())
    }

    fn open_report(&mut self, report: Report, path: &Path) -> Result<(), Error> {
        let cannot =
            |error: io::Error| Error::address(format!("`{}` cannot be written", path.display()), Some(error.into()));
        self.reports.push((report, ReportFile::open(path).map_err(cannot)?));
        Ok(())
    }

    /// The sinks of raw outputs.
    pub(super) fn sinks(&self) -> impl Iterator<Item = Arc<dyn Sink>> {
        self.lines.iter().map(|(_, lines)| Arc::new(lines.clone()) as Arc<dyn Sink>)
    }

    /// Waits until every raw output is written, within `time` each; gives those that are not.
    pub(super) async fn flush(&self, time: Duration) -> Vec<Unwritten> {
        let mut unwritten = Vec::new();
        for (stream, lines) in &self.lines {
            let _ = tokio::time::timeout(time, lines.flush()).await;
            if let Some(loss) = lines.loss() {
                unwritten.push(Unwritten { lines: loss.lines, place: stream.to_string(), reason: loss.reason });
            }
        }
        unwritten
    }

    /// Writes every report; one that cannot be written keeps no other from it.
    pub(super) fn write(self, results: &Results<'_>) -> Vec<Written> {
        let lines = self.lines.iter().filter_map(|(stream, _)| match stream {
            Stream::File(path) => Some(Written { kind: "jsonl", path: path.display().to_string(), error: None }),
            _ => None,
        });
        let mut written: Vec<_> = lines.collect();
        for (report, file) in self.reports {
            let path = file.path().display().to_string();
            let error = file.write(|to| report.write(results, to)).err();
            written.push(Written { kind: report.kind(), path, error: error.map(|error| chain(&error)) });
        }
        written
    }
}

impl Report {
    /// What it was asked for as.
    fn kind(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Junit => "junit",
            Self::Stats | Self::StatsHistory | Self::Failures => "csv",
        }
    }

    /// What a prefix becomes a file's name by: as Locust calls them.
    fn suffix(self) -> &'static str {
        match self {
            Self::Stats => "_stats.csv",
            Self::StatsHistory => "_stats_history.csv",
            Self::Failures => "_failures.csv",
            Self::Summary | Self::Junit => "",
        }
    }

    fn write(self, results: &Results<'_>, to: &mut dyn Write) -> io::Result<()> {
        let Results { finished, verdict, ending, timeline } = *results;
        match self {
            Self::Summary => {
                serde_json::to_writer(&mut *to, &Document::of(finished, verdict, ending, timeline))?;
                to.write_all(b"\n")
            }
            Self::Junit => {
                let summary = report::summary(finished, verdict, ending, Page::default());
                report::junit(finished, verdict, ending, &summary, to)
            }
            Self::Stats => report::stats(finished, to),
            Self::StatsHistory => report::stats_history(timeline, finished, to),
            Self::Failures => report::failures(finished, to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_asked_for() {
        for (text, out) in [
            ("jsonl=-", Out::Stdout),
            ("jsonl=a=b", Out::Lines("a=b".into())),
            ("summary=s.json", Out::Summary("s.json".into())),
            ("junit=j.xml", Out::Junit("j.xml".into())),
            ("csv=out/run", Out::Csv("out/run".into())),
        ] {
            assert_eq!(text.parse(), Ok(out));
        }
        for text in ["", "jsonl", "jsonl=", "xml=a", "summary"] {
            assert!(text.parse::<Out>().unwrap_err().starts_with("expected summary=FILE.json, "), "{text}");
        }
    }
}
