//! What `--out` may ask for, and what becomes of it.

use std::{
    collections::HashSet,
    io::{self, Write},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use super::{
    files::{ReportFile, followed, is_special, refuse_streams},
    lines::{Lines, Stream},
};
use crate::{
    Error, Sink,
    engine::Finished,
    error::chain,
    report::{self, Document, Ending, Page, Timeline, Unwritten, Verdict, Written},
};

/// Said where a page is asked for that cannot be made.
#[cfg(not(feature = "html"))]
const WITHOUT_HTML: &str = "this load test was built without golo's feature `html`; turn it on with \
                            `cargo add golo --features html`";

/// Something to be written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Out {
    /// Every request as a line of JSON, on stdout.
    Stdout,
    /// The same, in a file.
    Lines(PathBuf),
    /// The summary as JSON.
    Summary(PathBuf),
    /// The run as a page.
    #[cfg(feature = "html")]
    Html(PathBuf),
    /// Thresholds and checks as test cases.
    Junit(PathBuf),
    /// Tables, whose files begin with this.
    Csv(PathBuf),
}

impl FromStr for Out {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected summary=FILE.json, html=FILE.html, junit=FILE.xml, csv=PREFIX, jsonl=FILE, or \
                        jsonl=- for stdout";
        let (kind, path) = text.split_once('=').filter(|(_, path)| !path.is_empty()).ok_or(expected)?;
        Ok(match (kind, path) {
            ("jsonl", "-") => Self::Stdout,
            ("summary" | "html" | "junit" | "csv", "-") => {
                return Err(format!(
                    "`-` is stdout, where only jsonl= can go; for a file of that name write {kind}=./-"
                ));
            }
            ("jsonl", path) => Self::Lines(path.into()),
            ("summary", path) => Self::Summary(path.into()),
            #[cfg(feature = "html")]
            ("html", path) => Self::Html(path.into()),
            #[cfg(not(feature = "html"))]
            ("html", _) => return Err(WITHOUT_HTML.to_owned()),
            ("junit", path) => Self::Junit(path.into()),
            ("csv", prefix) => Self::Csv(prefix.into()),
            _ => return Err(expected.to_owned()),
        })
    }
}

impl Out {
    /// Where it has raw outputs go, if it does.
    pub(crate) fn lines(&self) -> Option<Stream> {
        match self {
            Self::Stdout => Some(Stream::Stdout),
            Self::Lines(path) => Some(Stream::File(path.clone())),
            _ => None,
        }
    }

    /// The files that become of it.
    fn files(&self) -> Vec<PathBuf> {
        match self {
            Self::Stdout => Vec::new(),
            Self::Lines(path) | Self::Summary(path) | Self::Junit(path) => vec![path.clone()],
            #[cfg(feature = "html")]
            Self::Html(path) => vec![path.clone()],
            Self::Csv(prefix) => TABLES.map(|table| table.path(prefix)).into(),
        }
    }
}

/// What is written beside the summary that a person reads.
pub(crate) struct Outs {
    lines: Vec<(Stream, Lines)>,
    reports: Vec<(Report, ReportFile)>,
}

/// A file that is written once the run is over.
#[derive(Debug, Clone, Copy)]
enum Report {
    Summary,
    #[cfg(feature = "html")]
    Html,
    Junit,
    Stats,
    Steps,
    StatsHistory,
    Tags,
    Failures,
}

/// The tables of `csv=`.
const TABLES: [Report; 5] = [Report::Stats, Report::Steps, Report::StatsHistory, Report::Tags, Report::Failures];

/// What reports are made of.
struct Results<'a> {
    finished: &'a Finished,
    verdict: &'a Verdict,
    ending: &'a Ending,
    timeline: &'a Timeline,
}

impl Outs {
    /// Opens everything: what cannot be written is known before any load is sent.
    pub(crate) fn open(outs: &[Out]) -> Result<Self, Error> {
        refuse_twice(outs)?;
        let mut opened = Self { lines: Vec::new(), reports: Vec::new() };
        for out in outs {
            match out {
                Out::Stdout | Out::Lines(_) => {}
                Out::Summary(path) => opened.open_report(Report::Summary, path)?,
                #[cfg(feature = "html")]
                Out::Html(path) => opened.open_report(Report::Html, path)?,
                Out::Junit(path) => opened.open_report(Report::Junit, path)?,
                Out::Csv(prefix) => {
                    TABLES.iter().try_for_each(|table| opened.open_report(*table, &table.path(prefix)))?;
                }
            }
        }
        // Last, since what was in their files is gone once they are open.
        for out in outs {
            match out {
                Out::Stdout => opened.open_lines(Stream::Stdout)?,
                Out::Lines(path) => {
                    refuse_streams(path).map_err(|error| cannot_be_written(path, error))?;
                    opened.open_lines(Stream::File(path.clone()))?;
                }
                _ => {}
            }
        }
        Ok(opened)
    }

    fn open_lines(&mut self, stream: Stream) -> Result<(), Error> {
        self.lines.push((stream.clone(), Lines::start(stream)?));
        Ok(())
    }

    fn open_report(&mut self, report: Report, path: &Path) -> Result<(), Error> {
        let file = ReportFile::open(path).map_err(|error| cannot_be_written(path, error))?;
        self.reports.push((report, file));
        Ok(())
    }

    /// The sinks of raw outputs.
    pub(crate) fn sinks(&self) -> impl Iterator<Item = Arc<dyn Sink>> {
        self.lines.iter().map(|(_, lines)| Arc::new(lines.clone()) as Arc<dyn Sink>)
    }

