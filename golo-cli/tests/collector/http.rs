//! Records over HTTP, and stored results as JSON.

use std::net::SocketAddr;

use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::results::{Record, record};
use prost::Message as _;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::*;

async fn post(address: SocketAddr, path: &str, body: Vec<u8>) -> (u16, Value) {
    let answer = client().post(format!("http://{address}{path}")).body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let answer = client().get(format!("http://{address}{path}")).send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test]
async fn records_sent_twice_are_stored_once_and_served() {
    let place = Place::new();
    let address = collector(place.store()).await;
    let parts = [part("r", ("a", 0, 2), 70), part("r", ("b 1", 1, 2), 70)];
    let a = "/api/runs/r/agents/a/records";
    assert_eq!(get(address, "/api/runs/r/agents/a/next").await, (200, json!({ "next": 0 })));
    assert_eq!(post(address, &format!("{a}?from=0"), body(&parts[0][..4])).await, (200, json!({ "next": 4 })));
    assert_eq!(post(address, &format!("{a}?from=0"), body(&parts[0][..4])).await, (200, json!({ "next": 4 })));
    let (status, answer) = post(address, &format!("{a}?from=6"), body(&parts[0][6..])).await;
    assert_eq!((status, &answer["next"]), (409, &json!(4)));
    assert!(answer["error"].as_str().unwrap().contains("from number 4 on"));
    assert_eq!(get(address, "/api/runs/r/agents/a/next").await, (200, json!({ "next": 4 })));
    let end = parts[0].len();
    assert_eq!(post(address, &format!("{a}?from=3"), body(&parts[0][3..])).await, (200, json!({ "next": end })));
    let b = "/api/runs/r/agents/b%201/records?from=0";
    assert_eq!(post(address, b, body(&parts[1])).await.0, 200);

    let mut given =
        client().get(format!("http://{address}/api/runs/r/records")).send().await.unwrap().bytes().await.unwrap();
    let mut back: Vec<Vec<Record>> = Vec::new();
    while !given.is_empty() {
        let record = Record::decode_length_delimited(&mut given).unwrap();
        if matches!(record.record, Some(record::Record::Begun(_))) {
            back.push(Vec::new());
        }
        back.last_mut().unwrap().push(record);
    }
    assert_eq!(back.into_iter().map(sorted).collect::<Vec<_>>(), parts.map(sorted));
}

#[tokio::test]
async fn invalid_records_are_refused_with_a_reason() {
    let place = Place::new();
    let address = collector(place.store()).await;
    let records = part("r", ("a", 0, 1), 2);
    let whole = body(&records);
    let path = "/api/runs/r/agents/a/records";
    for (path, body, status, reason) in [
        (path.to_owned(), whole.clone(), 400, "missing field `from`"),
        (format!("{path}?from=-1"), whole.clone(), 400, "from"),
        (format!("{path}?from=0&to=3"), whole.clone(), 400, "unknown field `to`"),
        (format!("{path}?from=0"), whole[..whole.len() - 3].to_vec(), 400, "record 6 cannot be read"),
        (format!("{path}?from=0"), b"hello".to_vec(), 400, "record 0 cannot be read"),
        (format!("{path}?from=0"), body(&records[1..]), 400, "record 0 is not a `Begun`"),
        ("/api/runs/r/agents/b/records?from=0".to_owned(), whole.clone(), 400, "of the agent"),
        (
            format!("/api/runs/{}/agents/b/records?from=0", "r".repeat(200)),
            whole.clone(),
            400,
            "invalid name of a run, ",
        ),
        ("/api/runs/a%2Fb/agents/b/records?from=0".to_owned(), whole.clone(), 400, "invalid name of a run, "),
        (format!("{path}?from=0"), vec![0; (16 << 20) + 1], 413, "larger than 16 MiB"),
        (format!("{path}?from=0"), vec![0; 2 << 20], 400, "record 0 cannot be read: it is empty"),
        (format!("{path}?from=0"), many_series(200_001), 400, "it has 200001 series, steps and texts"),
        (format!("{path}?from=0"), many_steps(200_000), 400, "it has 200001 series, steps and texts"),
        (format!("{path}?from=0"), many_thresholds(200_001), 400, "it has 200001 series, steps and texts"),
        (format!("{path}?from=0&job=another"), whole.clone(), 400, "of the job"),
        ("/api/runs/latest/agents/a/records?from=0".to_owned(), whole.clone(), 400, "cannot have the ID `latest`"),
    ] {
        let (answered, answer) = post(address, &path, body).await;
        assert_eq!(answered, status, "{path}: {answer}");
        let answer = answer.to_string();
        assert!(answer.contains(reason), "{path}: {answer}");
    }
    assert_eq!(post(address, "/api/runs", Vec::new()).await.0, 405);
    assert_eq!(get(address, path).await.0, 404);
    assert_eq!(get(address, "/api/runs/none").await.0, 404);
    assert_eq!(get(address, "/api/runs/none/seconds").await.0, 404);
    assert_eq!(get(address, "/api/runs/none/series").await.0, 404);
    assert_eq!(get(address, "/api/runs/none/records").await.0, 404);
    assert_eq!(get(address, "/api/runs/none/else").await.0, 404);
    assert_eq!(get(address, "/api/runs").await, (200, json!({ "runs": [] })));
}

