//! The description of an agent: its name, its state, and what its machine has for load tests.

use std::thread::available_parallelism;
use std::{fs, path::Path};

use rustix::process::{Resource, getrlimit};

use super::jobs::Agent;
use crate::nats::registry::{Capacity, Registration};

/// Number of ports for connections to one target, if the system does not say it: the range that IANA reserves for this.
const PORTS: u64 = 16_384;

impl Agent {
    /// Describes the agent and its state, for those who choose agents.
    #[must_use]
    pub fn registration(&self) -> Registration {
        Registration {
            name: self.options.name.clone(),
            id: self.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            platform: platform(),
            labels: self.options.labels.clone(),
            capacity: capacity(),
            jobs: self.jobs().iter().filter(|job| !job.state().is_over()).count() as u64,
            running: self.running().map(|job| job.kept().name),
        }
    }
}

/// Returns the resources that load tests of this process can use.
fn capacity() -> Capacity {
    let cores = available_parallelism().map_or(1, |cores| cores.get() as u64);
    // A load test raises its limit to the maximum.
    let descriptors = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    Capacity { cores, memory: memory(), descriptors, ports: ports().unwrap_or(PORTS) }
}

/// Returns the memory of the machine in bytes, or that of this process's cgroup, if it is smaller.
fn memory() -> u64 {
    [total(), limit(Path::new("/sys/fs/cgroup"))].into_iter().flatten().min().unwrap_or_default()
}

fn total() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns the smallest limit of this process's cgroup and those above it.
fn limit(root: &Path) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let limits = Path::new(own)
        .ancestors()
        .filter_map(|path| fs::read_to_string(root.join(path).join("memory.max")).ok()?.trim().parse::<u64>().ok());
    limits.min()
}

fn ports() -> Option<u64> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = text.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some(last.checked_sub(first)? + 1)
}

/// Returns the operating system and the processor of this program, in the words of container images: `linux-amd64`.
fn platform() -> String {
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}-{processor}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_something_of_each() {
        let Capacity { cores, memory, descriptors, ports } = capacity();
        assert!(cores > 0 && memory > 1 << 20 && descriptors > 10 && ports > 100);
        assert!(platform().split('-').count() == 2, "{}", platform());
    }
}
