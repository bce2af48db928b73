//! The NATS server.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use golo::reqwest::Client;
use serde::Deserialize;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// Longest time for the server to listen.
const LISTENS: Duration = Duration::from_secs(60);
/// Longest time for an answer of the server's monitoring.
const ANSWER: Duration = Duration::from_secs(10);

/// A server with JetStream and monitoring.
pub(crate) struct Server {
    process: Child,
    port: u16,
    monitoring: u16,
    client: Client,
}

/// Bytes of messages that the server has received and sent.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct Traffic {
    pub(crate) in_bytes: u64,
    pub(crate) out_bytes: u64,
    pub(crate) in_msgs: u64,
    pub(crate) out_msgs: u64,
}

impl Server {
    /// Returns the path of the program, if it is installed.
    pub(crate) fn installed() -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join("nats-server")).find(|file| file.is_file())
    }

    /// Starts the program, with its files in `folder`.
    pub(crate) async fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        let (port, monitoring) = (free_port()?, free_port()?);
        let store = folder.join("nats").display().to_string();
        let configuration = folder.join("nats.conf");
        let lines = format!(
            "host: 127.0.0.1\nport: {port}\nhttp: 127.0.0.1:{monitoring}\njetstream {{ store_dir: \"{store}\" }}\n"
        );
        fs::write(&configuration, lines)?;
        let log = File::create(folder.join("nats.log"))?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&configuration).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().context("nats-server cannot be started")?;
        let client = Client::builder().no_proxy().timeout(ANSWER).build()?;
        let server = Self { process, port, monitoring, client };
        let listening = async {
            while server.traffic().await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LISTENS, listening).await.context("nats-server does not listen")?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn process(&self) -> Option<u32> {
        self.process.id()
    }

    /// Returns what the server has received and sent since its start.
    pub(crate) async fn traffic(&self) -> anyhow::Result<Traffic> {
        let url = format!("http://127.0.0.1:{}/varz", self.monitoring);
        let text = self.client.get(url).send().await?.error_for_status()?.text().await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Ends the server.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("nats-server cannot be ended")
    }
}

/// Returns a port that is free at the moment.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    Ok(listener.local_addr()?.port())
}
