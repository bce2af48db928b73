//! The example `hello`, built and run as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::Size;

/// Clock ticks per second in `/proc/PID/stat`: the same on every Linux.
const TICKS: f64 = 100.0;
/// Source of the example.
const SOURCE: &str = "examples/hello/src/main.rs";

/// A built load test and its target.
#[derive(Clone)]
pub(crate) struct Hello {
    pub(crate) path: PathBuf,
    pub(crate) url: String,
}

/// Result of a finished run.
pub(crate) struct Ended {
    pub(crate) summary: String,
    /// CPU time in nanoseconds from start to end, all threads and processes.
    cpu: f64,
}

impl Hello {
    pub(crate) fn new(path: PathBuf, url: &str) -> Self {
        Self { path, url: url.to_owned() }
    }

    /// Builds the example again with other features of golo. A smoke run, which only checks that the benchmarks work,
    /// uses the same binary.
    pub(crate) fn with(&self, size: Size, name: &str, features: &str) -> Self {
        let path = if size.counted > 0 { build_with(name, SOURCE, features) } else { self.path.clone() };
        Self { path, ..self.clone() }
    }

    /// Builds the same request as three scenarios, with golo's features in the example.
    pub(crate) fn with_scenarios(&self, size: Size) -> Self {
        let source = "benches/programs/scenarios.rs";
        let path =
            if size.counted > 0 { build_with("hello-scenarios", source, r#""mimalloc""#) } else { self.path.clone() };
        Self { path, ..self.clone() }
    }

    /// Returns the command that runs `run` quietly with these arguments.
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
    /// Runs `command` and measures the CPU time of all its processes.
    pub(crate) fn of(mut command: Command) -> Self {
        let before = children_cpu();
        let output = command.output().expect("it runs");
        let cpu = children_cpu() - before;
        Self { summary: answered(&output), cpu }
    }

    /// Returns the rest of the summary line that starts with `label`.
    pub(crate) fn said(&self, label: &str) -> Option<&str> {
        self.summary.lines().find_map(|line| line.trim_start().strip_prefix(label)?.strip_prefix(' ').map(str::trim))
    }

    /// Returns the number of starts that were `due`, `done` or `dropped`. A trigger of `hello` is one request.
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

/// Returns the summary of a run. Panics unless every request was answered, because the cost means nothing otherwise. A
/// verdict that the generator was late is only printed.
pub(crate) fn answered(output: &Output) -> String {
    let summary = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdict = summary.lines().next().unwrap_or_default();
    assert!(verdict.contains(", none failed"), "{summary}\n{}", String::from_utf8_lossy(&output.stderr));
    if !verdict.starts_with("PASSED") {
        println!("  ({verdict})");
    }
    summary
}

/// Returns the CPU time in nanoseconds of all children that have ended. The resolution is 10 ms. Returns 0 on systems
/// other than Linux.
fn children_cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The process name before this field may contain spaces.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = fields.iter().skip(13).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>();
    ticks * 1e9 / TICKS
}

/// Builds the example unchanged.
pub(crate) fn build() -> PathBuf {
    cargo(workspace(), &["-p", "hello"]);
    built().join("hello")
}

/// Builds a source file of this workspace with these features of golo.
fn build_with(name: &str, source: &str, features: &str) -> PathBuf {
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
        source = root.join(source),
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

/// Returns the folder that this program was built in.
pub(crate) fn built() -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    program.parent().expect("it is in a folder").to_owned()
}
