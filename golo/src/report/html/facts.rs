//! Lists of facts, each with a label: about the run, the load and the generator.

use std::{fmt, time::Duration};

use crate::{
    engine::tags::KEYS,
    report::{
        Distribution, Document,
        document::{Amounts, Dropped, Load, Model},
        summary::{self, UNOPTIMISED, said_after_load, said_cut_off},
        text::clean,
        units::{count, counted, nanoseconds, per_second, percent},
        verdict::since,
    },
};

/// A label and its text.
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// Tone of a text. [`Display`](fmt::Display) writes the CSS class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
}

impl fmt::Display for Tone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Warning => "warning",
            Self::Bad => "bad",
        })
    }
}

impl Fact {
    fn new(label: &'static str, text: impl Into<String>) -> Self {
        Self { label, text: text.into(), tone: Tone::Plain }
    }

    fn bad_if(mut self, is_bad: bool) -> Self {
        if is_bad {
            self.tone = Tone::Bad;
        }
        self
    }
}

/// Returns the tone of the verdict, as in the summary.
pub(super) fn verdict(document: &Document<'_>) -> Tone {
    match &*document.verdict.word {
        "PASSED" if document.verdict.text.contains(", but ") => Tone::Warning,
        "PASSED" => Tone::Good,
        _ => Tone::Bad,
    }
}

/// Returns the figures that most readers look for first.
pub(super) fn tiles(document: &Document<'_>) -> Vec<Fact> {
    let total = &document.requests.total;
    let duration = &total.duration;
    if duration.count == 0 {
        return Vec::new();
    }
    let mut tiles = vec![
        Fact::new("requests", count(duration.count)),
        Fact::new("failed", percent(total.failed, total.all())).bad_if(total.failed > 0),
        Fact::new("requests a second", per_second(total.rate)),
        Fact::new("p50", nanoseconds(duration.p50)),
        Fact::new("p95", nanoseconds(duration.p95)),
        Fact::new("p99", nanoseconds(duration.p99)),
        Fact::new("max", nanoseconds(duration.max)),
    ];
    if let Some(apart) = &total.apart {
        tiles.push(Fact::new("p95 of passed", nanoseconds(apart.passed.p95)));
        tiles.push(Fact::new("p95 of failed", nanoseconds(apart.failed.p95)));
    }
    tiles
}

pub(super) fn run(document: &Document<'_>) -> Vec<Fact> {
    let run = &document.run;
    let mut facts = vec![Fact::new("plan", &*run.plan)];
    let mut origins: Vec<&str> = document.requests.routes.iter().map(|route| &*route.origin).collect();
    origins.retain(|origin| !origin.is_empty());
    origins.sort_unstable();
    origins.dedup();
    if let [origin] = origins[..] {
        facts.push(Fact::new("target", clean(origin)));
    }
    if let Some(started_at) = &run.started_at {
        facts.push(Fact::new("started", moment(started_at)));
        facts.push(Fact::new("took", took(run.load_time, run.whole_time)));
    }
    facts.push(Fact::new("workers", count(run.workers as u64)));
    facts.push(Fact::new("seed", run.seed.to_string()));
    facts.push(Fact::new("golo", document.golo));
    facts
}

/// Converts `2026-11-25T09:46:40.123Z` to `2026-11-25 09:46:40 UTC`.
fn moment(rfc_3339: &str) -> String {
    match (rfc_3339.get(..10), rfc_3339.get(11..19), rfc_3339.ends_with('Z')) {
        (Some(day), Some(time), true) => format!("{day} {time} UTC"),
        _ => rfc_3339.to_owned(),
    }
}

fn took(load: u64, whole: u64) -> String {
    let (load, whole) = (nanoseconds(Some(load)), nanoseconds(Some(whole)));
    if load == whole { load } else { format!("{load}; the last trigger ended at {whole}") }
}

