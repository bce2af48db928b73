//! Agents are listed and chosen, and a plan is shared over them exactly.

use golo_tests::{Program, Signal};

use super::fleet::{Agent, BINARY, Call, agents, golo, listed, sample, script, until_idle};
use super::server::Nats;

#[tokio::test]
async fn report_matches_the_target() {
    let Some(nats) = Nats::start().await else { return };
    let _agents = agents(&nats, 3, &[]).await;
    for (flags, expected) in [
        ("-u 10 -d 2", None),
        ("-r 301/s -d 1 --max-lag 10s", Some(301)),
        ("-u 7 -i 300 --workers 2", Some(300)),
        ("-u 4 --pace 100ms -d 1 --max-lag 10s", Some(40)),
    ] {
        let target = sample();
        let ran = Call::new(&nats, target.url(), flags).finish().await;
        ran.assert_ended_with(0, "PASSED");
        assert_eq!(ran.requests(), target.counter().seen, "{flags}");
        assert!(expected.is_none_or(|expected| expected == ran.requests()), "{flags}");
        assert_eq!(ran.finished.said("started together within "), 1, "{:#?}", ran.finished.stderr);
    }
    until_idle(&nats).await;
}

#[tokio::test]
async fn agents_are_chosen_by_labels_and_capacity() {
    let Some(nats) = Nats::start().await else { return };
    let _eu = Agent::start(&nats, "one.example", &["--label", "zone=eu"]).await;
    let mut us = Agent::start(&nats, "two", &["--label", "zone=us", "--label", "disk=ssd"]).await;
    let names = async |flags: &[&str]| -> Vec<String> {
        listed(&nats, flags).await.iter().map(|agent| agent["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&[]).await, ["one.example", "two"]);
    assert_eq!(names(&["--select", "zone=eu"]).await, ["one.example"]);
    assert_eq!(names(&["--select", "cores>=1,disk=ssd"]).await, ["two"]);
    assert_eq!(names(&["--select", "cores>=100000"]).await, [""; 0]);

    let target = sample();
    let ran = Call::new(&nats, target.url(), "-i 10 -u 2 --select zone=us").finish().await;
    ran.assert_ended_with(0, "PASSED: 10 requests");
    assert_eq!(ran.finished.said("started together"), 0, "one agent has no one to start with");
    let few = Call::new(&nats, target.url(), "-i 10 --agents 2 --select zone=us").finish().await;
    let stderr = few.finished.stderr.join("\n");
    assert_eq!(few.finished.code, Some(107), "{stderr}");
    assert!(
        stderr.contains("2 agents are wanted, and 2 are registered, of which 1 match `--select zone=us`"),
        "{stderr}"
    );

    // An agent that stops leaves at once.
    let program = us.program.take().unwrap();
    program.signal(Signal::TERM);
    assert_eq!(program.finish().await.code, Some(0));
    assert_eq!(names(&[]).await, ["one.example"]);
}

#[tokio::test]
async fn changes_of_agents_are_followed() {
    let Some(nats) = Nats::start().await else { return };
    let mut following = Program::spawn(golo(&nats, &["agents", "--watch"]));
    let mut agent = Agent::start(&nats, "load.1", &["--label", "zone=eu"]).await;
    let line = following.stdout.wait_for("load.1").await;
    assert!(line.contains("idle") && line.contains("zone=eu"), "{line}");
    let target = sample();
    let running = Call::new(&nats, target.url(), "--name hang -u 1 -d 600").spawn();
    following.stdout.wait_for("load.1  runs hang").await;
    running.program.signal(Signal::INT);
    running.program.signal(Signal::INT);
    assert_eq!(running.finish().await.finished.code, Some(105));
    following.stdout.wait_for("load.1  idle").await;
    // A killed agent is forgotten.
    agent.kill().await;
    following.stdout.wait_for("load.1  left").await;
    following.signal(Signal::INT);
    assert_eq!(following.finish().await.code, Some(0));
}

#[tokio::test]
async fn name_belongs_to_one_agent() {
    let Some(nats) = Nats::start().await else { return };
    let mut first = Agent::start(&nats, "load", &[]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut second = golo(&nats, &["agent", "--name", "load", "--data"]);
    second.arg(folder.path());
    let mut second = Program::spawn(second);
    second.stderr.wait_for("another agent is registered as load").await;
    assert_eq!(listed(&nats, &[]).await.len(), 1);
    first.kill().await;
    second.stderr.wait_for("registered again").await;
}

/// The load test is larger than a message of NATS may be.
#[tokio::test]
async fn load_test_is_fetched_once_by_each_agent() {
    let Some(nats) = Nats::start().await else { return };
    let _agents = agents(&nats, 2, &[]).await;
    let target = sample();
    for (round, expected) in [(1, 1), (2, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let large = script(&folder, &format!("exec {BINARY} \"$@\"\n#{}", "x".repeat(3 << 20)));
        let ran = Call::of(&nats, folder, &large, target.url(), "-i 10 -u 2").finish().await;
        ran.assert_ended_with(0, "PASSED: 10 requests");
        assert_eq!(ran.finished.said("6.3 MB to 2 agents"), expected, "{round}: {:#?}", ran.finished.stderr);
    }
}

#[tokio::test]
async fn each_platform_gets_its_build() {
    let Some(nats) = Nats::start().await else { return };
    let _agents = agents(&nats, 2, &[]).await;
    let target = sample();
    let platform = listed(&nats, &[]).await[0]["platform"].as_str().unwrap().to_owned();
    let (own, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let right = script(&own, &format!("exec {BINARY} \"$@\""));
    let flags = format!("-i 10 -u 2 --binary plan9-mips=Cargo.toml --binary {platform}={}", right.display());
    let broken = script(&folder, "exit 7");
    let ran = Call::of(&nats, folder, &broken, target.url(), &flags).finish().await;
    ran.assert_ended_with(0, "PASSED: 10 requests");
    let missing = golo(&nats, &["submit", "-i", "10", "--binary", &format!("plan9-mips={BINARY}")]);
    let finished = Program::spawn(missing).finish().await;
    assert_eq!(finished.code, Some(107), "{finished:?}");
    let said = finished.stdout.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(&format!("there is no `--binary {platform}=PATH` for it")), "{said}");
}

#[tokio::test]
async fn detached_run_is_followed_later() {
    let Some(nats) = Nats::start().await else { return };
    let _agents = agents(&nats, 2, &[]).await;
    let target = sample();
    let mut command = golo(&nats, &["submit", BINARY, "--detach", "-u", "4", "--pace", "50ms", "-d", "5"]);
    command.args(["--max-lag", "10s", "-e", &format!("TARGET_URL={}", target.url())]);
    let detached = Program::spawn(command).finish().await;
    assert_eq!(detached.code, Some(0), "{detached:?}");
    let attached = Program::spawn(golo(&nats, &["attach", &detached.stdout[0]])).finish().await;
    assert_eq!(attached.code, Some(0), "{attached:?}");
    assert!(attached.stdout[0].contains("PASSED: 400 requests"), "{attached:?}");
    assert_eq!(target.counter().seen, 400);
}
