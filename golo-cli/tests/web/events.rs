//! The events of a run.

use std::time::Duration;

use golo::engine::RunEvent;
use golo::engine::plan::{Asked, Plan, Target};
use golo::report::MetricsOutput as _;
use serde_json::{Value, json};

use crate::support::{Page, Viewer};

fn tile<'a>(data: &'a Value, label: &str) -> &'a Value {
    let tiles = data["tiles"].as_array().unwrap();
    &tiles.iter().find(|tile| tile[0] == label).unwrap_or_else(|| panic!("no {label}: {data}"))[1]
}

#[tokio::test(flavor = "multi_thread")]
async fn viewer_gets_everything_then_each_second_then_the_end() {
    let mut page = Page::start();
    page.second(2, 10);
    page.second(2, 10);
    let mut viewer = page.viewer().await;
    let (name, state) = viewer.next().await.unwrap();
    assert_eq!((&*name, state["points"].as_array().unwrap().len()), ("state", 2));
    assert_eq!(state["columns"].as_array().unwrap().len(), state["points"][0].as_array().unwrap().len());
    assert_eq!((tile(&state, "requests"), tile(&state, "failed")), (&json!("40"), &json!("5%")));
    assert_eq!((&state["head"]["state"], &state["head"]["job"]), (&json!("running"), &json!("<b>sale</b>")));
    assert_eq!(state["view"], Value::Null, "nobody has looked before");
    page.second(2, 10);
    let second = viewer.until(|_, data| data.get("points").is_some()).await;
    assert_eq!(second["points"].as_array().unwrap().len(), 1, "only what is new");
    let numbers = second["points"][0].as_array().unwrap()[..3].to_vec();
    assert_eq!(numbers, [json!(3), json!(20), json!(1)], "time, requests and failures per second");
    assert!(second.get("head").is_none(), "it has not changed");
    assert_eq!(tile(&second, "requests"), "60");
    let view = match second.get("view") {
        Some(view) => view.clone(),
        None => viewer.until(|_, data| data.get("view").is_some()).await["view"].clone(),
    };
    let routes = &view["tables"][0];
    assert_eq!((&routes["id"], routes["table"]["rows"].as_array().unwrap().len()), (&json!("routes"), 2));
    assert_eq!(view["thresholds"][0], json!({"text": "http_req_failed rate<1%", "actual": "5%", "passed": false}));
    let outcome = page.end();
    let end = viewer.until(|name, _| name == "end").await;
    assert_eq!((&end["head"]["state"], &end["head"]["is_over"]), (&json!("PASSED"), &json!(true)));
    assert_eq!(end["points"].as_array().unwrap().len(), 3, "the last event has everything");
    let shown = golo::report::summary(&outcome, golo::report::Page::new(140, false));
    for figure in end["view"]["tiles"].as_array().unwrap() {
        let figure = figure[1].as_str().unwrap();
        assert!(shown.contains(figure), "{figure} is not in the summary: {shown}");
    }
    assert!(viewer.next().await.is_none(), "the stream ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn change_of_the_load_and_its_refusal_are_shown() {
    let mut page = Page::start();
    page.second(1, 1);
    let mut viewer = page.viewer().await;
    let plan = Plan::new(Asked { users: Some(5), ..Asked::default() }).unwrap();
    let changed = plan.adjusted(Duration::from_secs(1), Target::Users(20)).unwrap();
    page.output.event(&RunEvent::Adjusted(Ok(changed)), &page.totals);
    let head = viewer.until(|_, data| data["head"]["changes"][0].is_object()).await["head"].clone();
    assert_eq!((&head["level"], &head["control"]), (&json!(20.0), &json!("users")));
    assert_eq!(head["changes"][0], json!({"at": 1.0, "text": "to 20 users", "is_refused": false}));
    page.output.event(&RunEvent::Adjusted(Err("it is an open model".to_owned())), &page.totals);
    let head = viewer.until(|_, data| data["head"]["changes"][1].is_object()).await["head"].clone();
    assert_eq!(head["changes"][1]["is_refused"], true);
    assert_eq!((&head["level"], &head["changes"][1]["text"]), (&json!(20.0), &json!("it is an open model")));
}

#[tokio::test(flavor = "multi_thread")]
async fn viewer_that_does_not_read_delays_nothing() {
    let mut page = Page::start();
    let stuck = page.viewer().await;
    let begun = std::time::Instant::now();
    for _ in 0..2_000 {
        page.second(3, 3);
    }
    let per_second = begun.elapsed() / 2_000;
    assert!(per_second < Duration::from_millis(20), "{per_second:?} for a second of the run");
    let mut other = page.viewer().await;
    let (_, state) = other.next().await.unwrap();
    assert_eq!(state["points"].as_array().unwrap().len(), 2_000);
    page.end();
    let took = page.close();
    assert!(took < Duration::from_secs(3), "{took:?} until the process may exit");
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread")]
async fn page_closes_at_once_if_nobody_looks() {
    let mut page = Page::start();
    page.second(1, 1);
    page.end();
    let took = page.close();
    assert!(took < Duration::from_millis(500), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewer_receives_the_end_before_the_page_closes() {
    let mut page = Page::start();
    page.second(40, 40);
    let mut viewer = page.viewer().await;
    viewer.next().await.unwrap();
    page.end();
    let closing = tokio::task::spawn_blocking(move || page.close());
    let end = viewer.until(|name, _| name == "end").await;
    assert_eq!(end["view"]["tables"][0]["table"]["rows"].as_array().unwrap().len(), 40);
    drop(viewer);
    assert!(closing.await.unwrap() < Duration::from_secs(2));
}

/// Returns the bytes per second that a viewer receives over 12 seconds of a run with this many series.
async fn bytes_per_second(routes: u64) -> usize {
    const SECONDS: usize = 12;
    let mut page = Page::start();
    page.second(routes, 20);
    let mut viewer: Viewer = page.viewer().await;
    viewer.next().await.unwrap();
    let before = viewer.bytes;
    for second in 1..=SECONDS {
        page.second(routes, 20);
        let wanted = second + 1;
        viewer.until(|_, data| data["points"][0][0] == json!(wanted)).await;
        // The views are limited by the clock, so the seconds have to be real ones.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    (viewer.bytes - before) / SECONDS
}

#[tokio::test(flavor = "multi_thread")]
async fn viewer_receives_at_most_20_kb_a_second() {
    let (hundred, thousand) = tokio::join!(bytes_per_second(99), bytes_per_second(999));
    eprintln!("a viewer receives {hundred} bytes/s at 100 series, {thousand} bytes/s at 1,000");
    assert!(hundred < 20_000 && hundred > 1_000, "{hundred} at 100 series");
    assert!(thousand < 60_000 && thousand > 1_000, "{thousand} at 1,000 series");
}
