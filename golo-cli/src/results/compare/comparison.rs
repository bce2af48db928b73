//! Comparison of two runs.

use std::borrow::Cow;
use std::collections::BTreeSet;

use golo::engine::plan::Plan;
use golo::engine::series::Label;
use golo::report::{Verdict, clean};
use serde::Serialize;

use super::bootstrap::{CONFIDENCE, RESAMPLES, Series, block, changes, value};
use super::estimate::Advice;
use super::rows::{Row, Shown, Tolerance, Unit};
use super::seconds::{QUANTILES, Seconds};
use super::tags::Subject;
use crate::results::archive::{Archive, ArchiveArgs, ArchiveError};
use crate::results::keep::short;
use crate::results::replay::Replayed;

/// Minimum number of counted seconds of each run.
pub(super) const FEWEST: usize = 8;

/// Maximum number of routes named in a warning about routes that only one run has.
const NAMED: usize = 8;

/// One of the two compared runs.
#[derive(Debug)]
pub struct Side {
    run: String,
    name: String,
    load_test: String,
    plan: Plan,
    verdict: Verdict,
    seconds: Seconds,
}

impl Side {
    /// Reads a run. `called` is as for [`Archive::replay`].
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such run or it cannot be read.
    pub fn read(archive: &Archive, called: &str) -> Result<Self, ArchiveError> {
        let mut seconds = Seconds::default();
        let replayed = archive.replay(called, None, |second| seconds.add(second))?;
        Ok(Self::of(&replayed, seconds))
    }

    /// Reads two runs, each on a thread of its own. The second is `None` if it is the first.
    ///
    /// # Errors
    ///
    /// Returns an error if a run does not exist or cannot be read.
    pub fn read_both(archive: &ArchiveArgs, a: &str, b: &str) -> Result<(Self, Option<Self>), ArchiveError> {
        let of_a = Archive::open(archive.clone())?;
        let (a, b) = (of_a.find(a)?, of_a.find(b)?);
        if a == b {
            return Ok((Self::read(&of_a, &a)?, None));
        }
        std::thread::scope(|scope| {
            let of_b = scope.spawn(|| Self::read(&Archive::open(archive.clone())?, &b));
            let side_a = Self::read(&of_a, &a);
            let side_b = of_b.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok((side_a?, Some(side_b?)))
        })
    }

    /// Creates a side from a replayed run and its seconds.
    #[must_use]
    pub fn of(replayed: &Replayed, mut seconds: Seconds) -> Self {
        let finished = &replayed.outcome.finished;
        seconds.keep_whole(finished.load_time);
        Self {
            run: replayed.run.clone(),
            name: replayed.name().to_owned(),
            load_test: replayed.load_test.clone(),
            plan: finished.plan.clone(),
            verdict: replayed.outcome.verdict(),
            seconds,
        }
    }

    /// Returns the reason why a comparison with this run would mislead, if there is one: its results do not describe
    /// the target.
    #[must_use]
    pub fn unfit(&self) -> Option<String> {
        let reason = match &self.verdict {
            Verdict::NotStarted(reason) | Verdict::NotEnded(reason) | Verdict::Died(reason) => reason.clone(),
            Verdict::Invalid(reasons) => reasons.join("; "),
            Verdict::Stopped | Verdict::Failed(_) | Verdict::Passed => return None,
        };
        Some(clean(&format!("the run {} ({}) is {}: {reason}", short(&self.run), self.name, self.verdict)))
    }

    fn described(&self) -> Described {
        Described {
            run: self.run.clone(),
            name: self.name.clone(),
            load_test: self.load_test.clone(),
            plan: self.plan.to_string(),
            verdict: self.verdict.to_string(),
            seconds: self.seconds.len(),
            block: block(self.seconds.len()),
        }
    }

    /// True if the requests went to more than one origin.
    fn has_origins(&self) -> bool {
        let labels = self.seconds.labels();
        let origins: BTreeSet<_> =
            labels.iter().map(|label| &label.origin).filter(|origin| !origin.is_empty()).collect();
        origins.len() > 1
    }

    /// Returns the name of each route, with or without its origin.
    fn routes(&self, with_origins: bool) -> Vec<(String, &Label)> {
        let name = |label: &Label| match label {
            label if label.is_other() => "other".to_owned(),
            Label { origin, route, method, .. } => {
                let origin = if with_origins { &**origin } else { "" };
                let space = if origin.is_empty() || route.starts_with('/') { "" } else { " " };
                clean(&format!("{method} {origin}{space}{route}"))
            }
        };
        self.seconds.labels().into_iter().map(|label| (name(label), label)).collect()
    }
}

