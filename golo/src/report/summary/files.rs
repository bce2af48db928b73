//! The report files and the receivers of metrics.

use crate::report::{RunOutcome, facts::Fact, text::clean};

pub(super) fn files(outcome: &RunOutcome) -> Vec<Fact> {
    let files = outcome.files.iter().map(|file| {
        let place = format!("`{}`", file.path);
        let lost = outcome.unwritten.iter().find(|unwritten| file.kind == "jsonl" && unwritten.place == place);
        let text = match (&file.error, lost, &file.remark) {
            (Some(error), _, _) => format!("{}: not written: {error}", file.path),
            (None, Some(lost), _) => format!("{}: not whole: {}", file.path, lost.reason),
            (None, None, Some(remark)) => format!("{}: {remark}", file.path),
            (None, None, None) => file.path.clone(),
        };
        Fact::new(file.kind, clean(&text))
    });
    files.collect()
}
