//! Running jobs: records, start, changes, metrics.

use golo_proto::results::{ended, record};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::{Agent, Start, answer, kind};

#[tokio::test]
async fn records_of_a_job_are_served_from_begun_to_ended() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let share = json!({"index": 1, "of": 3});
    let job = json!({
        "name": "parts", "binary": binary, "users": 9, "duration": 2, "run": "run-7", "agent": "left", "share": share,
        "threshold": ["http_req_failed rate<1%"], "seed": 5, "env": {"ITEMS": 7},
    });
    let id = agent.queue(job).await;
    let records = agent.records(&id).await;
    let kinds: Vec<_> = records.iter().map(kind).collect();
    assert_eq!(kinds[..3], ["begun", "ready", "started"]);
    assert_eq!(kinds[kinds.len() - 2..], ["finished", "ended"]);
    assert!(kinds[3..kinds.len() - 2].iter().all(|kind| *kind == "second"), "{kinds:?}");
    let Some(record::Record::Begun(begun)) = &records[0].record else { panic!("{records:?}") };
    assert_eq!((begun.run.as_str(), begun.agent.as_str(), &begun.job, &begun.binary), ("run-7", "left", &id, &binary));
    assert_eq!(begun.thresholds, ["http_req_failed rate<1%"]);
    let plan = begun.plan.as_ref().unwrap();
    assert_eq!((plan.share.unwrap().index, plan.share.unwrap().of, plan.seed), (1, 3, 5));
    let Some(record::Record::Ended(ended)) = &records.last().unwrap().record else { panic!("{records:?}") };
    assert_eq!((ended.state(), ended.reason.as_str()), (ended::State::Completed, ""));
    assert!(records.windows(2).all(|pair| pair[0].at <= pair[1].at));
    let job = agent.job(&id).await;
    assert_eq!((&job["records"], &job["share"], &job["committed"]), (&json!(records.len()), &share, &json!(null)));
    let response = agent.call(Method::GET, &format!("/jobs/{id}/records?from=1000"), None).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()["golo-next"].to_str().unwrap(), records.len().to_string());
    let (status, _) = agent.get(&format!("/jobs/{id}/records?from=-1")).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn held_job_waits_for_its_start() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let id = agent.queue(json!({"binary": binary, "duration": 60, "hold": true})).await;
    agent.until_it(&id, "ready", |job| job["ready"] == true).await;
    let start = format!("/jobs/{id}/start");
    for wrong in [json!({"at": -1}), json!({"when": 0}), json!("now")] {
        assert_eq!(agent.post(&start, wrong).await.0, 400);
    }
    let far = agent.get("/clock").await.1["now"].as_u64().unwrap() + 700_000_000_000;
    for at in [far, u64::MAX] {
        let (status, refused) = agent.post(&start, json!({ "at": at })).await;
        let reason = refused["error"].as_str().unwrap();
        assert!(status == 400 && reason.contains("the agent's time is 1"), "{status} {refused}");
    }
    let (status, job) = agent.post(&start, json!({"at": 0})).await;
    assert_eq!(status, 200, "{job}");
    let (status, refused) = agent.post(&start, json!({"at": 0})).await;
    assert_eq!(status, 409, "{refused}");
    let job = agent.until(&id, "running").await;
    assert_eq!(job["ready"], false);
    let (status, clock) = agent.get("/clock").await;
    assert!(status == 200 && clock["now"].as_u64().unwrap() > 1_700_000_000_000_000_000, "{clock}");

    let other = agent.queue(json!({"binary": binary, "duration": 60})).await;
    let (status, refused) = agent.post(&format!("/jobs/{other}/start"), json!({})).await;
    assert_eq!(status, 409, "{refused}");
}

#[tokio::test]
async fn load_of_a_running_job_can_be_changed() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let id = agent.queue(json!({"binary": binary, "users": 5, "duration": 600})).await;
    agent.until(&id, "running").await;
    let path = format!("/jobs/{id}");
    let change = async |body| answer(agent.call(Method::PATCH, &path, Some(body)).await).await;
    let (status, job) = change(json!({"users": 7})).await;
    assert_eq!(status, 200, "{job}");
    for (wrong, reason) in [
        (json!({"rate": "5/s"}), "this job has users"),
        (json!({"rate": "fast"}), "`rate`: expected a number and a unit"),
        (json!({"users": -1}), "expected `{\"users\": 50}`"),
        (json!({"users": 1, "rate": "1/s"}), "expected `{\"users\": 50}`"),
        (json!({"duration": 5}), "expected `{\"users\": 50}`"),
    ] {
        let (status, answer) = change(wrong).await;
        assert!(status == 400 && answer["error"].as_str().unwrap().starts_with(reason), "{answer}");
    }
    for (wrong, reason) in [
        ("aborted=fast", "`aborted` is not a threshold"),
        ("died=", "`died` is empty"),
        ("died-of=a", "`died-of` needs `died`"),
        ("stopped=soon", "expected no parameters, or those of the end of the run"),
        ("because=x", "expected no parameters, or those of the end of the run"),
    ] {
        let (status, answer) = answer(agent.call(Method::DELETE, &format!("{path}?{wrong}"), None).await).await;
        assert!(status == 400 && answer["error"].as_str().unwrap().starts_with(reason), "{answer}");
    }
    answer(agent.call(Method::DELETE, &path, None).await).await;
    let job = agent.until(&id, "cancelled").await;
    assert_eq!(job["reason"], "it was stopped");
    let (status, answer) = change(json!({"users": 7})).await;
    assert_eq!(status, 409, "{answer}");
    let records = agent.records(&id).await;
    assert!(records.iter().any(|record| kind(record) == "adjusted"), "{records:?}");
    let Some(record::Record::Ended(ended)) = &records.last().unwrap().record else { panic!("{records:?}") };
    assert!(ended.state() == ended::State::Cancelled && ended.stopped.is_some(), "{ended:?}");
}

