//! CPU time and memory of the processes, and the traffic of the server, over the run.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;

use crate::server::{Server, Traffic};

/// Units of CPU time in a second, which Linux has everywhere in `/proc`.
const TICKS: u32 = 100;

/// CPU time and memory of a process up to now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Most resident memory so far, in KiB.
    pub(crate) peak: u64,
}

impl Usage {
    /// Returns the usage of a running process.
    pub(crate) fn of(process: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name of the program may contain spaces. User and system time are the 14th and the 15th field.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let ticks: u64 = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
        let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let peak = peak.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(Self { cpu: Duration::from_secs(ticks) / TICKS, peak })
    }
}

/// Something at a time.
type Sample<T> = (Instant, T);

/// Usage of a process at several times.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) name: &'static str,
    process: u32,
    samples: Vec<Sample<Usage>>,
}

/// Usage of all processes at several times.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) processes: Vec<Watched>,
    traffic: Vec<Sample<Traffic>>,
}

impl Samples {
    /// Watches a process from now on.
    pub(crate) fn watch(&mut self, name: &'static str, process: Option<u32>) {
        self.processes.extend(process.map(|process| Watched { name, process, samples: Vec::new() }));
    }

    /// Takes a sample.
    pub(crate) async fn take(&mut self, server: &Server) {
        for watched in &mut self.processes {
            watched.samples.extend(Usage::of(watched.process).map(|usage| (Instant::now(), usage)));
        }
        self.traffic.extend(server.traffic().await.ok().map(|traffic| (Instant::now(), traffic)));
    }

    /// Returns the traffic a second between two times: bytes and messages, each received and sent.
    pub(crate) fn traffic(&self, (from, to): (Instant, Instant)) -> Option<[f64; 4]> {
        let [first, last] = ends(&self.traffic, from, to)?;
        let time = last.0.duration_since(first.0).as_secs_f64();
        let rate = |of: fn(&Traffic) -> u64| (of(&last.1).saturating_sub(of(&first.1))) as f64 / time;
        Some([rate(|t| t.in_bytes), rate(|t| t.out_bytes), rate(|t| t.in_msgs), rate(|t| t.out_msgs)])
    }
}

impl Watched {
    /// Returns the usage at the last sample.
    pub(crate) fn last(&self) -> Usage {
        self.samples.last().map(|(_, usage)| *usage).unwrap_or_default()
    }

    /// Returns the CPU time between two times, in processors.
    pub(crate) fn cpu(&self, (from, to): (Instant, Instant)) -> Option<f64> {
        let [first, last] = ends(&self.samples, from, to)?;
        let time = last.0.duration_since(first.0).as_secs_f64();
        Some(last.1.cpu.saturating_sub(first.1.cpu).as_secs_f64() / time)
    }
}

/// Returns the first and the last of the samples between two times, if they differ.
fn ends<T>(samples: &[Sample<T>], from: Instant, to: Instant) -> Option<[&Sample<T>; 2]> {
    let mut between = samples.iter().filter(|(at, _)| (from..=to).contains(at));
    let first = between.next()?;
    Some([first, between.next_back()?])
}
