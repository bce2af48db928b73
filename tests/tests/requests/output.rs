//! Outputs created from responses: those that golo received, and others.

use std::time::Duration;

use golo::{Output, reqwest::Method};

use crate::service;
use crate::support::{serve_bytes, triggered};

const TOOK: Duration = Duration::from_nanos(412_345);

#[tokio::test]
async fn output_of_a_response_received_by_golo_is_complete() {
    let url = service().url_of("/redirect?times=2");
    let request = golo::client().post(service().url_of("/echo")).body("four");
    let redirected = golo::client().get(&url);
    let ((echo, redirected), outputs) = triggered(async {
        let echo = golo::do_request("journey", request).await.unwrap();
        (echo, golo::do_request("journey", redirected).await.unwrap())
    })
    .await;
    for (response, recorded) in [(echo, &outputs[0]), (redirected, &outputs[1])] {
        let parsed = Output::parse("another", TOOK, &response);
        assert_eq!(parsed.sequence_id, "another");
        assert_eq!(parsed.duration, TOOK);
        assert!(parsed.timestamp >= recorded.timestamp);
        let mut expected = recorded.clone();
        expected.sequence_id = parsed.sequence_id.clone();
        expected.duration = parsed.duration;
        expected.timestamp = parsed.timestamp;
        assert_eq!(parsed, expected);
    }
    assert_eq!(outputs[0].method, "POST");
    assert_eq!(outputs[1].url, url);
}

#[tokio::test]
async fn output_of_a_plain_response_assumes_get() {
    let response = golo::client().put(service().url_of("/status/404")).send().await.unwrap();
    let output = Output::parse("journey", TOOK, &response);
    assert_eq!((output.method.as_str(), output.status), ("GET", 404));
    assert_eq!(output.url, service().url_of("/status/404"));
    assert_eq!(output.size, response.text().await.unwrap().len() as i64);
    assert!(output.is_failed());
}

#[tokio::test]
async fn output_of_a_redirected_plain_response_has_the_last_url() {
    let response = golo::client().get(service().url_of("/redirect?times=1")).send().await.unwrap();
    assert_eq!(Output::parse("journey", TOOK, &response).url, service().url());

    let url = "http://ada:hunter2@127.0.0.1/before?page=1".parse().unwrap();
    let output = Output::parse_with("journey", TOOK, &response, &Method::PATCH, &url);
    assert_eq!((output.method.as_str(), output.url.as_str()), ("PATCH", "http://127.0.0.1/before?page=1"));
    assert_eq!((output.status, output.size, output.error), (200, 12, None));
}

#[tokio::test]
async fn output_of_a_response_of_unknown_length_has_size_minus_1() {
    let url = serve_bytes("HTTP/1.1 200 OK\r\n\r\nHello").await;
    let response = golo::client().get(&url).send().await.unwrap();
    assert_eq!(Output::parse("journey", TOOK, &response).size, -1);

    let received = golo::do_request("journey", golo::client().get(&url)).await.unwrap();
    assert_eq!(Output::parse("journey", TOOK, &received).size, 5);
}

#[tokio::test]
async fn lines_with_special_characters_parse_back() {
    let url = service().url_of("/items/%22%0A?q=é\"\\");
    let (_, outputs) = triggered(async move {
        golo::request("a \"journey\"\n\u{1}é", golo::client().get(url))
            .route("/\"{id}\"\t\u{7f}")
            .send()
            .await
            .unwrap();
    })
    .await;
    let line = outputs[0].to_string();
    assert!(!line.contains('\n'), "{line}");
    assert_eq!(line.parse::<Output>().unwrap(), outputs[0]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["sequenceID"], "a \"journey\"\n\u{1}é");
}