/// Returns the requested and the delivered load.
pub(super) fn load(document: &Document<'_>) -> Vec<Fact> {
    if document.run.started_at.is_none() {
        return Vec::new();
    }
    let load = &document.load;
    let model = document.run.model;
    let mut facts = vec![Fact::new("starts", starts(load))];
    if let Some(warm_up) = summary::warm_up(load.warm_up.triggers, load.warm_up.requests) {
        facts.push(Fact::new("warm-up", warm_up));
    }
    let Dropped { unready, stopped, .. } = load.dropped;
    let others =
        [(unready, "their user could not start".to_owned()), (stopped, "the run was stopped first".to_owned())];
    for (number, reason) in load.words.dropped_busy.iter().chain(&others) {
        if *number > 0 {
            // The facts of the page contain no code markup.
            let (number, reason) = (*number, reason.replace('`', ""));
            facts.push(Fact::new("dropped", format!("{}: {reason}", count(number))).bad_if(true));
        }
    }
    let achieved = load.achieved_rate.map_or_else(|| "-".to_owned(), per_second);
    facts.push(match load.asked_rate {
        Some(asked) => {
            let how = match (document.run.plan.contains("(poisson)"), document.timeline.stages.is_empty()) {
                (true, _) => "on average asked (poisson)",
                (false, false) => "on average asked",
                (false, true) => "asked",
            };
            Fact::new("rate", format!("{} {how}, {achieved} achieved", per_second(asked)))
        }
        None => Fact::new("rate", format!("{achieved} started")),
    });
    if let Some(late) = &load.words.late_starts {
        facts.push(Fact::new("late starts", &**late).bad_if(true));
    }
    if let Some(lag) = &load.worst_lag {
        let [from, p99, limit] = [lag.from, lag.p99, lag.limit].map(|nanos| nanoseconds(Some(nanos)));
        let text = format!("p99 {p99} late at worst (from {from} on); {limit} is the limit");
        facts.push(Fact::new("worst lag", text).bad_if(lag.is_late));
    }
    let most = count(load.most_users);
    match (load.most_users, model) {
        (0, _) => {}
        (_, Model::Open) => facts.push(Fact::new("in flight", format!("{most} at most, looked at each second"))),
        _ => facts.push(Fact::new("users", format!("{most} at most"))),
    }
    if let Some(starts) = &load.words.user_starts {
        facts.push(Fact::new("user starts", &**starts));
    }
    if let Some(split) = &load.words.split {
        facts.push(Fact::new("a trigger's time", &**split));
    }
    let triggers = &document.triggers;
    if triggers.failed > 0 {
        let all = load.done.saturating_add(load.interrupted);
        let share = percent(triggers.failed, all);
        let panicked = match triggers.panicked {
            0 => String::new(),
            panicked => format!(", {} by a panic", count(panicked)),
        };
        let text = format!("{} of {} ({share}){panicked}", count(triggers.failed), counted(all, "trigger"));
        facts.push(Fact::new("failed", text).bad_if(true));
    }
    facts
}

fn starts(load: &Load) -> String {
    let Dropped { busy, unready, stopped, .. } = load.dropped;
    let dropped = busy.saturating_add(unready).saturating_add(stopped);
    let sum = load.done.saturating_add(dropped).saturating_add(load.interrupted);
    let sign = if sum == load.due { "=" } else { "≠" };
    let [due, done, dropped, interrupted] = [load.due, load.done, dropped, load.interrupted].map(count);
    format!("{due} due {sign} {done} done + {dropped} dropped + {interrupted} interrupted")
}

/// Returns the remarks below the table of requests or of measured steps.
pub(super) fn remarks(document: &Document<'_>, total: &Amounts, noun: &str) -> Vec<String> {
    let after = total.after_load;
    let is_said = after > 0 && !document.run.rates_count_after_load;
    let after = is_said.then(|| said_after_load(after, noun));
    after.into_iter().chain(said_cut_off(total.interrupted, total.all(), noun)).collect()
}

/// Returns the remark on requests that are derived from the tags of triggers.
pub(super) fn from_tags(document: &Document<'_>) -> Option<String> {
    let requests = &document.requests;
    let all = requests.total.duration.count.saturating_add(requests.interrupted);
    summary::tag_note(requests.from_tags, all).map(|text| text.replace('`', ""))
}

