//! A load test that makes a clean end difficult, and reports on stderr how it ends.

#![allow(clippy::print_stdout, reason = "what a load test prints of its own is one of the things that are tested")]

use std::{convert::Infallible, future::pending, thread::available_parallelism, time::Duration};

use golo::{BoxError, Context, Shared, reqwest};

/// An address with a user name and a password, which must not appear in any output.
const SECRET: &str = "postgres://ann:se/cret@h/x";

/// State made by `setup`.
struct Stage;

impl Drop for Stage {
    fn drop(&mut self) {
        match golo::param("DROP").as_deref() {
            Some("spawns") => drop(tokio::spawn(async {})),
            Some("panics") => panic!("the stage falls down"),
            _ => {}
        }
        eprintln!("the stage is gone");
    }
}

async fn set_up() -> Result<Stage, BoxError> {
    match golo::param("SETUP") {
        Some(_) => Err(format!("no answer from {SECRET}").into()),
        None => Ok(Stage),
    }
}

async fn tear_down(_: Shared<Stage>) {
    eprintln!("teardown begins");
    if golo::param("TEARDOWN").as_deref() == Some("slow") {
        // Leaves time for anything that should have ended before.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    eprintln!("teardown ends");
}

fn make_client(builder: reqwest::ClientBuilder) -> reqwest::Result<reqwest::Client> {
    match golo::param("CLIENT").as_deref() {
        Some("panics") => panic!("no certificate in {SECRET}"),
        Some("asks for a client") => drop(golo::client()),
        Some("sets another") => golo::set_client(|builder| {
            eprintln!("the other builds a client");
            builder.build()
        }),
        _ => {}
    }
    builder.build()
}

struct Guest;

impl golo::User for Guest {
    async fn start(_: &Context) -> Result<Self, BoxError> {
        match golo::param("START") {
            Some(_) => Err(format!("no seat at {SECRET}").into()),
            None => Ok(Self),
        }
    }

    async fn stop(self) {
        eprintln!("a guest stops");
    }
}

/// Reports when it is dropped.
struct Lingerer;

impl Drop for Lingerer {
    fn drop(&mut self) {
        eprintln!("a lingerer is gone");
    }
}

#[golo::loadtest(setup = set_up, teardown = tear_down, client = make_client)]
async fn endings(_: &mut Guest, context: Context, _: Shared<Stage>) -> Result<(), BoxError> {
    match &*context.job_name {
        "block every thread" => {
            // Together with the call below, this blocks one more thread than the others: one thread keeps the last task
            // to itself.
            for _ in 0..available_parallelism()?.get() {
                tokio::spawn(async { block() });
            }
            block();
        }
        "linger" => {
            let _lingerer = Lingerer;
            eprintln!("a lingerer comes");
            loop {
                eprintln!("a lingerer is here");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        "measure much" => {
            let name = "x".repeat(100);
            for _ in 0..1000 {
                golo::measure("journey", &name, async { Ok::<_, Infallible>(()) }).await?;
            }
        }
        "have no patience" => {
            let name = "x".repeat(4000);
            for _ in 0..20_000 {
                let endless = golo::measure("journey", &name, pending::<Result<(), Infallible>>());
                // Like a time limit, but faster.
                tokio::select! {
                    biased;
                    _ = endless => {}
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        "print a dot" => {
            print!(".");
            golo::measure("journey", "step", async { Ok::<_, Infallible>(()) }).await?;
        }
        "tell a secret" => {
            golo::check(&format!("{SECRET} is up"), false);
            golo::measure("journey", SECRET, async { Err::<(), _>(format!("no answer from {SECRET}")) }).await?;
        }
        "ask for a client" => drop(golo::client()),
        "tell a secret in a panic" => std::panic::resume_unwind(Box::new(format!("no answer from {SECRET}"))),
        _ => golo::measure("journey", "step", async { Ok::<_, Infallible>(()) }).await?,
    }
    Ok(())
}

/// Blocks its thread forever.
fn block() {
    eprintln!("a thread is blocked");
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}
