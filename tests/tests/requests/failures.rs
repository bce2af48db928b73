//! Requests without a complete response. Each kind is checked in the error and in the output.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use golo::reqwest::{Body, Certificate, Client};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tonic::codegen::tokio_stream;

use crate::support::{Collected, failed, kinds, patiently, read_head, sent, serve, serve_bytes, triggered};
use crate::{service, tls};

/// Returns a builder for a custom client. golo's defaults, such as the TLS provider, are installed first.
fn own_client() -> golo::reqwest::ClientBuilder {
    let _ = golo::client();
    Client::builder()
}

#[tokio::test]
async fn refused_connection_is_a_connect_error() {
    let unused = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let url = format!("http://{unused}/");
    let (error, output, reason) = failed("connect", golo::client().get(&url)).await;
    assert_eq!(error.to_string(), format!("GET {url} could not connect"));
    assert!(error.source().is_some());
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
    assert_eq!((output.url, output.method.as_str(), output.status, output.size), (url, "GET", 0, 0));
}

#[tokio::test]
async fn unknown_host_is_a_dns_error() {
    let url = "http://does-not-exist.invalid/";
    let (error, output, _) = failed("dns", golo::client().put(url)).await;
    assert_eq!(error.to_string(), format!("PUT {url} could not look up the host"));
    assert_eq!((output.url.as_str(), output.method.as_str(), output.status, output.size), (url, "PUT", 0, 0));
}

#[tokio::test]
async fn timeout_before_the_head_is_a_timeout_error() {
    let url = service().url_of("/slow?ms=60000");
    let limit = Duration::from_millis(200);
    let by_client = own_client().timeout(limit).build().unwrap().get(&url);
    let by_request = golo::client().get(&url).timeout(limit);
    for request in [by_client, by_request] {
        let (error, output, _) = failed("timeout", request).await;
        assert_eq!(error.to_string(), format!("GET {url} timed out"));
        assert_eq!((output.status, output.size), (0, 0));
        assert!(limit <= output.duration && output.duration < Duration::from_secs(30), "{output}");
    }
}

#[tokio::test]
async fn timeout_within_the_body_is_a_timeout_error() {
    let address = serve(async |mut connection| {
        read_head(&mut connection).await;
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nHello").await;
        // Wait until the client closes the connection.
        let _ = connection.read_u8().await;
    })
    .await;
    let url = format!("http://{address}/");
    let limit = Duration::from_secs(2);
    let by_client = own_client().timeout(limit).build().unwrap().get(&url);
    let by_request = golo::client().get(&url).timeout(limit);
    for request in [by_client, by_request] {
        let (_, output, _) = failed("timeout", request).await;
        assert_eq!((output.status, output.size), (200, 5));
        assert!(limit <= output.duration && output.duration < Duration::from_secs(30), "{output}");
    }
}

#[tokio::test]
async fn connection_closed_before_the_response_is_a_reset_error() {
    let url = serve_bytes("").await;
    let (error, output, _) = failed("reset", golo::client().get(&url)).await;
    assert_eq!(error.to_string(), format!("GET {url} lost its connection before the response"));
    assert_eq!((output.status, output.size), (0, 0));
}

#[tokio::test]
async fn connection_closed_within_the_head_is_a_reset_error() {
    let url = serve_bytes("HTTP/1.1 200 OK\r\ncontent-le").await;
    let (_, output, _) = failed("reset", golo::client().get(&url)).await;
    assert_eq!((output.status, output.size), (0, 0));
}

#[tokio::test]
async fn connection_reset_before_the_response_is_a_reset_error() {
    let address = serve(async |mut connection| {
        read_head(&mut connection).await;
        connection.set_zero_linger().unwrap();
    });
    let url = format!("http://{}/", address.await);
    let (_, output, reason) = failed("reset", golo::client().get(&url)).await;
    assert!(reason.to_lowercase().contains("reset"), "{reason}");
    assert_eq!((output.status, output.size), (0, 0));
}

/// Serves connections that answer one request each and read a second one without answering it. Returns the URL and the
/// number of requests.
async fn answering_once() -> (String, Arc<AtomicU32>) {
    let requests = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&requests);
    let address = serve(move |mut connection| {
        let count = Arc::clone(&count);
        async move {
            for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", ""] {
                if !read_head(&mut connection).await.is_empty() {
                    count.fetch_add(1, Relaxed);
                }
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        }
    });
    (format!("http://{}/", address.await), requests)
}

