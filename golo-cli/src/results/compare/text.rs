//! Text form of a comparison.

use std::time::Duration;

use golo::report::{Page, clean, counted, duration, number, per_second};

use super::comparison::{Comparison, Described, FEWEST, Outcome};
use super::estimate::Advice;
use super::rows::{Row, Shown, Unit};
use crate::results::keep::short;

/// Heads of the [`cells`] of a row. The last is the judgement.
pub const HEADS: [&str; 6] = ["mean of the seconds", "A", "B", "change", "interval", ""];
/// Maximum number of rows named in the headline.
const NAMED: usize = 3;

impl Comparison {
    /// Formats the comparison for a page, beginning with its outcome.
    #[must_use]
    pub fn text(&self, page: Page) -> String {
        let mut lines = page.wrap("", 2, &self.headline());
        lines.push(String::new());
        for (which, side) in [("A", &self.a), ("B", &self.b)] {
            lines.extend(page.wrap(&format!("  {which}  "), 5, &described(side)));
        }
        for warning in &self.warnings {
            lines.extend(page.wrap("  warning: ", 4, warning));
        }
        if let Some(advice) = &self.advice {
            lines.extend(page.wrap("  advice: ", 4, &advised(advice)));
        }
        if !self.rows.is_empty() {
            lines.push(String::new());
            lines.extend(page.table(&self.table(), &[0]));
            lines.push(String::new());
            lines.extend(page.wrap("", 2, &self.legend()));
        }
        lines.join("\n") + "\n"
    }

    /// Returns the outcome in words.
    #[must_use]
    pub fn headline(&self) -> String {
        let tolerance = self.tolerance;
        match self.outcome {
            Outcome::TooLittle => format!(
                "TOO SHORT TO TELL: A has {}, B has {}; at least {FEWEST} of each are needed",
                counted_seconds(self.a.seconds),
                counted_seconds(self.b.seconds)
            ),
            Outcome::NoRegression => {
                let unknown = self.rows.iter().filter(|row| row.outcome == Some(Shown::TooNoisy)).count() as u64;
                let unknown = match unknown {
                    0 => String::new(),
                    1 => "; 1 other row is too noisy to tell".to_owned(),
                    more => format!("; {} are too noisy to tell", counted(more, "other row")),
                };
                format!("NO REGRESSION within {tolerance}{unknown}")
            }
            Outcome::TooNoisy => {
                let noisy = self.named(|row| row.decides && row.outcome == Some(Shown::TooNoisy));
                format!("TOO NOISY TO TELL within {tolerance}: {noisy}")
            }
            Outcome::Regression => format!("REGRESSION beyond {tolerance}: {}", self.named(|row| row.regression)),
        }
    }

    /// Returns the names and changes of the first matching rows.
    fn named(&self, is_meant: impl Fn(&Row) -> bool) -> String {
        let mut rows = self.rows.iter().filter(|row| is_meant(row));
        let named: Vec<_> = rows.by_ref().take(NAMED).map(changed).collect();
        let more = match rows.count() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        named.join(", ") + &more
    }

    /// Returns a line with the deciding rows and the meaning of the judgements.
    #[must_use]
    pub fn legend(&self) -> String {
        let deciding: Vec<_> = self.rows.iter().filter(|row| row.decides).collect();
        let deciding = match deciding.len() == self.rows.len() {
            true => "all rows".to_owned(),
            false => deciding.iter().map(|row| row.name()).collect::<Vec<_>>().join(", "),
        };
        format!(
            "deciding rows: {deciding}; `worse` in any row is a regression; `noisy`: the interval reaches past the tolerance"
        )
    }

    fn table(&self) -> Vec<Vec<String>> {
        let mut table = vec![HEADS.map(str::to_owned).to_vec()];
        for (group, rows) in self.groups() {
            table.push(vec![group]);
            table.extend(rows.into_iter().map(cells));
        }
        table
    }

    /// Returns the rows in groups, each with its title.
    #[must_use]
    pub fn groups(&self) -> Vec<(String, Vec<&Row>)> {
        let mut groups: Vec<(String, Vec<&Row>)> = Vec::new();
        for row in &self.rows {
            let group = match (&row.route, &*row.metric) {
                (None, "tag") => "tags of triggers, not judged".to_owned(),
                (Some(route), _) => route.clone(),
                (None, "iterations") => "triggers".to_owned(),
                (None, "group_duration") => row.tag.as_deref().map(clean).unwrap_or_default(),
                (None, metric) if metric.starts_with("http_req") => "all requests".to_owned(),
                (None, _) => "metrics, not judged".to_owned(),
            };
            match groups.last_mut() {
                Some((last, rows)) if *last == group => rows.push(row),
                _ => groups.push((group, vec![row])),
            }
        }
        groups
    }

