//! OTLP in the bodies of HTTP requests.

use prost::Message as _;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{StatusCode, Url};

use super::check;
use super::messages::ErrorDetails;
use super::settings::Settings;
use crate::outputs::http_courier::HttpCourier;
use crate::support::failure::Failure;

/// Creates the courier.
///
/// # Errors
///
/// Returns an error if there is no HTTP client.
pub(super) fn courier(settings: Settings) -> Result<HttpCourier, Failure> {
    let Settings { url, mut headers, .. } = settings;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
    Ok(HttpCourier::new(url, headers, None)?.addressed(address).checked(check).passing(is_passing).reading(reason))
}

/// Returns the address of metrics or of traces.
fn address(url: &Url, signal: &'static str) -> Url {
    let mut url = url.clone();
    let path = format!("{}/v1/{signal}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// Returns true if the same request may be accepted later. The specification allows no other statuses.
fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

/// Returns the reason of a refusal, if the body is in protobuf.
fn reason(body: &[u8]) -> Option<String> {
    ErrorDetails::decode(body).ok().map(|error| error.message).filter(|message| !message.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_read_in_protobuf_and_not_in_text() {
        let error = ErrorDetails { message: "too old".to_owned(), details: Vec::new() };
        assert_eq!(reason(&error.encode_to_vec()).unwrap(), "too old");
        for text in ["", "too old", "unknown metric", "{\"error\": \"no\"}", "<html></html>", "404 page not found\n"] {
            assert_eq!(reason(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn address_is_below_the_url() {
        for (url, expected) in [
            ("http://a:4318", "http://a:4318/v1/metrics"),
            ("https://a/otlp/", "https://a/otlp/v1/metrics"),
            ("https://a/otlp?tenant=1", "https://a/otlp/v1/metrics?tenant=1"),
        ] {
            assert_eq!(address(&Url::parse(url).unwrap(), "metrics").as_str(), expected);
        }
    }
}
