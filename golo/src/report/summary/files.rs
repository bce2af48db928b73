//! The report files.

use crate::report::{RunOutcome, facts::Fact, text::clean};

pub(super) fn files(outcome: &RunOutcome) -> Vec<Fact> {
    let files = outcome.files.iter().map(|file| {
        let place = format!("`{}`", file.path);
        let lost = outcome.unwritten.iter().find(|unwritten| file.kind == "jsonl" && unwritten.place == place);
        let text = match (&file.error, lost) {
            (Some(error), _) => format!("{}: not written: {error}", file.path),
            (None, Some(lost)) => format!("{}: not whole: {}", file.path, lost.reason),
            (None, None) => file.path.clone(),
        };
        Fact::new(file.kind, clean(&text))
    });
    files.collect()
}
