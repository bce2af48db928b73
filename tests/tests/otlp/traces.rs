//! Traces of slow and failed journeys, with the IDs that the target received.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use golo_tests::{Program, command};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode as Code};

use crate::points::attributes;
use crate::receiver::{Answer, Receiver};

/// The header `traceparent` of each request that a target received, and the path of the request.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// Starts a target that is slow for `/slow`, and fails the first ten requests to `/flaky`.
async fn target(seen: Seen) -> String {
    async fn answer(State((seen, failures)): State<(Seen, Arc<Mutex<u32>>)>, request: Request) -> StatusCode {
        let path = request.uri().path().to_owned();
        let header = request.headers().get("traceparent").map(|value| value.to_str().unwrap().to_owned());
        seen.lock().unwrap().push((header.unwrap_or_default(), path.clone()));
        if path == "/slow" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut failures = failures.lock().unwrap();
        if path == "/flaky" && *failures < 10 {
            *failures += 1;
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
        StatusCode::OK
    }
    let app = Router::new().fallback(answer).with_state((seen, Arc::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

/// Runs against such a target. Returns what it saw and the spans at the receiver.
async fn traced(receiver: &Receiver, protocol: &str, flags: &[&str]) -> (Vec<(String, String)>, Vec<Span>, String) {
    let seen = Seen::default();
    let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
    command.env("TARGET_URL", target(Arc::clone(&seen)).await).env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol);
    command.args(["run", env!("CARGO_BIN_EXE_routes"), "--name", "nightly", "-u", "2", "-i", "60"]).args(flags);
    command.arg("--out").arg(format!("otlp={}", receiver.url()));
    let finished = Program::spawn(command).finish().await;
    let text = finished.stdout.iter().flat_map(|line| line.split_whitespace()).collect::<Vec<_>>().join(" ");
    assert!(matches!(finished.code, Some(0 | 96)), "{finished:#?}");
    let requests = std::mem::take(&mut receiver.received().traces);
    let resources = requests.into_iter().flat_map(|request| request.resource_spans);
    let spans = resources.flat_map(|resource| {
        assert_eq!(attributes(&resource.resource.as_ref().unwrap().attributes)["golo.job"], "nightly");
        resource.scope_spans.into_iter().flat_map(|scope| scope.spans)
    });
    let spans = spans.collect();
    let seen = seen.lock().unwrap().clone();
    (seen, spans, text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn slow_and_failed_journeys_are_traces_with_the_ids_that_the_target_received() {
    for protocol in ["http/protobuf", "grpc"] {
        let receiver = Receiver::start(Answer::Accept);
        let (seen, spans, text) = traced(&receiver, protocol, &["--traceparent"]).await;
        assert!(text.contains(&format!("otlp {} (traces)", receiver.url())) && !text.contains("dropped:"), "{text}");
        let paths: BTreeMap<_, _> = seen.into_iter().collect();
        let ids: BTreeSet<_> = spans.iter().map(|span| (&span.trace_id, &span.span_id)).collect();
        assert_eq!(ids.len(), spans.len(), "a span was sent twice");
        let (roots, children): (Vec<_>, Vec<_>) = spans.iter().partition(|span| span.parent_span_id.is_empty());
        let roots: BTreeMap<_, _> = roots.into_iter().map(|root| (&root.trace_id, root)).collect();
        // The ten failed journeys, and the ten slowest ones, which may be the same.
        assert!((10..=20).contains(&roots.len()), "{}", roots.len());
        assert_eq!(roots.values().filter(|root| root.status.is_some()).count(), 10);
        let mut steps: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for span in children {
            let root = roots[&span.trace_id];
            assert_eq!((&span.parent_span_id, &*root.name), (&root.span_id, "nightly"));
            let is_within = root.start_time_unix_nano <= span.start_time_unix_nano
                && span.start_time_unix_nano <= span.end_time_unix_nano
                && span.end_time_unix_nano <= root.end_time_unix_nano + 1_000_000;
            assert!(is_within || span.name == "visit", "{span:?} {root:?}");
            if span.kind() == SpanKind::Internal {
                assert_eq!(span.name, "visit", "the group");
                continue;
            }
            let path = &paths[&format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id))];
            let attributes = attributes(&span.attributes);
            let template = &attributes["url.template"];
            assert!(path.starts_with(template.trim_end_matches("{id}")), "{path} {template}");
            assert_eq!((span.kind(), &span.name), (SpanKind::Client, &format!("GET {template}")));
            assert!(span.events.iter().any(|event| event.name == "waiting"), "{span:?}");
            assert!(span.events.is_sorted_by_key(|event| event.time_unix_nano));
            let status = span.status.as_ref().map(|status| (status.code(), &*status.message));
            match &*attributes["http.response.status_code"] {
                "500" => {
                    assert_eq!(status, Some((Code::Error, "status 500")));
                    assert_eq!(
                        (&*attributes["error.type"], root.status.as_ref().unwrap().code()),
                        ("500", Code::Error)
                    );
                    assert!(attributes["url.full"].ends_with("/flaky?percent=30"), "{attributes:?}");
                }
                _ => assert_eq!(status, None),
            }
            steps.entry(&span.trace_id).or_default().insert(template.clone());
        }
        assert_eq!(steps.len(), roots.len());
        for (trace, steps) in steps {
            assert_eq!(
                steps.iter().map(String::as_str).collect::<Vec<_>>(),
                ["/flaky", "/items/{id}", "/slow"],
                "{trace:?}"
            );
        }
    }
}

#[tokio::test]
async fn without_the_header_there_are_no_traces() {
    let receiver = Receiver::start(Answer::Accept);
    let (seen, spans, text) = traced(&receiver, "http/protobuf", &[]).await;
    assert!(seen.iter().all(|(header, _)| header.is_empty()) && spans.is_empty());
    assert!(text.contains(&format!("otlp {}", receiver.url())) && !text.contains("(traces)"), "{text}");
}
