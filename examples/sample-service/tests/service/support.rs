//! Helpers of these tests: a service, a client, and a check for error responses.

use std::sync::LazyLock;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use sample_service::{SampleService, start};
use serde::Deserialize;

pub(crate) fn builder() -> ClientBuilder {
    static PROVIDER: LazyLock<()> = LazyLock::new(|| {
        rustls::crypto::ring::default_provider().install_default().unwrap();
    });
    LazyLock::force(&PROVIDER);
    Client::builder().no_proxy()
}

pub(crate) fn set_up() -> (SampleService, Client) {
    (start().unwrap(), builder().build().unwrap())
}

pub(crate) async fn get(service: &SampleService, client: &Client, path: &str) -> Response {
    client.get(service.url_of(path)).send().await.unwrap()
}

pub(crate) fn content_type(response: &Response) -> &str {
    response.headers()[CONTENT_TYPE].to_str().unwrap()
}

#[derive(Deserialize)]
struct Error {
    error: String,
}

pub(crate) async fn assert_refused(response: Response, status: StatusCode, part: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(content_type(&response), "application/json");
    let Error { error } = response.json().await.unwrap();
    assert!(error.contains(part), "{error}");
}
