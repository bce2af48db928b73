//! Verdict on a run.

use std::{fmt, time::Duration};

use super::text::clean;
use super::units::{count, counted, duration};
use super::{Judged, RunOutcome};
use crate::engine::Finished;
use crate::engine::errors::{ErrorKind, Errors};
use crate::engine::health::{LateStarts, LostAgent};
use crate::engine::series::Outcome;
use crate::engine::snapshot::{Ends, Snapshot};
use crate::engine::standstill::Standstill;

/// Verdict on a run. If several variants apply, the first one is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The run could not start, for this reason.
    NotStarted(String),
    /// No end of the run was reported. It may still be running. The text describes what is known.
    NotEnded(String),
    /// The load test died, for this reason.
    Died(String),
    /// A signal or another order stopped the run.
    Stopped,
    /// The generator could not deliver the plan, for these reasons. The results are not caused by the target alone.
    Invalid(Vec<String>),
    /// These thresholds failed, or nothing succeeded.
    Failed(Vec<String>),
    /// The plan was delivered, every threshold passed, and something succeeded, unless a threshold asks for failures.
    Passed,
}

impl Verdict {
    /// Returns the verdict on a run that has ended.
    #[must_use]
    pub fn of(outcome: &RunOutcome) -> Self {
        let finished = &outcome.finished;
        if let Some(reason) = &finished.not_started {
            return Self::NotStarted(reason.clone());
        }
        if let Some(known) = &outcome.not_ended {
            return Self::NotEnded(known.clone());
        }
        if let Some(reason) = &outcome.died {
            return Self::Died(reason.clone());
        }
        if outcome.stopped.is_some() {
            return Self::Stopped;
        }
        let mut reasons = invalid(finished);
        reasons.extend(outcome.missing.clone());
        if !reasons.is_empty() {
            return Self::Invalid(reasons);
        }
        let mut failed: Vec<_> = outcome.thresholds.iter().filter(|judged| !judged.passed).map(missed).collect();
        failed.extend(nothing_succeeded(outcome).map(|nothing| nothing.reason));
        if failed.is_empty() { Self::Passed } else { Self::Failed(failed) }
    }
}

/// Describes a threshold that failed, with its actual value.
fn missed(judged: &Judged) -> String {
    match &judged.reason {
        Some(reason) => format!("{}: {reason}", judged.threshold),
        None => format!("{} was {}", judged.threshold, judged.said()),
    }
}

/// Reason of a run's failure if nothing in it succeeded.
pub(super) struct NothingSucceeded {
    pub(super) reason: String,
    /// True if the reason is about triggers, because there was no request and no measured step.
    pub(super) of_triggers: bool,
}

/// Returns the reason if nothing succeeded although something was tried, and no threshold that passed asks for
/// failures.
///
/// Requests decide. If there are none, measured steps decide; if there are none either, triggers.
pub(super) fn nothing_succeeded(outcome: &RunOutcome) -> Option<NothingSucceeded> {
    let finished = &outcome.finished;
    if outcome.thresholds.iter().any(Judged::wants_failures) {
        return None;
    }
    let totals = &finished.totals;
    let triggers = &totals.triggers;
    let of_triggers = Ends { done: triggers.done, failed: triggers.failed, interrupted: triggers.interrupted };
    let tried = [("request", totals.ends(false)), ("step", totals.ends(true))];
    let (noun, ends) = tried.into_iter().find(|(_, ends)| ends.all() > 0).unwrap_or(("trigger", of_triggers));
    if ends.passed() > 0 || (ends.all() == 0 && triggers.due == 0) {
        return None;
    }
    let of_triggers = noun == "trigger";
    let Ends { done, failed, interrupted } = ends;
    let have_panicked = of_triggers && triggers.panicked == failed;
    let why = reason(&totals.errors, |kind| match (of_triggers, have_panicked) {
        (true, true) => kind == ErrorKind::Panic,
        (true, false) => matches!(kind, ErrorKind::Returned | ErrorKind::Panic | ErrorKind::Start),
        (false, _) => has_failed_so(totals, noun == "step", kind),
    });
    let verb = if have_panicked { "panicked" } else { "failed" };
    let what = match (done, interrupted) {
        (0, 0) => format!("{} dropped, and no trigger ran", counted(triggers.dropped(), "start")),
        (0, _) => format!("no {noun} ended, {} cut off", counted(interrupted, noun)),
        (1, 0) => format!("the only {noun} {verb}{why}"),
        (_, 0) => format!("every {noun} {verb}{why}"),
        _ => format!("{} failed and {} were cut off{why}", counted(failed, noun), count(interrupted)),
    };
    Some(NothingSucceeded { reason: format!("nothing succeeded: {what}"), of_triggers })
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted(_) => "NOT STARTED",
            Self::NotEnded(_) => "NOT ENDED",
            Self::Died(_) => "DIED",
            Self::Stopped => "STOPPED",
            Self::Invalid(_) => "INVALID",
            Self::Failed(_) => "FAILED",
            Self::Passed => "PASSED",
        })
    }
}