#[tokio::test]
async fn report_of_a_job_has_the_changes_of_its_load() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let id = agent.queue(json!({"binary": binary, "users": 5, "duration": 600})).await;
    agent.until(&id, "running").await;
    let path = format!("/jobs/{id}");
    for users in [7, 1] {
        let (status, job) = answer(agent.call(Method::PATCH, &path, Some(json!({ "users": users }))).await).await;
        assert_eq!(status, 200, "{job}");
    }
    let (status, refused) = answer(agent.call(Method::PATCH, &path, Some(json!({"rate": "5/s"}))).await).await;
    assert_eq!(status, 400, "{refused}");
    answer(agent.call(Method::DELETE, &path, None).await).await;
    agent.until(&id, "cancelled").await;
    agent.records(&id).await;
    let show = |flags: &[&str]| {
        let mut golo = std::process::Command::new(env!("CARGO_BIN_EXE_golo"));
        golo.args(["show", "latest", "--db"]).arg(agent.data.path().join("results.db")).args(flags);
        let shown = golo.output().unwrap();
        assert!(shown.status.success(), "{shown:?}");
        String::from_utf8(shown.stdout).unwrap()
    };
    let summary = show(&[]);
    assert!(summary.starts_with("STOPPED by an order "), "{summary}");
    let changed = summary.lines().find(|line| line.trim_start().starts_with("changed")).unwrap_or(&summary);
    assert!(changed.contains("to 7 users at ") && changed.contains(", to 1 user at "), "{summary}");
    let document: serde_json::Value = serde_json::from_str(&show(&["--json"])).unwrap();
    let changes = document["run"]["changes"].as_array().unwrap();
    let loads: Vec<_> = changes.iter().map(|change| change["load"].as_str().unwrap()).collect();
    assert_eq!(loads, ["7 users", "1 user"], "{document}");
    let times: Vec<_> = changes.iter().map(|change| change["at"].as_u64().unwrap()).collect();
    assert!(0 < times[0] && times[0] < times[1], "{times:?}");
}

#[tokio::test]
async fn job_fails_when_its_load_test_exits_with_an_error() {
    let agent = Agent::start();
    let script = b"#!/bin/sh\necho 'no database' >&2\nexit 3\n".to_vec();
    let (_, uploaded) = agent.upload(script).await;
    let id = agent.queue(json!({"binary": uploaded["binary"], "duration": 60})).await;
    let job = agent.until(&id, "failed").await;
    assert!(job["reason"].as_str().unwrap().contains("exited with code 3"), "{job}");
    agent.records(&id).await;
    let (status, stderr) = agent.get(&format!("/jobs/{id}/stderr")).await;
    assert!(status == 200 && stderr.as_str().unwrap().contains("no database"), "{stderr}");
}

#[tokio::test]
async fn metrics_endpoint_reports_jobs_and_users() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let id = agent.queue(json!({"binary": binary, "users": 3, "duration": 600})).await;
    agent.until_it(&id, "running with users", |job| job["state"] == "running" && job["users"] == 3).await;
    agent.get("/nothing").await;
    let (status, text) = agent.get("/metrics").await;
    let text = text.as_str().unwrap();
    assert_eq!(status, 200);
    for line in [
        "golo_agent_jobs{state=\"running\"} 1",
        "golo_agent_jobs{state=\"queued\"} 0",
        "golo_agent_users 3",
        "golo_agent_uploads_total 1",
        "golo_agent_http_requests_total{status=\"404\"} 1",
    ] {
        assert!(text.lines().any(|said| said == line), "{line}: {text}");
    }
    let bytes = text.lines().find_map(|line| line.strip_prefix("golo_agent_spool_bytes ")).unwrap();
    assert!(bytes.parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn long_path_of_temporary_files_does_not_prevent_a_job() {
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("x".repeat(120));
    std::fs::create_dir(&long).unwrap();
    let agent = Start::with(&[]).env("TMPDIR", long.to_str().unwrap()).agent();
    let binary = agent.load_test().await;
    let id = agent.queue(json!({"binary": binary, "duration": "100ms"})).await;
    agent.until(&id, "completed").await;
}
