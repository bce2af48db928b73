//! golo's transport beside reqwest's own client, on the same server: each sends the same requests, and follows
//! redirects in the same way.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use golo::reqwest::header::{AUTHORIZATION, COOKIE};
use golo::reqwest::{Body, Client, Method, Request, Url};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{patiently, read_head, serve, triggered};

/// A request as the server received it: method, target, headers by name, and body.
type Seen = (String, String, BTreeMap<String, Vec<String>>, String);
type Log = Arc<Mutex<Vec<Seen>>>;

/// Starts a server that records requests. A target `/to/302/http://…` redirects there with the status 302; the target
/// after it sets a cookie.
async fn server() -> (SocketAddr, Log) {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let address = serve(move |mut connection| {
        let seen = Arc::clone(&seen);
        async move { while answer(&mut connection, &seen).await.is_some() {} }
    });
    (address.await, log)
}

async fn answer(connection: &mut TcpStream, log: &Log) -> Option<()> {
    let head = read_head(connection).await;
    let mut lines = head.lines();
    let mut request = lines.next()?.split(' ');
    let (method, target) = (request.next()?.to_owned(), request.next()?.to_owned());
    let mut headers = BTreeMap::<String, Vec<String>>::new();
    for line in lines {
        let Some((name, value)) = line.split_once(": ") else { continue };
        headers.entry(name.to_lowercase()).or_default().push(value.to_owned());
    }
    let length = headers.get("content-length").and_then(|values| values[0].parse().ok()).unwrap_or(0_usize);
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.ok()?;
    if headers.contains_key("transfer-encoding") {
        while !body.ends_with(b"0\r\n\r\n") {
            body.push(connection.read_u8().await.ok()?);
        }
    }
    // The server has another port each time.
    let _ = headers.remove("host");
    let redirect = target.strip_prefix("/to/").and_then(|rest| rest.split_once('/'));
    let answer = match redirect {
        Some((status, location)) => format!(
            "HTTP/1.1 {status} See\r\nlocation: {location}\r\nset-cookie: hop={status}\r\ncontent-length: 0\r\n\r\n"
        ),
        None => "HTTP/1.1 200 OK\r\nset-cookie: seen=yes; Path=/\r\ncontent-length: 2\r\n\r\nok".to_owned(),
    };
    let (answer, _) = answer.split_at(if method == "HEAD" { answer.find("\r\n\r\n")? + 4 } else { answer.len() });
    log.lock().unwrap().push((method, target, headers, String::from_utf8_lossy(&body).into_owned()));
    connection.write_all(answer.as_bytes()).await.ok()
}

/// Sends a request, then a plain `GET`, as golo and as reqwest do. Returns what the server saw of each, with the
/// status and URL that each client got.
async fn both(make: impl Fn(&Client, &str) -> Request + Send + 'static) -> [(Vec<Seen>, Option<(u16, String)>); 2] {
    let (address, log) = server().await;
    let base = format!("http://{address}");
    let reqwest = {
        let client = Client::builder()
            .cookie_store(true)
            .no_gzip()
            .no_proxy()
            .retry(golo::reqwest::retry::never())
            .build()
            .unwrap();
        let answered = patiently(client.execute(make(&client, &base))).await.ok();
        patiently(client.get(format!("{base}/after")).send()).await.unwrap();
        (
            std::mem::take(&mut *log.lock().unwrap()),
            answered.map(|answer| (answer.status().as_u16(), answer.url().to_string())),
        )
    };
    let ours = base.clone();
    let (answered, outputs) = triggered(async move {
        let request = make(&golo::client(), &ours);
        let answered = golo::do_request("journey", request).await.ok();
        golo::do_request("journey", golo::client().get(format!("{ours}/after"))).await.unwrap();
        answered.map(|answer| (answer.status().as_u16(), answer.url().to_string()))
    })
    .await;
    assert_eq!(outputs.len(), 2);
    let golo = (std::mem::take(&mut *log.lock().unwrap()), answered);
    let hide = |(mut seen, answered): (Vec<Seen>, Option<(u16, String)>)| {
        // Locations name the server's port, which is the same for both; only the referer repeats it.
        seen.iter_mut().for_each(|seen| seen.1 = seen.1.replace(&base, "BASE"));
        (seen, answered)
    };
    [hide(reqwest), hide(golo)]
}