#[tokio::test]
async fn idempotent_request_on_a_closed_connection_is_sent_once_more() {
    let (url, requests) = answering_once().await;
    let (second, outputs) = triggered(async move {
        golo::do_request("journey", golo::client().get(&url)).await.unwrap();
        golo::do_request("journey", golo::client().get(&url)).await
    })
    .await;
    assert_eq!(second.unwrap().status(), 200);
    assert_eq!(outputs.iter().map(|output| output.status).collect::<Vec<_>>(), [200, 200]);
    assert_eq!(requests.load(Relaxed), 3, "the second one was sent twice");
}

#[tokio::test]
async fn other_request_on_a_closed_connection_is_not_sent_again() {
    let (url, requests) = answering_once().await;
    let (second, outputs) = triggered(async move {
        golo::do_request("journey", golo::client().get(&url)).await.unwrap();
        golo::do_request("journey", golo::client().post(&url)).await
    })
    .await;
    assert_eq!(kinds(&second.unwrap_err()), ["reset"]);
    assert_eq!(outputs[1].error.as_deref(), Some("reset: the server closed an idle connection"));
    assert_eq!(outputs.iter().map(|output| output.status).collect::<Vec<_>>(), [200, 0]);
    assert_eq!(requests.load(Relaxed), 2);
}

#[tokio::test]
async fn invalid_http_is_an_other_error() {
    let url = serve_bytes("SSH-2.0-OpenSSH_9.9\r\n\r\n").await;
    let (error, output, reason) = failed("other", golo::client().get(&url)).await;
    assert_eq!(error.to_string(), format!("GET {url} failed"));
    assert!(reason.contains("HTTP"), "{reason}");
    assert_eq!((output.status, output.size), (0, 0));
}

#[tokio::test]
async fn truncated_body_is_a_body_error() {
    let by_length = serve_bytes("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nHello").await;
    let by_chunks = serve_bytes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nHello\r\n").await;
    for url in [by_length, by_chunks] {
        let (error, output, _) = failed("body", golo::client().get(&url)).await;
        assert_eq!(error.to_string(), format!("GET {url} could not read the whole body"));
        assert_eq!((output.status, output.size), (200, 5));
    }
}

#[tokio::test]
async fn connection_reset_within_the_body_is_a_body_error() {
    let address = serve(async |mut connection| {
        read_head(&mut connection).await;
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 64000000\r\n\r\n").await;
        // More than all buffers between the two can hold, so the head has arrived.
        for _ in 0..48 {
            let _ = connection.write_all(&vec![b'x'; 1 << 20]).await;
        }
        connection.set_zero_linger().unwrap();
    });
    let (_, output, _) = failed("body", golo::client().get(format!("http://{}/", address.await))).await;
    assert_eq!(output.status, 200);
    assert!(0 < output.size && output.size < 64_000_000, "{output}");
}

#[tokio::test]
async fn invalid_chunk_is_a_body_error() {
    let url = serve_bytes("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nHello\r\nmany\r\n").await;
    let (_, output, _) = failed("body", golo::client().get(&url)).await;
    assert_eq!((output.status, output.size), (200, 5));
}

#[tokio::test]
async fn failed_upload_stream_is_an_other_error() {
    let parts = tokio_stream::iter([Ok("part"), Err(std::io::Error::other("the disk is on fire"))]);
    let upload = golo::client().post(service().url_of("/echo")).body(Body::wrap_stream(parts));
    let (_, output, reason) = failed("other", upload).await;
    assert_eq!(reason, "the disk is on fire");
    assert_eq!((output.method.as_str(), output.status, output.size), ("POST", 0, 0));
}

/// Returns an HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const DATA: u8 = 0;
const RESET_STREAM: u8 = 3;
const GO_AWAY: u8 = 7;

/// Starts a server that answers the first request of a connection with these HTTP/2 frames, then closes it. Returns its
/// URL.
async fn serve_frames(frames: Vec<Vec<u8>>) -> String {
    let frames = frames.concat();
    let address = serve(move |mut connection| {
        let frames = frames.clone();
        async move {
            let _ = connection.read_exact(&mut [0; 24]).await;
            let _ = connection.write_all(&frame(SETTINGS, 0, 0, &[])).await;
            let mut head = [0; 9];
            while connection.read_exact(&mut head).await.is_ok() && head[3] != HEADERS {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let _ = connection.read_exact(&mut vec![0; length as usize]).await;
            }
            let _ = connection.write_all(&frames).await;
            let _ = connection.shutdown().await;
            // Wait for the client to close first. Otherwise data that it has not read yet is reset.
            let _ = connection.read_to_end(&mut Vec::new()).await;
        }
    });
    format!("http://{}/", address.await)
}