/// Returns a record that is small on the wire and large in memory.
fn many_series(series: usize) -> Vec<u8> {
    let requests = vec![pb::Series::default(); series];
    let snapshot = pb::Snapshot { requests, ..Default::default() };
    let second = pb::Second { elapsed: 1, users: 1, snapshot: Some(snapshot), connections: 0 };
    body(&[told(1, golo::wire::event(Event::Second(second)))])
}

/// Like [`many_series`], with the steps of one journey.
fn many_steps(steps: usize) -> Vec<u8> {
    let journey = pb::Journey { steps: vec![pb::Step::default(); steps], ..Default::default() };
    let rest = Some(pb::Snapshot { slowest: vec![journey], ..Default::default() });
    body(&[told(1, golo::wire::event(Event::Finished(pb::Finished { rest, ..Default::default() })))])
}

/// Like [`many_series`], with the thresholds of the first record.
fn many_thresholds(thresholds: usize) -> Vec<u8> {
    let mut begun = begun("r", "a", plan(1, 0, 1));
    let Some(record::Record::Begun(asked)) = &mut begun.record else { panic!() };
    asked.thresholds = vec![String::new(); thresholds];
    body(&[begun])
}

#[tokio::test]
async fn records_of_another_job_are_answered_with_409() {
    let place = Place::new();
    let address = collector(place.store()).await;
    let records = part("r", ("a", 0, 1), 3);
    let a = "/api/runs/r/agents/a";
    assert_eq!(get(address, &format!("{a}/next?job=job-of-a")).await, (200, json!({ "next": 0 })));
    let sent = post(address, &format!("{a}/records?from=0&job=job-of-a"), body(&records[..4])).await;
    assert_eq!(sent, (200, json!({ "next": 4 })));
    let refused = (409, json!({ "error": "told by another job", "job": "job-of-a" }));
    assert_eq!(get(address, &format!("{a}/next?job=another")).await, refused);
    for from in [0, 4] {
        let path = format!("{a}/records?from={from}&job=another");
        assert_eq!(post(address, &path, body(&records[from..])).await, refused);
    }
    for asked in ["", "?job=job-of-a"] {
        assert_eq!(get(address, &format!("{a}/next{asked}")).await, (200, json!({ "next": 4 })));
    }
}

#[tokio::test]
async fn batch_of_too_many_records_is_accepted_in_part() {
    let place = Place::new();
    let address = collector(place.store()).await;
    let mut records = part("r", ("a", 0, 1), 1);
    let end = records.split_off(3);
    let adjusted = pb::Adjusted { load: plan(1, 0, 9).load, ..Default::default() };
    records.resize(10_005, told(1, golo::wire::event(Event::Adjusted(adjusted))));
    records.extend(end);
    let path = |from: usize| format!("/api/runs/r/agents/a/records?from={from}");
    assert_eq!(post(address, &path(0), body(&records)).await, (200, json!({ "next": 10_000 })));
    let next = records.len();
    assert_eq!(post(address, &path(10_000), body(&records[10_000..])).await, (200, json!({ "next": next })));
    let store = golo_cli::results::store::Store::open_to_read(&place.db()).unwrap();
    assert_eq!(kept(&store, "r", "a").len(), next);
}

