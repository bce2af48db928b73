use crate::engine::Finished;
use crate::engine::errors::ErrorKind;
use crate::engine::histogram::Histogram;
use crate::engine::snapshot::Snapshot;
use crate::report::facts::Tone;
use crate::report::page::{BAD, GOOD, WARNING};
use crate::report::requests::Requests;
use crate::report::route::Route;
use crate::report::text::clean;
use crate::report::units::{count, counted, duration, nanoseconds, percent};
use crate::report::verdict::{self, has_failed_so, reason};
use crate::report::{self, Moment, Page, RunOutcome, Verdict, pauses, phases};

/// The verdict in words.
pub(in crate::report) struct Headline {
    /// Word of the verdict.
    pub(in crate::report) word: String,
    /// Text directly after the word: the reason or the result.
    after: String,
    /// Problems that are not the reason of the verdict; empty if there are none.
    also: String,
    pub(in crate::report) tone: Tone,
}

impl Headline {
    pub(in crate::report) fn of(outcome: &RunOutcome, requests: &Requests) -> Self {
        let verdict = outcome.verdict();
        let mut concerns = concerns(outcome, &verdict, requests);
        concerns.extend(outcome.troubles().iter().map(|trouble| clean(trouble)));
        let mut also = concerns.join("; ");
        let (after, tone) = match &verdict {
            Verdict::Passed if also.is_empty() => (format!(": {}", passed(&outcome.finished, requests)), Tone::Good),
            Verdict::Passed => (format!(", but {}", std::mem::take(&mut also)), Tone::Warning),
            _ => (after(outcome, &verdict), Tone::Bad),
        };
        Self { word: verdict.to_string(), after, also, tone }
    }

    /// Returns the first lines of the summary.
    pub(super) fn lines(&self, page: Page) -> Vec<String> {
        let mut lines = page.wrap("", 2, &format!("{}{}", self.word, self.after));
        if let Some(first) = lines.first_mut() {
            let style = match self.tone {
                Tone::Warning => WARNING,
                Tone::Plain | Tone::Good => GOOD,
                Tone::Bad => BAD,
            };
            *first = first.replacen(&self.word, &page.paint(style, &self.word), 1);
        }
        if !self.also.is_empty() {
            lines.extend(page.wrap("  also: ", 4, &self.also));
        }
        lines
    }

    /// Returns the verdict with its reason and the important problems, as one sentence.
    pub(in crate::report) fn text(&self) -> String {
        format!("{}{}", self.word, self.after_word())
    }

    /// Returns the part of the [`text`](Self::text) after the word.
    pub(in crate::report) fn after_word(&self) -> String {
        if self.also.is_empty() { self.after.clone() } else { format!("{}; also: {}", self.after, self.also) }
    }
}

/// Describes the result of a run without problems.
fn passed(finished: &Finished, requests: &Requests) -> String {
    let (requests, steps) = (requests.routes.total.count(), requests.steps.total.count());
    let done = match (requests, steps) {
        // Not every load test makes requests that golo measures.
        (0, 0) => counted(finished.totals.triggers.done, "trigger"),
        (0, steps) => counted(steps, "step"),
        (requests, 0) => counted(requests, "request"),
        (requests, steps) => format!("{} and {}", counted(requests, "request"), counted(steps, "step")),
    };
    format!("{done}, none failed{}", if requests == 0 { ", and no request" } else { "" })
}

