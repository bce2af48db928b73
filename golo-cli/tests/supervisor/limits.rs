//! What a load test may do: so much memory, so many descriptors, and as much stderr as it likes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use golo_cli::process::supervisor::{Ended, Limits};

use crate::support::{Running, patient, script, supervisor, within};

#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_with_too_much_memory_is_killed() {
    let limit = 64 << 20;
    for text in [
        // `tail` keeps the line whose end does not come, up to this much.
        "{ head -c 200000000 /dev/zero; sleep 1000; } | tail",
        // Of 40 MiB each no one is too much. They have left the group.
        "for i in 1 2 3; do { head -c 40000000 /dev/zero; sleep 1000; } | setsid tail & done; wait",
    ] {
        let mut running = Running::start(text, &Limits { memory: Some(limit), ..patient() }).await;
        let ended = within("its end", running.load_test.ended()).await;
        let Ended::OutOfMemory { limit: told, used } = ended else { panic!("{ended}") };
        assert!(told == limit && used > limit, "{ended}");
        assert!(ended.to_string().ends_with("more than the 64.0 MiB it may have, and was killed"), "{ended}");
        running.nothing_is_left();
    }
}

#[tokio::test]
async fn one_within_its_memory_runs_on() {
    let mut running = Running::start("sleep 0.5; exit 2", &Limits { memory: Some(1 << 30), ..patient() }).await;
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(2));
    running.nothing_is_left();
}

#[tokio::test]
async fn one_with_too_many_descriptors_fails_for_that() {
    let limits = Limits { descriptors: Some(12), ..patient() };
    let mut running = Running::start("ulimit -n; ulimit -Hn", &limits).await;
    assert_eq!(running.stdout.line().await, "12");
    assert_eq!(running.stdout.line().await, "12");
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(0));
    running.nothing_is_left();

    let mut running = Running::start("echo 'open: Too many open files (os error 24)' >&2; exit 1", &limits).await;
    let ended = within("its end", running.load_test.ended()).await;
    assert_eq!(ended, Ended::TooManyDescriptors { limit: 12 });
    assert_eq!(ended.to_string(), "the load test failed with too many descriptors open: it may have 12");
    running.nothing_is_left();
}

#[tokio::test]
async fn descriptors_are_limited_to_no_more_than_there_may_be() {
    let limits = Limits { descriptors: Some(u64::MAX / 2), ..patient() };
    let mut running = Running::start("ulimit -n; ulimit -Hn", &limits).await;
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum.unwrap().to_string();
    assert_eq!([running.stdout.line().await, running.stdout.line().await], [own.clone(), own]);
    within("its end", running.load_test.ended()).await;
    running.nothing_is_left();
}

#[tokio::test]
async fn a_hundred_megabytes_of_lines_are_read_and_their_last_kept() {
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
async fn a_line_of_a_hundred_megabytes_is_cut() {
    let text = "head -c 100000000 /dev/zero >&2; echo >&2; printf 'no end' >&2";
    let mut running = Running::start(text, &patient()).await;
    assert_eq!(within("its end", running.load_test.ended()).await, Ended::Exited(0));
    let stderr = running.load_test.stderr();
    assert!(stderr.ends_with("\0… (99991808 bytes more)\nno end\n"), "{}", stderr.len());
    running.nothing_is_left();
}
