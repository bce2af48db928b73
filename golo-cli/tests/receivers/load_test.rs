//! The load test of the tests with receivers of metrics: a script that starts this test binary again, which serves
//! `golo.Job` in one of its tests. Each trigger makes three requests, one of which fails now and then.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A tag value with all signs that have a meaning to some receiver.
pub(crate) const ODD: &str = "a b,c=d \"e\" 'f' \\g \\";

/// Writes the script. Returns its path.
pub(crate) fn script(folder: &Path) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let text = format!("#!/bin/sh\nexec '{}' --ignored --exact load_test::serves --nocapture\n", program.display());
    let path = folder.join("shop");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn visit(context: golo::Context) -> Result<(), golo::BoxError> {
    let journey = golo::new_sequence_id();
    let at = |path: &str| golo::client().get(golo::param("TARGET_URL").unwrap_or_default() + path);
    golo::tag("path", ODD);
    golo::tag("time", "noon");
    let item = golo::request(&journey, at("items/7"));
    // To some receivers an empty value is none, and must not be taken for that.
    let has_zone = context.iteration.is_some_and(|iteration| iteration % 2 == 0);
    if has_zone { item.tag("zone", "") } else { item }.send().await?;
    let answer = golo::do_request(&journey, at("flaky?percent=20")).await;
    golo::check("it has a body", answer.is_ok());
    golo::counter("orders").add(2);
    golo::trend("basket").record(7.5);
    golo::group("look closer", async {
        golo::do_request(&journey, at("slow?ms=8")).await?;
        golo::measure(&journey, "think", async { Ok::<_, golo::RequestError>(()) }).await
    })
    .await?;
    Ok(())
}

#[test]
#[ignore = "it is the load test"]
fn serves() {
    let Some(path) = std::env::var("GOLO_ADDR").ok().and_then(|addr| addr.strip_prefix("unix:").map(str::to_owned))
    else {
        return;
    };
    for name in ["GOLO_INFLUXDB_TOKEN", "GOLO_INFLUXDB_PASSWORD"] {
        assert!(std::env::var_os(name).is_none(), "a load test must not see credentials");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::UnixListener::bind(path).unwrap();
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
        let load_test = golo::Loadtest::new(|context, _| visit(context)).name("shop");
        load_test.serve_on(listener).until(async move { _ = terminate.recv().await }).await.unwrap();
    });
}
