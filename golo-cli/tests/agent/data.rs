//! Files of test data of jobs, and what `setup` returns for other members of the run.

use std::os::unix::fs::PermissionsExt as _;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Agent, Start, answer};

async fn upload(agent: &Agent, bytes: Vec<u8>) -> (StatusCode, Value) {
    let form = Form::new().part("file", Part::bytes(bytes).file_name("rows.csv"));
    answer(agent.client.post(format!("{}/files", agent.url)).multipart(form).send().await.unwrap()).await
}

#[tokio::test]
async fn uploaded_file_is_stored_once_and_is_no_load_test() {
    let agent = Agent::start();
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let (status, answer) = upload(&agent, b"number\n7\n".to_vec()).await;
        assert_eq!(status, 200, "{answer}");
        hashes.push(answer["file"].as_str().unwrap().to_owned());
    }
    assert_eq!((&hashes[0], agent.files("files"), agent.files("binaries")), (&hashes[1], 1, 0));
    let stored = agent.data.path().join("files").join(&hashes[0]);
    assert_eq!(stored.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let is_there = async |path: &str| agent.call(Method::HEAD, &format!("/{path}/{}", hashes[0]), None).await.status();
    assert_eq!((is_there("files").await, is_there("binaries").await), (StatusCode::OK, StatusCode::NOT_FOUND));
    let (status, answer) = agent.post("/queue", json!({ "binary": hashes[0] })).await;
    assert!(status == 400 && answer["error"].as_str().unwrap().starts_with("`binary` is unknown"), "{answer}");
}

#[tokio::test]
async fn file_that_is_too_large_is_refused() {
    let agent = Start::with(&["--max-upload", "1MiB"]).agent();
    let (status, answer) = upload(&agent, vec![b'x'; (1 << 20) + 1]).await;
    assert!(status == 413 && answer["error"].as_str().unwrap().starts_with("the file is larger"), "{answer}");
    assert_eq!((agent.files("files"), agent.files("uploads")), (0, 0));
}

#[tokio::test]
async fn names_outside_of_the_jobs_folder_and_unknown_files_are_refused() {
    let agent = Agent::start();
    let binary = agent.load_test().await;
    let (_, uploaded) = upload(&agent, b"x".to_vec()).await;
    let hash = uploaded["file"].as_str().unwrap();
    for (data, reason) in [
        (json!({ "../rows.csv": hash }), "`data`: `../rows.csv`: expected the path of a file below"),
        (json!({ "a/../../rows.csv": hash }), "`data`: `a/../../rows.csv`: expected the path of a file below"),
        (json!({ "/tmp/rows.csv": hash }), "`data`: `/tmp/rows.csv`: expected the path of a file below"),
        (json!({ "rows.csv": "../golo-agent.lock" }), "`data`: the file for `rows.csv` is unknown"),
        (json!({ "rows.csv": "0".repeat(64) }), "`data`: the file for `rows.csv` is unknown"),
    ] {
        let (status, answer) = agent.post("/queue", json!({ "binary": binary, "data": data })).await;
        assert!(status == 400 && answer["error"].as_str().unwrap().starts_with(reason), "{status} {answer}");
    }
    assert_eq!(agent.files("jobs"), 0);
}

#[tokio::test]
async fn values_of_setup_are_limited_and_go_to_open_jobs_only() {
    let agent = Agent::start();
    let job = agent.queue(json!({ "binary": agent.load_test().await, "duration": "100ms" })).await;
    let put = async |size: usize| {
        let call = agent.client.put(format!("{}/jobs/{job}/setup", agent.url));
        call.body("x".repeat(size)).send().await.unwrap().status()
    };
    assert_eq!(put((1 << 20) + 1).await, 413);
    agent.until(&job, "completed").await;
    assert_eq!(put(1 << 20).await, 409);
    let (status, answer) = agent.get(&format!("/jobs/{job}/setup?wait=5")).await;
    assert!(status == 409 && answer["error"].as_str().unwrap().contains("has not returned a value"), "{answer}");
}
