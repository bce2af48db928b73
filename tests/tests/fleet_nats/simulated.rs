//! Many agents, whose engines are simulated.

use std::time::Duration;

use golo_tests::command;
use tokio::time::timeout;

use super::server::Nats;

/// Longest time for the whole program, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test]
async fn summary_of_many_agents_is_the_sum_of_what_they_made() {
    if !Nats::is_installed() {
        return;
    }
    let mut command = command(env!("CARGO_BIN_EXE_thousand"));
    command.args(["--agents", "20", "--time", "5s"]);
    let output = timeout(PATIENCE, command.output()).await.expect("the program ends").unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    assert!(stdout.contains("requests in the summary           100000\n"), "{stdout}");
    assert!(stdout.contains("every summary equals the sum"), "{stdout}");
}
