//! A load test with hooks that behave as the parameter of their name selects.

use std::{future::pending, time::Duration};

use golo::{BoxError, reqwest};
use golo_tests::Speechless;

#[golo::loadtest(setup = set_up, teardown = tear_down, client = make_client)]
async fn hooks() {}

async fn act(hook: &str) -> Result<(), BoxError> {
    match golo::param(hook).as_deref() {
        Some("fails") => Err(Box::new("no".parse::<u8>().err().ok_or("a number")?)),
        Some("fails without words") => Err(Speechless.into()),
        Some("panics") => panic!("{hook} is out of order"),
        Some("blocks") => {
            eprintln!("{hook} blocks");
            loop {
                std::thread::sleep(Duration::from_secs(60));
            }
        }
        Some("hangs") => pending().await,
        _ => Ok(()),
    }
}

async fn set_up() -> Result<(), BoxError> {
    act("SETUP").await
}

async fn tear_down() -> Result<(), BoxError> {
    act("TEARDOWN").await
}

fn make_client(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, BoxError> {
    match golo::param("CLIENT").as_deref() {
        Some("fails without words") => Err(Speechless.into()),
        Some(_) => Err("the certificate has expired".into()),
        None => Ok(builder.build()?),
    }
}
