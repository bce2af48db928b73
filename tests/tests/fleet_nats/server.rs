//! A NATS server of a test.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use golo_tests::until;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpSocket;

/// The users of the example configuration, with a variable for the password of each.
const USERS: &str = include_str!("../../../deploy/nats/users.conf");
const PASSWORDS: [(&str, &str); 3] =
    [("$AGENT_PASSWORD", "hush_agent"), ("$SUBMIT_PASSWORD", "hush_submit"), ("$COLLECTOR_PASSWORD", "hush_collector")];

/// A server with JetStream.
pub(super) struct Nats {
    /// True if each command of golo is a user of its own.
    has_users: bool,
    folder: TempDir,
    program: PathBuf,
    /// Bound without listening, so that no other program takes the port while the server is away.
    _bound: TcpSocket,
    address: SocketAddr,
    process: Option<Child>,
}

/// Returns the path of the server. Reports that the test is skipped if it is not installed.
fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("nats-server")).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: nats-server is not installed");
    }
    found
}

impl Nats {
    /// Returns true if the server is installed. Otherwise reports that the test is skipped.
    pub(super) fn is_installed() -> bool {
        installed().is_some()
    }

    /// Starts a server. Returns `None` if it is not installed.
    pub(super) async fn start() -> Option<Self> {
        Self::start_with("", |_| {}).await
    }

    /// Starts a server that listens on this address.
    pub(super) async fn start_at(address: &str) -> Option<Self> {
        Self::start_of(address, "", |_| {}).await
    }

    /// Starts a server with these lines in its configuration. `prepare` adds files to its folder, whose path is `$FOLDER` in
    /// the lines.
    pub(super) async fn start_with(lines: &str, prepare: impl FnOnce(&TempDir)) -> Option<Self> {
        Self::start_of("127.0.0.1", lines, prepare).await
    }

    /// Starts a server with the users of `deploy/nats/users.conf`, and with these lines in its configuration.
    pub(super) async fn start_with_users(lines: &str) -> Option<Self> {
        let users = PASSWORDS.iter().fold(USERS.to_owned(), |users, (name, password)| users.replace(name, password));
        let mut nats = Self::start_with(&format!("{users}\n{lines}"), |_| {}).await?;
        nats.has_users = true;
        Some(nats)
    }

    /// Returns the variables with which a command of golo signs in.
    pub(super) fn sign_in(&self, command: Option<&str>) -> Vec<(&'static str, String)> {
        let user = match command {
            Some(command @ ("agent" | "collector" | "submit")) if self.has_users => command,
            Some("agents") if self.has_users => "submit",
            _ => return Vec::new(),
        };
        vec![
            ("GOLO_NATS_USER", user.to_owned()),
            ("GOLO_NATS_PASSWORD", format!("hush_{user}")),
            ("GOLO_NATS_INBOX", format!("_INBOX_{user}")),
        ]
    }

    async fn start_of(host: &str, lines: &str, prepare: impl FnOnce(&TempDir)) -> Option<Self> {
        let program = installed()?;
        let folder = tempfile::tempdir().unwrap();
        prepare(&folder);
        let bound = TcpSocket::new_v4().unwrap();
        bound.set_reuseaddr(true).unwrap();
        let address: Ipv4Addr = host.parse().unwrap();
        bound.bind(SocketAddr::from((address, 0))).unwrap();
        let port = bound.local_addr().unwrap().port();
        let store = folder.path().join("store").display().to_string();
        let lines = lines.replace("$FOLDER", &folder.path().display().to_string());
        let configuration = format!("host: {address}\nport: {port}\njetstream {{ store_dir: \"{store}\" }}\n{lines}\n");
        fs::write(folder.path().join("nats.conf"), configuration).unwrap();
        let mut nats =
            Self { has_users: false, folder, program, _bound: bound, address: (address, port).into(), process: None };
        nats.start_again().await;
        Some(nats)
    }

    /// Starts it again after [`kill`](Self::kill).
    pub(super) async fn start_again(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.folder.path().join("nats.conf"));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.process = Some(process);
        let address = self.address;
        until("the NATS server listens", || TcpStream::connect(address).is_ok()).await;
    }

    /// Kills it with SIGKILL.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            kill_process(Pid::from_child(&process), Signal::KILL).unwrap();
            process.wait().unwrap();
        }
    }

    /// Deletes all that it has stored.
    pub(super) fn lose_volume(&self) {
        assert!(self.process.is_none());
        fs::remove_dir_all(self.folder.path().join("store")).unwrap();
    }

    pub(super) fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Returns the path of a file in its folder.
    pub(super) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}
