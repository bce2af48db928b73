//! Leases of jobs, and requests that arrive twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use golo_proto::engine::event::Event;
use golo_proto::results::{Ended, ended, record};
use reqwest::{Method, StatusCode};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Agent, Start, answer, kind};

const RAN_OUT: &str = "the lease of 1s ran out: the client gave no sign of life";

/// Renews a lease. Returns the status and the reason of a refusal.
async fn renew(agent: &Agent, id: &str) -> (StatusCode, String) {
    let (status, answer) = answer(agent.call(Method::POST, &format!("/jobs/{id}/lease"), None).await).await;
    (status, answer["error"].as_str().unwrap_or_default().to_owned())
}

async fn end(agent: &Agent, id: &str) -> Ended {
    match agent.records(id).await.pop().unwrap().record {
        Some(record::Record::Ended(ended)) => ended,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn running_job_whose_lease_is_not_renewed_stops_and_keeps_its_results() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let id = agent.queue(json!({"binary": binary, "users": 1, "duration": 600, "lease": "1s"})).await;
    let next = agent.queue(json!({"binary": binary, "users": 1, "duration": "100ms"})).await;
    assert_eq!(agent.job(&id).await["lease"], json!(1.0));
    let job = agent.until(&id, "failed").await;
    assert_eq!(job["reason"], RAN_OUT);
    assert!(job["elapsed"].as_f64().unwrap() > 0.0, "{job}");
    let ended = end(&agent, &id).await;
    assert_eq!((ended.state(), &*ended.reason, &*ended.died), (ended::State::Failed, RAN_OUT, RAN_OUT));
    assert!(ended.lease_over && ended.stopped.is_none(), "{ended:?}");
    let kinds: Vec<_> = agent.records(&id).await.iter().map(kind).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["finished", "ended"], "the measurements are whole");
    agent.until(&next, "completed").await;
    assert!(agent.said().contains(&format!("golo agent: stopping the job {id}: {RAN_OUT}")), "{}", agent.said());
}

#[tokio::test]
async fn held_and_waiting_jobs_live_as_long_as_their_leases() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let leased = json!({"binary": binary, "hold": true, "duration": "100ms", "lease": 2});
    let (held, waiting) = (agent.queue(leased.clone()).await, agent.queue(leased).await);
    // Renewed for longer than the lease.
    let begun = Instant::now();
    while begun.elapsed().as_secs() < 4 {
        for id in [&held, &waiting] {
            assert_eq!(renew(&agent, id).await.0, StatusCode::NO_CONTENT);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(agent.job(&held).await["ready"], true);
    assert_eq!(agent.job(&waiting).await["state"], "queued");
    for id in [&held, &waiting] {
        let job = agent.until(id, "failed").await;
        assert_eq!(job["reason"], RAN_OUT.replace("1s", "2s"));
    }
    assert_eq!(end(&agent, &waiting).await.reason, RAN_OUT.replace("1s", "2s"));
    // The queue is not blocked.
    let next = agent.queue(json!({"binary": binary, "users": 1, "duration": "100ms"})).await;
    agent.until(&next, "completed").await;
}

#[tokio::test]
async fn renewal_without_effect_is_refused_with_its_reason() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let conflict = |reason: &str| (StatusCode::CONFLICT, reason.to_owned());
    assert_eq!(renew(&agent, "none").await, (StatusCode::NOT_FOUND, "there is no such job".to_owned()));
    let without = agent.queue(json!({"binary": binary, "users": 1, "duration": "100ms"})).await;
    assert_eq!(renew(&agent, &without).await, conflict("the job was queued without `lease`"));
    agent.until(&without, "completed").await;
    let leased = |extra: Value| {
        let mut job = json!({"binary": binary, "users": 1, "duration": "100ms", "lease": 50});
        job.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        job
    };
    let completed = agent.queue(leased(json!({}))).await;
    agent.until(&completed, "completed").await;
    assert_eq!(renew(&agent, &completed).await, conflict("the job is completed"));
    let deleted = agent.queue(leased(json!({"hold": true}))).await;
    agent.until(&deleted, "starting").await;
    agent.call(Method::DELETE, &format!("/jobs/{deleted}?stopped=5"), None).await;
    agent.until(&deleted, "cancelled").await;
    assert_eq!(renew(&agent, &deleted).await, conflict("the job is cancelled: the run was stopped"));
    let over = agent.queue(leased(json!({"hold": true, "lease": 1}))).await;
    agent.until(&over, "failed").await;
    assert_eq!(renew(&agent, &over).await, conflict(&format!("the job is failed: {RAN_OUT}")));
}

