//! Points in InfluxDB's line protocol: `measurement,tag=value field=1.5 1795341913000`.
//!
//! Receivers read some texts in different ways, so these are changed. Measured with InfluxDB 1.6 and VictoriaMetrics 1.79:
//! a tag value cannot end with a backslash; a backslash before another one, or before a sign with a meaning, is read in two
//! ways; a line break ends the point; an empty tag value is refused; so is the tag `time`; a tag with the name of a field is
//! shown under another name; labels past the 30th are dropped.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::time::SystemTime;

use rustc_hash::FxHasher;

use super::delivery::Parcel;
use super::frame::milliseconds;

/// Size in bytes at which a body ends. InfluxDB advises bodies of 5 MB at most, and resets connections past 25 MB.
const BODY: usize = 4_000_000;
/// Largest number of tags of a point. VictoriaMetrics drops labels past 30, and adds the name and `db` itself.
const TAGS: usize = 26;
/// Largest number of characters of a tag value.
const VALUE: usize = 250;
/// Names of all fields. A tag with such a name gets a prefix.
const FIELDS: [&str; 13] =
    ["bucket", "bytes", "count", "max", "mean", "min", "p50", "p90", "p95", "p99", "seconds", "sum", "value"];

/// The points of a second.
#[derive(Debug, Default)]
pub struct Points {
    bodies: Vec<String>,
    /// Measurements and tags of this second.
    known: HashSet<String>,
}

impl Points {
    /// Returns the text before the fields of a point, `measurement,tag=value`, which no other point of this second has.
    ///
    /// Tags that come first are kept if there are too many.
    pub fn series<'a>(&mut self, measurement: &str, tags: impl Iterator<Item = (&'a str, &'a str)>) -> String {
        let mut series = escaped(measurement);
        let mut names = Vec::new();
        for (name, value) in tags {
            let value = escaped(&shortened(value));
            if value.is_empty() || names.len() == TAGS {
                continue;
            }
            let name = tag_name(name, &names);
            // A `String` takes everything.
            _ = write!(series, ",{}={value}", escaped(&name));
            names.push(name);
        }
        // Texts that are changed may become equal, and a point would replace another one.
        let (mut unique, mut number) = (series.clone(), 2);
        while !self.known.insert(unique.clone()) {
            unique = format!("{series},twin={number}");
            number += 1;
        }
        unique
    }

    /// Adds a point with fields that are finite. Without any, there is no point.
    pub fn add(&mut self, series: &str, fields: &[(&str, f64)], at: SystemTime) {
        let mut line = series.to_owned();
        let mut separator = ' ';
        for (name, number) in fields.iter().filter(|(_, number)| number.is_finite()) {
            debug_assert!(FIELDS.contains(name), "a tag may have the name of this field: {name}");
            // Without an `i` at its end a number is a float, so that a field never changes its type.
            _ = write!(line, "{separator}{name}={number}");
            separator = ',';
        }
        if separator == ' ' {
            return;
        }
        _ = writeln!(line, " {}", milliseconds(at));
        match self.bodies.last_mut() {
            Some(body) if body.len() + line.len() <= BODY => body.push_str(&line),
            _ => self.bodies.push(line),
        }
    }

    /// Returns the requests with all points, in order.
    #[must_use]
    pub fn into_parcels(self) -> Vec<Parcel> {
        self.bodies.into_iter().map(|body| Parcel { kind: "", body: body.into() }).collect()
    }
}

/// Returns the name of a tag that no receiver reads in another way, and that none of `others` has.
fn tag_name(name: &str, others: &[String]) -> String {
    let plain = match name {
        "time" | "db" | "twin" => format!("tag_{name}"),
        // InfluxDB 2 keeps these names for itself.
        _ if name.starts_with('_') => format!("tag{name}"),
        _ if FIELDS.contains(&name) => format!("tag_{name}"),
        _ => name.to_owned(),
    };
    let (mut unique, mut number) = (plain.clone(), 2);
    while others.contains(&unique) {
        unique = format!("{plain}_{number}");
        number += 1;
    }
    unique
}

/// Returns a text with at most [`VALUE`] characters. The end of a longer one is replaced by a number made from all of it.
fn shortened(text: &str) -> String {
    let kept = VALUE - 17;
    match text.char_indices().nth(VALUE) {
        None => text.to_owned(),
        Some(_) => {
            let hash = BuildHasherDefault::<FxHasher>::default().hash_one(text);
            text.chars().take(kept).chain(format!("…{hash:016x}").chars()).collect()
        }
    }
}

