//! Stored runs of `golo run`: listed, shown as they were printed, and compared.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "golo_runs/outages.rs"]
mod outages;

use std::fs;
use std::path::{Path, PathBuf};

use golo_tests::{Finished, Program, Signal, command, within};
use sample_service::SampleService;
use serde_json::Value;
use tempfile::TempDir;

const JOBS: &str = env!("CARGO_BIN_EXE_jobs");
const REPORTS: &str = env!("CARGO_BIN_EXE_reports");

/// A temporary folder with a database of runs, and a target.
struct Kept {
    folder: TempDir,
    target: SampleService,
}

impl Kept {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), target: sample_service::start().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts `golo`. Its load tests request this path of the target.
    fn spawn(&self, arguments: &[&str], path: &str) -> Program {
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        command.env("TARGET_URL", format!("{}{path}", self.target.url())).env_remove("GOLO_NO_KEEP");
        command.env("GOLO_DB", self.file("runs.db")).current_dir(self.folder.path()).args(arguments);
        Program::spawn(command)
    }

    async fn golo(&self, arguments: &[&str]) -> Finished {
        self.spawn(arguments, "").finish().await
    }

    async fn run(&self, flags: &[&str]) -> Finished {
        self.golo(&[&["run", JOBS], flags].concat()).await
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        let finished = self.golo(&[arguments, &["--json"]].concat()).await;
        assert_eq!(finished.stderr, [""; 0]);
        serde_json::from_str(&finished.stdout.join("\n")).unwrap()
    }
}

