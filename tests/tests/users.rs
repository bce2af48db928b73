//! Users: their state, its lifetime, and requests that are not part of the load.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::collections::HashSet;

use golo::{Context, Response};
use golo_tests::{Finished, Program, command, connect, context, job, trigger, within};
use sample_service::SampleService;
use serde_json::Value;
use tonic::transport::Channel;

/// Number of triggers of the job `meet` that wait for each other.
const PARTY: u64 = 20;

struct House {
    target: SampleService,
    program: Program,
    channel: Channel,
}

impl House {
    async fn open() -> Self {
        let target = sample_service::start().unwrap();
        let mut command = command(env!("CARGO_BIN_EXE_users"));
        command.env("TARGET_URL", target.url());
        let program = Program::serve(command).await;
        let channel = connect(&program.address).await;
        Self { target, program, channel }
    }

    async fn trigger(&self, context: Context) -> Response {
        trigger(&self.channel, context).await.unwrap()
    }

    /// Triggers and returns the report about the visitor. The trigger must pass.
    async fn told(&self, context: Context) -> Value {
        told(&self.trigger(context).await)
    }

    /// Runs all triggers at the same time. Returns their reports.
    async fn together(&self, contexts: impl IntoIterator<Item = Context>) -> Vec<Value> {
        let triggers: Vec<_> = contexts.into_iter().map(|context| self.begin(context)).collect();
        let mut told_all = Vec::new();
        for response in triggers {
            told_all.push(told(&within("a response", response).await.unwrap()));
        }
        told_all
    }

    /// Runs triggers of another user. Once they are answered, all requests sent before have been received.
    async fn pass_by(&self) {
        for _ in 0..5 {
            self.told(context("visit", 2, 0)).await;
        }
    }

    fn begin(&self, context: Context) -> tokio::task::JoinHandle<Response> {
        let channel = self.channel.clone();
        tokio::spawn(async move { trigger(&channel, context).await.unwrap() })
    }

    async fn close(self) -> Finished {
        let finished = self.program.stop().await;
        assert_eq!(finished.code, Some(0), "{:#?}", finished.stderr);
        assert_eq!(finished.said("set up"), 1, "{:#?}", finished.stderr);
        assert_eq!(finished.said("torn down"), 1, "{:#?}", finished.stderr);
        finished
    }
}

fn told(response: &Response) -> Value {
    assert!(!response.error, "{}", response.output);
    serde_json::from_str(&response.output).unwrap()
}

#[tokio::test]
async fn context_selects_the_users_state() {
    let house = House::open().await;
    for visit in 1..=3 {
        for user in [7, 0, u64::MAX] {
            let told = house.told(context("visit", user, visit)).await;
            assert_eq!(told["visits"], visit, "of user {user}");
            assert_eq!(told["setUps"], 1);
        }
    }
    let again: HashSet<_> = [7, 0, u64::MAX].map(|user| context("visit", user, 4)).into();
    let visitors: HashSet<_> = house.together(again).await.iter().map(|told| told["visitor"].as_u64()).collect();
    assert_eq!(visitors.len(), 3);
    house.close().await;
}

#[tokio::test]
async fn triggers_of_one_user_queue_and_users_run_in_parallel() {
    let house = House::open().await;
    let pair = house.together([context("meet one other", 1, 0), context("meet one other", 2, 0)]).await;
    assert_ne!(pair[0]["visitor"], pair[1]["visitor"], "two users run at once");

    let waiting = house.begin(context("wait at the door", 1, 1));
    house.pass_by().await;
    let mut queued = Vec::new();
    for iteration in 2..12 {
        queued.push(house.begin(context("visit", 1, iteration)));
        house.pass_by().await;
        assert!(!queued.iter().any(tokio::task::JoinHandle::is_finished), "the user is at the door");
    }
    house.told(context("open the door", 2, 0)).await;
    assert_eq!(told(&waiting.await.unwrap())["visits"], 2);
    for (visits, response) in (3..).zip(queued) {
        let told = told(&within("a response", response).await.unwrap());
        assert_eq!((&told["visits"], &told["iteration"]), (&visits.into(), &(visits - 1).into()), "in order");
    }
    house.close().await;
}

#[tokio::test]
async fn many_triggers_of_one_user_run_one_by_one() {
    let house = House::open().await;
    let told = house.together((0..200).map(|iteration| context("visit", 5, iteration))).await;
    let visits: HashSet<_> = told.iter().map(|told| told["visits"].as_u64().unwrap()).collect();
    assert_eq!(visits, (1..=200).collect());
    assert!(told.iter().all(|told| told["visitor"] == 0), "one state");
    house.close().await;
}

#[tokio::test]
async fn triggers_without_a_user_lease_states_from_a_pool() {
    let house = House::open().await;
    let party = house.together((0..PARTY).map(|_| job("meet"))).await;
    let visitors: HashSet<_> = party.iter().map(|told| told["visitor"].as_u64().unwrap()).collect();
    assert_eq!(visitors, (0..PARTY).collect(), "each has a state of its own");
    for _ in 0..30 {
        let told = house.told(job("visit")).await;
        assert!(told["visitor"].as_u64() < Some(PARTY), "nobody new is needed");
    }
    let finished = house.close().await;
    assert_eq!(finished.said(" started"), PARTY as usize);
}

