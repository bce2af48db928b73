//! Users with their own session: they log in once, make many visits, and add their orders to a total when they stop.
//!
//! ```text
//! cargo run --release -p sessions -- run --users 50 --pace 1s --duration 10s
//! ```
//!
//! With this pace each user starts one visit per second, so 50 users make 50 visits per second. Users log in before the
//! clock starts, and logins are not measured.
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use golo::{BoxError, Context, Shared};
use serde::Deserialize;
use serde_json::json;

/// State shared by all users.
struct Shop {
    url: String,
    orders: AtomicU64,
}

impl Shop {
    fn page(&self, path: &str) -> String {
        format!("{}/{path}", self.url.trim_end_matches('/'))
    }
}

async fn open() -> Shop {
    let url = golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn);
    Shop { url, orders: AtomicU64::new(0) }
}

async fn close(shop: Shared<Shop>) {
    eprintln!("{} orders", shop.orders.load(Relaxed));
}

/// State that one user keeps between visits, besides its session cookie.
struct Shopper {
    name: String,
    orders: u64,
}

impl Shopper {
    async fn log_in(shop: &Shop, name: String) -> Result<Self, BoxError> {
        let login = golo::client().post(shop.page("login")).json(&json!({ "user": name, "password": "secret" }));
        login.send().await?.error_for_status()?;
        Ok(Self { name, orders: 0 })
    }
}

impl golo::User for Shopper {
    async fn start(context: &Context) -> Result<Self, BoxError> {
        let shop = Shared::<Shop>::current().ok_or("the shop is closed")?;
        Self::log_in(&shop, format!("shopper-{}", context.user.unwrap_or_default())).await
    }

    async fn stop(self) {
        if let Some(shop) = Shared::<Shop>::current() {
            shop.orders.fetch_add(self.orders, Relaxed);
        }
    }
}

#[derive(Deserialize)]
struct Account {
    user: String,
}

#[golo::loadtest(name = "sessions", setup = open, teardown = close)]
async fn visit(shopper: &mut Shopper, shop: Shared<Shop>) -> Result<(), BoxError> {
    let visit = golo::new_sequence_id();

    let account = golo::client().get(shop.page("account"));
    let account: Account = golo::request(&visit, account).expect_status(200).send().await?.json().await?;
    golo::check("the session is the user's own", account.user == shopper.name);

    golo::think(Duration::from_millis(100)..Duration::from_millis(300)).await;

    let purchase = golo::client().post(shop.page("buy")).json(&json!({ "item": 7 }));
    let bought = golo::request(&visit, purchase).expect_status(201).send().await?;
    shopper.orders += u64::from(golo::check("the purchase went through", bought.status() == 201));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_session_serves_many_visits() {
        let shop = Shared::new(open().await);
        let mut ann = Shopper::log_in(&shop, "ann".to_owned()).await.unwrap();
        for _ in 0..2 {
            visit(&mut ann, shop.clone()).await.unwrap();
        }
        assert_eq!(ann.orders, 2);
    }
}
