//! Errors: one row per reason, and no secret in any report.

use std::fs;

use serde_json::Value;

use crate::call::{Call, Ran, sample};

/// Returns kind, text and count of each error in the summary.
fn errors(ran: &Ran) -> Vec<(String, String, u64)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let summary = ran.summary();
    let errors = summary["errors"].as_array().unwrap().iter();
    errors.map(|error| (text(&error["kind"]), text(&error["text"]), error["count"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn request_that_fails_its_trigger_is_one_row() {
    let target = sample();
    let refused = "Connection refused (os error 111)";
    for (job, kind, text) in [
        ("refused", "connect", refused),
        ("refused and wrapped", "connect", refused),
        ("a step fails", "other", "no row {…}"),
    ] {
        let ran = Call::new(&target, job, "-u 2 -i 300").finish().await;
        assert_eq!(errors(&ran), [(kind.to_owned(), text.to_owned(), 300)], "{job}");
        assert_eq!(ran.summary()["triggers"]["failed"], 300, "{job}");
    }
}

#[tokio::test]
async fn varying_reasons_are_one_row() {
    let target = sample();
    let ran = Call::new(&target, "vary", "-u 2 -i 300").finish().await;
    let text = "no user {…} at {…}, line {…}";
    assert_eq!(errors(&ran), [("returned".to_owned(), text.to_owned(), 300)]);
    assert_eq!(ran.table("failures")[0]["error"], text);
    assert!(ran.finished.stdout.iter().any(|line| line.contains(text)));
}

#[tokio::test]
async fn queries_are_in_raw_lines_but_in_no_report() {
    let target = sample();
    let ran = Call::new(&target, "secrets", "-u 2 -i 50").finish().await;
    for text in &ran.finished.stdout {
        assert!(!text.contains("s3cret"), "{text}");
    }
    for name in ["summary.json", "junit.xml", "run_stats.csv", "run_stats_history.csv", "run_failures.csv"] {
        let text = fs::read_to_string(ran.path(name)).unwrap();
        assert!(!text.contains("s3cret"), "{name}: {text}");
    }
    let summary = ran.summary();
    let routes = summary["requests"]["routes"].as_array().unwrap();
    assert!(routes.iter().any(|route| route["route"] == "/items/1?api_key={…}"), "{routes:#?}");
    let requested = ran.outputs();
    assert_eq!(
        requested.iter().filter(|output| output["url"].as_str().unwrap().contains("api_key=s3cret")).count(),
        30
    );
}
