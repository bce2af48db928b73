//! Tests of the endpoints that are about HTTP itself.

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode, Version};
use sample_service::start;

use crate::support::{assert_refused, builder, content_type, get, set_up};

#[tokio::test]
async fn home_is_twelve_bytes_of_text() {
    let (service, client) = set_up();
    let response = client.get(service.url()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.version(), Version::HTTP_11);
    assert!(content_type(&response).starts_with("text/plain"));
    assert_eq!(response.headers()[CONTENT_LENGTH], "12");
    assert_eq!(response.text().await.unwrap(), "Hello World\n");
}

#[tokio::test]
async fn http2_works_without_tls() {
    let service = start().unwrap();
    let client = builder().http2_prior_knowledge().build().unwrap();
    let response = get(&service, &client, "/").await;
    assert_eq!(response.version(), Version::HTTP_2);
    assert_eq!(response.text().await.unwrap(), "Hello World\n");
}

#[tokio::test]
async fn slow_waits_for_the_given_time() {
    let (service, client) = set_up();
    get(&service, &client, "/slow?ms=0").await;
    let start = Instant::now();
    assert_eq!(get(&service, &client, "/slow?ms=50").await.status(), StatusCode::OK);
    assert!(start.elapsed() >= Duration::from_millis(50));
    for query in ["", "?ms=", "?ms=soon", "?ms=-1", "?ms=1.5", "?ms=60001"] {
        let response = get(&service, &client, &format!("/slow{query}")).await;
        assert_refused(response, StatusCode::BAD_REQUEST, "`ms` must be a whole number from 0 to 60000").await;
    }
}

#[tokio::test]
async fn status_returns_the_given_code() {
    let (service, _) = set_up();
    let client = builder().redirect(Policy::none()).build().unwrap();
    for code in [200, 201, 204, 205, 299, 302, 304, 404, 418, 429, 500, 503, 599] {
        let response = get(&service, &client, &format!("/status/{code}")).await;
        assert_eq!(response.status().as_u16(), code);
        let empty = response.bytes().await.unwrap().is_empty();
        assert_eq!(empty, [204, 205, 304].contains(&code), "{code}");
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS, Method::HEAD] {
        let response = client.request(method, service.url_of("/status/418")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
    }
    for code in ["100", "199", "600", "ok", "-200", "70000"] {
        let response = get(&service, &client, &format!("/status/{code}")).await;
        assert_refused(response, StatusCode::BAD_REQUEST, "200 to 599").await;
    }
}

#[tokio::test]
async fn flaky_fails_exactly_the_given_percentage() {
    let (service, client) = set_up();
    for (percent, failures) in [(0, 0), (7, 7), (50, 50), (100, 100)] {
        let mut failed = 0;
        for _ in 0..100 {
            let response = get(&service, &client, &format!("/flaky?percent={percent}")).await;
            failed += usize::from(response.status() == StatusCode::INTERNAL_SERVER_ERROR);
        }
        assert_eq!(failed, failures);
    }
    for query in ["", "?percent=101", "?percent=half"] {
        let response = get(&service, &client, &format!("/flaky{query}")).await;
        assert_refused(response, StatusCode::BAD_REQUEST, "`percent`").await;
    }
}

#[tokio::test]
async fn redirects_end_at_home() {
    let (service, client) = set_up();
    for times in 0..=3 {
        service.reset_counter();
        let response = get(&service, &client, &format!("/redirect?times={times}")).await;
        assert_eq!(response.text().await.unwrap(), "Hello World\n");
        assert_eq!(service.counter().statuses["3xx"], times);
    }
    let client = builder().redirect(Policy::none()).build().unwrap();
    let response = get(&service, &client, "/redirect?times=2").await;
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()[LOCATION], "/redirect?times=1");
    for query in ["", "?times=101", "?times=twice"] {
        let response = get(&service, &client, &format!("/redirect{query}")).await;
        assert_refused(response, StatusCode::BAD_REQUEST, "`times`").await;
    }
}

#[tokio::test]
async fn echo_returns_the_request_body() {
    let (service, client) = set_up();
    let echo = || client.post(service.url_of("/echo"));
    let response = echo().header(CONTENT_TYPE, "text/csv").body("a,b\n").send().await.unwrap();
    assert_eq!(content_type(&response), "text/csv");
    assert_eq!(response.text().await.unwrap(), "a,b\n");

    let large = vec![b'x'; 3 * 1024 * 1024];
    let response = echo().body(large.clone()).send().await.unwrap();
    assert_eq!(content_type(&response), "application/octet-stream");
    assert_eq!(response.bytes().await.unwrap(), large);
    assert!(echo().send().await.unwrap().bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn bytes_returns_the_given_length() {
    let (service, client) = set_up();
    for length in [0, 1, 65_537, 64 * 1024 * 1024] {
        let response = get(&service, &client, &format!("/bytes/{length}")).await;
        assert_eq!(response.headers()[CONTENT_LENGTH], length.to_string().as_str());
        assert_eq!(response.bytes().await.unwrap().len(), length);
    }
    for length in ["67108865", "-1", "many"] {
        let response = get(&service, &client, &format!("/bytes/{length}")).await;
        assert_refused(response, StatusCode::BAD_REQUEST, "`n`").await;
    }
}

#[tokio::test]
async fn spawned_service_runs_after_the_call() {
    let client = builder().build().unwrap();
    let (first, second) = (sample_service::spawn(), sample_service::spawn());
    assert_ne!(first, second);
    for url in [first, second] {
        assert!(url.starts_with("http://127.0.0.1:") && url.ends_with('/'));
        assert_eq!(client.get(url).send().await.unwrap().status(), StatusCode::OK);
    }
}
