//! A run on agents that is steered on its web page.

use golo::pb::engine::event::Event;
use golo::pb::results::{Record, record::Record as Kind};
use serde_json::{Value, json};

use super::fleet::{Agent, Call, Fleet, JOBS, Ran, Running, sample};

/// A run whose page is open.
struct Steered {
    running: Running,
    page: String,
}

impl Steered {
    /// Starts a run of 4 users, and waits until it has begun.
    async fn start(fleet: &Fleet, target: &str) -> Self {
        let mut running = Call::new(fleet, JOBS, target, "-u 4 -d 60 --pace 50ms --web=127.0.0.1:0").spawn();
        let said = running.program.stderr.wait_for("watch the run at ").await;
        running.program.stderr.wait_for("started together within").await;
        Self { running, page: said.rsplit(' ').next().unwrap().to_owned() }
    }

    async fn post(&self, path: &str, body: Value) {
        let request = golo::client().post(format!("{}{path}", self.page)).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 202);
    }

    async fn stop(self) -> Ran {
        self.post("/stop", json!({})).await;
        let ran = self.running.finish().await;
        ran.assert_ended_with(105, "STOPPED by an order");
        ran
    }
}

/// Waits until each agent has this number of users.
async fn each_has(fleet: &Fleet, users: u64) {
    golo_tests::within("the users of each agent", async {
        while !fleet.last_jobs().await.iter().all(|job| job["users"] == users) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn load_of_a_fleet_is_changed_in_the_order_of_the_orders_and_reported() {
    let fleet = Fleet::start(2).await;
    let target = sample();
    let run = Steered::start(&fleet, target.url()).await;
    run.post("/load", json!({ "users": 10 })).await;
    each_has(&fleet, 5).await;
    for users in [16, 6, 12, 8] {
        run.post("/load", json!({ "users": users })).await;
    }
    each_has(&fleet, 4).await;
    let ran = run.stop().await;
    let summary = ran.summary();
    let loads: Vec<_> = summary["run"]["changes"].as_array().unwrap().iter().map(|change| &change["load"]).collect();
    assert_eq!(loads.last().unwrap().as_str(), Some("8 users"), "{summary:#}");
    assert_eq!(loads[..2], ["10 users", "16 users"], "{summary:#}");
    assert_eq!(loads.len(), 5, "{summary:#}");
}

#[tokio::test]
async fn load_that_one_agent_refuses_is_taken_back_by_the_others() {
    let fleet = Fleet { agents: vec![Agent::start(1).await, Agent::start_with(2, &["--max-users", "5"]).await] };
    let target = sample();
    let run = Steered::start(&fleet, target.url()).await;
    run.post("/load", json!({ "users": 20 })).await;
    // The first agent has its share of them for a moment, and then its former share.
    golo_tests::within("the change and its end", async {
        let id = fleet.agents[0].jobs().await.pop().unwrap()["id"].as_str().unwrap().to_owned();
        let is_change = |record: &Record| {
            let Some(Kind::Event(event)) = &record.record else { return false };
            matches!(event.event, Some(Event::Adjusted(_)))
        };
        while fleet.agents[0].records(&id).await.iter().filter(|record| is_change(record)).count() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    each_has(&fleet, 2).await;
    run.post("/load", json!({ "users": 6 })).await;
    each_has(&fleet, 3).await;
    let ran = run.stop().await;
    let summary = ran.summary();
    let changes = summary["run"]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{summary:#}");
    assert_eq!(changes[0]["load"], "6 users");
}