/// Description of a run.
#[derive(Debug, Serialize)]
pub(super) struct Described {
    pub(super) run: String,
    pub(super) name: String,
    load_test: String,
    pub(super) plan: String,
    pub(super) verdict: String,
    /// Number of counted seconds.
    pub(super) seconds: usize,
    /// Number of seconds per block of the bootstrap.
    block: usize,
}

/// Outcome of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A row is worse by more than the tolerance.
    Regression,
    /// No row is worse, and the deciding rows are within the tolerance.
    NoRegression,
    /// A deciding row may be within the tolerance or past it.
    TooNoisy,
    /// The runs are too short to judge any row.
    TooLittle,
}

/// Selection of the rows that must be within the tolerance for a comparison to show no regression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deciding {
    /// The main metrics of all requests and triggers, without rare percentiles.
    Totals,
    /// Every row.
    All,
}

/// Deciding metrics of all requests and triggers. p99 and p99.9 are left out: within one second they depend on few
/// requests and are mostly chance.
const DECIDING: [(&str, &str); 5] = [
    ("http_reqs", "rate"),
    ("http_req_failed", "rate"),
    ("http_req_duration", "p50"),
    ("http_req_duration", "p95"),
    ("iterations", "rate"),
];

/// Comparison of two runs.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub(super) outcome: Outcome,
    pub(super) a: Described,
    pub(super) b: Described,
    pub(super) tolerance: Tolerance,
    confidence: f64,
    resamples: usize,
    /// Advice if the comparison is too noisy.
    pub(super) advice: Option<Advice>,
    pub(super) warnings: Vec<String>,
    pub(super) rows: Vec<Row>,
}

impl Comparison {
    /// Compares `b` against `a`.
    #[must_use]
    pub fn of(a: &Side, b: &Side, tolerance: Tolerance, deciding: Deciding) -> Self {
        let mut table = Table::default();
        table.requests(a.seconds.requests(None), b.seconds.requests(None), None);
        table.add(("iterations", "rate"), None, Unit::PerSecond, a.seconds.iterations(), b.seconds.iterations());
        // Names must be formed the same way in both runs to match.
        let with_origins = a.has_origins() || b.has_origins();
        let (of_a, mut only_b) = (a.routes(with_origins), b.routes(with_origins));
        let mut only_a = Vec::new();
        for (name, label) in of_a {
            match only_b.iter().position(|(other, _)| *other == name) {
                Some(at) => {
                    let (_, other) = only_b.remove(at);
                    table.requests(a.seconds.requests(Some(label)), b.seconds.requests(Some(other)), Some(&name));
                }
                None => only_a.push(name),
            }
        }
        table.metrics(&a.seconds, &b.seconds);
        table.tags(&a.seconds, &b.seconds);
        let only_b = only_b.into_iter().map(|(name, _)| name).collect();
        let mut warnings = warnings(a, b);
        warnings.extend([("A", only_a), ("B", only_b)].into_iter().filter_map(|(which, names)| only(which, names)));
        let seconds = a.seconds.len().min(b.seconds.len());
        let is_enough = seconds >= FEWEST;
        table.decide(deciding);
        let rows = table.judged(tolerance, is_enough);
        let is_noisy = rows.iter().any(|row| row.decides && row.outcome == Some(Shown::TooNoisy));
        let outcome = match is_enough {
            false => Outcome::TooLittle,
            true if rows.iter().any(|row| row.regression) => Outcome::Regression,
            true if is_noisy => Outcome::TooNoisy,
            true => Outcome::NoRegression,
        };
        let advice = Advice::of(&rows, seconds).filter(|_| outcome == Outcome::TooNoisy);
        Self {
            outcome,
            a: a.described(),
            b: b.described(),
            tolerance,
            confidence: CONFIDENCE,
            resamples: RESAMPLES,
            advice,
            warnings,
            rows,
        }
    }

    /// Returns the outcome of the comparison.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the rows, one per metric.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// Rows of the comparison, with the series of both runs that belong to them.
#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    a: Vec<Series>,
    b: Vec<Series>,
}

impl Table {
    fn requests(&mut self, a: super::seconds::RequestSeries, b: super::seconds::RequestSeries, route: Option<&str>) {
        self.add(("http_reqs", "rate"), route, Unit::PerSecond, a.rate, b.rate);
        self.add(("http_req_failed", "rate"), route, Unit::Share, a.failed, b.failed);
        for ((stat, _), (a, b)) in QUANTILES.into_iter().zip(a.quantiles.into_iter().zip(b.quantiles)) {
            self.add(("http_req_duration", stat), route, Unit::Nanoseconds, a, b);
        }
    }

