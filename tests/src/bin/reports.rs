//! A load test whose runs have something to report: its job says what a trigger does.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use golo::{BoxError, Context, ResponseTag};

/// How many there have been.
static TRIGGERS: AtomicU64 = AtomicU64::new(0);

async fn set_up() -> Result<(), BoxError> {
    act("SETUP")
}

async fn tear_down() -> Result<(), BoxError> {
    act("TEARDOWN")
}

fn act(hook: &str) -> Result<(), BoxError> {
    match golo::param(hook).as_deref() {
        Some("fails") => Err("the key is lost".into()),
        Some("leaves") => std::process::exit(3),
        _ => Ok(()),
    }
}

#[golo::loadtest(setup = set_up, teardown = tear_down)]
async fn reports(context: Context) -> Result<Vec<ResponseTag>, BoxError> {
    let journey = golo::new_sequence_id();
    let number = TRIGGERS.fetch_add(1, Ordering::Relaxed);
    match &*context.job_name {
        "nothing" => {}
        "get" => get(&journey, "", None).await?,
        "hang" => get(&journey, "slow?ms=60000", None).await?,
        "fail" => get(&journey, "status/500", None).await?,
        "return an error" => return Err("out of stock".into()),
        "panic" => panic!("out of stock"),
        // Once there is news.
        "panic later" if number == 30 => panic!("out of stock"),
        "panic later" => {}
        "block" => {
            eprintln!("a thread is blocked");
            loop {
                std::thread::sleep(Duration::from_secs(60));
            }
        }
        "mixed" => mixed(&journey, number).await?,
        "tags" => {
            get(&journey, "", None).await?;
            let parity = if number.is_multiple_of(2) { "even" } else { "odd" };
            let amount = number as f64 / 4.0 - 5.0;
            return Ok(golo::tagify([("parity", parity.to_owned()), ("amount", amount.to_string())]));
        }
        "many routes" => get(&journey, "items", Some(&format!("/routes/{number}"))).await?,
        "a long route" => get(&journey, "items", Some(&format!("/{}", "x".repeat(299)))).await?,
        "a wide route" => get(&journey, "items", Some(&format!("/{}", "界".repeat(299)))).await?,
        "a hostile route" => {
            get(&journey, "items", Some(HOSTILE)).await?;
            golo::check(HOSTILE, true);
            golo::measure(&journey, HOSTILE, async { Err::<(), _>(HOSTILE) }).await?;
        }
        "hostile tags" => return Ok(golo::tagify([(HOSTILE, &HOSTILE[1..])])),
        "tell the parameters" => {
            let said = ["FRUIT", "ITEMS"].map(|key| golo::param(key).unwrap_or_default()).join(" ");
            golo_tests::tell(format_args!("parameters: {said}"));
        }
        other => return Err(format!("nothing is called {other}").into()),
    }
    Ok(Vec::new())
}

/// Three requests or four, of which the last fails, a check and a measured step.
async fn mixed(journey: &str, number: u64) -> Result<(), BoxError> {
    get(journey, "", None).await?;
    get(journey, &format!("items/{}", number % 100 + 1), None).await?;
    get(journey, "bytes/1000", Some("/bytes")).await?;
    if number.is_multiple_of(4) {
        get(journey, "status/500", None).await?;
    }
    golo::check("the number is even", number.is_multiple_of(2));
    golo::check("all is well", true);
    golo::measure(journey, "a step", async { Ok::<_, Infallible>(()) }).await?;
    Ok(())
}

/// What moves the cursor, closes an element, ends a cell or a string, and is no character of XML.
const HOSTILE: &str = "/a\n\u{1b}[2J,\"'<&>]]>\u{7}\u{ffff}\u{202e}=1+1|`$(id)`";

async fn get(journey: &str, path: &str, route: Option<&str>) -> Result<(), golo::RequestError> {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    let mut request = golo::request(journey, golo::client().get(format!("{target}{path}")));
    if let Some(route) = route {
        request = request.route(route);
    }
    request.send().await.map(drop)
}
