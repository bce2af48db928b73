//! The load test that these tests upload: a script that starts this test binary again, which serves `golo.Job` in one
//! of its tests.

use std::time::Duration;

/// Returns the script.
pub(crate) fn script() -> Vec<u8> {
    let program = std::env::current_exe().unwrap();
    let program = program.to_str().unwrap();
    format!("#!/bin/sh\nexec '{program}' --ignored --exact load_test::serves --nocapture\n").into_bytes()
}

async fn step() {
    let pause = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok::<_, String>(())
    };
    _ = golo::measure(&golo::new_sequence_id(), "step", pause).await;
}

#[test]
#[ignore = "it is what the agent runs"]
fn serves() {
    let Some(path) = std::env::var("GOLO_ADDR").ok().and_then(|addr| addr.strip_prefix("unix:").map(str::to_owned))
    else {
        // Without a Unix socket address there is nothing to serve. Under a supervisor it is enough to stay alive.
        std::thread::sleep(Duration::from_secs(if std::env::var_os("GOLO_SUPERVISED").is_some() { 600 } else { 0 }));
        return;
    };
    eprintln!("the load test is here");
    assert!(std::env::var_os("GOLO_TOKEN").is_none(), "a load test must not see the agent's token");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::UnixListener::bind(path).unwrap();
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let serving = golo::Loadtest::new(|_, _| step()).name("step").serve_on(listener);
        serving.until(async move { _ = terminate.recv().await }).await.unwrap();
    });
}
