//! `run`: load tests that drive themselves. Their reports must match the requests that the target received, however the
//! run ends.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeMap, net::TcpListener, time::Duration};

use golo::Output;
use golo_tests::{Finished, Program, Signal, command, output, until};
use sample_service::SampleService;
use tempfile::TempDir;
use tokio::process::Command;

/// A call of a program that writes its outputs to `outputs.jsonl`.
struct Call {
    command: Command,
    folder: TempDir,
}

/// The end of a run, and its outputs.
struct Ran {
    finished: Finished,
    outputs: Vec<Output>,
}

impl Call {
    fn new(path: &str, target: &str, job: &str, flags: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(path);
        command.env("TARGET_URL", target).args(["run", "--name", job]).args(flags.split_whitespace());
        command.arg("--out").arg(format!("jsonl={}", folder.path().join("outputs.jsonl").display()));
        Self { command, folder }
    }

    fn jobs(target: &SampleService, job: &str, flags: &str) -> Self {
        Self::new(env!("CARGO_BIN_EXE_jobs"), target.url(), job, flags)
    }

    fn driven(target: &SampleService, job: &str, flags: &str) -> Self {
        Self::new(env!("CARGO_BIN_EXE_driven"), target.url(), job, flags)
    }

    fn spawn(self) -> Running {
        Running { program: Program::spawn(self.command), folder: self.folder }
    }

    async fn finish(self) -> Ran {
        self.spawn().finish().await
    }
}

struct Running {
    program: Program,
    folder: TempDir,
}

impl Running {
    async fn finish(self) -> Ran {
        let finished = self.program.finish().await;
        let lines = std::fs::read_to_string(self.folder.path().join("outputs.jsonl")).unwrap();
        assert!(lines.is_empty() || lines.ends_with('\n'), "the last line is whole");
        let read = |line: &str| {
            output(line);
            line.parse().unwrap()
        };
        Ran { finished, outputs: lines.lines().map(read).collect() }
    }
}

impl Ran {
    /// Asserts that the run passed, apart from late starts on a busy machine.
    #[track_caller]
    fn assert_passed(&self) {
        let Finished { code, stdout, stderr } = &self.finished;
        let summary = stdout.join("\n");
        let is_late = *code == Some(96) && summary.contains("starts were late");
        assert!(is_late || *code == Some(0), "{code:?}: {summary}\n{}", stderr.join("\n"));
        let verdict = if is_late { "INVALID" } else { "PASSED" };
        assert!(summary.contains(verdict), "{summary}");
    }

    #[track_caller]
    fn assert_ended_with(&self, code: i32, word: &str) {
        let Finished { code: ended, stdout, stderr } = &self.finished;
        let summary = stdout.join("\n");
        assert_eq!(*ended, Some(code), "{summary}\n{}", stderr.join("\n"));
        assert!(summary.contains(word), "no {word:?}: {summary}");
    }

    /// Returns the number of outputs per status, or per kind of error.
    fn kinds(&self) -> BTreeMap<String, u64> {
        let mut kinds = BTreeMap::new();
        for output in &self.outputs {
            let kind = match &output.error {
                Some(error) => error.split(':').next().unwrap_or_default().to_owned(),
                None => output.status.to_string(),
            };
            *kinds.entry(kind).or_default() += 1;
        }
        kinds
    }

    /// Asserts that the target received and answered as many requests as the run reports. Returns that number.
    #[track_caller]
    fn assert_counted(&self, target: &SampleService) -> u64 {
        let counts = target.counter();
        let lines = self.outputs.len() as u64;
        assert_eq!((lines, lines), (counts.seen, counts.answered), "{:?}", self.kinds());
        lines
    }

    fn of_sequence(&self, id: &str) -> usize {
        self.outputs.iter().filter(|output| output.sequence_id == id).count()
    }
}

fn sample() -> SampleService {
    sample_service::start().unwrap()
}

/// Runs a program to its end.
async fn ended(path: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let mut command = command(path);
    command.args(arguments).envs(variables.iter().copied());
    Program::spawn(command).finish().await
}

