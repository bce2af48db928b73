//! State of the load generator, and advice if it was the limit.

use super::Fact;
use crate::engine::Finished;
use crate::engine::connections::Connections;
use crate::engine::health::LostAgent;
use crate::engine::histogram::Histogram;
use crate::engine::plan::Load;
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
    facts.extend(transport(totals).map(|transport| Fact::new("transport", transport)));
    facts.extend(connections(finished).map(|made| Fact::new("connections", made)));
    facts.extend(handshakes(&totals.connections).map(|handshakes| Fact::new("tls", handshakes)));
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
    let is_unpaced = finished.plan.loads().iter().any(Load::is_unpaced);
    let is_saturated = is_unpaced && finished.totals.generator.busy_share() >= SATURATED;
    is_saturated.then_some(
        "the generator is saturated: latencies include its own queueing, and the target may be faster than it looks; \
         ask for fewer users or a `--rate`, or give it more cores",
    )
}

/// Describes what carried the requests, if that is known.
pub(in crate::report) fn transport(totals: &Snapshot) -> Option<String> {
    let (phases, connections) = (totals.phases(), &totals.connections);
    let versions = [("1.1", connections.http1), ("2", connections.http2), ("3", connections.http3)];
    let versions = versions.into_iter().filter(|(_, opened)| *opened > 0);
    let versions: Vec<_> = versions.map(|(version, _)| format!("HTTP/{version}")).collect();
    let golo = match versions.is_empty() {
        true => "golo".to_owned(),
        false => format!("golo ({})", versions.join(", ")),
    };
    // Nothing but the waiting time is known of requests that golo did not send.
    let reqwest = "reqwest (the load test's client)";
    match (phases.count() > 0, phases.only_waiting()) {
        (true, 0) => Some(golo),
        (true, others) => Some(format!("{golo}; {reqwest} for {}", counted(others, "request"))),
        (false, 1..) => Some(reqwest.to_owned()),
        (false, 0) => None,
    }
}

/// Describes the TLS handshakes, if there were any.
fn handshakes(connections: &Connections) -> Option<String> {
    let Connections { handshakes_full: full, handshakes_resumed: resumed, .. } = *connections;
    (full > 0 || resumed > 0).then(|| format!("{}, {} resumed", counted(full, "full handshake"), count(resumed)))
}

/// Describes the connections, by the time at which they were made and by their use, if there were any.
fn connections(finished: &Finished) -> Option<String> {
    let totals = &finished.totals;
    let (connects, generator) = (&totals.connects, &totals.generator);
    let (warm_up, users) = (generator.warm_up_connections, generator.user_connections);
    let made = connects.count().saturating_add(warm_up).saturating_add(users);
    // Those that `setup` opened are in no other number.
    let all = made.max(totals.connections.opened());
    if all == 0 && totals.connections == Connections::default() {
        return None;
    }
    let mut text = format!("{} made", count(all));
    for (number, when) in [(warm_up, "in the warm-up"), (users, "by users that started and stopped")] {
        if number == all && all > 0 {
            text += &format!(", all {when}");
        } else if number > 0 {
            text += &format!(", {} {when}", count(number));
        }
    }
    let Connections { used, reused, closed_by_server, resent, .. } = totals.connections;
    let were = |number: u64, noun: &str, what: &str| (number > 0).then(|| format!("{} {what}", counted(number, noun)));
    let uses = [
        (used > 0).then(|| format!("{} carried requests", count(used))),
        were(reused, "request", "reused one"),
        (closed_by_server > 0).then(|| format!("{} closed by the server", count(closed_by_server))),
        were(resent, "request", "sent again"),
        (finished.most_connections > 0).then(|| format!("{} open at once at most", count(finished.most_connections))),
    ];
    let uses: Vec<_> = uses.into_iter().flatten().collect();
    if !uses.is_empty() {
        text += &format!("; {}", uses.join(", "));
    }
    if !connects.is_empty() {
        text += &format!("; connecting took {}", spread(connects));
    }
    Some(text)
}

fn spread(durations: &Histogram) -> String {
    named(durations, [("p50", 0.5), ("p99", 0.99), ("max", 1.0)])
}