/// Returns the text after the word of a verdict other than PASSED.
fn after(outcome: &RunOutcome, verdict: &Verdict) -> String {
    let finished = &outcome.finished;
    let after_load = || format!(" after {}", duration(finished.load_time));
    let cleaned = |reasons: &[String]| reasons.iter().map(|reason| clean(reason)).collect::<Vec<_>>().join("; ");
    match verdict {
        Verdict::NotStarted(reason) | Verdict::NotEnded(reason) => format!(": {}", clean(reason)),
        Verdict::Died(reason) => format!("{}: {}", after_load(), clean(reason)),
        Verdict::Stopped => format!(" by {} {}", outcome.stopped_by(), when(finished, outcome.stopped)),
        Verdict::Invalid(reasons) => format!(": the generator, not the target, was the limit: {}", cleaned(reasons)),
        Verdict::Failed(reasons) if outcome.aborted.is_some() => {
            format!("{}, when that could no longer be mended: {}", after_load(), cleaned(reasons))
        }
        Verdict::Failed(reasons) => format!(": {}", cleaned(reasons)),
        Verdict::Passed => String::new(),
    }
}

/// Describes the time at which the order to stop came.
fn when(finished: &Finished, moment: Option<Moment>) -> String {
    let when = match moment {
        Some(Moment::Setup) => "during `setup`",
        Some(Moment::Start) => "while users started",
        Some(Moment::Load(after)) if after.is_zero() && !finished.plan.warm_up().is_zero() => "during the warm-up",
        // The load was over before the order came.
        Some(Moment::Load(after)) if after > finished.load_time => "while the last triggers finished",
        Some(Moment::Load(_)) => match finished.plan.duration() {
            Some(planned) => return format!("after {} of {}", duration(finished.load_time), duration(planned)),
            None => return format!("after {}", duration(finished.load_time)),
        },
        Some(Moment::Stop) => "while users stopped",
        Some(Moment::Teardown) => "during `teardown`",
        None => "before it ended",
    };
    when.to_owned()
}

/// Returns the problems that are too important to miss.
fn concerns(outcome: &RunOutcome, verdict: &Verdict, requests: &Requests) -> Vec<String> {
    let finished = &outcome.finished;
    let totals = &finished.totals;
    let mut concerns = Vec::new();
    // The reasons of the verdict are not repeated.
    let nothing = verdict::nothing_succeeded(outcome).filter(|_| matches!(verdict, Verdict::Failed(_)));
    let is_of_triggers = nothing.as_ref().is_some_and(|nothing| nothing.of_triggers);
    // A run that ended before the load has no results to comment on.
    if *verdict == Verdict::Passed || !finished.load_time.is_zero() {
        if nothing.is_none() {
            concerns.extend(about_requests(finished, requests));
            concerns.extend(about_steps(&requests.steps.total));
            concerns.extend(phases::blocked(requests));
        }
        concerns.extend(report::slow_pace(&finished.plan, &totals.triggers));
        concerns.extend(about_triggers(finished, requests, is_of_triggers));
        concerns.extend(pauses::many_late_starts(totals));
        let failed = totals.checks.values().fold(0, |sum: u64, check| sum.saturating_add(check.failed));
        if failed > 0 {
            concerns.push(format!("{} failed", counted(failed, "check")));
        }
    }
    // In an invalid run they are the reason of the verdict.
    if !matches!(verdict, Verdict::Invalid(_)) {
        concerns.extend(verdict::lost(finished).map(|lost| clean(&lost)));
    }
    let generator = &totals.generator;
    if generator.users_failed > 0 {
        let tried = generator.users_failed.saturating_add(generator.users_started);
        let reason = reason(&totals.errors, |kind| kind == ErrorKind::Start);
        concerns.push(match finished.plan.is_open() {
            true => format!("{} of {} starts of users failed{reason}", count(generator.users_failed), count(tried)),
            false => {
                // A user that panicked has started again.
                let all = tried.min(finished.plan.peak_users()).max(generator.users_failed);
                format!("{} of {} could not start{reason}", count(generator.users_failed), counted(all, "user"))
            }
        });
    }
    concerns.extend(about_ends(totals));
    concerns
}

