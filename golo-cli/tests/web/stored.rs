//! The collector's pages, of runs that have ended and of runs that are being pushed.

use std::net::SocketAddr;

use golo::report::Timeline;
use golo_cli::results::archive::{Archive, ArchiveArgs};
use golo_proto::results::Record;
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::Viewer;

/// Made-up runs, shared with the tests of the collector.
#[path = "../collector/support.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
pub(crate) mod records;

use records::{Place, body, client, collector, part};

pub(crate) async fn viewer(client: &Client, address: SocketAddr, run: &str) -> Viewer {
    Viewer::of(client.get(format!("http://{address}/runs/{run}/events")).send().await.unwrap())
}

async fn text(client: &Client, address: SocketAddr, path: &str) -> (u16, String) {
    let answer = client.get(format!("http://{address}{path}")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

async fn push(client: &Client, address: SocketAddr, (run, agent): (&str, &str), from: usize, records: &[Record]) {
    let url = format!("http://{address}/api/runs/{run}/agents/{agent}/records?from={from}");
    let answer = client.post(url).body(body(records)).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_run_has_the_figures_of_its_summary() {
    let place = Place::new();
    let mut store = place.store();
    records::ingest(&mut store, ("r1", "a"), 0, &part("r1", ("a", 0, 1), 20)).unwrap();
    let (client, address) = (client(), collector(store).await);
    let mut viewer = viewer(&client, address, "r1").await;
    let (name, end) = viewer.next().await.unwrap();
    assert_eq!((&*name, end["points"].as_array().unwrap().len()), ("end", 20));
    assert!(viewer.next().await.is_none());
    assert_eq!((&end["head"]["is_over"], &end["head"]["is_steered"]), (&json!(true), &json!(false)));
    let archive = Archive::open(ArchiveArgs::of_file(place.db())).unwrap();
    let outcome = archive.replay("r1", Some(Timeline::default()), |_| {}).unwrap().outcome;
    let summary = golo::report::summary(&outcome, golo::report::Page::new(140, false));
    assert!(summary.starts_with(end["head"]["state"].as_str().unwrap()), "{summary}");
    for row in end["view"]["tables"][0]["table"]["rows"].as_array().unwrap() {
        let line = summary.lines().find(|line| line.trim_start().starts_with(row[0].as_str().unwrap()));
        let line = line.unwrap_or_else(|| panic!("no {row}: {summary}"));
        let texts = row.as_array().unwrap().iter().skip(1).take(11);
        for text in texts.map(|cell| cell.as_str().or_else(|| cell[0].as_str()).unwrap()) {
            assert!(summary.contains(text), "{text} of {line}: {summary}");
        }
    }
    let (_, samples) = text(&client, address, "/runs/r1/failures").await;
    assert_eq!(serde_json::from_str::<Value>(&samples).unwrap(), json!({"samples": [], "further": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn run_is_followed_while_two_agents_push_it() {
    let place = Place::new();
    let (client, address) = (client(), collector(place.store()).await);
    let parts = ["a", "b"].map(|agent| part("r2", (agent, u64::from(agent == "b"), 2), 6));
    let all = parts[0].len();
    // The first record, the users, the start, and two seconds.
    for (agent, records) in ["a", "b"].into_iter().zip(&parts) {
        push(&client, address, ("r2", agent), 0, &records[..5]).await;
    }
    let (status, list) = text(&client, address, "/").await;
    assert!(status == 200 && list.contains("running") && list.contains("/runs/r2"), "{list}");
    let mut viewer = viewer(&client, address, "r2").await;
    let (name, state) = viewer.next().await.unwrap();
    assert_eq!((&*name, state["points"].as_array().unwrap().len()), ("state", 2));
    assert_eq!((&state["head"]["state"], &state["head"]["is_over"]), (&json!("running"), &json!(false)));
    assert_eq!(state["head"]["agents"][1], json!({"name": "b", "state": "running", "reason": ""}));
    // A second counts once both agents have reported it.
    push(&client, address, ("r2", "a"), 5, &parts[0][5..7]).await;
    push(&client, address, ("r2", "b"), 5, &parts[1][5..6]).await;
    let second = viewer.until(|_, data| data.get("points").is_some()).await;
    assert_eq!(second["points"][0][0], 3, "{second}");
    push(&client, address, ("r2", "a"), 7, &parts[0][7..all]).await;
    push(&client, address, ("r2", "b"), 6, &parts[1][6..all]).await;
    let end = viewer.until(|name, _| name == "end").await;
    assert_eq!(end["points"].as_array().unwrap().len(), 6);
    assert_eq!(end["head"]["agents"][0]["state"], "completed");
    // The same run, loaded anew by a collector that has never seen it run.
    let again = collector(place.store()).await;
    let (_, stored) = self::viewer(&client, again, "r2").await.next().await.unwrap();
    assert_eq!((&stored["head"]["state"], &stored["view"]), (&end["head"]["state"], &end["view"]));
    assert_eq!(stored["points"], end["points"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_in_pages_and_compared() {
    let place = Place::new();
    let mut store = place.store();
    for number in 0..53 {
        let run = format!("run-{number:02}");
        records::ingest(&mut store, (&run, "a"), 0, &part(&run, ("a", 0, 1), 9)).unwrap();
    }
    let (client, address) = (client(), collector(store).await);
    let (_, first) = text(&client, address, "/").await;
    let (_, second) = text(&client, address, "/?page=1").await;
    let count = |list: &str| list.matches("href=\"/runs/").count();
    assert_eq!((count(&first), count(&second)), (50, 3));
    assert!(first.contains("/?page=1") && second.contains("/?page=0") && !second.contains("/?page=2"));
    assert!(first.find("run-52") < first.find("run-51"), "the newest first");
    let (status, compared) = text(&client, address, "/compare?a=run-00&b=run-01").await;
    assert_eq!(status, 200);
    // The made-up runs have lost a worker, so that a comparison misleads.
    assert!(compared.contains("NOT COMPARED") && compared.contains("INVALID"), "{compared}");
    let (_, compared) = text(&client, address, "/compare?a=run-00&b=run-01&force=1").await;
    for part in ["http_req_duration p95", "0.0% to 0.0%", "<svg class=\"plain\"", "GET /0/{id}"] {
        assert!(compared.contains(part), "no {part}: {compared}");
    }
    for path in ["/runs/none", "/compare?a=none&b=run-01", "/runs/%3Cb%3E"] {
        let (status, page) = text(&client, address, path).await;
        assert!(status == 404 && page.contains("no run is called") && !page.contains("<b>"), "{path}: {status} {page}");
    }
}
