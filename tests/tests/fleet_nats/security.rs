//! Credentials: the server wants them, and load tests do not see them.

use std::fs;

use golo_tests::Program;

use super::fleet::{Agent, Call, agents, golo, listed, sample, script};
use super::server::Nats;

/// Seed of an nkey that the documentation of NATS uses, and its public key.
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const KEY: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

/// Runs `golo agents` with these variables. Returns its exit code and its stderr.
async fn asked(nats: &Nats, variables: &[(&str, &str)], flags: &[&str]) -> (Option<i32>, String) {
    let mut command = golo(nats, &["agents"]);
    command.args(flags).envs(variables.iter().copied());
    let finished = Program::spawn(command).finish().await;
    (finished.code, finished.stderr.join("\n"))
}

#[tokio::test]
async fn each_kind_of_identification_is_accepted() {
    for (lines, right, wrong) in [
        (
            "authorization { token: \"hush-hush\" }".to_owned(),
            vec![("GOLO_NATS_TOKEN", "hush-hush")],
            vec![("GOLO_NATS_TOKEN", "hush-not")],
        ),
        (
            "authorization { user: me, password: \"hush-hush\" }".to_owned(),
            vec![("GOLO_NATS_USER", "me"), ("GOLO_NATS_PASSWORD", "hush-hush")],
            vec![("GOLO_NATS_USER", "me"), ("GOLO_NATS_PASSWORD", "hush-not")],
        ),
        (format!("authorization {{ users: [ {{ nkey: {KEY} }} ] }}"), vec![("GOLO_NATS_NKEY", SEED)], vec![]),
    ] {
        let Some(nats) = Nats::start_with(&lines, |_| {}).await else { return };
        assert_eq!(asked(&nats, &right, &[]).await, (Some(0), String::new()), "{lines}");
        let (code, said) = asked(&nats, &wrong, &[]).await;
        assert_eq!(code, Some(107), "{said}");
        assert!(said.contains("it refuses the credentials: set GOLO_NATS_TOKEN") && !said.contains("hush"), "{said}");
    }
}

#[tokio::test]
async fn server_is_recognised_by_its_certificate() {
    let lines = "tls { cert_file: \"$FOLDER/certificate.pem\", key_file: \"$FOLDER/key.pem\" }";
    let prepare = |folder: &tempfile::TempDir| {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        fs::write(folder.path().join("certificate.pem"), made.cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    };
    let Some(nats) = Nats::start_with(lines, prepare).await else { return };
    let (code, said) = asked(&nats, &[], &["--nats-ca", &nats.file("certificate.pem")]).await;
    assert_eq!((code, &*said), (Some(0), ""));
    let (code, said) = asked(&nats, &[], &[]).await;
    assert_eq!(code, Some(107), "{said}");
    assert!(said.contains("its certificate is not trusted"), "{said}");
}

/// With a certificate to check, nothing is sent to a server that has none.
#[tokio::test]
async fn certificate_is_never_skipped() {
    let Some(nats) = Nats::start().await else { return };
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    fs::write(nats.file("ca.pem"), made.cert.pem()).unwrap();
    let (code, said) = asked(&nats, &[("GOLO_NATS_TOKEN", "hush")], &["--nats-ca", &nats.file("ca.pem")]).await;
    assert_eq!(code, Some(107), "{said}");
}

#[tokio::test]
async fn server_without_a_store_is_refused() {
    let Some(mut nats) = Nats::start().await else { return };
    nats.kill();
    let configuration = fs::read_to_string(nats.file("nats.conf")).unwrap();
    let without: Vec<_> = configuration.lines().filter(|line| !line.starts_with("jetstream")).collect();
    fs::write(nats.file("nats.conf"), without.join("\n")).unwrap();
    nats.start_again().await;
    let (code, said) = asked(&nats, &[], &[]).await;
    assert_eq!(code, Some(107), "{said}");
    assert!(said.contains("it has no JetStream for this account"), "{said}");
}

/// The load test prints its environment, and what it can read of the agent's.
#[tokio::test]
async fn load_test_sees_no_credentials() {
    let Some(nats) = Nats::start_with("authorization { token: \"hush-hush\" }", |_| {}).await else { return };
    let token = [("GOLO_NATS_TOKEN", "hush-hush"), ("GOLO_COLLECTOR_TOKEN", "hush-too"), ("GOLO_TOKEN", "hush-three")];
    let folder = tempfile::tempdir().unwrap();
    let mut agent = golo(&nats, &["agent", "--name", "a", "--data"]);
    agent.arg(folder.path()).envs(token);
    let mut agent = Program::spawn(agent);
    agent.stderr.wait_for("registered as").await;
    let target = sample();
    let folder = tempfile::tempdir().unwrap();
    // The last lines of its stderr are in the message about the failed start.
    let looking = script(&folder, "env | sort | grep -E 'GOLO|TARGET' | tail -n 4 >&2\nexit 3");
    let ran = Call::of(&nats, folder, &looking, target.url(), "-i 1").env(token[0].0, token[0].1).finish().await;
    let said = ran.finished.stderr.join("\n");
    assert_eq!(ran.finished.code, Some(107), "{said}");
    assert!(said.contains("TARGET_URL") && !said.contains("hush"), "{said}");
}

#[tokio::test]
async fn agent_opens_no_port() {
    let Some(nats) = Nats::start().await else { return };
    let agents = agents(&nats, 1, &[]).await;
    let id = agents[0].program.as_ref().unwrap().id().as_raw_nonzero();
    let sockets: Vec<_> = fs::read_dir(format!("/proc/{id}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    // The fourth column is the state, of which 0A is one that listens, and the tenth the number of the socket.
    let is_own = |line: &&str| {
        let columns: Vec<_> = line.split_whitespace().collect();
        columns.get(3) == Some(&"0A") && columns.get(9).is_some_and(|socket| sockets.iter().any(|own| own == socket))
    };
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    assert!(!sockets.is_empty());
    assert_eq!(tables.iter().flat_map(|table| table.lines()).filter(is_own).count(), 0);

    // With an address, it does both.
    let both = Agent::start(&nats, "both", &["--addr", "127.0.0.1:0"]).await;
    assert_eq!(listed(&nats, &[]).await.len(), 2);
    drop(both);
}
