//! The files that were written.

use crate::report::{Ending, Page, text::clean};

pub(super) fn lines(page: Page, ending: &Ending) -> Vec<String> {
    if ending.files.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["Files".to_owned()];
    for file in &ending.files {
        let text = match &file.error {
            None => clean(&file.path),
            Some(error) => clean(&format!("{}: not written: {error}", file.path)),
        };
        lines.extend(page.said(file.kind, &text));
    }
    lines
}
