//! Comparison of contestants: they take turns, each in its own process. Prints medians, spreads and ratios to the first
//! contestant.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Number of samples that [`nanoseconds`] takes.
const SAMPLES: usize = 15;

/// CPU time of this process so far, all threads, in nanoseconds.
pub(crate) fn cpu_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    u64::try_from(time.tv_sec).expect("it is positive") * 1_000_000_000
        + u64::try_from(time.tv_nsec).expect("it is positive")
}

/// Prints the CPU time per operation of this process to stderr, for [`measured`] to parse.
pub(crate) fn tell(cpu_time: u64, operations: u64) {
    eprintln!("cpu-ns-per-operation {}", cpu_time as f64 / operations as f64);
}

/// Parses the CPU time per operation, in nanoseconds, from the stderr of a finished process.
pub(crate) fn measured(stderr: &[u8]) -> f64 {
    let stderr = String::from_utf8_lossy(stderr);
    let figure = stderr.lines().find_map(|line| line.strip_prefix("cpu-ns-per-operation "));
    figure.unwrap_or_else(|| panic!("no figure in:\n{stderr}")).parse().expect("a number")
}

/// Returns a command that starts this program again as a worker process.
pub(crate) fn worker(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg("work").args(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null());
    command
}

/// The target: a sample service in its own process, or a server that already runs.
pub(crate) struct Target {
    process: Option<Child>,
    pub(crate) url: String,
}

impl Target {
    /// Uses the target at `url`, or starts one if there is none.
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

/// Serves the sample service until stdin ends.
pub(crate) fn target() {
    let service = sample_service::start().expect("a port is free");
    println!("{}", service.url());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Pins this process, and every process it starts from now on, to one core; `None` allows all cores again. Does nothing
/// on systems other than Linux.
pub(crate) fn pin(core: Option<usize>) {
    #[cfg(target_os = "linux")]
    {
        use rustix::thread::{CpuSet, sched_setaffinity};
        let mut cores = CpuSet::new();
        (0..CpuSet::MAX_CPU).filter(|number| core.is_none_or(|core| core == *number)).for_each(|core| cores.set(core));
        // If there is no such core, they run on any core.
        let _ = sched_setaffinity(None, &cores);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = core;
}

/// Returns `command` run under callgrind, which prints its totals to stderr.
pub(crate) fn counted(command: &Command) -> Command {
    counted_to("/dev/null", command)
}

/// Like [`counted`], with the profile written to a file.
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

/// Parses the total number of instructions that callgrind printed.
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

/// Prints one line per contestant: the instructions if they were counted, the median CPU time with its spread, and both
/// as ratios to the first contestant. The ratio of CPU times is the median over rounds, with its quartiles.
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

/// Returns the time per operation in nanoseconds, one value per sample. `work` receives the number of operations.
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
