//! Memory use of a process with users that wait most of the time.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::compare::Target;
use crate::hello::{Hello, answered};
use crate::{Options, Size};

/// Measures 1 user and 10,000 users. A smoke run uses fewer.
pub(crate) fn compare(size: Size, options: &Options) {
    println!("\nidle users, one request each 10 s: resident memory of the process");
    let target = Target::start(options.url.as_deref());
    let hello = options.hello(&target.url);
    let (users, pace, moments): (_, _, &[u64]) =
        if size.counted > 0 { (10_000, "10s", &[10, 19]) } else { (100, "1s", &[1]) };
    let one = show("1 user", &hello, 1, "1s", "", &moments[..1]);
    let connected = show(&format!("{users} users"), &hello, users, pace, "", moments);
    println!("  {:<32}{:>7.0} bytes", "each of them, connected", (connected - one) * 1024.0 / users as f64);
    show("… without mimalloc", &hello.with(size, "hello-plain", ""), users, pace, "", moments);
}

/// Measures 100,000 users too, and the memory per user. The comparison makes the same number of requests per second
/// with a tenth of the users.
pub(crate) fn compare_many(size: Size, options: &Options) {
    compare(size, options);
    let target = Target::start(options.url.as_deref());
    let hello = options.hello(&target.url);
    // So many connections need more descriptors than most machines allow.
    let shared = "--connections shared";
    let few = show("10,000, pace 1s, shared", &hello, 10_000, "1s", shared, &[15, 30]);
    let many = show("100,000, pace 10s, shared", &hello, 100_000, "10s", shared, &[15, 30]);
    println!("  {:<32}{:>7.0} bytes, connections and all", "each of 100,000", many * 1024.0 / 100_000.0);
    println!("  {:<32}{:>7.0} bytes", "each more at the same rate", (many - few) * 1024.0 / 90_000.0);
}

/// Runs until one second after the last of `moments`. Returns the resident memory in KiB at that last moment.
fn show(name: &str, hello: &Hello, users: u64, pace: &str, flags: &str, moments: &[u64]) -> f64 {
    let last = moments.last().copied().unwrap_or(0);
    let mut run = hello.command(&format!("-u {users} --pace {pace} -d {}s {flags}", last + 1));
    let started = Instant::now();
    let process = run.spawn().expect("it starts");
    let mut resident = 0.0;
    let mut text = String::new();
    for moment in moments {
        std::thread::sleep(Duration::from_secs(*moment).saturating_sub(started.elapsed()));
        resident = kibibytes(&process, "VmRSS:");
        text += &format!("{:>7.1} MB after {moment} s", resident * 1.024 / 1e3);
    }
    let peak = kibibytes(&process, "VmHWM:") * 1.024 / 1e3;
    let output = process.wait_with_output().expect("it ends");
    answered(&output);
    println!("  {name:<32}{text}, {peak:.1} MB at most");
    resident
}

/// Returns a value of `/proc/PID/status` in KiB, or 0 on systems other than Linux.
fn kibibytes(process: &Child, what: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0.0)
}
