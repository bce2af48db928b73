//! Progress lines during a run.

use std::time::Duration;

use super::text::{shorten, width};
use super::units::{count, counted, duration, nanoseconds, per_second};
use crate::engine::{Progress, histogram::Histogram, plan::Plan, series::Outcome, snapshot::Snapshot};

/// Progress lines of a run, one for every `every` seconds. If a worker is late, several seconds are reported together.
/// The line then comes with the first report after it was due.
#[derive(Debug)]
pub struct News {
    /// Interval between lines, in seconds.
    every: u64,
    /// Maximum columns of a line.
    width: usize,
    /// Elapsed time at the last report.
    before: Duration,
}

impl News {
    /// Returns progress lines for every `seconds`, at least one, of at most `width` columns.
    #[must_use]
    pub fn every(seconds: u64, width: usize) -> Self {
        Self { every: seconds.max(1), width, before: Duration::ZERO }
    }

    /// Sets the maximum columns of a line from now on, for example after a terminal was resized.
    pub fn fit(&mut self, width: usize) {
        self.width = width;
    }

    /// Returns a line if one is due: the state of the run since the last progress, and what has failed so far.
    pub fn of(&mut self, progress: &Progress, totals: &Snapshot, plan: &Plan) -> Option<String> {
        let before = std::mem::replace(&mut self.before, progress.elapsed);
        let is_due = before.as_secs() / self.every < progress.elapsed.as_secs() / self.every;
        is_due.then(|| line(progress, progress.elapsed.saturating_sub(before), totals, plan, self.width))
    }
}

/// Describes `time`, which ends with this progress, in at most `most` columns. Parts that do not fit are removed from
/// the middle, so that failures remain.
fn line(progress: &Progress, time: Duration, totals: &Snapshot, plan: &Plan, most: usize) -> String {
    let second = &progress.second;
    let mut durations = Histogram::new();
    for (series, measure) in &second.requests {
        if series.outcome != Outcome::Interrupted && !series.is_step() {
            durations.merge(&measure.durations);
        }
    }
    let each_second = |number: u64| number / time.as_secs().max(1);
    let users = match plan.is_open() {
        true => format!("{} in flight", count(progress.users)),
        false => counted(progress.users, "user"),
    };
    let mut parts = vec![users];
    let middle = progress.elapsed.saturating_sub(time / 2);
    if is_over(progress, plan) {
        parts.push("no more starts".to_owned());
    } else if let Some(asked) = plan.rate_at(middle) {
        let started = each_second(second.triggers.due.saturating_sub(second.triggers.dropped()));
        parts.insert(0, format!("{} of {} started", count(started), per_second(asked)));
    }
    parts.push(format!("{} req/s", count(each_second(durations.count()))));
    if let Some(p95) = durations.quantile(0.95) {
        parts.push(format!("p95 {}", nanoseconds(Some(p95))));
    }
    let failed = totals.requests_failed();
    parts.push(match totals.triggers.failed {
        triggers @ 1.. if failed == 0 => format!("{} failed", counted(triggers, "trigger")),
        _ => format!("{} failed", count(failed)),
    });
    let place = place(progress, totals, plan);
    let line = |parts: &[String]| format!("{place}: {}", parts.join(", "));
    while width(&line(&parts)) > most && parts.len() > 1 {
        parts.remove((parts.len() - 1) / 2);
    }
    shorten(&line(&parts), most)
}

fn is_over(progress: &Progress, plan: &Plan) -> bool {
    plan.duration().is_some_and(|planned| progress.elapsed > planned)
}

