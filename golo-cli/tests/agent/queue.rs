//! Queued jobs: validation, limits, order.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Agent, Start, answer, raw, status};

#[tokio::test]
async fn queue_request_of_go_lo_is_run() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let job = json!({"name": "simple_job_runner", "users": 10, "duration": 1, "binary": binary}).to_string();
    // The go-lo command line sends no content type.
    let request = format!(
        "POST /queue HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{job}",
        agent.address(),
        job.len()
    );
    let answered = raw(agent.address(), &request).await;
    assert_eq!(status(&answered), 201, "{answered}");
    let answered: Value = serde_json::from_str(answered.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(answered["queued"], true);
    let id = answered["job"].as_str().unwrap();
    agent.until(id, "completed").await;
    // Its last record may be written slightly later.
    agent.records(id).await;
    let job = agent.job(id).await;
    let said = |key: &str| job[key].as_str().unwrap().to_owned();
    assert_eq!(
        (said("name"), said("plan"), said("reason")),
        ("simple_job_runner".into(), "10 users for 1s".into(), String::new())
    );
    assert_eq!((said("run"), said("binary")), (answered["run"].as_str().unwrap().to_owned(), binary));
    assert!(said("queued_at") <= said("started_at") && said("started_at") < said("ended_at"), "{job}");
    let (_, all) = agent.get("/jobs").await;
    assert_eq!(all.as_array().unwrap(), &[job]);
}

#[tokio::test]
async fn one_job_runs_and_32_wait() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let held = json!({"name": "first", "binary": binary, "hold": true});
    let first = agent.queue(held.clone()).await;
    agent.until(&first, "starting").await;
    let mut waiting = Vec::new();
    for number in 0..32 {
        let job = json!({"name": format!("job {number}"), "binary": binary, "duration": "100ms"});
        waiting.push(agent.queue(job).await);
    }
    let (status, refused) = agent.post("/queue", held).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{refused}");
    assert!(refused["error"].as_str().unwrap().starts_with("32 jobs are already waiting"), "{refused}");
    let (_, all) = agent.get("/jobs").await;
    let states: Vec<_> = all.as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap()).collect();
    assert_eq!(states.len(), 33, "one that is turned away is not listed");
    assert!(states[0] == "starting" && states[1..].iter().all(|state| *state == "queued"), "{states:?}");
    for id in waiting.drain(2..) {
        let (_, job) = answer(agent.call(Method::DELETE, &format!("/jobs/{id}"), None).await).await;
        assert_eq!(
            (&job["state"], &job["reason"]),
            (&json!("cancelled"), &json!("it was stopped before the job started"))
        );
    }
    agent.call(Method::DELETE, &format!("/jobs/{first}"), None).await;
    let first = agent.until(&first, "cancelled").await;
    let (second, third) = (agent.until(&waiting[0], "completed").await, agent.until(&waiting[1], "completed").await);
    let moment = |job: &Value, key: &str| job[key].as_str().unwrap().to_owned();
    assert!(moment(&first, "ended_at") < moment(&second, "started_at"), "{first} {second}");
    assert!(moment(&second, "ended_at") < moment(&third, "started_at"), "{second} {third}");
}

#[tokio::test]
async fn invalid_job_is_refused_with_its_reason() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    for (job, reason) in [
        (json!({"binary": binary, "user": 5}), "`user` is not the name of a flag of `run`; did you mean `users`?"),
        (json!({"binary": binary, "users": 5, "rate": "5/s"}), "`--users` and `--rate` are two kinds of plan"),
        (json!({"binary": binary, "duration": "soon"}), "`duration`: "),
        (json!({"binary": "0".repeat(64)}), "`binary` is unknown"),
        (json!({"binary": "../../../bin/sh"}), "`binary` is unknown"),
        (json!({"name": "x"}), "`binary` is missing"),
        (json!({"binary": binary, "run": "latest"}), "`run` is `latest`"),
        (json!({"binary": binary, "out": "jsonl=/tmp/x"}), "`out` is not possible in a job of an agent"),
        (json!(["x"]), "expected an object"),
    ] {
        let (status, answer) = agent.post("/queue", job.clone()).await;
        assert!(!answer.to_string().contains("secret"), "{answer}");
        assert!(status == 400 && answer["error"].as_str().unwrap().contains(reason), "{job}: {status} {answer}");
    }
    let client = &agent.client;
    let url = format!("{}/queue", agent.url);
    for body in ["", "{", "{\"name\": \"x\"", "\u{0}", "nonsense"] {
        let (status, answer) = answer(client.post(&url).body(body).send().await.unwrap()).await;
        assert!(
            status == 400 && answer["error"].as_str().unwrap().starts_with("the body is not valid JSON"),
            "{answer}"
        );
    }
    let deep = "[".repeat(100_000);
    let (status, _) = answer(client.post(&url).body(deep).send().await.unwrap()).await;
    assert_eq!(status, 400);
    assert_eq!(agent.get("/jobs").await.1, json!([]));
}

