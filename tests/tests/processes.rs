//! Load tests as processes: start, end, output, and robustness.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::collections::HashSet;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use golo_tests::{Finished, Program, Signal, command, connect, context, job, output, trigger, until, within};
use sample_service::SampleService;
use tokio::{net::TcpStream, process::Command, task::JoinSet};
use tonic::transport::Channel;

/// Upper bound for something that should happen immediately. It is shorter than any grace or time limit that could hide
/// a hang.
const AT_ONCE: Duration = Duration::from_secs(20);

fn jobs(target: &SampleService) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_jobs"));
    command.env("TARGET_URL", target.url());
    command
}

fn hooks(arguments: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_hooks"));
    command.args(arguments);
    command
}

async fn run(command: Command) -> Finished {
    Program::spawn(command).finish().await
}

/// Triggers from `workers` tasks until the load test has ended. Returns the IDs of all answered triggers.
async fn hammer(channel: Channel, workers: u64, answered: Arc<AtomicU64>) -> Vec<String> {
    let mut hammering = JoinSet::new();
    for user in 0..workers {
        let (channel, answered) = (channel.clone(), Arc::clone(&answered));
        hammering.spawn(async move {
            let mut ids = Vec::new();
            while let Ok(response) = trigger(&channel, job("get")).await {
                assert!(!response.error, "{user}: {}", response.output);
                ids.push(response.id);
                answered.fetch_add(1, SeqCst);
            }
            ids
        });
    }
    hammering.join_all().await.concat()
}