#[tokio::test]
async fn stored_results_are_served_as_json() {
    let place = Place::new();
    let address = collector(place.store()).await;
    let records = part("r", ("a", 0, 1), 3);
    post(address, "/api/runs/r/agents/a/records?from=0", body(&records)).await;
    let truth = truth(&[records]);
    let requests: u64 = truth.values().map(|truth| truth.durations.count()).sum();

    let (_, runs) = get(address, "/api/runs?limit=5").await;
    assert_eq!(runs["runs"][0]["run"], "r");
    assert_eq!(runs["runs"][0]["started_at"], "2026-11-22T10:05:13Z");
    assert_eq!(runs["runs"][0]["requests"], requests);
    assert!(runs["runs"][0].get("summary").is_none());
    for _ in 0..2 {
        let (_, runs) = get(address, "/api/runs?limit=5&summaries=true").await;
        assert_eq!(runs["runs"][0]["summary"]["requests"], requests);
        assert_eq!(runs["runs"][0]["summary"]["begun_at"], "2026-11-22T10:05:12Z");
        let kept: i64 = place.sql().query_row("SELECT requests FROM summaries", [], |row| row.get(0)).unwrap();
        assert_eq!(kept.unsigned_abs(), requests, "it is kept");
    }
    let (_, run) = get(address, "/api/runs/latest").await;
    assert_eq!((&run["state"], &run["parts"][0]["agent"]), (&json!("completed"), &json!("a")));
    assert_eq!(run["thresholds"], json!(["http_req_failed rate<1%", "http_req_duration p(99)<1s"]));

    let (_, series) = get(address, "/api/runs/r/series").await;
    let series = series["series"].as_array().unwrap();
    assert_eq!(series.len(), 15, "3 routes, each with 5 outcomes");
    let counted: u64 = series
        .iter()
        .filter(|series| series["outcome"] != "interrupted")
        .map(|series| series["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, requests);

    let (_, seconds) = get(address, "/api/runs/r/seconds?from=1&to=3").await;
    let seconds = seconds["seconds"].as_array().unwrap();
    assert_eq!(seconds.iter().map(|second| second["second"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    for second in seconds {
        assert_eq!(
            (&second["users"], &second["triggers_due"], &second["triggers_dropped"]),
            (&json!(10), &json!(120), &json!(3))
        );
        for route in second["routes"].as_array().unwrap() {
            let label = (0..3).map(label).find(|label| *label.route == *route["route"].as_str().unwrap()).unwrap();
            let truth = &truth[&(second["second"].as_u64().unwrap(), label)];
            assert_eq!(route["requests"], truth.durations.count());
            assert_eq!(route["failed"], truth.failed);
            assert_eq!(route["duration"]["p99_ns"], truth.durations.quantile(0.99).unwrap());
        }
    }
    for wrong in ["from=3&to=1", "from=0&to=1000000", "from=x", "since=1"] {
        assert_eq!(get(address, &format!("/api/runs/r/seconds?{wrong}")).await.0, 400, "{wrong}");
    }
    assert_eq!(get(address, "/api/runs?limit=x").await.0, 400);
    assert_eq!(get(address, "/api/runs?summaries=maybe").await.0, 400);
    assert_eq!(get(address, "/healthz").await, (200, json!({ "status": "ok" })));
    let (_, metrics) = get(address, "/metrics").await;
    let metrics = metrics.as_str().unwrap();
    assert!(metrics.contains("\ngolo_collector_records_total 8\n"), "{metrics}");
    assert!(metrics.contains("\ngolo_collector_outputs_total 0\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_agents_are_all_stored() {
    let place = Place::new();
    let address = collector(place.store()).await;
    let agents: Vec<_> =
        (0..20).map(|index| (format!("agent-{index}"), part("r", (&format!("agent-{index}"), index, 20), 4))).collect();
    let sending = agents.clone().into_iter().map(|(agent, records)| {
        tokio::spawn(async move {
            for (number, record) in records.iter().enumerate() {
                let path = format!("/api/runs/r/agents/{agent}/records?from={number}");
                let next = number + 1;
                assert_eq!(
                    post(address, &path, body(std::slice::from_ref(record))).await,
                    (200, json!({ "next": next }))
                );
            }
        })
    });
    for sent in sending.collect::<Vec<_>>() {
        sent.await.unwrap();
    }
    let (_, run) = get(address, "/api/runs/r").await;
    let parts: Vec<_> = agents.into_iter().map(|(_, records)| records).collect();
    let truth = truth(&parts);
    assert_eq!(run["requests"], truth.values().map(|truth| truth.durations.count()).sum::<u64>());
    assert_eq!(run["state"], "completed");
    let (_, seconds) = get(address, "/api/runs/r/seconds").await;
    for second in seconds["seconds"].as_array().unwrap() {
        for route in second["routes"].as_array().unwrap() {
            let label = (0..3).map(label).find(|label| *label.route == *route["route"].as_str().unwrap()).unwrap();
            let truth = &truth[&(second["second"].as_u64().unwrap(), label)];
            assert_eq!(route["duration"]["p99_ns"], truth.durations.quantile(0.99).unwrap());
        }
    }
}

#[tokio::test]
async fn full_database_is_answered_with_507_and_keeps_acknowledged_records() {
    let place = Place::new();
    let store = place.store();
    store.limit_bytes(300_000).unwrap();
    let address = collector(store).await;
    let records = part("r", ("a", 0, 1), 200);
    let mut next = 0;
    let (status, answer) = loop {
        let path = format!("/api/runs/r/agents/a/records?from={next}");
        match post(address, &path, body(&records[next..next + 1])).await {
            (200, answer) => next = usize::try_from(answer["next"].as_u64().unwrap()).unwrap(),
            refused => break refused,
        }
    };
    assert_eq!(status, StatusCode::INSUFFICIENT_STORAGE.as_u16());
    assert!(answer["error"].as_str().unwrap().contains("no room left"), "{answer}");
    assert_eq!(get(address, "/api/runs/r/agents/a/next").await, (200, json!({ "next": next })));
    let store = golo_cli::results::store::Store::open_to_read(&place.db()).unwrap();
    assert_eq!(sorted(kept(&store, "r", "a")), sorted(records[..next].to_vec()));

    let (status, health) = get(address, "/healthz").await;
    assert_eq!(status, 503);
    assert!(health["error"].as_str().unwrap().starts_with("results cannot be stored: the database has no room left"));
    // Requests with known or refused records need no room, so they do not show that there is room again.
    assert_eq!(post(address, "/api/runs/r/agents/a/records?from=0", body(&records[..2])).await.0, 200);
    assert_eq!(post(address, "/api/runs/r/agents/b/records?from=0", body(&records[..2])).await.0, 400);
    assert_eq!(get(address, "/healthz").await.0, 503);
    place.sql().execute_batch("DELETE FROM merged_seconds; DELETE FROM seconds;").unwrap();
    let path = format!("/api/runs/r/agents/a/records?from={next}");
    assert_eq!(post(address, &path, body(&records[next..next + 1])).await.0, 200);
    assert_eq!(get(address, "/healthz").await, (200, json!({ "status": "ok" })));
}

#[tokio::test]
async fn long_run_arrives_whole_although_it_is_read_in_pages() {
    let place = Place::new();
    let mut store = place.store();
    let records = part("r", ("a", 0, 1), 700);
    ingest(&mut store, ("r", "a"), 0, &records).unwrap();
    let address = collector(store).await;
    // 2,800 rows and more: a page has 1,000.
    let (_, all) = get(address, "/api/runs/r/seconds").await;
    let numbers = |answer: &Value| -> Vec<u64> {
        answer["seconds"].as_array().unwrap().iter().map(|second| second["second"].as_u64().unwrap()).collect()
    };
    assert_eq!((numbers(&all), &all["next"]), ((0..=700).collect(), &Value::Null));
    let (mut pages, mut next) = (Vec::new(), 0);
    while let Some(from) = all["seconds"].get(next) {
        let to = from["second"].as_u64().unwrap() + 300;
        let (_, page) = get(address, &format!("/api/runs/r/seconds?from={next}&to={to}")).await;
        pages.extend(page["seconds"].as_array().unwrap().clone());
        let Some(following) = page["next"].as_u64() else { break };
        next = usize::try_from(following).unwrap();
    }
    assert!(Value::from(pages) == all["seconds"]);

    let (mut received, path) = (Vec::new(), "/api/runs/r/agents/a/records");
    loop {
        let url = format!("http://{address}{path}?from={}&bytes=100000", received.len());
        let answer = client().get(url).send().await.unwrap();
        if answer.status() == 204 {
            break;
        }
        let mut body = answer.bytes().await.unwrap();
        assert!(body.len() < 200_000, "{} bytes", body.len());
        while !body.is_empty() {
            received.push(Record::decode_length_delimited(&mut body).unwrap());
        }
    }
    assert!(sorted(received) == sorted(records));
    assert_eq!(get(address, "/api/runs/r/agents/b/records").await.0, 404);
}
