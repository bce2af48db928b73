//! Helpers: a run with every kind of report, and its reports.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use golo_tests::{Finished, Program, command, output};
use sample_service::SampleService;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::junit::Junit;

/// The load test that these tests run by default.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_reports");

/// A row of a CSV table, by column name.
pub(crate) type Row = BTreeMap<String, String>;

/// A prepared run.
pub(crate) struct Call {
    pub(crate) command: Command,
    folder: TempDir,
}

/// A run that has ended.
pub(crate) struct Ran {
    pub(crate) finished: Finished,
    folder: TempDir,
}

pub(crate) fn sample() -> SampleService {
    sample_service::start().unwrap()
}

impl Call {
    /// Prepares a run without report files.
    pub(crate) fn plain(target: &SampleService, job: &str, flags: &str) -> Self {
        Self::of(command(PROGRAM), target, job, flags)
    }

    /// Prepares a run of another load test, with all reports.
    pub(crate) fn of_program(program: &str, target: &SampleService, job: &str, flags: &str) -> Self {
        Self::of(command(program), target, job, flags).with_reports()
    }

    fn of(mut command: Command, target: &SampleService, job: &str, flags: &str) -> Self {
        command.env("TARGET_URL", target.url()).args(["run", "--name", job]).args(flags.split_whitespace());
        Self { command, folder: tempfile::tempdir().unwrap() }
    }

    /// Prepares a run with all reports.
    pub(crate) fn new(target: &SampleService, job: &str, flags: &str) -> Self {
        Self::plain(target, job, flags).with_reports()
    }

    /// Prepares a run with all reports through a shell. Its script refers to the run as `"$@"`.
    pub(crate) fn by(script: &str, target: &SampleService, job: &str, flags: &str) -> Self {
        let mut shell = command("sh");
        shell.args(["-c", script, "sh", PROGRAM]);
        Self::of(shell, target, job, flags).with_reports()
    }

    fn with_reports(self) -> Self {
        let mut call = self;
        for out in ["summary=summary.json", "junit=junit.xml", "csv=run", "jsonl=outputs.jsonl"] {
            let (kind, name) = out.split_once('=').unwrap();
            let path = call.folder.path().join(name);
            call.command.arg("-o").arg(format!("{kind}={}", path.display()));
        }
        call
    }

    /// Adds these thresholds.
    pub(crate) fn with(mut self, thresholds: &[&str]) -> Self {
        thresholds.iter().for_each(|threshold| _ = self.command.args(["-t", threshold]));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn spawn(self) -> Running {
        Running { program: Program::spawn(self.command), folder: self.folder }
    }

    pub(crate) async fn finish(self) -> Ran {
        self.spawn().finish().await
    }
}

/// A run in progress.
pub(crate) struct Running {
    pub(crate) program: Program,
    folder: TempDir,
}

impl Running {
    pub(crate) async fn finish(self) -> Ran {
        Ran { finished: self.program.finish().await, folder: self.folder }
    }
}

impl Ran {
    /// Asserts the exit code, and that the summary starts with `verdict`.
    #[track_caller]
    pub(crate) fn assert_ended_with(&self, code: i32, verdict: &str) {
        let Finished { code: ended, stdout, stderr } = &self.finished;
        assert_eq!(*ended, Some(code), "{}\n{}", stdout.join("\n"), stderr.join("\n"));
        assert!(self.headline().starts_with(verdict), "no {verdict:?}: {}", stdout.join("\n"));
    }

    /// Returns the first paragraph of the summary as one line.
    pub(crate) fn headline(&self) -> String {
        let lines = self.finished.stdout.iter().take_while(|line| !line.is_empty());
        lines.map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn summary(&self) -> Value {
        let text = read(&self.path("summary.json"));
        assert!(text.ends_with("}\n"), "it is whole");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn junit(&self) -> Junit {
        Junit::read(&read(&self.path("junit.xml")))
    }

    /// Returns one of the CSV tables: `stats`, `steps`, `stats_history`, `failures`.
    pub(crate) fn table(&self, name: &str) -> Vec<Row> {
        let mut table = csv::Reader::from_path(self.path(&format!("run_{name}.csv"))).unwrap();
        table.deserialize().map(|row| row.unwrap()).collect()
    }

    /// Returns the raw outputs.
    pub(crate) fn outputs(&self) -> Vec<Value> {
        let text = read(&self.path("outputs.jsonl"));
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
        text.lines().map(output).collect()
    }

    /// Asserts that every report exists, is complete, and agrees on the end of the run.
    #[track_caller]
    pub(crate) fn assert_reported(&self, code: i32, verdict: &str) {
        self.assert_ended_with(code, verdict);
        let (summary, junit) = (self.summary(), self.junit());
        assert_eq!(summary["verdict"]["exit_code"], code);
        assert_eq!(summary["verdict"]["word"], verdict);
        let said = summary["verdict"]["text"].as_str().unwrap();
        let headline = self.headline().replace(" also: ", "; also: ");
        assert!(headline.starts_with(said) || headline == said, "{headline}\n{said}");
        assert_eq!(junit.failures + junit.errors > 0, code != 0, "{junit:#?}");
        assert!(junit.output.starts_with(verdict), "{}", junit.output);
        for table in ["stats", "steps", "stats_history", "failures"] {
            self.table(table);
        }
        let left = self.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with('.')).collect();
        assert!(left.is_empty(), "{left:?} is left behind");
    }
}

#[track_caller]
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