fn ids(finished: &Finished) -> Vec<String> {
    finished.outputs().iter().map(|output| output["sequenceID"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn signal_under_load_loses_no_output() {
    for signal in [Signal::TERM, Signal::INT] {
        let target = sample_service::start().unwrap();
        let program = Program::serve(jobs(&target)).await;
        let answered = Arc::new(AtomicU64::new(0));
        let hammering = tokio::spawn(hammer(connect(&program.address).await, 64, Arc::clone(&answered)));
        until("there is load", || answered.load(SeqCst) >= 300).await;
        program.signal(signal);
        let finished = program.finish().await;
        assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);

        let answered = within("the clients", hammering).await.unwrap();
        let lines = ids(&finished);
        let different: HashSet<_> = lines.iter().collect();
        assert_eq!(different.len(), lines.len(), "one line for each request");
        assert!(answered.len() >= 300);
        for id in &answered {
            assert!(different.contains(id), "no line for {id}");
        }
    }
}

#[tokio::test]
async fn trigger_in_flight_may_finish_after_a_signal() {
    let target = sample_service::start().unwrap();
    let program = Program::serve(jobs(&target)).await;
    let channel = connect(&program.address).await;
    let in_flight = tokio::spawn(async move { trigger(&channel, job("take half a second")).await });
    until("the target sees it", || target.counter().seen == 1).await;
    let finished = program.stop().await;
    let response = in_flight.await.unwrap().unwrap();
    assert!(!response.error, "{}", response.output);
    assert_eq!(finished.code, Some(0));
    assert_eq!(ids(&finished), [response.id]);
    assert_eq!(finished.outputs()[0]["error"], serde_json::Value::Null);
}

/// Starts `count` triggers that hang in the program.
async fn hang(program: &Program, target: &SampleService, count: u64) -> JoinSet<()> {
    let channel = connect(&program.address).await;
    let mut hanging = JoinSet::new();
    for _ in 0..count {
        let channel = channel.clone();
        hanging.spawn(async move {
            assert!(trigger(&channel, job("hang")).await.is_err(), "cut off, so never answered");
        });
    }
    until("the target sees them all", || target.counter().seen == count).await;
    hanging
}

fn assert_cancelled(finished: &Finished, count: usize) {
    assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);
    let outputs = finished.outputs();
    assert_eq!(outputs.len(), count);
    for output in outputs {
        assert_eq!((&output["error"], &output["status"]), (&"cancelled".into(), &0.into()));
    }
}

#[tokio::test]
async fn second_signal_cuts_off_triggers() {
    for signals in [[Signal::TERM, Signal::TERM], [Signal::INT, Signal::INT], [Signal::TERM, Signal::INT]] {
        let target = sample_service::start().unwrap();
        let mut program = Program::serve(jobs(&target)).await;
        let hanging = hang(&program, &target, 5).await;
        let started = Instant::now();
        program.signal(signals[0]);
        program.stderr.wait_for("a second signal cuts them off").await;
        program.signal(signals[1]);
        assert_cancelled(&program.finish().await, 5);
        assert!(started.elapsed() < AT_ONCE);
        hanging.join_all().await;
    }
}

#[tokio::test]
async fn triggers_are_cut_off_after_the_grace() {
    let target = sample_service::start().unwrap();
    for by_flag in [true, false] {
        target.reset_counter();
        let mut command = jobs(&target);
        if by_flag {
            command.args(["--graceful-stop", "300ms"]).env("GOLO_GRACEFUL_STOP", "1h");
        } else {
            command.env("GOLO_GRACEFUL_STOP", "0.3");
        }
        let program = Program::serve(command).await;
        let hanging = hang(&program, &target, 3).await;
        let started = Instant::now();
        let finished = program.stop().await;
        assert!(started.elapsed() >= Duration::from_millis(300), "what runs may finish until the grace ends");
        assert!(started.elapsed() < AT_ONCE);
        assert_cancelled(&finished, 3);
        assert_eq!(finished.said("cut off the triggers still in flight"), 1, "{:#?}", finished.stderr);
        hanging.join_all().await;
    }
}

#[tokio::test]
async fn silent_connection_does_not_delay_the_end() {
    let target = sample_service::start().unwrap();
    let program = Program::serve(jobs(&target)).await;
    let _silent = TcpStream::connect(&program.address).await.unwrap();
    let channel = connect(&program.address).await;
    assert!(!trigger(&channel, job("get")).await.unwrap().error);
    let started = Instant::now();
    assert_eq!(program.stop().await.code, Some(0));
    assert!(started.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn taken_port_is_reported_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = run(hooks(&["--addr", &address, "-e", "SETUP=hangs"])).await;
    assert_eq!((finished.code, finished.stdout.len()), (Some(104), 0));
    let expected = format!(
        "golo: `{address}` is already in use; stop the process that listens there, or set another address with `--addr`"
    );
    assert_eq!(finished.stderr, [expected]);
}

#[tokio::test]
async fn address_of_another_machine_is_refused() {
    let finished = run(hooks(&["--addr", "192.0.2.1:9999"])).await;
    assert_eq!((finished.code, finished.stdout.len(), finished.stderr.len()), (Some(104), 0, 1));
    assert_eq!(finished.said("cannot listen on 192.0.2.1:9999: "), 1, "{:#?}", finished.stderr);
}

#[tokio::test]
async fn unix_socket_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("load test.sock");
    let address = format!("unix:{}", path.display());
    let owner = Program::serve(hooks(&["--addr", &address])).await;
    assert_eq!(owner.address, address);

    let second = run(hooks(&["serve", "--addr", &address])).await;
    assert_eq!((second.code, second.stdout.len(), second.stderr.len()), (Some(104), 0, 1));
    assert_eq!(second.said(&format!("`{address}` is already in use")), 1, "{:#?}", second.stderr);

    let channel = connect(&address).await;
    assert!(!trigger(&channel, job("hooks")).await.unwrap().error);
    assert_eq!(owner.stop().await.code, Some(0));
    assert!(!path.exists(), "the socket's file goes with its owner");
}

#[tokio::test]
async fn dead_unix_socket_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dead.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "what a process leaves when it dies");
    let address = format!("unix:{}", path.display());
    let program = Program::serve(hooks(&["--addr", &address])).await;
    let channel = connect(&address).await;
    assert!(!trigger(&channel, job("hooks")).await.unwrap().error);
    assert_eq!(program.stop().await.code, Some(0));
    assert!(!path.exists());
}

