//! Thresholds on the tags of triggers: `tag{size} p(95)<20000`, `tag{status:500} rate<1%`.

use super::Threshold;
use super::metric::{Metric, Statistic};
use super::samples::Samples;
use super::tag::Tag;
use crate::engine::snapshot::Snapshot;
use crate::engine::tags::{self, KEYS, Known, Numbers, VALUES, kept, status};
use crate::support::nearest::nearest;

/// Key with values that may be a status with its reason, such as `500 Internal Server Error`.
const STATUS: &str = "status";

/// Reason why there are no samples.
pub(super) struct Nothing {
    pub(super) reason: String,
    /// True if there will never be any samples.
    pub(super) is_lost: bool,
}

impl Nothing {
    pub(super) fn yet(reason: String) -> Self {
        Self { reason, is_lost: false }
    }

    pub(super) fn ever(reason: String) -> Self {
        Self { reason, is_lost: true }
    }
}

impl Threshold {
    /// Returns the samples of a threshold on tags of triggers.
    pub(super) fn trigger_tags(&self, totals: &Snapshot) -> Result<Samples<'static>, Nothing> {
        let Some((key, value)) = self.trigger_tag() else {
            return Err(Nothing::ever("no tag is named".to_owned()));
        };
        let tag = known(&totals.tags, key)?;
        let failed =
            self.tags.iter().find_map(|tag| if let Tag::Outcome { failed } = tag { Some(*failed) } else { None });
        let of = tag.count(failed);
        match (self.metric, self.statistic, value) {
            (Metric::TagValue, statistic, Some(value)) => {
                let part = occurrences(key, tag, value, failed)?;
                Ok(if statistic == Statistic::Rate { Samples::Share { part, of } } else { Samples::Counter(part) })
            }
            (_, Statistic::Count, _) => Ok(Samples::Counter(of)),
            _ => numbers(key, tag, failed).map(Samples::Numbers),
        }
    }

    /// Returns the key of the tag, and its value if one is selected.
    fn trigger_tag(&self) -> Option<(&str, Option<&str>)> {
        self.tags.iter().find_map(|tag| match tag {
            Tag::Trigger { key, value } => Some((&**key, value.as_deref())),
            _ => None,
        })
    }
}

fn known<'a>(tags: &'a tags::Tags, key: &str) -> Result<&'a tags::Tag, Nothing> {
    match tags.get(key) {
        Known::Came(tag) => Ok(tag),
        Known::Unknown => {
            Err(Nothing::ever(format!("the tag `{key}` is not told apart: there are more than {KEYS} keys of tags")))
        }
        Known::Never => {
            let meant = nearest(key, tags.iter().map(|(key, _)| key));
            let meant = meant.map_or_else(String::new, |key| format!("; did you mean `{key}`?"));
            Err(Nothing::yet(format!("no trigger has the tag `{key}`{meant}")))
        }
    }
}

/// Returns the number of occurrences of a value.
fn occurrences(key: &str, tag: &tags::Tag, value: &str, failed: Option<bool>) -> Result<u64, Nothing> {
    let unknown = || {
        Nothing::ever(format!("the value `{value}` is not told apart: the tag `{key}` has more than {VALUES} values"))
    };
    if key == STATUS && value.len() == 3 && status(value) > 0 {
        if tag.other().all() > 0 {
            return Err(unknown());
        }
        let wanted = tag.values().filter(|(known, _)| status(known) == status(value));
        return Ok(wanted.fold(0, |sum, (_, counts)| sum.saturating_add(counts.of(failed))));
    }
    match tag.value(&kept(value)) {
        Known::Came(counts) => Ok(counts.of(failed)),
        Known::Never => Ok(0),
        Known::Unknown => Err(unknown()),
    }
}

/// Returns the values as numbers, if all of them are numbers.
fn numbers(key: &str, tag: &tags::Tag, failed: Option<bool>) -> Result<Numbers, Nothing> {
    let texts = tag.texts().of(failed);
    if texts == 0 {
        return Ok(tag.numbers(failed));
    }
    let is_text = |(value, counts): &(&str, &tags::Counts)| counts.of(failed) > 0 && !tags::is_number(value);
    let example = tag.values().find(is_text).map_or_else(String::new, |(value, _)| format!(", as `{value}`"));
    let (all, are) = (tag.count(failed), if texts == 1 { "is no number" } else { "are no numbers" });
    Err(Nothing::ever(format!("{texts} of {all} values of the tag `{key}` {are}{example}")))
}
