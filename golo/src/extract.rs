//! Values from a response, for the requests that follow: JSON pointers, CSS selectors, regular expressions, headers.
//!
//! [`Document::read`] takes a response of [`do_request`](crate::do_request). Each method then returns one value, or an
//! [`Error`] that describes what was there instead:
//!
//! ```no_run
//! use golo::extract::Document;
//!
//! # async fn load_test() -> Result<(), golo::BoxError> {
//! let journey = golo::new_sequence_id();
//! let response = golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/items")).await?;
//! let items = Document::read(response).await?;
//! let id: u64 = items.json("/0/id")?;
//! let item = golo::client().get(format!("http://127.0.0.1:8765/items/{id}"));
//! golo::request(&journey, item).route("/items/{id}").send().await?;
//! # Ok(()) }
//! ```
//!
//! | method | finds | feature |
//! |---|---|---|
//! | [`json`](Document::json) | the value at a JSON pointer, as any type | |
//! | [`header`](Document::header) | the value of a header | |
//! | `css`, `css_all` | attributes of the elements that match a CSS selector | `css` |
//! | `css_text`, `css_texts` | texts of such elements | `css` |
//! | `regex`, `regex_all` | matches of a regular expression, or their first group | `regex` |
//!
//! [Data and correlation](crate::data_and_correlation) has an example of each.

#[cfg(feature = "css")]
mod css;
mod error;
mod excerpt;
mod json;
#[cfg(any(feature = "css", feature = "regex"))]
mod kept;
#[cfg(feature = "regex")]
mod regex;

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use crate::Received;

pub use error::Error;

/// A response with its whole body, from which values are taken.
///
/// The body is parsed when the first value of its format is taken, and only once.
pub struct Document {
    status: StatusCode,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    /// The body as JSON, or the reason why it is none.
    json: OnceLock<Result<serde_json::Value, String>>,
    #[cfg(feature = "css")]
    html: css::Parsed,
}

impl Document {
    /// Reads the body of a response. This does not wait for a response of [`do_request`](crate::do_request), whose body
    /// has been read.
    ///
    /// # Errors
    ///
    /// Returns an error if the body of another response cannot be read.
    pub async fn read(mut response: Response) -> Result<Self, Error> {
        let (status, url) = (response.status(), response.url().clone());
        let headers = std::mem::take(response.headers_mut());
        let body = response.bytes().await.map_err(Error::not_read)?;
        Ok(Self::new(status, url, headers, body))
    }

    /// Copies the head of a response in an [expectation](crate::Request::expect), and shares its body.
    ///
    /// This request fails if there is no `id` in its response:
    ///
    /// ```no_run
    /// use golo::extract::Document;
    ///
    /// # async fn load_test() -> Result<(), golo::RequestError> {
    /// # let journey = golo::new_sequence_id();
    /// let item = golo::client().get("http://127.0.0.1:8765/items/7");
    /// golo::request(&journey, item).expect(|response| Document::of(response).json::<u64>("/id")).send().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn of(received: &Received<'_>) -> Self {
        Self::new(received.status(), received.url().clone(), received.headers().clone(), received.body().clone())
    }

    fn new(status: StatusCode, url: Url, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            url,
            headers,
            body,
            json: OnceLock::new(),
            #[cfg(feature = "css")]
            html: css::Parsed::default(),
        }
    }

    /// Returns the status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the URL of the response, after redirects. [`Url::join`] makes a link of the page absolute.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the headers of the response.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body, decompressed if it was compressed.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the body as text. Bytes that are not valid UTF-8 become `�`.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns the value of a header. If the response has it several times, returns the first one.
    ///
    /// # Errors
    ///
    /// Returns an error if the response has no such header, or if its value is not text.
    ///
    /// ```no_run
    /// # async fn load_test() -> Result<(), golo::BoxError> {
    /// # let journey = golo::new_sequence_id();
    /// let response = golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/items")).await?;
    /// let items = golo::extract::Document::read(response).await?;
    /// assert_eq!(items.header("content-type")?, "application/json");
    /// # Ok(()) }
    /// ```
    pub fn header(&self, name: &str) -> Result<&str, Error> {
        let Some(value) = self.headers.get(name) else {
            let names = self.headers.keys().map(|name| name.as_str());
            return Err(self.missing(format!("no header `{name}`"), error::has(names, "no headers")));
        };
        value.to_str().map_err(|_| self.mistyped(format!("the header `{name}`"), "it is not text".to_owned()))
    }

    /// Returns the value at a JSON pointer (RFC 6901), such as `/items/0/id`. The empty pointer is the whole document.
    ///
    /// A value of the type `&str` borrows from the document.
    ///
    /// # Errors
    ///
    /// Returns an error if the body is not JSON, if there is nothing at `pointer`, or if the value there is not a `T`.
    ///
    /// ```no_run
    /// # async fn load_test() -> Result<(), golo::BoxError> {
    /// # let journey = golo::new_sequence_id();
    /// #[derive(serde::Deserialize)]
    /// struct Item {
    ///     id: u64,
    ///     price: u64,
    /// }
    ///
    /// let response = golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/items")).await?;
    /// let items = golo::extract::Document::read(response).await?;
    /// let name: &str = items.json("/0/name")?;
    /// let all: Vec<Item> = items.json("")?;
    /// # Ok(()) }
    /// ```
    pub fn json<'a, T: Deserialize<'a>>(&'a self, pointer: &str) -> Result<T, Error> {
        if !(pointer.is_empty() || pointer.starts_with('/')) {
            let expected = "expected a `/` at its start, as in `/items/0/id`";
            return Err(Error::pattern(format!("invalid JSON pointer `{pointer}`: {expected}")));
        }
        let what = || match pointer {
            "" => "no JSON".to_owned(),
            _ => format!("no `{pointer}` in the JSON"),
        };
        let whole = match self.json.get_or_init(|| json::parse(&self.body)) {
            Ok(whole) => whole,
            Err(reason) => return Err(self.not_json(what(), reason)),
        };
        let Some(value) = whole.pointer(pointer) else {
            return Err(self.missing(what(), json::nearest(whole, pointer)));
        };
        T::deserialize(value).map_err(|error| {
            let place = if pointer.is_empty() { "the JSON".to_owned() } else { format!("`{pointer}` in the JSON") };
            self.mistyped(place, json::mismatch(&error))
        })
    }

    /// Creates the error of a value that is not there.
    #[cold]
    fn missing(&self, what: String, found: String) -> Error {
        Error::missing(format!("{what}: {found}{}", self.status_note()))
    }

    /// Creates the error of a value that is not what was asked for.
    #[cold]
    fn mistyped(&self, place: String, found: String) -> Error {
        Error::mistyped(format!("{place} cannot be used: {found}{}", self.status_note()))
    }

    #[cold]
    fn not_json(&self, what: String, reason: &str) -> Error {
        let begins = excerpt::begins(&self.body);
        let text = match self.body.is_empty() {
            true => begins,
            false => format!("the body is not JSON ({reason}), {begins}"),
        };
        Error::format(format!("{what}: {text}{}", self.status_note()))
    }

    /// Names the status if it is not a success, which often explains why a value is missing.
    fn status_note(&self) -> String {
        match self.status.is_success() {
            true => String::new(),
            false => format!(" (status {})", self.status.as_u16()),
        }
    }
}

/// Shows status, URL and size. The body and the headers may contain secrets.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = crate::support::secrets::without_secrets(self.url.as_str());
        f.debug_struct("golo::extract::Document")
            .field("status", &self.status)
            .field("url", &url)
            .field("body_length", &self.body.len())
            .finish()
    }
}
