//! Proxies: not used unless asked for, named in the report, and limited to the targets that an agent allows.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::sync::{Arc, Mutex};

use golo_tests::{Finished, Program, command};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const JOBS: &str = env!("CARGO_BIN_EXE_jobs");
/// A target that only a proxy can reach.
const TARGET: &str = "http://shop.invalid/";

/// A proxy that answers every request itself.
struct Proxy {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while let Ok(byte) = connection.read_u8().await {
                        head.push(byte);
                        if head.ends_with(b"\r\n\r\n") {
                            heard.lock().unwrap().push(String::from_utf8(std::mem::take(&mut head)).unwrap());
                            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                        }
                    }
                });
            }
        });
        Self { address, heads }
    }

    /// Returns the number of requests for the target since the last call.
    fn taken(&self) -> usize {
        let heads = std::mem::take(&mut *self.heads.lock().unwrap());
        assert!(heads.iter().all(|head| head.starts_with(&format!("GET {TARGET} HTTP/1.1"))), "{heads:#?}");
        heads.len()
    }
}

/// Runs `program` with these arguments and variables.
async fn ended(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let mut command = command(program);
    command.args(arguments).env("TARGET_URL", TARGET).env("GOLO_NO_KEEP", "1").envs(variables.iter().copied());
    Program::spawn(command).finish().await
}

fn text(finished: &Finished) -> String {
    format!("{}\n{}", finished.stdout.join("\n"), finished.stderr.join("\n"))
}

#[tokio::test]
async fn proxies_of_the_environment_are_ignored_unless_asked_for() {
    let proxy = Proxy::start().await;
    let url = format!("http://{}", proxy.address);
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let named = [(name, &*url)];
        let once = ["once", "--name", "get"];
        let direct = ended(JOBS, &once, &named).await;
        assert_eq!((direct.code, proxy.taken()), (Some(1), 0), "{name}: {}", text(&direct));
        let through = ended(JOBS, &["once", "--name", "get", "--proxy", "env"], &named).await;
        assert_eq!((through.code, proxy.taken()), (Some(0), 1), "{name}: {}", text(&through));
        let through = ended(JOBS, &once, &[(name, &url), ("GOLO_PROXY", "env")]).await;
        assert_eq!((through.code, proxy.taken()), (Some(0), 1), "{name}: {}", text(&through));
        let excepted = [(name, &*url), ("GOLO_PROXY", "env"), ("NO_PROXY", "shop.invalid")];
        assert_eq!((ended(JOBS, &once, &excepted).await.code, proxy.taken()), (Some(1), 0), "{name}");
    }
}

#[tokio::test]
async fn report_names_the_proxy_without_its_password() {
    let proxy = Proxy::start().await;
    let url = format!("http://ann:secret@{}", proxy.address);
    let golo = env!("CARGO_BIN_EXE_golo-command");
    let ways: [(&str, &[&str], &str); 3] = [
        (JOBS, &["run"], ""),
        (golo, &["run", JOBS], ""),
        (
            golo,
            &["run", JOBS, "--drive", "trigger"],
            " was requested; a load test that is not built with golo ignores it",
        ),
    ];
    for (program, run, more) in ways {
        let folder = tempfile::tempdir().unwrap();
        let summary = folder.path().join("summary.json");
        let out = format!("summary={}", summary.display());
        let flags = ["--name", "get", "-u", "1", "-i", "3", "-o", &out, "--proxy", &url];
        let ran = ended(program, &[run, &flags].concat(), &[]).await;
        assert_eq!(ran.code, Some(0), "{}", text(&ran));
        let authorized = |head: &String| head.to_lowercase().contains("proxy-authorization: basic ");
        assert!(proxy.heads.lock().unwrap().iter().all(authorized), "the proxy is told who asks");
        assert_eq!(proxy.taken(), 3);
        let shown = format!("http://{}{more}", proxy.address);
        let words = text(&ran).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("proxy {shown}")), "{}", text(&ran));
        let json = std::fs::read_to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["generator"]["proxies"], serde_json::json!([shown]));
        assert!(!text(&ran).contains("secret") && !json.contains("secret"), "{}", text(&ran));
    }
}