/// Returns the ID under which a run is stored.
#[track_caller]
fn kept_as(ran: &Finished) -> String {
    let kept = ran.stderr.iter().find_map(|line| line.strip_prefix("stored as ")).unwrap_or_else(|| panic!("{ran:#?}"));
    let (id, how) = kept.split_once(": ").unwrap();
    assert_eq!((id.len(), how), (8, &*format!("golo show {id}")));
    id.to_owned()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[tokio::test]
async fn shown_run_is_identical_to_the_printed_one() {
    let kept = Kept::new();
    let mut ids = Vec::new();
    for (flags, code) in [
        (&["-u", "3", "-i", "50", "--drive", "trigger"][..], 0),
        (&["-u", "5", "-d", "1"], 0),
        (&["-r", "100/s", "-d", "2", "--name", "get", "-t", "http_req_duration p(95)<10s"], 0),
        (&["-u", "3", "-i", "30", "-t", "iterations count>=100", "-t", "http_req_failed rate<1%"], 99),
        (&["-u", "3", "--pace", "100ms", "-d", "5", "-t", "iterations count<10", "--abort-on-fail"], 99),
        (&["-u", "2", "-i", "6", "--name", "fail", "--seed", "7", "--workers", "1"], 99),
        (&["-u", "2", "-d", "1", "--name", "hang", "--graceful-stop", "500ms"], 99),
        (&["-u", "1", "-d", "1", "--name", "take half a second", "--warm-up", "1s"], 0),
        (&["-u", "2", "-i", "40", "--name", "tag", "--drive", "trigger", "-t", "tag{number} count==40"], 0),
        (&["-s", "1s:5,1s:0", "--name", "spawn"], 0),
        (&["-u", "3", "--pace", "100ms", "-d", "3", "-t", "http_req_duration p(95)<10s over 2s"], 0),
        (&["-u", "2", "-d", "600", "-t", "iteration_duration max<1ns over 2s", "--abort-on-fail"], 99),
    ] {
        let ran = kept.run(flags).await;
        let is_late = ran.code == Some(96) && ran.stdout.join(" ").contains("starts were late");
        assert!(is_late || ran.code == Some(code), "{flags:?}: {ran:#?}");
        let id = kept_as(&ran);
        let shown = kept.golo(&["show", &id]).await;
        assert_eq!((shown.code, &shown.stdout, &*shown.stderr), (Some(0), &ran.stdout, &[][..]), "{flags:?}");
        assert_eq!(kept.golo(&["show"]).await.stdout, ran.stdout, "it is the latest");
        ids.insert(0, id);
    }
    let listed = kept.golo(&["runs"]).await;
    assert_eq!((listed.code, &*listed.stderr), (Some(0), &[][..]));
    assert!(listed.stdout.iter().all(|line| line.chars().count() <= 80), "{:#?}", listed.stdout);
    let lines = listed.stdout.iter().skip(1).filter(|line| !line.starts_with(' '));
    assert_eq!(lines.map(|line| &line[..8]).collect::<Vec<_>>(), ids, "the newest first");
    assert!(listed.stdout[6].contains("spawn: stages 0 → 5 users in 1s → 0 users in 1s"), "{:#?}", listed.stdout);
    let listed = kept.json(&["runs", "--limit", "5"]).await;
    assert_eq!(listed.as_array().unwrap().len(), 5);
    assert_eq!((&listed[3]["name"], &listed[2]["verdict"]), (&"tag".into(), &"PASSED".into()));
    assert_eq!(kept.golo(&["show", "get"]).await.stdout, kept.golo(&["show", &ids[9]]).await.stdout, "by its name");
    let unknown = kept.golo(&["show", "nobody"]).await;
    assert_eq!((unknown.code, unknown.said("golo: no run is called \"nobody\"")), (Some(104), 1), "{unknown:#?}");
}

#[tokio::test]
async fn thresholds_over_hidden_series_are_stored_as_judged() {
    let kept = Kept::new();
    let of_checkout = "http_req_failed{route:/checkout} rate<1%";
    let by_method = "http_req_duration{method:GET} max<1h";
    let of_unnamed = "http_req_failed{route:/status/{id}} rate<1%";
    for (job, drive, of_route) in [
        ("checkout", "plan", of_checkout),
        ("checkout", "trigger", of_checkout),
        ("unnamed", "plan", of_unnamed),
        ("unnamed", "trigger", of_unnamed),
    ] {
        let flags = ["-u", "4", "-i", "1500", "--drive", drive, "--name", job, "--workers", "2"];
        let thresholds = ["-t", of_route, "-t", by_method];
        let ran = kept.golo(&[&["run", REPORTS], &flags[..], &thresholds].concat()).await;
        let said = ran.stdout.join("\n");
        assert_eq!(ran.code, Some(99), "{drive}: {ran:#?}");
        assert!(said.contains(of_route) && said.contains("33.2%"), "{drive}: {said}");
        let hidden = "past the limit of series are in `other`";
        assert_eq!(said.split_whitespace().collect::<Vec<_>>().join(" ").matches(hidden).count(), 2, "{drive}: {said}");
        let shown = kept.golo(&["show", &kept_as(&ran)]).await;
        assert_eq!((shown.code, &shown.stdout), (Some(0), &ran.stdout), "{drive}");
    }
}

#[tokio::test]
async fn queries_are_not_stored() {
    let kept = Kept::new();
    for drive in ["plan", "trigger"] {
        let ran = kept.golo(&["run", REPORTS, "-u", "2", "-i", "50", "--drive", drive, "--name", "secrets"]).await;
        assert!(!ran.stdout.join("\n").contains("s3cret"), "{drive}: {ran:#?}");
        let shown = kept.golo(&["show", &kept_as(&ran)]).await;
        assert_eq!((shown.code, &shown.stdout), (Some(0), &ran.stdout), "{drive}");
    }
    for file in fs::read_dir(kept.folder.path()).unwrap() {
        let file = file.unwrap().path();
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|bytes| bytes == b"s3cret"), "{}", file.display());
    }
}

