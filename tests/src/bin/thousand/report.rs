//! The report of a run.

use std::fmt::Write as _;
use std::time::Duration;

use crate::arguments::FleetArguments;
use crate::fleet::Ran;

/// Most differences that are printed.
const DIFFERENCES: usize = 20;

/// Returns the report.
pub(crate) fn text(arguments: &FleetArguments, ran: &Ran) -> String {
    let FleetArguments { agents, time, load, .. } = arguments;
    let mut text = format!(
        "{agents} agents, {} s, {} series of {} requests a second each\n",
        time.as_secs(),
        load.series,
        load.requests
    );
    let mut row = |name: &str, value: String| _ = writeln!(text, "  {name:<34}{value}");
    row("registered after", seconds(ran.registered));
    row("golo submit, from call to start", seconds(ran.prepared));
    row("golo submit, from load to end", seconds(ran.finished));
    if let Some(collected) = ran.collected {
        row("collector, from there to complete", seconds(collected));
    }
    row("starts after the first (p50)", after_first(&ran.done.starts, 0.5));
    row("starts after the first (p99)", after_first(&ran.done.starts, 0.99));
    row("starts after the first (max)", after_first(&ran.done.starts, 1.0));
    row("golo submit says", ran.skew.clone().unwrap_or_else(|| "nothing on the starts".to_owned()));
    for watched in &ran.samples.processes {
        let last = watched.last();
        let during = watched.cpu(ran.load).map_or_else(|| "?".to_owned(), |cpu| format!("{:.1} %", cpu * 100.0));
        let memory = last.peak as f64 / 1024.0;
        let whole = last.cpu.as_secs_f64();
        row(watched.name, format!("{during} CPU during the load, {whole:.1} s in total, {memory:.0} MiB at most"));
    }
    if let Some([received, sent, messages, further]) = ran.samples.traffic(ran.load) {
        let (received, sent) = (received / 1e6, sent / 1e6);
        row("nats-server receives", format!("{received:.2} MB/s in {messages:.0} messages/s"));
        row("nats-server sends", format!("{sent:.2} MB/s in {further:.0} messages/s"));
    }
    row("requests in the summary", ran.requests.to_string());
    match &ran.differences[..] {
        [] => text.push_str("  every summary equals the sum of what the engines have made\n"),
        found => {
            for difference in &found[..found.len().min(DIFFERENCES)] {
                _ = writeln!(text, "  WRONG: {difference}");
            }
            _ = writeln!(text, "  {} differences", found.len());
        }
    }
    text
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Returns how long after the first start this share of all starts had happened.
fn after_first(starts: &[u64], share: f64) -> String {
    let mut starts = starts.to_vec();
    starts.sort_unstable();
    let Some(first) = starts.first() else { return "no agent has started".to_owned() };
    let rank = ((starts.len() as f64 * share).ceil() as usize).clamp(1, starts.len());
    format!("{:.1} ms", (starts[rank - 1] - first) as f64 / 1e6)
}