#[tokio::test]
async fn reported_outputs_match_the_target() {
    for (flags, expected) in [
        ("-u 10 -d 1", None),
        ("-u 1 -d 500ms --workers 4", None),
        ("-r 200/s -d 1", Some(200)),
        ("-r 300/m -d 1s --arrivals constant --workers 3", Some(5)),
        ("-r 100/s --arrivals poisson --seed 3 -d 1", None),
        ("-s 500ms:10,500ms:0", None),
        ("-s 1s:200/s", Some(100)),
        ("-u 7 -i 300", Some(300)),
        ("-r 500/s -i 123", Some(123)),
        ("-u 3 -d 500ms --no-keep-alive --no-progress", None),
    ] {
        assert_reported(flags, expected).await;
    }
}

#[tokio::test]
async fn reported_outputs_of_paced_users_match_the_target() {
    assert_reported("-u 5 --pace 100ms -d 1", Some(50)).await;
}

async fn assert_reported(flags: &str, expected: Option<u64>) {
    let target = sample();
    let ran = Call::jobs(&target, "get", flags).finish().await;
    ran.assert_passed();
    let lines = ran.assert_counted(&target);
    assert!(lines > 0 && expected.is_none_or(|expected| lines == expected), "{flags}: {lines}");
    assert_eq!(ran.kinds().get("200"), Some(&lines), "{flags}");
}

#[tokio::test]
async fn warm_up_is_not_reported() {
    let target = sample();
    let ran = Call::jobs(&target, "get", "--warm-up 1s -r 50/s -d 1").finish().await;
    ran.assert_passed();
    assert_eq!((ran.outputs.len(), target.counter().seen, target.counter().answered), (50, 100, 100));
}

#[tokio::test]
async fn signal_ends_the_run_with_a_report() {
    for (signal, flags) in
        [(Signal::INT, "-u 20 -d 60"), (Signal::TERM, "-r 200/s -d 60"), (Signal::TERM, "-u 5 -i 9999999")]
    {
        let target = sample();
        let running = Call::jobs(&target, "get", flags).spawn();
        until("there is load", || target.counter().answered >= 100).await;
        running.program.signal(signal);
        let ran = running.finish().await;
        ran.assert_ended_with(105, "STOPPED");
        assert_eq!(ran.finished.said("finishing the triggers in flight"), 1, "{:#?}", ran.finished.stderr);
        assert!(ran.assert_counted(&target) >= 100);
    }
}

#[tokio::test]
async fn second_signal_cuts_off_requests_and_the_run_reports() {
    for flags in ["-u 5 -d 60", "-r 20/s --max-users 5 -d 60"] {
        let target = sample();
        let mut running = Call::jobs(&target, "hang", flags).spawn();
        until("all are in flight", || target.counter().seen == 5).await;
        running.program.signal(Signal::INT);
        running.program.stderr.wait_for("a second signal cuts them off").await;
        running.program.signal(Signal::INT);
        let ran = running.finish().await;
        ran.assert_ended_with(105, "STOPPED");
        assert_eq!(ran.finished.said("cutting off the triggers in flight"), 1, "{:#?}", ran.finished.stderr);
        assert_eq!(ran.kinds(), [("cancelled".to_owned(), 5)].into());
        let counts = target.counter();
        assert_eq!((counts.seen, counts.answered), (5, 0));
    }
}

#[tokio::test]
async fn requests_in_flight_get_the_grace_after_a_signal() {
    let target = sample();
    let running = Call::jobs(&target, "hang", "-u 4 -d 60 --graceful-stop 300ms").spawn();
    until("all are in flight", || target.counter().seen == 4).await;
    running.program.signal(Signal::TERM);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED");
    assert_eq!(ran.kinds(), [("cancelled".to_owned(), 4)].into());
}

#[tokio::test]
async fn blocked_load_test_is_given_up_with_a_report() {
    let call = Call::new(env!("CARGO_BIN_EXE_endings"), "", "block every thread", "-u 1 -d 60");
    let mut running = call.spawn();
    running.program.stderr.wait_for("a thread is blocked").await;
    running.program.insist(Signal::TERM).await;
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED");
    ran.assert_ended_with(105, "a worker was lost, of 1");
    ran.assert_ended_with(105, "1 of 1 worker, with that share of the load");
}

