//! Receivers that are away, hang, refuse or speak another version, and credentials.

use std::time::{Duration, Instant};

use golo_tests::{Program, command};
use prost::Message as _;

use crate::fakes::Fake;
use crate::port::Port;
use crate::runs::{ROUTES, Run};

#[tokio::test]
async fn receiver_that_is_away_or_hangs_changes_nothing_but_a_line_of_the_summary() {
    let away = Port::free();
    let hanging = Fake::start(None).await;
    let busy = Fake::start(Some("503 Service Unavailable\r\nretry-after: 1")).await;
    for (url, reason) in [
        (format!("http://127.0.0.1:{}/", away.number), "it cannot be reached: connection refused"),
        (hanging.url.clone(), "it was too slow"),
        (busy.url.clone(), "it answered 503 Service Unavailable"),
    ] {
        let started = Instant::now();
        let ran = Run::start(&format!("-r 50/s -d 2 --max-lag 2s -o prometheus-rw={url}"), &[]).finish().await;
        ran.assert_code(0);
        assert!(started.elapsed() < Duration::from_secs(30), "the run waits for its receiver");
        let text = ran.finished.stdout.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("seconds were dropped: ") && text.contains(reason), "{text}");
        let starts = &ran.summary["load"];
        assert_eq!((&starts["due"], &starts["dropped"]["busy"]), (&100.into(), &0.into()), "{starts:#}");
    }
    assert!(!hanging.got().is_empty() && busy.got().len() > 1);
}

#[tokio::test]
async fn refused_seconds_are_not_sent_again() {
    let refusing = Fake::start(Some("400 Bad Request")).await;
    let ran = Run::start(&format!("-u 1 -d 2 -o prometheus-rw={}", refusing.url), &[]).finish().await;
    ran.assert_code(0);
    assert!(ran.text().contains("it answered 400 Bad Request"), "{}", ran.text());
    // An empty request that asks for the version, and one for each second.
    let got = refusing.got();
    assert!((3..=4).contains(&got.len()), "{} requests", got.len());
}

#[tokio::test]
async fn credentials_reach_the_receiver_and_nothing_else() {
    let receiver = Fake::start(Some("204 No Content")).await;
    let secret = "hush-hush-hush";
    let variables = [("GOLO_PROMETHEUS_RW_TOKEN", secret)];
    let ran = Run::start(&format!("-u 1 -d 1 -o prometheus-rw={}", receiver.url), &variables).finish().await;
    ran.assert_code(0);
    assert!(!ran.text().contains(secret) && !ran.summary.to_string().contains(secret));
    let checks = ran.summary["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "no credentials are here").unwrap();
    assert_eq!(check["failed"], 0, "{check}");
    let got = receiver.got();
    assert!(!got.is_empty());
    for request in got {
        assert!(request.head.contains(&format!("authorization: bearer {secret}\r\n")), "{}", request.head);
    }
    let ran = Run::start("-u 1 -d 1 -o prometheus-rw=http://me:hush-hush-hush@127.0.0.1:1/", &[]).finish().await;
    ran.assert_code(104);
    assert!(ran.text().contains("give them by the variables") && !ran.text().contains(secret), "{}", ran.text());
}

#[tokio::test]
async fn receiver_of_version_2_gets_version_2() {
    let receiver = Fake::start(Some("204 No Content\r\nX-Prometheus-Remote-Write-Samples-Written: 1")).await;
    let ran = Run::start(&format!("-u 1 -d 3 -o prometheus-rw={}", receiver.url), &[]).finish().await;
    ran.assert_code(0);
    let got = receiver.got();
    let last = got.last().unwrap();
    assert!(last.head.contains("x-prometheus-remote-write-version: 2.0.0\r\n"), "{}", last.head);
    assert!(last.head.contains("content-type: application/x-protobuf;proto=io.prometheus.write.v2.request\r\n"));
    let body = snap::raw::Decoder::new().decompress_vec(&last.body).unwrap();
    let request = Request::decode(&*body).unwrap();
    assert_eq!(request.symbols[0], "");
    let mut count = 0.0;
    for series in &request.timeseries {
        let labels: Vec<_> = series
            .labels_refs
            .chunks(2)
            .map(|pair| pair.iter().map(|at| &*request.symbols[*at as usize]).collect::<Vec<_>>())
            .collect();
        assert!(labels.is_sorted(), "{labels:?}");
        if labels.iter().any(|label| label[..] == ["__name__", "golo_http_requests_total"]) {
            assert_eq!(series.metadata.as_ref().unwrap().kind, 1, "a counter");
            assert!(series.samples.last().unwrap().value.is_nan(), "a stale marker at the end");
            count += series.samples[series.samples.len() - 2].value;
        }
    }
    assert_eq!(count, ran.requests().0 as f64);
}

#[tokio::test]
async fn load_test_of_its_own_names_the_command_to_type() {
    let mut command = command(ROUTES);
    command.args(["run", "-o", "influxdb=http://127.0.0.1:8086/load"]);
    let finished = Program::spawn(command).finish().await;
    let text = finished.stderr.join("\n");
    assert_eq!(finished.code, Some(104), "{text}");
    let said = format!("`influxdb=` is an output of the `golo` command: type `golo run {ROUTES}` with the same flags");
    assert!(text.contains(&said), "{text}");
}

/// A request of remote write 2.0, as its specification has it.
#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(string, repeated, tag = 4)]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = 5)]
    timeseries: Vec<Series>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Series {
    #[prost(uint32, repeated, tag = 1)]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = 2)]
    samples: Vec<Sample>,
    #[prost(message, optional, tag = 5)]
    metadata: Option<Metadata>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Sample {
    #[prost(double, tag = 1)]
    value: f64,
    #[prost(int64, tag = 2)]
    timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Metadata {
    #[prost(int32, tag = 1)]
    kind: i32,
}