#[tokio::test]
async fn report_omits_an_unused_proxy() {
    let target = sample_service::start().unwrap();
    let proxy = Proxy::start().await;
    let mut command = command(JOBS);
    command.args(["run", "--name", "get", "-u", "1", "-i", "1", "--proxy", "env"]).env("TARGET_URL", target.url());
    command.env("HTTP_PROXY", format!("http://{}", proxy.address)).env("NO_PROXY", "127.0.0.1");
    let ran = Program::spawn(command).finish().await;
    assert_eq!((ran.code, proxy.taken()), (Some(0), 0), "{}", text(&ran));
    assert!(!text(&ran).contains("proxy"), "{}", text(&ran));
}

#[tokio::test]
async fn proxy_outside_the_allowed_targets_is_refused() {
    let proxy = Proxy::start().await;
    let url = format!("http://ann:secret@{}", proxy.address);
    for by in [("GOLO_PROXY", &*url), ("HTTP_PROXY", &url)] {
        let asked = ("GOLO_PROXY", if by.0 == "GOLO_PROXY" { &*url } else { "env" });
        let refused =
            ended(JOBS, &["once", "--name", "get"], &[by, asked, ("GOLO_ALLOW_TARGETS", "shop.invalid")]).await;
        let reason = format!("the proxy `http://{}` is not allowed; allowed targets: shop.invalid", proxy.address);
        assert!(text(&refused).contains(&reason) && !text(&refused).contains("secret"), "{}", text(&refused));
        assert_eq!((refused.code, proxy.taken()), (Some(1), 0));
        let both = format!("shop.invalid,{}", proxy.address);
        let allowed = ended(JOBS, &["once", "--name", "get"], &[by, asked, ("GOLO_ALLOW_TARGETS", &both)]).await;
        assert_eq!((allowed.code, proxy.taken()), (Some(0), 1), "{}", text(&allowed));
    }
}

/// reqwest takes the proxies of the environment, unless a client is built otherwise.
#[tokio::test]
async fn client_of_the_load_test_reaches_allowed_targets_only() {
    let proxy = Proxy::start().await;
    let url = format!("http://ann:secret@{}", proxy.address);
    let (only, both) = ("shop.invalid", format!("shop.invalid,{}", proxy.address));
    let once = |client, allowed: String| {
        let (url, traces) = (url.clone(), env!("CARGO_BIN_EXE_traces"));
        async move {
            let variables = [("HTTP_PROXY", &*url), ("CLIENT", client), ("GOLO_ALLOW_TARGETS", &allowed)];
            ended(traces, &["once"], &variables).await
        }
    };
    let refused = once("own", only.to_owned()).await;
    let reason = format!("the proxy `http://{}` is not allowed; allowed targets: shop.invalid", proxy.address);
    assert!(text(&refused).contains(&reason) && !text(&refused).contains("secret"), "{}", text(&refused));
    let unchecked = once("own", both.clone()).await;
    let reason = "the load test's own client follows redirects to any target unless it is built with golo's builder";
    assert!(text(&unchecked).contains(reason), "{}", text(&unchecked));
    assert_eq!(proxy.heads.lock().unwrap().len(), 0);
    let allowed = once("own without redirects", both).await;
    assert_eq!(allowed.code, Some(0), "{}", text(&allowed));
    assert!(proxy.heads.lock().unwrap().len() > 1);
}

#[tokio::test]
async fn invalid_proxy_is_reported_without_its_password() {
    let golo = env!("CARGO_BIN_EXE_golo-command");
    let no_url = "http://ann:secret@127.0.0.1:3128/path";
    let calls: [(&str, &[&str]); 4] = [(JOBS, &["run"]), (JOBS, &["once"]), (JOBS, &["serve"]), (golo, &["run", JOBS])];
    for (program, call) in calls {
        for variables in [&[("GOLO_PROXY", no_url)][..], &[]] {
            let flag = if variables.is_empty() { &["--proxy", no_url][..] } else { &[] };
            let refused = ended(program, &[call, flag].concat(), variables).await;
            let said = text(&refused);
            assert!(said.contains("`http://127.0.0.1:3128/path`: expected `env`, `none`, or a URL"), "{said}");
            assert!(refused.code == Some(104) && !said.contains("secret"), "{:?}: {said}", refused.code);
        }
    }
}
