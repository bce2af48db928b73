//! Limits of a load test: memory, descriptors, and stderr.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use golo_cli::process::supervisor::{Ended, Limits};

use crate::support::{Running, patient, script, supervisor, within};

#[cfg(target_os = "linux")]
#[tokio::test]
async fn load_test_beyond_its_memory_limit_is_killed() {
    let limit = 64 << 20;
    for text in [
        // `tail` buffers the unfinished line, up to this many bytes.
        "{ head -c 200000000 /dev/zero; sleep 1000; } | tail",
        // No process of 40 MiB exceeds the limit alone. They have left the group.
        "for i in 1 2 3; do { head -c 40000000 /dev/zero; sleep 1000; } | setsid tail & done; wait",
    ] {
        let mut running = Running::start(text, &Limits { memory: Some(limit), ..patient() }).await;
        let ended = within("its end", running.load_test.ended()).await;
        let Ended::OutOfMemory { limit: told, used } = ended else { panic!("{ended}") };
        assert!(told == limit && used > limit, "{ended}");
        assert!(ended.to_string().ends_with("more than its limit of 64.0 MiB, and was killed"), "{ended}");
        running.nothing_is_left();
    }
}

/// A file on a file system in memory that has no name and is not mapped, as `memfd_create` makes them.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn file_in_memory_counts() {
    let name = format!("/dev/shm/golo-test-{}", golo::new_sequence_id());
    let text = format!("exec 3<>{name}; rm {name}; head -c 100000000 /dev/zero >&3; sleep 1000 & wait");
    let mut running = Running::start(&text, &Limits { memory: Some(64 << 20), ..patient() }).await;
    let ended = within("its end", running.load_test.ended()).await;
    // Both processes hold it, and it counts once.
    assert!(matches!(ended, Ended::OutOfMemory { used, .. } if used > 64 << 20 && used < 120 << 20), "{ended}");
    running.nothing_is_left();
}

/// The memory of the first process is that of its children too, until one of them writes to it.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn shared_memory_counts_once() {
    let text = "x=$(head -c 20000000 /dev/zero | tr '\\0' x)
        for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do ( sleep 1; : ) & done; wait; exit 2";
    let mut running = Running::start(text, &Limits { memory: Some(200 << 20), ..patient() }).await;
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(2));
    running.nothing_is_left();
}

#[tokio::test]
async fn load_test_within_its_memory_limit_runs() {
    let mut running = Running::start("sleep 0.5; exit 2", &Limits { memory: Some(1 << 30), ..patient() }).await;
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(2));
    running.nothing_is_left();
}

#[tokio::test]
async fn too_many_descriptors_are_reported_as_the_reason() {
    let limits = Limits { descriptors: Some(12), ..patient() };
    let mut running = Running::start("ulimit -n; ulimit -Hn", &limits).await;
    assert_eq!(running.stdout.line().await, "12");
    assert_eq!(running.stdout.line().await, "12");
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(0));
    running.nothing_is_left();

    let mut running = Running::start("echo 'open: Too many open files (os error 24)' >&2; exit 1", &limits).await;
    let ended = within("its end", running.load_test.ended()).await;
    assert_eq!(ended, Ended::TooManyDescriptors { limit: 12 });
    assert_eq!(ended.to_string(), "the load test failed with too many open descriptors: its limit is 12");
    running.nothing_is_left();
}

#[tokio::test]
async fn descriptor_limit_is_capped_at_the_hard_limit() {
    let limits = Limits { descriptors: Some(u64::MAX / 2), ..patient() };
    let mut running = Running::start("ulimit -n; ulimit -Hn", &limits).await;
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap().to_string();
    assert_eq!([running.stdout.line().await, running.stdout.line().await], [own.clone(), own]);
    within("its end", running.load_test.ended()).await;
    running.nothing_is_left();
}

#[tokio::test]
async fn hundred_megabytes_of_stderr_are_read_and_the_last_lines_kept() {
    let (lines, bytes) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (lines.clone(), bytes.clone());
    let supervisor = supervisor().on_stderr(move |line| {
        counted.0.fetch_add(1, Ordering::Relaxed);
        counted.1.fetch_add(line.len() + 1, Ordering::Relaxed);
    });
    let text = "yes \"$(printf %99s x)\" | head -c 100000000 >&2; echo the end >&2";
    let mut running = Running::of(supervisor.start(&script(text), &patient()).await);
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(0));
    let stderr = running.load_test.stderr();
    assert!((60 << 10..=64 << 10).contains(&stderr.len()), "{}", stderr.len());
    assert!(stderr.ends_with("x\nthe end\n"));
    assert_eq!((lines.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed)), (1_000_001, 100_000_008));
    running.nothing_is_left();
}

#[tokio::test]
async fn stderr_line_of_a_hundred_megabytes_is_cut() {
    let text = "head -c 100000000 /dev/zero >&2; echo >&2; printf 'no end' >&2";
    let mut running = Running::start(text, &patient()).await;
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(0));
    let stderr = running.load_test.stderr();
    assert!(stderr.ends_with("\\u{0}… (99991808 bytes more)\nno end\n"), "{}", stderr.len());
    running.nothing_is_left();
}

#[tokio::test]
async fn stderr_commands_no_terminal() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&lines);
    let supervisor = supervisor().on_stderr(move |line| taken.lock().unwrap().push(line.to_owned()));
    let text = r"printf '\033[1;31mred\033[0m\tand\033]0;title\007 plain\n10%%\r20%%\n\302\2332Jh\303\251\n' >&2";
    let mut running = Running::of(supervisor.start(&script(text), &patient()).await);
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(0));
    let expected = ["red\tand plain", "10%\\r20%", "hé"];
    assert_eq!(*lines.lock().unwrap(), expected);
    assert_eq!(running.load_test.stderr(), expected.join("\n") + "\n");
    running.nothing_is_left();
}
