//! Samples of failed requests: `-o failures=FILE.jsonl` and the page.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use golo_tests::command;
use serde_json::Value;

use crate::call::PROGRAM;

/// Part of every secret that the load test sends or receives.
const SECRET: &str = "s3cret";

/// Starts a server that fails in a way that depends on the path, and repeats secrets. Returns its URL.
fn failing_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            thread::spawn(move || while serve(&stream).is_some() {});
        }
    });
    url
}

/// Answers one request. Returns `None` if the connection is over.
fn serve(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut head) = (String::new(), String::new());
    reader.read_line(&mut first).ok().filter(|length| *length > 0)?;
    while reader.read_line(&mut head).ok().filter(|length| *length > 2).is_some() {}
    let length =
        |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ").map(|length| length.parse().unwrap());
    let mut body = vec![0; head.lines().find_map(length).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let answer = r#"{"error": "denied", "refresh_token": "s3cret-received", "you_sent": "s3cret-bearer"}"#;
    let secrets = "set-cookie: id=s3cret-set\r\nx-auth-token: s3cret-header\r\nlocation: /x?code=s3cret-code\r\n";
    let path = first.split([' ', '?']).nth(1).unwrap_or_default();
    let (status, length) = match path {
        "/status" => ("503 Service Unavailable", answer.len()),
        "/hang" => {
            thread::sleep(Duration::from_secs(60));
            return None;
        }
        // The connection ends within the body.
        "/cut" => ("200 OK", answer.len() + 10),
        _ => ("200 OK", answer.len()),
    };
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{secrets}\r\n{answer}").ok()?;
    (path != "/cut").then_some(())
}

/// Returns the samples of a file by route.
fn by_route(text: &str) -> BTreeMap<String, Vec<Value>> {
    let mut samples: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        samples.entry(sample["route"].as_str().unwrap().to_owned()).or_default().push(sample);
    }
    samples
}

#[tokio::test]
async fn failed_requests_are_sampled_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut command = command(PROGRAM);
    command.env("TARGET_URL", failing_server()).args([
        "run",
        "--name",
        "failures",
        "-u",
        "4",
        "-i",
        "100",
        "--workers",
        "2",
    ]);
    command.args(["--mask", "X-Account", "--mask", "account"]);
    for out in ["failures=failures.jsonl", "html=page.html"] {
        let (kind, name) = out.split_once('=').unwrap();
        command.arg("-o").arg(format!("{kind}={}", path(name).display()));
    }
    let finished = golo_tests::Program::spawn(command).finish().await;
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let text = std::fs::read_to_string(path("failures.jsonl")).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    let page = std::fs::read_to_string(path("page.html")).unwrap();
    assert!(!page.contains(SECRET) && page.contains("<section id=\"failures\">"));

    let samples = by_route(&text);
    let counts: Vec<_> = samples.iter().map(|(route, samples)| (&**route, samples.len())).collect();
    assert_eq!(counts, [("/content", 10), ("/cut", 10), ("/hang", 10), ("/refused", 10), ("/status", 10)]);
    let kind = |route: &str| samples[route][0]["kind"].as_str().unwrap();
    assert_eq!(["/content", "/hang", "/refused", "/status"].map(kind), ["content", "timeout", "connect", "status"]);
    assert!(["body", "reset"].contains(&kind("/cut")), "{}", kind("/cut"));

    let status = &samples["/status"][0];
    assert_eq!((&status["status"], &status["error"]), (&503.into(), &"status 503".into()), "{status}");
    assert_eq!((&status["method"], &status["version"]), (&"POST".into(), &"HTTP/1.1".into()));
    assert!(status["url"].as_str().unwrap().ends_with("/status?api_key=***&page=7"), "{status}");
    assert_eq!(status["request"]["body"], r#"{"user": "ann", "password": "***", "account": "***", "n": 1}"#);
    assert_eq!(status["response"]["body"], r#"{"error": "denied", "refresh_token": "***", "you_sent": "***"}"#);
    assert_eq!(status["response"]["is_base64"], false);
    let headers = |message: &Value| {
        let headers: Vec<(String, String)> = serde_json::from_value(message["headers"].clone()).unwrap();
        BTreeMap::from_iter(headers)
    };
    let sent = headers(&status["request"]);
    assert_eq!([&sent["authorization"], &sent["cookie"], &sent["x-account"]], ["***"; 3]);
    assert_eq!(sent["content-type"], "application/json");
    let received = headers(&status["response"]);
    assert_eq!([&received["set-cookie"], &received["x-auth-token"]], ["***"; 2]);
    assert_eq!(received["location"], "/x?code=***");
    assert!(status["phases"]["waiting"].as_u64().unwrap() > 0 && status["duration"].as_u64().unwrap() > 0);
    assert!(status["user"].is_u64() && status["iteration"].is_u64(), "{status}");
    let journey = status["journey"].as_array().unwrap();
    assert_eq!((journey.len(), &journey[0]["route"], &journey[0]["status"]), (1, &"/before".into(), &200.into()));

    assert_eq!(samples["/content"][0]["error"], "no stock");
    assert_eq!(samples["/content"][0]["status"], 200);
    assert!(samples["/hang"][0]["response"].is_null() && samples["/hang"][0]["request"]["headers"].is_array());
    assert!(samples["/refused"][0]["url"].as_str().unwrap().ends_with("?token=***"));
}

#[tokio::test]
async fn run_without_failures_has_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    let target = crate::call::sample();
    let mut command = command(PROGRAM);
    command.env("TARGET_URL", target.url()).args(["run", "--name", "get", "-u", "1", "-i", "3"]);
    command.arg("-o").arg(format!("failures={}", folder.path().join("none.jsonl").display()));
    let finished = golo_tests::Program::spawn(command).finish().await;
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert_eq!(std::fs::read_to_string(folder.path().join("none.jsonl")).unwrap(), "");
}
