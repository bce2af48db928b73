//! Orders of viewers.

use golo::engine::plan::Target;
use golo::run_loop::Order;

use crate::support::{Page, RUN};

#[tokio::test(flavor = "multi_thread")]
async fn orders_reach_the_run() {
    let mut page = Page::start();
    for (what, body, order) in [
        ("load", r#"{"users":20}"#, Order::Adjust(Target::Users(20))),
        ("load", r#"{"rate":"90/m"}"#, Order::Adjust(Target::Rate("90/m".parse().unwrap()))),
        ("stop", "{}", Order::Stop),
        ("abort", "{}", Order::Cut),
    ] {
        let own = format!("http://{}", page.address());
        let answer = page.post(what, body).header("origin", own).header("sec-fetch-site", "same-origin").send().await;
        assert_eq!(answer.unwrap().status(), 202, "{what}");
        assert_eq!(page.orders.try_recv(), Ok(order));
    }
    let mut viewer = page.viewer().await;
    let (_, state) = viewer.next().await.unwrap();
    assert_eq!(state["head"]["state"], "stopping");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_orders_are_refused_with_a_reason() {
    let mut page = Page::start();
    for (what, body, status, reason) in [
        ("load", "{}", 400, "either `users`"),
        ("load", r#"{"users":1,"rate":"1/s"}"#, 400, "either `users`"),
        ("load", r#"{"rate":"fast"}"#, 400, "invalid rate `fast`: expected a number and a unit"),
        ("load", r#"{"users":-1}"#, 422, "invalid value"),
        ("load", r#"{"user":1}"#, 422, "unknown field `user`"),
        ("stop", "", 400, ""),
        ("other", "{}", 404, "nothing here"),
    ] {
        let answer = page.post(what, body).send().await.unwrap();
        let (code, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        assert!(
            code == status && text.starts_with(r#"{"error":"#) && text.contains(reason),
            "{what} {body}: {code} {text}"
        );
    }
    let plain =
        page.client.post(format!("{}/runs/{RUN}/stop", page.url)).header("content-type", "text/plain").body("{}");
    assert_eq!(plain.send().await.unwrap().status(), 415, "a form of another site could send this");
    assert_eq!(page.get(&format!("/runs/{RUN}/stop")).send().await.unwrap().status(), 405);
    let other = page.client.post(format!("{}/runs/other/stop", page.url)).header("content-type", "application/json");
    assert_eq!(other.body("{}").send().await.unwrap().status(), 404);
    assert!(page.orders.try_recv().is_err());
    page.end();
    let answer = page.post("stop", "{}").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &*answer.text().await.unwrap()), (409, r#"{"error":"the run has ended"}"#));
}
