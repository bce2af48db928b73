//! Uploaded load tests.

use std::os::unix::fs::PermissionsExt as _;

use reqwest::{Method, multipart::Form};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::load_test;
use crate::support::{Agent, Start, answer, until, within};

#[tokio::test]
async fn uploaded_load_test_is_stored_once_under_its_hash() {
    let agent = Agent::start();
    let hash = format!("{:x}", Sha256::digest(load_test::script()));
    let is_here = async || agent.call(Method::HEAD, &format!("/binaries/{hash}"), None).await.status().as_u16();
    assert_eq!(is_here().await, 404);
    for _ in 0..2 {
        assert_eq!(agent.upload(load_test::script()).await, (reqwest::StatusCode::OK, json!({ "binary": hash })));
    }
    assert_eq!(is_here().await, 200);
    let kept = agent.data.path().join("binaries").join(&hash);
    assert_eq!(std::fs::read(&kept).unwrap(), load_test::script());
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!((agent.files("binaries"), agent.files("uploads")), (1, 0));
}

/// Returns the head of an ELF file for a machine type that none of the test machines has.
fn elf() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let machine: u16 = if cfg!(target_arch = "s390x") { 62 } else { 22 };
    bytes[16..18].copy_from_slice(&2u16.to_le_bytes());
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes
}

#[tokio::test]
async fn upload_that_this_machine_cannot_run_is_refused() {
    let agent = Agent::start();
    for (bytes, reason) in [
        (b"just a text\n".to_vec(), "`checkout` is not a program: "),
        (Vec::new(), "`checkout` is empty: "),
        (b"MZ\x90\0".to_vec(), "`checkout` is a program for Windows: "),
        (elf(), "`checkout` is built for "),
    ] {
        let (status, answer) = agent.upload(bytes).await;
        let said = answer["error"].as_str().unwrap();
        assert!(status == 400 && said.starts_with(reason), "{status}: {answer}");
    }
    assert_eq!((agent.files("binaries"), agent.files("uploads")), (0, 0));
}

#[tokio::test]
async fn interrupted_upload_leaves_no_file() {
    let agent = Agent::start();
    let head = "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\
                Content-Type: multipart/form-data; boundary=x\r\n\r\n\
                --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../../etc/passwd\"\r\n\r\n#!/bin/sh\n";
    for _ in 0..3 {
        let mut stream = TcpStream::connect(agent.address()).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        until("the upload has begun", || agent.files("uploads") == 1).await;
        drop(stream);
        until("nothing of it is left", || agent.files("uploads") == 0).await;
    }
    assert_eq!(agent.files("binaries"), 0);
    agent.load_test().await;
}

#[tokio::test]
async fn unfinished_uploads_are_deleted_at_start() {
    let data = std::sync::Arc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(data.path().join("uploads")).unwrap();
    std::fs::write(data.path().join("golo-agent.lock"), "").unwrap();
    std::fs::write(data.path().join("uploads/.tmpabc"), "#!/bin").unwrap();
    let agent = Start::with(&[]).agent_in(data);
    assert_eq!(agent.files("uploads"), 0);
}

#[tokio::test]
async fn oversized_upload_is_refused() {
    let agent = Start::with(&["--max-upload", "1000"]).agent();
    // The limit is reached by the declared length, or by the bytes received.
    for length in [1001, 60_000, 4_000_000] {
        let (status, answer) = agent.upload(vec![b'#'; length]).await;
        assert_eq!(status, 413, "{length}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains("`--max-upload`"), "{answer}");
    }
    assert_eq!((agent.files("binaries"), agent.files("uploads")), (0, 0));
}

#[tokio::test]
async fn form_without_a_file_is_refused() {
    let agent = Agent::start();
    let url = format!("{}/upload", agent.url);
    let form = Form::new().text("other", "x");
    for call in [agent.client.post(&url).multipart(form), agent.client.post(&url).body("x")] {
        let (status, answer) = answer(call.send().await.unwrap()).await;
        assert_eq!(status, 400, "{answer}");
        assert!(answer["error"].as_str().unwrap().starts_with("expected a form"), "{answer}");
    }
}

#[tokio::test]
async fn full_disk_is_answered_with_507() {
    // For the agent, a file size limit causes the same errors as a full disk.
    let agent = Start::with(&[]).before("trap '' XFSZ; ulimit -f 1950;").agent();
    let mut large = load_test::script();
    large.resize(4 << 20, b'\n');
    let (status, answer) = agent.upload(large).await;
    assert_eq!(status, 507, "{answer}");
    assert_eq!((agent.files("binaries"), agent.files("uploads")), (0, 0));
    let binary = agent.load_test().await;
    let job = |text: &str| json!({"binary": binary, "duration": "100ms", "env": {"TEXT": text}});
    let (status, answer) = agent.post("/queue", job(&"x".repeat(1_020_000))).await;
    assert_eq!((status.as_u16(), agent.files("jobs")), (507, 0), "{answer}");
    let id = agent.queue(job("x")).await;
    agent.until(&id, "completed").await;
}

#[tokio::test]
async fn endless_beginning_of_a_form_is_refused() {
    let agent = Agent::start();
    let (mut reading, mut writing) = TcpStream::connect(agent.address()).await.unwrap().into_split();
    let head = "POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    writing.write_all(head.as_bytes()).await.unwrap();
    // Lines that are no boundary. It ends because the agent answers and closes the connection.
    let endless = tokio::spawn(async move {
        let line = format!("{:x}\r\n{}\r\n", 64 << 10, "y".repeat(64 << 10));
        while writing.write_all(line.as_bytes()).await.is_ok() {}
    });
    let mut answer = vec![0; 1024];
    let read = within("an answer", reading.read(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("the form has more than 64 KiB before the field `file`"), "{answer}");
    drop(reading);
    within("the end of the connection", endless).await.unwrap();
    assert_eq!(agent.files("uploads"), 0);
    agent.load_test().await;
}
