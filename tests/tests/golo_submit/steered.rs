//! A run on agents that is steered on its web page.

use serde_json::{Value, json};

use super::fleet::{Call, Fleet, JOBS, sample};

#[tokio::test]
async fn load_of_a_fleet_is_changed_on_the_page_and_reported() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let mut running = Call::new(&fleet, JOBS, target.url(), "-u 4 -d 60 --pace 50ms --web=127.0.0.1:0").spawn();
    let said = running.program.stderr.wait_for("watch the run at ").await;
    let page = said.rsplit(' ').next().unwrap().to_owned();
    running.program.stderr.wait_for("started together within").await;
    let post = |path: &str, body: Value| {
        let request = golo::client().post(format!("{page}{path}")).json(&body);
        async { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(post("/load", json!({ "users": 10 })).await, 202);
    golo_tests::within("each agent's half of the users", async {
        while !fleet.last_jobs().await.iter().all(|job| job["users"] == 5) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(post("/stop", json!({})).await, 202);
    let ran = running.finish().await;
    ran.assert_ended_with(105, "STOPPED by an order");
    let text = ran.finished.stdout.join("\n");
    assert_eq!(text.matches("to 10 users at").count(), 1, "{text}");
    let summary = ran.summary();
    assert_eq!(summary["run"]["changes"].as_array().unwrap().len(), 1, "{summary:#}");
    assert_eq!(summary["load"]["most_users"], 10);
}
