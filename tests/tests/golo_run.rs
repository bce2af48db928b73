//! `golo run`: load tests in their own processes. The report must match the requests that the target received, and no
//! process may remain.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "golo_run/faults.rs"]
mod faults;
#[path = "golo_run/few_threads.rs"]
mod few_threads;
#[path = "golo_run/silence.rs"]
mod silence;
#[path = "golo_run/slow_readers.rs"]
mod slow_readers;
#[path = "golo_run/strays.rs"]
mod strays;
#[path = "golo_run/tags.rs"]
mod tags;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use golo_tests::{Finished, Program, Signal, command, until};
use rustix::process::{Pid, kill_process};
use sample_service::SampleService;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// Drivers of the plan: the load test itself, or `golo` by triggers.
const WAYS: [&str; 2] = ["plan", "trigger"];
const JOBS: &str = env!("CARGO_BIN_EXE_jobs");

/// A call of `golo run`, and the folder for its reports. A variable marks the environment of the load test and of all
/// processes it starts.
struct Call {
    command: Command,
    folder: TempDir,
    mark: String,
}

struct Ran {
    finished: Finished,
    folder: TempDir,
    mark: String,
}

impl Call {
    fn new(load_test: &str, target: &str, flags: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mark = format!("GOLO_TEST_MARK={}", folder.path().display());
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        let (key, value) = mark.split_once('=').unwrap();
        command.env(key, value).env("TARGET_URL", target).args(["run", load_test]).args(flags.split_whitespace());
        command.arg("--out").arg(format!("summary={}", folder.path().join("summary.json").display()));
        command.arg("--out").arg(format!("jsonl={}", folder.path().join("outputs.jsonl").display()));
        Self { command, folder, mark }
    }

    fn spawn(self) -> (Program, TempDir, String) {
        (Program::spawn(self.command), self.folder, self.mark)
    }

    async fn finish(self) -> Ran {
        let (program, folder, mark) = self.spawn();
        Ran { finished: program.finish().await, folder, mark }
    }
}

impl Ran {
    fn summary(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.path().join("summary.json")).unwrap()).unwrap()
    }

    fn lines(&self) -> u64 {
        fs::read_to_string(self.folder.path().join("outputs.jsonl")).unwrap().lines().count() as u64
    }

    fn requests(&self) -> u64 {
        self.summary()["requests"]["total"]["duration"]["count"].as_u64().unwrap()
    }

    fn steps(&self) -> u64 {
        self.summary()["steps"]["total"]["duration"]["count"].as_u64().unwrap()
    }

    /// Asserts the exit code and the text. The returned future waits until no process is left.
    #[track_caller]
    fn assert_ended_with(&self, code: i32, word: &str) -> impl Future<Output = ()> + use<> {
        let Finished { code: ended, stdout, stderr } = &self.finished;
        let text = format!("{}\n{}", stdout.join("\n"), stderr.join("\n"));
        assert_eq!(*ended, Some(code), "{text}");
        assert!(text.contains(word), "no {word:?}: {text}");
        let mark = self.mark.clone();
        async move { until("nothing is left running", || marked(&mark).is_empty()).await }
    }
}

/// Returns the processes that have this mark in their environment.
fn marked(mark: &str) -> HashSet<i32> {
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    ids.filter(|id| fs::read(format!("/proc/{id}/environ")).is_ok_and(|all| has(&all, mark))).collect()
}

fn has(environment: &[u8], mark: &str) -> bool {
    environment.split(|&byte| byte == 0).any(|one| one == mark.as_bytes())
}

/// Returns the marked processes that run this program.
fn running(mark: &str, path: &str) -> HashSet<i32> {
    let is = |id: &i32| fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe| exe == Path::new(path));
    marked(mark).into_iter().filter(is).collect()
}

fn kill(id: i32) {
    signal(id, Signal::KILL);
}

