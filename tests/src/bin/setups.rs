//! A load test whose `setup` runs once a run. The file of the parameter NOTES has a line for each step, in order. SETUP
//! selects how `setup` behaves.

use std::future::pending;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use golo::{BoxError, Shared};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Token {
    text: String,
}

/// True in the process that has run `setup`.
static HAS_SET_UP: AtomicBool = AtomicBool::new(false);

#[golo::loadtest(setup = set_up, setup_scope = "run", teardown = tear_down)]
async fn setups(token: Shared<Token>) -> Result<(), BoxError> {
    if !HAS_SET_UP.load(Relaxed) {
        // `teardown` would come before the end of this, if it did not wait.
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    note(&format!("trigger {} {}", std::process::id(), token.text))
}

async fn set_up() -> Result<Token, BoxError> {
    HAS_SET_UP.store(true, Relaxed);
    note("setup begins")?;
    match golo::param("SETUP").as_deref() {
        Some("fails") => return Err("the shop is closed".into()),
        Some("hangs") => pending().await,
        Some("is large") => return Ok(Token { text: "hush ".repeat(300_000) }),
        _ => {}
    }
    let text = golo::new_sequence_id();
    note(&format!("setup {text}"))?;
    Ok(Token { text })
}

async fn tear_down(token: Shared<Token>) -> Result<(), BoxError> {
    note(&format!("teardown {}", token.text))
}

fn note(line: &str) -> Result<(), BoxError> {
    let path = golo::param("NOTES").ok_or("no parameter NOTES")?;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    Ok(file.write_all(format!("{line}\n").as_bytes())?)
}
