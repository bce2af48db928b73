//! A load test with a raw identifier as its function name. Reports show its name without `r#`.

#[golo::loadtest]
async fn r#type() -> [golo::ResponseTag; 1] {
    [golo::ResponseTag { key: "kind".to_owned(), value: "raw".to_owned() }]
}
