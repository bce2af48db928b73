//! A load test that does what its job is called.

#![allow(clippy::print_stdout, reason = "what a load test prints of its own is one of the things that are tested")]

use std::convert::Infallible;

use golo::{BoxError, Context, ResponseTag};
use golo_tests::Speechless;

#[golo::loadtest]
async fn jobs(context: Context) -> Result<Vec<ResponseTag>, BoxError> {
    let journey = golo::new_sequence_id();
    let iteration = context.iteration.unwrap_or_default();
    match &*context.job_name {
        "get" | "jobs" => get(&journey, "").await?,
        "take half a second" => get(&journey, "slow?ms=500").await?,
        "hang" => get(&journey, "slow?ms=60000").await?,
        "fail" => return Err("out of stock".into()),
        "fail without words" => return Err(Speechless.into()),
        "panic with a literal" => panic!("out of stock"),
        "panic with a string" => panic!("{iteration} out of stock"),
        "panic with a number" => std::panic::panic_any(iteration),
        "print" => {
            println!("before {iteration}");
            get(&journey, "").await?;
            println!("between {iteration}");
            get(&journey, "").await?;
            println!("after {iteration}");
        }
        "spawn" => {
            let [plain, ours, detached] = [1, 2, 3].map(|item| {
                let journey = journey.clone();
                async move { get(&journey, &format!("items/{item}")).await }
            });
            let tasks = [tokio::spawn(plain), golo::spawn(ours)];
            drop(golo::spawn(detached));
            for task in tasks {
                task.await??;
            }
        }
        "flood" => {
            let padding = "x".repeat(300);
            for step in 0..1000 {
                let name = format!("{iteration}/{step} {padding}");
                golo::measure(&journey, &name, async { Ok::<_, Infallible>(()) }).await?;
            }
        }
        "never answer" => std::future::pending().await,
        "print junk" => {
            let line = "x".repeat(4000);
            for _ in 0..262 {
                println!("{line}");
            }
            get(&journey, "").await?;
        }
        "print a long line first" => {
            if iteration == 0 {
                let megabyte = "x".repeat(1_000_000);
                for _ in 0..100 {
                    print!("{megabyte}");
                }
                println!();
            }
            get(&journey, "").await?;
        }
        "take memory after twenty" => {
            if iteration >= 20 {
                let taken = vec![1_u8; 500 << 20];
                std::future::pending::<()>().await;
                drop(taken);
            }
            get(&journey, "").await?;
        }
        "tell the parameter" => return Ok(golo::tagify([("value", golo::param("KEY").unwrap_or_default())])),
        other => return Err(format!("nothing is called {other}").into()),
    }
    Ok(Vec::new())
}

async fn get(journey: &str, path: &str) -> Result<(), golo::RequestError> {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    golo::do_request(journey, golo::client().get(format!("{target}{path}"))).await.map(drop)
}
