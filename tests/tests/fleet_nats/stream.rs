//! The stream of results: collectors take what it has, however much that is, and agents send again only what it has lost.

use std::time::Duration;

use async_nats::header::HeaderMap;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};
use async_nats::jetstream::{self, Context};
use golo::reqwest;
use golo_tests::{Program, Signal, within};
use rand::RngExt as _;
use rustix::process::{Resource, Rlimit, prlimit};
use tokio_stream::StreamExt as _;

use super::drills::{a_moment, moments, rounds};
use super::fleet::{Call, agents, golo, sample, until_idle};
use super::results::{Collectors, NATS_COLLECTOR};
use super::server::Nats;

const STREAM: &str = "golo-results";

async fn jetstream(nats: &Nats) -> Context {
    jetstream::new(async_nats::connect(nats.url()).await.unwrap())
}

/// Creates the stream as golo does, with room for at most `max_bytes`.
async fn create(jetstream: &Context, max_bytes: i64) {
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec!["golo.results.>".to_owned()],
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        max_bytes,
        ..Config::default()
    };
    jetstream.create_stream(config).await.unwrap();
}

/// Waits until the stream has this many messages.
async fn until_messages(jetstream: &Context, what: &str, is_right: impl Fn(u64) -> bool) {
    within(what, async {
        loop {
            let stream = jetstream.get_stream(STREAM).await;
            if stream.is_ok_and(|stream| is_right(stream.cached_info().state.messages)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// More than a collector takes at once waits in the stream, and most of it is not of golo.
#[tokio::test]
async fn foreign_messages_do_not_stop_results() {
    let Some(nats) = Nats::start().await else { return };
    let jetstream = jetstream(&nats).await;
    create(&jetstream, 1 << 30).await;
    let _agents = agents(&nats, 2, &NATS_COLLECTOR).await;
    let junk = bytes::Bytes::from(vec![b'x'; 900_000]);
    for number in 0..40 {
        let subject = format!("golo.results.junk{}", number % 3);
        jetstream.publish(subject, junk.clone()).await.unwrap().await.unwrap();
    }
    // A call like those of agents, with records that cannot be read.
    let client = async_nats::connect(nats.url()).await.unwrap();
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.unwrap();
    client.flush().await.unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("golo-call", "POST /api/runs/r/agents/a/records?from=0&job=j");
    headers.insert("golo-piece", "1/1");
    headers.insert("golo-reply", inbox.to_string());
    jetstream.publish_with_headers("golo.results.j", headers, "nonsense".into()).await.unwrap().await.unwrap();

    let target = sample();
    let ran = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 2 --max-lag 10s").finish().await;
    ran.assert_ended_with(0, "PASSED");
    let collectors = Collectors::start(&nats, 1).await;
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), target.counter().seen));
    until_messages(&jetstream, "the stream is empty", |messages| messages == 0).await;
    let answer = within("the answer", answers.next()).await.unwrap();
    assert_eq!(answer.headers.unwrap().get("golo-status").unwrap().as_str(), "400");
}

/// A collector that comes late has to catch up, so nothing may come a second time.
#[tokio::test]
async fn late_collector_gets_everything_once() {
    let Some(nats) = Nats::start().await else { return };
    let _agents = agents(&nats, 2, &NATS_COLLECTOR).await;
    let target = sample();
    let ran = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 3 --max-lag 10s").finish().await;
    ran.assert_ended_with(0, "PASSED");
    until_idle(&nats).await;
    let collectors = Collectors::start(&nats, 0).await;
    let mut command = golo(&nats, &["collector", "--addr", "127.0.0.1:0", "--db"]);
    command.arg(collectors.database());
    let (_program, place) = Program::listen(command).await;
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), target.counter().seen));
    until_messages(&jetstream(&nats).await, "the stream is empty", |messages| messages == 0).await;
    golo::cli::install_provider();
    let get = async |path: &str| reqwest::get(format!("http://{place}/{path}")).await.unwrap().bytes().await.unwrap();
    let stored = get("api/runs/latest/records").await.len();
    let metrics = String::from_utf8(get("metrics").await.to_vec()).unwrap();
    assert!(metrics.contains(&format!("golo_collector_record_bytes_total {stored}\n")), "{stored}: {metrics}");
}

#[tokio::test]
async fn volume_that_is_lost_during_a_run_is_filled_again() {
    let Some(mut nats) = Nats::start().await else { return };
    let mut collectors = Collectors::start(&nats, 1).await;
    let _agents = agents(&nats, 2, &NATS_COLLECTOR).await;
    let mut moments = moments();
    for round in 0..usize::try_from(rounds()).unwrap() {
        let target = sample();
        let mut running = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 6 --max-lag 10s").spawn();
        running.program.stderr.wait_for("started together").await;
        a_moment(&mut moments, 3000).await;
        // The calls of the next moments are taken by no one.
        collectors.programs[0].signal(Signal::STOP);
        a_moment(&mut moments, 2000).await;
        nats.kill();
        nats.lose_volume();
        collectors.programs[0].signal(Signal::CONT);
        nats.start_again().await;
        let ran = running.finish().await;
        ran.assert_ended_with(0, "PASSED");
        assert_eq!(ran.requests(), target.counter().seen);
        assert_eq!(collectors.newest(&nats, round + 1).await, ("PASSED".to_owned(), ran.requests()));
        until_idle(&nats).await;
    }
    collectors.kill().await;
}

