//! The example `hello`, built and run as its user does.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use crate::Size;

/// Ticks of `/proc/PID/stat` in a second: the same on all of Linux.
const TICKS: f64 = 100.0;

/// A load test that can be run.
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) path: PathBuf,
    pub(crate) url: String,
}

/// What a run came to.
pub(crate) struct Ended {
    pub(crate) summary: String,
    /// Nanoseconds of CPU time, all threads, from start to end.
    cpu: f64,
}

impl Hello {
    pub(crate) fn new(path: PathBuf, url: &str) -> Self {
        Self { path, url: url.to_owned() }
    }

    /// The same with other features of golo, or the very same where that only has to work.
    pub(crate) fn with(&self, size: Size, name: &str, features: &str) -> Self {
        let path = if size.counted > 0 { build_with(name, features) } else { self.path.clone() };
        Self { path, ..self.clone() }
    }

    /// `run` with these arguments, quiet.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("run").args(arguments.split_whitespace()).args(["-q", "--no-progress"]);
        command.env("TARGET_URL", &self.url).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Ended {
        Ended::of(self.command(arguments))
    }
}

impl Ended {
    /// What a run comes to, all its processes together.
    pub(crate) fn of(mut command: Command) -> Self {
        let before = children_cpu();
        let output = command.output().expect("it runs");
        let cpu = children_cpu() - before;
        Self { summary: answered(&output), cpu }
    }

    /// The words of the summary's line that is about `label`.
    pub(crate) fn said(&self, label: &str) -> Option<&str> {
        self.summary.lines().find_map(|line| line.trim_start().strip_prefix(label)?.strip_prefix(' ').map(str::trim))
    }

    /// Starts, by what became of them: `due`, `done`, `dropped`. A trigger of `hello` is one request.
    pub(crate) fn starts(&self, what: &str) -> u64 {
        let said = self.said("starts").unwrap_or_default();
        let mut words = said.split_whitespace();
        let number = std::iter::from_fn(|| words.next().zip(words.clone().next())).find(|(_, word)| *word == what);
        let number = number.map(|(number, _)| number.replace(',', ""));
        number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("not {what} in {said:?}"))
    }

    pub(crate) fn cpu_per_request(&self) -> f64 {
        self.cpu / self.starts("done") as f64
    }
}

/// The summary of a run. What it cost means nothing unless every request was answered; a verdict that the generator was
/// late is only passed on.
pub(crate) fn answered(output: &Output) -> String {
    let summary = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdict = summary.lines().next().unwrap_or_default();
    assert!(verdict.contains(", none failed"), "{summary}\n{}", String::from_utf8_lossy(&output.stderr));
    if !verdict.starts_with("PASSED") {
        println!("  ({verdict})");
    }
    summary
}

/// CPU time of all children that have ended, in nanoseconds; to within 10 ms, and only on Linux.
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before it may have spaces.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = fields.iter().skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>();
    ticks * 1e9 / TICKS
}

/// Builds the example as it is.
pub(crate) fn build() -> PathBuf {
    cargo(workspace(), &["-p", "hello"]);
    built().join("hello")
}

/// Builds the example's source with these features of golo.
fn build_with(name: &str, features: &str) -> PathBuf {
    let folder = tempfile::tempdir().expect("there is room");
    let root = workspace();
    let manifest = format!(
        r#"[package]
name = "hello-variant"
version = "0.1.0"
edition = "2024"

[[bin]]
name = "hello-variant"
path = {source:?}

[dependencies]
golo = {{ path = {golo:?}, default-features = false, features = [{features}] }}
sample-service = {{ path = {service:?} }}

[profile.release]
lto = "fat"
codegen-units = 1

[workspace]
"#,
        source = root.join("examples/hello/src/main.rs"),
        golo = root.join("golo"),
        service = root.join("examples/sample-service"),
    );
    std::fs::write(folder.path().join("Cargo.toml"), manifest).expect("there is room");
    std::fs::copy(root.join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("there is room");
    cargo(folder.path(), &[]);
    let path = built().join(name);
    std::fs::copy(built().join("hello-variant"), &path).expect("there is room");
    path
}

pub(crate) fn cargo(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("cargo");
    command.args(["build", "--quiet"]).args(arguments).current_dir(folder);
    command.arg("--target-dir").arg(built().parent().expect("it is a profile's folder"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    assert!(command.status().expect("cargo runs").success());
}

pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in the workspace")
}

/// Where this program was built to.
pub(crate) fn built() -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    program.parent().expect("it is in a folder").to_owned()
}
