//! Effects of the load test's own pauses, such as think time and work between requests, which the target does not
//! cause.

use std::time::Duration;

use super::figures::named;
use super::units::{count, duration, nanoseconds, percent};
use crate::engine::histogram::Histogram;
use crate::engine::lag::LATE;
use crate::engine::plan::{Load, Model, Plan};
use crate::engine::snapshot::{Snapshot, Triggers};
use crate::engine::spent::Spent;
use crate::metrics::output;

/// Describes triggers that pause for longer than their pace. Their users fall behind, no matter how the target
/// responds.
#[must_use]
pub fn slow_pace(plan: &Plan, triggers: &Triggers) -> Option<String> {
    let Model::Closed { pace: Some(pace), .. } = plan.sole()?.model() else { return None };
    let (thinking, pausing) = (each(triggers, triggers.spent.thinking)?, each(triggers, triggers.spent.pausing())?);
    let how = if thinking > *pace {
        format!("thinks for {} a trigger", duration(thinking))
    } else if pausing > *pace {
        format!("thinks and works for {} a trigger beside its requests", duration(pausing))
    } else {
        return None;
    };
    let pace = duration(*pace);
    Some(format!("the load test {how}, longer than its pace of {pace}: its users fall behind whatever the target does"))
}

/// Returns the average time per trigger of a part of their time.
fn each(triggers: &Triggers, time: Duration) -> Option<Duration> {
    let nanos = output::nanoseconds(time).checked_div(triggers.done)?;
    Some(Duration::from_nanos(nanos))
}

/// Describes how the time of triggers was spent, on average; `None` if that is not known.
pub(super) fn split(triggers: &Triggers) -> Option<String> {
    let spent = triggers.spent;
    let whole = output::nanoseconds(spent.whole());
    if whole == 0 {
        return None;
    }
    let part = |time: Duration| {
        let share = percent(output::nanoseconds(time), whole);
        each(triggers, time).map(|each| format!("{} ({share})", duration(each)))
    };
    let Spent { requesting, thinking, working } = spent;
    Some(format!(
        "{} in requests and steps, {} thinking, {} in the load test's own work, on average",
        part(requesting)?,
        part(thinking)?,
        part(working)?
    ))
}

/// Returns the reasons for starts that were dropped because something was still busy, with the number of each.
pub(super) fn dropped_busy(plan: &Plan, triggers: &Triggers) -> [(u64, String); 2] {
    let pausing = triggers.dropped_pausing.min(triggers.dropped_busy);
    let reason = if plan.is_open() {
        let spent = triggers.spent;
        let share = match (spent.pausing() > spent.requesting, spent.whole().as_nanos()) {
            (true, 1..) => {
                let share = percent(output::nanoseconds(spent.pausing()), output::nanoseconds(spent.whole()));
                format!("; {share} of their time was the load test's own pauses")
            }
            _ => String::new(),
        };
        format!("as many triggers as `--max-users` allows were in flight{share}")
    } else if plan.loads().iter().any(Load::is_open) {
        "as many triggers as `max_users` allows were in flight, or their user was still busy".to_owned()
    } else {
        "their user was still busy when its time in the run was over".to_owned()
    };
    let own = "the load test's own pauses kept their user busy: its think time, and its work between requests";
    [(triggers.dropped_busy - pausing, reason), (pausing, own.to_owned())]
}

/// Describes the time that users took to start.
pub(super) fn user_starts(totals: &Snapshot) -> Option<String> {
    let starts = &totals.user_starts;
    (!starts.is_empty()).then(|| format!("{}; starting took {}", count(starts.count()), spread(starts)))
}

/// Describes the triggers that started late because their user was still starting.
pub(super) fn late_starts(totals: &Snapshot) -> Option<String> {
    let late = late(totals);
    if late == 0 {
        return None;
    }
    let due = count(totals.triggers.due);
    let overdue = match totals.generator.overdue {
        0 => String::new(),
        overdue => format!("; {} came after the end of the plan", count(overdue)),
    };
    let (late, spread) = (count(late), spread(&totals.start_waits));
    Some(format!("{late} of {due}: their user was still starting; late by {spread}{overdue}"))
}

/// Describes late starts for the headline, if there are enough of them to change the figures.
pub(super) fn many_late_starts(totals: &Snapshot) -> Option<String> {
    let (late, due) = (late(totals), totals.triggers.due);
    if late == 0 || late <= due / 100 {
        return None;
    }
    let (late, due, p95) = (count(late), count(due), nanoseconds(totals.start_waits.quantile(0.95)));
    Some(format!(
        "{late} of {due} starts were late, by p95 {p95}, since their user was still starting: \
         with a `--warm-up` most users start before it is measured"
    ))
}

fn late(totals: &Snapshot) -> u64 {
    let waits = &totals.start_waits;
    waits.count() - waits.count_at_or_below(output::nanoseconds(LATE)).min(waits.count())
}