#[tokio::test]
async fn lost_http_2_connections_and_streams_are_reset_or_body_errors() {
    let client = own_client().http2_prior_knowledge().retry(golo::reqwest::retry::never()).build().unwrap();
    let internal_error = [0, 0, 0, 2];
    for (case, frames) in [
        ("closed", vec![]),
        ("stream reset", vec![frame(RESET_STREAM, 0, 1, &internal_error)]),
        ("sent away", vec![frame(GO_AWAY, 0, 0, &[[0; 4], internal_error].concat())]),
    ] {
        let (error, output, _) = failed("reset", client.get(serve_frames(frames).await)).await;
        assert_eq!((output.status, output.size), (0, 0), "{case}: {error:?}");
    }

    // `:status: 200` as an index into the static table.
    let answer =
        vec![frame(HEADERS, 4, 1, &[0x88]), frame(DATA, 0, 1, b"Hello"), frame(RESET_STREAM, 0, 1, &internal_error)];
    let (_, output, _) = failed("body", client.get(serve_frames(answer).await)).await;
    assert_eq!(output.status, 200);
}

#[tokio::test]
async fn untrusted_certificate_is_a_tls_error() {
    let server = tls::start(&["http/1.1"]).await;
    let (error, output, reason) = failed("tls", golo::client().get(server.url())).await;
    assert_eq!(error.to_string(), format!("GET {} had a TLS error", server.url()));
    assert!(reason.contains("certificate"), "{reason}");
    assert_eq!((output.status, output.size), (0, 0));
}

#[tokio::test]
async fn certificate_for_another_name_is_a_tls_error() {
    let server = tls::start(&["http/1.1"]).await;
    let trusted = Certificate::from_der(&server.certificate).unwrap();
    let client = own_client().tls_certs_only([trusted]).build().unwrap();
    let (_, _, reason) = failed("tls", client.get(format!("https://{}/", server.address))).await;
    assert!(reason.contains("not valid for name"), "{reason}");
}

#[tokio::test]
async fn server_without_tls_is_a_tls_error() {
    let url = format!("https://{}/", service().address());
    let (_, output, _) = failed("tls", golo::client().get(url)).await;
    assert_eq!((output.status, output.size), (0, 0));
}

#[tokio::test]
async fn server_that_closes_during_tls_is_a_connect_error() {
    let address = serve(async |mut connection| {
        let _ = connection.read_u8().await;
    });
    let (_, output, _) = failed("connect", golo::client().get(format!("https://{}/", address.await))).await;
    assert_eq!((output.status, output.size), (0, 0));
}

#[tokio::test]
async fn too_many_redirects_are_a_redirect_error() {
    let service = sample_service::start().unwrap();
    let url = service.url_of("/redirect?times=20");
    let (error, output, reason) = failed("redirect", golo::client().get(&url)).await;
    assert_eq!(error.to_string(), format!("GET {url} could not follow a redirect"));
    assert_eq!(reason, "too many redirects");
    assert_eq!((output.url, output.status, output.size), (url, 0, 0));
    assert_eq!(service.counter().seen, 11, "the request itself and ten redirects");
}

#[tokio::test]
async fn redirect_to_another_scheme_is_a_redirect_error() {
    let answer = "HTTP/1.1 302 Found\r\nlocation: ftp://127.0.0.1/\r\ncontent-length: 0\r\n\r\n";
    let url = serve_bytes(answer).await;
    let (error, output, reason) = failed("redirect", golo::client().get(&url)).await;
    assert_eq!(error.to_string(), format!("GET {url} could not follow a redirect"));
    assert_eq!(reason, "URL scheme is not allowed");
    assert_eq!((output.url, output.status, output.size), (url, 0, 0));
}

#[tokio::test]
async fn plain_http_with_an_https_only_client_is_a_build_error() {
    let client = own_client().https_only(true).build().unwrap();
    let (result, outputs) =
        triggered(async move { golo::do_request("journey", client.get(service().url())).await }).await;
    assert!(result.unwrap_err().is_build(), "it was never sent");
    assert_eq!(outputs, []);
}

#[tokio::test]
async fn requests_that_cannot_be_built_record_no_output() {
    let client = golo::client();
    for (request, reason) in [
        (client.get("no url"), "relative URL without a base"),
        (client.get("http://"), "empty host"),
        (client.get(service().url()).header("a\nb", "c"), "invalid HTTP header name"),
        (client.get(service().url()).header("a", "b\nc"), "failed to parse header value"),
        (client.get("ftp://127.0.0.1/"), "URL scheme is not allowed"),
    ] {
        let (result, outputs) = triggered(async move { golo::do_request("journey", request).await }).await;
        let error = result.unwrap_err();
        assert_eq!(kinds(&error), ["build"], "{error:?}");
        assert!(error.to_string().ends_with("could not be built"), "{error}");
        let innermost = std::iter::successors(error.source(), |error| (*error).source()).last().unwrap().to_string();
        assert_eq!(innermost, reason);
        assert_eq!(outputs, []);
    }
}

