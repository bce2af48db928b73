//! A load test whose requests have the header `traceparent` if that is on. Each path begins with the sequence ID. The
//! parameter `CLIENT` chooses a client of the load test's own.

use golo::BoxError;
use golo::reqwest::redirect::Policy;
use golo::reqwest::{Client, RequestBuilder};

/// Header that the load test itself sets.
const OWN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

#[golo::loadtest]
async fn traces() -> Result<(), BoxError> {
    let client = match golo::param("CLIENT").as_deref() {
        Some("own") => Client::new(),
        Some("own without redirects") => Client::builder().redirect(Policy::none()).build()?,
        _ => golo::client(),
    };
    let target = golo::param("TARGET_URL").unwrap_or_default();
    let get = |id: &str, name: &str| -> RequestBuilder { client.get(format!("{target}/{id}/{name}")) };
    let visit = golo::new_sequence_id();
    golo::do_request(&visit, get(&visit, "first")).await?;
    let (one, other) = tokio::join!(
        golo::do_request(&visit, get(&visit, "parallel")),
        golo::do_request(&visit, get(&visit, "parallel")),
    );
    one.and(other)?;
    golo::do_request(&visit, get(&visit, "redirect")).await?;
    // A client of the load test's own does not send it again.
    let _ = golo::do_request(&visit, get(&visit, "lost")).await;
    golo::do_request(&visit, get(&visit, "own").header("traceparent", OWN)).await?;
    golo::do_request(&visit, get(&visit, "invalid").header("traceparent", "mine")).await?;
    golo::do_request(&visit, get(&visit, "fails")).await?;
    let order = format!("order-{}", &visit[..8]);
    for name in ["order", "paid"] {
        golo::do_request(&order, get(&order, name)).await?;
    }
    golo::do_request("", get("none", "alone")).await?;
    Ok(())
}
