//! Reader of lines: a fast reader for lines as golo writes them, and a lenient one, by serde, for all others. Also
//! writes the same keys by serde, for programs that put an `Output` into JSON of their own.

mod own;
mod tags;

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{OutputRef, nanoseconds, timestamp};
use crate::metrics::tag_set::RequestTags;

pub(super) fn line(line: &str) -> Result<OutputRef<'_>, serde_json::Error> {
    match own::line(line) {
        Some(output) => Ok(output),
        None => serde_json::from_str(line),
    }
}

/// Keys of a line, in order.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Output", rename_all = "camelCase")]
struct Keys<'a> {
    #[serde(rename = "sequenceID", borrow)]
    sequence_id: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    status: u16,
    size: i64,
    timestamp: Timestamp,
    duration: Nanoseconds,
    #[serde(borrow, default)]
    error: Reason<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    route: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expected: Option<bool>,
    #[serde(default, skip_serializing_if = "Amount::is_none")]
    sent: Amount,
    #[serde(default, skip_serializing_if = "Amount::is_none")]
    redirects: Amount,
    #[serde(default, skip_serializing_if = "RequestTags::is_empty", with = "tags")]
    tags: RequestTags,
}

/// A number that only golo writes. Other programs may use the key for something else.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Amount {
    Number(u64),
    Other(#[serde(skip_serializing)] de::IgnoredAny),
}

impl Default for Amount {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Amount {
    fn is_none(&self) -> bool {
        self.number() == 0
    }

    fn number(&self) -> u64 {
        if let Self::Number(number) = self { *number } else { 0 }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for OutputRef<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let keys = Keys::deserialize(deserializer)?;
        Ok(Self {
            sequence_id: keys.sequence_id,
            url: keys.url,
            method: keys.method,
            status: keys.status,
            size: keys.size,
            timestamp: keys.timestamp.0,
            duration: keys.duration.0,
            error: keys.error.0,
            route: keys.route.map(|Text(route)| route),
            expected: keys.expected,
            waiting: None,
            phases: None,
            sent: keys.sent.number(),
            redirects: u32::try_from(keys.redirects.number()).unwrap_or_default(),
            redirects_are_hidden: false,
            tags: keys.tags,
            ended: None,
            trace: None,
            evidence: None,
        })
    }
}

impl Serialize for OutputRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Keys {
            sequence_id: Cow::Borrowed(&self.sequence_id),
            url: Cow::Borrowed(&self.url),
            method: Cow::Borrowed(&self.method),
            status: self.status,
            size: self.size,
            timestamp: Timestamp(self.timestamp),
            duration: Nanoseconds(self.duration),
            error: Reason(self.error.as_deref().map(Cow::Borrowed)),
            route: self.route.as_deref().map(|route| Text(Cow::Borrowed(route))),
            expected: self.expected,
            sent: Amount::Number(self.sent),
            redirects: Amount::Number(self.redirects.into()),
            tags: self.tags.clone(),
        }
        .serialize(serializer)
    }
}

/// Newtype, because serde's `Option<Cow<str>>` would not borrow.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Timestamp(SystemTime);

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        timestamp::read(&text)
            .map(Self)
            .map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &"an RFC 3339 time"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = Vec::with_capacity(30);
        timestamp::write(self.0, &mut text);
        serializer.serialize_str(&String::from_utf8_lossy(&text))
    }
}

struct Nanoseconds(Duration);

impl<'de> Deserialize<'de> for Nanoseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(|nanoseconds| Self(Duration::from_nanos(nanoseconds)))
    }
}

impl Serialize for Nanoseconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(nanoseconds(self.0))
    }
}

/// Value of `error`: null, text, or anything else (as Go writes an error value), which is kept as its JSON.
#[derive(Default)]
struct Reason<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Reason<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReasonVisitor).map(Self)
    }
}

impl Serialize for Reason<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

struct ReasonVisitor;

