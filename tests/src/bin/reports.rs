//! A load test that fills a report. The job name selects what a trigger does.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use golo::{BoxError, Context, ResponseTag};

/// Time of the first trigger that asked for it.
static FIRST: OnceLock<Instant> = OnceLock::new();
/// Number of triggers so far.
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
        // Longer than the load, and shorter than the grace.
        "slow first" if number == 0 => get(&journey, "slow?ms=2500", None).await?,
        "slow first" => get(&journey, "items", None).await?,
        "all slow" => get(&journey, "slow?ms=1500", None).await?,
        "fail fast" if number.is_multiple_of(10) => get(&journey, "slow?ms=100", None).await?,
        "fail fast" => get(&journey, "status/503", None).await?,
        "steps alone" => {
            golo::measure(&journey, "a step", async { Ok::<_, Infallible>(()) }).await?;
        }
        "failed steps" => {
            // The load test continues after the failed step.
            let _ = golo::measure(&journey, "a step", async { Err::<(), _>("no database") }).await;
        }
        "swallow errors" => {
            let _ = get(&journey, "items", None).await;
        }
        "fail" => get(&journey, "status/500", None).await?,
        // From the fourth second to the sixth, every request fails.
        "bad deploy" => {
            let is_bad = (4..6).contains(&FIRST.get_or_init(Instant::now).elapsed().as_secs());
            get(&journey, if is_bad { "status/500" } else { "items" }, None).await?;
        }
        "return an error" => return Err("out of stock".into()),
        "panic" => panic!("out of stock"),
        // Late enough that progress has been reported.
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
        // The first request to `/checkout` passes, before the series are full. Later a third of them fail.
        "checkout" if (1..OTHERS).contains(&number) => other_path(&journey, number).await?,
        "checkout" => {
            let path = if number % 3 == 1 { "status/500" } else { "items/1" };
            get(&journey, path, Some("/checkout")).await?;
        }
        // The same for a route without a name.
        "unnamed" if (1..OTHERS).contains(&number) => other_path(&journey, number).await?,
        "unnamed" => get(&journey, if number % 3 == 1 { "status/500" } else { "status/200" }, None).await?,
        "other paths" => other_path(&journey, number).await?,
        "refused" => {
            let url = format!("{REFUSED}/{}?{SECRET}{number}", letters(number));
            golo::do_request(&journey, golo::client().get(url)).await?;
        }
        "refused and wrapped" => {
            let url = format!("{REFUSED}/{}", letters(number));
            let cart = golo::do_request(&journey, golo::client().get(url)).await;
            cart.map_err(|error| format!("no cart {number}: {error}"))?;
        }
        "a step fails" => golo::measure(&journey, "a step", async { Err(format!("no row {number}")) }).await?,
        "vary" => {
            return Err(format!("no user {number} at http://127.0.0.1:9/{}, line {number}", letters(number)).into());
        }
        "secrets" => secrets(&journey, number).await?,
        "failures" => failures(&journey, number).await?,
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

/// Number of triggers that request other paths, after the first one to `/checkout`.
const OTHERS: u64 = 1200;
/// An address on which nothing listens.
const REFUSED: &str = "http://127.0.0.1:1";
/// A query that must not appear in any report.
const SECRET: &str = "api_key=s3cret";

/// Spells the digits of a number as letters, so that they are not treated as a variable part of the path.
fn letters(number: u64) -> String {
    number.to_string().bytes().map(|digit| char::from(b'a' + digit - b'0')).collect()
}

/// Requests a path of its own, without a route name.
async fn other_path(journey: &str, number: u64) -> Result<(), BoxError> {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    let page = golo::client().get(format!("{target}no-{}", letters(number)));
    golo::request(journey, page).expect_status(404).send().await?;
    Ok(())
}

/// Puts the secret query everywhere that a report might copy it from.
async fn secrets(journey: &str, number: u64) -> Result<(), BoxError> {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    let url = format!("{target}items/1?{SECRET}");
    golo::check(&format!("GET {url}"), true);
    match number % 5 {
        0 => get(journey, &format!("items/1?{SECRET}"), Some(&format!("/items/1?{SECRET}"))).await?,
        1 => panic!("no page at {url}"),
        2 => return Err(format!("no page at {url} or at /items/1?{SECRET}").into()),
        3 => {
            golo::do_request(journey, golo::client().get(format!("{REFUSED}/?{SECRET}"))).await?;
        }
        _ => golo::measure(journey, &url, async { Err(format!("no answer from {url}")) }).await?,
    }
    Ok(())
}

/// Makes a request that passes, and then one that fails in one of several ways. Each place of the failing ones has a
/// secret of its own, which begins with `s3cret`.
async fn failures(journey: &str, number: u64) -> Result<(), BoxError> {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    get(journey, "", Some("/before")).await?;
    let to = |path: &str| {
        format!("{target}{path}?api_key=s3cret-query&page=7").replacen("http://", "http://ann:s3cret-user@", 1)
    };
    let json = r#"{"user": "ann", "password": "s3cret-json", "account": "s3cret-masked", "n": 1}"#;
    let with_secrets = |url: String| {
        let request = golo::client().post(url).header("authorization", "Bearer s3cret-bearer");
        let request = request.header("cookie", "session=s3cret-cookie").header("x-account", "s3cret-account");
        request.header("content-type", "application/json").body(json)
    };
    match number % 5 {
        0 => golo::request(journey, with_secrets(to("status"))).route("/status").send().await.map(drop)?,
        1 => {
            let refused = golo::request(journey, with_secrets(to("content")));
            let refused = refused.route("/content").expect(|_| -> Result<(), &str> { Err("no stock") });
            refused.send().await.map(drop)?;
        }
        2 => {
            let slow = with_secrets(to("hang")).timeout(Duration::from_millis(100));
            let _ = golo::request(journey, slow).route("/hang").send().await;
        }
        3 => {
            let refused = with_secrets(format!("{REFUSED}/?token=s3cret-token"));
            let _ = golo::request(journey, refused).route("/refused").send().await;
        }
        _ => {
            let cut = golo::request(journey, with_secrets(to("cut"))).route("/cut");
            let _ = cut.send().await;
        }
    }
    Ok(())
}

/// Makes three requests, or four of which the last fails, and records two checks and a measured step.
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

/// Contains characters that move the cursor, close an element, end a cell or a string, or are invalid in XML.
const HOSTILE: &str = "/a\n\u{1b}[2J,\"'<&>]]>\u{7}\u{ffff}\u{202e}=1+1|`$(id)`";

async fn get(journey: &str, path: &str, route: Option<&str>) -> Result<(), golo::RequestError> {
    let target = golo::param("TARGET_URL").unwrap_or_default();
    let mut request = golo::request(journey, golo::client().get(format!("{target}{path}")));
    if let Some(route) = route {
        request = request.route(route);
    }
    request.send().await.map(drop)
}