    /// Waits until every raw output is written, within `time` each; gives those that are not.
    pub(crate) async fn flush(&self, time: Duration) -> Vec<Unwritten> {
        let mut unwritten = Vec::new();
        for (stream, lines) in &self.lines {
            let _ = tokio::time::timeout(time, lines.flush()).await;
            if let Some(loss) = lines.loss() {
                unwritten.push(Unwritten { lines: loss.lines, place: stream.to_string(), reason: loss.reason });
            }
        }
        unwritten
    }

    /// Writes every report, and says in `ending` what became of each: one that cannot be written keeps no other from it.
    pub(crate) fn write(mut self, finished: &Finished, verdict: &Verdict, ending: &mut Ending, timeline: &Timeline) {
        let lines = self.lines.iter().filter_map(|(stream, _)| match stream {
            Stream::File(path) => Some(Written { kind: "jsonl", path: path.display().to_string(), error: None }),
            _ => None,
        });
        ending.files.extend(lines);
        self.reports.sort_by_key(|(report, _)| report.place());
        for (report, file) in self.reports {
            let path = file.path().display().to_string();
            let results = Results { finished, verdict, ending, timeline };
            let error = file.write(|to| report.write(&results, to)).err();
            ending.files.push(Written { kind: report.kind(), path, error: error.map(|error| chain(&error)) });
        }
    }
}

/// A file can be one thing only.
fn refuse_twice(outs: &[Out]) -> Result<(), Error> {
    let mut known = HashSet::new();
    let twice = |what: String| Err(Error::address(format!("{what} would be written twice"), None));
    if outs.iter().filter(|out| **out == Out::Stdout).count() > 1 {
        return twice("stdout".to_owned());
    }
    for path in outs.iter().flat_map(Out::files) {
        if is_special(&path) {
            continue;
        }
        let file = followed(&path);
        if !known.insert(std::path::absolute(&file).unwrap_or(file)) {
            return twice(format!("`{}`", path.display()));
        }
    }
    Ok(())
}

fn cannot_be_written(path: &Path, error: io::Error) -> Error {
    Error::address(format!("`{}` cannot be written", path.display()), Some(error.into()))
}

impl Report {
    /// What it was asked for as.
    fn kind(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            #[cfg(feature = "html")]
            Self::Html => "html",
            Self::Junit => "junit",
            Self::Stats | Self::Steps | Self::StatsHistory | Self::Tags | Self::Failures => "csv",
        }
    }

    /// What a prefix becomes a file's name by: as Locust calls them, which has no measured steps.
    fn suffix(self) -> &'static str {
        match self {
            Self::Stats => "_stats.csv",
            Self::Steps => "_steps.csv",
            Self::StatsHistory => "_stats_history.csv",
            Self::Tags => "_tags.csv",
            Self::Failures => "_failures.csv",
            Self::Summary | Self::Junit => "",
            #[cfg(feature = "html")]
            Self::Html => "",
        }
    }

    /// The file of a table.
    fn path(self, prefix: &Path) -> PathBuf {
        let mut path = prefix.as_os_str().to_owned();
        path.push(self.suffix());
        path.into()
    }

    /// When it is written: those that say how the run ended come last, since that may be that another could not be written.
    fn place(self) -> u8 {
        match self {
            Self::Stats | Self::Steps | Self::StatsHistory | Self::Tags | Self::Failures => 0,
            Self::Junit => 1,
            #[cfg(feature = "html")]
            Self::Html => 1,
            Self::Summary => 2,
        }
    }

    fn write(self, results: &Results<'_>, to: &mut dyn Write) -> io::Result<()> {
        let Results { finished, verdict, ending, timeline } = *results;
        match self {
            Self::Summary => {
                serde_json::to_writer(&mut *to, &Document::of(finished, verdict, ending, timeline))?;
                to.write_all(b"\n")
            }
            #[cfg(feature = "html")]
            Self::Html => report::html(Document::of(finished, verdict, ending, timeline), to),
            Self::Junit => {
                let summary = report::summary(finished, verdict, ending, Page::default());
                report::junit(finished, verdict, ending, &summary, to)
            }
            Self::Stats => report::stats(finished, to),
            Self::Steps => report::steps(finished, to),
            Self::StatsHistory => report::stats_history(timeline, finished, to),
            Self::Tags => report::tags(finished, to),
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
            #[cfg(feature = "html")]
            ("html=page.html", Out::Html("page.html".into())),
            ("junit=j.xml", Out::Junit("j.xml".into())),
            ("csv=out/run", Out::Csv("out/run".into())),
        ] {
            assert_eq!(text.parse(), Ok(out));
        }
        for text in ["", "jsonl", "jsonl=", "xml=a", "summary"] {
            assert!(text.parse::<Out>().unwrap_err().starts_with("expected summary=FILE.json, "), "{text}");
        }
        for text in ["summary=-", "html=-", "junit=-", "csv=-"] {
            assert!(text.parse::<Out>().unwrap_err().starts_with("`-` is stdout, where only jsonl= can go"), "{text}");
        }
        #[cfg(not(feature = "html"))]
        assert!("html=page.html".parse::<Out>().unwrap_err().contains("golo's feature `html`"));
    }

    #[test]
    fn no_file_is_two_things() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let refused = |outs: &[Out]| refuse_twice(outs).is_err();
        assert!(refused(&[Out::Stdout, Out::Stdout]));
        assert!(refused(&[Out::Summary(path("a")), Out::Junit(path("a"))]));
        assert!(refused(&[Out::Csv(path("a")), Out::Lines(path("a_stats.csv"))]));
        assert!(!refused(&[Out::Summary(path("a")), Out::Junit(path("b")), Out::Csv(path("a")), Out::Stdout]));
        assert!(!refused(&[Out::Summary("/dev/null".into()), Out::Junit("/dev/null".into())]));
    }
}