#[tokio::test]
async fn samples_of_failed_requests_are_stored_without_secrets() {
    let kept = Kept::new();
    let samples = |name: &str| {
        let text = fs::read_to_string(kept.file(name)).unwrap();
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    for drive in ["plan", "trigger"] {
        let flags = ["-u", "4", "-i", "100", "--name", "failures", "--drive", drive, "--mask", "x-account"];
        let masks = ["--mask", "account", "-o", "failures=run.jsonl"];
        let ran = kept.golo(&[&["run", REPORTS], &flags[..], &masks].concat()).await;
        assert!(ran.code.is_some_and(|code| [0, 99].contains(&code)), "{drive}: {ran:#?}");
        let shown = kept.golo(&["show", &kept_as(&ran), "-o", "failures=shown.jsonl", "--html", "page.html"]).await;
        assert_eq!(shown.code, Some(0), "{shown:#?}");
        let (run, shown) = (samples("run.jsonl"), samples("shown.jsonl"));
        assert_eq!(run, shown, "{drive}");
        // Only golo's transport in the same process knows heads and bodies.
        let has_heads = shown.iter().any(|sample| sample["request"]["headers"].is_array());
        assert_eq!((has_heads, shown.is_empty()), (drive == "plan", false), "{drive}: {shown:#?}");
        assert!(fs::read_to_string(kept.file("page.html")).unwrap().contains("<section id=\"failures\">"));
    }
    for file in fs::read_dir(kept.folder.path()).unwrap() {
        let file = file.unwrap().path();
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|bytes| bytes == b"s3cret"), "{}", file.display());
    }
}

#[tokio::test]
async fn request_that_fails_its_trigger_is_one_error_row() {
    let kept = Kept::new();
    for (drive, file) in [("plan", "plan.json"), ("trigger", "trigger.json")] {
        let out = format!("summary={file}");
        let flags = ["-u", "2", "-i", "60", "--drive", drive, "--name", "refused", "-o", &out];
        kept.golo(&[&["run", REPORTS], &flags[..]].concat()).await;
        let errors = read(&kept.file(file))["errors"].clone();
        assert_eq!((errors.as_array().unwrap().len(), &errors[0]["count"]), (1, &60.into()), "{errors:#}");
        assert_eq!(errors[0]["kind"], "connect");
    }
}

#[tokio::test]
async fn redirects_warm_up_and_content_errors_are_stored() {
    let kept = Kept::new();
    let ways = ["plan", "trigger"];
    for (way, path, name, said) in [
        (ways[0], "redirect?times=2", "get", "redirects followed"),
        (ways[1], "redirect?times=2", "get", "redirects followed"),
        (ways[0], "", "refuse the content", "content: it is no apology"),
        (ways[1], "", "refuse the content", "content: it is no apology"),
    ] {
        let flags = ["run", JOBS, "-u", "2", "-i", "20", "--warm-up", "300ms", "--name", name, "--drive", way];
        let ran = kept.spawn(&flags, path).finish().await;
        let text = ran.stdout.join("\n");
        assert!(text.contains(said) && text.contains("before the start, not counted"), "{way}: {text}");
        let shown = kept.golo(&["show", &kept_as(&ran)]).await;
        assert_eq!((shown.code, shown.stdout), (Some(0), ran.stdout), "{way}");
    }
}

#[tokio::test]
async fn reports_of_a_stored_run_are_written_unchanged() {
    let kept = Kept::new();
    let outs = ["summary=s.json", "junit=j.xml", "csv=c"];
    let outs: Vec<_> = outs.iter().flat_map(|out| ["-o", out]).collect();
    let ran = kept.run(&[&["-u", "3", "-d", "2", "-t", "http_reqs count>1"], &outs[..]].concat()).await;
    let id = kept_as(&ran);
    let files = ["s.json", "j.xml", "c_stats.csv", "c_stats_history.csv", "c_failures.csv"];
    let before = files.map(|name| fs::read_to_string(kept.file(name)).unwrap());
    let shown = kept.golo(&[&["show", &id, "--html", "page.html"], &outs[..]].concat()).await;
    assert_eq!(shown.code, Some(0), "{shown:#?}");
    let after = files.map(|name| fs::read_to_string(kept.file(name)).unwrap());
    // The summary inside the JUnit file names the report files, and now there is one more.
    for (name, (before, after)) in files.iter().zip(before.iter().zip(&after)) {
        assert!(before == after || *name == "j.xml", "{name}: {before}\n{after}");
    }
    assert!(fs::read_to_string(kept.file("page.html")).unwrap().starts_with("<!"));
    assert_eq!(kept.json(&["show", &id]).await, read(&kept.file("s.json")));
    let refused = kept.golo(&["show", &id, "-o", "jsonl=a"]).await;
    assert_eq!((refused.code, refused.said("measurements are stored per second")), (Some(104), 1), "{refused:#?}");
    let refused = kept.golo(&["show", &id, "-o", "summary=no/such/folder"]).await;
    assert_eq!((refused.code, refused.said("`no/such/folder` cannot be written")), (Some(104), 1), "{refused:#?}");
}