/// Two collectors share the work, and one after the other program is killed or stands still.
#[tokio::test]
async fn counts_stay_right_whatever_is_killed() {
    let Some(mut nats) = Nats::start().await else { return };
    let mut collectors = Collectors::start(&nats, 2).await;
    let agents = agents(&nats, 2, &NATS_COLLECTOR).await;
    let mut moments = moments();
    for round in 0..2 * usize::try_from(rounds()).unwrap() {
        let target = sample();
        // A frozen agent is no finding of this test.
        let mut running = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 6 --max-lag 60s").spawn();
        running.program.stderr.wait_for("started together").await;
        for _ in 0..3 {
            a_moment(&mut moments, 1200).await;
            match moments.random_range(0..5) {
                0 => {
                    collectors.kill().await;
                    collectors.add(&nats).await;
                }
                1 => {
                    collectors.kill().await;
                    a_moment(&mut moments, 1000).await;
                    collectors.add(&nats).await;
                }
                2 => {
                    let agent = agents[round % 2].program.as_ref().unwrap();
                    agent.freeze(Duration::from_millis(moments.random_range(100..900))).await;
                }
                lost => {
                    nats.kill();
                    if lost == 4 {
                        nats.lose_volume();
                    }
                    a_moment(&mut moments, 500).await;
                    nats.start_again().await;
                }
            }
        }
        let ran = running.finish().await;
        assert!(ran.finished.code.is_some_and(|code| code == 0 || code == 106), "{:#?}", ran.finished);
        let seen = target.counter().seen;
        assert_eq!(ran.requests(), seen, "{round}");
        assert_eq!(collectors.newest(&nats, round + 1).await.1, seen, "{round}");
        until_idle(&nats).await;
    }
}

/// The collector cannot write for a while.
#[tokio::test]
async fn full_disk_of_the_collector_loses_nothing() {
    let Some(nats) = Nats::start().await else { return };
    let collectors = Collectors::start(&nats, 0).await;
    let golo_command = golo(&nats, &["collector", "--addr", "127.0.0.1:0", "--db"]);
    // Without the signal, a write beyond the limit fails as on a full disk.
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_golo-command")]);
    command.args(golo_command.as_std().get_args()).arg(collectors.database());
    for (name, value) in golo_command.as_std().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let (mut collector, _) = Program::listen(command).await;
    let limit = |current| prlimit(Some(collector.id()), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    limit(Some(4096));
    let _agents = agents(&nats, 2, &NATS_COLLECTOR).await;
    let target = sample();
    let ran = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 3 --max-lag 10s").finish().await;
    ran.assert_ended_with(0, "PASSED");
    limit(None);
    collector.stderr.wait_for("results cannot be stored").await;
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), target.counter().seen));
    until_messages(&jetstream(&nats).await, "the stream is empty", |messages| messages == 0).await;
}

/// The server takes messages of 1 KiB and their headers.
#[tokio::test]
async fn records_that_are_larger_than_a_message_arrive() {
    let Some(nats) = Nats::start_with("max_payload: 17KB", |_| {}).await else { return };
    let _agents = agents(&nats, 2, &NATS_COLLECTOR).await;
    let target = sample();
    let ran = Call::new(&nats, target.url(), "-u 4 --pace 50ms -d 3 --max-lag 10s").finish().await;
    ran.assert_ended_with(0, "PASSED");
    until_idle(&nats).await;
    let files = jetstream(&nats).await.get_object_store("golo-files").await.unwrap();
    let files = async || files.list().await.unwrap().filter_map(Result::ok).collect::<Vec<_>>().await.len();
    let with_the_load_test = files().await;
    assert!(with_the_load_test > 1, "{with_the_load_test}");
    let collectors = Collectors::start(&nats, 1).await;
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), target.counter().seen));
    within("only the load test is left", async { while files().await > 1 {} }).await;
}

/// There is room for few calls at a time.
#[tokio::test]
async fn small_stream_is_filled_and_emptied_until_all_has_arrived() {
    let Some(nats) = Nats::start().await else { return };
    create(&jetstream(&nats).await, 6000).await;
    let mut agents = agents(&nats, 1, &NATS_COLLECTOR).await;
    let stderr = &mut agents[0].program.as_mut().unwrap().stderr;
    let target = sample();
    let running = Call::new(&nats, target.url(), "-u 2 --pace 50ms -d 6 --max-lag 10s").spawn();
    stderr.wait_for("cannot send records to the collector, retrying: the NATS server does not store it").await;
    let ran = running.finish().await;
    ran.assert_ended_with(0, "PASSED");
    let collectors = Collectors::start(&nats, 1).await;
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), target.counter().seen));
    stderr.wait_for("the collector is reachable again").await;
}
