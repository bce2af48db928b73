//! Matches of regular expressions in a body.

use std::rc::Rc;

use regex::{Captures, Regex};

use super::error::Error;
use super::kept::Kept;
use super::{Document, excerpt};

thread_local! {
    static EXPRESSIONS: Kept<Regex> = const { Kept::new() };
}

fn expression(pattern: &str) -> Result<Rc<Regex>, Error> {
    EXPRESSIONS.with(|kept| kept.get(pattern, Regex::new)).map_err(|error| {
        // The text has several lines and shows the pattern. The last line is the reason.
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").trim_end_matches('.');
        Error::pattern(format!("invalid regular expression `{pattern}`: {reason}"))
    })
}

/// Returns the first group of a match, or the whole match if the expression has no group.
fn value_of(found: &Captures<'_>) -> Option<String> {
    let group = usize::from(found.len() > 1);
    found.get(group).map(|text| text.as_str().to_owned())
}

#[cfg_attr(docsrs, doc(cfg(feature = "regex")))]
impl Document {
    /// Returns the first group of the first match of a regular expression in the body. If the expression has no group,
    /// returns the whole match.
    ///
    /// The syntax is that of the crate [regex](https://docs.rs/regex/latest/regex/#syntax), without `\p{…}`.
    /// Expressions are compiled once.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing matches, if the group is not part of the match, or if the expression is invalid.
    ///
    /// ```no_run
    /// # async fn load_test(page: golo::extract::Document) -> Result<(), golo::BoxError> {
    /// let order = page.regex(r"order number (\d+)")?;
    /// # Ok(()) }
    /// ```
    pub fn regex(&self, pattern: &str) -> Result<String, Error> {
        let expression = expression(pattern)?;
        let text = self.text();
        match expression.captures(&text) {
            Some(found) => value_of(&found).ok_or_else(|| {
                let what = format!("no value for the first group of `{pattern}`");
                self.missing(what, "it is not part of the match".to_owned())
            }),
            None => Err(self.missing(format!("no match of `{pattern}` in the body"), excerpt::begins(self.body()))),
        }
    }

    /// Returns the first groups, or the whole matches, of all matches of a regular expression in the body, as
    /// [`regex`](Self::regex) does. Matches without the group are left out.
    ///
    /// # Errors
    ///
    /// Returns an error if the expression is invalid. If nothing matches, the list is empty.
    ///
    /// ```no_run
    /// # async fn load_test(page: golo::extract::Document) -> Result<(), golo::BoxError> {
    /// let links = page.regex_all(r#"href="(/items/[^"]+)""#)?;
    /// # Ok(()) }
    /// ```
    pub fn regex_all(&self, pattern: &str) -> Result<Vec<String>, Error> {
        let expression = expression(pattern)?;
        let text = self.text();
        Ok(expression.captures_iter(&text).filter_map(|found| value_of(&found)).collect())
    }
}
