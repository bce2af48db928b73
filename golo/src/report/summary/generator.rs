//! State of the load generator, and advice if it was the limit.

use crate::{
    engine::{Finished, health::LostAgent, histogram::Histogram, plan::Model, snapshot::Snapshot},
    report::{
        Page,
        text::clean,
        units::{count, counted, nanoseconds},
        verdict::{since, why_lost},
    },
};

/// Share of busy time at or above which workers are considered saturated.
const SATURATED: f64 = 0.9;

/// Describes a build without optimisations.
pub(in crate::report) const UNOPTIMISED: &str =
    "without optimisations: golo itself takes many times as long; build with `--release`";

pub(super) fn lines(page: Page, finished: &Finished) -> Vec<String> {
    if finished.started_at.is_none() {
        return Vec::new();
    }
    let generator = &finished.totals.generator;
    let mut lines = vec!["Generator".to_owned()];
    let mut say = |label: &str, text: String| lines.extend(page.said(label, &text));
    let workers = counted(finished.options.workers as u64, "worker");
    let busy = generator.busy_share();
    say("threads", format!("{workers}, busy {:.0}% of the time", busy * 100.0));
    if finished.health.is_unoptimised {
        say("build", UNOPTIMISED.to_owned());
    }
    if let Some(warning) = warning(finished) {
        say("warning", warning.to_owned());
    }
    let lost = &finished.health.lost;
    if !lost.is_empty() {
        let what = "with that share of the load, and what was measured there last";
        say("lost", format!("{} of {workers}, {what}: {}", count(lost.len() as u64), clean(&why_lost(lost))));
    }
    for LostAgent { name, from, reason } in &finished.health.lost_agents {
        let text = format!("the agent {name}, with its share of the load, {}: {reason}", since(*from));
        say("lost", clean(&text));
    }
    if !generator.lag.is_empty() {
        say("start lag", spread(&generator.lag));
    }
    if let Some(made) = made(Made::of(&finished.totals)) {
        let connects = &finished.totals.connects;
        let took = if connects.is_empty() { String::new() } else { format!("; connecting took {}", spread(connects)) };
        say("connections", made + &took);
    }
    for proxy in &finished.proxies {
        say("proxy", clean(proxy));
    }
    let descriptors = finished.health.descriptors;
    if descriptors.open > 0 {
        let limit =
            descriptors.limit.map_or_else(|| ", without a limit".to_owned(), |limit| format!(" of {}", count(limit)));
        say("descriptors", format!("{}{limit} open at most", count(descriptors.open)));
    }
    if generator.stray_panics > 0 {
        say("panics", format!("{} outside of triggers; see Errors", count(generator.stray_panics)));
    }
    if generator.stops_cut_off > 0 {
        let users = counted(generator.stops_cut_off, "user");
        say("stops", format!("{users} took longer to stop than the grace, and were cut off"));
    }
    for (number, reason) in [
        (generator.user_requests, "made by users that started and stopped, not counted"),
        (generator.foreign, "came from threads that are no worker's"),
        (generator.without_descriptor, "found no descriptor left"),
        (generator.without_port, "found no local port left"),
    ] {
        if number > 0 {
            say("requests", format!("{} {reason}", count(number)));
        }
    }
    say("seed", finished.options.seed.to_string());
    lines
}

/// Returns a warning if the generator's own state affects the figures.
pub(in crate::report) fn warning(finished: &Finished) -> Option<&'static str> {
    let is_unpaced = matches!(finished.plan.model(), Model::Closed { pace: None, .. });
    let is_saturated = is_unpaced && finished.totals.generator.busy_share() >= SATURATED;
    is_saturated.then_some(
        "the generator is saturated: latencies include its own queueing, and the target may be faster than it looks; \
         ask for fewer users or a `--rate`, or give it more cores",
    )
}

/// Number of connections, by the time at which they were made.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Made {
    pub(in crate::report) measured: u64,
    pub(in crate::report) warm_up: u64,
    /// Made while users started and stopped.
    pub(in crate::report) users: u64,
}

impl Made {
    fn of(totals: &Snapshot) -> Self {
        let generator = &totals.generator;
        let (warm_up, users) = (generator.warm_up_connections, generator.user_connections);
        Self { measured: totals.connects.count(), warm_up, users }
    }
}

/// Describes the connections, if any were made.
pub(in crate::report) fn made(made: Made) -> Option<String> {
    let Made { measured, warm_up, users } = made;
    let all = measured.saturating_add(warm_up).saturating_add(users);
    if all == 0 {
        return None;
    }
    let before: Vec<_> = [(warm_up, "in the warm-up"), (users, "by users that started and stopped")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, when)| match number == all {
            true => format!("all {when}"),
            false => format!("{} {when}", count(number)),
        })
        .collect();
    let rest = if before.is_empty() { String::new() } else { format!(", {}", before.join(", ")) };
    Some(format!("{} made{rest}", count(all)))
}

fn spread(histogram: &Histogram) -> String {
    let quantiles = histogram.quantiles(&[0.5, 0.99, 1.0]).into_iter().map(nanoseconds);
    let named = ["p50", "p99", "max"].into_iter().zip(quantiles).map(|(name, value)| format!("{name} {value}"));
    named.collect::<Vec<_>>().join(", ")
}
