//! Cost of the page. Run with `cargo test --release -p golo-cli --test web -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use crate::stored::records::{self, Place};
use crate::stored::viewer;
use crate::support::Page;

/// Returns the mean time that the run loop spends on a second.
fn per_second(page: &mut Page, routes: u64) -> Duration {
    const SECONDS: u32 = 100;
    let mut spent = Duration::ZERO;
    for _ in 0..SECONDS {
        let event = page.prepare(routes, 20);
        let begun = Instant::now();
        page.report(&event);
        spent += begun.elapsed();
    }
    spent / SECONDS
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn seconds_cost_little_without_viewers() {
    for routes in [99, 999] {
        let mut page = Page::start();
        let alone = per_second(&mut page, routes);
        let mut viewer = page.viewer().await;
        viewer.next().await.unwrap();
        let begun = Instant::now();
        let event = page.prepare(routes, 20);
        page.report(&event);
        let offered = begun.elapsed();
        let view = viewer.until(|_, data| data.get("view").is_some()).await;
        let (made, size) = (begun.elapsed(), view["view"].to_string().len());
        eprintln!(
            "{} series: {alone:.0?} a second without viewers; {offered:.0?} for the second that a viewer waits for, whose \
             tables arrive after {made:.0?} with {size} bytes",
            routes + 1
        );
        assert_eq!(view["view"]["tables"][0]["table"]["rows"].as_array().unwrap().len() as u64, routes);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures"]
async fn stored_hour_is_read_once() {
    let place = Place::new();
    let mut store = place.store();
    for (number, records) in records::part("hour", ("a", 0, 1), 3_600).chunks(600).enumerate() {
        records::ingest(&mut store, ("hour", "a"), number as u64 * 600, records).unwrap();
    }
    let (client, address) = (records::client(), records::collector(store).await);
    for attempt in ["first", "second"] {
        let begun = Instant::now();
        let mut viewer = viewer(&client, address, "hour").await;
        let (_, end) = viewer.next().await.unwrap();
        eprintln!("{attempt} load of a stored hour: {:.0?}, {} bytes", begun.elapsed(), viewer.bytes);
        assert_eq!(end["points"].as_array().unwrap().len(), 3_600);
    }
}