    /// Adds the tags of both runs: numbers, and the share of each value that occurs in either run.
    fn tags(&mut self, a: &Seconds, b: &Seconds) {
        let mut subjects = a.tags();
        for subject in b.tags() {
            if !subjects.contains(&subject) {
                subjects.push(subject);
            }
        }
        subjects.sort_by_key(Subject::name);
        for subject in subjects {
            let unit = if matches!(subject, Subject::Numbers(_)) { Unit::Number } else { Unit::Share };
            for ((stat, a), (_, b)) in a.tag(&subject).into_iter().zip(b.tag(&subject)) {
                self.add_row(("tag".into(), stat), None, Some(subject.name()), unit, a, b);
            }
        }
    }

    /// Adds the metrics of the load test's own and the groups of both runs.
    fn metrics(&mut self, a: &Seconds, b: &Seconds) {
        let (of_a, of_b) = (a.metrics(), b.metrics());
        for subject in of_a.union(&of_b) {
            let tag = subject.group.as_ref().map(|group| format!("group:{group}"));
            let series = a.metric(subject).into_iter().zip(b.metric(subject));
            for ((stat, unit), (a, b)) in subject.figures().iter().zip(series) {
                self.add_row((subject.metric.to_string().into(), stat), None, tag.clone(), *unit, a, b);
            }
        }
    }

    fn add(&mut self, metric: (&'static str, &'static str), route: Option<&str>, unit: Unit, a: Series, b: Series) {
        self.add_row((metric.0.into(), metric.1), route, None, unit, a, b);
    }

    /// Adds a row unless neither run has a value.
    fn add_row(
        &mut self,
        (metric, stat): (Cow<'static, str>, &'static str),
        route: Option<&str>,
        tag: Option<String>,
        unit: Unit,
        a: Series,
        b: Series,
    ) {
        let (of_a, of_b) = (value(&a), value(&b));
        if of_a.is_none() && of_b.is_none() {
            return;
        }
        self.rows.push(Row {
            metric,
            stat,
            route: route.map(str::to_owned),
            tag,
            unit,
            a: of_a,
            b: of_b,
            change: None,
            low: None,
            high: None,
            outcome: None,
            decides: false,
            confidence: CONFIDENCE,
            regression: false,
            improvement: false,
            noise: None,
        });
        self.a.push(a);
        self.b.push(b);
    }

    /// Marks the deciding rows. Measured steps take the place of requests if there are no requests.
    ///
    /// With many rows, some exceed the tolerance by chance. So the intervals of the rows outside the main metrics are
    /// widened until all of them together have the confidence of one main row (Bonferroni).
    fn decide(&mut self, deciding: Deciding) {
        let has_requests = self.rows.iter().any(|row| row.route.is_none() && row.metric == "http_req_duration");
        let is_main =
            |row: &Row| (row.route.is_none() || !has_requests) && DECIDING.contains(&(&*row.metric, row.stat));
        let others = self.rows.iter().filter(|row| !is_main(row)).count().max(1) as f64;
        for row in &mut self.rows {
            let is_main = is_main(row);
            row.decides = is_main || deciding == Deciding::All;
            row.confidence = if is_main { CONFIDENCE } else { 1.0 - (1.0 - CONFIDENCE) / others };
        }
    }

    fn judged(self, tolerance: Tolerance, is_enough: bool) -> Vec<Row> {
        if !is_enough {
            return self.rows;
        }
        let confidences: Vec<_> = self.rows.iter().map(|row| row.confidence).collect();
        let changes = changes(&self.a, &self.b, &confidences);
        self.rows.into_iter().zip(changes).map(|(row, change)| row.judged(change, tolerance)).collect()
    }
}

/// Returns warnings about differences that distort the comparison.
fn warnings(a: &Side, b: &Side) -> Vec<String> {
    let mut warnings = Vec::new();
    if a.plan != b.plan {
        warnings.push(format!("the load was not the same: A is {}, B is {}", a.plan, b.plan));
    }
    if a.load_test != b.load_test {
        warnings.push(clean(&format!("the load test was not the same: A is {}, B is {}", a.load_test, b.load_test)));
    }
    for (which, side) in [("A", a), ("B", b)] {
        let why = match side.verdict {
            Verdict::Passed | Verdict::Failed(_) => continue,
            Verdict::Invalid(_) => ": the load generator limited the run, not the target alone",
            _ => ": only the results until then are compared",
        };
        warnings.push(format!("{which} is {}{why}", side.verdict));
    }
    warnings
}

/// Returns a warning with the routes that only one run has.
fn only(which: &str, names: Vec<String>) -> Option<String> {
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let named: Vec<_> = names.into_iter().take(NAMED).collect();
    (!named.is_empty()).then(|| format!("only {which} has: {}{more}", named.join(", ")))
}

#[cfg(test)]
mod tests;
