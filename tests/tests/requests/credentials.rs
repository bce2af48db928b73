//! User names and passwords in URLs: they are sent, and appear in no output.

use std::error::Error as _;

use golo::reqwest::redirect::Policy;
use golo::reqwest::{Client, Method, Request, Url};
use golo::{Context, Loadtest};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use crate::service;
use crate::support::{Collected, failed, patiently, read_head, serve, serve_bytes, triggered};

/// Sequence IDs do not contain these letters.
const USER: &str = "zoe";
const PASSWORD: &str = "hunter2";

fn with_credentials(url: &str) -> Url {
    let mut url: Url = url.parse().unwrap();
    url.set_username(USER).unwrap();
    url.set_password(Some(PASSWORD)).unwrap();
    url
}

#[track_caller]
fn says_nothing(text: &str) {
    assert!(!text.contains(USER) && !text.contains(PASSWORD), "{text}");
}

async fn unused_port() -> String {
    format!("http://{}/", TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap())
}

#[tokio::test]
async fn credentials_are_sent_and_not_recorded() {
    let address = serve(async |mut connection| {
        let head = read_head(&mut connection).await;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len());
        let _ = connection.write_all(answer.as_bytes()).await;
    })
    .await;
    let url = format!("http://{address}/");
    let request = golo::client().get(with_credentials(&url));
    let (head, outputs) =
        triggered(async { golo::do_request("journey", request).await.unwrap().text().await.unwrap() }).await;
    assert!(head.contains("authorization: Basic "), "{head}");
    assert_eq!(outputs[0].url, url);
    says_nothing(&outputs[0].to_string());
}

#[tokio::test]
async fn plain_request_records_no_credentials() {
    let request = Request::new(Method::GET, with_credentials(&service().url_of("/items/7?mail=a@b.example")));
    let (response, outputs) = triggered(async { golo::do_request("journey", request).await.unwrap() }).await;
    assert_eq!(outputs[0].url, service().url_of("/items/7?mail=a@b.example"));
    let parsed = golo::Output::parse("journey", outputs[0].duration, &response);
    assert_eq!(parsed.url, outputs[0].url);
    says_nothing(&format!("{} {parsed} {outputs:?}", outputs[0]));
}

#[tokio::test]
async fn debug_output_of_a_request_has_no_credentials() {
    let request = Request::new(Method::GET, with_credentials(service().url()));
    let text = format!("{:?}", golo::request("journey", request).route("/"));
    assert!(text.contains(service().url()) && text.contains("journey"), "{text}");
    says_nothing(&text);
    says_nothing(&format!("{:?}", golo::request("journey", golo::client().get(with_credentials(service().url())))));
    says_nothing(&format!("{:?}", golo::request("journey", golo::client().get("http://zoe:hunter2@:no/"))));
}

#[tokio::test]
async fn errors_have_no_credentials() {
    let refused = unused_port().await;
    let unanswered = serve_bytes("").await;
    let redirected =
        serve_bytes("HTTP/1.1 302 Found\r\nlocation: ftp://zoe:hunter2@127.0.0.1/\r\ncontent-length: 0\r\n\r\n").await;
    let endless = service().url_of("/redirect?times=20");
    for url in [&refused, &unanswered, &redirected, &endless, "http://does-not-exist.invalid/", "ftp://127.0.0.1/"] {
        for plain in [true, false] {
            let url = with_credentials(url);
            let (result, outputs) = triggered(async move {
                if plain {
                    golo::do_request("journey", Request::new(Method::GET, url)).await
                } else {
                    golo::do_request("journey", golo::client().get(url)).await
                }
            })
            .await;
            let error = result.unwrap_err();
            let chain: Vec<_> = std::iter::successors(error.source(), |error| (*error).source())
                .map(|error| format!("{error} {error:?}"))
                .collect();
            says_nothing(&format!("{error} {error:?} {error:#?} {chain:?} {outputs:?}"));
        }
    }
}

#[tokio::test]
async fn source_error_is_shown_without_credentials() {
    let url =
        serve_bytes("HTTP/1.1 302 Found\r\nlocation: http://zoe:hunter2@127.0.0.1/\r\ncontent-length: 0\r\n\r\n").await;
    let _ = golo::client();
    let refuse = Policy::custom(|attempt| {
        let reason = format!("not to {}", attempt.url());
        attempt.error(reason)
    });
    let client = Client::builder().redirect(refuse).build().unwrap();
    let (error, output, reason) = failed("redirect", client.get(url)).await;
    assert_eq!(reason, "not to http://127.0.0.1/");
    says_nothing(&format!("{error} {error:?} {output}"));
}

#[tokio::test]
async fn responses_have_no_credentials() {
    let url = with_credentials(&unused_port().await);
    let collected = Collected::default();
    let loadtest = Loadtest::new(move |context: Context, mut response: golo::Response| {
        let url = url.clone();
        async move {
            response.tags = golo::tagify([("target", &url), (url.as_str(), &url)]);
            match context.iteration {
                Some(0) => Ok(response),
                // The error of reqwest contains the URL.
                Some(1) => Err(golo::client().get(url).send().await.unwrap_err().into()),
                Some(2) => Err(golo::BoxError::from(format!("cannot reach {url}: out of luck"))),
                Some(3) => panic!("cannot reach {url}"),
                _ => {
                    let result: Result<(), _> =
                        golo::measure("journey", url.as_str(), async { Err(format!("cannot reach {url}")) }).await;
                    Err(result.unwrap_err().into())
                }
            }
        }
    })
    .sink(collected.clone());
    for iteration in 0..5 {
        let context = Context { iteration: Some(iteration), ..Context::default() };
        let response = patiently(loadtest.trigger(context)).await;
        assert_eq!(response.error, iteration > 0);
        assert_eq!(response.tags.len(), if iteration == 0 { 2 } else { 0 });
        says_nothing(&format!("{response:?}"));
    }
    assert_eq!(collected.outputs().len(), 1);
    says_nothing(&format!("{:?}", collected.outputs()));
}

#[tokio::test]
async fn route_has_no_credentials() {
    let url = with_credentials(service().url());
    let (_, outputs) = triggered(async move {
        golo::request("journey", golo::client().get(url.clone())).route(url.as_str()).send().await.unwrap();
    })
    .await;
    says_nothing(&outputs[0].to_string());
}
