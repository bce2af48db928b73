//! Rows of a CSV: each trigger takes the next one, and each row is used once in the whole run.
//!
//! ```text
//! cargo run --release -p data-feed -- run --users 4 --iterations 20
//! ```
//!
//! `orders.csv` has 20 rows, and a trigger that finds none left fails. For a run of any length use `sequential()`, which
//! begins again after the last row. It loads a sample service that it starts itself, or `TARGET_URL`.

use std::sync::LazyLock;

use golo::{Feed, Shared};
use serde::Deserialize;
use serde_json::json;

static TARGET: LazyLock<String> = LazyLock::new(|| golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn));

fn page(path: &str) -> String {
    format!("{}/{path}", TARGET.trim_end_matches('/'))
}

/// A row of `orders.csv`, whose header names these fields.
#[derive(Deserialize)]
struct Order {
    user: String,
    item: u32,
}

/// Reads every row before the load begins: one that is no order ends it here, by its line.
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
