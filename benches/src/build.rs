//! Build time and binary size of a cold release build of a whole load test: ten lines with golo, the same with Goose.

use std::{path::Path, process::Command, time::Instant};

const GOLO: &str = r#"
#[golo::loadtest]
async fn hello() -> Result<(), golo::RequestError> {
    let journey = golo::new_sequence_id();
    golo::do_request(&journey, golo::client().get("http://127.0.0.1:8765/")).await?;
    Ok(())
}
"#;
const GOOSE: &str = r#"
use goose::prelude::*;

async fn hello(user: &mut GooseUser) -> TransactionResult {
    let _ = user.get("").await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), GooseError> {
    let scenario = scenario!("hello").register_transaction(transaction!(hello));
    GooseAttack::initialize()?.register_scenario(scenario).execute().await?;
    Ok(())
}
"#;

pub(crate) fn compare() {
    println!("\na cold release build of a whole load test");
    let golo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in the workspace").join("golo");
    build("golo", GOLO, &format!("golo = {{ path = {golo:?} }}"));
    build("goose 0.19", GOOSE, "goose = \"=0.19.0\"\ntokio = { version = \"1\", features = [\"full\"] }");
}

fn build(contestant: &str, program: &str, dependencies: &str) {
    let folder = tempfile::tempdir().expect("there is room");
    let manifest = format!(
        "[package]\nname = \"front\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n{dependencies}\n\n[profile.release]\nstrip = true\n\n[workspace]\n"
    );
    std::fs::write(folder.path().join("Cargo.toml"), manifest).expect("there is room");
    std::fs::create_dir(folder.path().join("src")).expect("there is room");
    std::fs::write(folder.path().join("src/main.rs"), program).expect("there is room");
    let cargo = |arguments: &[&str]| {
        let status = Command::new("cargo").args(arguments).current_dir(&folder).env_remove("CARGO_TARGET_DIR").status();
        assert!(status.expect("cargo runs").success());
    };
    cargo(&["fetch", "--quiet"]);
    let started = Instant::now();
    cargo(&["build", "--release", "--quiet"]);
    let seconds = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(folder.path().join("target/release/front")).expect("it was built").len();
    println!("  {contestant:<28}{seconds:>6.1} s  {:>5.1} MB, stripped", bytes as f64 / 1e6);
}