    /// Returns the warnings about differences that distort the comparison, and the advice if it is too noisy.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        let advice = self.advice.as_ref().map(|advice| format!("advice: {}", advised(advice)));
        self.warnings.iter().map(|warning| format!("warning: {warning}")).chain(advice)
    }

    /// Describes both runs: names, plans, verdicts and lengths.
    #[must_use]
    pub fn sides(&self) -> [String; 2] {
        [&self.a, &self.b].map(described)
    }
}

/// Formats a row's name with its change.
fn changed(row: &Row) -> String {
    match row.change {
        Some(_) => format!("{} {} ({})", row.name(), share(row.change), interval(row)),
        None => format!("{} (one run has too few values)", row.name()),
    }
}

/// Formats the advice.
fn advised(advice: &Advice) -> String {
    let longer = match advice.seconds {
        Some(seconds) => format!(
            "with the noise of these runs, each would have to last about {} (an estimate: an interval shrinks with the square \
             root of the time)",
            duration(rounded(seconds))
        ),
        None => "even runs of a day might not be enough".to_owned(),
    };
    match advice.tolerance_percent {
        Some(percent) => {
            format!("{longer}; or use a larger tolerance: with `--tolerance {percent}%` these show no regression")
        }
        None => longer,
    }
}

/// Rounds an estimate up to two digits or so: to 10 s, and from 10 minutes on to whole minutes.
fn rounded(seconds: u64) -> Duration {
    let step = if seconds < 600 { 10 } else { 60 };
    Duration::from_secs(seconds.div_ceil(step) * step)
}

fn counted_seconds(seconds: usize) -> String {
    counted(seconds as u64, "counted second")
}

fn described(side: &Described) -> String {
    let Described { run, name, plan, verdict, seconds, .. } = side;
    clean(&format!("{} {name}: {plan}; {verdict}; {}", short(run), counted_seconds(*seconds)))
}

/// Returns the cells of a row, as [`HEADS`] names them.
pub fn cells(row: &Row) -> Vec<String> {
    let label = match &*row.metric {
        "http_reqs" => "  requests/s",
        "http_req_failed" => "  failed",
        "iterations" => "  iterations/s",
        metric if !metric.starts_with("http_req") && metric != "group_duration" => {
            return with(format!("  {}", row.name()), row);
        }
        _ => return with(format!("  {}", row.stat), row),
    };
    with(label.to_owned(), row)
}

fn with(label: String, row: &Row) -> Vec<String> {
    let judged = match row.outcome {
        Some(Shown::Regression) => "worse",
        Some(Shown::TooNoisy) => "noisy",
        _ if row.improvement => "better",
        _ => "",
    };
    let interval = if row.low.is_some() { interval(row) } else { "-".to_owned() };
    vec![label, shown(row.a, row.unit), shown(row.b, row.unit), share(row.change), interval, judged.to_owned()]
}

fn shown(value: Option<f64>, unit: Unit) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match unit {
        Unit::PerSecond => per_second(value),
        Unit::Number => number(value),
        Unit::Nanoseconds => duration(Duration::from_nanos(value.round() as u64)),
        Unit::Share if value == 0.0 => "0%".to_owned(),
        Unit::Share if value < 0.0001 => "<0.01%".to_owned(),
        Unit::Share => format!("{:.2}%", value * 100.0),
    }
}

/// Formats a change, for example `+12.3%`.
fn share(change: Option<f64>) -> String {
    match change {
        None => "-".to_owned(),
        Some(change) if change.is_infinite() => "+∞".to_owned(),
        // Avoids `-0.0%`.
        Some(change) if change.abs() < 0.0005 => "0.0%".to_owned(),
        Some(change) if change.abs() >= 10.0 => format!("{:+.0}%", change * 100.0),
        Some(change) => format!("{:+.1}%", change * 100.0),
    }
}

fn interval(row: &Row) -> String {
    format!("{} to {}", share(row.low), share(row.high))
}
