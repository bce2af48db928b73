//! A load test whose name is a keyword, and whose name in reports is not raw.

#[golo::loadtest]
async fn r#type() -> [golo::ResponseTag; 1] {
    [golo::ResponseTag { key: "kind".to_owned(), value: "raw".to_owned() }]
}