fn signal(id: i32, signal: Signal) {
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

fn script(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("load-test");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Returns a number from a summary.
fn number(summary: &Value, pointer: &str) -> u64 {
    summary.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no {pointer}: {summary:#}"))
}

fn sample() -> SampleService {
    sample_service::start().unwrap()
}

#[tokio::test]
async fn report_matches_the_requests_of_the_target() {
    let asked = [
        ("-u 10 -d 1", None),
        ("-r 200/s -d 1", Some(200)),
        ("-u 7 -i 300 --workers 2", Some(300)),
        ("-u 4 --pace 100ms -d 1", Some(40)),
    ];
    for (way, (flags, expected)) in WAYS.iter().flat_map(|way| asked.map(|asked| (way, asked))) {
        let target = sample();
        let flags = format!("{flags} --drive {way}");
        let ran = Call::new(JOBS, target.url(), &flags).finish().await;
        let is_late = ran.finished.code == Some(96) && ran.finished.stdout.join(" ").contains("starts were late");
        ran.assert_ended_with(if is_late { 96 } else { 0 }, "Requests").await;
        let seen = target.counter().seen;
        assert_eq!((ran.requests(), ran.lines()), (seen, seen), "{flags}");
        assert!(expected.is_none_or(|expected| seen == expected), "{flags}: {seen}");
        let journeys = ran.summary()["journeys"]["duration"]["count"].as_u64().unwrap();
        assert_eq!(journeys, seen, "each trigger is a journey of one request");
    }
}

#[tokio::test]
async fn unreachable_or_hanging_target_fails_the_run() {
    let target = sample();
    let refused = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    for way in WAYS {
        let flags = format!("--name get -u 2 -i 10 --drive {way}");
        let ran = Call::new(JOBS, &refused, &flags).finish().await;
        ran.assert_ended_with(99, "FAILED: nothing succeeded: every request failed: connect: ").await;
        let flags = format!("--name hang -u 5 -d 1 --graceful-stop 200ms --drive {way}");
        let mut call = Call::new(JOBS, target.url(), &flags);
        call.command.args(["-t", "iteration_interrupted rate<1%"]);
        let ran = call.finish().await;
        ran.assert_ended_with(99, "FAILED: iteration_interrupted rate<1% was 100%").await;
        assert!(ran.finished.stdout.join(" ").contains("nothing succeeded"), "{:#?}", ran.finished.stdout);
    }
}

#[tokio::test]
async fn reported_rate_excludes_the_grace() {
    for way in WAYS {
        let target = sample();
        let mut call = Call::new(JOBS, target.url(), &format!("-r 50/s -d 1 --drive {way}"));
        call.command.args(["--name", "slow first"]);
        let ran = call.finish().await;
        let is_late = ran.finished.code == Some(96) && ran.finished.stdout.join(" ").contains("starts were late");
        ran.assert_ended_with(if is_late { 96 } else { 0 }, "ended after the load").await;
        let summary = ran.summary();
        let total = &summary["requests"]["total"];
        let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} is no count"));
        let (count, after) = (number(&total["duration"]["count"]), number(&total["after_load"]));
        assert!(count == 50 && after >= 1, "{way}: {after} of {count}");
        // The load lasted one second.
        assert_eq!(
            (&summary["run"]["rate_time"], total["rate"].as_f64()),
            (&1_000_000_000.into(), Some((count - after) as f64))
        );
        assert!(number(&summary["run"]["whole_time"]) > 2_000_000_000, "the grace took longer");
    }
}

#[tokio::test]
async fn warm_up_is_not_reported() {
    for way in WAYS {
        let target = sample();
        let flags = format!("-r 100/s -d 1 --warm-up 1s --drive {way}");
        let ran = Call::new(JOBS, target.url(), &flags).finish().await;
        assert_eq!((ran.requests(), ran.lines(), target.counter().seen), (100, 100, 200), "{way}");
    }
}

#[tokio::test]
async fn parameters_and_job_reach_the_load_test() {
    let target = sample();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.toml");
    let text = format!("binary = '{JOBS}'\nname = 'get'\niterations = 5\n[env]\nTARGET_URL = '{}'\n", target.url());
    fs::write(&file, text).unwrap();
    let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
    command.env_remove("TARGET_URL").args(["run", "-f"]).arg(&file);
    let finished = Program::spawn(command).finish().await;
    assert_eq!((finished.code, target.counter().seen), (Some(0), 5), "{finished:#?}");
}

#[tokio::test]
async fn job_file_may_be_yaml_or_toml() {
    let target = sample();
    let folder = tempfile::tempdir().unwrap();
    let run = async |name: &str, text: &str, flags: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        command.env_remove("TARGET_URL").args(["run", "-f"]).arg(&file).args(flags.split_whitespace());
        Program::spawn(command).finish().await
    };
    let text = format!(
        "binary: {JOBS}\nname: get\nusers: 2\niterations: 5\nmax-memory: 4GiB\nmax_descriptors: 200\n\
         env:\n  TARGET_URL: {}\n",
        target.url()
    );
    let finished = run("job.yaml", &text, "").await;
    assert_eq!((finished.code, target.counter().seen), (Some(0), 5), "{finished:#?}");
    let finished = run("job.yml", &text, "-i 7").await;
    assert_eq!((finished.code, target.counter().seen), (Some(0), 5 + 7), "a flag comes first: {finished:#?}");

    // A job file may also take the place of the load test.
    let golo = async |arguments: &[&str]| {
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        command.env_remove("TARGET_URL").current_dir(folder.path()).args(arguments);
        Program::spawn(command).finish().await
    };
    let seen = target.counter().seen;
    let finished = golo(&["run", "job.yml", "-i", "3"]).await;
    assert_eq!((finished.code, target.counter().seen), (Some(0), seen + 3), "{finished:#?}");
    let toml = text.replace(": ", " = ").replace("env:\n  TARGET_URL = ", "[env]\nTARGET_URL = ");
    let toml = toml.lines().map(quoted).collect::<Vec<_>>().join("\n");
    fs::write(folder.path().join("job.TOML"), toml).unwrap();
    let finished = golo(&["run", "job.TOML", "-i", "2"]).await;
    assert_eq!((finished.code, target.counter().seen), (Some(0), seen + 5), "{finished:#?}");
    fs::write(folder.path().join("bare.toml"), "users = 1\n").unwrap();
    for (call, said) in [
        ("run job.yml -f job.yaml", "golo: `job.yml` and `--file job.yaml` are two job files: use only one of them"),
        (
            "run bare.toml",
            "golo: no load test: give a program, the folder of a crate, or a job file with the key `binary`",
        ),
        ("run none.toml", "golo: `none.toml` cannot be read: No such file"),
        ("submit bare.toml --agent 127.0.0.1:1", "golo: no load test: give a program"),
    ] {
        let finished = golo(&call.split(' ').collect::<Vec<_>>()).await;
        assert_eq!((finished.code, finished.said(said)), (Some(104), 1), "{call}: {finished:#?}");
        let usage = format!("Usage: golo {} ", call.split(' ').next().unwrap());
        assert_eq!(finished.said(&usage), 1, "{call}: {finished:#?}");
    }

    let text = "version: job:latest\njob:\n  name: get\n  users: 10\n  duration: 1\n";
    let finished = run("go-lo.yaml", text, &format!("{JOBS} -q -e TARGET_URL={}", target.url())).await;
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert!(finished.stdout.join(" ").contains("10 users for 1s"), "{finished:#?}");

    let seen = target.counter().seen;
    for (text, said) in [
        ("users: 5\nduratoin: 30s\n", "line 2: `duratoin` is not the name of a flag of `run`; did you mean"),
        ("users: 5\nduratoin: 30s\n", "    | ^^^^^^^^"),
        ("max-memory: 2XB\n", "line 1: `max-memory`: expected a number of bytes above 0, for example 2GiB"),
        ("users: 5\nrate: 5/s\n", "`--users` and `--rate` are two kinds of plan"),
        ("users: 5\n---\n", "line 2: a job file is one document"),
    ] {
        let text = format!("{text}binary: {JOBS}\n");
        let finished = run("wrong.yaml", &text, "").await;
        assert_eq!((finished.code, finished.said(said)), (Some(104), 1), "{text}: {finished:#?}");
    }
    assert_eq!(target.counter().seen, seen, "no load is sent for them");
}

/// Quotes the value of a TOML line unless it is a number.
fn quoted(line: &str) -> String {
    match line.split_once(" = ") {
        Some((key, value)) if value.parse::<u64>().is_err() => format!("{key} = \"{value}\""),
        _ => line.to_owned(),
    }
}

#[tokio::test]
async fn load_test_and_golo_refuse_the_same_command_lines() {
    for (program, name) in [(JOBS, "jobs"), (env!("CARGO_BIN_EXE_golo-command"), "golo")] {
        for (call, said, help) in [
            ("run --vus 5", "golo calls it `--users`, as in `--users 50`", "run "),
            ("run -c 5", "golo calls it `--users`, as in `--users 50`", "run "),
            ("run -n 100", "golo calls it `--iterations`, as in `--iterations 1000`", "run "),
            ("run --spawn-rate 5", "golo calls it `--stage`: `--stage 30s:100` ramps", "run "),
            ("run -t 30s", "golo calls the length of a run `--duration`, as in `-d 30s`", "run "),
            ("run -rate=50", "long flags begin with two dashes, as in `--rate`", "run "),
            ("run -u 3 -r 5/s", "golo: `--users` and `--rate` are two kinds of plan", "run "),
            ("--users 5", "`--users` is a flag of `run`, as in", ""),
            ("frobnicate", "golo: unrecognized subcommand 'frobnicate'", ""),
        ] {
            let mut command = command(program);
            command.args(call.split(' '));
            let finished = Program::spawn(command).finish().await;
            assert_eq!((finished.code, finished.stdout.len()), (Some(104), 0), "{name} {call}: {finished:#?}");
            assert!(finished.stderr[0].starts_with("golo: "), "{name} {call}: {finished:#?}");
            assert!(finished.stderr.join(" ").contains(said), "{name} {call}: {finished:#?}");
            assert_eq!(finished.said(&format!(" {help}--help`.")), 1, "{name} {call}: {finished:#?}");
        }
        let mut command = command(program);
        command.args(["run", "-u", "3", "-r", "5/s"]);
        let finished = Program::spawn(command).finish().await;
        assert_eq!(finished.said(&format!("Usage: {name} run ")), 1, "{finished:#?}");
    }
}

#[tokio::test]
async fn failed_threshold_fails_the_run() {
    let target = sample();
    let ran = Call::new(JOBS, target.url(), "--name fail -i 10 -t iteration_failed{}rate<1%").finish().await;
    assert_eq!(ran.finished.code, Some(104), "a wrong threshold is one here too");
    let ran = Call::new(JOBS, target.url(), "--name fail -i 10 -t iteration_failed\u{20}rate<1%").finish().await;
    assert_eq!(ran.finished.code, Some(104), "an expression is one argument");
    let mut call = Call::new(JOBS, target.url(), "--name fail -i 10");
    call.command.args(["-t", "iteration_failed rate<1%"]);
    let ran = call.finish().await;
    ran.assert_ended_with(99, "FAILED: iteration_failed rate<1% was 100%").await;
    assert_eq!(ran.summary()["errors"][0]["text"], "out of stock");
}

#[tokio::test]
async fn signal_stops_the_run_and_the_report_is_written() {
    for way in WAYS {
        let target = sample();
        let (mut program, folder, mark) = Call::new(JOBS, target.url(), &format!("-u 4 -d 60 --drive {way}")).spawn();
        program.stderr.wait_for("Ctrl-C stops it").await;
        until("there is load", || target.counter().seen > 20).await;
        program.signal(Signal::INT);
        let ran = Ran { finished: program.finish().await, folder, mark };
        ran.assert_ended_with(105, "STOPPED by a signal after").await;
        let seen = target.counter().seen;
        assert_eq!((ran.requests(), ran.lines()), (seen, seen), "{way}");
    }
}

#[tokio::test]
async fn killed_load_test_is_reported_as_died() {
    let target = sample();
    for way in WAYS {
        let before = target.counter().seen;
        let (mut program, folder, mark) = Call::new(JOBS, target.url(), &format!("-u 4 -d 60 --drive {way}")).spawn();
        // Measurements that the load test has not sent yet are lost with it.
        match way {
            "plan" => drop(program.stderr.wait_for(" req/s").await),
            _ => {
                let lines = folder.path().join("outputs.jsonl");
                until("lines have come", || fs::metadata(&lines).is_ok_and(|file| file.len() > 0)).await;
            }
        }
        running(&mark, JOBS).into_iter().for_each(kill);
        let ran = Ran { finished: program.finish().await, folder, mark };
        ran.assert_ended_with(107, "DIED after").await;
        let summary = ran.summary();
        let reason = "the load test was killed by signal 9 (SIGKILL)";
        assert!(summary["verdict"]["text"].as_str().unwrap().contains(reason), "{way}: {}", summary["verdict"]);
        let seen = target.counter().seen - before;
        assert!(ran.requests() > 0 && ran.requests() <= seen, "{way}: {} of {seen}", ran.requests());
    }
}

#[tokio::test]
async fn killed_run_leaves_no_process() {
    let target = sample();
    let (program, _folder, mark) = Call::new(JOBS, target.url(), "-u 4 -d 60").spawn();
    until("there is load", || target.counter().seen > 20).await;
    assert!(!running(&mark, JOBS).is_empty());
    program.signal(Signal::KILL);
    program.finish().await;
    until("nothing is left running", || marked(&mark).is_empty()).await;
}

#[tokio::test]
async fn program_that_fails_before_serving_is_not_started() {
    let folder = tempfile::tempdir().unwrap();
    let path = |text: &str| script(&folder, text).display().to_string();
    let ran = Call::new(&path("echo no licence >&2; exit 3"), "", "-d 1").finish().await;
    ran.assert_ended_with(107, "NOT STARTED: the load test ended before it was ready").await;
    let text = ran.finished.stdout.join(" ");
    assert!(text.contains("no licence"), "{text}");

    fs::set_permissions(folder.path().join("load-test"), fs::Permissions::from_mode(0o644)).unwrap();
    let path = folder.path().join("load-test").display().to_string();
    Call::new(&path, "", "-d 1").finish().await.assert_ended_with(107, "NOT STARTED").await;
}

#[tokio::test]
async fn missing_load_test_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (path, said) in
        [(folder.path().join("none"), "os error 2"), (folder.path().to_owned(), "is a folder without a Cargo.toml")]
    {
        let ran = Call::new(&path.display().to_string(), "", "-d 1").finish().await;
        ran.assert_ended_with(104, said).await;
    }
    let finished = Program::spawn({
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        command.arg("run");
        command
    });
    assert_eq!(finished.finish().await.code, Some(104));
}

