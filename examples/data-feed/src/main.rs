//! Rows from a CSV file: each trigger takes the next row, and each row is used once in the whole run.
//!
//! ```text
//! cargo run --release -p data-feed -- run --users 4 --iterations 20
//! ```
//!
//! `orders.csv` has 20 rows. A trigger fails if no row is left. For longer runs use `sequential()`, which starts again
//! after the last row.
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use std::sync::LazyLock;

use golo::{Feed, Shared};
use serde::Deserialize;
use serde_json::json;

static TARGET: LazyLock<String> = LazyLock::new(|| golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn));

fn page(path: &str) -> String {
    format!("{}/{path}", TARGET.trim_end_matches('/'))
}

/// A row of `orders.csv`. Its header contains these field names.
#[derive(Deserialize)]
struct Order {
    user: String,
    item: u32,
}

/// Reads every row before the load starts. An invalid row stops the run here, with an error that contains its line
/// number.
async fn read() -> Result<Feed<Order>, golo::Error> {
    golo::feed(concat!(env!("CARGO_MANIFEST_DIR"), "/orders.csv")).map(Feed::unique)
}

#[golo::loadtest(name = "data-feed", setup = read)]
async fn buy(orders: Shared<Feed<Order>>) -> Result<(), golo::BoxError> {
    let Order { user, item } = orders.next().ok_or("orders.csv has no row left")?;
    let order = golo::new_sequence_id();

    let login = golo::client().post(page("login")).json(&json!({ "user": user, "password": "secret" }));
    golo::request(&order, login).expect_status(200).send().await?;

    let purchase = golo::client().post(page("buy")).json(&json!({ "item": item }));
    golo::request(&order, purchase).expect_status(201).send().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_row_is_used_once() {
        let orders = Shared::new(read().await.unwrap());
        for _ in 0..orders.len() {
            buy(orders.clone()).await.unwrap();
        }
        assert_eq!(buy(orders).await.unwrap_err().to_string(), "orders.csv has no row left");
    }
}
