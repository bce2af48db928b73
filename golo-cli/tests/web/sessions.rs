//! A page with a token: browsers exchange it for a cookie.

use golo::engine::plan::Asked;
use golo_cli::web::WebArgs;
use reqwest::{RequestBuilder, Response};

use crate::support::{Page, RUN};

const TOKEN: &str = "hush-hush-hush-hush";

fn page() -> Page {
    let args = WebArgs { web_token: Some(TOKEN.to_owned().into()), ..WebArgs::default() };
    Page::with(args, Asked::default())
}

async fn log_in(page: &Page, token: &str) -> Response {
    let body = format!(r#"{{"token":"{token}"}}"#);
    let request = page.client.post(format!("{}/session", page.url)).header("content-type", "application/json");
    request.body(body).send().await.unwrap()
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_without_token_gets_the_form_and_nothing_of_the_run() {
    let page = page();
    for path in ["/".to_owned(), format!("/runs/{RUN}")] {
        let answer = page.get(&path).header("accept", "text/html,*/*").send().await.unwrap();
        assert_eq!(answer.status(), 401);
        let text = answer.text().await.unwrap();
        assert!(text.contains("<form id=\"login\"") && !text.contains("sale") && !text.contains(RUN), "{text}");
    }
    for path in [format!("/runs/{RUN}/events"), format!("/runs/{RUN}/failures"), "/compare".to_owned()] {
        assert_eq!(status(page.get(&path)).await, 401, "{path}");
    }
    assert_eq!(status(page.post("stop", "{}")).await, 401);
    assert_eq!(status(page.get("/assets/login.js")).await, 200);
    assert_eq!(status(page.get("/").bearer_auth(TOKEN)).await, 200, "programs send it as for agents");
}

#[tokio::test(flavor = "multi_thread")]
async fn cookie_opens_the_page_and_does_not_contain_the_token() {
    let mut page = page();
    let wrong = log_in(&page, "hush").await;
    assert_eq!((wrong.status().as_u16(), wrong.headers().contains_key("set-cookie")), (403, false));
    let right = log_in(&page, TOKEN).await;
    assert_eq!(right.status(), 204);
    let cookie = right.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("hush"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(status(page.get(&format!("/runs/{RUN}")).header("cookie", cookie)).await, 200);
    assert_eq!(status(page.get("/").header("cookie", format!("{}x", &cookie[..cookie.len() - 1]))).await, 401);
    assert_eq!(status(page.post("stop", "{}").header("cookie", cookie)).await, 401, "not from a page of the server");
    let own = page.post("stop", "{}").header("cookie", cookie).header("sec-fetch-site", "same-origin");
    assert_eq!(status(own).await, 202);
    assert!(page.orders.try_recv().is_ok());
    let foreign = page.post("stop", "{}").header("cookie", cookie).header("origin", "http://evil.example");
    assert_eq!(status(foreign).await, 403);
}
