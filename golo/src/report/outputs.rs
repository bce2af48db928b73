//! The metrics outputs that `--out` can name, and the outputs of a run.
//!
//! To add one, write a file with an [`OutputKind`] and add it to [`KINDS`].

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::files::{ReportFile, followed, is_special};
use super::{MetricsOutput, RunOutcome, Written, document, failures, jsonl, junit, tables};
use crate::{Error, Sink, error::chain, support::setting_error::SettingError};

/// All kinds of outputs, in the order in which they finish. The last ones report the errors of the others.
const KINDS: [&OutputKind; 6] = [&jsonl::KIND, &failures::KIND, &tables::KIND, &junit::KIND, &HTML, &document::KIND];
/// The examples of all kinds, for error messages.
const EXAMPLES: &str = "summary=FILE.json, html=FILE.html, junit=FILE.xml, csv=PREFIX, failures=FILE.jsonl, jsonl=FILE, or jsonl=- for stdout";
/// Kinds that only the `golo` command has, each with its example: metrics of a run for other programs.
const RECEIVERS: [(&str, &str); 4] = [
    ("prometheus", "prometheus=ADDR"),
    ("prometheus-rw", "prometheus-rw=URL"),
    ("otlp", "otlp=URL"),
    ("influxdb", "influxdb=URL"),
];

#[cfg(feature = "html")]
use super::html::KIND as HTML;

/// Placeholder for the web page, which this build cannot write.
#[cfg(not(feature = "html"))]
const HTML: OutputKind = OutputKind {
    check: |_| Err(WITHOUT_HTML.into()),
    ..OutputKind::file("html", "html=FILE.html", |_| Err(Error::address(WITHOUT_HTML, None)))
};

/// Error message if the web page is requested.
#[cfg(not(feature = "html"))]
const WITHOUT_HTML: &str = "this load test was built without golo's feature `html`; turn it on with \
                            `cargo add golo --features html`";

/// A kind of output that `--out` may name.
#[derive(Debug)]
pub struct OutputKind {
    /// Name before the `=`.
    pub name: &'static str,
    /// Example for help texts, such as `summary=FILE.json`.
    pub example: &'static str,
    /// Returns the files that are written for an argument.
    pub files: fn(&str) -> Vec<PathBuf>,
    /// Checks the argument without opening anything.
    pub check: fn(&str) -> Result<(), SettingError>,
    /// Opens the files for an argument.
    pub open: fn(&str) -> Result<Box<dyn MetricsOutput>, Error>,
}

impl OutputKind {
    /// Creates a kind that writes one file after the run.
    pub(super) const fn file(
        name: &'static str,
        example: &'static str,
        open: fn(&str) -> Result<Box<dyn MetricsOutput>, Error>,
    ) -> Self {
        Self { name, example, files: |path| vec![path.into()], check: |_| Ok(()), open }
    }
}

/// A requested output: `KIND=ARGUMENT`.
#[derive(Debug, Clone)]
pub struct OutputArg {
    kind: Kind,
    argument: String,
}

/// Where an output is implemented.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// In every load test.
    Own(&'static OutputKind),
    /// In the `golo` command, by this name.
    Receiver(&'static str),
}

impl Kind {
    fn find(name: &str) -> Option<Self> {
        let own = KINDS.into_iter().find(|kind| kind.name == name).map(Self::Own);
        own.or_else(|| RECEIVERS.iter().find(|(known, _)| *known == name).map(|(known, _)| Self::Receiver(known)))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Own(kind) => kind.name,
            Self::Receiver(name) => name,
        }
    }
}

impl PartialEq for OutputArg {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name() && self.argument == other.argument
    }
}

