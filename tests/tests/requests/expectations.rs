//! Requests with checks of their response.

use std::sync::{Arc, Mutex};

use golo::{BoxError, Context, Loadtest, Output, OutputRef, Received, Sink};

use crate::service;
use crate::support::{patiently, sent, serve_bytes, triggered};

fn items() -> golo::Request<'static> {
    golo::request("journey", golo::client().get(service().url_of("/items")))
}

/// Sends a request. It must count as failed only if its output has an error, and its status and size must be recorded.
/// Returns the error of the output.
async fn error_of(request: golo::Request<'static>) -> Option<String> {
    let (result, output) = sent(request).await;
    let response = result.expect("what is not accepted is no error");
    assert_eq!((response.status(), output.status), (200.try_into().unwrap(), 200));
    assert_eq!(response.text().await.unwrap().len() as i64, output.size, "the body can still be read");
    assert_eq!((output.is_failed(), output.expected), (output.error.is_some(), None));
    output.error
}

#[tokio::test]
async fn rejected_response_fails_the_request_with_a_reason() {
    assert_eq!(error_of(items().expect(|_| true)).await, None);
    assert_eq!(error_of(items().expect(|_| Ok::<_, String>(7))).await, None);
    let refused = error_of(items().expect(|_| false)).await;
    assert_eq!(refused.as_deref(), Some("content: not as the load test expects"));
    let refused = error_of(items().expect(|_| Err::<(), _>("no such user at http://u:p@h"))).await;
    assert_eq!(refused.as_deref(), Some("content: no such user at http://h"));
    let refused = error_of(items().expect(|response| response.json::<u64>())).await.unwrap();
    assert!(refused.starts_with("content: invalid type: sequence, expected u64"), "{refused}");
    let several = items().expect(|_| true).expect(|_| Err::<(), _>("the second")).expect(|_| Err::<(), _>("the third"));
    assert_eq!(error_of(several).await.as_deref(), Some("content: the second"));
}

#[tokio::test]
async fn expectation_can_read_the_whole_response() {
    let look = |response: &Received<'_>| -> Result<(), BoxError> {
        assert_eq!((response.status().as_u16(), response.url().path()), (200, "/items"));
        assert_eq!(response.headers()["content-type"], "application/json");
        let items: Vec<serde_json::Value> = response.json()?;
        assert_eq!((items.len(), response.text().len()), (100, response.body().len()));
        Ok(())
    };
    assert_eq!(error_of(items().expect(look)).await, None);
}

#[tokio::test]
async fn failed_status_takes_precedence_over_expectations() {
    let request = || golo::request("journey", golo::client().get(service().url_of("/status/503")));
    let (_, output) = sent(request().expect(|_| false)).await;
    assert_eq!((output.status, output.error.as_ref(), output.is_failed()), (503, None, true));
    let (_, output) = sent(request().expect_status(503).expect(|_| false)).await;
    assert_eq!(output.error.as_deref(), Some("content: not as the load test expects"));
    assert_eq!(output.expected, Some(true));
}

/// Checks with their names and results, and outputs.
type Measured = (Vec<(String, bool)>, Vec<Output>);

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Measured>>);

impl Sink for Seen {
    fn output(&self, output: &OutputRef<'_>) {
        self.0.lock().unwrap().1.push(output.clone().into_owned());
    }

    fn check(&self, name: &str, passed: bool) {
        self.0.lock().unwrap().0.push((name.to_owned(), passed));
    }
}

/// Returns the checks and outputs of one trigger, and the output of its response.
async fn seen(make: fn(&str) -> golo::Request<'static>, url: String) -> (Vec<(String, bool)>, Vec<Output>, String) {
    let seen = Seen::default();
    let load_test = Loadtest::new(move |_, _| {
        let request = make(&url);
        async move {
            let _ = request.send().await;
        }
    });
    let response = patiently(load_test.sink(seen.clone()).trigger(Context::default())).await;
    let (checks, outputs) = std::mem::take(&mut *seen.0.lock().unwrap());
    (checks, outputs, response.output)
}

fn checked(url: &str) -> golo::Request<'static> {
    golo::request("journey", golo::client().get(url))
        .check("it is there", |response| response.status() == 200)
        .check("it is full", |_| false)
        .check("it is fresh", |_| Err::<(), _>("a week old"))
}

#[tokio::test]
async fn failed_check_is_counted_and_fails_the_request() {
    let named = |passed: [bool; 3]| -> Vec<_> {
        ["it is there", "it is full", "it is fresh"].map(str::to_owned).into_iter().zip(passed).collect()
    };
    let (checks, outputs, _) = seen(checked, service().url_of("/items")).await;
    assert_eq!(checks, named([true, false, false]));
    assert_eq!(outputs[0].error.as_deref(), Some("content: it is full"));
    let (checks, outputs, _) = seen(checked, serve_bytes("").await).await;
    assert_eq!(checks, named([false; 3]), "nothing came");
    assert!(outputs[0].error.as_ref().unwrap().starts_with("reset: "));

    let fresh =
        |url: &str| golo::request("journey", golo::client().get(url)).check("it is fresh", |_| Err::<(), _>("old"));
    let (_, outputs, _) = seen(fresh, service().url_of("/items")).await;
    assert_eq!(outputs[0].error.as_deref(), Some("content: it is fresh: old"));
}

#[tokio::test]
async fn panic_in_an_expectation_fails_the_trigger_and_the_request() {
    let panics = |url: &str| {
        golo::request("journey", golo::client().get(url)).expect(|response| -> bool { panic!("{}", response.status()) })
    };
    let (_, outputs, reason) = seen(panics, service().url_of("/items")).await;
    assert_eq!(reason, "panicked: 200 OK");
    assert_eq!((outputs.len(), outputs[0].error.as_deref()), (1, Some("content: panicked: 200 OK")));
}

#[tokio::test]
async fn request_that_was_not_sent_is_not_checked() {
    let (result, outputs) =
        triggered(golo::request("journey", golo::client().get("no url")).expect(|_| false).send()).await;
    assert!(result.unwrap_err().is_build() && outputs.is_empty());
}
