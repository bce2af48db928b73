//! Errors in the text of a threshold.

use std::fmt;

use crate::report::text::{clean, width};

/// Error in the text of a threshold. [`Display`](fmt::Display) writes the reason, the position and what is expected
/// there.
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
    /// Returns the byte offset of the error in the text. It is the length of the text if something is missing at the
    /// end.
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

/// An error in a text that is not yet known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) reason: String,
    /// Description of what is expected.
    pub(super) hint: String,
}

impl Wrong {
    pub(super) fn of(self, expression: &str) -> ThresholdError {
        ThresholdError { expression: expression.to_owned(), wrong: self }
    }
}