#[tokio::test]
async fn regular_file_at_the_socket_path_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "precious").unwrap();
    let finished = run(hooks(&["--addr", &format!("unix:{}", path.display())])).await;
    assert_eq!((finished.code, finished.stdout.len()), (Some(104), 0), "{:#?}", finished.stderr);
    let [reason] = &finished.stderr[..] else { panic!("{:#?}", finished.stderr) };
    assert!(reason.contains("notes.txt") && reason.ends_with("the file exists and is not a socket"), "{reason}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn invalid_command_line_exits_with_104() {
    for (arguments, named) in [
        (&["--no-such-flag"][..], "--no-such-flag"),
        (&["no-such-call"], "no-such-call"),
        (&["--addr", "nowhere"], "nowhere"),
        (&["--addr", "unix:"], "unix:"),
        (&["--graceful-stop", "soon"], "soon"),
        (&["serve", "--graceful-stop", "-1"], "-1"),
        (&["-e", "KEY"], "KEY=VALUE"),
        (&["once", "--addr", "127.0.0.1:0"], "--addr"),
    ] {
        let mut command = hooks(&["-e", "SETUP=hangs"][..if arguments[0].starts_with('-') { 2 } else { 0 }]);
        command.args(arguments);
        let finished = run(command).await;
        assert_eq!((finished.code, finished.stdout.len()), (Some(104), 0), "{arguments:?}: {:#?}", finished.stderr);
        assert!(finished.said(named) > 0, "{arguments:?}: {:#?}", finished.stderr);
    }
    for (variable, value) in [("GOLO_ADDR", "nowhere"), ("GOLO_GRACEFUL_STOP", "soon")] {
        let mut command = hooks(&[]);
        command.env(variable, value);
        let finished = run(command).await;
        assert_eq!((finished.code, finished.stdout.len()), (Some(104), 0), "{variable}");
        assert_eq!(finished.said(&format!("`{variable}` is `{value}`: ")), 1, "{:#?}", finished.stderr);
        let mut command = hooks(&["once"]);
        command.env(variable, value);
        assert_eq!(run(command).await.code, Some(0), "{variable} is none of its concern");
    }
}

#[tokio::test]
async fn empty_variable_counts_as_unset() {
    let mut command = hooks(&["--addr", "127.0.0.1:0"]);
    command.env("GOLO_ADDR", "").env("GOLO_GRACEFUL_STOP", "");
    assert_eq!(Program::serve(command).await.stop().await.code, Some(0));

    // The address is checked first.
    let mut command = hooks(&[]);
    command.env("GOLO_ADDR", "").env("GOLO_GRACEFUL_STOP", "soon");
    let finished = run(command).await;
    assert_eq!(finished.code, Some(104), "{:#?}", finished.stderr);
    assert_eq!((finished.said("GOLO_ADDR"), finished.said("GOLO_GRACEFUL_STOP")), (0, 1), "{:#?}", finished.stderr);

    let mut command = hooks(&["once"]);
    command.env("GOLO_NAME", "");
    let finished = run(command).await;
    let response: serde_json::Value = serde_json::from_str(&finished.stdout[0]).unwrap();
    assert_eq!((finished.code, &response["jobName"]), (Some(0), &"hooks".into()));
}