#[tokio::test]
async fn request_dropped_before_its_first_poll_records_no_output() {
    let (_, outputs) = triggered(async {
        drop(golo::do_request("journey", golo::client().get(service().url())));
    })
    .await;
    assert_eq!(outputs, []);
}

/// Starts a server that reads requests and never answers. Returns its URL, and a notification for each request.
async fn unanswering() -> (String, Arc<Notify>) {
    let asked = Arc::new(Notify::new());
    let notify = Arc::clone(&asked);
    let address = serve(move |mut connection| {
        let notify = Arc::clone(&notify);
        async move {
            read_head(&mut connection).await;
            notify.notify_one();
            let _ = connection.read_u8().await;
        }
    });
    (format!("http://{}/", address.await), asked)
}

#[tokio::test]
async fn request_dropped_before_the_head_is_recorded_as_cancelled() {
    let (url, asked) = unanswering().await;
    let requested = url.clone();
    let started = Instant::now();
    let (_, outputs) = triggered(async move {
        let request = golo::request("journey", golo::client().post(&requested)).route("/").expect_status(200);
        tokio::select! {
            _ = request.send() => panic!("nobody answers"),
            () = asked.notified() => {}
        }
    })
    .await;
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    let output = &outputs[0];
    assert_eq!((&output.url, output.method.as_str(), output.status, output.size), (&url, "POST", 0, 0));
    assert_eq!((output.error.as_deref(), output.route.as_deref()), (Some("cancelled"), Some("/")));
    assert_eq!(output.expected, None, "no status came");
    assert!(output.is_failed());
    assert!(Duration::ZERO < output.duration && output.duration <= started.elapsed());
}

#[tokio::test]
async fn request_dropped_within_the_body_is_recorded_as_cancelled() {
    let sending = Arc::new(Notify::new());
    let notify = Arc::clone(&sending);
    let address = serve(move |mut connection| {
        let notify = Arc::clone(&notify);
        async move {
            read_head(&mut connection).await;
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 64000000\r\n\r\n").await;
            // More than all buffers between the two can hold, so the client has read some of it.
            for _ in 0..48 {
                let _ = connection.write_all(&vec![b'x'; 1 << 20]).await;
            }
            notify.notify_one();
            let _ = connection.read_u8().await;
        }
    });
    let url = format!("http://{}/", address.await);
    let (_, outputs) = triggered(async move {
        tokio::select! {
            _ = golo::do_request("journey", golo::client().get(url)) => panic!("the rest never comes"),
            () = sending.notified() => {}
        }
    })
    .await;
    assert_eq!(outputs.len(), 1, "{outputs:?}");
    assert_eq!((outputs[0].status, outputs[0].error.as_deref()), (200, Some("cancelled")));
    assert!(0 < outputs[0].size && outputs[0].size <= 48 << 20, "{}", outputs[0]);
}

#[tokio::test]
async fn request_of_a_dropped_trigger_is_recorded_as_cancelled() {
    let (url, asked) = unanswering().await;
    let collected = Collected::default();
    let loadtest = golo::Loadtest::new(move |_, _| {
        let request = golo::client().get(&url);
        async { golo::do_request("journey", request).await.map(drop) }
    })
    .sink(collected.clone());
    patiently(async {
        tokio::select! {
            _ = loadtest.trigger(golo::Context::default()) => panic!("nobody answers"),
            () = asked.notified() => {}
        }
    })
    .await;
    let errors: Vec<_> = collected.outputs().into_iter().map(|output| output.error).collect();
    assert_eq!(errors, [Some("cancelled".to_owned())]);
}

#[tokio::test]
async fn request_beside_a_panic_is_recorded_as_cancelled() {
    let collected = Collected::default();
    let loadtest = golo::Loadtest::new(|_, _| async {
        let request = golo::do_request("journey", golo::client().get(service().url_of("/slow?ms=60000")));
        tokio::join!(request, async { panic!("out of stock") });
    })
    .sink(collected.clone());
    let response = patiently(loadtest.trigger(golo::Context::default())).await;
    assert_eq!((response.error, response.output.as_str()), (true, "panicked: out of stock"));
    assert_eq!(response.id, "journey");
    let errors: Vec<_> = collected.outputs().into_iter().map(|output| output.error).collect();
    assert_eq!(errors, [Some("cancelled".to_owned())]);
}

#[tokio::test]
async fn expected_status_does_not_excuse_an_error() {
    let url = serve_bytes("HTTP/1.1 404 Not Found\r\ncontent-length: 12\r\n\r\nHello").await;
    let (result, output) = sent(golo::request("journey", golo::client().get(url)).expect_status(404)).await;
    assert!(result.unwrap_err().is_body());
    assert_eq!((output.status, output.expected), (404, Some(true)));
    assert!(output.is_failed());
}
