//! The users of `deploy/nats/users.conf` can do their work, and cannot do that of others.

use async_nats::{Client, ConnectOptions, Event, HeaderMap};
use golo_tests::{Program, within};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_stream::StreamExt as _;

use super::fleet::{Call, agents, golo, listed, sample, until_idle};
use super::results::{Collectors, NATS_COLLECTOR};
use super::server::Nats;

#[tokio::test]
async fn each_user_can_do_its_work() {
    // Results do not fit into messages that are this small, so they travel as files.
    let Some(mut nats) = Nats::start_with_users("max_payload: 8KB").await else { return };
    let collectors = Collectors::start(&nats, 2).await;
    let agents = agents(&nats, 3, &NATS_COLLECTOR).await;
    let mut watching = Program::spawn(golo(&nats, &["agents", "--watch"]));
    watching.stdout.wait_for("load.3").await;
    let target = sample();
    let flags = "-u 6 --pace 50ms -d 4 --max-lag 10s";
    let ran = Call::new(&nats, target.url(), flags).finish().await;
    ran.assert_ended_with(0, "PASSED: 480 requests");
    assert_eq!(ran.finished.said("Permissions Violation"), 0, "{:#?}", ran.finished.stderr);
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), 480));
    until_idle(&nats).await;

    // They also create again what the server has lost.
    nats.kill();
    nats.lose_volume();
    nats.start_again().await;
    within("all agents are registered again", async { while listed(&nats, &[]).await.len() < 3 {} }).await;
    Call::new(&nats, target.url(), flags).finish().await.assert_ended_with(0, "PASSED: 480 requests");
    assert_eq!(collectors.newest(&nats, 2).await, ("PASSED".to_owned(), 480));
    watching.stop().await;
    for mut agent in agents {
        let stopped = agent.program.take().unwrap().stop().await;
        assert_eq!(stopped.said("Permissions Violation"), 0, "{:#?}", stopped.stderr);
    }
}

#[tokio::test]
async fn no_user_can_do_the_work_of_others() {
    let Some(nats) = Nats::start_with_users("").await else { return };
    for (user, subjects) in [
        // Calls of agents, answers to others, and the results of other agents.
        ("agent", &["golo.agent.load=2E1", "_INBOX_collector.a", "$JS.API.CONSUMER.CREATE.golo-results.a"][..]),
        ("agent", &["$JS.API.STREAM.DELETE.golo-results", "$JS.API.STREAM.UPDATE.golo-results"]),
        ("submit", &["golo.results.a", "$KV.golo-agents.a", "_INBOX_agent.a", "golo.collector"]),
        ("submit", &["$JS.API.CONSUMER.MSG.NEXT.golo-results.collector", "$JS.API.STREAM.DELETE.KV_golo-agents"]),
        ("collector", &["golo.agent.load=2E1", "golo.results.a", "$KV.golo-agents.a", "$O.golo-files.C.a"]),
    ] {
        let (client, mut refused) = signed_in(&nats, user).await;
        for subject in subjects {
            client.publish(subject.to_owned(), "".into()).await.unwrap();
            assert_refused(&mut refused, "Publish", subject).await;
        }
    }
    for (user, subjects) in [
        ("agent", &["_INBOX.>", "_INBOX_submit.>", "golo.results.>", "golo.collector"][..]),
        ("submit", &["golo.agent.>", "golo.results.>", "$KV.golo-agents.>", "$O.golo-files.>", "_INBOX_agent.>"]),
        ("collector", &["golo.agent.>", "golo.results.>", "_INBOX_submit.>"]),
    ] {
        let (client, mut refused) = signed_in(&nats, user).await;
        for subject in subjects {
            let _subscriber = client.subscribe(subject.to_owned()).await.unwrap();
            assert_refused(&mut refused, "Subscription", subject).await;
        }
    }
}

/// JetStream delivers stored messages to any subject that the user of a consumer names, without asking for its permissions.
#[tokio::test]
async fn stored_message_is_no_call() {
    let Some(nats) = Nats::start_with_users("").await else { return };
    let mut agents = agents(&nats, 1, &[]).await;
    let target = sample();
    // It creates the bucket of files.
    Call::new(&nats, target.url(), "-i 1").finish().await.assert_ended_with(0, "PASSED");
    let options = ConnectOptions::with_user_and_password("agent".to_owned(), "hush_agent".to_owned());
    let client = options.custom_inbox_prefix("_INBOX_agent").connect(nats.url()).await.unwrap();
    let mut delivered = client.subscribe("golo.agent.load=2E1").await.unwrap();
    let mut call = HeaderMap::new();
    call.insert("golo-call", "GET /jobs");
    call.insert("golo-piece", "1/1");
    client.publish_with_headers("$O.golo-files.C.call", call, "".into()).await.unwrap();
    let consumer = r#"{"stream_name": "OBJ_golo-files", "config": {"deliver_subject": "golo.agent.load=2E1",
        "filter_subject": "$O.golo-files.C.call", "ack_policy": "explicit", "deliver_policy": "all"}}"#;
    client.request("$JS.API.CONSUMER.CREATE.OBJ_golo-files", consumer.into()).await.unwrap();
    let message = within("the server delivers it", delivered.next()).await.unwrap();
    assert!(message.reply.unwrap().starts_with("$JS.ACK."));
    // The agent is asked once more. It would have answered the message before.
    Call::new(&nats, target.url(), "-i 1").finish().await.assert_ended_with(0, "PASSED");
    let stopped = agents[0].program.take().unwrap().stop().await;
    assert!(!stopped.stderr.iter().any(|line| line.contains("$JS.ACK")), "{:#?}", stopped.stderr);
}

/// Connects as this user. Returns the errors that the server reports, too.
async fn signed_in(nats: &Nats, user: &str) -> (Client, UnboundedReceiver<String>) {
    let (sender, refused) = unbounded_channel();
    let options = ConnectOptions::with_user_and_password(user.to_owned(), format!("hush_{user}"));
    let options = options.event_callback(move |event| {
        if let Event::ServerError(error) = event {
            // The test may be over.
            _ = sender.send(error.to_string());
        }
        std::future::ready(())
    });
    (options.connect(nats.url()).await.unwrap(), refused)
}

async fn assert_refused(refused: &mut UnboundedReceiver<String>, what: &str, subject: &str) {
    let said = within("the server refuses it", refused.recv()).await.unwrap().to_lowercase();
    let expected = format!("permissions violation for {what} to \"{subject}\"").to_lowercase();
    assert!(said.contains(&expected), "{expected}: {said}");
}
