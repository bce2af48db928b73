//! Requests that receive a complete response of any status.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use golo::reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE};
use golo::reqwest::{self, Body, Method, Response, Version};
use golo::{Context, Loadtest, OutputRef, Sink};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::codegen::tokio_stream;

use crate::service;
use crate::support::{patiently, read_head, sent, serve, serve_bytes, triggered};

async fn get(url: impl reqwest::IntoUrl) -> (Response, golo::Output) {
    let (result, output) = sent(golo::request("journey", golo::client().get(url))).await;
    (result.unwrap(), output)
}

#[tokio::test]
async fn output_has_all_fields_of_a_request() {
    let (before, started) = (SystemTime::now(), Instant::now());
    let (response, output) = get(service().url()).await;
    assert_eq!(output.sequence_id, "journey");
    assert_eq!(output.url, service().url());
    assert_eq!(output.method, "GET");
    assert_eq!(output.status, 200);
    assert_eq!(output.size, 12);
    assert!(before <= output.timestamp && output.timestamp <= SystemTime::now());
    assert!(Duration::ZERO < output.duration && output.duration <= started.elapsed());
    assert_eq!((output.error.as_ref(), output.route.as_ref(), output.expected), (None, None, None));
    assert!(!output.is_failed());
    assert_eq!(response.text().await.unwrap(), "Hello World\n");
}

/// Values of an output that its line does not contain, after its duration: the waiting time, and the bytes sent.
type NotOnTheLine = (Duration, Option<Duration>, u64);

#[derive(Clone, Default)]
struct Unsaid(Arc<Mutex<Vec<NotOnTheLine>>>);

impl Sink for Unsaid {
    fn output(&self, output: &OutputRef<'_>) {
        self.0.lock().unwrap().push((output.duration, output.waiting, output.sent));
    }
}

async fn unsaid(url: String, body: &'static str) -> NotOnTheLine {
    let unsaid = Unsaid::default();
    let load_test = Loadtest::new(move |_, _| {
        let request = golo::client().post(url.clone()).body(body);
        async move {
            let _ = golo::do_request("journey", request).await;
        }
    });
    patiently(load_test.sink(unsaid.clone()).trigger(Context::default())).await;
    unsaid.0.lock().unwrap()[0]
}

#[tokio::test]
async fn sink_receives_the_waiting_time_and_sent_bytes() {
    let pause = Duration::from_millis(50);
    let slow = serve(move |mut connection| async move {
        read_head(&mut connection).await;
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n").await;
        tokio::time::sleep(pause).await;
        let _ = connection.write_all(b"body").await;
    });
    let (duration, waiting, sent) = unsaid(format!("http://{}/", slow.await), "a body").await;
    assert!(waiting.is_some_and(|waiting| waiting + pause <= duration + Duration::from_millis(1)));
    assert_eq!(sent, 6);

    let whole = serve_bytes(&b"HTTP/1.1 500 No\r\ncontent-length: 4\r\n\r\nbody"[..]).await;
    let (duration, waiting, sent) = unsaid(whole, "").await;
    assert_eq!((waiting, sent), (Some(duration), 0), "the clock is not read for a body that came with its headers");

    let cut = serve_bytes(&b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbody"[..]).await;
    assert_eq!(unsaid(cut, "").await.1, None);
}

#[tokio::test]
async fn request_outside_of_a_run_works() {
    let response = golo::do_request("journey", golo::client().get(service().url())).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "Hello World\n");
    assert!(golo::do_request("journey", golo::client().get("no url")).await.unwrap_err().is_build());
}

#[tokio::test]
async fn body_can_be_read_again() {
    let item = service().url_of("/items/7");
    let (as_text, _) = get(&item).await;
    let (as_json, _) = get(&item).await;
    let (as_bytes, output) = get(&item).await;
    let (mut as_chunks, _) = get(&item).await;

    assert_eq!(as_text.content_length(), Some(output.size as u64));
    let text = as_text.text().await.unwrap();
    let json: Value = as_json.json().await.unwrap();
    assert_eq!(json["id"], 7);
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json);
    assert_eq!(as_bytes.bytes().await.unwrap(), text);
    assert_eq!(as_chunks.chunk().await.unwrap().unwrap(), text);
    assert_eq!(as_chunks.chunk().await.unwrap(), None);
    assert_eq!(output.size, text.len() as i64);
}

