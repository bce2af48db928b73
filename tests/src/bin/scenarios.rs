//! A load test of several scenarios. Each requests a path of its own, so that the target counts them.

use golo::{BoxError, Context, RequestError, Shared};

#[golo::loadtest(name = "shop", setup = prepare, teardown = clear)]
mod shop {
    use super::*;

    /// What `setup` of the load test returns.
    struct Target(String);

    /// What `setup` of one scenario returns.
    struct Prices(&'static str);

    /// State of users that browse, search and buy. Each logs in once.
    struct Shopper {
        journey: String,
        visits: u64,
    }

    impl golo::User for Shopper {
        async fn start(_: &Context) -> Result<Self, BoxError> {
            Ok(Self { journey: golo::new_sequence_id(), visits: 0 })
        }
    }

    /// State of users that restock.
    struct Clerk;

    impl golo::User for Clerk {
        async fn start(context: &Context) -> Result<Self, BoxError> {
            match context.scenario.as_deref() {
                Some("restock") => Ok(Self),
                other => Err(format!("a clerk was started for {other:?}").into()),
            }
        }
    }

    async fn prepare() -> Result<Target, BoxError> {
        let url = golo::param("TARGET_URL").ok_or("`TARGET_URL` is not set")?;
        Ok(Target(url.trim_end_matches('/').to_owned()))
    }

    async fn clear(_: Shared<Target>) {
        eprintln!("the load test is cleared");
    }

    async fn price() -> Prices {
        Prices("/items/3")
    }

    async fn clear_prices(prices: Shared<Prices>) {
        eprintln!("the prices {} are cleared", prices.0);
    }

    async fn get(journey: &str, target: &str, path: &str) -> Result<(), RequestError> {
        golo::do_request(journey, golo::client().get(format!("{target}{path}"))).await.map(drop)
    }

    #[golo::scenario(weight = 70)]
    async fn browse(shopper: &mut Shopper, target: Shared<Target>) -> Result<(), RequestError> {
        shopper.visits += 1;
        get(&shopper.journey, &target.0, "/").await
    }

    #[golo::scenario(weight = 25)]
    async fn search(shopper: &mut Shopper, context: Context, target: Shared<Target>) -> Result<(), BoxError> {
        shopper.visits += 1;
        golo::check("the context names the scenario", context.scenario.as_deref() == Some("search"));
        Ok(get(&shopper.journey, &target.0, "/items").await?)
    }

    /// Uses its own value of `setup`, and has a threshold.
    #[golo::scenario(weight = 5, setup = price, teardown = clear_prices, thresholds = ["iteration_failed rate<50%", "http_reqs count>=1"])]
    async fn buy(shopper: &mut Shopper, prices: Shared<Prices>) -> Result<(), BoxError> {
        shopper.visits += 1;
        let target = golo::param("TARGET_URL").ok_or("`TARGET_URL` is not set")?;
        Ok(get(&shopper.journey, target.trim_end_matches('/'), prices.0).await?)
    }

    /// Not among the weighted ones.
    #[golo::scenario(weight = 0)]
    async fn audit(target: Shared<Target>) -> Result<(), RequestError> {
        get(&golo::new_sequence_id(), &target.0, "/status/200").await
    }

    /// Runs beside the others, with a load and users of its own.
    #[golo::scenario(rate = "20/s", start = "1s", duration = "1s")]
    async fn restock(_: &mut Clerk, target: Shared<Target>) -> Result<(), RequestError> {
        get(&golo::new_sequence_id(), &target.0, "/bytes/10").await
    }
}
