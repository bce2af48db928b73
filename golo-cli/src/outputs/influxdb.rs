//! `-o influxdb=URL`: sends metrics to InfluxDB 1.x and 2.x, and to what reads its line protocol: VictoriaMetrics, Telegraf.
//!
//! Each metric is a measurement. Points have the values of one second, at its end, so that sums over a run are its totals.
//! Durations have a point with exact figures of the second, and one for each bucket of a histogram, with the tag `le`.

use std::time::SystemTime;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{StatusCode, Url};

use golo::engine::histogram::Histogram;

use super::buckets::{BOUNDS, classic};
use super::delivery::Parcel;
use super::exports::{Encoder, Receiver};
use super::families::{Extent, Family, Kind, QUANTILES, Unit, Value, is_golos, seconds};
use super::frame::Frame;
use super::http_courier::{HttpCourier, authorization, url};
use super::line_protocol::Points;
use crate::support::failure::Failure;

/// Name of the output.
pub const KIND: &str = "influxdb";
/// Prefix of the variables with its credentials.
pub const VARIABLES: &str = "GOLO_INFLUXDB";
/// Example of its argument.
const EXAMPLE: &str = "http://127.0.0.1:8086/DATABASE";
/// Fields of [`QUANTILES`].
const PERCENTILES: [&str; QUANTILES.len()] = ["p50", "p90", "p95", "p99"];

/// Opens the output.
///
/// # Errors
///
/// Returns an error if the URL or the credentials cannot be used.
pub fn open(argument: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Receiver, Failure> {
    let url = url(KIND, argument, EXAMPLE, CREDENTIALS)?;
    let place = golo::cli::without_secrets(url.as_str()).into_owned();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let courier = HttpCourier::new(write_url(url)?, headers, authorization(VARIABLES, "Token", variable)?)?;
    let courier = courier.explained(explanation);
    Ok(Receiver::Pushed { kind: KIND, place, encoder: Box::new(Influxdb), courier: Box::new(courier) })
}

/// Variables with the credentials.
const CREDENTIALS: &str = "GOLO_INFLUXDB_TOKEN, or GOLO_INFLUXDB_USER and GOLO_INFLUXDB_PASSWORD";

/// Returns the URL to which points are sent.
fn write_url(mut url: Url) -> Result<Url, Failure> {
    let wrong = |why: &str| Failure::from(format!("`--out {KIND}=…`: {why}"));
    let mut pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let unknown = || {
        wrong(&format!(
            "expected {EXAMPLE} (1.x), http://127.0.0.1:8086?org=ORGANISATION&bucket=BUCKET (2.x), or a URL whose path ends \
             with /write"
        ))
    };
    if url.fragment().is_some() {
        return Err(unknown());
    }
    let path = url.path().to_owned();
    let has = |wanted: &str| pairs.iter().any(|(name, value)| name == wanted && !value.is_empty());
    if !path.ends_with("/write") {
        match path.trim_matches('/') {
            "" if has("org") && has("bucket") => url.set_path("/api/v2/write"),
            "" => return Err(unknown()),
            database if database.contains('/') || has("db") || has("bucket") => return Err(unknown()),
            database => {
                // A name may have characters that a path cannot have.
                let name = reqwest::Url::parse(&format!("http://a/?db={}", database.replace('+', "%2B")));
                let name = name.ok().and_then(|url| Some(url.query_pairs().next()?.1.into_owned()));
                pairs.insert(0, ("db".to_owned(), name.ok_or_else(unknown)?));
                url.set_path("/write");
            }
        }
    }
    pairs.retain(|(name, _)| name != "precision");
    pairs.push(("precision".to_owned(), "ms".to_owned()));
    url.query_pairs_mut().clear().extend_pairs(pairs);
    Ok(url)
}

/// Returns what to do about a refused request.
fn explanation(status: StatusCode, reason: &str) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Some("credentials come from GOLO_INFLUXDB_TOKEN, or GOLO_INFLUXDB_USER and GOLO_INFLUXDB_PASSWORD")
        }
        StatusCode::NOT_FOUND if reason.contains("database not found") => Some("golo does not create it"),
        StatusCode::NOT_FOUND if reason.contains("bucket") => Some("golo does not create it"),
        _ if reason.contains("partial write") => Some("the other points of these seconds were stored"),
        _ => None,
    }
}

