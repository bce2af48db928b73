//! Access to an agent: tokens, hosts, origins, paths, TLS.

use golo_cli::process::signature::sign;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::{Agent, Start, answer, raw, status};

/// Sends a request with these headers. Returns the answer.
async fn call(agent: &Agent, line: &str, headers: &[&str]) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    raw(agent.address(), &format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")).await
}

#[tokio::test]
async fn address_off_loopback_requires_a_strong_token() {
    for addr in ["0.0.0.0:0", "[::]:0"] {
        let (code, said) = Start::with(&["--addr", addr]).refused();
        assert_eq!(code, 104, "{said}");
        assert!(said.lines().count() == 1 && said.contains("`GOLO_TOKEN`") && said.contains("127.0.0.1:0"), "{said}");
    }
    let (code, said) = Start::with(&["--addr", "0.0.0.0:0"]).env("GOLO_TOKEN", "hush-hush-hush-").refused();
    assert!(code == 104 && said.lines().count() == 1 && said.contains("fewer than 16 characters"), "{said}");
    assert!(!said.contains("hush"), "{said}");
    let agent = Start::with(&["--addr", "0.0.0.0:0"]).env("GOLO_TOKEN", "hush-hush-hush-hush").agent();
    assert!(agent.said().contains("without TLS") && !agent.said().contains("hush"), "{}", agent.said());
    let port = agent.address().rsplit(':').next().unwrap();
    let response = agent.client.get(format!("http://127.0.0.1:{port}/jobs")).bearer_auth("hush-hush-hush-hush");
    assert_eq!(response.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn invalid_arguments_are_refused_with_a_reason() {
    let taken = Agent::start();
    for (arguments, reason) in [
        (vec!["--addr", "nonsense"], "`--addr` is `nonsense`"),
        (vec!["--addr", taken.address()], "cannot listen on"),
        (vec!["--tls-cert", "/none.pem", "--tls-key", "/none.pem"], "`--tls-cert` is `/none.pem`"),
        (vec!["--tls-cert", "/none.pem"], "--tls-key"),
        (vec!["--name", "a/b"], "`--name` is `a/b`"),
        (vec!["--collector", "ftp://nonsense"], "`--collector`: `ftp://nonsense`: expected HOST:PORT or a URL"),
        (vec!["--collector-token", "x"], "--collector"),
        (vec!["--allow-target", "http://x/"], "expected HOST or HOST:PORT"),
        (vec!["--token", ""], "`--token` is empty"),
        (vec!["--max-users", "many"], "--max-users"),
    ] {
        let (code, said) = Start::with(&arguments).refused();
        assert!(code == 104 && said.contains(reason), "{arguments:?}: {code} {said}");
    }
}

#[tokio::test]
async fn every_call_without_the_token_is_answered_with_401() {
    let agent = Start::with(&[]).env("GOLO_TOKEN", "hush-hush").agent();
    let calls = [
        "POST /upload",
        "HEAD /binaries/x",
        "POST /files",
        "HEAD /files/x",
        "GET /jobs/x/setup",
        "PUT /jobs/x/setup",
        "POST /jobs/x/teardown",
        "POST /queue",
        "GET /jobs",
        "GET /jobs/x",
        "DELETE /jobs/x",
        "PATCH /jobs/x",
        "POST /jobs/x/start",
        "GET /jobs/x/records",
        "GET /jobs/x/stderr",
        "GET /cgolo-agent.lock",
        "GET /metrics",
        "GET /nothing",
    ];
    let host = format!("Host: {}", agent.address());
    for line in calls {
        for token in
            ["X: x", "Authorization: Bearer hush-hus", "Authorization: Bearer", "Authorization: Basic hush-hush"]
        {
            let answer = call(&agent, line, &[&host, token]).await;
            assert_eq!(status(&answer), 401, "{line} {token}: {answer}");
            assert!(answer.to_lowercase().contains("\r\nwww-authenticate: bearer\r\n"), "{answer}");
        }
    }
    let token = "Authorization: Bearer hush-hush";
    assert_eq!(status(&call(&agent, "GET /jobs", &[&host, token]).await), 200);
    assert_eq!(status(&call(&agent, "GET /healthz", &[&host]).await), 200);
    assert_eq!(status(&call(&agent, "GET /healthz", &[&host, "Origin: http://evil.example"]).await), 403);
    assert!(!agent.said().contains("hush"), "{}", agent.said());
}

/// Runs a script as a load test on an agent with the token `hush-hush`. Returns its stderr, once that is complete.
async fn stderr(agent: &Agent, script: &str, env: Value, is_complete: impl Fn(&str) -> bool) -> String {
    let form = reqwest::multipart::Part::bytes(script.as_bytes().to_vec()).file_name("script");
    let form = reqwest::multipart::Form::new().part("file", form);
    let upload = agent.client.post(format!("{}/upload", agent.url)).bearer_auth("hush-hush").multipart(form);
    let (_, uploaded) = answer(upload.send().await.unwrap()).await;
    let job = json!({"binary": uploaded["binary"], "env": env}).to_string();
    let queue = agent.client.post(format!("{}/queue", agent.url)).bearer_auth("hush-hush").body(job);
    let (_, queued) = answer(queue.send().await.unwrap()).await;
    let url = format!("{}/jobs/{}/stderr", agent.url, queued["job"].as_str().unwrap());
    let started = std::time::Instant::now();
    loop {
        let seen = agent.client.get(&url).bearer_auth("hush-hush").send().await.unwrap().text().await.unwrap();
        if is_complete(&seen) {
            return seen;
        }
        assert!(started.elapsed() < crate::support::PATIENCE, "{seen}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn tokens_are_hidden_from_the_load_test() {
    let agent = Start::with(&["--collector", "http://127.0.0.1:1"])
        .env("GOLO_TOKEN", "hush-hush")
        .env("GOLO_COLLECTOR_TOKEN", "hush-too")
        .agent();
    let script = "#!/bin/sh\nenv >&2\nexit 3\n";
    let seen = stderr(&agent, script, json!({"SEEN": "yes"}), |seen| !seen.is_empty()).await;
    assert!(seen.contains("SEEN=yes") && !seen.contains("hush"), "{seen}");
}

/// Root may read the memory of any process, so the agent is another user's here.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn load_test_cannot_read_the_environment_of_the_agent() {
    let id = 1_000_000 + std::process::id();
    let other = format!("setpriv --reuid={id} --clear-groups");
    let mut can = std::process::Command::new("/bin/sh");
    can.args(["-c", &format!("exec {other} \"$0\" --version"), env!("CARGO_BIN_EXE_golo")]);
    let can = can.output().is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: this test must be run by root, and needs `setpriv` and a build that others may read");
        return;
    }
    let data = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(data.path(), Some(id), None).unwrap();
    let agent = Start::with(&[]).env("GOLO_TOKEN", "hush-hush").before(&format!("exec {other} \"$0\" \"$@\";"));
    let agent = agent.agent_in(std::sync::Arc::new(data));
    let script = format!(
        "#!/bin/sh\ngrep -E '^(Uid|PPid)' /proc/{0}/status >&2\ncat /proc/{0}/environ >&2\nexit 3\n",
        agent.id()
    );
    let seen = stderr(&agent, &script, json!({}), |seen| seen.contains("environ") || seen.contains("hush")).await;
    assert!(seen.contains(&id.to_string()) && seen.contains("Permission denied") && !seen.contains("hush"), "{seen}");
}

#[tokio::test]
async fn requests_of_foreign_web_pages_are_refused() {
    let agent = Agent::start();
    let (address, port) = (agent.address(), agent.address().rsplit(':').next().unwrap());
    let host = format!("Host: {address}");
    // A form of another site, a script, and a page under a host name that resolves to this agent.
    let form = "Content-Type: text/plain";
    for headers in [
        vec![host.as_str(), "Origin: http://evil.example", form],
        vec![&host, "Origin: null", form],
        vec![&host, "Origin: http://127.0.0.1:1"],
        vec![&host, "Sec-Fetch-Site: cross-site", form],
        vec![&host, "Sec-Fetch-Site: same-site"],
        vec!["Host: evil.example"],
        vec![&format!("Host: evil.example:{port}")],
        vec![&format!("Host: 127.0.0.1.evil.example:{port}")],
        vec!["Host: 192.0.2.1"],
    ] {
        for line in ["POST /queue", "GET /jobs", "GET /healthz", "OPTIONS /queue"] {
            let answer = call(&agent, line, &headers).await;
            assert_eq!(status(&answer), 403, "{line} {headers:?}: {answer}");
            assert!(answer.contains("{\"error\":\""), "{answer}");
            assert!(!answer.to_lowercase().contains("access-control"), "{answer}");
        }
    }
    for headers in [vec![], vec!["Host: a b"], vec!["Host: localhost", "Host: localhost"]] {
        let answer = call(&agent, "GET /jobs", &headers).await;
        assert_eq!(status(&answer), 400, "{headers:?}: {answer}");
    }
    let (own, local) = (format!("Origin: http://{address}"), format!("Host: LocalHost:{port}"));
    for headers in [
        vec![host.as_str(), own.as_str(), "Sec-Fetch-Site: same-origin"],
        vec![&host, "Sec-Fetch-Site: none"],
        vec![&local],
        vec!["Host: 127.0.0.1"],
        vec!["Host: [::1]:8081"],
    ] {
        let answer = call(&agent, "GET /jobs", &headers).await;
        assert_eq!(status(&answer), 200, "{headers:?}: {answer}");
    }
}

#[tokio::test]
async fn configured_host_name_is_accepted() {
    let agent = Start::with(&["--host", "Load1.example"]).agent();
    assert_eq!(status(&call(&agent, "GET /jobs", &["Host: load1.example:8081"]).await), 200);
    assert_eq!(status(&call(&agent, "GET /jobs", &["Host: load2.example"]).await), 403);
}

#[tokio::test]
async fn path_traversal_is_refused() {
    let agent = Agent::start();
    let hash = agent.load_test().await;
    let host = format!("Host: {}", agent.address());
    let long = "a".repeat(10_000);
    for path in [
        "/binaries/../golo-agent.lock",
        "/binaries/..%2fgolo-agent.lock",
        "/binaries/%2e%2e%2fgolo-agent.lock",
        "/binaries/..",
        "/files/..%2fgolo-agent.lock",
        "/files/..",
        "/jobs/../golo-agent.lock",
        "/jobs/..%2f..%2fgolo-agent.lock/records",
        "/jobs/%2e%2e/stderr",
        "/jobs/%00/records",
        "//jobs/x",
        "/jobs//records",
        "/jobs/%ff/records",
        &format!("/jobs/{long}"),
        &format!("/binaries/{hash}/"),
        &format!("/binaries/.%2f{hash}"),
        &format!("/binaries/{}", hash.to_uppercase()),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = call(&agent, &format!("{method} {path}"), &[&host]).await;
            assert!([400, 404, 405].contains(&status(&answer)), "{method} {path}: {answer}");
        }
    }
    let huge = call(&agent, &format!("GET /jobs/{}", "a".repeat(200_000)), &[&host]).await;
    assert!([414, 431].contains(&status(&huge)), "{huge}");
    assert_eq!(status(&call(&agent, "GET /jobs", &[&host]).await), 200);
}

#[tokio::test]
async fn tls_agent_serves_and_checks_the_token() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = ["--tls-cert", certificate.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let agent = Start::with(&files).env("GOLO_TOKEN", "hush-hush").agent();
    assert!(agent.url.starts_with("https://"), "{}", agent.url);
    let port = agent.address().rsplit(':').next().unwrap();
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([trusted]).no_proxy().build().unwrap();
    let call = |method| client.request(method, format!("https://localhost:{port}/jobs"));
    assert_eq!(call(Method::GET).send().await.unwrap().status(), 401);
    assert_eq!(call(Method::GET).bearer_auth("hush-hush").send().await.unwrap().status(), 200);
    // A client that does not speak TLS does not disturb others.
    let mut plain = tokio::net::TcpStream::connect(agent.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(call(Method::GET).bearer_auth("hush-hush").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn agent_with_trusted_keys_runs_only_what_they_signed() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("checkout");
    std::fs::write(&program, crate::load_test::script()).unwrap();
    let keys = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let others = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let agent = Start::with(&["--trust", &keys.pk.to_base64()]).agent();
    let binary = agent.load_test().await;
    let job = |signature: Option<&str>| {
        let mut job = json!({ "binary": binary, "users": 1, "iterations": 1 });
        if let Some(signature) = signature {
            job["signature"] = signature.into();
        }
        job
    };
    let signed = |keys: &minisign::KeyPair| sign(&keys.sk, &program, 0).unwrap();
    for (signature, reason) in [
        (None, "the load test is not signed, and this agent only runs those that "),
        (Some(signed(&others)), "the load test is signed by the key "),
        (Some("nonsense".to_owned()), "the signature cannot be read"),
    ] {
        let (status, answer) = agent.post("/queue", job(signature.as_deref())).await;
        assert_eq!(status, 403, "{answer}");
        assert!(answer["error"].as_str().unwrap().starts_with(reason), "{answer}");
    }
    let id = agent.queue(job(Some(&signed(&keys)))).await;
    agent.until(&id, "completed").await;
    std::fs::write(&program, "another program").unwrap();
    let (status, answer) = agent.post("/queue", job(Some(&signed(&keys)))).await;
    assert!(status == 403 && answer["error"].as_str().unwrap().contains("is not of this load test"), "{answer}");

    let (code, said) = Start::with(&["--trust", "RWnonsense"]).refused();
    assert!(code == 104 && said.contains("`--trust`: `RWnonsense` is no public key"), "{said}");
}
