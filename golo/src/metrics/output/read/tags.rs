//! Tags of an output by serde: an object of texts. Other programs may use the key for something else.

use std::fmt;

use serde::de::{self, IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer, Serializer};

use super::Text;
use crate::metrics::tag_set::{RequestTags, TagPairs};

/// Largest number of tags that are read, since the last value of a key counts.
const MOST: usize = 1000;

pub(super) fn serialize<S: Serializer>(tags: &RequestTags, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(tags.to_vec())
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RequestTags, D::Error> {
    deserializer.deserialize_any(Tags).map(RequestTags::from)
}

/// Reads an object of texts, numbers and booleans as tags. Anything else means no tags.
struct Tags;

impl<'de> Visitor<'de> for Tags {
    type Value = TagPairs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tags")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<TagPairs, A::Error> {
        let mut pairs = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            let value = map.next_value::<Value>()?;
            if let (Value::Text(value), true) = (value, pairs.len() < MOST) {
                pairs.push((key, value));
            }
        }
        Ok(pairs.into_iter().collect())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<TagPairs, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(TagPairs::default())
    }

    fn visit_unit<E: de::Error>(self) -> Result<TagPairs, E> {
        Ok(TagPairs::default())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<TagPairs, E> {
        Ok(TagPairs::default())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<TagPairs, E> {
        Ok(TagPairs::default())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<TagPairs, E> {
        Ok(TagPairs::default())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<TagPairs, E> {
        Ok(TagPairs::default())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<TagPairs, E> {
        Ok(TagPairs::default())
    }
}

/// Value of a tag.
enum Value {
    Text(String),
    /// Null, an array or an object.
    Other,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Self::Text(text),
            value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => Self::Text(value.to_string()),
            _ => Self::Other,
        })
    }
}
