//! Names, attributes, times and values of metrics.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::metrics::v1::AggregationTemporality;

use crate::points::{Points, Value};
use crate::receiver::{Answer, Receiver};
use crate::runs::Run;

#[tokio::test]
async fn counts_and_percentiles_equal_the_summary() {
    for (protocol, temporality, expected) in [
        ("http/protobuf", "cumulative", AggregationTemporality::Cumulative),
        ("grpc", "delta", AggregationTemporality::Delta),
    ] {
        let receiver = Receiver::start(Answer::Accept);
        let run =
            Run::new(&receiver, "-d 3").set("PROTOCOL", protocol).set("METRICS_TEMPORALITY_PREFERENCE", temporality);
        let ran = run.finish().await;
        let points = Points::of(&receiver.received().metrics);
        ran.assert_counts(&points);
        assert!(points.0.iter().all(|point| point.temporality.is_none_or(|temporality| temporality == expected)));
        assert_eq!(ran.remark(&receiver.url()), "");
        let triggers = ran.counts.routes["/items/{id}"] as f64;
        assert_eq!(points.select("golo.triggers", &[("outcome", "ok")]).total(), triggers);
        assert_eq!(points.select("golo.trigger.duration", &[]).total(), triggers);
        let passed = [("check", "an item comes"), ("result", "passed")];
        assert_eq!(points.select("golo.checks", &passed).total(), triggers);
        assert_eq!(points.select("golo.own.visits", &[]).total(), triggers);
        assert_eq!(points.select("golo.group.duration", &[("group", "visit")]).total(), triggers);
        // One at the end of each second, and one at the end of the run.
        let times: BTreeSet<_> = points.0.iter().map(|point| point.at).collect();
        assert!((3..=5).contains(&times.len()), "{times:?}");
    }
}

#[tokio::test]
async fn names_units_and_attributes_are_as_documented() {
    let receiver = Receiver::start(Answer::Accept);
    let ran = Run::new(&receiver, "-d 2 --name nightly").finish().await;
    ran.assert_passed();
    let points = Points::of(&receiver.received().metrics);
    let units: BTreeMap<_, _> = points.0.iter().map(|point| (&*point.name, &*point.unit)).collect();
    let documented = include_str!("../../../golo-cli/docs/otlp.md");
    for (name, unit) in &units {
        let shown = if unit.is_empty() { "none".to_owned() } else { format!("`{unit}`") };
        let row = format!("| `{}` | ", if name.starts_with("golo.own.") { "golo.own.NAME" } else { name });
        let row = documented.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("no {row}"));
        assert!(name.starts_with("golo.own.") || row.contains(&shown), "{row} {unit}");
    }
    let request = points.select("golo.http.requests", &[("outcome", "failed")]).0[0].clone();
    let keys: Vec<_> = request.attributes.keys().map(String::as_str).collect();
    assert_eq!(keys, ["group", "method", "origin", "outcome", "route", "status", "tag_kind"]);
    let resource = &request.resource;
    assert_eq!((&*resource["service.name"], &*resource["golo.job"]), ("routes", "nightly"));
    assert_eq!(resource["service.instance.id"], resource["golo.run"]);
    assert_eq!(resource["golo.run"].len(), 36);
    let standard = points.select("http.client.request.duration", &[("error.type", "500")]).0[0].clone();
    let target: std::net::SocketAddr = ran.summary["requests"]["routes"][0]["origin"]
        .as_str()
        .and_then(|origin| origin.strip_prefix("http://")?.parse().ok())
        .unwrap();
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "500"),
        ("server.address", "127.0.0.1"),
        ("server.port", &target.port().to_string()),
        ("url.scheme", "http"),
        ("url.template", "/flaky"),
    ] {
        assert_eq!(standard.attributes[key], value);
    }
    let depth = points.select("golo.own.depth", &[]);
    let Some(Value::Summary(last)) = depth.0.last().map(|point| &point.value) else { panic!("{depth:?}") };
    let quantiles: Vec<_> = last.quantile_values.iter().map(|at| at.quantile).collect();
    assert_eq!(quantiles, [0.5, 0.9, 0.95, 0.99]);
    assert!((2.0..=4.0).contains(&last.quantile_values[0].value), "{last:?}");
}

#[tokio::test]
async fn second_run_of_the_same_name_overwrites_nothing() {
    let receiver = Receiver::start(Answer::Accept);
    for _ in 0..2 {
        let before = receiver.received().metrics.len();
        let ran = Run::new(&receiver, "-d 2 --name nightly").finish().await;
        ran.assert_counts(&Points::of(&receiver.received().metrics[before..]));
    }
    let points = Points::of(&receiver.received().metrics);
    points.assert_consistent();
    let runs: BTreeSet<_> = points.0.iter().map(|point| point.resource["service.instance.id"].clone()).collect();
    assert_eq!(runs.len(), 2);
}
