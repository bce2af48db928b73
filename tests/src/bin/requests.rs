//! A load test that sends the same request many times. Parameters: `URL`, `METHOD`, `BODY_BYTES`, the number of
//! `REQUESTS` of a trigger, and the `PAUSE` after each, in milliseconds: `1000`, or `900-1100` for a random one.

use std::sync::OnceLock;
use std::time::Duration;

use golo::BoxError;
use golo::reqwest::Method;

/// The body of each request.
static BODY: OnceLock<Vec<u8>> = OnceLock::new();

#[golo::loadtest]
async fn requests() -> Result<(), BoxError> {
    let url = golo::param("URL").ok_or("the parameter `URL` is missing")?;
    let method: Method = golo::param("METHOD").as_deref().unwrap_or("GET").parse()?;
    let body = match golo::param("BODY_BYTES") {
        Some(bytes) => BODY.get_or_init(|| vec![b'x'; bytes.parse().unwrap_or_default()]),
        None => &[][..],
    };
    let pause = golo::param("PAUSE").unwrap_or_else(|| "0".to_owned());
    let (shortest, longest) = pause.split_once('-').unwrap_or((&pause, &pause));
    let pause = Duration::from_millis(shortest.parse()?)..=Duration::from_millis(longest.parse()?);
    let journey = golo::new_sequence_id();
    for _ in 0..golo::param("REQUESTS").map_or(Ok(1), |number| number.parse())? {
        let mut request = golo::client().request(method.clone(), &url);
        if !body.is_empty() {
            request = request.body(body);
        }
        // The summary has the failure. The trigger goes on, so that the number of requests is known in advance.
        let _ = golo::do_request(&journey, request).await;
        if !pause.end().is_zero() {
            golo::think(pause.clone()).await;
        }
    }
    Ok(())
}