#[tokio::test]
async fn requests_cut_off_by_the_grace_are_reported() {
    let target = sample();
    let ran = Call::jobs(&target, "hang", "-u 3 -d 1 --graceful-stop 200ms").finish().await;
    ran.assert_ended_with(99, "FAILED: nothing succeeded: no request ended, 3 requests cut off");
    assert_eq!(ran.kinds(), [("cancelled".to_owned(), 3)].into());
}

#[tokio::test]
async fn target_that_dies_during_the_run_is_reported() {
    let target = sample();
    let running = Call::jobs(&target, "get", "-u 4 -i 1500").spawn();
    until("there is load", || target.counter().answered >= 300).await;
    drop(target);
    let ran = running.finish().await;
    ran.assert_ended_with(0, "PASSED");
    let kinds = ran.kinds();
    assert_eq!(kinds.values().sum::<u64>(), 1500);
    assert!(kinds["200"] >= 300 && kinds["connect"] > 0, "{kinds:?}");
    assert!(kinds.keys().all(|kind| ["200", "connect", "reset", "body"].contains(&&**kind)), "{kinds:?}");
}

#[tokio::test]
async fn unreachable_target_is_reported() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = Call::new(env!("CARGO_BIN_EXE_jobs"), &format!("http://{free}/"), "get", "-u 2 -i 50").finish().await;
    ran.assert_ended_with(99, "FAILED: nothing succeeded: every request failed: connect");
    assert_eq!(ran.kinds(), [("connect".to_owned(), 50)].into());
}

#[tokio::test]
async fn failed_setup_or_client_is_reported() {
    for (hook, what, reason) in [
        ("SETUP", "fails", "invalid digit"),
        ("SETUP", "fails without words", "words fail me"),
        ("SETUP", "panics", "SETUP is out of order"),
        ("CLIENT", "fails", "the certificate has expired"),
        ("CLIENT", "fails without words", "words fail me"),
    ] {
        let mut call = Call::new(env!("CARGO_BIN_EXE_hooks"), "", "hooks", "-u 2 -i 10");
        call.command.env(hook, what);
        let ran = call.finish().await;
        ran.assert_ended_with(107, "NOT STARTED");
        ran.assert_ended_with(107, reason);
        assert_eq!(ran.outputs, []);
    }
}

#[tokio::test]
async fn failed_teardown_is_reported() {
    for what in ["fails", "fails without words", "panics"] {
        let mut call = Call::new(env!("CARGO_BIN_EXE_hooks"), "", "hooks", "-u 2 -i 10");
        call.command.env("TEARDOWN", what);
        let ran = call.finish().await;
        ran.assert_ended_with(1, "PASSED");
        assert_eq!(ran.finished.said("`teardown` failed"), 1, "{:#?}", ran.finished.stderr);
    }
}

#[tokio::test]
async fn run_whose_users_all_fail_to_start_is_not_started() {
    for (what, reason) in [("fails", "no table is free"), ("fails without words", "words fail me")] {
        let target = sample();
        let mut call = Call::driven(&target, "visit", "-u 5 -d 60");
        call.command.args(["-e", &format!("START={what}")]);
        let ran = call.finish().await;
        ran.assert_ended_with(107, "NOT STARTED");
        ran.assert_ended_with(107, reason);
        assert_eq!((ran.finished.said("set up"), ran.finished.said("torn down")), (1, 1), "{:#?}", ran.finished.stderr);
        assert_eq!(ran.outputs, []);
    }
}