#[derive(Clone, Debug, PartialEq)]
struct Mark(u32);

#[tokio::test]
async fn response_keeps_its_other_properties() {
    let (response, _) = get(service().url_of("/items/7?colour=red")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.url().as_str(), service().url_of("/items/7?colour=red"));
    assert_eq!(response.remote_addr(), Some(service().address()));
    assert_eq!(response.version(), Version::HTTP_11);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    assert!(response.error_for_status_ref().is_ok());

    let (response, _) = get(service().url_of("/status/503")).await;
    let error = response.error_for_status().unwrap_err();
    assert_eq!(error.status().unwrap(), 503);
    assert_eq!(error.url().unwrap().as_str(), service().url_of("/status/503"));

    let login = golo::client().post(service().url_of("/login")).json(&json!({"user": "ada", "password": "secret"}));
    let response = sent(golo::request("journey", login)).await.0.unwrap();
    assert!(response.headers().contains_key(SET_COOKIE));
    assert_eq!(response.cookies().map(|cookie| cookie.name().to_owned()).collect::<Vec<_>>(), ["session"]);

    let (mut response, _) = get(service().url()).await;
    response.extensions_mut().insert(Mark(7));
    assert_eq!(response.extensions().get(), Some(&Mark(7)));
}

#[tokio::test]
async fn bad_status_counts_as_failed_without_an_error() {
    for status in [404, 500] {
        let url = service().url_of(&format!("/status/{status}"));
        let (response, output) = get(&url).await;
        assert_eq!(response.status(), status);
        assert_eq!((output.status, output.error.as_ref(), output.expected), (status, None, None));
        assert_eq!(output.size, response.text().await.unwrap().len() as i64);
        assert!(output.is_failed());
    }
}

#[tokio::test]
async fn expected_statuses_decide_about_failure() {
    for (status, expected, is_expected) in [
        (404, &[404][..], true),
        (404, &[200, 404], true),
        (404, &[200], false),
        (200, &[404], false),
        (200, &[200], true),
    ] {
        let mut request = golo::request("journey", golo::client().get(service().url_of(&format!("/status/{status}"))));
        for status in expected {
            request = request.expect_status(*status);
        }
        let (result, output) = sent(request).await;
        assert_eq!(result.unwrap().status(), status);
        assert_eq!(output.expected, Some(is_expected), "{status} of {expected:?}");
        assert_eq!(output.is_failed(), !is_expected);
        assert_eq!(output.error, None);
    }
}

#[tokio::test]
async fn route_is_part_of_the_line() {
    let request = golo::request("journey", golo::client().get(service().url_of("/items/7"))).route("/items/{id}");
    let (_, output) = sent(request).await;
    assert_eq!(output.route.as_deref(), Some("/items/{id}"));
    assert_eq!(output.url, service().url_of("/items/7"));
    let line: Value = serde_json::from_str(&output.to_string()).unwrap();
    assert_eq!(line["route"], "/items/{id}");
    assert_eq!(line["error"], Value::Null);
}

#[tokio::test]
async fn do_request_accepts_a_plain_request() {
    let mut request = reqwest::Request::new(Method::POST, service().url_of("/echo").parse().unwrap());
    *request.body_mut() = Some("twelve bytes".into());
    let (result, outputs) = triggered(async { golo::do_request("journey", request).await }).await;
    assert_eq!(result.unwrap().text().await.unwrap(), "twelve bytes");
    assert_eq!(outputs.len(), 1);
    assert_eq!((outputs[0].method.as_str(), outputs[0].size), ("POST", 12));
}

