//! Who may open the page and steer a run: foreign pages may not.

use golo_cli::web::WebArgs;
use golo_cli::web::WebServer;
use golo_cli::web::board::Names;

use crate::support::{Page, RUN};

#[tokio::test(flavor = "multi_thread")]
async fn page_of_another_origin_can_neither_read_nor_steer() {
    let mut page = Page::start();
    let foreign = [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")];
    for (name, value) in foreign.into_iter().chain([("sec-fetch-site", "same-site"), ("host", "evil.example")]) {
        for what in ["load", "stop", "abort"] {
            let body = if what == "load" { r#"{"users":20}"# } else { "{}" };
            let answer = page.post(what, body).header(name, value).send().await.unwrap();
            assert_eq!(answer.status(), 403, "{what} with {name}: {value}");
        }
        for path in
            ["/".to_owned(), format!("/runs/{RUN}"), format!("/runs/{RUN}/events"), format!("/runs/{RUN}/failures")]
        {
            let answer = page.get(&path).header(name, value).send().await.unwrap();
            assert_eq!(answer.status(), 403, "{path} with {name}: {value}");
            assert!(!answer.headers().contains_key("access-control-allow-origin"));
        }
    }
    assert!(page.orders.try_recv().is_err(), "no order has arrived");
    let preflight = page.client.request(reqwest::Method::OPTIONS, format!("{}/runs/{RUN}/stop", page.url));
    let preflight = preflight.header("origin", "http://evil.example").header("access-control-request-method", "POST");
    assert_eq!(preflight.send().await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn person_may_follow_a_link_of_another_site() {
    let page = Page::start();
    let opened = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let with = |request: reqwest::RequestBuilder| {
        opened.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    };
    let answer = with(page.get(&format!("/runs/{RUN}"))).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // A form of another site, and a frame in it.
    assert_eq!(with(page.post("stop", "{}")).send().await.unwrap().status(), 403);
    let framed = page.get("/").header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "navigate");
    assert_eq!(framed.header("sec-fetch-dest", "iframe").send().await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_run_only_own_scripts_and_are_never_framed() {
    let page = Page::start();
    for path in ["/".to_owned(), format!("/runs/{RUN}"), "/runs/unknown".to_owned(), "/assets/run.js".to_owned()] {
        let answer = page.get(&path).send().await.unwrap();
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        let text = answer.text().await.unwrap();
        if !path.starts_with("/assets") {
            assert!(!text.contains("<script>") && !text.contains(" style=") && !text.contains(" onclick"), "{path}");
            assert!(!text.contains("<b>sale"), "names are text: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_are_asked_for_again_and_sent_once() {
    let page = Page::start();
    for name in ["style.css", "uplot.js", "run.js", "charts.js", "tables.js", "format.js", "login.js"] {
        let first = page.get(&format!("/assets/{name}")).send().await.unwrap();
        assert_eq!(
            (first.status(), &first.headers()["cache-control"]),
            (reqwest::StatusCode::OK, &"no-cache".parse().unwrap())
        );
        let tag = first.headers()["etag"].clone();
        assert!(!first.text().await.unwrap().trim().is_empty(), "{name}");
        let again = page.get(&format!("/assets/{name}")).header("if-none-match", tag).send().await.unwrap();
        assert_eq!(again.status(), 304, "{name}");
    }
    assert_eq!(page.get("/assets/../Cargo.toml").send().await.unwrap().status(), 404);
    assert_eq!(page.get("/assets/none.js").send().await.unwrap().status(), 404);
}

#[test]
fn address_that_cannot_be_used_is_one_clear_error() {
    let refused = |web: &str, token: Option<&str>| {
        let args = WebArgs {
            web: Some(web.to_owned()),
            web_token: token.map(|token| token.to_owned().into()),
            ..WebArgs::default()
        };
        WebServer::start(args, Names::default(), None).err().expect("it is refused").to_string()
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    assert!(refused(&taken, None).starts_with(&format!("cannot listen on `{taken}`: ")), "{}", refused(&taken, None));
    assert!(refused("nonsense", None).starts_with("`--web` is `nonsense`: expected HOST:PORT"));
    let open = refused("0.0.0.0:0", None);
    assert!(open.contains("`GOLO_WEB_TOKEN` or `--web-token`") && open.contains("`--web-tls-cert`"), "{open}");
    let short = refused("0.0.0.0:0", Some("hush-hush"));
    assert!(short.contains("fewer than 16 characters") && !short.contains("hush"), "{short}");
}