#[tokio::test]
async fn users_that_can_start_run() {
    let target = sample();
    let mut call = Call::driven(&target, "visit", "-u 4 -i 40");
    call.command.args(["-e", "START=fails for odd ones"]);
    let ran = call.finish().await;
    ran.assert_ended_with(0, "no table is free");
    assert_eq!((ran.outputs.len(), ran.of_sequence("visit")), (40, 40));
    assert_eq!((ran.finished.said(" comes"), ran.finished.said(" leaves")), (2, 2), "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn signal_while_users_start_ends_the_run() {
    let target = sample();
    let mut running = Call::driven(&target, "visit", "-u 3 -d 60 -e START=hangs").spawn();
    running.program.stderr.wait_for("a guest waits").await;
    running.program.signal(Signal::TERM);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED");
    assert_eq!((ran.finished.said("torn down"), ran.outputs.len()), (1, 0), "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn signal_while_users_start_is_reported_beside_a_failed_start() {
    let target = sample();
    let mut call = Call::driven(&target, "visit", "-u 2 -d 60 --workers 1");
    call.command.args(["-e", "START=hangs or fails for odd ones"]);
    let mut running = call.spawn();
    // This user starts last, on the only worker, so the other user is waiting by now.
    running.program.stderr.wait_for("a guest turns round").await;
    running.program.signal(Signal::TERM);
    running.program.stderr.wait_for("stopping the users").await;
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED by a signal while users started");
    ran.assert_ended_with(105, "could not start: no table is free");
    assert_eq!((ran.finished.said("torn down"), ran.outputs.len()), (1, 0), "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn signal_while_users_stop_is_reported_and_a_second_one_cuts_them_off() {
    let target = sample();
    let mut running = Call::driven(&target, "visit", "-u 1 -i 5 -e STOP=hangs").spawn();
    running.program.stderr.wait_for("guest-0 leaves").await;
    running.program.signal(Signal::TERM);
    running.program.stderr.wait_for("no trigger is in flight any more").await;
    running.program.signal(Signal::TERM);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED by a signal while users stopped");
    assert_eq!(ran.finished.said("finishing the triggers in flight"), 0, "{:#?}", ran.finished.stderr);
    assert_eq!((ran.finished.said("torn down"), ran.outputs.len()), (1, 5), "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn signal_during_teardown_is_reported() {
    let mut call = Call::new(env!("CARGO_BIN_EXE_hooks"), "", "hooks", "-u 2 -i 10");
    call.command.env("TEARDOWN", "blocks");
    let mut running = call.spawn();
    running.program.stderr.wait_for("TEARDOWN blocks").await;
    running.program.signal(Signal::INT);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED by a signal during `teardown`");
    assert_eq!(ran.finished.said("cut off `teardown`"), 1, "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn teardown_gets_the_grace_after_a_signal() {
    let mut call = Call::new(env!("CARGO_BIN_EXE_hooks"), "", "hooks", "-u 2 -d 60 --graceful-stop 100ms");
    call.command.env("TEARDOWN", "hangs");
    let mut running = call.spawn();
    running.program.stderr.wait_for("Ctrl-C stops it").await;
    running.program.signal(Signal::INT);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED by a signal");
    assert_eq!(ran.finished.said("cut off `teardown`"), 1, "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn signal_during_a_blocking_setup_ends_the_run() {
    for is_insisted in [false, true] {
        let mut call = Call::new(env!("CARGO_BIN_EXE_hooks"), "", "hooks", "-u 2 -d 60");
        call.command.env("SETUP", "blocks");
        let mut running = call.spawn();
        running.program.stderr.wait_for("SETUP blocks").await;
        running.program.signal(Signal::INT);
        running.program.stderr.wait_for("giving up `setup`").await;
        if is_insisted {
            running.program.insist(Signal::INT).await;
        }
        running.finish().await.assert_ended_with(105, "STOPPED by a signal during `setup`");
    }
}

#[tokio::test]
async fn signal_during_setup_ends_the_run() {
    let target = sample();
    let mut running = Call::driven(&target, "visit", "-u 2 -d 60 -e SETUP=hangs").spawn();
    running.program.stderr.wait_for("set up").await;
    running.program.signal(Signal::INT);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED");
    assert_eq!((ran.finished.said("torn down"), ran.outputs.len()), (0, 0), "nothing was set up");
}

#[tokio::test]
async fn invalid_arguments_are_refused_before_setup() {
    for (flags, variables, said) in [
        ("-u 5 -r 5/s", &[][..], "`--users` and `--rate` are two kinds of plan"),
        ("-r 5", &[], "write `5/s`"),
        ("-s 1s:5,1s:5/s", &[], "use the same unit for all stages"),
        ("-u 5 -s 1s:5/s", &[], "`--stage 1s:5/s`, which is a rate"),
        ("-d 1s -s 1s:5", &[], "`--duration` cannot be combined with `--stage`"),
        ("-u 0", &[], "means no load"),
        ("-i 0", &[], "`--iterations 0`"),
        ("-d soon", &[], "--duration"),
        ("--users=-1", &[], "--users"),
        ("--fast", &[], "--fast"),
        ("-o xml=a", &[], "expected summary=FILE"),
        ("-o jsonl=/no/such/dir/x", &[], "`/no/such/dir/x` cannot be written"),
        ("-d 1", &[("GOLO_USERS", "many")], "`GOLO_USERS` is `many`"),
        ("-d 1", &[("GOLO_RATE", "5")], "`GOLO_RATE` is `5`"),
    ] {
        assert_refused(flags, variables, said).await;
    }
}

#[tokio::test]
async fn contradicting_variables_are_refused() {
    for variables in [[("GOLO_USERS", "5"), ("GOLO_RATE", "5/s")], [("GOLO_STAGE", "1s:5"), ("GOLO_DURATION", "1s")]] {
        assert_refused("--no-progress", &variables, variables[0].0.trim_start_matches("GOLO_")).await;
    }
}

/// Asserts that a call with these flags and variables is refused with a reason that contains `said`, ignoring case.
async fn assert_refused(flags: &str, variables: &[(&str, &str)], said: &str) {
    let target = sample();
    let arguments: Vec<_> = ["run"].into_iter().chain(flags.split_whitespace()).collect();
    let variables: Vec<_> = variables.iter().copied().chain([("TARGET_URL", target.url())]).collect();
    let finished = ended(env!("CARGO_BIN_EXE_driven"), &arguments, &variables).await;
    assert_eq!((finished.code, finished.stdout.len()), (Some(104), 0), "{flags}: {:#?}", finished.stderr);
    let reason = finished.stderr.join(" ");
    assert!(reason.to_lowercase().contains(&said.to_lowercase()), "{flags}: {reason}");
    assert_eq!((finished.said("set up"), target.counter().seen), (0, 0), "{flags}: {reason}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn run_without_enough_threads_is_not_started() {
    let target = sample();
    // Thread stacks of 1 GB, with address space for only a few of them.
    let limit = "ulimit -v 8000000; RUST_MIN_STACK=1000000000 exec \"$@\"";
    let finished = limited(limit, env!("CARGO_BIN_EXE_driven"), target.url(), "-u 64 --workers 64 -d 60").await;
    let summary = finished.stdout.join("\n");
    assert_eq!(finished.code, Some(107), "{summary}\n{}", finished.stderr.join("\n"));
    assert!(summary.contains("NOT STARTED: the workers could not be started: "), "{summary}");
    assert!(summary.contains("64 users for 1m"), "{summary}");
    assert_eq!((finished.said("set up"), finished.said("torn down")), (1, 1), "{:#?}", finished.stderr);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn run_with_very_few_descriptors_is_not_started() {
    let target = sample();
    for most in 4..24 {
        let limit = format!("ulimit -n {most}; exec \"$@\"");
        let finished = limited(&limit, env!("CARGO_BIN_EXE_jobs"), target.url(), "-u 1 -i 1").await;
        let summary = finished.stdout.join("\n");
        match finished.code {
            Some(0 | 96) if most > 8 => {}
            Some(107) => {
                let is_said = summary.starts_with("NOT STARTED: ") && summary.contains("could not be started: ");
                assert!(is_said && summary.contains("Too many open"), "{most}: {summary}");
            }
            code => panic!("{code:?} with {most}: {summary}\n{}", finished.stderr.join("\n")),
        }
    }
}

/// Runs the program at `path` with these flags, through a shell that sets limits.
#[cfg(target_os = "linux")]
async fn limited(limit: &str, path: &str, target: &str, flags: &str) -> Finished {
    let mut command = command("sh");
    command.env("TARGET_URL", target).args(["-c", limit, "sh", path, "run"]).args(flags.split_whitespace());
    Program::spawn(command).finish().await
}

#[tokio::test]
async fn run_without_enough_descriptors_is_invalid() {
    let target = sample();
    let mut command = command("sh");
    command.env("TARGET_URL", target.url()).args(["-c", "ulimit -n 40; exec \"$@\"", "sh"]);
    command.args([env!("CARGO_BIN_EXE_jobs"), "run", "--name", "take half a second", "-u", "200", "-i", "400"]);
    let finished = Program::spawn(command).finish().await;
    let summary = finished.stdout.join("\n");
    assert_eq!(finished.code, Some(96), "{summary}\n{}", finished.stderr.join("\n"));
    assert!(summary.contains("INVALID") && summary.contains("descriptor"), "{summary}");
}

#[tokio::test]
async fn unread_summary_does_not_change_the_run() {
    let target = sample();
    let mut command = command(env!("CARGO_BIN_EXE_jobs"));
    command.env("TARGET_URL", target.url()).args(["run", "--name", "get", "-u", "2", "-i", "50"]);
    let mut program = Program::spawn_unread(command);
    program.close_stdout();
    let finished = program.finish().await;
    assert_eq!((finished.code, finished.said("panicked")), (Some(0), 0), "{:#?}", finished.stderr);
    assert_eq!(target.counter().seen, 50);
}

#[tokio::test]
async fn unread_lines_do_not_change_the_run() {
    let target = sample();
    let mut command = command(env!("CARGO_BIN_EXE_jobs"));
    command.env("TARGET_URL", target.url()).args(["run", "--name", "get", "-u", "2", "-i", "50", "-o", "jsonl=-"]);
    let mut program = Program::spawn_unread(command);
    program.close_stdout();
    let finished = program.finish().await;
    assert_eq!((finished.code, finished.said("panicked")), (Some(0), 0), "{:#?}", finished.stderr);
    assert_eq!((finished.said("stdout is closed"), finished.said("PASSED")), (1, 1), "{:#?}", finished.stderr);
    assert_eq!(target.counter().seen, 50);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn lines_that_cannot_be_written_are_reported() {
    let target = sample();
    let variables = [("TARGET_URL", target.url())];
    for flags in ["-u 2 -i 50", "-u 2 -i 5000"] {
        let arguments: Vec<_> =
            ["run", "--name", "get", "-o", "jsonl=/dev/full"].into_iter().chain(flags.split(' ')).collect();
        let finished = ended(env!("CARGO_BIN_EXE_jobs"), &arguments, &variables).await;
        let summary = finished.stdout.join(" ");
        assert_eq!(finished.code, Some(1), "{summary}\n{:#?}", finished.stderr);
        let lines = if flags.ends_with("5000") { "5,000" } else { "50" };
        let lost = format!("{lines} output lines could not be written to `/dev/full`: No space left on device");
        assert!(summary.replace("  ", "").contains(&format!("PASSED, but {lost}")), "{summary}");
        assert_eq!((finished.said(&lost), finished.said("not read in time")), (1, 0), "{:#?}", finished.stderr);
    }
    let arguments = ["run", "--name", "fail to be a name", "-o", "jsonl=/dev/full", "-i", "5"];
    let finished = ended(env!("CARGO_BIN_EXE_jobs"), &arguments, &variables).await;
    assert_eq!((finished.code, finished.said("written")), (Some(99), 0), "there was nothing to be written");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn lines_written_before_the_disk_is_full_are_whole() {
    let target = sample();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outputs.jsonl");
    // 2,560 bytes in total, which is several times the size of one write.
    let limit = "trap '' XFSZ; ulimit -f 5; exec \"$@\"";
    let flags = format!("--name get -u 2 -i 500 -o jsonl={}", path.display());
    let finished = limited(limit, env!("CARGO_BIN_EXE_jobs"), target.url(), &flags).await;
    assert_eq!(finished.code, Some(1), "{:#?}", finished.stderr);
    let lines = std::fs::read_to_string(&path).unwrap();
    assert!(lines.is_empty() || lines.ends_with('\n'), "{lines}");
    let lost = 500 - lines.lines().map(output).count();
    let said = format!("{lost} output lines could not be written to `{}`: File too large", path.display());
    assert_eq!(finished.said(&said), 1, "{:#?}", finished.stderr);
}

#[tokio::test]
async fn stdout_with_lines_has_nothing_else() {
    let target = sample();
    let arguments = ["run", "--name", "get", "-u", "3", "-i", "100", "-o", "jsonl=-"];
    let finished = ended(env!("CARGO_BIN_EXE_jobs"), &arguments, &[("TARGET_URL", target.url())]).await;
    assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);
    assert_eq!(finished.outputs().len(), 100);
    assert_eq!((finished.said("PASSED"), finished.said("sequenceID")), (1, 0), "{:#?}", finished.stderr);
}

#[tokio::test]
async fn quiet_run_prints_nothing_on_stderr() {
    let target = sample();
    for quiet in ["-q", "--quiet"] {
        let ran = Call::jobs(&target, "get", &format!("-u 2 -i 20 {quiet}")).finish().await;
        ran.assert_ended_with(0, "PASSED");
        assert_eq!(ran.finished.stderr, Vec::<String>::new());
    }
    let told = Call::jobs(&target, "get", "-u 2 -i 20").finish().await;
    assert!(!told.finished.stderr.is_empty());
}

#[tokio::test]
async fn each_user_has_its_own_cookies() {
    let target = sample();
    let ran = Call::driven(&target, "account", "-u 6 --pace 100ms -d 1 --workers 2").finish().await;
    ran.assert_passed();
    let seen = target.counter().routes["/account"];
    assert_eq!((ran.kinds(), ran.of_sequence("account")), ([("200".to_owned(), seen)].into(), seen as usize));
    assert!(seen >= 6, "each has been there");
    assert!(!ran.finished.stdout.join("\n").contains("is told of"), "{:#?}", ran.finished.stdout);
    assert_eq!(target.counter().routes["/login"], 6);
    for user in 0..6 {
        for what in ["comes", "leaves"] {
            assert_eq!(ran.finished.said(&format!("guest-{user} {what}")), 1, "{:#?}", ran.finished.stderr);
        }
    }
}

#[tokio::test]
async fn hooks_run_once_and_are_not_reported() {
    let target = sample();
    let ran = Call::driven(&target, "visit", "-u 4 -i 40 --workers 2").finish().await;
    ran.assert_ended_with(0, "PASSED");
    let said = |part| ran.finished.said(part);
    assert_eq!((said("set up"), said("torn down"), said(" comes"), said(" leaves")), (1, 1, 4, 4));
    let place = |part: &str| ran.finished.stderr.iter().rposition(|line| line.contains(part)).unwrap();
    assert!(place(" leaves") < place("torn down"));
    assert_eq!((ran.outputs.len(), ran.of_sequence("visit")), (40, 40));
    let routes = target.counter().routes;
    assert_eq!((routes["/items"], routes["/login"]), (40 + 2, 4));
}

/// Asserts that 100 triggers, each of which makes its request in another task or thread, have all requests counted.
async fn assert_spawned(job: &str, sequence: &str) {
    let target = sample();
    let ran = Call::driven(&target, job, "-u 20 -i 100 --workers 2").finish().await;
    ran.assert_ended_with(0, "PASSED");
    let routes = target.counter().routes;
    let seen = routes["/items/{id}"] + routes["/account"];
    assert_eq!((seen, ran.of_sequence(sequence), ran.outputs.len()), (100, 100, 100), "{:?}", ran.kinds());
    assert_eq!(ran.kinds(), [("200".to_owned(), 100)].into());
}

#[tokio::test]
async fn requests_of_golo_tasks_are_counted_and_have_the_users_cookies() {
    assert_spawned("spawn ours", "golo").await;
}

#[tokio::test]
async fn requests_of_tokio_tasks_are_counted() {
    assert_spawned("spawn", "tokio").await;
}

#[tokio::test]
async fn requests_of_blocking_tasks_are_counted() {
    assert_spawned("spawn blocking", "blocking").await;
}

#[tokio::test]
async fn requests_of_other_threads_are_counted() {
    assert_spawned("spawn a thread", "thread").await;
}

#[tokio::test]
async fn tasks_left_by_a_trigger_are_cut_off_and_counted() {
    let target = sample();
    let ran = Call::driven(&target, "spawn and leave", "-u 2 -i 10").finish().await;
    // The triggers may pass, but none of the requests does.
    ran.assert_ended_with(99, "FAILED: nothing succeeded: no request ended, ");
    let begun = ran.of_sequence("left") as u64;
    let seen = target.counter().routes["/slow"];
    assert!(seen <= begun && begun <= 10, "{seen} seen, {begun} reported");
    assert!(ran.outputs.iter().all(|output| output.error.as_deref() == Some("cancelled")), "{:?}", ran.kinds());
}

#[tokio::test]
async fn panic_restarts_only_its_user() {
    let target = sample();
    let ran = Call::driven(&target, "panic if odd", "-u 4 --pace 100ms -d 1").finish().await;
    ran.assert_passed();
    assert_eq!(ran.of_sequence("visit") as u64, target.counter().routes["/items"] - 2);
    assert!(ran.finished.stdout.join("\n").contains("is lost"), "{:#?}", ran.finished.stdout);
    for user in [0, 2] {
        assert_eq!(ran.finished.said(&format!("guest-{user} comes")), 1, "{:#?}", ran.finished.stderr);
    }
    // Ten triggers, each with a panic. A start after the last panic is optional.
    assert!((10..=11).contains(&ran.finished.said("guest-1 comes")), "{:#?}", ran.finished.stderr);
}

#[tokio::test]
async fn run_of_a_process_that_stood_still_is_invalid() {
    let frozen = |flags: &'static str| async move {
        let target = sample();
        let running = Call::jobs(&target, "get", flags).spawn();
        until("there is load", || target.counter().seen > 0).await;
        running.program.freeze(Duration::from_millis(1500)).await;
        let ran = running.finish().await;
        ran.assert_ended_with(96, "INVALID");
        ran.finished.assert_stood_still();
    };
    // None of these has several late starts.
    tokio::join!(frozen("-u 2 -d 4"), frozen("-u 2 --pace 3s -d 4"), frozen("-r 15/m -d 4"));
}

/// Runs the jobs under `env` with this option.
#[cfg(target_os = "linux")]
fn run_under_env(option: &str, target: &SampleService, flags: &str) -> Program {
    let mut command = command("env");
    command.env("TARGET_URL", target.url()).args([option, env!("CARGO_BIN_EXE_jobs"), "run", "--name", "get"]);
    command.args(flags.split_whitespace());
    Program::spawn(command)
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn loss_of_the_terminal_stops_the_run() {
    let target = sample();
    let program = run_under_env("--default-signal=HUP", &target, "-u 2 -d 600");
    until("there is load", || target.counter().seen > 20).await;
    program.signal(Signal::HUP);
    let ended = program.finish().await;
    assert_eq!(ended.code, Some(105), "{ended:#?}");
    assert!(ended.stdout[0].starts_with("STOPPED by a signal after"), "{ended:#?}");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn ignored_hangup_remains_ignored() {
    let target = sample();
    let program = run_under_env("--ignore-signal=HUP", &target, "-u 2 -d 1");
    until("there is load", || target.counter().seen > 20).await;
    program.signal(Signal::HUP);
    let ended = program.finish().await;
    assert!(matches!(ended.code, Some(0 | 96)), "{ended:#?}");
    assert!(ended.stdout.join("\n").contains("took         1s, from "), "it ran to its end: {ended:#?}");
}