#[tokio::test]
async fn plain_request_uses_the_shared_client() {
    let service = sample_service::start().unwrap();
    let login = golo::client().post(service.url_of("/login")).json(&json!({"user": "ada", "password": "secret"}));
    let account = reqwest::Request::new(Method::GET, service.url_of("/account").parse().unwrap());
    let (status, _) = triggered(async {
        golo::do_request("journey", login).await.unwrap();
        // Only the shared client has the session cookie.
        golo::do_request("journey", account).await.unwrap().status()
    })
    .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn redirects_are_followed_and_recorded_as_requested() {
    let url = service().url_of("/redirect?times=3");
    let (response, output) = get(&url).await;
    assert_eq!(response.url().as_str(), service().url());
    assert_eq!((output.url, output.status, output.size), (url, 200, 12));
    assert_eq!(response.text().await.unwrap(), "Hello World\n");
}

#[tokio::test]
async fn redirected_post_is_recorded_as_a_post() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heads = seen.clone();
    let address = serve(move |mut connection| {
        let heads = heads.clone();
        async move {
            let head = read_head(&mut connection).await;
            let answer: &[u8] = if head.starts_with("POST") {
                let _ = connection.read_exact(&mut [0; 4]).await;
                b"HTTP/1.1 302 Found\r\nlocation: /there\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nthere"
            };
            heads.lock().unwrap().push(head.lines().next().unwrap_or_default().to_owned());
            let _ = connection.write_all(answer).await;
        }
    })
    .await;
    let url = format!("http://{address}/here");
    let (result, output) = sent(golo::request("journey", golo::client().post(&url).body("body"))).await;
    assert_eq!(result.unwrap().url().path(), "/there");
    assert_eq!(*seen.lock().unwrap(), ["POST /here HTTP/1.1", "GET /there HTTP/1.1"]);
    assert_eq!((output.method.as_str(), output.url, output.status, output.size), ("POST", url, 200, 5));
}

#[tokio::test]
async fn redirect_without_a_valid_location_is_the_response() {
    for location in ["", "location: http://127.0.0.256/\r\n"] {
        let url = serve_bytes(format!("HTTP/1.1 302 Found\r\n{location}content-length: 4\r\n\r\nlost")).await;
        let (response, output) = get(&url).await;
        assert_eq!((response.status().as_u16(), output.status, output.size), (302, 302, 4), "{location}");
        assert!(!output.is_failed());
    }
}

#[tokio::test]
async fn compression_is_not_asked_for() {
    let url = serve_echo_of_head().await;
    let (response, _) = get(&url).await;
    let head = response.text().await.unwrap();
    assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
    assert!(!head.to_lowercase().contains(ACCEPT_ENCODING.as_str()), "{head}");
}

