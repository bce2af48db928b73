//! A visit to a shop: log in, list the items, look at one, buy it. All requests share one sequence ID, and each user
//! keeps its name and cookies.
//!
//! ```text
//! cargo run -p journey -- once
//! ```
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use std::time::Duration;

use golo::{Context, Shared};
use serde::{Deserialize, Serialize};

/// The shop's address, shared by all users.
struct Shop {
    url: String,
}

impl Shop {
    fn page(&self, path: &str) -> String {
        format!("{}/{path}", self.url.trim_end_matches('/'))
    }
}

async fn open() -> Shop {
    Shop { url: golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn) }
}

/// A user, which lives across all of its visits.
struct Shopper {
    name: String,
    logged_in: bool,
    orders: usize,
}

impl golo::User for Shopper {
    async fn start(context: &Context) -> Result<Self, golo::BoxError> {
        let name = format!("shopper-{}", context.user.unwrap_or_default());
        Ok(Self { name, logged_in: false, orders: 0 })
    }
}

#[derive(Serialize)]
struct Login<'a> {
    user: &'a str,
    password: &'a str,
}

#[derive(Deserialize, Serialize)]
struct Item {
    id: u32,
}

#[derive(Serialize)]
struct Purchase {
    item: u32,
}

#[golo::loadtest(setup = open)]
async fn journey(shopper: &mut Shopper, shop: Shared<Shop>) -> Result<(), golo::BoxError> {
    let client = golo::client();
    let visit = golo::new_sequence_id();

    if !shopper.logged_in {
        let login = Login { user: &shopper.name, password: "secret" };
        let response = golo::do_request(&visit, client.post(shop.page("login")).json(&login)).await?;
        shopper.logged_in = response.status().is_success();
    }

    let items: Vec<Item> = golo::do_request(&visit, client.get(shop.page("items"))).await?.json().await?;
    golo::check("the shop has items", !items.is_empty());
    golo::think(Duration::from_millis(5)..Duration::from_millis(20)).await;

    let choice = items.get(shopper.orders % items.len().max(1)).ok_or("the shop has no items")?;
    let item = client.get(shop.page(&format!("items/{}", choice.id)));
    golo::request(&visit, item).route("/items/{id}").send().await?;

    // The cookie set by the login carries the session. Each user has its own cookies.
    let purchase = client.post(shop.page("buy")).json(&Purchase { item: choice.id });
    let bought = golo::request(&visit, purchase).expect_status(201).send().await?;
    shopper.orders += usize::from(golo::check("the purchase went through", bought.status() == 201));
    Ok(())
}
