//! Parser of thresholds, from left to right.

use std::{borrow::Cow, time::Duration};

use super::Threshold;
use super::error::Wrong;
use super::limit::{Dimension, Limit};
use super::metric::{Metric, Statistic};
use super::operator::Operator;
use super::tag::{Key, Tag, is_key_part};
use super::window;
use crate::engine::tags::kept;
use crate::metrics::custom;
use crate::support::nearest::{instead, nearest_within, one_of};

pub(super) fn threshold(text: &str) -> Result<Threshold, Wrong> {
    let mut reader = Reader { text, at: 0, metric: "" };
    let (metric, own) = reader.metric()?;
    let (metric, tags) = match metric {
        Metric::Tag => reader.trigger_tags()?,
        _ => (metric, reader.tags(metric)?),
    };
    let statistic = reader.statistic(metric)?;
    let operator = reader.operator()?;
    let limit = reader.limit(metric.dimension(statistic))?;
    let over = reader.over()?;
    reader.end()?;
    Ok(Threshold { metric, own, tags, statistic, operator, limit, over })
}

/// Largest number of letters in which a misspelled name differs.
const LETTERS: usize = 2;

/// A key in braces.
enum KeyOf {
    Golo(Key),
    LoadTest(String),
}

/// Returns the one of golo's names that is probably meant by a word.
fn misspelled<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let most = (word.chars().count() / 4).clamp(1, LETTERS);
    nearest_within(word, names.iter().copied(), most)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Name of the metric, once it was read.
    metric: &'a str,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Takes the following characters as long as `is_part` is true.
    fn take(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn skip_spaces(&mut self) {
        self.take(char::is_whitespace);
    }

    /// Takes `sign` and the spaces before it, if it is next.
    fn eat(&mut self, sign: &str) -> bool {
        self.skip_spaces();
        let is_next = self.rest().starts_with(sign);
        if is_next {
            self.at += sign.len();
        }
        is_next
    }

    /// Takes a word after spaces, and returns it with its position.
    fn word(&mut self) -> (usize, &'a str) {
        self.skip_spaces();
        (self.at, self.take(|c| c.is_alphanumeric() || c == '_'))
    }

    /// Returns the error that `what` is missing here.
    fn missing(&self, what: &str, hint: impl Into<String>) -> Wrong {
        let reason = match self.rest().chars().next() {
            Some(c) => format!("no {what} begins with `{c}`"),
            None => format!("the {what} is missing"),
        };
        Wrong { at: self.at, reason, hint: hint.into() }
    }

    /// Reads the name of a metric. One that is not golo's own is a metric of the load test's own, unless it looks like a
    /// misspelled name of golo's.
    fn metric(&mut self) -> Result<(Metric, Option<Box<str>>), Wrong> {
        let names: Vec<_> = Metric::all().map(Metric::name).collect();
        let (at, word) = self.word();
        if word.is_empty() {
            return Err(self.missing("metric", format!("expected {}", one_of(&names))));
        }
        self.metric = word;
        if let Some(known) = Metric::all().find(|metric| metric.name() == word) {
            return Ok((known, None));
        }
        if custom::valid(word) != word || custom::is_built_in(word) || misspelled(word, &names).is_some() {
            return Err(Wrong { at, reason: format!("unknown metric `{word}`"), hint: instead(word, &names) });
        }
        Ok((Metric::Own, Some(word.into())))
    }

    fn tags(&mut self, metric: Metric) -> Result<Vec<Tag>, Wrong> {
        if !self.eat("{") {
            return Ok(Vec::new());
        }
        let open = self.at - 1;
        if metric.keys().is_empty() && !metric.has_own_tags() {
            let hint = format!("expected {}", one_of(metric.kind().statistics()));
            return Err(Wrong { at: open, reason: format!("`{}` has no tags", self.metric), hint });
        }
        self.rest_of_tags(metric, open, Vec::new())
    }

    /// Reads the key of a tag of triggers, its value if one is selected, and further tags.
    fn trigger_tags(&mut self) -> Result<(Metric, Vec<Tag>), Wrong> {
        let hint = "expected a key in braces, as in `tag{size}` or `tag{status:500}`";
        if !self.eat("{") {
            return Err(self.missing("key", hint));
        }
        let open = self.at - 1;
        self.skip_spaces();
        let key = match self.rest().starts_with('"') {
            true => self.quoted()?,
            false => self.take(is_key_part).to_owned(),
        };
        if key.is_empty() {
            return Err(self.missing_in_braces(open, "key", hint));
        }
        let value = match self.eat(":") {
            true => {
                self.skip_spaces();
                Some(kept(&self.value(open)?).into())
            }
            false => None,
        };
        let metric = if value.is_some() { Metric::TagValue } else { Metric::Tag };
        let tags = vec![Tag::Trigger { key: key.into(), value }];
        if self.eat("}") {
            return Ok((metric, tags));
        }
        if !self.eat(",") {
            return Err(self.missing_in_braces(open, "value", "expected `:`, `,` or `}`"));
        }
        Ok((metric, self.rest_of_tags(metric, open, tags)?))
    }

    /// Reads tags up to the closing brace.
    fn rest_of_tags(&mut self, metric: Metric, open: usize, mut tags: Vec<Tag>) -> Result<Vec<Tag>, Wrong> {
        loop {
            self.skip_spaces();
            let at = self.at;
            let tag = self.tag(metric, open)?;
            if tags.iter().any(|known| known.name() == tag.name()) {
                let reason = format!("`{}` is given twice", tag.name());
                return Err(Wrong { at, reason, hint: "expected each tag at most once".to_owned() });
            }
            tags.push(tag);
            if self.eat("}") {
                break;
            }
            if !self.eat(",") {
                return Err(self.missing_in_braces(open, "tag", "expected `,` or `}`"));
            }
        }
        tags.sort_by(|one, other| (one.key(), one.name()).cmp(&(other.key(), other.name())));
        Ok(tags)
    }

    fn tag(&mut self, metric: Metric, open: usize) -> Result<Tag, Wrong> {
        let key = match metric.has_own_tags() {
            true => self.own_key(metric)?,
            false => KeyOf::Golo(self.key(metric)?),
        };
        if !self.eat(":") {
            return Err(self.missing_in_braces(open, "value", "expected `:` and a value"));
        }
        self.skip_spaces();
        let at = self.at;
        let value = self.value(open)?;
        let key = match key {
            KeyOf::Golo(key) => key,
            KeyOf::LoadTest(key) => return Ok(Tag::own(&key, &value)),
        };
        Tag::new(key, &value).map_err(|hint| {
            let reason = format!("no request has the {} `{value}`", key.name());
            Wrong { at, reason, hint }
        })
    }

    /// Reads a key of golo's, or one of the load test's own, which may be in quotes.
    fn own_key(&mut self, metric: Metric) -> Result<KeyOf, Wrong> {
        self.skip_spaces();
        let at = self.at;
        if self.rest().starts_with('"') {
            return self.quoted().map(KeyOf::LoadTest);
        }
        let word = self.take(is_key_part);
        let names: Vec<_> = metric.keys().iter().map(|key| key.name()).collect();
        if word.is_empty() {
            let hint = if names.is_empty() {
                "expected a key and a value".to_owned()
            } else {
                format!("expected {} or a tag of the load test", one_of(&names))
            };
            return Err(self.missing("tag", hint));
        }
        if let Some(known) = metric.keys().iter().find(|key| key.name() == word) {
            return Ok(KeyOf::Golo(*known));
        }
        match misspelled(word, &names) {
            Some(meant) => {
                let reason = format!("`{}` has no tag `{word}`", self.metric);
                Err(Wrong { at, reason, hint: format!("did you mean `{meant}`?") })
            }
            None => Ok(KeyOf::LoadTest(word.to_owned())),
        }
    }

    fn key(&mut self, metric: Metric) -> Result<Key, Wrong> {
        let names: Vec<_> = metric.keys().iter().map(|key| key.name()).collect();
        let (at, word) = self.word();
        if word.is_empty() {
            return Err(self.missing("tag", format!("expected {}", one_of(&names))));
        }
        let known = metric.keys().iter().find(|key| key.name() == word).copied();
        known.ok_or_else(|| {
            let reason = format!("`{}` has no tag `{word}`", self.metric);
            Wrong { at, reason, hint: instead(word, &names) }
        })
    }

    /// Returns an error if the text ends before the brace at `open` is closed.
    fn unclosed(&self, open: usize) -> Option<Wrong> {
        let reason = "this brace is not closed".to_owned();
        self.rest().is_empty().then(|| Wrong { at: open, reason, hint: "expected `}` after the tags".to_owned() })
    }

    /// Returns the error that `what` is missing here, or that the brace at `open` is not closed.
    fn missing_in_braces(&self, open: usize, what: &str, hint: &str) -> Wrong {
        self.unclosed(open).unwrap_or_else(|| self.missing(what, hint))
    }

    fn value(&mut self, open: usize) -> Result<Cow<'a, str>, Wrong> {
        if self.rest().starts_with('"') {
            return self.quoted().map(Cow::Owned);
        }
        let rest = self.rest();
        let mut depth = 0_u32;
        let end = rest.find(|c| {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' => return depth == 0,
                _ => {}
            }
            false
        });
        let value = rest[..end.unwrap_or(rest.len())].trim_end();
        if value.is_empty() && end.is_some() {
            return Err(self.missing("value", "expected a value; an empty one is `\"\"`"));
        }
        self.at += end.unwrap_or(rest.len());
        self.unclosed(open).map_or(Ok(Cow::Borrowed(value)), Err)
    }

    /// Reads a text in quotes, in which `\` escapes the next character.
    fn quoted(&mut self) -> Result<String, Wrong> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => text.extend(chars.next().map(|(_, kept)| kept)),
                _ => text.push(c),
            }
        }
        let reason = "this quote is not closed".to_owned();
        Err(Wrong { at: self.at, reason, hint: "expected `\"` after the value".to_owned() })
    }

    fn statistic(&mut self, metric: Metric) -> Result<Statistic, Wrong> {
        let names = metric.kind().statistics();
        let (at, word) = self.word();
        if word.is_empty() {
            return Err(self.missing("statistic", format!("expected {}", one_of(names))));
        }
        if word == "p" && names.contains(&"p(N)") {
            return self.percentile();
        }
        if let Some(statistic) = Statistic::named(word).filter(|_| names.contains(&word)) {
            return Ok(statistic);
        }
        let number = word.strip_prefix('p').filter(|number| number.parse::<u32>().is_ok());
        let hint = match number.filter(|_| names.contains(&"p(N)")) {
            None if metric == Metric::Tag && word == "rate" => {
                "a share is that of one value: write it after the key, as in `tag{status:500}`".to_owned()
            }
            Some(number) => format!("did you mean `p({number})`?"),
            None => instead(word, names),
        };
        Err(Wrong { at, reason: format!("`{}` has no statistic `{word}`", self.metric), hint })
    }

    fn percentile(&mut self) -> Result<Statistic, Wrong> {
        let hint = "expected a number from 0 to 100 in brackets, as `p(99.9)`";
        if !self.eat("(") {
            return Err(self.missing("percentile", hint));
        }
        self.skip_spaces();
        let at = self.at;
        let percent = self.number().filter(|percent| *percent <= 100.0);
        let percent = percent.ok_or_else(|| Wrong { at, reason: "no percentile".to_owned(), hint: hint.to_owned() })?;
        match self.eat(")") {
            true => Ok(Statistic::Percentile(percent)),
            false => Err(self.missing("percentile", "expected `)`")),
        }
    }

    fn operator(&mut self) -> Result<Operator, Wrong> {
        if let Some(operator) = Operator::ALL.into_iter().find(|operator| self.eat(operator.sign())) {
            return Ok(operator);
        }
        Err(self.missing("comparison", "expected `<`, `<=`, `>`, `>=`, `==` or `!=`"))
    }

    fn limit(&mut self, dimension: Dimension) -> Result<Limit, Wrong> {
        let hint = || format!("expected {}", dimension.expected());
        self.skip_spaces();
        let start = self.at;
        let is_below = dimension == Dimension::Number && self.eat("-");
        let Some(number) = self.number() else { return Err(self.missing("value", hint())) };
        let number = if is_below { -number } else { number };
        self.skip_spaces();
        let at = self.at;
        let name = if self.is_over() { "" } else { self.take(|c| c.is_alphanumeric() || "%/".contains(c)) };
        let wrong = |at, reason| Wrong { at, reason, hint: hint() };
        let unit = dimension.unit(name).ok_or_else(|| wrong(at, format!("`{name}` is no unit here")))?;
        let limit = Limit { number, unit };
        if dimension == Dimension::Share && limit.value() > 1.0 {
            return Err(wrong(start, "no share is more than all".to_owned()));
        }
        Ok(limit)
    }

    /// Reads digits with an optional decimal point.
    fn number(&mut self) -> Option<f64> {
        let start = self.at;
        let number =
            self.take(|c| c.is_ascii_digit() || c == '.').parse().ok().filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.at = start;
        }
        number
    }

    /// Returns true if the word `over` is next.
    fn is_over(&self) -> bool {
        let rest = self.rest().strip_prefix("over");
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
    }

    /// Reads the length of the windows, if the threshold is over windows.
    fn over(&mut self) -> Result<Option<Duration>, Wrong> {
        self.skip_spaces();
        if !self.is_over() {
            return Ok(None);
        }
        self.word();
        self.skip_spaces();
        let at = self.at;
        let text = self.take(|c| c.is_alphanumeric() || c == '.');
        let hint = format!("expected {}", window::LENGTHS);
        if text.is_empty() {
            return Err(self.missing("length of the windows", hint));
        }
        let wrong = || Wrong { at, reason: format!("`{text}` is no length of windows"), hint };
        window::length(text).ok_or_else(wrong).map(Some)
    }

    fn end(&mut self) -> Result<(), Wrong> {
        self.skip_spaces();
        match self.rest() {
            "" => Ok(()),
            _ => Err(Wrong {
                at: self.at,
                reason: "a threshold ends here".to_owned(),
                hint: "expected one comparison; write another threshold for another".to_owned(),
            }),
        }
    }
}
