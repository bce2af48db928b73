//! A load test that reports each row of its feed as a check, because checks are counted over all agents. Parameters set
//! the number of rows or the file that has them, their order, and whether `setup` takes one.

use std::sync::Mutex;

use golo::{BoxError, Feed, Shared};

/// A row of a file.
#[derive(serde::Deserialize)]
struct Numbered {
    number: u32,
}

struct Dealer {
    feed: Feed<u32>,
    /// The row taken in `setup`, until a trigger reports it.
    in_setup: Mutex<Option<u32>>,
}

#[golo::loadtest(setup = set_up)]
async fn feeds(dealer: Shared<Dealer>) {
    let in_setup = dealer.in_setup.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    if in_setup.is_some() {
        tell(in_setup);
    }
    tell(dealer.feed.next().copied());
}

fn tell(row: Option<u32>) {
    let name = row.map_or_else(|| "no row left".to_owned(), |row| format!("row {row:02}"));
    golo::check(&name, true);
}

async fn set_up() -> Result<Dealer, BoxError> {
    let feed = match golo::param("FILE") {
        Some(path) => Feed::new(golo::feed::<Numbered>(path)?.rows().iter().map(|row| row.number))?,
        None => Feed::new(0..golo::param("ROWS").map_or(Ok(20), |rows| rows.parse())?)?,
    };
    let feed = match golo::param("ORDER").as_deref() {
        Some("unique") => feed.unique(),
        Some("sequential") => feed.sequential(),
        other => return Err(format!("no order of rows: {other:?}").into()),
    };
    let in_setup = golo::param("IN_SETUP").and_then(|_| feed.next().copied());
    Ok(Dealer { feed, in_setup: Mutex::new(in_setup) })
}