/// Describes problems outside triggers.
fn about_ends(totals: &Snapshot) -> Vec<String> {
    let mut concerns = Vec::new();
    let generator = &totals.generator;
    if generator.stray_panics > 0 {
        let reason = reason(&totals.errors, |kind| kind == ErrorKind::StrayPanic);
        concerns.push(format!("{} outside of a trigger{reason}", counted(generator.stray_panics, "panic")));
    }
    if generator.stops_cut_off > 0 {
        let users = counted(generator.stops_cut_off, "user");
        concerns.push(format!("the `stop` of {users} was cut off: it took longer than the grace"));
    }
    concerns
}

fn about_requests(finished: &Finished, requests: &Requests) -> Option<String> {
    let (total, steps) = (&requests.routes.total, &requests.steps);
    let totals = &finished.totals;
    let (all, done, failed) = (total.tried(), total.count(), total.failed());
    match (all, done, failed) {
        (0, ..) if steps.total.tried() == 0 && totals.triggers.done == 0 => {
            Some("no request was made: no trigger ended".to_owned())
        }
        (0, ..) => None,
        (_, 0, _) => Some(format!("no request ended: {} cut off", counted(total.interrupted, "request"))),
        (_, _, 0) => None,
        _ if failed == all => {
            let subject = if all == 1 { "the only request" } else { "every request" };
            let reason = reason(&totals.errors, |kind| has_failed_so(totals, false, kind));
            Some(format!("{subject} failed{reason}"))
        }
        _ => Some(some_failed(total, "request")),
    }
}

/// Describes the number of failures, and the durations of passed and of failed ones.
fn some_failed(total: &Route, noun: &str) -> String {
    let (all, failed) = (total.tried(), total.failed());
    let some = format!("{} of {} failed ({})", count(failed), counted(all, noun), percent(failed, all));
    let p95 = |durations: &Histogram| nanoseconds(durations.quantile(0.95));
    match total.apart() {
        Some([passed, failed]) => {
            format!("{some}, p95 {} of those that passed and {} of those that failed", p95(passed), p95(failed))
        }
        None => some,
    }
}

fn about_steps(total: &Route) -> Option<String> {
    (total.failed() > 0).then(|| some_failed(total, "step"))
}

/// Describes problems of triggers. `is_said` is true if their failures are the reason of the verdict.
fn about_triggers(finished: &Finished, requests: &Requests, is_said: bool) -> Vec<String> {
    let triggers = &finished.totals.triggers;
    let errors = &finished.totals.errors;
    let mut concerns = Vec::new();
    let all = triggers.done.saturating_add(triggers.interrupted);
    let of_all = |number| format!("{} of {}", count(number), counted(all, "trigger"));
    let returned = triggers.failed.saturating_sub(triggers.panicked);
    // If requests or steps failed, a trigger that returns their errors adds nothing new.
    let total = &requests.routes.total;
    let is_explained = total.failed() > 0 || requests.steps.total.failed() > 0;
    if returned > 0 && !is_explained && !is_said {
        concerns.push(format!("{} failed{}", of_all(returned), reason(errors, |kind| kind == ErrorKind::Returned)));
    }
    if triggers.panicked > 0 && !(is_said && returned == 0) {
        let reason = reason(errors, |kind| kind == ErrorKind::Panic);
        concerns.push(format!("{} panicked{reason}", of_all(triggers.panicked)));
    }
    if triggers.interrupted > 0 {
        concerns.push(format!("{} of {} cut off", count(triggers.interrupted), counted(triggers.due, "trigger")));
    } else if total.interrupted > 0 {
        concerns.push(format!("{} of {} cut off", count(total.interrupted), counted(total.tried(), "request")));
    }
    let dropped = triggers.dropped_busy.saturating_add(triggers.dropped_unready);
    if dropped > 0 {
        let pausing = match triggers.dropped_pausing {
            0 => String::new(),
            pausing => format!(", {} by the load test's own pauses", count(pausing)),
        };
        concerns.push(format!("{} of {} dropped{pausing}", count(dropped), counted(triggers.due, "start")));
    }
    concerns
}
