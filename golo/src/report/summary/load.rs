//! The delivered load, compared to the requested load.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::requests::Requests;
use crate::{
    engine::{
        Finished,
        curve::Curve,
        health::LateStarts,
        plan::{Arrivals, Model, Rate},
        snapshot::Triggers,
    },
    metrics::output::nanoseconds,
    report::{
        Page, RateTime, pauses,
        rates::is_used_up,
        text::clean,
        units::{count, counted, duration, per_second},
    },
};

pub(super) fn lines(page: Page, finished: &Finished, requests: &Requests) -> Vec<String> {
    let mut lines = vec!["Load".to_owned()];
    let mut say = |label: &str, text: String| lines.extend(page.said(label, &text));
    say("job", clean(&finished.options.job_name));
    say("plan", finished.plan.to_string());
    if let [origin] = &requests.origins[..] {
        say("target", clean(origin));
    }
    let Some(started_at) = finished.started_at else { return lines };
    say("took", took(finished, started_at));
    let generator = &finished.totals.generator;
    if let Some(warm_up) = warm_up(generator.warm_up_triggers, generator.warm_up_requests) {
        say("warm-up", warm_up);
    }
    let triggers = &finished.totals.triggers;
    say("starts", starts(triggers));
    let others = [
        (triggers.dropped_unready, "their user could not start".to_owned()),
        (triggers.dropped_stopped, "the run was stopped first".to_owned()),
    ];
    for (number, reason) in pauses::dropped_busy(&finished.plan, triggers).into_iter().chain(others) {
        if number > 0 {
            say("dropped", format!("{}: {reason}", count(number)));
        }
    }
    say("rate", rates(finished));
    if let Some(late) = pauses::late_starts(&finished.totals) {
        say("late starts", late);
    }
    if let Some(lag) = finished.health.worst_lag {
        let (p99, limit) = (duration(lag.p99), duration(lag.limit));
        let from = duration(Duration::from_secs(lag.from));
        let later = match lag.starts {
            Some(LateStarts { late: late @ 1.., all, .. }) => {
                format!(", and {} of {} were later", count(late), count(all))
            }
            _ => String::new(),
        };
        say("worst lag", format!("p99 {p99} late at worst (from {from} on); {limit} is the limit{later}"));
    }
    match finished.most_users {
        0 => {}
        most if finished.plan.is_open() => say("in flight", format!("{} at most, looked at each second", count(most))),
        most => say("users", format!("{} at most", count(most))),
    }
    if let Some(starts) = pauses::user_starts(&finished.totals) {
        say("user starts", starts);
    }
    lines
}

/// Describes the load of the warm-up, if there was one.
pub(in crate::report) fn warm_up(triggers: u64, requests: u64) -> Option<String> {
    let (triggers, requests) = match (triggers, requests) {
        (0, 0) => return None,
        (triggers, 0) => (counted(triggers, "trigger"), "no request".to_owned()),
        (triggers, requests) => (counted(triggers, "trigger"), counted(requests, "request")),
    };
    Some(format!("{triggers} and {requests} before the start, not counted"))
}

fn took(finished: &Finished, started_at: SystemTime) -> String {
    let (load, whole) = (duration(finished.load_time), duration(finished.whole_time));
    let seconds = started_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let date = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let date = date.and_then(|date| date.format(&Rfc3339).ok());
    let from = date.map_or_else(String::new, |date| format!(", from {date}"));
    let rest = if load == whole { String::new() } else { format!("; the last trigger ended at {whole}") };
    format!("{load}{from}{rest}")
}

fn starts(triggers: &Triggers) -> String {
    let (due, done, dropped, interrupted) = (triggers.due, triggers.done, triggers.dropped(), triggers.interrupted);
    let sum = done.saturating_add(dropped).saturating_add(interrupted);
    let sign = if sum == due { "=" } else { "≠" };
    let (due, done, dropped) = (count(due), count(done), count(dropped));
    format!("{due} due {sign} {done} done + {dropped} dropped + {} interrupted", count(interrupted))
}

/// Describes starts per second: those that the plan asked for, if it did, and those achieved.
fn rates(finished: &Finished) -> String {
    let achieved = achieved_rate(finished).map_or_else(|| "-".to_owned(), per_second);
    let Some(asked) = asked_rate(finished).map(per_second) else {
        return format!("{achieved} started");
    };
    match finished.plan.model() {
        // The rate of starts is this only on average.
        Model::Open { arrivals: Arrivals::Poisson, .. } => {
            format!("{asked} on average asked (poisson), {achieved} achieved")
        }
        Model::Open { rate: curve, .. } | Model::Closed { users: curve, .. } if !curve.stages().is_empty() => {
            format!("{asked} on average asked, {achieved} achieved")
        }
        _ => format!("{asked} asked, {achieved} achieved"),
    }
}

/// Returns the time during which triggers were started. Golo 0.1 did not report it for a plan that has only iterations.
fn time(finished: &Finished) -> Duration {
    let is_told = finished.plan.duration().is_some() || finished.tells_after_load;
    if is_told { finished.load_time } else { finished.whole_time }
}

/// Returns the number of started triggers per second; `None` if the time is zero.
///
/// If iterations ended the load, its time ends with the last start. The rate does not count that start: 11 starts in 10
/// s are one per second. Users that start again as soon as they are done start as often as their triggers end.
pub(in crate::report) fn achieved_rate(finished: &Finished) -> Option<f64> {
    let triggers = &finished.totals.triggers;
    let started = triggers.done.saturating_add(triggers.interrupted);
    // Triggers that came after the end of the plan are no part of its rate.
    let started = started.saturating_sub(finished.totals.generator.overdue);
    let (number, time) = match finished.plan.model() {
        _ if !(is_used_up(finished) && finished.tells_after_load) => (started, time(finished)),
        Model::Closed { pace: None, .. } => {
            let rates = RateTime::of(finished);
            (rates.counted(triggers.done, triggers.done_after_load), rates.time)
        }
        _ => (started.saturating_sub(1), time(finished)),
    };
    (!time.is_zero()).then(|| number as f64 / time.as_secs_f64())
}

/// Returns the average of the starts per second that the plan asked for. Fewer may have become due if the generator was
/// late when the run was stopped.
pub(in crate::report) fn asked_rate(finished: &Finished) -> Option<f64> {
    let (plan, time) = (&finished.plan, time(finished));
    match plan.model() {
        Model::Open { rate, .. } => Rate::new(average(rate, time).round() as u64).map(Rate::per_second),
        Model::Closed { users, pace } => pace.map(|pace| average(users, time) / pace.as_secs_f64()),
    }
}

/// Returns the average of a curve from its start to `time`.
fn average(curve: &Curve, time: Duration) -> f64 {
    match nanoseconds(time) {
        0 => curve.at(Duration::ZERO),
        nanos => curve.twice_area(time) as f64 / (2.0 * nanos as f64),
    }
}
