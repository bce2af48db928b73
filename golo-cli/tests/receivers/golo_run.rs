//! `golo run` as a process with metrics outputs, and its summary.

use std::path::PathBuf;
use std::process::Stdio;

use sample_service::SampleService;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::load_test;
use crate::waiting::within;

/// A running `golo run`. Dropping it kills the process.
pub(crate) struct GoloRun {
    process: Child,
    folder: TempDir,
}

/// A run that has ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) summary: Value,
    /// The lines of both streams.
    pub(crate) text: String,
    folder: TempDir,
}

impl GoloRun {
    /// Starts a run with these flags and variables. Its results are kept in a store of its own.
    pub(crate) fn start(target: &SampleService, flags: &str, outputs: &[String], variables: &[(&str, &str)]) -> Self {
        Self::start_with(target, &flags.split_whitespace().collect::<Vec<_>>(), outputs, variables)
    }

    /// Like [`Self::start`], with flags that may have spaces.
    pub(crate) fn start_with(
        target: &SampleService,
        flags: &[&str],
        outputs: &[String],
        variables: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_golo"));
        command.arg("run").arg(load_test::script(folder.path())).args(flags);
        command.env("TARGET_URL", target.url()).envs(variables.iter().copied());
        command.env("GOLO_DB", folder.path().join("runs.db")).env_remove("GOLO_NO_KEEP");
        command.arg("--out").arg(format!("summary={}", folder.path().join("summary.json").display()));
        outputs.iter().for_each(|output| _ = command.arg("--out").arg(output));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { process: command.spawn().unwrap(), folder }
    }

    /// Waits for its end.
    pub(crate) async fn end(self) -> Ended {
        let output = within("the end of the run", self.process.wait_with_output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let text = format!("{}\n{}", text(output.stdout), text(output.stderr));
        let summary = std::fs::read(self.folder.path().join("summary.json")).unwrap_or_default();
        let summary = serde_json::from_slice(&summary).unwrap_or_default();
        Ended { code: output.status.code(), summary, text, folder: self.folder }
    }
}

impl Ended {
    /// Returns a number of the summary.
    #[track_caller]
    pub(crate) fn number(&self, pointer: &str) -> f64 {
        let number = self.summary.pointer(pointer).and_then(Value::as_f64);
        number.unwrap_or_else(|| panic!("no {pointer}: {:#}\n{}", self.summary, self.text))
    }

    /// Returns the path of the store with its results.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("runs.db")
    }
}