impl FromStr for OutputArg {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let found = text
            .split_once('=')
            .filter(|(_, argument)| !argument.is_empty())
            .and_then(|(name, argument)| Some((Kind::find(name)?, argument)));
        let Some((kind, argument)) = found else {
            let receivers = RECEIVERS.map(|(_, example)| example).join(", ");
            return Err(format!("expected {EXAMPLES}; with the `golo` command also {receivers}").into());
        };
        if let Kind::Own(own) = kind {
            if argument == "-" && own.name != jsonl::KIND.name {
                let name = own.name;
                return Err(format!(
                    "`-` is stdout, which only jsonl= can use; for a file of that name, use {name}=./-"
                )
                .into());
            }
            (own.check)(argument)?;
        }
        Ok(Self { kind, argument: argument.to_owned() })
    }
}

impl OutputArg {
    /// Returns true if the output writes every request as a line.
    #[must_use]
    pub fn is_lines(&self) -> bool {
        self.name() == jsonl::KIND.name
    }

    /// Returns the text before the `=`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// Returns the name and the argument of an output that only the `golo` command has.
    #[must_use]
    pub fn receiver(&self) -> Option<(&'static str, &str)> {
        match self.kind {
            Kind::Receiver(name) => Some((name, &self.argument)),
            Kind::Own(_) => None,
        }
    }

    /// Returns true if the output shows samples of failed requests.
    #[must_use]
    pub fn shows_failures(&self) -> bool {
        [failures::KIND.name, HTML.name].contains(&self.name())
    }

    /// Returns true if the output writes to stdout.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        self.is_lines() && self.argument == "-"
    }

    /// Returns the destination of raw outputs as text, if the output writes them.
    #[must_use]
    pub fn lines_place(&self) -> Option<String> {
        self.is_lines().then(|| jsonl::stream(&self.argument).to_string())
    }

    fn files(&self) -> Vec<PathBuf> {
        match self.kind {
            Kind::Own(kind) => (kind.files)(&self.argument),
            Kind::Receiver(_) => Vec::new(),
        }
    }
}

/// Opens all outputs of files before the load begins, so that unwritable files are reported early. Returns them in the
/// order in which they finish.
///
/// # Errors
///
/// Returns an error if a file cannot be written, or if two outputs would write the same file.
pub(crate) fn open(arguments: &[OutputArg]) -> Result<Vec<Box<dyn MetricsOutput>>, Error> {
    refuse_twice(arguments)?;
    // In reverse order: opening a file for lines truncates it, so such files come last.
    let mut opened = Vec::new();
    for kind in KINDS.into_iter().rev() {
        for argument in arguments.iter().rev().filter(|argument| argument.name() == kind.name) {
            opened.push((kind.open)(&argument.argument)?);
        }
    }
    opened.reverse();
    Ok(opened)
}

/// Returns the sinks of the outputs that take every request.
pub(crate) fn sinks(outputs: &[Box<dyn MetricsOutput>]) -> impl Iterator<Item = Arc<dyn Sink>> {
    outputs.iter().filter_map(|output| output.sink())
}

/// Finishes all outputs. An output that fails does not keep the others from being written.
pub(crate) fn finish(outputs: &mut [Box<dyn MetricsOutput>], outcome: &mut RunOutcome) {
    for output in outputs {
        let written = output.finish(outcome);
        outcome.files.extend(written);
    }
}