#[tokio::test]
async fn junk_on_stdout_is_reported_and_ignored() {
    let target = sample();
    let folder = tempfile::tempdir().unwrap();
    // A million short lines, one line of 10 MB, then the load test.
    let text = format!("seq 1000000; head -c 10000000 /dev/zero | tr '\\\\0' x; echo; exec {JOBS}");
    let path = script(&folder, &text).display().to_string();
    let ran = Call::new(&path, target.url(), "--name get -i 50").finish().await;
    ran.assert_ended_with(0, "a line on stdout is not an `Output`").await;
    assert_eq!((ran.requests(), target.counter().seen), (50, 50));
    assert_eq!(ran.finished.said("a line on stdout is"), 2, "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn load_test_in_python_is_supported() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/other-languages/python/load_test.py");
    let has_grpc = std::process::Command::new("python3").args(["-c", "import grpc"]).output();
    if !has_grpc.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no python3 with grpcio");
        return;
    }
    for layout in ["seeds", "later"] {
        let target = sample();
        let mut call = Call::new(path, target.url(), "-u 4 -i 100");
        call.command.env("LAYOUT", layout);
        let ran = call.finish().await;
        ran.assert_ended_with(0, "PASSED: 100 requests, none failed").await;
        assert_eq!((ran.requests(), target.counter().seen), (100, 100));

        let target = sample();
        let flags = "-u 4 -i 100 --scenario browse:weight=9 --scenario look:weight=1";
        let ran = Call::new(path, target.url(), flags).finish().await;
        ran.assert_ended_with(0, "PASSED: 100 requests, none failed").await;
        let counts = ["/items", "/items/{id}"].map(|route| target.counter().routes.get(route).copied());
        assert_eq!(counts, [Some(90), Some(10)], "{layout}");
        let named = |row: &Value| (row["name"].as_str().unwrap().to_owned(), row["done"].as_u64().unwrap());
        let scenarios: Vec<_> = ran.summary()["scenarios"].as_array().unwrap().iter().map(named).collect();
        assert_eq!(scenarios, [("browse".to_owned(), 90), ("look".to_owned(), 10)], "{layout}");

        let target = sample();
        let mut call = Call::new(&path.replace("load_test.py", "tags.py"), target.url(), "-u 4 -i 100");
        call.command.env("LAYOUT", layout).args(["-t", "tag{status:200} rate==100%", "-t", "tag{size} min>0"]);
        let ran = call.finish().await;
        ran.assert_ended_with(0, "PASSED: 100 requests, none failed").await;
        let requests = &ran.summary()["requests"];
        assert_eq!((ran.requests(), &requests["from_tags"], ran.lines()), (100, &100.into(), 0), "{layout}");
        assert_eq!((target.counter().seen, &requests["routes"][0]["route"]), (100, &"/".into()));
    }
}