#[tokio::test]
async fn unusable_database_does_not_stop_a_run() {
    let kept = Kept::new();
    let flags = ["-u", "2", "-i", "20"];
    let ran = kept.run(&[&flags[..], &["--no-keep"]].concat()).await;
    assert_eq!((ran.code, kept.file("runs.db").exists()), (Some(0), false), "{ran:#?}");
    let nothing = kept.golo(&["runs"]).await;
    assert_eq!((nothing.code, nothing.said("golo: nothing is stored yet")), (Some(104), 1), "{nothing:#?}");
    fs::write(kept.file("text"), "no database".repeat(100)).unwrap();
    for db in ["text", "no/such/folder/runs.db", "."] {
        let ran = kept.run(&[&flags[..], &["--db", db]].concat()).await;
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        let warned = (ran.said("golo: warning: the results are not stored, or only in part: "), ran.said("stored as"));
        assert_eq!(warned, (1, 0), "{ran:#?}");
    }
    assert_eq!(fs::read_to_string(kept.file("text")).unwrap(), "no database".repeat(100));
    let ran = kept.run(&[&flags[..], &["-q"]].concat()).await;
    assert_eq!((ran.code, ran.said("stored as"), ran.said("warning")), (Some(0), 0, 0), "it is kept, and not said");
    assert_eq!(kept.json(&["runs"]).await.as_array().unwrap().len(), 1);
}

/// Waits until a second of the run with this name has been stored.
async fn seconds_of(kept: &Kept, name: &str) {
    let is_known = async || {
        let shown = kept.golo(&["show", name, "--json"]).await;
        let document = serde_json::from_str::<Value>(&shown.stdout.join("\n")).unwrap_or_default();
        document["load"]["done"].as_u64().is_some_and(|done| done > 0)
    };
    within("a second is kept", async { while !is_known().await {} }).await;
}

#[tokio::test]
async fn stopped_run_is_stored_as_stopped_and_killed_run_as_not_ended() {
    let kept = Kept::new();
    let run = |name| kept.spawn(&["run", JOBS, "-u", "2", "--pace", "20ms", "-d", "60", "--name", name], "");
    let program = run("get");
    seconds_of(&kept, "get").await;
    let running = kept.golo(&["show"]).await;
    assert!(running.stdout[0].starts_with("NOT ENDED: it began at "), "{running:#?}");
    let stopped = program.stop().await;
    assert_eq!(stopped.code, Some(105), "{stopped:#?}");
    assert_eq!(kept.golo(&["show"]).await.stdout, stopped.stdout);

    let mut killed = run("fail");
    seconds_of(&kept, "fail").await;
    killed.insist(Signal::KILL).await;
    killed.finish().await;
    let shown = kept.golo(&["show", "latest"]).await;
    assert!(shown.stdout[0].starts_with("NOT ENDED: it began at "), "{shown:#?}");
    let listed = kept.json(&["runs"]).await;
    let verdicts = [&listed[0]["verdict"], &listed[1]["verdict"]];
    assert_eq!(verdicts, [&Value::from("NOT ENDED"), &Value::from("STOPPED")]);

    let refused = kept.golo(&["compare", "get", "latest"]).await;
    assert_eq!((refused.code, refused.stdout.len()), (Some(96), 0), "{refused:#?}");
    assert_eq!(refused.said("is NOT ENDED: it began at "), 1, "a run that was stopped is compared: {refused:#?}");
    assert_eq!(refused.said("so nothing is compared; run it again, or use `--force`"), 1, "{refused:#?}");
    assert!(refused.stderr.iter().all(|line| line.starts_with("golo: ")), "{refused:#?}");
    let forced = kept.golo(&["compare", "get", "latest", "--force"]).await;
    assert_eq!((forced.code, &*forced.stderr), (Some(98), &[][..]), "they are short: {forced:#?}");
    assert!(forced.stdout.iter().any(|line| line.contains("warning: B is NOT ENDED")), "{forced:#?}");
}