/// Returns a measurement, a name or a value of a tag as line protocol has it.
///
/// Control characters become spaces. A backslash becomes a slash, unless a character without any meaning comes after it.
#[must_use]
pub fn escaped(text: &str) -> String {
    let has_meaning = |c: char| matches!(c, ',' | '=' | ' ');
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let c = if c.is_control() { ' ' } else { c };
        match c {
            '\\' => {
                let is_ordinary = |next: &char| !has_meaning(*next) && *next != '\\' && !next.is_control();
                escaped.push(if rest.peek().is_some_and(is_ordinary) { '\\' } else { '/' });
            }
            c if has_meaning(c) => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;

    /// Splits at a separator, as InfluxDB does: a backslash before it, whatever comes before, takes its meaning away.
    fn split_as_influxdb(text: &str, separator: char) -> Vec<String> {
        let mut parts = vec![String::new()];
        for c in text.chars() {
            match parts.last_mut() {
                Some(last) if c != separator || last.ends_with('\\') => last.push(c),
                _ => parts.push(String::new()),
            }
        }
        parts
    }

    /// Splits as VictoriaMetrics does: an even number of backslashes leaves the separator its meaning.
    fn split_as_victoria(text: &str, separator: char) -> Vec<String> {
        let mut parts = vec![String::new()];
        for c in text.chars() {
            let last = parts.last_mut().unwrap();
            let backslashes = last.chars().rev().take_while(|c| *c == '\\').count();
            if c == separator && backslashes % 2 == 0 { parts.push(String::new()) } else { last.push(c) }
        }
        parts
    }

    fn unescaped(text: &str, signs: &[char]) -> String {
        let mut plain = String::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match rest.peek() {
                Some(next) if c == '\\' && signs.contains(next) => plain.extend(rest.next()),
                _ => plain.push(c),
            }
        }
        plain
    }

    /// Reads a point without fields: the measurement, and names and values of tags.
    type Read = (String, Vec<(String, String)>);

    fn read(series: &str, split: fn(&str, char) -> Vec<String>, signs: &[char]) -> Read {
        assert_eq!(split(series, ' ').len(), 1, "{series}");
        let mut parts = split(series, ',').into_iter();
        let measurement = unescaped(&parts.next().unwrap(), signs);
        let tags = parts.map(|tag| {
            let [name, value] = split(&tag, '=').try_into().unwrap_or_else(|_| panic!("no tag: {tag}"));
            (unescaped(&name, signs), unescaped(&value, signs))
        });
        (measurement, tags.collect())
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![r#"[a-c\\ ,="'\n\r\t/é]{0,12}"#, "\\PC{0,300}"]
    }

    proptest! {
        #[test]
        fn points_are_read_back_by_both_readers(tags in prop::collection::vec(("[a-z_]{1,3}", text()), 0..40)) {
            let pairs = || tags.iter().map(|(name, value)| (&**name, &**value));
            let series = Points::default().series("golo_http_requests", pairs());
            let influxdb = read(&series, split_as_influxdb, &[',', '=', ' ']);
            let victoria = read(&series, split_as_victoria, &[',', '=', ' ', '\\']);
            prop_assert_eq!(&influxdb, &victoria);
            let (measurement, found) = influxdb;
            prop_assert_eq!(measurement, "golo_http_requests");
            let expected: Vec<_> = pairs().map(|(_, value)| value).filter(|value| !value.is_empty()).take(TAGS).collect();
            prop_assert_eq!(found.len(), expected.len());
            for ((name, value), expected) in found.iter().zip(expected) {
                prop_assert!(found.iter().filter(|(other, _)| other == name).count() == 1, "{name} is there twice");
                prop_assert!(value.chars().count() <= VALUE && !value.ends_with('\\') && !value.contains('\n'));
                if expected.chars().count() > VALUE {
                    continue;
                }
                let alike = value.chars().zip(expected.chars()).all(|(is, was)| {
                    is == was || was == '\\' && is == '/' || was.is_control() && is == ' '
                });
                prop_assert!(alike && value.chars().count() == expected.chars().count(), "{value:?} of {expected:?}");
            }
        }

        #[test]
        fn points_of_a_second_never_have_the_same_series(values in prop::collection::vec(text(), 0..20)) {
            let mut points = Points::default();
            let all: Vec<_> = values.iter().map(|value| points.series("m", [("route", &**value)].into_iter())).collect();
            prop_assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        }
    }

    #[test]
    fn names_and_values_are_changed_only_if_they_must_be() {
        let series = |tags: &[(&str, &str)]| Points::default().series("m", tags.iter().copied());
        assert_eq!(series(&[("route", "/a b"), ("zone", ""), ("path", r"c:\d")]), r"m,route=/a\ b,path=c:\d");
        assert_eq!(series(&[("path", r"c:\"), ("share", r"\\a"), ("text", "a\nb")]), r"m,path=c:/,share=/\a,text=a\ b");
        assert_eq!(
            series(&[("time", "1"), ("count", "2"), ("_9", "3"), ("tag_9", "4")]),
            "m,tag_time=1,tag_count=2,tag_9=3,tag_9_2=4"
        );
        let (one, other) = ("x".repeat(400) + "1", "x".repeat(400) + "2");
        assert_ne!(series(&[("route", &one)]), series(&[("route", &other)]));
        let mut points = Points::default();
        assert_eq!([(); 3].map(|()| points.series("m", [].into_iter())), ["m", "m,twin=2", "m,twin=3"]);
    }

    #[test]
    fn numbers_are_floats_and_only_finite_ones_are_written() {
        let mut points = Points::default();
        let at = UNIX_EPOCH + Duration::from_micros(1_795_341_913_000_999);
        points.add("m", &[("count", 3.0), ("p50", 1e-9), ("mean", f64::NAN), ("max", 1.5)], at);
        points.add("m", &[("mean", f64::INFINITY)], at);
        let parcels = points.into_parcels();
        assert_eq!(parcels.len(), 1);
        assert_eq!(*parcels[0].body, *b"m count=3,p50=0.000000001,max=1.5 1795341913000\n");
    }

    #[test]
    fn large_seconds_are_several_requests_of_whole_lines() {
        let mut points = Points::default();
        for number in 0..100_000 {
            let number = number.to_string();
            let series =
                points.series("golo_http_requests", [("route", &*number), ("run", &"r".repeat(70))].into_iter());
            points.add(&series, &[("count", 1.0)], UNIX_EPOCH);
        }
        let parcels = points.into_parcels();
        assert!(parcels.len() > 2 && parcels.iter().all(|parcel| parcel.body.len() <= BODY), "{}", parcels.len());
        let lines =
            |body: &[u8]| body.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b" 0\n")).count();
        assert_eq!(parcels.iter().map(|parcel| lines(&parcel.body)).sum::<usize>(), 100_000);
    }
}