#[tokio::test]
async fn report_includes_redirects_and_the_warm_up() {
    for way in WAYS {
        let target = sample();
        let url = format!("{}redirect?times=2", target.url());
        let flags = format!("--name get --warm-up 500ms -r 20/s -d 1 --drive {way}");
        let ran = Call::new(JOBS, &url, &flags).finish().await;
        let summary = ran.summary();
        let [measured, redirects] =
            ["/requests/total/duration/count", "/requests/total/redirects"].map(|at| number(&summary, at));
        let [triggers, requests] = ["/load/warm_up/triggers", "/load/warm_up/requests"].map(|at| number(&summary, at));
        assert_eq!((measured, redirects, triggers, requests), (20, 40, 10, 30), "{way}");
        assert_eq!(target.counter().seen, measured + redirects + requests, "{way}");
        let text = ran.finished.stdout.join("\n");
        assert!(text.contains("40 redirects followed: the target saw 60 requests"), "{way}: {text}");
        let warm_up = "10 triggers and 30 requests before the start, not counted";
        assert!(text.contains(warm_up), "{way}: {text}");
        if way == "plan" {
            let made = number(&summary, "/load/warm_up/connections");
            assert!(made > 0 && text.contains("in the warm-up"), "{made}: {text}");
        }
    }
}

