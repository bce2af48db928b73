//! Tags: keys and values that a load test attaches to a trigger.

use std::fmt::Display;

use crate::ResponseTag;
use crate::metrics::scope;

/// Turns pairs of a key and a displayable value into tags, in the given order.
///
/// A run records the tags of every trigger's [`Response`](crate::Response): it counts how often each value occurs, and
/// keeps the distribution of numbers. Reports show them, and thresholds can check them: `tag{size} p(95)<20000`,
/// `tag{status:500} rate<1%`. See [Reading the report](crate::reading_the_report#tags).
///
/// Pass values of different types by reference, as `&dyn Display`:
///
/// ```
/// use std::fmt::Display;
///
/// let tags = golo::tagify([("size", 12), ("attempts", 1)]);
/// assert_eq!((tags[0].key.as_str(), tags[0].value.as_str()), ("size", "12"));
///
/// let mixed = golo::tagify([("status", &200 as &dyn Display), ("url", &"http://127.0.0.1:8765/")]);
/// assert_eq!(mixed[1].value, "http://127.0.0.1:8765/");
/// ```
pub fn tagify<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Vec<ResponseTag>
where
    K: Into<String>,
    V: Display,
{
    pairs.into_iter().map(|(key, value)| ResponseTag { key: key.into(), value: value.to_string() }).collect()
}

/// Tags everything that the trigger measures from now on: its requests, measured steps, groups and custom metrics.
///
/// The tag replaces an earlier one with the same key, and holds until the trigger ends. Outside of a trigger it has no
/// effect. To tag one request only, use [`Request::tag`](crate::Request::tag).
///
/// Each set of tags has its own measurements, and their number is limited to 1,000: tag with a kind of customer, not
/// with a customer's number. See [Metrics, tags and groups](crate::metrics_tags_and_groups#limits).
///
/// ```no_run
/// # async fn load_test() -> Result<(), golo::RequestError> {
/// let journey = golo::new_sequence_id();
/// golo::tag("tenant", "blue");
/// golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/items")).await?;
/// # Ok(()) }
/// ```
pub fn tag(key: &str, value: &str) {
    scope::with_current(|scope| scope.set_tags(scope.tags().with(key, value)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tagify_keeps_order_and_repeated_keys() {
        let tags = tagify([("b", 1), ("a", 2), ("b", 3)]);
        let pairs: Vec<_> = tags.iter().map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
        assert_eq!(pairs, [("b", "1"), ("a", "2"), ("b", "3")]);
    }

    #[test]
    fn tagify_accepts_a_map() {
        let map = std::collections::BTreeMap::from([("x".to_owned(), 1.5)]);
        assert_eq!(tagify(map)[0].value, "1.5");
    }
}
