//! A comparison as people read it.

use std::time::Duration;

use golo::report::{Page, clean, counted, duration, per_second};

use super::{
    comparison::{Comparison, Described, FEWEST, Outcome},
    rows::{Row, Unit},
};
use crate::keep::short;

/// Regressions that the first line names.
const NAMED: usize = 3;

impl Comparison {
    /// On a page: what it comes to first.
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
        if !self.rows.is_empty() {
            lines.push(String::new());
            lines.extend(page.table(&self.table(), &[0]));
        }
        lines.join("\n") + "\n"
    }

    fn headline(&self) -> String {
        let tolerance = self.tolerance;
        match self.outcome {
            Outcome::TooLittle => format!(
                "TOO LITTLE TO TELL: of A {}, of B {}; at least {FEWEST} of each are needed",
                counts(self.a.seconds),
                counts(self.b.seconds)
            ),
            Outcome::NoRegression => format!("NO REGRESSION: nothing is worse by more than {tolerance}"),
            Outcome::Regression => {
                let worse: Vec<_> = self.rows.iter().filter(|row| row.regression).collect();
                let named = worse
                    .iter()
                    .take(NAMED)
                    .map(|row| format!("{} {} ({})", row.name(), share(row.change), interval(row)));
                let more = match worse.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    more => format!(", and {more} more"),
                };
                format!("REGRESSION beyond {tolerance}: {}{more}", named.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn table(&self) -> Vec<Vec<String>> {
        let heads = ["mean of the seconds", "A", "B", "change", "95% interval", ""];
        let mut table = vec![heads.map(str::to_owned).to_vec()];
        let mut last = None;
        for row in &self.rows {
            let group = match (&row.route, row.metric) {
                (Some(route), _) => route.as_str(),
                (None, "iterations") => "triggers",
                (None, _) => "all requests",
            };
            if last != Some(group) {
                last = Some(group);
                table.push(vec![group.to_owned()]);
            }
            table.push(cells(row));
        }
        table
    }
}

fn counts(seconds: usize) -> String {
    match seconds {
        1 => "1 second counts".to_owned(),
        seconds => format!("{} count", counted(seconds as u64, "second")),
    }
}

fn described(side: &Described) -> String {
    let Described { run, name, plan, verdict, seconds, .. } = side;
    clean(&format!("{} {name}: {plan}; {verdict}; {}", short(run), counts(*seconds)))
}

fn cells(row: &Row) -> Vec<String> {
    let label = match row.metric {
        "http_reqs" => "  requests/s",
        "http_req_failed" => "  failed",
        "iterations" => "  iterations/s",
        _ => return with(format!("  {}", row.stat), row),
    };
    with(label.to_owned(), row)
}

fn with(label: String, row: &Row) -> Vec<String> {
    let judged = match (row.regression, row.improvement) {
        (true, _) => "worse",
        (_, true) => "better",
        _ => "",
    };
    let interval = if row.low.is_some() { interval(row) } else { "-".to_owned() };
    vec![label, shown(row.a, row.unit), shown(row.b, row.unit), share(row.change), interval, judged.to_owned()]
}

fn shown(value: Option<f64>, unit: Unit) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match unit {
        Unit::PerSecond => per_second(value),
        Unit::Nanoseconds => duration(Duration::from_nanos(value.round() as u64)),
        Unit::Share if value == 0.0 => "0%".to_owned(),
        Unit::Share if value < 0.0001 => "<0.01%".to_owned(),
        Unit::Share => format!("{:.2}%", value * 100.0),
    }
}

/// A change: `+12.3%`.
fn share(change: Option<f64>) -> String {
    match change {
        None => "-".to_owned(),
        Some(change) if change.is_infinite() => "+∞".to_owned(),
        // No minus before nothing.
        Some(change) if change.abs() < 0.0005 => "0.0%".to_owned(),
        Some(change) if change.abs() >= 10.0 => format!("{:+.0}%", change * 100.0),
        Some(change) => format!("{:+.1}%", change * 100.0),
    }
}

fn interval(row: &Row) -> String {
    format!("{} to {}", share(row.low), share(row.high))
}
