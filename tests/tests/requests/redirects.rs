//! Counts of redirects, and of the bytes of bodies sent on the way.

use std::sync::{Arc, Mutex};

use golo::Output;
use golo::reqwest::redirect::Policy;
use golo::reqwest::{self, Body, Client, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::codegen::tokio_stream;

use crate::service;
use crate::support::{patiently, read_head, sent, serve, serve_bytes};

/// Larger than a body that is passed to a connection in one piece.
const LARGE: usize = 300_000;

async fn output(request: reqwest::RequestBuilder) -> Output {
    sent(golo::request("journey", request)).await.1
}

/// Heads and body lengths of the received requests, in order.
type Heard = Arc<Mutex<Vec<(String, usize)>>>;

/// Reads one request with its body. Returns the head and the length of the body.
async fn read_request(connection: &mut TcpStream) -> (String, usize) {
    let head = read_head(connection).await;
    let lengths = head
        .lines()
        .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
    let mut body = vec![0; lengths.sum()];
    connection.read_exact(&mut body).await.unwrap();
    (head, body.len())
}

/// Starts a server that redirects `/0` to `/1`, and so on to `/LAST`, with this status. Returns the first URL and the
/// received requests.
async fn chain(status: u16, last: u32) -> (String, Heard) {
    let heard = Heard::default();
    let seen = Arc::clone(&heard);
    let address = serve(move |mut connection| {
        let seen = Arc::clone(&seen);
        async move {
            loop {
                let (head, body) = read_request(&mut connection).await;
                let Some(at) = head.split('/').nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok())
                else {
                    return;
                };
                seen.lock().unwrap().push((head, body));
                let answer = match at < last {
                    true => format!("HTTP/1.1 {status} Go\r\nlocation: /{}\r\ncontent-length: 0\r\n\r\n", at + 1),
                    false => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
                };
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (format!("http://{}/0", address.await), heard)
}

fn bodies(heard: &Heard) -> Vec<usize> {
    heard.lock().unwrap().iter().map(|(_, body)| *body).collect()
}

#[tokio::test]
async fn each_followed_redirect_is_counted() {
    let target = sample_service::start().unwrap();
    let get = |path: &str| output(golo::client().get(target.url_of(path)));
    let followed = get("/redirect?times=10").await;
    assert_eq!((followed.status, followed.redirects, target.counter().seen), (200, 10, 11));
    assert_eq!(get("/items").await.redirects, 0);
    let before = target.counter().seen;
    let endless = get("/redirect?times=20").await;
    assert!(endless.error.as_deref().is_some_and(|error| error.starts_with("redirect: too many")), "{endless}");
    assert_eq!((endless.redirects, target.counter().seen - before), (10, 11));
    let line = followed.to_string();
    assert!(line.contains(r#","redirects":10}"#) && line.parse::<Output>().unwrap().redirects == 10, "{line}");
}

#[tokio::test]
async fn redirect_that_is_not_followed_is_not_counted() {
    for (location, status) in [("location: ftp://127.0.0.1/", 0), ("x-location: nowhere", 302)] {
        let url = serve_bytes(format!("HTTP/1.1 302 Found\r\n{location}\r\ncontent-length: 0\r\n\r\n")).await;
        let output = output(golo::client().get(&url)).await;
        assert_eq!((output.redirects, output.status), (0, status), "{location}");
    }
}

#[tokio::test]
async fn custom_client_reports_at_most_one_redirect() {
    let _ = golo::client();
    let own = Client::builder().no_proxy().build().unwrap();
    assert_eq!(output(own.get(service().url_of("/redirect?times=3"))).await.redirects, 1, "one at least");
    assert_eq!(output(own.get(service().url_of("/items?q=%7B#part"))).await.redirects, 0);
}

#[tokio::test]
async fn body_sent_again_by_a_redirect_is_counted_again() {
    for (method, status, length, expected) in [
        (Method::PUT, 307, 1000, vec![1000, 1000, 1000]),
        (Method::PUT, 308, LARGE, vec![LARGE; 3]),
        (Method::PUT, 302, LARGE, vec![LARGE; 3]),
        (Method::POST, 302, 1000, vec![1000, 0, 0]),
        (Method::POST, 303, LARGE, vec![LARGE, 0, 0]),
    ] {
        let (url, heard) = chain(status, 2).await;
        let output = output(golo::client().request(method.clone(), &url).body(vec![b'x'; length])).await;
        let sent: usize = expected.iter().sum();
        assert_eq!((bodies(&heard), output.sent), (expected, sent as u64), "{method} {status}");
        assert_eq!((output.status, output.redirects, output.url), (200, 2, url));
        let last = heard.lock().unwrap().last().unwrap().0.to_lowercase();
        assert!(last.contains("\r\nreferer: http://127.0.0.1:"), "{last}");
    }
}

#[tokio::test]
async fn redirect_limit_is_the_same_for_large_bodies() {
    for length in [10, LARGE] {
        let (url, heard) = chain(307, 20).await;
        let output = output(golo::client().put(&url).body(vec![b'x'; length])).await;
        assert!(output.error.as_deref().is_some_and(|error| error.starts_with("redirect: too many")), "{output}");
        assert_eq!((output.redirects, bodies(&heard)), (10, vec![length; 11]));
        assert_eq!(output.sent, 11 * length as u64);
    }
}

#[tokio::test]
async fn client_without_redirects_follows_none_with_a_large_body() {
    let _ = golo::client();
    let own = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let (url, heard) = chain(307, 1).await;
    let output = output(own.put(&url).body(vec![b'x'; LARGE])).await;
    assert_eq!((output.status, output.redirects, output.sent, bodies(&heard)), (307, 0, LARGE as u64, vec![LARGE]));
}

#[tokio::test]
async fn redirect_to_another_host_drops_credentials_with_a_large_body() {
    let (there, heard) = chain(307, 0).await;
    let first = serve(move |mut connection| {
        let answer = format!("HTTP/1.1 307 Go\r\nlocation: {there}\r\ncontent-length: 0\r\n\r\n");
        async move {
            read_request(&mut connection).await;
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    let request = golo::client().put(format!("http://{}/", first.await)).bearer_auth("secret").header("x-mark", "1");
    assert_eq!(output(request.body(vec![b'x'; LARGE])).await.redirects, 1);
    let head = heard.lock().unwrap()[0].0.to_lowercase();
    assert!(head.contains("x-mark: 1") && !head.contains("authorization"), "{head}");
}

#[tokio::test]
async fn streamed_body_counts_the_bytes_that_were_sent() {
    let echo = service().url_of("/echo");
    let parts = || tokio_stream::iter((0..3).map(|_| Ok::<_, std::io::Error>("part")));
    assert_eq!(output(golo::client().post(&echo).body(Body::wrap_stream(parts()))).await.sent, 12);
    let broken = tokio_stream::iter([Ok("part"), Err(std::io::Error::other("the tap is dry"))]);
    let output = output(golo::client().post(&echo).body(Body::wrap_stream(broken))).await;
    assert_eq!((output.status, output.sent), (0, 4), "{output}");
}

#[tokio::test]
async fn refused_body_counts_only_the_bytes_that_were_sent() {
    // More than the socket buffers of this machine can hold.
    const HUGE: usize = 64 << 20;
    let address = serve(async |mut connection| {
        read_head(&mut connection).await;
        let _ = connection.write_all(b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n").await;
        // Do not read the body, and keep the connection until the client closes it.
        std::future::pending::<()>().await;
    });
    let url = format!("http://{}/", address.await);
    let output = patiently(output(golo::client().post(url).body(vec![0; HUGE]))).await;
    assert_eq!(output.status, 413);
    assert!(0 < output.sent && output.sent < HUGE as u64 / 2, "{}", output.sent);
}

#[tokio::test]
async fn request_without_a_connection_sent_no_bytes() {
    let unused = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let url = format!("http://{unused}/");
    for length in [10, LARGE] {
        assert_eq!(output(golo::client().post(&url).body(vec![0; length])).await.sent, 0);
    }
    let lost = serve_bytes("").await;
    assert_eq!(output(golo::client().post(lost).body("a body")).await.sent, 6, "it was lost after it was sent");
}