#[tokio::test]
async fn numbered_and_unnumbered_users_are_separate() {
    let house = House::open().await;
    let unnamed = house.told(job("visit")).await;
    let named = house.told(context("visit", 1, 0)).await;
    assert_ne!(unnamed["visitor"], named["visitor"]);
    assert_eq!(house.told(job("visit")).await["visits"], 2);
    house.close().await;
}

#[tokio::test]
async fn failed_user_start_is_reported_and_retried() {
    let house = House::open().await;
    for (name, reason) in
        [("cannot start", "no table is free"), ("cannot start for a panic", "panicked: the door is stuck")]
    {
        for (context, user) in [(context(name, 7, 1), "user 7"), (job(name), "the user")] {
            let response = house.trigger(context.clone()).await;
            assert_eq!((response.error, response.output), (true, format!("{user} could not start: {reason}")));
            assert_eq!((&*response.job_name, response.id.len()), (name, 36));
            assert_eq!(house.told(context.clone()).await["visits"], 1, "the next trigger tries again");
            let panicked = house.trigger(Context { job_name: "panic".to_owned(), ..context }).await;
            assert!(panicked.error, "so that the next one must start again");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn cancelled_user_start_is_retried() {
    let mut house = House::open().await;
    for context in [context("cannot start for ever", 3, 0), job("cannot start for ever")] {
        let hanging = house.begin(context.clone());
        house.program.stderr.wait_for("a visitor waits for ever").await;
        hanging.abort();
        assert_eq!(house.told(context.clone()).await["visits"], 1);
        assert_eq!(house.told(context).await["visits"], 2);
    }
    house.close().await;
}

#[tokio::test]
async fn panic_drops_the_users_state() {
    let house = House::open().await;
    for context in [|name| context(name, 4, 0), job] {
        let first = house.told(context("visit")).await;
        assert_eq!(house.told(context("visit")).await["visits"], 2);
        let response = house.trigger(context("panic")).await;
        assert_eq!(
            (response.error, response.output),
            (true, format!("panicked: visitor {} is lost", first["visitor"]))
        );
        let fresh = house.told(context("visit")).await;
        assert_ne!(fresh["visitor"], first["visitor"]);
        assert_eq!(fresh["visits"], 1);
    }
    let finished = house.close().await;
    assert_eq!((finished.said("visitor 0 dropped"), finished.said("visitor 2 dropped")), (1, 1));
    assert_eq!((finished.said("visitor 0 stopped"), finished.said("visitor 2 stopped")), (0, 0));
    assert_eq!((finished.said("visitor 1 stopped"), finished.said("visitor 3 stopped")), (1, 1));
}

#[tokio::test]
async fn failure_keeps_the_users_state() {
    let house = House::open().await;
    for context in [|name| context(name, 4, 0), job] {
        house.told(context("visit")).await;
        assert_eq!(house.trigger(context("fail")).await.output, "out of stock");
        assert_eq!(house.told(context("visit")).await["visits"], 3);
    }
    house.close().await;
}

#[tokio::test]
async fn cookies_belong_to_the_user() {
    let house = House::open().await;
    for _ in 0..3 {
        let contexts = (0..10).map(|user| context("account", user, 0)).chain((0..10).map(|_| job("account")));
        for told in house.together(contexts).await {
            assert_eq!(told["account"], format!("visitor-{}", told["visitor"]));
        }
    }
    house.close().await;
}

#[tokio::test]
async fn requests_of_user_starts_and_stops_are_not_printed() {
    let house = House::open().await;
    for user in 0..5 {
        house.told(context("visit", user, 0)).await;
        house.told(context("account", user, 1)).await;
    }
    assert_eq!(house.target.counter().routes["/login"], 5);
    let finished = house.program.stop().await;
    assert_eq!(house.target.counter().routes["/account"], 10, "five of them in `stop`");
    assert_eq!(finished.outputs().len(), 5);
    assert!(finished.outputs().iter().all(|output| output["sequenceID"] == "account"), "{:#?}", finished.stdout);
    assert_eq!((finished.said(r#""sequenceID""#), finished.code), (0, Some(0)));
}

#[tokio::test]
async fn all_users_are_stopped_once_before_teardown() {
    let house = House::open().await;
    let party = (0..PARTY).map(|number| if number < 5 { job("meet") } else { context("meet", number, 0) });
    house.together(party).await;
    house.told(context("panic at stop", 5, 0)).await;
    let finished = house.close().await;
    assert_eq!(finished.said(" stopped after "), PARTY as usize, "{:#?}", finished.stderr);
    for visitor in 0..PARTY {
        let lines = finished.stderr.iter().filter(|line| line.starts_with(&format!("visitor {visitor} stopped")));
        let lines: Vec<_> = lines.collect();
        assert!(lines.len() == 1 && lines[0].ends_with("status 200"), "its cookies are there still: {lines:?}");
    }
    assert_eq!(finished.said("does not leave"), 1, "a panic there ends nothing else");
    let place = |part: &str| finished.stderr.iter().rposition(|line| line.contains(part)).unwrap();
    let first_start = finished.stderr.iter().position(|line| line.contains(" started")).unwrap();
    assert!(place("set up") < first_start && place(" stopped after ") < place("torn down after 20"));
}
