//! Load tests that misbehave: the report stays correct, and no process remains.

use std::time::Duration;

use tokio::time::sleep;

use super::*;

const MUTE: &str = env!("CARGO_BIN_EXE_mute");

/// Returns the number of marked processes with this name.
fn called(mark: &str, name: &str) -> usize {
    let is = |id: &i32| fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|comm| comm.trim() == name);
    marked(mark).iter().filter(|id| is(id)).count()
}

#[tokio::test]
async fn load_test_that_ignores_sigterm_is_killed_after_its_run() {
    let target = sample();
    let folder = tempfile::tempdir().unwrap();
    let path = script(&folder, &format!("trap '' TERM; {JOBS}; sleep 1000")).display().to_string();
    let ran = Call::new(&path, target.url(), "--name get -i 50 --graceful-stop 1s").finish().await;
    ran.assert_ended_with(0, "PASSED: 50 requests, none failed").await;
    assert_eq!((ran.requests(), target.counter().seen), (50, 50));
}

#[tokio::test]
async fn children_outside_the_group_are_ended() {
    let target = sample();
    let folder = tempfile::tempdir().unwrap();
    let text = format!("setsid sh -c 'sleep 1000 & setsid sleep 1000 &'; (setsid sleep 1000 &); exec {JOBS}");
    let path = script(&folder, &text).display().to_string();
    for signal in [Signal::INT, Signal::KILL] {
        let seen = target.counter().seen;
        let (program, folder, mark) = Call::new(&path, target.url(), "--name get -u 2 -d 60").spawn();
        until("there is load", || target.counter().seen > seen).await;
        until("they have started", || called(&mark, "sleep") == 3).await;
        program.signal(signal);
        let ran = Ran { finished: program.finish().await, folder, mark };
        match signal {
            Signal::KILL => until("nothing is left running", || marked(&ran.mark).is_empty()).await,
            _ => ran.assert_ended_with(105, "STOPPED").await,
        }
    }
}

#[tokio::test]
async fn unanswered_triggers_are_interrupted() {
    for load_test in [JOBS, MUTE] {
        let mut call = Call::new(load_test, "", "-u 3 -d 1 --graceful-stop 500ms");
        call.command.args(["--name", "never answer"]);
        let ran = call.finish().await;
        ran.assert_ended_with(99, "FAILED: nothing succeeded: no trigger ended, 3 triggers cut off").await;
        let load = &ran.summary()["load"];
        assert_eq!([&load["due"], &load["done"], &load["interrupted"]], [3, 0, 3], "{load_test}");
    }
}

#[tokio::test]
async fn printed_junk_takes_little_memory() {
    for (job, enough, said) in
        [("print junk", 64, "not an `Output`"), ("print a long line first", 5, "longer than 1 MiB")]
    {
        let target = sample();
        let mut call = Call::new(JOBS, target.url(), "-u 1 -d 60");
        call.command.args(["--name", job]);
        let (program, folder, mark) = call.spawn();
        until("all of it is printed", || target.counter().seen >= enough).await;
        let peak = program.peak_memory();
        assert!(peak < 96 << 20, "{job}: {} MiB", peak >> 20);
        program.signal(Signal::INT);
        let ran = Ran { finished: program.finish().await, folder, mark };
        ran.assert_ended_with(105, said).await;
        assert_eq!((ran.requests(), ran.lines()), (target.counter().seen, target.counter().seen), "{job}");
    }
}

#[tokio::test]
async fn load_test_beyond_its_memory_limit_is_killed_and_reported() {
    let target = sample();
    let mut call = Call::new(JOBS, target.url(), "-u 1 -d 60 --max-memory 250MiB --drive trigger");
    call.command.args(["--name", "take memory after twenty"]);
    let ran = call.finish().await;
    ran.assert_ended_with(107, "DIED after").await;
    let summary = ran.summary();
    let verdict = summary["verdict"]["text"].as_str().unwrap();
    let reason = "more than its limit of 250.0 MiB, and was killed; also: 1 of 21 triggers cut off";
    assert!(verdict.ends_with(reason), "{verdict}");
    let load = &summary["load"];
    assert_eq!([&load["due"], &load["done"], &load["interrupted"]], [21, 20, 1], "none fails because it is gone");
    assert_eq!(target.counter().seen, 20);
    assert!(ran.requests() > 0 && ran.requests() <= 20, "{}", ran.requests());
}

#[tokio::test]
async fn limits_apply_before_the_load_test_serves() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(&folder, "{ head -c 200000000 /dev/zero; sleep 1000; } | tail").display().to_string();
    let ran = Call::new(&path, "", "-d 1 --max-memory 64M").finish().await;
    ran.assert_ended_with(107, "more than its limit of 64.0 MiB").await;

    let path = script(&folder, "ulimit -n; ulimit -n >&2; exit 1").display().to_string();
    let mut call = Call::new(&path, "", "-d 1");
    call.command.env("GOLO_MAX_DESCRIPTORS", "77");
    call.finish().await.assert_ended_with(107, "last line of stderr: 77").await;

    for (flag, said) in [
        ("--max-memory=0", "expected a number of bytes above 0"),
        ("--max-memory=2XB", "expected a number of bytes above 0"),
        ("--max-descriptors=0", "0 is not in"),
    ] {
        Call::new(&path, "", flag).finish().await.assert_ended_with(104, said).await;
    }
}

#[tokio::test]
async fn signal_ends_the_wait_for_a_load_test_that_never_listens() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(&folder, "sleep 1000").display().to_string();
    let (program, folder, mark) = Call::new(&path, "", "-d 1").spawn();
    until("it runs", || called(&mark, "sleep") == 1).await;
    program.signal(Signal::INT);
    let ran = Ran { finished: program.finish().await, folder, mark };
    ran.assert_ended_with(105, "giving up waiting for the load test").await;
    assert_eq!(ran.requests(), 0);
}

#[tokio::test]
async fn standstill_of_golo_or_of_the_load_test_makes_the_run_invalid() {
    let time = Duration::from_millis(1500);
    for way in WAYS {
        for is_golo in [true, false] {
            let target = sample();
            let (program, folder, mark) = Call::new(JOBS, target.url(), &format!("-u 2 -d 4 --drive {way}")).spawn();
            until("there is load", || target.counter().seen > 20).await;
            if is_golo {
                program.freeze(time).await;
            } else {
                let load_test = running(&mark, JOBS);
                load_test.iter().for_each(|id| signal(*id, Signal::STOP));
                sleep(time).await;
                load_test.iter().for_each(|id| signal(*id, Signal::CONT));
            }
            let ran = Ran { finished: program.finish().await, folder, mark };
            ran.assert_ended_with(96, "INVALID").await;
            ran.finished.assert_stood_still();
            let length = number(&ran.summary(), "/load/standstill/length");
            assert!(length > 1_000_000_000, "{way}, {is_golo}: {length}");
        }
    }
}
