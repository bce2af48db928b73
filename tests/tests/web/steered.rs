//! Runs that are steered from their page, and pages that must not steer.

use golo_tests::within;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::browser::Browser;
use crate::run::Run;

/// Returns the users at the end of each point of a summary's timeline.
fn users(summary: &Value) -> Vec<u64> {
    let points = summary["timeline"]["points"].as_array().unwrap().iter();
    points.map(|point| point["users"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_changed_and_the_run_is_stopped_from_the_page() {
    let Some(mut browser) = Browser::start(1280).await else { return };
    let run = Run::start("-u 5 -d 2m").await;
    browser.open(&run.url).await;
    browser.until("Number(document.documentElement.dataset.drawn) >= 2").await;
    assert_eq!(browser.text("#chart-users b").await, "5");
    assert_eq!(browser.text("#state").await, "running");
    // By keyboard alone.
    browser
        .value("(() => { const level = document.getElementById('level'); level.focus(); level.value = '20'; })()")
        .await;
    browser.press("Enter").await;
    browser.until("document.querySelector('#chart-users b').textContent === '20'").await;
    browser.until("document.querySelector('#changes td:last-child')?.textContent === 'to 20 users'").await;
    browser.value("document.getElementById('stop').click()").await;
    browser.until("'ended' in document.documentElement.dataset").await;
    let state = browser.text("#state").await;
    let tiles = browser.value("[...document.querySelectorAll('#tiles dd')].map((tile) => tile.textContent)").await;
    let change = browser.text("#changes td:last-child").await;
    browser.until("document.getElementById('controls').hidden").await;
    let ended = run.finish().await;
    let printed = ended.printed();
    assert!(printed.starts_with(&state) && state == "STOPPED", "{state}: {printed}");
    for tile in tiles.as_array().unwrap() {
        assert!(printed.contains(tile.as_str().unwrap()), "{tile} is not in the summary: {printed}");
    }
    assert_eq!(change, "to 20 users");
    assert!(printed.contains("to 20 users at "), "{printed}");
    let users = users(&ended.summary);
    assert!(users.contains(&5) && users.contains(&20), "{users:?}");
    assert_eq!(browser.console, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_run_still_reports() {
    let Some(mut browser) = Browser::start(800).await else { return };
    let run = Run::start("-u 2 -d 2m").await;
    browser.open(&run.url).await;
    browser.until("Number(document.documentElement.dataset.drawn) >= 1").await;
    browser.value("document.getElementById('abort').click()").await;
    browser.until("document.getElementById('confirm').open").await;
    browser.value("document.querySelector('#confirm [value=yes]').click()").await;
    browser.until("'ended' in document.documentElement.dataset").await;
    let ended = run.finish().await;
    assert_eq!(ended.finished.code, Some(105), "{:#?}", ended.finished);
    assert!(ended.printed().starts_with("STOPPED"), "{}", ended.printed());
}

/// Serves a page once for each connection.
async fn serve(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            _ = stream.read(&mut head).await;
            let length = page.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            _ = stream.write_all((head + &page).as_bytes()).await;
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn page_of_another_origin_cannot_steer_or_read_the_run() {
    let Some(mut browser) = Browser::start(800).await else { return };
    let run = Run::start("-u 2 -d 2m").await;
    let script = format!(
        "const run = '{}'; window.found = [];
         const attempt = async (what, options) => {{
           try {{ const answer = await fetch(run + what, options); window.found.push([what, answer.type, answer.status]); }}
           catch (error) {{ window.found.push([what, 'refused', String(error)]); }}
         }};
         (async () => {{
           await attempt('', {{}});
           await attempt('/failures', {{ mode: 'no-cors' }});
           await attempt('/stop', {{ method: 'POST', body: '{{}}', mode: 'no-cors' }});
           await attempt('/stop', {{ method: 'POST', body: '{{}}', headers: {{ 'content-type': 'application/json' }} }});
           const events = new EventSource(run + '/events');
           await new Promise((done) => {{ events.onerror = () => done(window.found.push(['/events', 'refused'])); events.onmessage = done; }});
           events.close();
           const loaded = (frame) => new Promise((done) => {{ frame.onload = done; setTimeout(done, 2000); }});
           const frame = document.createElement('iframe');
           Object.assign(frame, {{ name: 'frame', src: run }});
           document.body.append(frame);
           await loaded(frame);
           const form = document.createElement('form');
           Object.assign(form, {{ method: 'post', action: run + '/stop', enctype: 'text/plain', target: 'frame' }});
           document.body.append(form);
           form.submit();
           await loaded(frame);
           window.done = true;
         }})();",
        run.url
    );
    let url = serve(format!("<!doctype html><body><script>{script}</script></body>")).await;
    browser.open(&url).await;
    browser.until("window.done").await;
    let found = browser.value("window.found").await;
    for attempt in found.as_array().unwrap() {
        // An opaque answer cannot be read.
        assert!(attempt[1] == "refused" || attempt[1] == "opaque", "{found}");
    }
    // The run goes on, and its own page can still stop it.
    browser.open(&run.url).await;
    browser.until("document.getElementById('state').textContent === 'running'").await;
    browser.until("Number(document.documentElement.dataset.drawn) >= 1").await;
    browser.value("document.getElementById('stop').click()").await;
    let ended = within("the end", run.finish()).await;
    assert!(ended.printed().starts_with("STOPPED"), "{}", ended.printed());
}
