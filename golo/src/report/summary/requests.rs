//! Tables of requests and of measured steps.

use super::{ROWS, more};
use crate::report::figures::{FIGURES, figures};
use crate::report::requests::Routes;
use crate::report::route::{Amounts, Route};
use crate::report::text::{align, left, right, shorten, width};
use crate::report::units::{bytes, count, nanoseconds, percent, rate};
use crate::report::{Page, RateTime};

const AMOUNTS: [&str; 4] = ["count", "failed", "rate", "received"];
/// Width up to which a name must fit into one line with its figures, in columns.
const NAME: usize = 24;

/// Returns the table with this title, and the remarks below it.
pub(super) fn lines(
    page: Page,
    title: &str,
    routes: &Routes,
    rates: RateTime,
    notes: [Option<String>; 2],
) -> Vec<String> {
    let mut lines = table(page, title, routes, rates);
    let [first, last] = notes;
    let remarks = first.into_iter().chain(routes.remarks(rates)).chain(last);
    lines.extend(remarks.flat_map(|text| page.wrap("  ", 2, &text)));
    lines
}

/// Returns a table with one line per route if all columns fit, with two if half of them fit, and as a list otherwise.
/// Returns no line if nothing ended.
fn table(page: Page, title: &str, routes: &Routes, rates: RateTime) -> Vec<String> {
    let Routes { noun, named, total } = routes;
    match total.count() {
        0 if total.interrupted == 0 => return Vec::new(),
        0 => return vec![title.to_owned()],
        _ => {}
    }
    let (are_several, is_of_steps) = (named.len() > 1, *noun == "step");
    let title = if are_several { format!("{title}, most time spent first") } else { title.to_owned() };
    let mut rows = vec![std::iter::once(title).chain(AMOUNTS.into_iter().chain(FIGURES).map(str::to_owned)).collect()];
    let row = |name: String, failed: String, amounts: &Amounts| {
        // Received bytes of a step are unknown.
        // Of all steps, only those of a WebSocket count bytes.
        let received = match amounts.received {
            0 if is_of_steps => "-".to_owned(),
            received => bytes(received),
        };
        let number = count(amounts.durations.count());
        let mut row = vec![name, number, failed, rate(amounts.rated(rates), rates.time), received];
        row.extend(figures(&amounts.durations).map(nanoseconds));
        row
    };
    let rows_of = |name: &str, route: &Route, with_apart: bool| {
        let mut rows = vec![row(format!("  {name}"), percent(route.failed(), route.tried()), &route.all)];
        if with_apart && route.apart().is_some() {
            rows.push(row("    passed".to_owned(), "0%".to_owned(), &route.passed));
            rows.push(row("    failed".to_owned(), "100%".to_owned(), &route.failed));
        }
        rows
    };
    // If there is a single route, the total shows the same.
    rows.extend(routes.rows().take(ROWS).flat_map(|(name, route)| rows_of(name, route, are_several)));
    let of_total = rows_of("total", total, true);
    let last = of_total.len();
    rows.extend(of_total);
    let mut table = lines_of(page, &rows);
    if let Some(more) = more(ROWS, named.len(), if is_of_steps { "step" } else { "route" }) {
        table.insert(table.len() - last, vec![more]);
    }
    table.into_iter().flatten().collect()
}

/// Returns the lines of each row. The first row contains the heads.
fn lines_of(page: Page, rows: &[Vec<String>]) -> Vec<Vec<String>> {
    let part = |from: usize, to: usize| {
        let cells: Vec<_> = rows.iter().map(|row| row[from..to].to_vec()).collect();
        align(&cells, &[], usize::MAX)
    };
    let (figures, amounts) = (part(1, 1 + AMOUNTS.len() + FIGURES.len()), part(1, 1 + AMOUNTS.len()));
    let latencies = part(1 + AMOUNTS.len(), 1 + AMOUNTS.len() + FIGURES.len());
    let widest = |lines: &[String]| lines.iter().map(|line| width(line)).max().unwrap_or_default();
    let names: Vec<&String> = rows.iter().map(|row| &row[0]).collect();
    let longest = names.iter().map(|name| width(name)).max().unwrap_or_default();
    if longest.min(NAME) + 2 + widest(&figures) <= page.width {
        let room = longest.min(page.width - 2 - widest(&figures));
        return beside(page, &names, room, &figures, widest(&figures), &[]);
    }
    if widest(&latencies) + 4 <= page.width && widest(&amounts) + 4 <= page.width {
        // As wide as the latencies, unless that is too narrow for the names.
        let whole = (longest + 2 + widest(&amounts)).max(widest(&latencies) + 4).min(page.width);
        return beside(page, &names, whole - 2 - widest(&amounts), &amounts, whole, &latencies);
    }
    let list = |row: &Vec<String>| page.list(&[rows[0].clone(), row.clone()]).split_off(1);
    let heads = vec![rows[0][0].clone()];
    std::iter::once(heads).chain(rows[1..].iter().map(list)).collect()
}

/// Returns each name with its figures in the same line, or in the next line if the name is too long, followed by its
/// lines of `below`.
fn beside(
    page: Page,
    names: &[&String],
    room: usize,
    figures: &[String],
    whole: usize,
    below: &[String],
) -> Vec<Vec<String>> {
    let columns = figures.iter().map(|line| width(line)).max().unwrap_or_default();
    let lines = |(at, (name, figures)): (usize, (&&String, &String))| {
        let mut name = shorten(name, page.width);
        let mut lines = Vec::new();
        if width(&name) > room {
            lines.push(std::mem::take(&mut name));
        }
        lines.push(left(&name, room) + "  " + &right(figures, columns));
        lines.extend(below.get(at).map(|line| right(line, whole)));
        lines
    };
    names.iter().zip(figures).enumerate().map(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_wider_than_latencies_fit() {
        let heads = [&["Requests"], &AMOUNTS[..], &FIGURES[..]].concat();
        let amounts = ["  GET /", "1,000,000,000,000", "<0.01%", "10,000,000/s", "18.4EB"];
        let row = [&amounts[..], &["1ms"; FIGURES.len()]].concat();
        let rows = [heads, row].map(|row| row.into_iter().map(str::to_owned).collect());
        for columns in 30..140 {
            let lines = lines_of(Page::new(columns, false), &rows);
            assert!(lines.iter().flatten().all(|line| width(line) <= columns), "{columns}: {lines:#?}");
        }
    }
}
