//! The load that was delivered, beside the load that was asked for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{requests::Requests, said};
use crate::{
    engine::{
        Finished,
        plan::{Arrivals, Model, Plan},
        snapshot::Triggers,
    },
    report::{
        text::clean,
        units::{count, duration, per_second, rate},
    },
};

pub(super) fn lines(finished: &Finished, requests: &Requests) -> Vec<String> {
    let mut lines = vec!["Load".to_owned()];
    let mut say = |label: &str, text: String| lines.extend(said(label, &text));
    say("job", clean(&finished.options.job_name));
    say("plan", finished.plan.to_string());
    if let [origin] = &requests.origins[..] {
        say("target", clean(origin));
    }
    let Some(started_at) = finished.started_at else { return lines };
    say("took", took(finished, started_at));
    let triggers = &finished.totals.triggers;
    say("starts", starts(triggers));
    for (number, reason) in [
        (triggers.dropped_busy, busy(&finished.plan)),
        (triggers.dropped_unready, "their user could not start"),
        (triggers.dropped_stopped, "the run was stopped first"),
    ] {
        if number > 0 {
            say("dropped", format!("{}: {reason}", count(number)));
        }
    }
    say("rate", rates(finished));
    if let Some(lag) = finished.health.worst_lag {
        let (p99, limit) = (duration(lag.p99), duration(lag.limit));
        let from = duration(Duration::from_secs(lag.from));
        say("worst lag", format!("p99 {p99} late at worst (from {from} on); {limit} is the limit"));
    }
    match finished.most_users {
        0 => {}
        most if finished.plan.is_open() => say("in flight", format!("{} at most, looked at each second", count(most))),
        most => say("users", format!("{} at most", count(most))),
    }
    lines
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

/// Why a start was refused.
fn busy(plan: &Plan) -> &'static str {
    match plan.is_open() {
        true => "as many triggers as `--max-users` allows were in flight",
        false => "their user was still busy when the run ended",
    }
}

/// Starts a second: asked for where the plan says so, and achieved.
fn rates(finished: &Finished) -> String {
    let (plan, time) = (&finished.plan, finished.load_time);
    let triggers = &finished.totals.triggers;
    let achieved = rate(triggers.done.saturating_add(triggers.interrupted), time);
    let (curve, has_rate) = match plan.model() {
        // Its starts are this many on average only.
        Model::Open { rate, arrivals: Arrivals::Poisson, .. } if rate.stages().is_empty() => {
            let asked = plan.rate_at(Duration::ZERO).unwrap_or_default();
            return format!("{} on average asked (poisson), {achieved} achieved", per_second(asked));
        }
        Model::Open { rate, .. } => (rate, true),
        Model::Closed { users, pace } => (users, pace.is_some()),
    };
    if !has_rate {
        return format!("{achieved} started");
    }
    let asked = match plan.rate_at(Duration::ZERO).filter(|_| curve.stages().is_empty()) {
        Some(asked) => per_second(asked),
        None => format!("{} on average", rate(triggers.due, time)),
    };
    format!("{asked} asked, {achieved} achieved")
}