/// Returns the reasons why the generator is at fault, if it is.
pub(super) fn invalid(finished: &Finished) -> Vec<String> {
    let health = &finished.health;
    let generator = &finished.totals.generator;
    let mut reasons = Vec::new();
    if let Some(lag) = health.worst_lag.filter(|lag| lag.is_late()) {
        let which = lag.starts.map_or_else(String::new, |LateStarts { late, all, .. }| {
            format!("{} of {}, ", count(late), counted(all, "start"))
        });
        reasons.push(format!(
            "starts were late: {which}by p99 {} in the {} from {} on, where {} is the limit (on a shared CI machine, ask \
             for less load or raise the limit with `--max-lag`)",
            duration(lag.p99),
            duration(lag.length()),
            duration(Duration::from_secs(lag.from)),
            duration(lag.limit)
        ));
    }
    if let Some(standstill) = health.standstill {
        reasons.push(format!(
            "the load generator {}: its process was stopped, its machine suspended or too busy",
            stood_still(standstill)
        ));
    }
    if generator.without_descriptor > 0 {
        reasons.push(format!("{} found no descriptor left", counted(generator.without_descriptor, "request")));
    }
    if generator.without_port > 0 {
        reasons.push(format!("{} found no local port left", counted(generator.without_port, "request")));
    }
    reasons.extend(lost(finished));
    reasons
}

/// Describes a standstill, as what the load generator did.
pub(super) fn stood_still(Standstill { from, length, times }: Standstill) -> String {
    let (length, from) = (duration(length), duration(from));
    match times {
        ..=1 => format!("stood still for {length}, from {from} on"),
        _ => format!("stood still {} times, for {length} in total, from {from} on", count(times)),
    }
}

/// Describes the workers and agents that were lost, with the reasons.
pub(super) fn lost(finished: &Finished) -> impl Iterator<Item = String> {
    let lost = &finished.health.lost;
    let were = match &lost[..] {
        [] => None,
        [_] => Some("a worker was".to_owned()),
        _ => Some(format!("{} were", counted(lost.len() as u64, "worker"))),
    };
    let workers = were.map(|were| format!("{were} lost, of {}: {}", finished.options.workers, why_lost(lost)));
    let agents = finished
        .health
        .lost_agents
        .iter()
        .map(|LostAgent { name, from, reason }| format!("the agent {name} was lost {}: {reason}", since(*from)));
    workers.into_iter().chain(agents)
}

/// Describes the time from which an agent is missing.
pub(super) fn since(from: Duration) -> String {
    if from.is_zero() { "from the start on".to_owned() } else { format!("from {} on", duration(from)) }
}

/// Returns the reasons why workers were lost, each of them once.
pub(super) fn why_lost(lost: &[String]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for reason in lost {
        if !reasons.contains(&&**reason) {
            reasons.push(reason);
        }
    }
    reasons.join(", ")
}

/// Returns true if any request, or measured step, failed with an error of this kind.
pub(super) fn has_failed_so(totals: &Snapshot, of_steps: bool, kind: ErrorKind) -> bool {
    totals.requests.keys().filter(|series| series.is_step() == of_steps).any(|series| match series.outcome {
        Outcome::Failed(known) => known == kind,
        Outcome::Answered { failed, .. } => failed && kind == ErrorKind::Status,
        Outcome::Content { .. } => kind == ErrorKind::Content,
        Outcome::Interrupted => false,
    })
}

/// Returns the text of the most frequent error of the wanted kinds, after a colon.
pub(super) fn reason(errors: &Errors, is_wanted: impl Fn(ErrorKind) -> bool) -> String {
    let first = errors.by_count().into_iter().find(|(kind, _, _)| is_wanted(*kind));
    first.map_or_else(String::new, |(kind, text, _)| match kind {
        // The text before the reason already names the kind.
        ErrorKind::Panic => format!(": {}", clean(text.strip_prefix("panicked: ").unwrap_or(text))),
        ErrorKind::Start | ErrorKind::Returned | ErrorKind::Status | ErrorKind::StrayPanic => {
            format!(": {}", clean(text))
        }
        kind if text.starts_with(&kind.to_string()) => format!(": {}", clean(text)),
        kind => format!(": {kind}: {}", clean(text)),
    })
}