/// Encodes seconds.
struct Influxdb;

impl Encoder for Influxdb {
    fn encode(&mut self, frame: &Frame<'_>) -> Vec<Parcel> {
        let mut points = Points::default();
        for family in frame.families(Extent::Second) {
            for (labels, value) in &family.series {
                let labels = || labels.iter().map(|(name, value)| (&**name, &**value));
                let golos = labels().filter(|(name, _)| is_golos(name));
                let others = labels().filter(|(name, _)| !is_golos(name));
                let run = frame.labels.pairs().map(|(name, value)| -> (&str, &str) { (name, value) });
                let series = points.series(&family.name, run.chain(golos).chain(others));
                add(&mut points, &series, family, value, frame.at);
            }
        }
        points.into_parcels()
    }
}

/// Adds the points of a value.
fn add(points: &mut Points, series: &str, family: &Family<'_>, value: &Value<'_>, at: SystemTime) {
    let field = match (family.kind, family.unit) {
        (Kind::Gauge, _) => "value",
        (_, Unit::None) => "count",
        (_, Unit::Seconds) => "seconds",
        (_, Unit::Bytes) => "bytes",
    };
    match value {
        Value::Count(count) => points.add(series, &[(field, *count as f64)], at),
        Value::Number(number) => points.add(series, &[(field, *number)], at),
        Value::Histogram(histogram) => add_histogram(points, series, histogram, at),
        Value::Summary { count: 0, .. } => {}
        Value::Summary { count, sum, quantiles } => {
            let mut fields = vec![("count", *count as f64), ("sum", *sum), ("mean", sum / *count as f64)];
            fields.extend(PERCENTILES.into_iter().zip(quantiles.iter().copied()));
            points.add(series, &fields, at);
        }
    }
}

