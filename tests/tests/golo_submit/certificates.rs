//! A server that uses the certificate of a CA as its own, as `openssl req -x509` makes it: each client says what to do.

use std::fs;

use golo_tests::{Program, command};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::fleet::{Agent, BINARY, Call, Fleet, JOBS, sample};

const SAID: &str = "make it with `-addext basicConstraints=critical,CA:FALSE`";

#[tokio::test]
async fn every_client_explains_the_certificate_of_a_ca() {
    let folder = tempfile::tempdir().unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string());
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own_key = KeyPair::generate().unwrap();
    fs::write(&cert, params.self_signed(&own_key).unwrap().pem()).unwrap();
    fs::write(&key, own_key.serialize_pem()).unwrap();
    let fleet = Fleet { agents: vec![Agent::start_with(1, &["--tls-cert", &cert, "--tls-key", &key]).await] };
    let secure = format!("https://{}", fleet.agents[0].name);

    let target = sample();
    let flags = format!("-i 1 --agent {secure} --ca {cert}");
    let ran = Call::new(&fleet, JOBS, target.url(), &flags).alone().finish().await;
    ran.assert_ended_with(107, SAID);

    let mut show = command(env!("CARGO_BIN_EXE_golo-command"));
    show.env_remove("GOLO_TOKEN").args(["show", "--collector", &secure, "--ca", &cert]);
    let shown = Program::spawn(show).finish().await;
    assert_eq!((shown.code, shown.said(SAID)), (Some(104), 1), "{shown:#?}");

    let collector = ["--collector", &secure, "--collector-ca", &cert];
    let mut pushing = Fleet { agents: vec![Agent::start_with(2, &collector).await] };
    Call::new(&pushing, JOBS, target.url(), "-i 1").finish().await.assert_ended_with(0, "PASSED: 1 request");
    pushing.agents[0].program.as_mut().unwrap().stderr.wait_for(SAID).await;

    let mut load_test = command(BINARY);
    load_test.args(["run", "--name", "get", "-i", "1", "--cacert", &cert]).env("TARGET_URL", format!("{secure}/"));
    let ran = Program::spawn(load_test).finish().await;
    let said = ran.stdout.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(ran.code == Some(99) && said.contains(SAID), "{ran:#?}");
}
