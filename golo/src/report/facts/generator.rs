//! State of the load generator, and advice if it was the limit.

use super::Fact;
use crate::engine::Finished;
use crate::engine::health::LostAgent;
use crate::engine::histogram::Histogram;
use crate::engine::plan::Model;
use crate::engine::snapshot::Snapshot;
use crate::report::figures::named;
use crate::report::text::clean;
use crate::report::units::{count, counted};
use crate::report::verdict::{since, why_lost};

/// Share of busy time at or above which workers are considered saturated.
const SATURATED: f64 = 0.9;

/// Describes a build without optimisations.
const UNOPTIMISED: &str = "without optimisations: golo itself takes many times as long; build with `--release`";

/// Describes the generator of a run that started. The page has the warning and the seed elsewhere, and shows users
/// with the generator.
pub(in crate::report) fn generator(finished: &Finished, on_page: bool) -> Vec<Fact> {
    let (totals, health) = (&finished.totals, &finished.health);
    let generator = &totals.generator;
    let warning = warning(finished);
    let workers = counted(finished.options.workers as u64, "worker");
    let busy = format!("{workers}, busy {:.0}% of the time", generator.busy_share() * 100.0);
    let mut facts = vec![Fact::new("threads", busy).bad_if(warning.is_some())];
    if health.is_unoptimised {
        facts.push(Fact::bad("build", UNOPTIMISED));
    }
    facts.extend(warning.filter(|_| !on_page).map(|warning| Fact::new("warning", warning)));
    if on_page {
        let lost = health.lost.iter();
        facts
            .extend(lost.map(|why| Fact::bad("lost", format!("a worker, with its share of the load: {}", clean(why)))));
    } else if !health.lost.is_empty() {
        let (lost, why) = (count(health.lost.len() as u64), clean(&why_lost(&health.lost)));
        let what = "with that share of the load, and what was measured there last";
        facts.push(Fact::bad("lost", format!("{lost} of {workers}, {what}: {why}")));
    }
    for LostAgent { name, from, reason } in &health.lost_agents {
        let text = format!("the agent {name}, with its share of the load, {}: {reason}", since(*from));
        facts.push(Fact::bad("lost", clean(&text)));
    }
    if !generator.lag.is_empty() {
        facts.push(Fact::new("start lag", spread(&generator.lag)));
    }
    facts.extend(connections(totals).map(|made| Fact::new("connections", made)));
    facts.extend(finished.proxies.iter().map(|proxy| Fact::new("proxy", clean(proxy))));
    if health.descriptors.open > 0 {
        let limit = health.descriptors.limit;
        let limit = limit.map_or_else(|| ", without a limit".to_owned(), |limit| format!(" of {}", count(limit)));
        facts.push(Fact::new("descriptors", format!("{}{limit} open at most", count(health.descriptors.open))));
    }
    let stopped = "took longer to stop than the grace, and were cut off";
    if !on_page {
        facts.extend(Fact::number("panics", generator.stray_panics, "outside of triggers; see Errors"));
        let what = if generator.stops_cut_off == 1 { "user" } else { "users" };
        facts.extend(Fact::number("stops", generator.stops_cut_off, &format!("{what} {stopped}")));
    }
    for (number, reason, is_bad) in [
        (generator.user_requests, "made by users that started and stopped, not counted", false),
        (generator.foreign, "came from threads that are no worker's", false),
        (generator.without_descriptor, "found no descriptor left", true),
        (generator.without_port, "found no local port left", true),
    ] {
        facts.extend(Fact::number("requests", number, reason).map(|fact| fact.bad_if(is_bad)));
    }
    if !on_page {
        facts.push(Fact::new("seed", finished.options.seed.to_string()));
        return facts;
    }
    let (started, failed) = (generator.users_started, generator.users_failed);
    if started > 0 || failed > 0 {
        let text = format!("{} started, {} could not", count(started), count(failed));
        facts.push(Fact::new("users", text).bad_if(failed > 0));
    }
    let problems = [
        Fact::number("users", generator.stops_cut_off, stopped),
        Fact::number("panics", generator.stray_panics, "outside of triggers: see Errors"),
    ];
    facts.extend(problems.into_iter().flatten().map(|fact| fact.bad_if(true)));
    facts
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

/// Describes the connections, by the time at which they were made, if there were any.
fn connections(totals: &Snapshot) -> Option<String> {
    let (connects, generator) = (&totals.connects, &totals.generator);
    let (warm_up, users) = (generator.warm_up_connections, generator.user_connections);
    let all = connects.count().saturating_add(warm_up).saturating_add(users);
    if all == 0 {
        return None;
    }
    let mut text = format!("{} made", count(all));
    for (number, when) in [(warm_up, "in the warm-up"), (users, "by users that started and stopped")] {
        if number == all {
            text += &format!(", all {when}");
        } else if number > 0 {
            text += &format!(", {} {when}", count(number));
        }
    }
    if !connects.is_empty() {
        text += &format!("; connecting took {}", spread(connects));
    }
    Some(text)
}

fn spread(durations: &Histogram) -> String {
    named(durations, [("p50", 0.5), ("p99", 0.99), ("max", 1.0)])
}