fn spread(durations: &Histogram) -> String {
    named(durations, [("p50", 0.5), ("p95", 0.95), ("max", 1.0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::errors::ErrorKind;
    use crate::engine::plan::Asked;
    use crate::engine::{Finished, Options};
    use crate::report::{Page, summary};
    use crate::user::share::Share;

    const MILLI: Duration = Duration::from_millis(1);

    fn finished(asked: Asked) -> Finished {
        let plan = Plan::new(asked).unwrap();
        let options = Options { job_name: "shop".to_owned(), workers: 2, seed: 7, share: Share::WHOLE, max_lag: None };
        let mut finished = Finished::not_started(plan, options, None);
        finished.started_at = Some(std::time::UNIX_EPOCH);
        (finished.load_time, finished.whole_time) = (10_000 * MILLI, 10_000 * MILLI);
        finished
    }

    fn paced(thinking: u32, working: u32) -> Finished {
        let mut finished = finished(Asked { users: Some(1), pace: Some(100 * MILLI), ..Asked::default() });
        let triggers = &mut finished.totals.triggers;
        (triggers.due, triggers.done, triggers.dropped_busy, triggers.dropped_pausing) = (100, 30, 70, 60);
        triggers.service.record_n(5_000_000, 30);
        triggers.response.record_n(6_000_000, 30);
        triggers.spent =
            Spent { requesting: 150 * MILLI, thinking: thinking * 30 * MILLI, working: working * 30 * MILLI };
        finished
    }

    /// Returns the summary on a page of 400 columns.
    fn said(finished: &Finished) -> String {
        summary(&finished.clone().into(), Page::new(400, false))
    }

    #[track_caller]
    fn assert_has(finished: &Finished, line: &str) {
        let text = said(finished);
        // The first sentence continues in the next line.
        let text = text.replace("\n  100 starts", " 100 starts");
        assert!(text.lines().any(|known| known == line), "no line `{line}` in\n{text}");
    }

    #[test]
    fn pauses_longer_than_the_pace_are_reported() {
        let thinking = paced(300, 0);
        assert_has(
            &thinking,
            "PASSED, but the load test thinks for 300ms a trigger, longer than its pace of 100ms: its users fall behind \
             whatever the target does; 70 of 100 starts dropped, 60 by the load test's own pauses",
        );
        assert_has(&thinking, "  dropped      10: their user was still busy when its time in the run was over");
        let own = "the load test's own pauses kept their user busy: its think time, and its work between requests";
        assert_has(&thinking, &format!("  dropped      60: {own}"));
        let split = "5ms (1.64%) in requests and steps, 300ms (98.4%) thinking, 0s (0%) in the load test's own work";
        assert_has(&thinking, &format!("  time         {split}, on average"));
        let working = said(&paced(60, 50));
        assert!(working.contains("thinks and works for 110ms a trigger beside its requests, longer"), "{working}");
        let quick = paced(60, 30);
        assert_eq!(slow_pace(&quick.plan, &quick.totals.triggers), None);
        assert_eq!(slow_pace(&quick.plan, &Triggers::default()), None, "nothing is known yet");
    }

    #[test]
    fn unknown_parts_of_time_are_not_reported() {
        let mut finished = paced(0, 0);
        finished.totals.triggers.spent = Spent::default();
        assert!(!said(&finished).contains("in requests and steps"), "{}", said(&finished));
    }

    #[test]
    fn starts_refused_by_open_plan_are_reported_with_pauses() {
        let mut finished = finished(Asked { rate: Some("10/s".parse().unwrap()), ..Asked::default() });
        let triggers = &mut finished.totals.triggers;
        (triggers.due, triggers.done, triggers.dropped_busy) = (100, 30, 70);
        triggers.spent = Spent { requesting: 300 * MILLI, thinking: 900 * MILLI, working: Duration::ZERO };
        let reason = "as many triggers as `--max-users` allows were in flight";
        let pauses = "75% of their time was the load test's own pauses";
        assert_has(&finished, &format!("  dropped      70: {reason}; {pauses}"));
        finished.totals.triggers.spent.thinking = 100 * MILLI;
        assert_has(&finished, &format!("  dropped      70: {reason}"));
    }

    #[test]
    fn late_users_are_reported_with_rate_and_in_headline_if_many() {
        let mut finished = finished(Asked { rate: Some("50/s".parse().unwrap()), ..Asked::default() });
        let totals = &mut finished.totals;
        (totals.triggers.due, totals.triggers.done) = (500, 500);
        totals.start_waits.record_n(2_000_000, 40);
        totals.user_starts.record_n(2_000_000, 40);
        assert_has(&finished, "  user starts  40; starting took p50 2ms, p95 2ms, max 2ms");
        assert!(!said(&finished).contains("late starts"), "so little is not late: {}", said(&finished));
        finished.totals.start_waits.record_n(3_000_000_000, 5);
        let late = "5 of 500: their user was still starting; late by p50 2ms, p95 3s, max 3s";
        assert_has(&finished, &format!("  late starts  {late}"));
        assert!(said(&finished).starts_with("PASSED: "), "one in a hundred: {}", said(&finished));
        finished.totals.start_waits.record_n(3_000_000_000, 145);
        finished.totals.generator.overdue = 100;
        let headline = "150 of 500 starts were late, by p95 3s, since their user was still starting";
        let text = said(&finished);
        assert!(text.starts_with(&format!("PASSED, but {headline}: ")), "{text}");
        assert_has(&finished, "  rate         50/s asked, 40/s achieved");
        assert!(text.contains("max 3s; 100 came after the end of the plan"), "{text}");
    }

    #[test]
    fn problems_outside_triggers_come_first() {
        let mut finished = finished(Asked::default());
        let totals = &mut finished.totals;
        (totals.triggers.due, totals.triggers.done) = (5, 5);
        totals.errors.add(ErrorKind::StrayPanic, "in a task at src/main.rs:7:5: no", 1_500 * MILLI);
        (totals.generator.stray_panics, totals.generator.stops_cut_off) = (1, 2);
        assert_has(
            &finished,
            "PASSED, but 1 panic outside of a trigger: in a task at src/main.rs:7:5: no; the `stop` of 2 users was cut \
             off: it took longer than the grace",
        );
        assert_has(&finished, "  panic      1      1.5s  in a task at src/main.rs:7:5: no");
        assert_has(&finished, "  panics       1 outside of triggers; see Errors");
        assert_has(&finished, "  stops        2 users took longer to stop than the grace, and were cut off");
    }
}