#[tokio::test]
async fn help_and_version_run_no_hooks() {
    for trouble in ["SETUP=fails", "SETUP=hangs", "CLIENT=fails"] {
        for arguments in [&["--help"][..], &["-h"], &["--version"], &["-V"]] {
            let mut command = hooks(&["-e", trouble]);
            command.args(arguments);
            let finished = run(command).await;
            assert_eq!((finished.code, finished.stderr.len()), (Some(0), 0), "{arguments:?}: {:#?}", finished.stderr);
            assert!(finished.stdout.iter().any(|line| line.contains("hooks")), "{:#?}", finished.stdout);
        }
    }
    let help = run(hooks(&["--help"])).await.stdout.join("\n");
    for word in ["serve", "once", "--addr", "GOLO_ADDR", golo::RPC_ADDR, "--graceful-stop", "--env"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert_eq!(run(hooks(&["once", "--help"])).await.code, Some(0));
    let version = run(hooks(&["--version"])).await.stdout.join("\n");
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

#[tokio::test]
async fn failed_setup_or_client_exits_with_107() {
    for (trouble, reason) in [
        ("SETUP=fails", "`setup` failed: invalid digit found in string"),
        ("SETUP=panics", "`setup` failed: panicked: SETUP is out of order"),
        ("CLIENT=fails", "the HTTP client could not be built: the certificate has expired"),
    ] {
        for call in ["serve", "once"] {
            let finished = run(hooks(&[call, "-e", trouble])).await;
            assert_eq!((finished.code, finished.stdout.len()), (Some(107), 0), "{call}: {:#?}", finished.stderr);
            assert_eq!(finished.said(&format!("golo: {reason}")), 1, "{call}: {:#?}", finished.stderr);
            assert_eq!(finished.said("serving golo.Job"), 0);
        }
    }
}

#[tokio::test]
async fn failed_teardown_exits_with_1() {
    for (trouble, reason) in [
        ("TEARDOWN=fails", "`teardown` failed: invalid digit found in string"),
        ("TEARDOWN=panics", "`teardown` failed: panicked: TEARDOWN is out of order"),
    ] {
        let served = Program::serve(hooks(&["-e", trouble])).await.stop().await;
        let once = run(hooks(&["once", "-e", trouble])).await;
        let [printed] = &once.stdout[..] else { panic!("{:#?}", once.stdout) };
        let response: serde_json::Value = serde_json::from_str(printed).unwrap();
        assert_eq!((&response["jobName"], &response["error"]), (&"hooks".into(), &false.into()), "the trigger passed");
        for finished in [served, once] {
            assert_eq!(finished.code, Some(1));
            assert_eq!(finished.said(&format!("golo: {reason}")), 1, "{:#?}", finished.stderr);
        }
    }
}

#[tokio::test]
async fn hanging_hooks_do_not_block_the_end() {
    let started = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let program = Program::spawn(hooks(&["--addr", &format!("unix:{}", path.display()), "-e", "SETUP=hangs"]));
    until("it listens for signals", || path.exists()).await;
    assert_eq!(program.stop().await.code, Some(0));
    assert!(!path.exists());

    let grace = ["--graceful-stop", "100ms", "-e", "TEARDOWN=hangs"];
    let finished = Program::serve(hooks(&grace)).await.stop().await;
    assert_eq!((finished.code, finished.said("cut off `teardown`")), (Some(0), 1), "{:#?}", finished.stderr);

    let mut program = Program::serve(hooks(&["-e", "TEARDOWN=hangs"])).await;
    program.signal(Signal::INT);
    program.stderr.wait_for("a second signal").await;
    program.insist(Signal::INT).await;
    assert_eq!(program.finish().await.code, Some(0));
    assert!(started.elapsed() < AT_ONCE);
}

#[tokio::test]
async fn once_prints_only_its_response_on_stdout() {
    let target = sample_service::start().unwrap();
    let mut command = jobs(&target);
    command.arg("once");
    let finished = run(command).await;
    assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);
    let [printed] = &finished.stdout[..] else { panic!("{:#?}", finished.stdout) };
    let response: serde_json::Value = serde_json::from_str(printed).unwrap();
    assert_eq!(
        (&response["jobName"], &response["error"], &response["output"]),
        (&"jobs".into(), &false.into(), &"".into())
    );
    assert_eq!(response["tags"], serde_json::json!([]));
    assert!(response["duration"].as_u64().unwrap() > 0);
    let [line] = &finished.stderr[..] else { panic!("{:#?}", finished.stderr) };
    let output = output(line);
    assert_eq!((&output["sequenceID"], &output["status"], &output["size"]), (&response["id"], &200.into(), &12.into()));
    assert_eq!(output["url"], target.url());
    assert_eq!(target.counter().seen, 1);
}

#[tokio::test]
async fn once_exits_with_1_if_its_trigger_fails() {
    let target = sample_service::start().unwrap();
    for (name, reason) in [
        ("fail", "out of stock"),
        ("panic with a literal", "panicked: out of stock"),
        ("no such thing", "nothing is called no such thing"),
    ] {
        let mut command = jobs(&target);
        command.args(["once", "--name", name]);
        let finished = run(command).await;
        assert_eq!((finished.code, finished.stdout.len()), (Some(1), 1), "{:#?}", finished.stderr);
        let response: serde_json::Value = serde_json::from_str(&finished.stdout[0]).unwrap();
        assert_eq!((&response["error"], &response["output"]), (&true.into(), &reason.into()));
        assert_eq!(response["jobName"], name);
    }
}

#[tokio::test]
async fn interrupted_once_exits_with_105() {
    for signal in [Signal::INT, Signal::TERM] {
        let target = sample_service::start().unwrap();
        let mut command = jobs(&target);
        command.args(["once", "--name", "hang"]);
        let program = Program::spawn(command);
        until("the target sees it", || target.counter().seen == 1).await;
        program.signal(signal);
        let finished = program.finish().await;
        assert_eq!((finished.code, finished.stdout.len()), (Some(105), 0), "{:#?}", finished.stderr);
        assert_eq!(finished.said(r#""error":"cancelled""#), 1, "{:#?}", finished.stderr);
        assert_eq!(finished.said("stopped by a signal"), 1);
    }
}

#[tokio::test]
async fn panic_fails_only_its_trigger() {
    let target = sample_service::start().unwrap();
    let program = Program::serve(jobs(&target)).await;
    let channel = connect(&program.address).await;
    let others: Vec<_> = (0..8)
        .map(|_| {
            let channel = channel.clone();
            tokio::spawn(async move { trigger(&channel, job("take half a second")).await.unwrap() })
        })
        .collect();
    until("the target sees them", || target.counter().seen == 8).await;
    for (name, reason) in [
        ("panic with a literal", "panicked: out of stock"),
        ("panic with a string", "panicked: 7 out of stock"),
        ("panic with a number", "panicked with a payload that is not text"),
    ] {
        let response = trigger(&channel, context(name, 1, 7)).await.unwrap();
        assert_eq!((response.error, &*response.output), (true, reason));
        assert_eq!((&*response.job_name, response.id.len()), (name, 36));
    }
    for other in others {
        let response = other.await.unwrap();
        assert!(!response.error, "{}", response.output);
    }
    assert!(!trigger(&channel, context("get", 1, 8)).await.unwrap().error, "and the user goes on");
    let finished = program.stop().await;
    assert_eq!((finished.code, finished.outputs().len()), (Some(0), 9));
}

#[tokio::test]
async fn closed_stdout_does_not_stop_the_load_test() {
    let target = sample_service::start().unwrap();
    let mut program = Program::spawn_unread(jobs(&target)).serving().await;
    program.close_stdout();
    let channel = connect(&program.address).await;
    for _ in 0..2 {
        for _ in 0..50 {
            assert!(!trigger(&channel, job("get")).await.unwrap().error);
        }
        if target.counter().seen == 50 {
            program.stderr.wait_for("golo: stdout is closed").await;
        }
    }
    let finished = program.stop().await;
    assert_eq!(finished.code, Some(0));
    assert_eq!(finished.said("stdout is closed"), 1, "{:#?}", finished.stderr);
    assert_eq!(finished.said("lost"), 0, "{:#?}", finished.stderr);
}

/// Number of lines printed by the job `flood`.
#[cfg(target_os = "linux")]
const FLOOD: usize = 1000;

#[cfg(target_os = "linux")]
#[tokio::test]
async fn stalled_reader_makes_load_tests_wait() {
    const TRIGGERS: u64 = 64;
    let target = sample_service::start().unwrap();
    let mut program = Program::spawn_unread(jobs(&target)).serving().await;
    let channel = connect(&program.address).await;
    assert!(!trigger(&channel, job("get")).await.unwrap().error);
    let before = program.peak_memory();

    let answered = Arc::new(AtomicU64::new(0));
    let mut flooding = JoinSet::new();
    for iteration in 0..TRIGGERS {
        let (channel, answered) = (channel.clone(), Arc::clone(&answered));
        flooding.spawn(async move {
            assert!(!trigger(&channel, context("flood", iteration, iteration)).await.unwrap().error);
            answered.fetch_add(1, SeqCst);
        });
    }
    program.rest().await;
    let memory = program.peak_memory() - before;
    assert!(memory < 24 << 20, "{memory} bytes, of some 50 MB of lines");
    assert!(answered.load(SeqCst) < TRIGGERS / 2, "{} were answered", answered.load(SeqCst));

    program.read();
    flooding.join_all().await;
    let finished = program.stop().await;
    assert_eq!(finished.code, Some(0));
    let mut next = [0; TRIGGERS as usize];
    for line in finished.stdout.iter().skip(1) {
        assert!(line.starts_with(r#"{"sequenceID":""#) && line.ends_with("\"}"), "{line}");
        let (_, url) = line.split_once(r#""url":""#).unwrap();
        let (place, _) = url.split_once(' ').unwrap();
        let (iteration, step) = place.split_once('/').unwrap();
        let next = &mut next[iteration.parse::<usize>().unwrap()];
        assert_eq!(step.parse(), Ok(*next), "in order, and none missing");
        *next += 1;
    }
    assert_eq!(next, [FLOOD; TRIGGERS as usize]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn reader_that_never_resumes_does_not_block_the_end() {
    let target = sample_service::start().unwrap();
    let mut command = jobs(&target);
    command.args(["--graceful-stop", "200ms"]);
    let program = Program::spawn_unread(command).serving().await;
    let channel = connect(&program.address).await;
    let flooding: Vec<_> = (0..8)
        .map(|iteration| {
            let channel = channel.clone();
            tokio::spawn(async move { trigger(&channel, context("flood", iteration, iteration)).await })
        })
        .collect();
    program.rest().await;
    let started = Instant::now();
    let finished = program.stop().await;
    assert!(started.elapsed() < AT_ONCE);
    assert_eq!(finished.code, Some(0));
    assert!(!finished.stdout.is_empty(), "what fitted into the pipe");
    finished.outputs();
    assert_eq!(finished.said("output lines were lost"), 1, "{:#?}", finished.stderr);
    let lost = finished.stderr.iter().find_map(|line| {
        line.strip_prefix("golo: ")?.strip_suffix(" output lines were lost: they were not read in time")?.parse().ok()
    });
    let lost: usize = lost.expect("how many");
    assert!(lost > FLOOD && lost + finished.stdout.len() <= 8 * FLOOD, "{lost} lost, {} read", finished.stdout.len());
    for flooding in flooding {
        let _ = within("an answer", flooding).await.unwrap();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn full_disk_makes_load_tests_wait() {
    let target = sample_service::start().unwrap();
    let mut command = jobs(&target);
    command.args(["--graceful-stop", "200ms"]);
    command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let mut program = Program::spawn(command).serving().await;
    let channel = connect(&program.address).await;
    let got = trigger(&channel, job("get")).await.unwrap();
    assert!(!got.error, "{}", got.output);
    program.stderr.wait_for("output lines cannot be written").await;
    let answered = Arc::new(AtomicU64::new(0));
    let flooding: Vec<_> = (0..8)
        .map(|iteration| {
            let (channel, answered) = (channel.clone(), Arc::clone(&answered));
            tokio::spawn(async move {
                if trigger(&channel, context("flood", iteration, iteration)).await.is_ok() {
                    answered.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    program.rest().await;
    assert!(answered.load(SeqCst) < 4, "6 MB of lines do not fit into memory");
    let started = Instant::now();
    let finished = program.stop().await;
    assert!(started.elapsed() < AT_ONCE);
    assert_eq!(finished.code, Some(0));
    assert_eq!(finished.said("output lines cannot be written"), 1, "{:#?}", finished.stderr);
    assert_eq!(finished.said("output lines were lost"), 1, "{:#?}", finished.stderr);
    for flooding in flooding {
        within("an answer", flooding).await.unwrap();
    }
}

#[tokio::test]
async fn output_lines_stay_whole_among_other_prints() {
    const TRIGGERS: u64 = 300;
    let target = sample_service::start().unwrap();
    let program = Program::serve(jobs(&target)).await;
    let channel = connect(&program.address).await;
    let mut printing = JoinSet::new();
    for iteration in 0..TRIGGERS {
        let channel = channel.clone();
        printing.spawn(async move { trigger(&channel, context("print", iteration % 32, iteration)).await.unwrap() });
    }
    let responses = printing.join_all().await;
    assert!(responses.iter().all(|response| !response.error), "{responses:#?}");
    let finished = program.stop().await;
    assert_eq!(finished.code, Some(0));

    let (lines, own): (Vec<_>, Vec<_>) = finished.stdout.iter().partition(|line| line.starts_with('{'));
    let mut counts = std::collections::HashMap::new();
    for line in lines {
        *counts.entry(output(line)["sequenceID"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(counts.len() as u64, TRIGGERS);
    assert!(counts.values().all(|&count| count == 2));
    let expected: HashSet<_> =
        (0..TRIGGERS).flat_map(|i| ["before", "between", "after"].map(|word| format!("{word} {i}"))).collect();
    assert_eq!(own.len(), expected.len());
    assert_eq!(own.into_iter().cloned().collect::<HashSet<_>>(), expected);
}

#[tokio::test]
async fn requests_of_spawned_tasks_are_printed() {
    let target = sample_service::start().unwrap();
    let mut program = Program::serve(jobs(&target)).await;
    let channel = connect(&program.address).await;
    let response = trigger(&channel, job("spawn")).await.unwrap();
    assert!(!response.error, "{}", response.output);
    let mut urls = Vec::new();
    while urls.len() < 3 {
        let output = output(&program.stdout.next().await.unwrap());
        assert_eq!(output["sequenceID"], response.id);
        urls.push(output["url"].as_str().unwrap().to_owned());
    }
    urls.sort();
    assert_eq!(urls, [1, 2, 3].map(|item| target.url_of(&format!("items/{item}"))));
    assert_eq!(program.stop().await.stdout.len(), 3);
}

#[tokio::test]
async fn lines_appear_while_the_process_runs() {
    let target = sample_service::start().unwrap();
    let mut program = Program::serve(jobs(&target)).await;
    let channel = connect(&program.address).await;
    for _ in 0..3 {
        let response = trigger(&channel, job("get")).await.unwrap();
        let answered = Instant::now();
        let line = program.stdout.next().await.unwrap();
        assert_eq!(output(&line)["sequenceID"], response.id);
        assert!(answered.elapsed() < Duration::from_secs(5), "100 ms, but for a busy machine");
    }
    assert_eq!(program.stop().await.code, Some(0));
}

#[tokio::test]
async fn address_flag_takes_precedence_over_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| format!("unix:{}", folder.path().join(name).display()));
    let mut command = hooks(&[]);
    command.env("GOLO_ADDR", &first);
    let program = Program::serve(command).await;
    assert_eq!(program.address, first);
    assert_eq!(program.stop().await.code, Some(0));

    let mut command = hooks(&["serve", "--addr", &second]);
    command.env("GOLO_ADDR", &first);
    let program = Program::serve(command).await;
    assert_eq!(program.address, second);
    assert!(!trigger(&connect(&second).await, job("hooks")).await.unwrap().error);
    assert_eq!(program.stop().await.code, Some(0));
}

#[tokio::test]
async fn parameters_take_precedence_over_the_environment() {
    let target = sample_service::start().unwrap();
    for (arguments, expected) in [
        (&["-e", "KEY=a=b", "-e", "OTHER=c"][..], "a=b"),
        (&["--env", "KEY=first", "--env", "KEY=last"], "last"),
        (&["serve", "-e", "KEY="], ""),
        (&[], "environment"),
    ] {
        let mut command = jobs(&target);
        command.args(arguments).env("KEY", "environment");
        let program = Program::serve(command).await;
        let response = trigger(&connect(&program.address).await, job("tell the parameter")).await.unwrap();
        assert_eq!(response.tags[0].value, expected, "{arguments:?}");
        assert_eq!(program.stop().await.code, Some(0));
    }
}

#[tokio::test]
async fn plain_http_needs_no_ca_certificates() {
    let target = sample_service::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut command = jobs(&target);
    command.arg("once");
    command.env("SSL_CERT_FILE", folder.path().join("none.pem")).env("SSL_CERT_DIR", folder.path().join("none"));
    let finished = run(command).await;
    assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);
    assert_eq!(target.counter().statuses["2xx"], 1);
    #[cfg(target_os = "linux")]
    assert_eq!(finished.said("no CA certificates"), 1, "{:#?}", finished.stderr);
}

#[tokio::test]
async fn ten_thousand_triggers_print_one_line_each() {
    const TRIGGERS: u64 = 10_000;
    let target = sample_service::start().unwrap();
    let program = Program::serve(jobs(&target)).await;
    let channel = connect(&program.address).await;
    let next = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..64 {
        let (channel, next) = (channel.clone(), Arc::clone(&next));
        clients.spawn(async move {
            let mut ids = Vec::new();
            while next.fetch_add(1, SeqCst) < TRIGGERS {
                let response = trigger(&channel, job("get")).await.unwrap();
                assert_eq!((response.error, &*response.job_name), (false, "get"));
                ids.push(response.id);
            }
            ids
        });
    }
    let answered: HashSet<_> = clients.join_all().await.concat().into_iter().collect();
    assert_eq!(answered.len() as u64, TRIGGERS, "ids are all different");
    let finished = program.stop().await;
    assert_eq!(finished.code, Some(0));
    let lines = ids(&finished);
    assert_eq!(lines.len() as u64, TRIGGERS);
    assert_eq!(lines.into_iter().collect::<HashSet<_>>(), answered);
    assert_eq!(target.counter().seen, TRIGGERS);
}
