//! `http.client.request.duration`, the metric that OpenTelemetry defines for clients of HTTP, so that existing dashboards
//! show a load test.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use golo::engine::histogram::Histogram;
use golo::engine::series::{Label, Outcome};
use golo::engine::snapshot::Snapshot;
use reqwest::Url;

use super::messages::KeyValue;
use super::metrics::{Head, integer, text};
use crate::outputs::families::tags;

/// Methods that the convention knows. All others are `_OTHER`.
const METHODS: [&str; 10] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"];

/// Returns the name and the unit of the metric.
pub(super) fn head() -> Head {
    Head {
        name: "http.client.request.duration".to_owned(),
        description: "Duration of HTTP client requests.",
        unit: "s".to_owned(),
    }
}

/// Attributes of requests, and their durations.
type Durations<'a> = (Vec<KeyValue>, Cow<'a, Histogram>);

/// Returns the durations of all requests that ended, by attributes.
pub(super) fn durations(snapshot: &Snapshot) -> impl Iterator<Item = Durations<'_>> {
    // The encoded attributes are the key, because attributes cannot be compared.
    let mut durations: BTreeMap<Vec<u8>, Durations<'_>> = BTreeMap::new();
    for (series, measure) in &snapshot.requests {
        if series.is_step() || series.outcome == Outcome::Interrupted {
            continue;
        }
        let mut attributes = of_target(&series.label);
        attributes.extend(of_outcome(series.outcome));
        attributes.extend(tags(&series.label).into_iter().map(|(name, value)| text(name, value)));
        attributes.sort_by(|one, other| one.key.cmp(&other.key));
        let key = attributes.iter().flat_map(prost::Message::encode_length_delimited_to_vec).collect();
        match durations.entry(key) {
            Entry::Occupied(mut known) => known.get_mut().1.to_mut().merge(&measure.durations),
            Entry::Vacant(new) => _ = new.insert((attributes, Cow::Borrowed(&measure.durations))),
        }
    }
    durations.into_values()
}

/// Returns the attributes of a method, an origin and a route.
pub(super) fn of_target(label: &Label) -> Vec<KeyValue> {
    let mut attributes = match METHODS.contains(&&*label.method) {
        true => vec![text("http.request.method", &*label.method)],
        false => vec![text("http.request.method", "_OTHER")],
    };
    if !METHODS.contains(&&*label.method) && !label.method.is_empty() {
        attributes.push(text("http.request.method_original", &*label.method));
    }
    attributes.push(text("url.template", &*label.route));
    if let Ok(origin) = Url::parse(&label.origin) {
        attributes.push(text("url.scheme", origin.scheme()));
        attributes.extend(origin.host_str().map(|host| text("server.address", host.trim_matches(['[', ']']))));
        attributes.extend(origin.port_or_known_default().map(|port| integer("server.port", port.into())));
    }
    attributes
}

/// Returns the status, and the error if the request failed.
fn of_outcome(outcome: Outcome) -> impl Iterator<Item = KeyValue> {
    let status = outcome.status();
    let error = match outcome {
        Outcome::Answered { status, failed: true } => Some(status.to_string()),
        Outcome::Content { .. } => Some("content".to_owned()),
        Outcome::Failed(kind) => Some(kind.to_string()),
        Outcome::Answered { failed: false, .. } | Outcome::Interrupted => None,
    };
    let status = status.map(|status| integer("http.response.status_code", status.into()));
    status.into_iter().chain(error.map(|error| text("error.type", error)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use golo::engine::series::Series;
    use golo::engine::snapshot::Measure;

    use super::*;
    use crate::outputs::otlp::messages::{Any, AnyValue};

    fn shown(attributes: &[KeyValue]) -> String {
        let shown = attributes.iter().map(|attribute| match &attribute.value {
            Some(AnyValue { value: Some(Any::StringValue(text)) }) => format!("{}={text}", attribute.key),
            Some(AnyValue { value: Some(Any::IntValue(number)) }) => format!("{}={number}", attribute.key),
            other => panic!("{other:?}"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn attributes_are_those_of_the_convention() {
        let mut snapshot = Snapshot::default();
        let mut measure = Measure::default();
        measure.durations.record(1);
        let mut add = |origin: &str, method: &str, outcome| {
            let label = Arc::new(Label::new(origin, "/a/{id}", method));
            snapshot.requests.insert(Series { label, outcome }, measure.clone());
        };
        add("http://h", "GET", Outcome::Answered { status: 404, failed: false });
        add("http://h:80", "GET", Outcome::Answered { status: 404, failed: false });
        add("https://[::1]:8443", "POST", Outcome::Answered { status: 503, failed: true });
        add("https://h", "PURGE", Outcome::Content { status: 200 });
        add("http://h", "GET", Outcome::Interrupted);
        add("", "MEASURE", Outcome::Answered { status: 0, failed: false });
        let mut all: Vec<_> = durations(&snapshot).map(|(attributes, all)| (shown(&attributes), all.count())).collect();
        all.sort();
        let expected = [
            (
                "error.type=503 http.request.method=POST http.response.status_code=503 server.address=::1 \
                 server.port=8443 url.scheme=https url.template=/a/{id}",
                1,
            ),
            (
                "error.type=content http.request.method=_OTHER http.request.method_original=PURGE \
                 http.response.status_code=200 server.address=h server.port=443 url.scheme=https url.template=/a/{id}",
                1,
            ),
            (
                "http.request.method=GET http.response.status_code=404 server.address=h server.port=80 \
                 url.scheme=http url.template=/a/{id}",
                2,
            ),
        ];
        let expected = expected.map(|(attributes, count)| (attributes.to_owned(), count));
        assert_eq!(all, expected);
    }
}
