//! A load test that fills a page: fast, slow and flaky routes, journeys, checks and failures. The job name selects what
//! a trigger does.

use std::time::Duration;

use golo::{BoxError, Context, Response};

/// HTML that a page must show as text.
const HOSTILE: &str =
    "</script><script>document.title='taken'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>\"'&amp;";

fn page(path: &str) -> String {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    target.trim_end_matches('/').to_owned() + path
}

#[golo::loadtest]
async fn visits(context: Context, response: Response) -> Result<Response, BoxError> {
    match &*context.job_name {
        "hostile" => return Ok(hostile(response).await),
        "nothing" => {}
        _ => visit(context.iteration.unwrap_or_default()).await?,
    }
    Ok(response)
}

async fn visit(iteration: u64) -> Result<(), BoxError> {
    let (visit, client) = (golo::new_sequence_id(), golo::client());
    golo::do_request(&visit, client.get(page("/items"))).await?;
    golo::think(Duration::from_millis(2)..Duration::from_millis(8)).await;
    let item = golo::do_request(&visit, client.get(page(&format!("/items/{}", iteration % 3 + 1)))).await?;
    golo::check("the item is there", item.status() == 200);
    let wait = if iteration.is_multiple_of(50) { 180 } else { iteration * 7 % 31 };
    let slow = client.get(page(&format!("/slow?ms={wait}")));
    golo::do_request(&visit, slow.timeout(Duration::from_millis(150))).await?;
    let flaky = golo::do_request(&visit, client.get(page("/flaky?percent=5"))).await?;
    golo::check("nothing is flaky", flaky.status() == 200);
    Ok(())
}

/// Reports names, routes, tags and errors that contain HTML or are long.
async fn hostile(response: Response) -> Response {
    let long = format!("/{}/{}", "long".repeat(75), "ü".repeat(40));
    for name in [HOSTILE, &long] {
        golo::check(name, false);
        let _ = golo::measure(HOSTILE, name, async { Err::<(), _>(HOSTILE) }).await;
    }
    let tags = golo::tagify([("html", HOSTILE), (HOSTILE, "html"), ("size", "12")]);
    Response { error: true, output: HOSTILE.to_owned(), tags, ..response }
}
