//! `golo run --web` as a process.

use golo_tests::{Finished, Program, command};
use sample_service::SampleService;
use serde_json::Value;
use tempfile::TempDir;

/// A run with a page.
pub(crate) struct Run {
    pub(crate) program: Program,
    /// URL of the run's page.
    pub(crate) url: String,
    folder: TempDir,
    // Ends when it is dropped.
    _target: SampleService,
}

/// A run that has ended.
pub(crate) struct Ended {
    pub(crate) finished: Finished,
    pub(crate) summary: Value,
    pub(crate) folder: TempDir,
}

impl Run {
    /// Starts the load test `visits` with these flags, and waits for the address of its page.
    pub(crate) async fn start(flags: &str) -> Self {
        let target = sample_service::start().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        command.env("TARGET_URL", target.url()).env_remove("GOLO_NO_KEEP").env("GOLO_WEB_TOKEN", "");
        command.args(["run", env!("CARGO_BIN_EXE_visits"), "--web=127.0.0.1:0"]).args(flags.split_whitespace());
        command.arg("--db").arg(folder.path().join("runs.db"));
        command.arg("-o").arg(format!("summary={}", folder.path().join("summary.json").display()));
        let mut program = Program::spawn(command);
        let said = program.stderr.wait_for("watch the run at ").await;
        let (_, url) = said.split_once("watch the run at ").unwrap();
        Self { program, url: url.to_owned(), folder, _target: target }
    }

    /// Waits for the end of the process.
    pub(crate) async fn finish(self) -> Ended {
        let finished = self.program.finish().await;
        let summary = std::fs::read(self.folder.path().join("summary.json")).unwrap();
        Ended { finished, summary: serde_json::from_slice(&summary).unwrap(), folder: self.folder }
    }
}

impl Ended {
    /// Returns the printed summary.
    pub(crate) fn printed(&self) -> String {
        self.finished.stdout.join("\n")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_with_a_page_ends_as_one_without() {
    let run = Run::start("-u 2 -d 1s").await;
    let ended = run.finish().await;
    assert_eq!(ended.finished.code, Some(0), "{:#?}", ended.finished);
    assert!(ended.printed().starts_with("PASSED"), "{}", ended.printed());
    assert_eq!(ended.finished.said("stored as "), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn address_in_use_is_an_error_before_any_load() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    for (web, reason) in [
        (address.to_string(), format!("golo: cannot listen on `{address}`")),
        ("8089".to_owned(), "golo: `--web` is `8089`: expected HOST:PORT".to_owned()),
        ("0.0.0.0:0".to_owned(), "golo: `0.0.0.0:0` can be reached from other machines".to_owned()),
    ] {
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        command.args(["run", env!("CARGO_BIN_EXE_visits"), "-d", "1s"]).env("GOLO_WEB", web);
        let finished = Program::spawn(command).finish().await;
        assert_eq!((finished.code, finished.stdout.len(), finished.stderr.len()), (Some(104), 0, 1), "{finished:#?}");
        assert!(finished.stderr[0].starts_with(&reason), "{finished:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_run_has_the_figures_that_it_had_while_running() {
    let run = Run::start("-u 3 -d 3s").await;
    let client = golo::reqwest::Client::new();
    let path = run.url.rsplit_once("/runs/").unwrap().1.to_owned();
    let answer = client.get(format!("{}/events", run.url)).send().await.unwrap();
    let live = crate::made::Viewer::of(answer).until(|name, _| name == "end").await;
    let ended = run.finish().await;
    let mut collector = command(env!("CARGO_BIN_EXE_golo-command"));
    collector.args(["collector", "--addr", "127.0.0.1:0", "--db"]).arg(ended.folder.path().join("runs.db"));
    let (collector, address) = Program::listen(collector).await;
    let answer = client.get(format!("http://{address}/runs/{path}/events")).send().await.unwrap();
    let (name, stored) = crate::made::Viewer::of(answer).next().await.unwrap();
    assert_eq!(name, "end");
    for key in ["points", "tiles"] {
        assert_eq!(stored[key], live[key], "{key}");
    }
    for key in ["word", "reason", "tiles", "tables", "thresholds", "samples"] {
        assert_eq!(stored["view"][key], live["view"][key], "{key}");
    }
    assert!(stored["view"]["samples"].as_u64().unwrap() > 0, "some requests fail");
    collector.stop().await;
}
