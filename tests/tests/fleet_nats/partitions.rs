//! An agent in a network namespace of its own, whose connection to the server is cut for a while.
//!
//! These tests need root and `ip`. The load stays on the loopback interface of the namespace.

use std::fs::File;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use golo_tests::{Program, Signal, until};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sample_service::SampleService;

use super::drills::rounds;
use super::fleet::{Call, golo, until_idle};
use super::results::{Collectors, NATS_COLLECTOR};
use super::server::Nats;

/// A network namespace that is connected to this one by a cable.
struct Away {
    name: String,
    here: String,
    address: String,
}

/// Runs `ip` with these arguments. Returns true if it succeeds.
fn ip(arguments: &str) -> bool {
    let mut command = Command::new("ip");
    command.args(arguments.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Away {
    /// Creates the namespace. Returns `None` if this process may not.
    fn create(number: u32) -> Option<Self> {
        let id = std::process::id() * 8 + number;
        let (name, here, there) = (format!("golo{id}"), format!("ga{id}"), format!("gb{id}"));
        let (high, low) = (id / 64 % 250, id % 64 * 4);
        let addresses = [1, 2].map(|host| format!("10.{}.{high}.{}", 77 + number, low + host));
        let away = Self { name: name.clone(), here: here.clone(), address: addresses[0].clone() };
        let made = [
            format!("netns add {name}"),
            format!("-n {name} link set lo up"),
            format!("link add {here} type veth peer name {there} netns {name}"),
            format!("addr add {}/30 dev {here}", addresses[0]),
            format!("link set {here} up"),
            format!("-n {name} addr add {}/30 dev {there}", addresses[1]),
            format!("-n {name} link set {there} up"),
        ];
        if made.iter().all(|arguments| ip(arguments)) {
            return Some(away);
        }
        eprintln!("skipped: this test must be run by root, and needs `ip` and network namespaces");
        None
    }

    /// Starts a target that can be reached in the namespace.
    fn target(&self) -> SampleService {
        let place = File::open(format!("/var/run/netns/{}", self.name)).unwrap();
        let starting = thread::spawn(move || {
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&place), Some(LinkNameSpaceType::Network)).unwrap();
            sample_service::start().unwrap()
        });
        starting.join().unwrap()
    }

    /// Starts an agent in the namespace, with a folder that must stay.
    async fn agent(&self, nats: &Nats, folder: &tempfile::TempDir) -> Program {
        let golo = golo(nats, &[]);
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(golo.as_std().get_program());
        command.args(["agent", "--name", "away", "--data"]).arg(folder.path()).args(NATS_COLLECTOR);
        command.env("GOLO_NATS", nats.url()).env_remove("GOLO_TOKEN").env_remove("TARGET_URL");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut program = Program::spawn(command);
        program.stderr.wait_for("registered as").await;
        program
    }

    /// Cuts the cable, and mends it after this time.
    async fn cut(&self, time: Duration) {
        assert!(ip(&format!("link set {} down", self.here)));
        tokio::time::sleep(time).await;
        assert!(ip(&format!("link set {} up", self.here)));
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        ip(&format!("link del {}", self.here));
        ip(&format!("netns del {}", self.name));
    }
}

#[tokio::test]
async fn short_cut_has_no_effect() {
    let Some(away) = Away::create(0) else { return };
    let Some(nats) = Nats::start_at(&away.address).await else { return };
    let collectors = Collectors::start(&nats, 1).await;
    let (folder, target) = (tempfile::tempdir().unwrap(), away.target());
    let _agent = away.agent(&nats, &folder).await;
    let mut running = Call::new(&nats, target.url(), "-u 2 --pace 50ms -d 12 --max-lag 10s").spawn();
    running.program.stderr.wait_for("Ctrl-C stops it").await;
    until("there is load", || target.counter().seen > 40).await;
    away.cut(Duration::from_secs(5)).await;
    running.finish().await.assert_ended_with(0, "PASSED: 480 requests");
    assert_eq!(target.counter().seen, 480);
    assert_eq!(collectors.newest(&nats, 1).await, ("PASSED".to_owned(), 480));
}

#[tokio::test]
async fn long_cut_stops_the_load_and_the_record_becomes_whole() {
    let times: &[u64] = if rounds() > 1 { &[15, 60] } else { &[15] };
    for (number, seconds) in times.iter().enumerate() {
        let Some(away) = Away::create(1 + u32::try_from(number).unwrap()) else { return };
        let Some(nats) = Nats::start_at(&away.address).await else { return };
        let collectors = Collectors::start(&nats, 1).await;
        let (folder, target) = (tempfile::tempdir().unwrap(), away.target());
        let mut agent = away.agent(&nats, &folder).await;
        let running = Call::new(&nats, target.url(), "-u 2 --pace 50ms -d 600").spawn();
        until("there is load", || target.counter().seen > 40).await;
        let before = target.counter().seen;
        away.cut(Duration::from_secs(*seconds)).await;
        agent.stderr.wait_for("the lease of 10s ran out").await;
        running.finish().await.assert_ended_with(107, "was lost");
        let seen = target.counter().seen;
        // 40 a second for the lease of 10 s, and for the second before the cut was made.
        assert!(seen - before <= 40 * 14, "{seen} after {before}");
        until_idle(&nats).await;
        let (_, kept) = collectors.newest(&nats, 1).await;
        assert_eq!((kept, target.counter().seen), (seen, seen), "after {seconds} s");
        agent.signal(Signal::TERM);
        agent.finish().await;
    }
}
