//! What is wrong with a threshold, and where.

use std::fmt;

use crate::report::text::{clean, width};

/// A text that is no threshold. [`Display`](fmt::Display) says why, shows the place, and what would be right there.
///
/// ```text
/// unknown metric `htp_reqs`
///   htp_reqs rate>1000
///   ^
/// did you mean `http_reqs`?
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThresholdError {
    expression: String,
    wrong: Wrong,
}

impl ThresholdError {
    /// The byte of the text at which it is wrong; its length where something is missing at the end.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.wrong.at
    }
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrong { at, reason, hint } = &self.wrong;
        let before = clean(self.expression.get(..*at).unwrap_or_default());
        writeln!(f, "{}\n  {}", clean(reason), clean(&self.expression))?;
        write!(f, "  {}^\n{hint}", " ".repeat(width(&before)))
    }
}

impl std::error::Error for ThresholdError {}

/// What is wrong, before it is known of which text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) reason: String,
    /// What would be right.
    pub(super) hint: String,
}

impl Wrong {
    pub(super) fn of(self, expression: &str) -> ThresholdError {
        ThresholdError { expression: expression.to_owned(), wrong: self }
    }
}