/// Describes how far the run has come.
fn place(progress: &Progress, totals: &Snapshot, plan: &Plan) -> String {
    let elapsed = duration(progress.elapsed);
    match (plan.duration(), plan.iterations()) {
        (Some(planned), _) => format!("{elapsed} of {}", duration(planned)),
        (None, Some(iterations)) => format!("{elapsed}, {} of {}", count(totals.triggers.done), count(iterations)),
        (None, None) => elapsed,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::text::width, *};
    use crate::engine::plan::Asked;
    use crate::engine::series::{Label, Outcome, Series};

    fn plan(asked: Asked) -> Plan {
        Plan::new(asked).unwrap()
    }

    /// Returns a second with `number` triggers, each with a request of 2 ms.
    fn progress(elapsed: u64, users: u64, number: u64) -> Progress {
        let mut second = Snapshot::default();
        let label = Label::new("http://a", "/", "GET");
        let outcome = Outcome::Answered { status: 500, failed: true };
        let series = Series { label: std::sync::Arc::new(label), outcome };
        second.requests.entry(series).or_default().durations.record_n(2_000_000, number);
        second.triggers.due = number;
        Progress { elapsed: Duration::from_secs(elapsed), second, users, connections: 0 }
    }

    fn said(progress: &Progress, totals: &Snapshot, asked: Asked) -> String {
        let line = line(progress, Duration::from_secs(1), totals, &plan(asked), 79);
        assert!(width(&line) < 80 && !line.contains("NaN") && !line.contains("inf"), "{line}");
        line
    }

    #[test]
    fn line_is_due_every_five_seconds_even_if_reports_are_skipped() {
        let told = |seconds: &[u64]| {
            let (mut news, plan) = (News::every(5, 79), plan(Asked::default()));
            let mut of = |second: &u64| news.of(&progress(*second, 1, 0), &Snapshot::default(), &plan).is_some();
            seconds.iter().copied().filter(|second| of(second)).collect::<Vec<_>>()
        };
        assert_eq!(told(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), [5, 10]);
        assert_eq!(told(&[1, 4, 6, 7, 9, 12, 13, 28, 29, 30]), [6, 12, 28, 30]);
        assert_eq!(told(&[5]), [5]);
    }

    #[test]
    fn seconds_reported_together_count_as_several() {
        let plan = plan(Asked { rate: Some("100/s".parse().unwrap()), ..Asked::default() });
        let mut news = News::every(5, 79);
        assert_eq!(news.of(&progress(4, 3, 400), &Snapshot::default(), &plan), None);
        assert_eq!(
            news.of(&progress(7, 3, 300), &Snapshot::default(), &plan).unwrap(),
            "7s of 10s: 100 of 100/s started, 3 in flight, 100 req/s, p95 2ms, 0 failed"
        );
    }

    #[test]
    fn line_shows_position_and_figures() {
        let rate = |text: &str| Some(text.parse().unwrap());
        let (progress, nothing) = (progress(5, 25, 1_234), Snapshot::default());
        let totals = &progress.second;
        assert_eq!(
            said(&progress, totals, Asked::default()),
            "5s of 10s: 25 users, 1,234 req/s, p95 2ms, 1,234 failed"
        );
        assert_eq!(
            said(&progress, totals, Asked { rate: rate("1300/s"), ..Asked::default() }),
            "5s of 10s: 1,234 of 1,300/s started, 25 in flight, p95 2ms, 1,234 failed",
            "the requests give way where they do not fit"
        );
        assert_eq!(
            said(&progress, &nothing, Asked { iterations: Some(5_000), ..Asked::default() }),
            "5s, 0 of 5,000: 25 users, 1,234 req/s, p95 2ms, 0 failed"
        );
    }

    #[test]
    fn empty_second_and_second_after_the_end_are_described() {
        let mut totals = Snapshot::default();
        assert_eq!(said(&progress(1, 1, 0), &totals, Asked::default()), "1s of 10s: 1 user, 0 req/s, 0 failed");
        totals.triggers.failed = 3;
        assert_eq!(
            said(&progress(15, 1, 0), &totals, Asked { rate: Some("1/s".parse().unwrap()), ..Asked::default() }),
            "15s of 10s: 1 in flight, no more starts, 0 req/s, 3 triggers failed"
        );
    }

    #[test]
    fn largest_numbers_fit_into_a_line() {
        let progress = progress(u64::MAX, u64::MAX, u64::MAX);
        let totals = progress.second.clone();
        said(&progress, &totals, Asked { rate: Some("10000000/s".parse().unwrap()), ..Asked::default() });
        said(&progress, &totals, Asked { iterations: Some(u64::MAX), ..Asked::default() });
    }
}
