//! Values taken from responses.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

#[path = "support/requests.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use golo::extract::{Document, Error};

use self::support::{sent, serve_bytes, triggered};

/// Returns the document of a response with this status line, these headers and this body.
async fn answered(head: &str, body: &[u8]) -> Document {
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
    let url = serve_bytes([head.as_bytes(), body].concat()).await;
    let ended = triggered(async move { golo::do_request("journey", golo::client().get(url)).await });
    Document::read(ended.await.0.unwrap()).await.unwrap()
}

fn text<T>(result: Result<T, Error>) -> String {
    result.map(drop).unwrap_err().to_string()
}

const ITEMS: &[u8] = br#"{"items": [{"id": 7, "name": "seven"}], "none": [], "key": "s3cret", "a/b": {"~": true}}"#;

#[tokio::test]
async fn json_returns_the_value_at_a_pointer() {
    let items = answered("200 OK", ITEMS).await;
    assert_eq!(items.json::<u64>("/items/0/id").unwrap(), 7);
    assert_eq!(items.json::<&str>("/items/0/name").unwrap(), "seven");
    assert!(items.json::<bool>("/a~1b/~0").unwrap());
    let whole: std::collections::HashMap<String, serde_json::Value> = items.json("").unwrap();
    assert_eq!(whole.len(), 4);
    assert_eq!((items.status().as_u16(), items.body().as_ref()), (200, ITEMS));
}

#[tokio::test]
async fn json_describes_what_is_there_instead() {
    let items = answered("200 OK", ITEMS).await;
    let missing = items.json::<u64>("/none/0/id").unwrap_err();
    assert!(missing.is_missing() && !missing.is_pattern());
    assert_eq!(missing.to_string(), "no `/none/0/id` in the JSON: `/none` is an empty list");
    let error = text(items.json::<u64>("/price"));
    assert_eq!(error, "no `/price` in the JSON: the document is an object with the keys `a/b`, `items`, `key`, `none`");
    let error = items.json::<u64>("/key").unwrap_err();
    assert!(error.is_mistyped());
    assert_eq!(
        error.to_string(),
        "`/key` in the JSON cannot be used: invalid type: string \"…\", expected u64",
        "the value is not shown"
    );
    let error = items.json::<u64>("items/0").unwrap_err();
    assert!(error.is_pattern());
    assert_eq!(error.to_string(), "invalid JSON pointer `items/0`: expected a `/` at its start, as in `/items/0/id`");
}

#[tokio::test]
async fn json_shows_the_beginning_of_a_body_that_is_none() {
    let page = answered("502 Bad Gateway", b"<html>\n<h1>Bad gateway</h1>").await;
    let error = page.json::<u64>("/id").unwrap_err();
    assert!(error.is_format());
    assert_eq!(
        error.to_string(),
        "no `/id` in the JSON: the body is not JSON (expected value at line 1 column 1), it begins with \
         `<html> <h1>Bad gateway</h1>` (status 502)"
    );
    let empty = answered("200 OK", b"").await;
    assert_eq!(text(empty.json::<u64>("/id")), "no `/id` in the JSON: the body is empty");
    let cut = answered("200 OK", br#"{"token": "s3cret", "#).await;
    let error = text(cut.json::<u64>("/id"));
    assert!(error.contains(r#"{"token…"#) && !error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn header_returns_the_first_value() {
    let response =
        answered("200 OK\r\nlocation: /next\r\nset-cookie: a\r\nset-cookie: b\r\nx-bytes: \u{e9}", b"").await;
    assert_eq!(response.header("Location").unwrap(), "/next");
    assert_eq!(response.header("set-cookie").unwrap(), "a");
    let error = text(response.header("etag"));
    assert!(error.starts_with("no header `etag`: there are `location`, `set-cookie`"), "{error}");
    assert!(response.header("x-bytes").unwrap_err().is_mistyped());
}

const PAGE: &[u8] = "<html><body><form id=login><input name=csrf value='a&amp;b'></form>\
    <h1> Hello\n <b>Ada</b> </h1><a class=next href=/2>two</a><a href=/3>three</a><a>none</a>\
    <script>const order = {number: 4711};</script></body></html>"
    .as_bytes();

#[tokio::test]
async fn css_returns_attributes_and_texts() {
    let page = answered("200 OK", PAGE).await;
    assert_eq!(page.css("form#login input[name=csrf]", "value").unwrap(), "a&b");
    assert_eq!(page.css_text("h1").unwrap(), "Hello Ada");
    assert_eq!(page.css_all("a", "href").unwrap(), ["/2", "/3"]);
    assert_eq!(page.css_texts("a").unwrap(), ["two", "three", "none"]);
    assert!(page.css_all("table", "id").unwrap().is_empty());

    let error = page.css("a.previous", "href").unwrap_err();
    assert!(error.is_missing());
    assert_eq!(
        error.to_string(),
        "no element matches `a.previous` in the body: it begins with `<html><body><form id=login><input name=csrf…`"
    );
    assert_eq!(
        text(page.css("a", "title")),
        "no attribute `title` in the first element that matches `a`: there are `class`, `href`"
    );
    for selector in ["a[", "", "a:unknown", "::first-line"] {
        let error = page.css_texts(selector).unwrap_err();
        assert!(error.is_pattern(), "{error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("invalid CSS selector `{selector}`: ")) && !text.contains('\n'), "{text}");
    }
}

#[tokio::test]
async fn regex_returns_the_first_group_or_the_whole_match() {
    let page = answered("200 OK", PAGE).await;
    assert_eq!(page.regex(r"number: (\d+)").unwrap(), "4711");
    assert_eq!(page.regex(r"number: \d+").unwrap(), "number: 4711");
    assert_eq!(page.regex_all(r"href=(/\d)").unwrap(), ["/2", "/3"]);
    assert!(page.regex_all("nothing").unwrap().is_empty());

    let error = page.regex(r"basket: (\w+)").unwrap_err();
    assert!(error.is_missing());
    let expected = r"no match of `basket: (\w+)` in the body: it begins with `<html><body>";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert!(page.regex("Hello|(Bye)").unwrap_err().is_missing());
    let error = page.regex("number: (").unwrap_err();
    assert!(error.is_pattern());
    assert_eq!(error.to_string(), "invalid regular expression `number: (`: unclosed group");
}

#[tokio::test]
async fn document_moves_between_threads_and_is_shared() {
    fn is_shared<T: Send + Sync>(shared: T) -> T {
        shared
    }
    let page = is_shared(answered("200 OK", PAGE).await);
    assert_eq!(page.css_text("h1").unwrap(), "Hello Ada");
    let found = std::thread::spawn(move || page.css_text("b").unwrap()).join().unwrap();
    assert_eq!(found, "Ada");
}

#[tokio::test]
async fn expectation_fails_a_request_by_a_missing_value() {
    let url = serve_bytes("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let request = golo::request("journey", golo::client().get(url));
    let (response, output) = sent(request.expect(|response| Document::of(response).json::<u64>("/id"))).await;
    assert!(response.is_ok());
    let error = "content: no `/id` in the JSON: the document is an empty object";
    assert_eq!(output.error.as_deref(), Some(error));
}