#[tokio::test]
async fn run_whose_report_is_not_read_is_stored() {
    let kept = Kept::new();
    let pipe = kept.file("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Opening the pipe for reading and writing does not block. Nothing is read, and the pipe is smaller than a summary.
    let reader = fs::File::options().read(true).write(true).open(&pipe).unwrap();
    rustix::pipe::fcntl_setpipe_size(&reader, 4096).unwrap();
    let out = format!("summary={}", pipe.display());
    let running = kept.spawn(&["run", JOBS, "-u", "2", "-i", "500", "-o", &out], "");
    let is_full = async || rustix::io::ioctl_fionread(&reader).unwrap() == 4096;
    within("the pipe is full", async {
        while !is_full().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.signal(Signal::INT);
    let ran = running.finish().await;
    assert_eq!((ran.code, ran.said("gave up writing reports because they are not read")), (Some(105), 1), "{ran:#?}");
    let shown = kept.golo(&["show", &kept_as(&ran)]).await;
    assert!(shown.stdout[0].starts_with("PASSED: "), "{shown:#?}");
}

#[tokio::test]
async fn invalid_runs_are_not_compared() {
    let kept = Kept::new();
    // This blocks the only worker, which is given up after the grace.
    let flags = ["run", REPORTS, "--name", "block", "-u", "1", "--workers", "1", "-d", "1", "--graceful-stop", "100ms"];
    let ran = kept.golo(&flags).await;
    assert_eq!(ran.code, Some(96), "{ran:#?}");
    let id = kept_as(&ran);
    for json in [&[][..], &["--json"]] {
        let refused = kept.golo(&[&["compare", &id, "latest"], json].concat()).await;
        assert_eq!((refused.code, refused.stdout.len()), (Some(96), 0), "{refused:#?}");
        assert_eq!(
            refused.said(&format!("golo: the run {id} (block) is INVALID: a worker was lost")),
            1,
            "{refused:#?}"
        );
    }
    let forced = kept.golo(&["compare", &id, &id, "--force"]).await;
    assert_eq!((forced.code, forced.stdout[0].starts_with("TOO SHORT TO TELL")), (Some(98), true), "{forced:#?}");
}

#[tokio::test]
async fn run_that_did_not_start_is_kept_and_is_not_the_latest() {
    let kept = Kept::new();
    let not_started = async || {
        let ran = kept.golo(&["run", "/bin/true", "--name", "get", "-i", "1"]).await;
        assert_eq!(ran.code, Some(107), "{ran:#?}");
        kept_as(&ran)
    };
    let first = not_started().await;
    let none = kept.golo(&["show"]).await;
    let said = format!("golo: no stored run has started: the newest is {first}, which did not");
    assert_eq!((none.code, none.said(&said)), (Some(104), 1), "{none:#?}");
    let started = kept_as(&kept.run(&["-u", "1", "-i", "2", "--name", "get"]).await);
    let last = not_started().await;
    let latest = kept.json(&["show", "latest"]).await;
    assert_eq!((&latest["verdict"]["exit_code"], &latest["load"]["done"]), (&0.into(), &2.into()), "{latest}");
    assert_eq!(kept.json(&["show", "get"]).await, latest, "by its name too");
    assert_eq!(kept.json(&["show", &started]).await, latest);
    // The run that did not start can be found in the list.
    let listed = kept.json(&["runs"]).await;
    let verdicts: Vec<_> = listed.as_array().unwrap().iter().map(|run| &run["verdict"]).collect();
    assert_eq!(verdicts, ["NOT STARTED", "PASSED", "NOT STARTED"]);
    let shown = kept.golo(&["show", &last]).await;
    assert!(shown.stdout[0].starts_with("NOT STARTED: the load test ended before it was ready"), "{shown:#?}");
    let refused = kept.golo(&["compare", &started, &last]).await;
    assert_eq!((refused.code, refused.said("is NOT STARTED: ")), (Some(96), 1), "{refused:#?}");
}

#[tokio::test]
async fn slower_run_is_a_regression_and_equal_run_is_none() {
    let kept = Kept::new();
    let run = |path| {
        let flags = ["run", JOBS, "-r", "40/s", "-d", "11", "--name", "get", "--no-progress"];
        kept.spawn(&flags, path)
    };
    let (fast, slow) = (run("slow?ms=10"), run("slow?ms=500"));
    let (fast, slow) = (kept_as(&fast.finish().await), kept_as(&slow.finish().await));

    // Lateness of starts and variation between seconds depend on this machine.
    let compare = |a: &str, b: &str, tolerance: &str| {
        let (a, b, tolerance) = (a.to_owned(), b.to_owned(), tolerance.to_owned());
        let kept = &kept;
        async move { kept.golo(&["compare", &a, &b, "--force", "--tolerance", &tolerance]).await }
    };
    let same = compare(&fast, &fast, "1000%").await;
    assert_eq!((same.code, &*same.stdout[0]), (Some(0), "NO REGRESSION within 1000%"), "{same:#?}");
    let noisy = compare(&fast, &fast, "0%").await;
    assert_eq!(noisy.code, Some(98), "{noisy:#?}");
    assert!(noisy.stdout[0].starts_with("TOO NOISY TO TELL within 0%: http_req"), "{noisy:#?}");
    assert!(noisy.stdout.iter().any(|line| line.starts_with("  advice: ")), "{noisy:#?}");
    let worse = compare(&fast, &slow, "10%").await;
    assert_eq!(worse.code, Some(99), "{worse:#?}");
    assert!(worse.stdout[0].starts_with("REGRESSION beyond 10%: http_req_duration p50 +"), "{worse:#?}");
    assert!(worse.stdout.iter().any(|line| line.trim() == "GET /slow"), "{worse:#?}");
    assert!(worse.stdout.iter().all(|line| line.chars().count() <= 80), "{worse:#?}");
    let better = compare(&slow, &fast, "100%").await;
    assert_eq!(better.code, Some(0), "{better:#?}");
    let tolerated = compare(&fast, &slow, "10000%").await;
    assert_eq!(tolerated.code, Some(0), "{tolerated:#?}");

    let json = kept.json(&["compare", &fast, &slow, "--force"]).await;
    assert_eq!((&json["outcome"], &json["a"]["run"].as_str().unwrap()[..8]), (&"regression".into(), &*fast));
    assert_eq!(kept.json(&["compare", &fast, &slow, "--force"]).await, json, "it is the same each time");

    let short = kept_as(&kept.run(&["-u", "1", "-d", "1"]).await);
    let little = compare(&fast, &short, "10%").await;
    assert_eq!((little.code, little.stdout[0].starts_with("TOO SHORT TO TELL: ")), (Some(98), true), "{little:#?}");
    assert!(little.stdout.iter().any(|line| line.contains("warning: the load was not the same: A is ")), "{little:#?}");
    let wrong = kept.golo(&["compare", &fast, "nobody"]).await;
    assert_eq!(wrong.code, Some(104), "{wrong:#?}");
}

/// Starts a collector, with a token, on the database of runs.
async fn collector(kept: &Kept, flags: &[&str]) -> (Program, String) {
    let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
    command.env("GOLO_TOKEN", "hush-hush").args(["collector", "--addr", "127.0.0.1:0", "--db"]);
    command.arg(kept.file("runs.db")).args(flags);
    Program::listen(command).await
}

/// Runs `golo` without a database, optionally with a token.
async fn golo_with(token: Option<&str>, arguments: &[&str]) -> Finished {
    let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
    command.env_remove("GOLO_TOKEN").env_remove("GOLO_CA").args(arguments);
    token.map(|token| command.env("GOLO_TOKEN", token));
    Program::spawn(command).finish().await
}

#[tokio::test]
async fn collector_serves_the_runs_of_its_database() {
    let kept = Kept::new();
    for flags in [
        &["-u", "2", "-d", "1", "--name", "get"][..],
        &["-u", "2", "-i", "9", "--name", "fail", "-t", "iterations count>=100"],
    ] {
        kept_as(&kept.run(flags).await);
    }
    let (_collector, place) = collector(&kept, &[]).await;
    for place in [place.clone(), format!("http://{place}/")] {
        for call in
            ["runs", "runs --limit 1", "runs --json", "show", "show get", "show fail --json", "compare get fail"]
        {
            let call: Vec<_> = call.split(' ').collect();
            let file = kept.golo(&call).await;
            let asked = golo_with(Some("hush-hush"), &[&call[..], &["--collector", &place]].concat()).await;
            assert_eq!((file.code, &file.stdout), (asked.code, &asked.stdout), "{call:?}: {asked:#?}");
            assert_eq!((file.stdout.is_empty(), &*asked.stderr), (false, &[][..]), "{call:?}");
        }
    }
}

#[tokio::test]
async fn failed_requests_to_a_collector_are_reported() {
    let kept = Kept::new();
    kept_as(&kept.run(&["-u", "2", "-i", "4"]).await);
    let (gone, nobody) = collector(&kept, &[]).await;
    gone.stop().await;
    let (_collector, place) = collector(&kept, &[]).await;
    let known = Some("hush-hush");
    for (token, place, run, said) in [
        (None, &*place, "latest", "it wants a token: give it by `GOLO_TOKEN`"),
        (Some("hush-not"), &place, "latest", "it has another token than the one given by `GOLO_TOKEN`"),
        (known, &place, "nobody", "no run is called \"nobody\""),
        (known, &nobody, "latest", "it cannot be reached: connection refused"),
        (known, "ftp://a", "latest", "expected HOST:PORT or a URL, as 127.0.0.1:8082"),
        (known, "http://me:hush@a", "latest", "an address has a user or a password"),
        (known, &format!("https://{place}"), "latest", "it does not speak TLS"),
        (known, &place, "latest --ca /none", "`--ca /none`: No such file"),
    ] {
        for call in ["runs", "show", "compare"] {
            let runs = if call == "runs" { run.strip_prefix("latest").unwrap_or_default() } else { run };
            if call == "runs" && run == "nobody" {
                continue;
            }
            let twice = if call == "compare" { "latest" } else { "" };
            let call = format!("{call} {twice} {runs} --collector {place}");
            let refused = golo_with(token, &call.split_whitespace().collect::<Vec<_>>()).await;
            assert_eq!(
                (refused.code, refused.said(said), refused.stderr.len()),
                (Some(104), 1, 1),
                "{call}: {refused:#?}"
            );
            assert!(refused.stdout.is_empty() && refused.said("hush") == 0, "{call}: {refused:#?}");
        }
    }
}

#[tokio::test]
async fn collector_with_tls_is_trusted_through_its_ca() {
    let kept = Kept::new();
    kept_as(&kept.run(&["-u", "2", "-i", "4"]).await);
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| kept.file(name).display().to_string());
    fs::write(&cert, certified.cert.pem()).unwrap();
    fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let (_collector, place) = collector(&kept, &["--tls-cert", &cert, "--tls-key", &key]).await;
    let secure = format!("https://{place}");
    let shown = golo_with(Some("hush-hush"), &["show", "--collector", &secure, "--ca", &cert]).await;
    assert_eq!(shown.stdout, kept.golo(&["show"]).await.stdout, "{shown:#?}");
    let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
    command.env("GOLO_TOKEN", "hush-hush").env("GOLO_CA", &cert).args(["show", "--collector", &secure]);
    assert_eq!(Program::spawn(command).finish().await.stdout, shown.stdout, "by the variable");
    let refused = golo_with(Some("hush-hush"), &["show", "--collector", &secure]).await;
    assert_eq!((refused.code, refused.said("its certificate is not trusted")), (Some(104), 1), "{refused:#?}");
    assert_eq!(refused.said("`--ca FILE` names who vouches for it"), 1, "{refused:#?}");
}
