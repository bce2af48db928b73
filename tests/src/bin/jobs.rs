//! A load test with many behaviours. The job name selects what a trigger does.

#![allow(clippy::print_stdout, reason = "what a load test prints of its own is one of the things that are tested")]

use std::convert::Infallible;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use golo::{BoxError, Context, Response, ResponseTag};
use golo_tests::Speechless;

/// Set once a trigger of the job `slow first` has started.
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);

#[golo::loadtest]
async fn jobs(context: Context, response: Response) -> Result<Response, BoxError> {
    if context.job_name == "tag-failures" {
        return Ok(tag_failures(context.iteration.unwrap_or_default(), response));
    }
    Ok(Response { tags: job(context).await?, ..response })
}

/// Every second trigger fails, and reports that as load tests in other languages do.
fn tag_failures(iteration: u64, response: Response) -> Response {
    let error = iteration % 2 == 1;
    let status = if error { "503" } else { "200" };
    let output = if error { "no luck".to_owned() } else { String::new() };
    Response { error, output, tags: tags("http://h/items/7", status, 12, iteration), ..response }
}

async fn job(context: Context) -> Result<Vec<ResponseTag>, BoxError> {
    let journey = golo::new_sequence_id();
    let iteration = context.iteration.unwrap_or_default();
    match &*context.job_name {
        "get" | "jobs" => get(&journey, "").await?,
        "open a WebSocket" => {
            let target = golo::param("TARGET_URL").unwrap_or_default();
            golo::websocket::connect(&journey, golo::client().get(target)).await?;
        }
        "take half a second" => get(&journey, "slow?ms=500").await?,
        "refuse the content" => {
            let page = golo::client().post(golo::param("TARGET_URL").unwrap_or_default() + "echo").body("sorry");
            golo::request(&journey, page)
                .check("it is no apology", |response| match response.text().contains("sorry") {
                    true => Err("it says sorry"),
                    false => Ok(()),
                })
                .send()
                .await?;
        }
        "upload" => {
            let bytes = golo::param("BYTES").and_then(|bytes| bytes.parse().ok()).unwrap_or_default();
            let target = golo::param("TARGET_URL").unwrap_or_default() + "echo";
            golo::do_request(&journey, golo::client().post(target).body(vec![b'x'; bytes])).await?;
        }
        "hang" => get(&journey, "slow?ms=60000").await?,
        // Longer than the load, and shorter than the grace.
        "slow first" if !HAS_BEGUN.swap(true, Relaxed) => get(&journey, "slow?ms=2500").await?,
        "slow first" => get(&journey, "").await?,
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
        "name at length" if iteration < 100 => {
            // Two triggers have names that differ only at the end.
            let name = format!("{} {}{}", iteration / 2, "x".repeat(256 << 10), iteration % 2);
            golo::check(&name, true);
            golo::counter(&name).unit(&name).add(1);
            golo::measure(&journey, &name, async { Ok::<_, Infallible>(()) }).await?;
            golo::group(&name, async { golo::tag(&name, &name) }).await;
            let page = golo::client().get(golo::param("TARGET_URL").unwrap_or_default());
            golo::request(&journey, page).route(&name).check(&name, |_| true).send().await?;
            return Ok(golo::tagify([(&name, &name)]));
        }
        "never answer" | "name at length" => std::future::pending().await,
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
        "tag" => return tag(iteration).await,
        "print-and-tag" => {
            get(&journey, "items/7").await?;
            return Ok(tags("http://h/items/7", "200 OK", 12, iteration));
        }
        "tell the parameter" => return Ok(golo::tagify([("value", golo::param("KEY").unwrap_or_default())])),
        other => return Err(format!("nothing is called {other}").into()),
    }
    Ok(Vec::new())
}

/// Requests a page without an `Output`, and reports the result in tags, like go-lo's example.
async fn tag(iteration: u64) -> Result<Vec<ResponseTag>, BoxError> {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    let url = format!("{target}items/{}?api_key=secret", iteration % 9 + 1);
    let response = golo::client().get(&url).send().await?;
    let size = response.content_length().unwrap_or_default();
    Ok(tags(&url, &response.status().to_string(), size, iteration))
}

fn tags(url: &str, status: &str, size: u64, iteration: u64) -> Vec<ResponseTag> {
    let pairs: [(&str, &dyn std::fmt::Display); 4] =
        [("status", &status), ("size", &size), ("url", &url), ("number", &iteration)];
    golo::tagify(pairs)
}

async fn get(journey: &str, path: &str) -> Result<(), golo::RequestError> {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    golo::do_request(journey, golo::client().get(format!("{target}{path}"))).await.map(drop)
}