#[tokio::test]
async fn invalid_requests_are_answered_in_json() {
    let agent = Agent::start();
    let large = agent.client.post(format!("{}/queue", agent.url)).body(vec![b' '; 3 << 20]).send().await.unwrap();
    let (status, answer_of_it) = answer(large).await;
    assert_eq!(status, 413, "{answer_of_it}");
    assert_eq!(answer_of_it["error"], "the body is larger than 1 MiB");
    for (method, path, allowed) in [
        (Method::GET, "/queue", "POST"),
        (Method::GET, "/upload", "POST"),
        (Method::PUT, "/jobs", "GET,HEAD"),
        (Method::POST, "/jobs/x", "GET,HEAD,PATCH,DELETE"),
    ] {
        let response = agent.call(method.clone(), path, None).await;
        let mut said: Vec<_> = response.headers()["allow"].to_str().unwrap().split(',').map(str::to_owned).collect();
        let mut expected: Vec<_> = allowed.split(',').map(str::to_owned).collect();
        said.sort();
        expected.sort();
        let (status, answer) = answer(response).await;
        assert_eq!((status, said), (StatusCode::METHOD_NOT_ALLOWED, expected), "{method} {path}: {answer}");
        assert!(answer["error"].as_str().unwrap().starts_with("this takes "), "{answer}");
    }
    for path in ["/", "/nothing", "/jobs/none", "/jobs/none/records", "/jobs/none/stderr"] {
        let (status, answer) = agent.get(path).await;
        assert!(status == 404 && answer["error"].is_string(), "{path}: {status} {answer}");
    }
    let (status, answer) = agent.get("/healthz").await;
    assert_eq!((status, answer), (StatusCode::OK, json!({"status": "ok"})));
}

#[tokio::test]
async fn job_beyond_a_limit_is_refused() {
    let agent = Start::with(&["--max-users", "20", "--max-duration", "1m", "--allow-target", "127.0.0.1:1"]).agent();
    let binary = agent.load_test().await;
    for (mut job, reason) in [
        (json!({"users": 21}), "21 users exceed this agent's `--max-users` of 20"),
        (json!({}), "25 users exceed this agent's `--max-users` of 20"),
        (json!({"stage": ["10s:5", "10s:30"]}), "30 users exceed"),
        (json!({"rate": "5/s"}), "`max-users` of 10000 exceeds this agent's `--max-users` of 20"),
        (json!({"users": 1, "duration": "59s", "warm-up": "2s"}), "warm-up and duration of 61s exceeds"),
        (json!({"users": 1, "iterations": 5}), "this agent's `--max-duration` is 60s"),
        (json!({"users": 1, "graceful-stop": "2m"}), "graceful-stop of 120s exceeds"),
        (
            json!({"users": 1, "proxy": "http://ann:secret@127.0.0.1:2"}),
            "the proxy `http://127.0.0.1:2` is not allowed; allowed targets: 127.0.0.1:1",
        ),
        (
            json!({"users": 1, "env": {"https_proxy": "http://ann:secret@127.0.0.1:2"}}),
            "`env` has `https_proxy`: the proxy `http://127.0.0.1:2` is not allowed; allowed targets: 127.0.0.1:1",
        ),
        (
            json!({"users": 1, "resolve": "127.0.0.1:1:127.0.0.2"}),
            "`--resolve 127.0.0.1:1:127.0.0.2` is not allowed; allowed targets: 127.0.0.1:1",
        ),
        (json!({"users": 1, "unix_socket": "/run/shop.sock"}), "`--unix-socket` is not allowed; allowed targets: 127"),
        (json!({"users": 1, "proxy": "http://ann:secret@h/path"}), "`--proxy`: `http://h/path`: expected `env`"),
    ] {
        job["binary"] = json!(binary);
        let (status, answer) = agent.post("/queue", job.clone()).await;
        assert!(status == 400 && answer["error"].as_str().unwrap().contains(reason), "{job}: {status} {answer}");
    }
    // The limit applies to the share: 20 of these 40 users.
    agent.queue(json!({"binary": binary, "users": 40, "share": {"index": 1, "of": 2}, "duration": "100ms"})).await;
}

#[tokio::test]
async fn second_job_for_the_same_part_is_refused() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let job = json!({"binary": binary, "run": "r1", "agent": "a1", "duration": "100ms"});
    agent.queue(job.clone()).await;
    let (status, answer) = agent.post("/queue", job).await;
    assert_eq!(status, 409, "{answer}");
}

#[tokio::test]
async fn one_of_many_concurrent_jobs_for_a_part_is_accepted() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    for round in 0..5 {
        let job = json!({"binary": binary, "run": format!("r{round}"), "agent": "a1", "duration": "100ms"});
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let call = agent.client.post(format!("{}/queue", agent.url)).body(job.to_string());
                tokio::spawn(async move { call.send().await.unwrap().status().as_u16() })
            })
            .collect();
        let mut statuses = Vec::new();
        for asked in asking {
            statuses.push(asked.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [[201].as_slice(), &[409; 7]].concat());
    }
    assert_eq!(agent.files("jobs"), 5);
}
