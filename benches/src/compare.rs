//! Comparing: contestants take turns, each in a process of its own; medians, spreads and ratios to the first.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Samples of [`nanoseconds`].
const SAMPLES: usize = 15;

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

/// The sample service in a process of its own, or whatever else is to be loaded.
pub(crate) struct Target {
    process: Option<Child>,
    pub(crate) url: String,
}

impl Target {
    /// The one at `url`, or one that is started here.
    pub(crate) fn start(url: Option<&str>) -> Self {
        if let Some(url) = url {
            return Self { process: None, url: url.to_owned() };
        }
        let mut process = worker(&["target"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut url = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut url).expect("it says where it is");
        Self { process: Some(process), url: url.trim().to_owned() }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }
}

/// Serves until stdin ends.
pub(crate) fn target() {
    let service = sample_service::start().expect("a port is free");
    println!("{}", service.url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Has this process, and those that it starts from now on, run on one core, or on any again. Does nothing elsewhere than on
/// Linux.
pub(crate) fn pin(core: Option<usize>) {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_setaffinity};
        let mut cores = CpuSet::new();
        (0..CpuSet::MAX_CPU).filter(|number| core.is_none_or(|core| core == *number)).for_each(|core| cores.set(core));
        // Where there is no such core, they run anywhere.
        let _ = sched_setaffinity(None, &cores);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = core;
}

/// `command` under callgrind, which writes its totals to stderr.
pub(crate) fn counted(command: &Command) -> Command {
    counted_to("/dev/null", command)
}

/// The same, with its profile in a file.
pub(crate) fn counted_to(file: &str, command: &Command) -> Command {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", &format!("--callgrind-out-file={file}")])
        .arg(command.get_program())
        .args(command.get_args());
    for (key, value) in command.get_envs() {
        valgrind.env(key, value.unwrap_or_default());
    }
    valgrind.stdout(Stdio::piped()).stderr(Stdio::piped());
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

/// How long an operation takes, in nanoseconds, sample by sample; `work` does as many as it is told.
pub(crate) fn nanoseconds(sample: Duration, mut work: impl FnMut(u64)) -> Vec<f64> {
    let mut time = |operations| {
        let started = Instant::now();
        work(operations);
        started.elapsed()
    };
    let mut operations = 1;
    while time(operations) < sample {
        operations *= 2;
    }
    (0..SAMPLES).map(|_| time(operations).as_nanos() as f64 / operations as f64).collect()
}