/// Starts a server that answers with the head of the request.
async fn serve_echo_of_head() -> String {
    let address = serve(async |mut connection| {
        let head = read_head(&mut connection).await;
        let _ = connection.write_all(format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{head}").as_bytes()).await;
    });
    format!("http://{}/", address.await)
}

#[tokio::test]
async fn head_request_has_no_body() {
    let url = serve_bytes("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n").await;
    let (result, output) = sent(golo::request("journey", golo::client().head(&url))).await;
    let response = result.unwrap();
    assert_eq!(response.headers()[CONTENT_LENGTH], "12");
    assert_eq!((output.method.as_str(), output.status, output.size, output.error), ("HEAD", 200, 0, None));
    assert_eq!(response.bytes().await.unwrap(), "");
}

#[tokio::test]
async fn empty_bodies_have_size_0() {
    for path in ["/status/204", "/bytes/0"] {
        let (response, output) = get(service().url_of(path)).await;
        assert_eq!(output.status, response.status().as_u16());
        assert_eq!((output.size, output.error.as_ref()), (0, None), "{path}");
        assert_eq!(response.bytes().await.unwrap(), "");
    }
}

#[tokio::test]
async fn body_size_is_exact_for_every_framing() {
    for (framing, answer) in [
        ("until the end", "HTTP/1.1 200 OK\r\n\r\nHello World\n"),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nHello World\n"),
        (
            "chunked with a trailer",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nHello \r\n6\r\nWorld\n\r\n0\r\nsum: 7\r\n\r\n",
        ),
        (
            "after an early hint",
            "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nHello World\n",
        ),
    ] {
        let (response, output) = get(serve_bytes(answer).await).await;
        assert_eq!((output.status, output.size, output.error), (200, 12, None), "{framing}");
        assert_eq!(response.content_length(), Some(12), "{framing}");
        assert_eq!(response.text().await.unwrap(), "Hello World\n", "{framing}");
    }
}

#[tokio::test]
async fn size_of_a_large_body_is_exact() {
    const LENGTH: usize = 32 << 20;
    let (response, output) = get(service().url_of(&format!("/bytes/{LENGTH}"))).await;
    assert_eq!((output.status, output.size), (200, LENGTH as i64));
    assert_eq!(response.bytes().await.unwrap().len(), LENGTH);
}

#[tokio::test]
async fn uploads_are_streamed() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = "a line of a file\n".repeat(10_000);
    file.write_all(text.as_bytes()).unwrap();
    let opened = tokio::fs::File::open(file.path()).await.unwrap();
    let upload = golo::client().post(service().url_of("/echo")).body(opened);
    let (result, output) = sent(golo::request("journey", upload)).await;
    assert_eq!(result.unwrap().text().await.unwrap(), text);
    assert_eq!((output.status, output.size), (200, text.len() as i64));
}

#[tokio::test]
async fn redirected_stream_upload_is_not_followed() {
    let address = serve(async |mut connection| {
        read_head(&mut connection).await;
        let mut body = Vec::new();
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(connection.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n";
        let _ = connection.write_all(answer).await;
    });
    let parts = tokio_stream::iter(["part ", "by part"].map(Ok::<_, std::io::Error>));
    let upload = golo::client().post(format!("http://{}/here", address.await)).body(Body::wrap_stream(parts));
    let (result, output) = sent(golo::request("journey", upload)).await;
    assert_eq!(result.unwrap().status(), 307);
    assert_eq!((output.status, output.error.as_ref()), (307, None));
    assert!(!output.is_failed());
}

#[tokio::test]
async fn custom_client_can_use_http_2_without_tls() {
    let _ = golo::client();
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let (result, output) = sent(golo::request("journey", client.get(service().url_of("/items/7")))).await;
    let response = result.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.remote_addr(), Some(service().address()));
    assert_eq!((output.status, output.error), (200, None));
    let json: Value = response.json().await.unwrap();
    assert_eq!(json["id"], 7);
}

#[tokio::test]
async fn connection_is_reused() {
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = connections.clone();
    let address = serve(move |mut connection| {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        async move {
            while !read_head(&mut connection).await.is_empty() {
                let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            }
        }
    });
    let url = format!("http://{}/", address.await);
    let (_, outputs) = triggered(async move {
        for _ in 0..3 {
            // The load test does not read the body, but golo has read it.
            golo::do_request("journey", golo::client().get(&url)).await.unwrap();
        }
    })
    .await;
    assert_eq!(outputs.len(), 3);
    assert_eq!(connections.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn client_works_in_each_runtime() {
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let response = runtime.block_on(patiently(golo::do_request("journey", golo::client().get(service().url()))));
        assert_eq!(response.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn response_after_an_interim_one_is_read_with_bare_line_feeds_too() {
    for end in ["\r\n", "\n"] {
        let answer = ["HTTP/1.1 100 Continue", "", "HTTP/1.1 103 Early Hints", "link: </a>", "", "HTTP/1.1 200 OK"];
        let answer = format!("{}{end}content-length: 2{end}{end}ok", answer.join(end));
        let url = serve_bytes(answer).await;
        let (result, output) = sent(golo::request("journey", golo::client().get(url))).await;
        assert_eq!((output.status, output.size), (200, 2), "{output}");
        assert_eq!(result.unwrap().text().await.unwrap(), "ok");
    }
}
