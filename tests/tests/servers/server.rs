//! A real server as a process in a folder of its own: started, awaited, stopped, and counted by its own log.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use golo_tests::{Signal, until};
use rustix::process::{Pid, kill_process, kill_process_group};
use tempfile::TempDir;

use crate::log::{Entry, Log};
use crate::port::Port;

/// A running server. It and its children are killed when this value is dropped, and when the test's process dies.
pub(crate) struct Server {
    name: &'static str,
    folder: TempDir,
    ports: Vec<Port>,
    process: Child,
    guard: Child,
    recipe: Recipe,
}

/// How a server is stopped and its log is read.
#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    /// Signal on which the server finishes its requests and ends.
    pub(crate) stop: Signal,
    /// Name of the access log in the server's folder.
    pub(crate) log: &'static str,
    pub(crate) parse: fn(&str) -> Option<Entry>,
}

/// A server's folder and ports before its start.
pub(crate) struct Place {
    folder: TempDir,
    ports: Vec<Port>,
}

impl Place {
    /// Returns a new folder, and this number of free ports.
    pub(crate) fn new(ports: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Workers of a server that root starts may have another user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        Self { folder, ports: (0..ports).map(|_| Port::free()).collect() }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn port(&self, index: usize) -> u16 {
        self.ports[index].number
    }

    /// Writes a file, and returns its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a self-signed certificate for 127.0.0.1: `certificate.pem`, `key.pem`, and `both.pem`.
    pub(crate) fn write_certificate(&self) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        self.write("certificate.pem", &certificate);
        self.write("key.pem", &key);
        self.write("both.pem", certificate + &key);
    }

    /// Starts `command`, which stays in the foreground, and waits until it accepts connections on all ports.
    pub(crate) async fn start(self, name: &'static str, mut command: Command, recipe: Recipe) -> Server {
        let file = |name| File::create(self.folder().join(name)).unwrap();
        command.stdin(Stdio::null()).stdout(file("stdout.log")).stderr(file("stderr.log"));
        let process = command.current_dir(self.folder()).process_group(0).spawn().unwrap();
        let mut guard = Command::new("sh");
        // Its input ends when the test's process does, however that happens.
        guard.args(["-c", "cat; kill -s KILL -- -$0"]).arg(process.id().to_string());
        let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let guard = guard.spawn().unwrap();
        let Self { folder, ports } = self;
        let mut server = Server { name, folder, ports, process, guard, recipe };
        server.ready().await;
        server
    }
}

impl Server {
    async fn ready(&mut self) {
        for index in 0..self.ports.len() {
            let address = ("127.0.0.1", self.ports[index].number);
            until(&format!("{} listens", self.name), || {
                assert!(self.process.try_wait().unwrap().is_none(), "{} has ended: {}", self.name, self.messages());
                TcpStream::connect(address).is_ok()
            })
            .await;
        }
    }

    pub(crate) fn port(&self, index: usize) -> u16 {
        self.ports[index].number
    }

    /// Returns the URL of the root on the port with this index.
    pub(crate) fn url(&self, scheme: &str, index: usize) -> String {
        format!("{scheme}://127.0.0.1:{}/", self.port(index))
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).unwrap();
    }

    /// Returns the number of lines that the log has now.
    pub(crate) fn lines(&self) -> usize {
        fs::read_to_string(self.file(self.recipe.log)).unwrap_or_default().lines().count()
    }

    /// Stops the server, so that its log is complete, and returns the log.
    pub(crate) async fn stopped(mut self) -> Log {
        self.signal(self.recipe.stop);
        until(&format!("{} ends", self.name), || self.process.try_wait().unwrap().is_some()).await;
        let log = fs::read_to_string(self.file(self.recipe.log)).unwrap();
        let log = Log(log.lines().filter_map(self.recipe.parse).collect());
        eprintln!("{} logged {} requests", self.name, log.requests());
        log
    }

    fn messages(&self) -> String {
        let read = |name| fs::read_to_string(self.file(name)).unwrap_or_default();
        ["stdout.log", "stderr.log", "error.log"].map(read).concat()
    }

    fn id(&self) -> Pid {
        Pid::from_child(&self.process)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process_group(self.id(), Signal::KILL);
        let _ = self.guard.kill();
        let _ = self.guard.wait();
        let _ = self.process.wait();
    }
}

/// Returns the path of a program. Reports that the test is skipped if it is not installed.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders.map(|folder| folder.join(program)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Returns a call of `program` with these arguments.
pub(crate) fn call<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
