//! Watches the memory of a collector, an agent, `golo submit` and `golo run` while load tests make many routes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::process::Child;
use tokio::time::sleep;

use crate::arguments::MemoryArguments;
use crate::fleet::Fleet;
use crate::processes::{Role, Stage};
use crate::target::Target;

/// Time between two samples.
const EVERY: Duration = Duration::from_secs(10);
/// Time that processes may need for their start and their end, in addition to the load.
const AROUND: Duration = Duration::from_secs(120);
/// Part of the memory after the first third by which the last third may be larger.
const GROWTH: f64 = 0.05;
/// Memory by which the last third may be larger in any case, in KiB.
const NOISE: f64 = 4096.0;

/// Samples of one process: time and resident memory in KiB.
type Samples = Vec<(Duration, u64)>;

/// Runs the load and prints the memory of each process by minute. Returns true if all are flat after the first third.
pub(crate) async fn watch(stage: &Stage, arguments: &MemoryArguments) -> anyhow::Result<bool> {
    let target = Target::start().await?;
    let fleet = Fleet::start(stage, 1).await?;
    let mut clients = Vec::new();
    for part in ["submit", "run"] {
        clients.push((part, start(stage, &fleet, &target, arguments, part)?));
    }
    let mut watched = vec![("collector", fleet.collector.id()), ("agent", fleet.agents[0].daemon.id())];
    watched.extend(clients.iter().map(|(name, child)| (*name, child.id().and_then(|id| id.try_into().ok()))));
    let begun = Instant::now();
    let mut samples: BTreeMap<&str, Samples> = BTreeMap::new();
    while clients.iter_mut().any(|(_, child)| matches!(child.try_wait(), Ok(None))) {
        anyhow::ensure!(
            begun.elapsed() < arguments.time + AROUND,
            "the load does not end: see {}",
            fleet.folder.display()
        );
        target.forget();
        let load_tests = [("load test of the agent", "a0"), ("load test of run", "run")]
            .map(|(name, part)| (name, stage.find(part, Role::LoadTest).map(|process| process.id)));
        for (name, id) in watched.iter().copied().chain(load_tests) {
            if let Some(memory) = id.and_then(resident).filter(|_| begun.elapsed() < arguments.time) {
                samples.entry(name).or_default().push((begun.elapsed(), memory));
            }
        }
        sleep(EVERY.min(arguments.time / 30)).await;
    }
    for (name, child) in &mut clients {
        let code = child.wait().await?.code();
        anyhow::ensure!(code == Some(0), "golo {name} ended with {code:?}: see {}", fleet.folder.display());
    }
    fleet.end().await;
    let (text, is_flat) = table(&samples, arguments.time);
    golo::cli::print(&text)?;
    Ok(is_flat)
}

fn start(
    stage: &Stage,
    fleet: &Fleet,
    target: &Target,
    arguments: &MemoryArguments,
    part: &str,
) -> anyhow::Result<Child> {
    let mut command = stage.golo(part, &fleet.temporary, &fleet.folder.join(format!("{part}.log")))?;
    command.arg(part).arg(&stage.load_test);
    command.args(["--rate", &format!("{}/s", arguments.rate), "--max-lag", "60s", "--no-progress"]);
    command.args(["--duration", &format!("{}s", arguments.time.as_secs())]);
    command.args(["-e", &format!("TARGET_URL={}/memory", target.url), "-e", &format!("ROUTES={}", arguments.routes)]);
    command.arg("--db").arg(fleet.folder.join(format!("{part}.db")));
    if part == "submit" {
        command.arg("--agent").arg(fleet.agents[0].front.address.to_string());
    }
    command.spawn().with_context(|| format!("golo {part} cannot be started"))
}

/// Returns the resident memory of a process in KiB.
fn resident(id: i32) -> Option<u64> {
    let status = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Returns the median of the samples in a range of time, in KiB.
fn median(samples: &Samples, from: Duration, to: Duration) -> Option<u64> {
    let mut memory: Vec<_> = samples.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, kib)| *kib).collect();
    memory.sort_unstable();
    memory.get(memory.len() / 2).copied()
}

/// Returns the memory by minute, and true if that of all processes is flat after the first third of the time.
fn table(samples: &BTreeMap<&str, Samples>, time: Duration) -> (String, bool) {
    let mut text = "resident memory in MiB, the median of each minute\n\n  minute".to_owned();
    let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
    for name in samples.keys() {
        _ = write!(text, "  {name:>22}");
    }
    let minute = Duration::from_secs(60);
    for number in 0..u32::try_from(time.as_secs().div_ceil(60)).unwrap_or(u32::MAX) {
        _ = write!(text, "\n  {:>6}", number + 1);
        for samples in samples.values() {
            let median = median(samples, minute * number, minute * (number + 1));
            _ = write!(text, "  {:>22}", median.map_or("-".to_owned(), mib));
        }
    }
    text.push_str("\n\n");
    let mut is_flat = true;
    for (name, samples) in samples {
        // The halves of the time after the first third.
        let halves = [(time / 3, time * 2 / 3), (time * 2 / 3, time)].map(|(from, to)| median(samples, from, to));
        let [Some(before), Some(after)] = halves else {
            is_flat = false;
            _ = writeln!(text, "{name}: it ended too early");
            continue;
        };
        let grows = after as f64 > before as f64 * (1.0 + GROWTH) + NOISE;
        is_flat &= !grows;
        let word = if grows { "grows" } else { "is flat" };
        _ = writeln!(text, "{name} {word}: {} MiB in the second third, {} MiB in the last", mib(before), mib(after));
    }
    (text, is_flat)
}