fn request(client: &Client, method: Method, url: &str) -> golo::reqwest::RequestBuilder {
    client.request(method, Url::parse(url).unwrap())
}

#[tokio::test]
async fn requests_are_the_same() {
    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
    {
        for body in [None, Some("hello"), Some("")] {
            let sent = method.clone();
            let [reqwest, golo] = both(move |client, base| {
                let request = request(client, sent.clone(), &format!("{base}/a%20b/c?d=%7B1%7D&e#f"));
                let request = request.header("X-One", "1").header("x-one", "2");
                let request = match body {
                    Some(body) => request.body(body),
                    None => request,
                };
                request.build().unwrap()
            })
            .await;
            assert_eq!(golo, reqwest, "{method} {body:?}");
        }
    }
}

#[tokio::test]
async fn bodies_of_all_kinds_are_the_same() {
    let json = |client: &Client, base: &str| client.post(base).json(&[1, 2]).build().unwrap();
    let [reqwest, golo] = both(json).await;
    assert_eq!(golo, reqwest);
    let stream = |client: &Client, base: &str| {
        let pieces = ["one", "two"].map(Ok::<_, std::io::Error>);
        client.post(base).body(Body::wrap_stream(tokio_stream::iter(pieces))).build().unwrap()
    };
    let [reqwest, golo] = both(stream).await;
    assert_eq!(golo, reqwest);
    assert!(golo.0[0].3.contains("one") && golo.0[0].2["transfer-encoding"] == ["chunked"], "{golo:?}");
    let credentials = |client: &Client, base: &str| client.get(base.replace("//", "//ann:secret@")).build().unwrap();
    let [reqwest, golo] = both(credentials).await;
    assert_eq!(golo.0, reqwest.0);
}

#[tokio::test]
async fn redirects_are_followed_in_the_same_way() {
    for status in [301, 302, 303, 307, 308, 300, 304] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::HEAD] {
            for location in ["/end?x=1#part", "end", "//127.0.0.1:1/refused", "ftp://127.0.0.1/", "?q", ""] {
                let sent = method.clone();
                let [reqwest, golo] = both(move |client, base| {
                    let request = request(client, sent.clone(), &format!("{base}/to/{status}/{location}"));
                    let request = request.header(AUTHORIZATION, "secret").header("content-type", "text/plain");
                    if sent == Method::GET { request } else { request.body("body") }.build().unwrap()
                })
                .await;
                assert_eq!(golo, reqwest, "{method} {status} {location}");
            }
        }
    }
}

#[tokio::test]
async fn sensitive_headers_are_dropped_across_hosts_alike() {
    for name in ["localhost", "127.0.0.1"] {
        let [reqwest, golo] = both(move |client, base| {
            let elsewhere = base.replace("127.0.0.1", name);
            let request = client.get(format!("{base}/to/302/{elsewhere}/end"));
            request.header(AUTHORIZATION, "secret").header(COOKIE, "a=b").header("x-kept", "1").build().unwrap()
        })
        .await;
        assert_eq!(golo, reqwest, "{name}");
        let keeps = name == "127.0.0.1";
        let last = &golo.0[1].2;
        assert_eq!((last.contains_key("authorization"), last.contains_key("x-kept")), (keeps, true), "{last:?}");
    }
}

#[tokio::test]
async fn streams_are_not_sent_twice_by_either() {
    let [reqwest, golo] = both(|client, base| {
        let pieces = ["one"].map(Ok::<_, std::io::Error>);
        let body = Body::wrap_stream(tokio_stream::iter(pieces));
        client.post(format!("{base}/to/307/end")).body(body).build().unwrap()
    })
    .await;
    assert_eq!(golo, reqwest);
    assert_eq!(golo.1.as_ref().map(|(status, _)| *status), Some(307));
}