impl<'de> Visitor<'de> for ReasonVisitor {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null or the reason")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_string())))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_string())))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_string())))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(Cow::Owned(value.to_string())))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let value = serde_json::Value::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Some(Cow::Owned(value.to_string())))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        let value = serde_json::Value::deserialize(SeqAccessDeserializer::new(seq))?;
        Ok(Some(Cow::Owned(value.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::{Output, OutputRef};

    const LINE: &str = r#"{"sequenceID":"0d3b","url":"http://127.0.0.1:8765/","method":"GET","status":200,"size":12,"timestamp":"2026-11-22T10:05:13.123456789Z","duration":412345,"error":null}"#;

    #[test]
    fn output_displays_as_the_line_it_was_read_from() {
        assert_eq!(LINE.parse::<Output>().unwrap().to_string(), LINE);
    }

    #[test]
    fn parse_borrows_text_without_escapes() {
        let output = OutputRef::parse(LINE).unwrap();
        assert!(matches!(output.url, std::borrow::Cow::Borrowed(_)));
    }

    #[test]
    fn parse_accepts_unknown_keys_and_other_error_types() {
        let parse = |line: String| line.parse::<Output>().unwrap();
        assert_eq!(parse(LINE.replace(",\"error\":null", "")).error, None);
        assert_eq!(parse(LINE.replace("null}", "{}}")).error.as_deref(), Some("{}"));
        assert_eq!(parse(LINE.replace("null}", r#"{"Op":"dial"}}"#)).error.as_deref(), Some(r#"{"Op":"dial"}"#));
        assert_eq!(parse(LINE.replace("null}", r#""EOF"}"#)).error.as_deref(), Some("EOF"));
        assert_eq!(parse(LINE.replace("null}", r#"null,"new":[1,{"a":2}]}"#)).error, None);
        assert_eq!(parse(LINE.replace(":12,", ":-1,")).size, -1);
        for other in ["-1", "1.5", r#""2026-11-22""#, "null", "[1]", "{}", "true"] {
            let output = parse(LINE.replace("null}", &format!(r#"null,"sent":{other},"redirects":{other}}}"#)));
            assert_eq!((output.sent, output.redirects), (0, 0), "{other}");
        }
        assert_eq!(parse(format!("{LINE}\n")).status, 200);
    }

    #[test]
    fn parse_reports_the_reason_for_a_bad_line() {
        for (line, reason) in [
            ("", "EOF"),
            ("hello", "expected value"),
            ("{}", "missing field `sequenceID`"),
            (&LINE.replace("200", "70000"), "70000"),
            (&LINE.replace("2026-11-22T", "yesterday "), "RFC 3339"),
        ] {
            let error = line.parse::<Output>().unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains(reason), "{line}: {source}");
        }
    }

    #[test]
    fn is_failed_depends_on_error_and_expected_status() {
        let mut output: Output = LINE.parse().unwrap();
        assert!(!output.is_failed());
        output.status = 404;
        assert!(output.is_failed());
        output.expected = Some(true);
        assert!(!output.is_failed());
        output.status = 200;
        output.expected = Some(false);
        assert!(output.is_failed());
        output.expected = Some(true);
        output.error = Some("cancelled".into());
        assert!(output.is_failed());
    }

    fn outputs() -> impl Strategy<Value = Output> {
        let text = || proptest::string::string_regex("(?s).{0,40}").unwrap();
        (
            (text(), text(), text(), any::<u16>(), -1i64..),
            (0i64..253_402_300_800, 0u32..1_000_000_000, any::<u64>()),
            (proptest::option::of(text()), proptest::option::of(text()), any::<Option<bool>>()),
            (any::<u64>(), any::<u32>(), proptest::collection::vec((text(), text()), 0..3)),
        )
            .prop_map(
                |(
                    (sequence_id, url, method, status, size),
                    (second, nanosecond, duration),
                    (error, route, expected),
                    (sent, redirects, tags),
                )| Output {
                    sequence_id,
                    url,
                    method,
                    status,
                    size,
                    timestamp: std::time::UNIX_EPOCH + std::time::Duration::new(second.unsigned_abs(), nanosecond),
                    duration: std::time::Duration::from_nanos(duration),
                    error,
                    route,
                    expected,
                    sent,
                    redirects,
                    tags: tags.into_iter().collect(),
                },
            )
    }

    proptest! {
        #[test]
        fn any_output_survives_a_round_trip_as_one_line(output in outputs()) {
            let mut line = Vec::new();
            output.as_ref().write_line(&mut line);
            let line = String::from_utf8(line).unwrap();
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            prop_assert_eq!(&line.parse::<Output>().unwrap(), &output);
            prop_assert_eq!(&serde_json::from_str::<Output>(&line).unwrap(), &output);
            let by_serde: Output = serde_json::from_value(serde_json::to_value(&output).unwrap()).unwrap();
            prop_assert_eq!(by_serde, output);
        }

        #[test]
        fn written_line_equals_serde_output(output in outputs()) {
            let by_hand: serde_json::Value = serde_json::from_str(&output.to_string()).unwrap();
            prop_assert_eq!(by_hand, serde_json::to_value(&output).unwrap());
        }

        #[test]
        fn fast_reader_agrees_with_serde(output in outputs(), at in any::<prop::sample::Index>(), by in any::<char>()) {
            // A line with one character changed. If the fast reader accepts it, serde must read the same.
            let mut line: Vec<char> = output.to_string().chars().collect();
            *at.get_mut(&mut line) = by;
            let line: String = line.into_iter().collect();
            if let Some(by_hand) = super::own::line(&line) {
                prop_assert_eq!(Ok(by_hand), serde_json::from_str::<OutputRef<'_>>(&line).map_err(|error| error.to_string()));
            }
        }

        #[test]
        fn parse_never_panics(text in "(?s).{0,200}") {
            let _ = text.parse::<Output>();
        }
    }
}
