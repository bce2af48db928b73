//! The delivered load, compared to the requested load.

use std::time::Duration;

use super::Fact;
use crate::engine::Finished;
use crate::engine::health::LateStarts;
use crate::engine::plan::{Arrivals, Model};
use crate::engine::snapshot::Triggers;
use crate::report::pauses;
use crate::report::rates::{achieved_rate, asked_rate};
use crate::report::units::{count, counted, duration, per_second, percent};
use crate::report::verdict::stood_still;

/// Describes the starts, their rate, and the users. Some facts are shorter on the page.
pub(in crate::report) fn load(finished: &Finished, on_page: bool) -> Vec<Fact> {
    let (totals, triggers) = (&finished.totals, &finished.totals.triggers);
    let mut facts = vec![Fact::new("starts", starts(triggers))];
    if let Some(warm_up) = warm_up(finished) {
        facts.insert(usize::from(on_page), Fact::new("warm-up", warm_up));
    }
    let others = [
        (triggers.dropped_unready, "their user could not start".to_owned()),
        (triggers.dropped_stopped, "the run was stopped first".to_owned()),
    ];
    for (number, reason) in pauses::dropped_busy(&finished.plan, triggers).into_iter().chain(others) {
        // The page contains no code markup.
        let reason = if on_page { reason.replace('`', "") } else { reason };
        if number > 0 {
            facts.push(Fact::bad("dropped", format!("{}: {reason}", count(number))));
        }
    }
    facts.push(Fact::new("rate", rates(finished)));
    facts.extend(pauses::late_starts(totals).map(|late| Fact::bad("late starts", late)));
    if let Some(lag) = finished.health.worst_lag {
        let (p99, limit) = (duration(lag.p99), duration(lag.limit));
        let from = duration(Duration::from_secs(lag.from));
        let later = match lag.starts {
            Some(LateStarts { late: late @ 1.., all, .. }) if !on_page => {
                format!(", and {} of {} were later", count(late), count(all))
            }
            _ => String::new(),
        };
        let text = format!("p99 {p99} late at worst (from {from} on); {limit} is the limit{later}");
        facts.push(Fact::new("worst lag", text).bad_if(lag.is_late()));
    }
    if let Some(standstill) = finished.health.standstill {
        facts.push(Fact::bad("standstill", format!("the load generator {}", stood_still(standstill))));
    }
    facts.extend(match finished.plan.is_open() {
        true => Fact::number("in flight", finished.most_users, "at most, looked at each second"),
        false => Fact::number("users", finished.most_users, "at most"),
    });
    facts.extend(pauses::user_starts(totals).map(|starts| Fact::new("user starts", starts)));
    facts
}

/// Describes the load of the warm-up, if there was one.
fn warm_up(finished: &Finished) -> Option<String> {
    let generator = &finished.totals.generator;
    let requests = match (generator.warm_up_triggers, generator.warm_up_requests) {
        (0, 0) => return None,
        (_, 0) => "no request".to_owned(),
        (_, requests) => counted(requests, "request"),
    };
    Some(format!("{} and {requests} before the start, not counted", counted(generator.warm_up_triggers, "trigger")))
}

/// Describes the time that the run took. `from` describes its start.
pub(in crate::report) fn took(load: Duration, whole: Duration, from: &str) -> String {
    let (load, whole) = (duration(load), duration(whole));
    let rest = if load == whole { String::new() } else { format!("; the last trigger ended at {whole}") };
    format!("{load}{from}{rest}")
}

fn starts(triggers: &Triggers) -> String {
    let (due, done, dropped, interrupted) = (triggers.due, triggers.done, triggers.dropped(), triggers.interrupted);
    let sum = done.saturating_add(dropped).saturating_add(interrupted);
    let sign = if sum == due { "=" } else { "≠" };
    let [due, done, dropped, interrupted] = [due, done, dropped, interrupted].map(count);
    format!("{due} due {sign} {done} done + {dropped} dropped + {interrupted} interrupted")
}

/// Describes starts per second: those that the plan asked for, if it did, and those achieved.
fn rates(finished: &Finished) -> String {
    let achieved = achieved_rate(finished).map_or_else(|| "-".to_owned(), per_second);
    let Some(asked) = asked_rate(finished).map(per_second) else {
        return format!("{achieved} started");
    };
    let how = match finished.plan.sole().map(|load| (load.model(), load.curve())) {
        // The rate of starts is this only on average.
        Some((Model::Open { arrivals: Arrivals::Poisson, .. }, _)) => "on average asked (poisson)",
        Some((_, curve)) if curve.stages().is_empty() => "asked",
        _ => "on average asked",
    };
    format!("{asked} {how}, {achieved} achieved")
}

/// Describes the triggers that failed, if any did.
pub(in crate::report) fn failed_triggers(triggers: &Triggers) -> Option<Fact> {
    let (failed, all) = (triggers.failed, triggers.done.saturating_add(triggers.interrupted));
    let panicked = match triggers.panicked {
        0 => String::new(),
        panicked => format!(", {} by a panic", count(panicked)),
    };
    let share = percent(failed, all);
    Fact::number("failed", failed, &format!("of {} ({share}){panicked}", counted(all, "trigger")))
        .map(|fact| fact.bad_if(true))
}
