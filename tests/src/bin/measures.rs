//! A load test with metrics of its own, tags and groups. The job name selects what a trigger does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use golo::{BoxError, Context, User};

/// Number of triggers so far, including those of the warm-up.
static TRIGGERS: AtomicU64 = AtomicU64::new(0);

/// A user whose start and stop record values, which must not count.
struct Shopper;

impl User for Shopper {
    async fn start(_: &Context) -> Result<Self, BoxError> {
        golo::counter("orders").add(1_000_000);
        golo::group("start", async { golo::tag("tenant", "nobody") }).await;
        Ok(Self)
    }

    async fn stop(self) {
        golo::counter("orders").add(1_000_000);
    }
}

async fn set_up() -> Result<(), BoxError> {
    golo::gauge("queue").set(-1);
    Ok(())
}

#[golo::loadtest(setup = set_up)]
async fn measures(context: Context, _: &mut Shopper) -> Result<(), BoxError> {
    let journey = golo::new_sequence_id();
    let number = TRIGGERS.fetch_add(1, Ordering::Relaxed);
    match &*context.job_name {
        "shop" => shop(&journey, number).await?,
        "many tags" => {
            golo::tag("id", &number.to_string());
            get(&journey, "items").await?;
            golo::counter("orders").add(1);
        }
        "odd values" => {
            golo::trend("latency").record(f64::NAN);
            golo::trend("latency").record(f64::INFINITY);
            golo::counter("orders").add(-1);
            golo::gauge("orders").set(1);
            golo::rate("vus").add(true);
            golo::trend("a name with spaces").record(1);
        }
        "broken groups" => {
            let slow = golo::group("slow", async { tokio::time::sleep(Duration::from_secs(60)).await });
            let _ = tokio::time::timeout(Duration::from_millis(1), slow).await;
            let _ = golo::group("failing", get(&journey, "status/500")).await;
            golo::group("thinking", golo::think(Duration::from_millis(100))).await;
        }
        "hang in a group" => {
            golo::group("hanging", async { tokio::time::sleep(Duration::from_secs(60)).await }).await;
        }
        other => return Err(format!("nothing is called {other}").into()),
    }
    Ok(())
}

/// Makes four requests: two in the group `checkout`, one of them in a task, and one in the group `pay` within it.
async fn shop(journey: &str, number: u64) -> Result<(), BoxError> {
    let is_even = number.is_multiple_of(2);
    golo::tag("tenant", if is_even { "blue" } else { "green" });
    get(journey, "").await?;
    golo::group("checkout", async {
        get(journey, "items").await?;
        let task = journey.to_owned();
        golo::spawn(async move { get(&task, "items/1").await }).await??;
        golo::group("pay", get(journey, "items/2")).await?;
        Ok::<_, BoxError>(())
    })
    .await?;
    golo::counter("orders").add(1);
    golo::counter("revenue").unit("EUR").add(2.5);
    golo::trend("cart_value").unit("EUR").record(number % 10);
    golo::gauge("queue").set(number % 7);
    golo::rate("hits").tag("cache", "edge").add(is_even);
    Ok(())
}

async fn get(journey: &str, path: &str) -> Result<(), golo::RequestError> {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    let request = golo::request(journey, golo::client().get(format!("{target}{path}")));
    let request = if path == "items/2" { request.tag("by", "card \"gold\"") } else { request };
    request.send().await.map(drop)
}
