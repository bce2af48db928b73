//! Targets that an agent allows, as enforced by the load test.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use golo_tests::{Finished, Program, command};

async fn once(job: &str, target: &str, allowed: &str) -> Finished {
    let mut command = command(env!("CARGO_BIN_EXE_jobs"));
    command.args(["once", "--name", job]).env("TARGET_URL", target).env("GOLO_ALLOW_TARGETS", allowed);
    Program::spawn(command).finish().await
}

#[tokio::test]
async fn request_to_a_target_that_is_not_allowed_is_not_sent() {
    let target = sample_service::start().unwrap();
    let url = target.url();
    let own = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let allowed = once("get", url, &format!("shop.example,{own}")).await;
    assert_eq!(allowed.code, Some(0), "{:#?}", allowed.stderr);
    let refused = once("get", url, "shop.example,127.0.0.1:1").await;
    assert_eq!(refused.code, Some(1), "{:#?}", refused.stdout);
    let reason = "its target is not allowed; allowed targets: shop.example, 127.0.0.1:1";
    assert!(refused.stdout.iter().any(|line| line.contains(reason)), "{:#?}", refused.stdout);
    assert_eq!(refused.stderr.len(), 0, "nothing was sent, so that there is no line: {:#?}", refused.stderr);
}

#[tokio::test]
async fn websocket_to_a_target_that_is_not_allowed_is_not_opened() {
    let target = sample_service::start().unwrap();
    for (allowed, reason, lines) in [
        ("127.0.0.1", "the server answered with status 200 OK instead of a WebSocket", 1),
        ("127.0.0.1:1", "its target is not allowed; allowed targets: 127.0.0.1:1", 0),
    ] {
        let finished = once("open a WebSocket", target.url(), allowed).await;
        assert_eq!(finished.code, Some(1), "{:#?}", finished.stdout);
        assert!(finished.stdout.iter().any(|line| line.contains(reason)), "{:#?}", finished.stdout);
        assert_eq!((finished.stderr.len(), target.counter().seen), (lines, lines as u64), "{:#?}", finished.stderr);
        target.reset_counter();
    }
}

#[tokio::test]
async fn address_that_replaces_a_host_must_be_allowed_too() {
    let target = sample_service::start().unwrap();
    let url = reqwest_url(target.url());
    let named = format!("http://shop.example:{}/", url.port().unwrap());
    let resolve = format!("shop.example:{}:127.0.0.1", url.port().unwrap());
    for (allowed, code) in [(format!("shop.example,127.0.0.1:{}", url.port().unwrap()), 0), ("shop.example".into(), 1)]
    {
        let mut command = command(env!("CARGO_BIN_EXE_jobs"));
        command.args(["once", "--name", "get", "--resolve", &resolve]);
        command.env("TARGET_URL", &named).env("GOLO_ALLOW_TARGETS", &allowed);
        let finished = Program::spawn(command).finish().await;
        assert_eq!(finished.code, Some(code), "{allowed}: {:#?}", finished.stdout);
    }
    assert_eq!(target.counter().seen, 1);
    let mut command = command(env!("CARGO_BIN_EXE_jobs"));
    command.args(["once", "--name", "get", "--unix-socket", "/nowhere"]);
    command.env("TARGET_URL", &named).env("GOLO_ALLOW_TARGETS", "shop.example");
    let refused = Program::spawn(command).finish().await;
    let reason = "a Unix socket is not an allowed target; allowed targets: shop.example";
    assert!(refused.stdout.iter().any(|line| line.contains(reason)), "{:#?}", refused.stdout);
}

fn reqwest_url(text: &str) -> golo::reqwest::Url {
    text.parse().unwrap()
}