/// Returns the remark on tags of further keys, which are only counted.
pub(super) fn tags_beyond(document: &Document<'_>) -> Option<String> {
    let beyond = document.tags.beyond;
    (beyond > 0).then(|| format!("{} under further keys: {KEYS} keys are told apart", counted(beyond, "tag")))
}

/// Returns the state of the load generator.
pub(super) fn generator(document: &Document<'_>) -> Vec<Fact> {
    if document.run.started_at.is_none() {
        return Vec::new();
    }
    let generator = &document.generator;
    let workers = counted(document.run.workers as u64, "worker");
    let busy = format!("{workers}, busy {:.0}% of the time", generator.busy_share * 100.0);
    let mut facts = vec![Fact::new("threads", busy).bad_if(generator.warning.is_some())];
    if generator.unoptimised {
        facts.push(Fact::new("build", UNOPTIMISED).bad_if(true));
    }
    for reason in generator.lost {
        facts.push(Fact::new("lost", format!("a worker, with its share of the load: {}", clean(reason))).bad_if(true));
    }
    for lost in &generator.lost_agents {
        let from = since(Duration::from_nanos(lost.from));
        let text = format!("the agent {}, with its share of the load, {from}: {}", lost.agent, lost.reason);
        facts.push(Fact::new("lost", clean(&text)).bad_if(true));
    }
    if generator.lag.count > 0 {
        facts.push(Fact::new("start lag", spread(&generator.lag)));
    }
    let connecting = &document.requests.connecting;
    let made = summary::Made {
        measured: connecting.count,
        warm_up: document.load.warm_up.connections,
        users: generator.user_connections,
    };
    if let Some(made) = summary::made(made) {
        let took = format!("; connecting took {}", spread(connecting));
        facts.push(Fact::new("connections", made + if connecting.count > 0 { &took } else { "" }));
    }
    for proxy in generator.proxies {
        facts.push(Fact::new("proxy", clean(proxy)));
    }
    if generator.descriptors > 0 {
        let limit = generator
            .descriptors_limit
            .map_or_else(|| ", without a limit".to_owned(), |limit| format!(" of {}", count(limit)));
        facts.push(Fact::new("descriptors", format!("{}{limit} open at most", count(generator.descriptors))));
    }
    for (number, reason, is_bad) in [
        (generator.user_requests, "made by users that started and stopped, not counted", false),
        (generator.requests_from_other_threads, "came from threads that are no worker's", false),
        (generator.requests_without_descriptor, "found no descriptor left", true),
        (generator.requests_without_port, "found no local port left", true),
    ] {
        if number > 0 {
            facts.push(Fact::new("requests", format!("{} {reason}", count(number))).bad_if(is_bad));
        }
    }
    if generator.users_started > 0 || generator.users_failed > 0 {
        let text = format!("{} started, {} could not", count(generator.users_started), count(generator.users_failed));
        facts.push(Fact::new("users", text).bad_if(generator.users_failed > 0));
    }
    if generator.stops_cut_off > 0 {
        let text = format!("{} took longer to stop than the grace, and were cut off", count(generator.stops_cut_off));
        facts.push(Fact::new("users", text).bad_if(true));
    }
    if generator.stray_panics > 0 {
        let text = format!("{} outside of triggers: see Errors", count(generator.stray_panics));
        facts.push(Fact::new("panics", text).bad_if(true));
    }
    facts
}

fn spread(duration: &Distribution) -> String {
    let [p50, p99, max] = [duration.p50, duration.p99, duration.max].map(nanoseconds);
    format!("p50 {p50}, p99 {p99}, max {max}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_time_is_shown_without_fractions() {
        assert_eq!(moment("2026-11-25T09:46:40.123456789Z"), "2026-11-25 09:46:40 UTC");
        assert_eq!(moment("2026-11-25T09:46:40+01:00"), "2026-11-25T09:46:40+01:00");
        assert_eq!(moment("soon"), "soon");
    }

    #[test]
    fn end_of_last_trigger_is_shown_if_it_differs_from_load_time() {
        assert_eq!(took(10_000_000_000, 10_000_000_000), "10s");
        assert_eq!(took(10_000_000_000, 10_500_000_000), "10s; the last trigger ended at 10.5s");
    }
}
