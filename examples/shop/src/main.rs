//! A shop with three kinds of visits: of 20, 14 browse, five search and one buys. Each user takes an account of its own
//! and logs in once.
//!
//! ```text
//! cargo run --release -p shop -- run --stage 5s:20,10s:20,5s:0
//! ```
//!
//! Without `TARGET_URL`, it starts a sample service and loads that.

use std::time::Duration;

use golo::extract::Document;
use golo::{BoxError, Context, Feed, Shared};
use serde::Deserialize;
use serde_json::json;

#[golo::loadtest(setup = open)]
mod shop {
    use super::*;

    struct Shop {
        url: String,
        accounts: Feed<Account>,
    }

    #[derive(Clone, Deserialize)]
    struct Account {
        user: String,
        tier: String,
    }

    /// A user with its account. Its cookies hold its session.
    struct Shopper(Account);

    async fn open() -> Result<Shop, golo::Error> {
        let url = golo::param("TARGET_URL").unwrap_or_else(sample_service::spawn);
        let accounts = golo::feed(concat!(env!("CARGO_MANIFEST_DIR"), "/accounts.csv"))?.unique();
        Ok(Shop { url: url.trim_end_matches('/').to_owned(), accounts })
    }

    impl golo::User for Shopper {
        async fn start(_: &Context) -> Result<Self, BoxError> {
            let shop = Shared::<Shop>::current().ok_or("there is no shop")?;
            let account = shop.accounts.next().ok_or("accounts.csv has no account left")?;
            let login = json!({ "user": account.user, "password": "secret" });
            golo::client().post(format!("{}/login", shop.url)).json(&login).send().await?.error_for_status()?;
            Ok(Self((*account).clone()))
        }
    }

    #[golo::scenario(weight = 70, thresholds = ["http_req_duration p(95)<2s"])]
    async fn browse(shopper: &mut Shopper, shop: Shared<Shop>) -> Result<(), BoxError> {
        golo::tag("tier", &shopper.0.tier);
        golo::do_request(&golo::new_sequence_id(), golo::client().get(format!("{}/", shop.url))).await?;
        golo::think(Duration::from_millis(5)..Duration::from_millis(20)).await;
        Ok(())
    }

    #[golo::scenario(weight = 25, thresholds = ["http_req_failed rate<1%"])]
    async fn search(shopper: &mut Shopper, shop: Shared<Shop>) -> Result<(), BoxError> {
        golo::tag("tier", &shopper.0.tier);
        golo::do_request(&golo::new_sequence_id(), golo::client().get(format!("{}/items", shop.url))).await?;
        Ok(())
    }

    #[golo::scenario(weight = 5, thresholds = ["group_duration{group:checkout} p(95)<2s", "cart_value avg>0"])]
    async fn buy(shopper: &mut Shopper, shop: Shared<Shop>) -> Result<(), BoxError> {
        golo::tag("tier", &shopper.0.tier);
        let (visit, client) = (golo::new_sequence_id(), golo::client());
        let items = golo::do_request(&visit, client.get(format!("{}/items", shop.url))).await?;
        let items = Document::read(items).await?;
        let (id, cents): (u64, f64) = (items.json("/3/id")?, items.json("/3/price")?);
        golo::group("checkout", async {
            golo::do_request(&visit, client.get(format!("{}/items/{id}", shop.url))).await?;
            let purchase = client.post(format!("{}/buy", shop.url)).json(&json!({ "item": id }));
            golo::request(&visit, purchase).expect_status(201).send().await?;
            Ok::<(), golo::RequestError>(())
        })
        .await?;
        golo::trend("cart_value").unit("EUR").record(cents / 100.0);
        Ok(())
    }
}