/// Returns an error if two outputs would write the same file.
fn refuse_twice(arguments: &[OutputArg]) -> Result<(), Error> {
    let mut known = HashSet::new();
    let twice = |what: String| Err(Error::address(format!("{what} would be written twice"), None));
    if arguments.iter().filter(|argument| argument.is_stdout()).count() > 1 {
        return twice("stdout".to_owned());
    }
    for path in arguments.iter().flat_map(OutputArg::files) {
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

/// Creates the error for a file that cannot be written.
pub(super) fn cannot_be_written(path: &Path, error: io::Error) -> Error {
    Error::address(format!("`{}` cannot be written", path.display()), Some(error.into()))
}

/// Files that are written after the run.
pub(super) struct FileOutput {
    kind: &'static str,
    files: Vec<(ReportFile, WriteReport)>,
}

/// Function that writes a report of a run.
pub(super) type WriteReport = fn(&RunOutcome, &mut dyn Write) -> io::Result<()>;

impl FileOutput {
    /// Opens files of this kind.
    pub(super) fn open(
        kind: &'static str,
        files: impl IntoIterator<Item = (PathBuf, WriteReport)>,
    ) -> Result<Box<dyn MetricsOutput>, Error> {
        let open = |(path, write): (PathBuf, WriteReport)| {
            let file = ReportFile::open(&path).map_err(|error| cannot_be_written(&path, error))?;
            Ok((file, write))
        };
        let files = files.into_iter().map(open).collect::<Result<_, Error>>()?;
        Ok(Box::new(Self { kind, files }))
    }
}

impl MetricsOutput for FileOutput {
    fn finish(&mut self, outcome: &RunOutcome) -> Vec<Written> {
        let kind = self.kind;
        let write = |(file, write): (ReportFile, WriteReport)| {
            let path = file.path().display().to_string();
            let error = file.write(|to| write(outcome, to)).err();
            Written { kind, path, error: error.map(|error| chain(&error)), remark: None }
        };
        self.files.drain(..).map(write).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(text: &str) -> Result<OutputArg, SettingError> {
        text.parse()
    }

    #[test]
    fn output_argument_accepts_known_kinds() {
        for (text, files) in [
            ("jsonl=-", 0),
            ("jsonl=a=b", 1),
            ("summary=s.json", 1),
            #[cfg(feature = "html")]
            ("html=page.html", 1),
            ("junit=j.xml", 1),
            ("csv=out/run", 8),
            ("failures=f.jsonl", 1),
            ("prometheus=127.0.0.1:0", 0),
            ("influxdb=http://127.0.0.1:8086/db", 0),
        ] {
            let argument = argument(text).unwrap();
            let (kind, value) = text.split_once('=').unwrap();
            assert_eq!((argument.name(), &*argument.argument), (kind, value));
            assert_eq!(argument.files().len(), files, "{text}");
        }
        for text in ["", "jsonl", "jsonl=", "xml=a", "summary"] {
            assert!(argument(text).unwrap_err().to_string().starts_with("expected summary=FILE.json, "), "{text}");
        }
        for text in ["summary=-", "html=-", "junit=-", "csv=-", "failures=-"] {
            assert!(
                argument(text).unwrap_err().to_string().starts_with("`-` is stdout, which only jsonl= can use"),
                "{text}"
            );
        }
        #[cfg(not(feature = "html"))]
        assert!(argument("html=page.html").unwrap_err().to_string().contains("golo's feature `html`"));
        for kind in KINDS {
            assert!(EXAMPLES.contains(kind.example), "{}", kind.name);
        }
        assert_eq!(argument("otlp=http://a").unwrap().receiver(), Some(("otlp", "http://a")));
        assert_eq!(argument("csv=a").unwrap().receiver(), None);
    }

    #[test]
    fn outputs_are_refused_if_they_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let to = |kind: &str, name: &str| argument(&format!("{kind}={}", folder.path().join(name).display())).unwrap();
        let stdout = || argument("jsonl=-").unwrap();
        let refused = |arguments: &[OutputArg]| refuse_twice(arguments).is_err();
        assert!(refused(&[stdout(), stdout()]));
        assert!(refused(&[to("summary", "a"), to("junit", "a")]));
        assert!(refused(&[to("csv", "a"), to("jsonl", "a_stats.csv")]));
        assert!(!refused(&[to("summary", "a"), to("junit", "b"), to("csv", "a"), stdout()]));
        let null = |kind: &str| argument(&format!("{kind}=/dev/null")).unwrap();
        assert!(!refused(&[null("summary"), null("junit")]));
    }
}