#[tokio::test]
async fn running_job_can_be_left_alone_for_as_long_as_a_new_lease() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let id = agent.queue(json!({"binary": binary, "users": 1, "duration": 600, "lease": 3, "hold": true})).await;
    let path = format!("/jobs/{id}/lease");
    let lease = |lease: Value| agent.post(&path, lease);
    agent.until_it(&id, "ready", |job| job["ready"] == true).await;
    let (status, refused) = lease(json!({"lease": "1h"})).await;
    let reason = "the job is starting: a running job can be given another lease";
    assert_eq!((status, &refused["error"]), (StatusCode::CONFLICT, &json!(reason)));
    for (wrong, reason) in [
        (json!({"lease": "8d"}), "`lease` is 8d: expected a time from 1s to 7d, as 10s"),
        (json!({"lease": "169h"}), "`lease` is 169h: expected a time from 1s to 7d, as 10s"),
        (json!({"length": 5}), "expected no body, or `{\"lease\": TIME}`"),
        (json!([]), "expected no body, or `{\"lease\": TIME}`"),
    ] {
        let (status, answer) = lease(wrong).await;
        assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!(reason)));
    }
    agent.post(&format!("/jobs/{id}/start"), json!({"at": 0})).await;
    agent.until(&id, "running").await;
    let (status, job) = lease(json!({"lease": "100h"})).await;
    assert_eq!((status, &job["lease"]), (StatusCode::OK, &json!(360_000.0)));
    let begun = Instant::now();
    while begun.elapsed().as_secs() < 6 {
        assert_eq!(agent.job(&id).await["state"], "running");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It can be shortened too.
    assert_eq!(lease(json!({"lease": 1})).await.0, StatusCode::OK);
    assert_eq!(agent.until(&id, "failed").await["reason"], RAN_OUT);
}

#[tokio::test]
async fn lease_starts_anew_when_the_agent_does() {
    let mut agent = Agent::start();
    let binary = agent.load_test().await;
    let first = agent.queue(json!({"binary": binary, "hold": true})).await;
    agent.until(&first, "starting").await;
    let waiting = agent.queue(json!({"binary": binary, "hold": true, "duration": "100ms", "lease": 1})).await;
    agent.signal(Signal::KILL);
    agent.gone().await;
    let data = Arc::clone(&agent.data);
    drop(agent);
    let agent = Start::with(&[]).agent_in(data);
    assert_eq!(agent.until(&waiting, "failed").await["reason"], RAN_OUT);
}

#[tokio::test]
async fn request_that_arrives_several_times_queues_one_job() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let job = json!({"binary": binary, "run": "r1", "agent": "a1", "hold": true, "request": "q1"});
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let call = agent.client.post(format!("{}/queue", agent.url)).body(job.to_string());
            tokio::spawn(async move { answer(call.send().await.unwrap()).await })
        })
        .collect();
    let mut answers = Vec::new();
    for asked in asking {
        answers.push(asked.await.unwrap());
    }
    let id = answers[0].1["job"].as_str().unwrap();
    let expected = (StatusCode::CREATED, json!({"queued": true, "job": id, "run": "r1"}));
    assert!(answers.iter().all(|answer| *answer == expected), "{answers:?}");
    assert_eq!((agent.files("jobs"), agent.get("/jobs").await.1.as_array().unwrap().len()), (1, 1));
    let mut other = job.clone();
    other["request"] = json!("q2");
    assert_eq!(agent.post("/queue", other).await.0, StatusCode::CONFLICT);
    // A late repetition does not queue it again.
    agent.call(Method::DELETE, &format!("/jobs/{id}"), None).await;
    agent.until(id, "cancelled").await;
    assert_eq!(agent.post("/queue", job).await, expected);
    assert_eq!(agent.get("/jobs").await.1.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn start_that_arrives_twice_starts_the_job_once() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let id = agent.queue(json!({"binary": binary, "users": 1, "duration": "100ms", "hold": true})).await;
    agent.until_it(&id, "ready", |job| job["ready"] == true).await;
    let at = agent.get("/clock").await.1["now"].as_u64().unwrap() + 500_000_000;
    let start = format!("/jobs/{id}/start");
    for _ in 0..2 {
        let (status, answer) = agent.post(&start, json!({ "at": at, "ahead": -7 })).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }
    assert_eq!(agent.post(&start, json!({ "at": at + 1 })).await.0, StatusCode::CONFLICT);
    let job = agent.until(&id, "completed").await;
    let records = agent.records(&id).await;
    let events = records.iter().filter_map(|record| match &record.record {
        Some(record::Record::Event(event)) => event.event.as_ref(),
        _ => None,
    });
    let started: Vec<_> = events
        .filter_map(|event| match event {
            Event::Started(started) => Some((started.at >= at, started.ahead)),
            _ => None,
        })
        .collect();
    assert_eq!(started, [(true, -7)], "{job}");
}