fn add_histogram(points: &mut Points, series: &str, histogram: &Histogram, at: SystemTime) {
    let (Some(min), Some(max)) = (histogram.min(), histogram.max()) else { return };
    let (count, sum) = (histogram.count() as f64, seconds(histogram.sum()));
    let mut fields = vec![
        ("count", count),
        ("sum", sum),
        ("min", seconds(min.into())),
        ("max", seconds(max.into())),
        ("mean", sum / count),
    ];
    let quantiles = histogram.quantiles(&QUANTILES);
    let quantiles = PERCENTILES.into_iter().zip(quantiles);
    fields.extend(quantiles.filter_map(|(field, nanoseconds)| Some((field, seconds(nanoseconds?.into())))));
    points.add(series, &fields, at);
    let counts = classic(histogram);
    // Buckets without values below the smallest one say nothing, apart from the last of them: values are between its bound
    // and the next. Buckets above the largest value are needed: their counts are part of sums over several seconds.
    let first = counts.partition_point(|count| *count == 0).saturating_sub(1);
    for (bound, count) in BOUNDS.iter().zip(counts).skip(first) {
        points.add(&format!("{series},le={}", seconds((*bound).into())), &[("bucket", count as f64)], at);
    }
    points.add(&format!("{series},le=+Inf"), &[("bucket", count)], at);
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::{Duration, UNIX_EPOCH};

    use golo::engine::series::{Label, Outcome, Series};
    use golo::engine::snapshot::Snapshot;

    use super::*;
    use crate::outputs::frame::{Made, RunLabels};

    fn write_to(text: &str) -> Result<String, String> {
        let url = url(KIND, text, EXAMPLE, CREDENTIALS).map_err(String::from)?;
        write_url(url).map(String::from).map_err(String::from)
    }

    #[test]
    fn urls_of_all_versions_are_understood() {
        for (text, expected) in [
            ("http://a:8086/load", "http://a:8086/write?db=load&precision=ms"),
            ("http://a:8086/load/?rp=week", "http://a:8086/write?db=load&rp=week&precision=ms"),
            ("http://a/my%20load+1?precision=s", "http://a/write?db=my+load%2B1&precision=ms"),
            ("https://a?org=me&bucket=load", "https://a/api/v2/write?org=me&bucket=load&precision=ms"),
            ("http://a/api/v2/write?org=me&bucket=b", "http://a/api/v2/write?org=me&bucket=b&precision=ms"),
            ("http://a:8428/write", "http://a:8428/write?precision=ms"),
            ("http://a/insert/0/influx/write?db=x&precision=ns", "http://a/insert/0/influx/write?db=x&precision=ms"),
        ] {
            assert_eq!(write_to(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for text in
            ["http://a", "http://a/?org=me", "http://a?bucket=b", "http://a/x/y", "http://a/x?db=y", "http://a/x#y"]
        {
            let error = write_to(text).unwrap_err();
            assert!(
                error.starts_with("`--out influxdb=…`: expected http://127.0.0.1:8086/DATABASE (1.x), "),
                "{error}"
            );
        }
    }

    #[test]
    fn tags_of_golo_are_kept_if_there_are_too_many() {
        let tags = ('a'..='z').chain('A'..='Z').map(|name| (name.to_string(), "1"));
        let label = Label::new("http://a", "/items", "GET").with_tags(tags.collect());
        let mut second = Snapshot::default();
        let outcome = Outcome::Answered { status: 200, failed: false };
        let measure = second.requests.entry(Series { label: label.into(), outcome }).or_default();
        measure.durations.record(1_000_000);
        let labels = RunLabels {
            run: "1f".to_owned(),
            job: "shop".to_owned(),
            load_test: "shop".to_owned(),
            agent: Some("one".to_owned()),
        };
        let at = UNIX_EPOCH + Duration::from_secs(1);
        let frame = Frame {
            labels: &labels,
            started: UNIX_EPOCH,
            since: UNIX_EPOCH,
            at,
            second: &second,
            totals: &second,
            users: 1,
            connections: 1,
            is_last: false,
            made: Made::default(),
        };
        let body = Influxdb.encode(&frame)[0].body.clone();
        let text = String::from_utf8(body.to_vec()).unwrap();
        let line = text.lines().find(|line| line.starts_with("golo_http_requests,")).unwrap();
        let golos = "golo_http_requests,agent=one,job=shop,run=1f,method=GET,origin=http://a,outcome=ok,route=/items,status=200,";
        assert!(line.starts_with(golos) && line.ends_with(" count=1 1000"), "{line}");
        let labels = |line: &str| line.split(' ').next().unwrap().matches('=').count();
        assert!(text.lines().all(|line| labels(line) <= 27), "{text}");
    }

    #[test]
    fn histogram_has_figures_and_the_buckets_that_matter() {
        let mut histogram = Histogram::new();
        [1_900_000, 2_100_000, 40_000_000].into_iter().for_each(|value| histogram.record(value));
        let mut points = Points::default();
        let family =
            Family { name: "m".into(), help: "", unit: Unit::Seconds, kind: Kind::Histogram, series: Vec::new() };
        add(&mut points, "m", &family, &Value::Histogram(Cow::Borrowed(&histogram)), UNIX_EPOCH);
        add(&mut points, "m,none=1", &family, &Value::Histogram(Cow::Owned(Histogram::new())), UNIX_EPOCH);
        let parcels = points.into_parcels();
        let text = String::from_utf8(parcels[0].body.to_vec()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("m count=3,sum=0.044,min=0.0019,max=0.04,mean=0.01466"), "{text}");
        let expected = ["m,le=0.0015 bucket=0 0", "m,le=0.002 bucket=1 0", "m,le=0.003 bucket=2 0"];
        assert_eq!(lines[1..4], expected, "{text}");
        assert_eq!(lines[lines.len() - 2..], ["m,le=100 bucket=3 0", "m,le=+Inf bucket=3 0"], "{text}");
        assert!(!text.contains("none"), "{text}");
    }
}
