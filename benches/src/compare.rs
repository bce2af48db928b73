//! Comparing: contestants take turns, each in a process of its own; medians, spreads and ratios to the first.

use std::process::{Command, Stdio};

/// CPU time of this process so far, all threads, in nanoseconds.
pub(crate) fn cpu_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec).expect("it is positive") * 1_000_000_000
        + u64::try_from(time.tv_nsec).expect("it is positive")
}

/// Says what an operation of this process cost, for [`measured`] to read.
pub(crate) fn tell(cpu_time: u64, operations: u64) {
    eprintln!("cpu-ns-per-operation {}", cpu_time as f64 / operations as f64);
}

/// What a finished process told.
pub(crate) fn measured(stderr: &[u8]) -> f64 {
    let stderr = String::from_utf8_lossy(stderr);
    let figure = stderr.lines().find_map(|line| line.strip_prefix("cpu-ns-per-operation "));
    figure.unwrap_or_else(|| panic!("no figure in:\n{stderr}")).parse().expect("a number")
}

/// This program again, to work.
pub(crate) fn worker(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg("work").args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null());
    command
}

/// `command` under callgrind, which writes its totals to stderr.
pub(crate) fn counted(command: &Command) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(command.get_program())
        .args(command.get_args());
    valgrind.stdout(Stdio::null()).stderr(Stdio::piped());
    valgrind
}

/// The total that callgrind wrote.
pub(crate) fn instructions(stderr: &[u8]) -> f64 {
    let stderr = String::from_utf8_lossy(stderr);
    let total =
        stderr.lines().find_map(|line| line.split_once("Collected :").map(|(_, total)| total.trim().to_owned()));
    total.unwrap_or_else(|| panic!("no total in:\n{stderr}")).parse().expect("a number")
}

pub(crate) fn has_valgrind() -> bool {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("  (valgrind is not installed: instructions are not counted)");
    }
    found
}

/// A line a contestant: its instructions if they were counted, the median of its CPU times with the spread, and both
/// as ratios to the first contestant's. The ratio of CPU times is the median over rounds, with its quartiles.
pub(crate) fn table(title: &str, contestants: &[&str], cpu: &[Vec<f64>], instructions: &[f64]) {
    println!("\n{title}");
    for (index, contestant) in contestants.iter().enumerate() {
        let counted = instructions
            .get(index)
            .map_or(String::new(), |count| format!("{count:>9.0} instructions  {:>6.3} ×  ", count / instructions[0]));
        let timed = cpu.get(index).map_or(String::new(), |times| {
            let ratios: Vec<f64> = times.iter().zip(&cpu[0]).map(|(time, first)| time / first).collect();
            let (low, middle, high) = quartiles(times);
            let (ratio_low, ratio, ratio_high) = quartiles(&ratios);
            format!(
                "{:>7.2} µs CPU ({:.2}–{:.2})  {ratio:.3} × ({ratio_low:.3}–{ratio_high:.3})",
                middle / 1e3,
                low / 1e3,
                high / 1e3
            )
        });
        println!("  {contestant:<28}{counted}{timed}");
    }
}

pub(crate) fn quartiles(values: &[f64]) -> (f64, f64, f64) {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let at = |part: f64| values[((values.len() - 1) as f64 * part).round() as usize];
    (at(0.25), at(0.5), at(0.75))
}
