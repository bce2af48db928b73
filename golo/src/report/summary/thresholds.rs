//! The thresholds with their actual values.

use crate::report::page::{BAD, GOOD, together};
use crate::report::text::{clean, width};
use crate::report::{Judged, Page};

/// Maximum width of a threshold for its actual value to be aligned, in columns.
const ALIGNED: usize = 56;

pub(super) fn lines(page: Page, thresholds: &[Judged]) -> Vec<String> {
    if thresholds.is_empty() {
        return Vec::new();
    }
    let said = |judged: &Judged| clean(&judged.threshold.to_string());
    let column = thresholds.iter().map(|judged| width(&said(judged))).filter(|width| *width <= ALIGNED).max();
    let mut lines = vec!["Thresholds".to_owned()];
    for judged in thresholds {
        let actual = clean(&judged.said());
        let (mark, style) = if judged.passed { ("✓", GOOD) } else { ("✗", BAD) };
        let said = said(judged);
        let space = " ".repeat(column.unwrap_or_default().saturating_sub(width(&said)));
        let text = together(&format!("{said}{space} ")) + " " + &actual;
        for (number, line) in page.wrap("    ", 6, &text).into_iter().enumerate() {
            let line = if number == 0 { line.replacen("    ", &format!("  {mark} "), 1) } else { line };
            lines.push(page.paint(style, line.trim_end()));
        }
    }
    lines
}
