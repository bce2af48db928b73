//! Two runs held against each other.

use std::collections::BTreeSet;

use golo::{
    engine::{plan::Plan, series::Label},
    report::{Verdict, clean},
};
use serde::Serialize;

use super::{
    bootstrap::{CONFIDENCE, RESAMPLES, Series, block, changes, value},
    rows::{Row, Tolerance, Unit},
    seconds::{QUANTILES, Seconds},
};
use crate::{archive::Archive, replay::Replayed};

/// With fewer seconds there is too little to tell.
pub(super) const FEWEST: usize = 8;

/// Routes of one run alone that are named.
const NAMED: usize = 8;

/// A run that is compared.
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
    /// Reads the run that is called so.
    ///
    /// # Errors
    ///
    /// Where there is none, or it cannot be read.
    pub fn read(archive: &Archive, called: &str) -> Result<Self, String> {
        let mut seconds = Seconds::default();
        let replayed = archive.replay(called, |second| seconds.add(second))?;
        Ok(Self::of(&replayed, seconds))
    }

    /// A run that was replayed, and its seconds.
    #[must_use]
    pub fn of(replayed: &Replayed, mut seconds: Seconds) -> Self {
        let finished = &replayed.reported.finished;
        seconds.keep_whole(finished.load_time);
        Self {
            run: replayed.run.clone(),
            name: replayed.name().to_owned(),
            load_test: replayed.load_test.clone(),
            plan: finished.plan.clone(),
            verdict: replayed.reported.verdict(),
            seconds,
        }
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

    /// Whether its requests went to more than one place.
    fn has_origins(&self) -> bool {
        let labels = self.seconds.labels();
        let origins: BTreeSet<_> =
            labels.iter().map(|label| &label.origin).filter(|origin| !origin.is_empty()).collect();
        origins.len() > 1
    }

    /// What its requests are called: with where they went, or without.
    fn routes(&self, with_origins: bool) -> Vec<(String, &Label)> {
        let name = |label: &Label| match label {
            label if label.is_other() => "other".to_owned(),
            Label { origin, route, method } => {
                let origin = if with_origins { &**origin } else { "" };
                let space = if origin.is_empty() || route.starts_with('/') { "" } else { " " };
                clean(&format!("{method} {origin}{space}{route}"))
            }
        };
        self.seconds.labels().into_iter().map(|label| (name(label), label)).collect()
    }
}

/// What a run was.
#[derive(Debug, Serialize)]
pub(super) struct Described {
    pub(super) run: String,
    pub(super) name: String,
    load_test: String,
    pub(super) plan: String,
    pub(super) verdict: String,
    /// How many seconds count.
    pub(super) seconds: usize,
    /// How many of them are resampled together.
    block: usize,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Regression,
    NoRegression,
    TooLittle,
}

/// Two runs, side by side.
#[derive(Debug, Serialize)]
pub struct Comparison {
    pub(super) outcome: Outcome,
    pub(super) a: Described,
    pub(super) b: Described,
    pub(super) tolerance: Tolerance,
    confidence: f64,
    resamples: usize,
    pub(super) warnings: Vec<String>,
    pub(super) rows: Vec<Row>,
}

impl Comparison {
    /// Of `a`, and of `b`, which is held against it.
    #[must_use]
    pub fn of(a: &Side, b: &Side, tolerance: Tolerance) -> Self {
        let mut table = Table::default();
        table.requests(a.seconds.requests(None), b.seconds.requests(None), None);
        table.add(("iterations", "rate"), None, Unit::PerSecond, a.seconds.iterations(), b.seconds.iterations());
        // Both are called alike, or none would be found again.
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
        let only_b = only_b.into_iter().map(|(name, _)| name).collect();
        let mut warnings = warnings(a, b);
        warnings.extend([("A", only_a), ("B", only_b)].into_iter().filter_map(|(which, names)| only(which, names)));
        let is_enough = a.seconds.len().min(b.seconds.len()) >= FEWEST;
        let rows = table.judged(tolerance, is_enough);
        let outcome = match is_enough {
            false => Outcome::TooLittle,
            true if rows.iter().any(|row| row.regression) => Outcome::Regression,
            true => Outcome::NoRegression,
        };
        Self {
            outcome,
            a: a.described(),
            b: b.described(),
            tolerance,
            confidence: CONFIDENCE,
            resamples: RESAMPLES,
            warnings,
            rows,
        }
    }

    /// Whether `b` is worse.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.outcome == Outcome::Regression
    }

    /// Each metric of both.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// The rows, and what they are made of.
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

    /// Leaves out what neither run has.
    fn add(
        &mut self,
        (metric, stat): (&'static str, &'static str),
        route: Option<&str>,
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
            unit,
            a: of_a,
            b: of_b,
            change: None,
            low: None,
            high: None,
            regression: false,
            improvement: false,
        });
        self.a.push(a);
        self.b.push(b);
    }

    fn judged(self, tolerance: Tolerance, is_enough: bool) -> Vec<Row> {
        if !is_enough {
            return self.rows;
        }
        let changes = changes(&self.a, &self.b);
        self.rows.into_iter().zip(changes).map(|(row, change)| row.judged(change, tolerance)).collect()
    }
}

/// Why the comparison may say something else than it seems to.
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
            Verdict::Invalid(_) => ": the generator was the limit, and not the target alone",
            _ => ": what there is of it is compared",
        };
        warnings.push(format!("{which} is {}{why}", side.verdict));
    }
    warnings
}

/// That a run has requests which cannot be compared, since the other has none of them.
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
