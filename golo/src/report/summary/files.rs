//! The report files.

use crate::report::{Page, RunOutcome, text::clean};

pub(super) fn lines(page: Page, outcome: &RunOutcome) -> Vec<String> {
    if outcome.files.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["Files".to_owned()];
    for file in &outcome.files {
        let place = format!("`{}`", file.path);
        let lost = outcome.unwritten.iter().find(|unwritten| file.kind == "jsonl" && unwritten.place == place);
        let text = match (&file.error, lost) {
            (Some(error), _) => clean(&format!("{}: not written: {error}", file.path)),
            (None, Some(lost)) => clean(&format!("{}: not whole: {}", file.path, lost.reason)),
            (None, None) => clean(&file.path),
        };
        lines.extend(page.said(file.kind, &text));
    }
    lines
}
