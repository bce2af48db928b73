//! Credentials reach the receiver and nobody else.

use std::fs;
use std::path::Path;

use crate::receiver::{Answer, Receiver};
use crate::runs::Run;

const SECRET: &str = "hush-b1946ac9";

/// Returns the programs of all processes that have the secret in this file of `/proc`.
fn holders(file: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let holds = |path: &Path| fs::read(path.join(file)).is_ok_and(|bytes| has(&bytes));
    let holders = processes.filter(|path| holds(path)).filter_map(|path| fs::read_link(path.join("exe")).ok());
    holders.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

fn has(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
}

#[tokio::test]
async fn credentials_reach_the_receiver_and_nobody_else() {
    for protocol in ["http/protobuf", "grpc"] {
        let receiver = Receiver::start(Answer::Accept);
        let mut run = Run::new(&receiver, "-d 2").set("PROTOCOL", protocol);
        let folder = run.folder.path().to_owned();
        run.command.env_remove("GOLO_NO_KEEP").env("GOLO_DB", folder.join("results.db"));
        let run = run.set("HEADERS", &format!("authorization=Bearer%20{SECRET},x-tenant=load"));
        let ran = run
            .finish_after(|_| async {
                assert_eq!(holders("cmdline"), [""; 0]);
                let holders = holders("environ");
                assert!(holders.iter().any(|program| program == "golo-command"), "{holders:?}");
                assert!(!holders.iter().any(|program| program == "routes"), "the load test has it: {holders:?}");
            })
            .await;
        ran.assert_passed();
        let expected = format!("Bearer {SECRET}");
        let received = receiver.received();
        assert!(!received.headers.is_empty());
        assert!(
            received
                .headers
                .iter()
                .all(|headers| headers["authorization"] == expected && headers["x-tenant"] == "load")
        );
        assert!(!has(format!("{:?}", ran.finished).as_bytes()), "{:?}", ran.finished);
        for entry in fs::read_dir(ran.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            assert!(!has(&fs::read(&path).unwrap()), "{}", path.display());
        }
        assert!(ran.folder.path().join("results.db").exists());
    }
}
