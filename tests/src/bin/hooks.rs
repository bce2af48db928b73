//! A load test whose hooks do what a parameter of their name says.

use std::future::pending;

use golo::{BoxError, reqwest};

#[golo::loadtest(setup = set_up, teardown = tear_down, client = make_client)]
async fn hooks() {}

async fn act(hook: &str) -> Result<(), BoxError> {
    match golo::param(hook).as_deref() {
        Some("fails") => Err(Box::new("no".parse::<u8>().err().ok_or("a number")?)),
        Some("panics") => panic!("{hook} is out of order"),
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
    match golo::param("CLIENT") {
        Some(_) => Err("the certificate has expired".into()),
        None => Ok(builder.build()?),
    }
}
