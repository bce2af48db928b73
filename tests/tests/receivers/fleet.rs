//! Agents that send the metrics of their parts, and `golo submit`, which sends those of the whole run.

use golo_tests::{Program, command};
use tempfile::TempDir;

use crate::database::Database;
use crate::runs::Run;

/// Starts an agent with this name that sends metrics to `url`. Returns it with its address and data folder.
async fn agent(name: &str, url: &str) -> (Program, String, TempDir) {
    let data = tempfile::tempdir().unwrap();
    let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
    command.args(["agent", "--addr", "127.0.0.1:0", "--name", name]).arg("--data").arg(data.path());
    command.args(["-o", &format!("prometheus-rw={url}")]);
    let (program, address) = Program::listen(command).await;
    (program, address, data)
}

#[tokio::test]
async fn agents_and_submit_send_the_same_counts() {
    let Some(prometheus) = Database::prometheus(&[]).await else { return };
    let url = prometheus.url("/api/v1/write");
    let (one, other) = (agent("one", &url).await, agent("other", &url).await);
    let flags = format!("-u 4 -d 3 --agent {} --agent {} -o prometheus-rw={url}", one.1, other.1);
    let ran = Run::submit(&flags).finish().await;
    ran.assert_code(0);
    let sum = |labels: &str| format!("sum(last_over_time(golo_http_requests_total{{{labels}}}[1h]))");
    let requests = ran.requests().0 as f64;
    assert_eq!(prometheus.number(&sum("agent=\"\"")).await, requests);
    // An agent's part of a run has the name under which `golo submit` knows the agent.
    let of_agents =
        prometheus.query("sum by (agent) (last_over_time(golo_http_requests_total{agent!=\"\"}[1h]))").await;
    assert_eq!(of_agents.len(), 2, "{of_agents:?}");
    assert_eq!(of_agents.iter().map(|(_, count)| count).sum::<f64>(), requests, "{of_agents:?}");
    let runs = "count(sum by (run) (last_over_time(golo_http_requests_total[1h])))";
    assert_eq!(prometheus.number(runs).await, 1.0, "all parts have the run's ID");
    for (agent, ..) in [one, other] {
        agent.stop().await;
    }
}

#[tokio::test]
async fn agent_refuses_an_output_that_it_does_not_have() {
    for (output, said) in [
        ("csv=a", "an agent stores results, and `golo show` writes them as csv=; expected prometheus=ADDR"),
        ("prometheus-rw=a", "`--out prometheus-rw=…`: relative URL without a base; expected a URL"),
        ("prometheus=127.0.0.1:1000000", "`--out prometheus=…`: cannot listen on `127.0.0.1:1000000`"),
    ] {
        let data = tempfile::tempdir().unwrap();
        let mut command = command(env!("CARGO_BIN_EXE_golo-command"));
        command.args(["agent", "--addr", "127.0.0.1:0", "-o", output]).arg("--data").arg(data.path());
        let finished = Program::spawn(command).finish().await;
        let text = finished.stderr.join(" ");
        assert_eq!(finished.code, Some(104), "{text}");
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words(&text).contains(said), "{text}");
    }
}