#[tokio::test]
async fn requests_of_user_starts_are_reported_separately() {
    let target = sample();
    let driven = env!("CARGO_BIN_EXE_driven");
    let ran = Call::new(driven, target.url(), "--name account -u 3 -i 30 --drive plan").finish().await;
    let summary = ran.summary();
    let [users, connections] =
        ["/generator/user_requests", "/generator/user_connections"].map(|at| number(&summary, at));
    assert_eq!(users, 3, "each logs in");
    assert!((1..=3).contains(&connections), "{connections}");
    // `setup` and `teardown` make one request each, which are not part of the load.
    assert_eq!(target.counter().seen, ran.requests() + users + 2);
    let text = ran.finished.stdout.join("\n");
    assert!(text.contains("3 made by users that started and stopped, not counted"), "{text}");
    assert!(text.contains("by users that started and stopped; connecting") || text.contains("all by users"), "{text}");
}

#[tokio::test]
async fn rejected_content_fails_the_request() {
    for way in WAYS {
        let target = sample();
        let mut call = Call::new(JOBS, target.url(), &format!("-u 1 -i 5 --drive {way}"));
        call.command.args(["--name", "refuse the content", "-t", "http_req_failed{error:content} rate==100%"]);
        call.command.args(["-t", "http_reqs{error:content,status:200} count==5", "-t", "data_sent count==25"]);
        call.command.args(["-t", "http_reqs{error:status} count==0"]);
        let ran = call.finish().await;
        ran.assert_ended_with(0, "every request failed: content: it is no apology: it says sorry").await;
        let summary = ran.summary();
        assert_eq!(summary["statuses"], serde_json::json!([{ "status": 200, "failed": true, "count": 5 }]), "{way}");
        let error = &summary["errors"][0];
        let [kind, text, count] = ["kind", "text", "count"].map(|key| &error[key]);
        assert_eq!((kind, count), (&"content".into(), &5.into()), "{way}: {text}");
        if way == "plan" {
            let checks = serde_json::json!([{ "name": "it is no apology", "passed": 0, "failed": 5 }]);
            assert_eq!(summary["checks"], checks);
        }
    }
}

#[tokio::test]
async fn sent_bytes_are_reported() {
    for way in WAYS {
        let target = sample();
        let mut call = Call::new(JOBS, target.url(), &format!("--name upload -u 1 -i 3 --drive {way}"));
        call.command.env("BYTES", "200000").args(["-t", "data_sent count==600000"]);
        let ran = call.finish().await;
        ran.assert_ended_with(0, "PASSED").await;
        assert_eq!(number(&ran.summary(), "/requests/total/sent"), 600_000, "{way}");
    }
}
