//! Processes of the campaign: they are started with its mark, found by it, and killed at its end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use golo_tests::Signal;
use rustix::process::{Pid, kill_process};
use tempfile::TempDir;
use tokio::process::Command;

/// Variable that all processes of the campaign have in their environment, with the campaign's folder.
const MARK: &str = "CAMPAIGN_MARK";
/// Variable with the name of the part of a run to which a process belongs.
const PART: &str = "CAMPAIGN_PART";

/// Folder and programs of a campaign.
#[derive(Debug)]
pub(crate) struct Stage {
    root: TempDir,
    golo: PathBuf,
    /// A script that becomes the load test. It is small, so its upload is fast.
    pub(crate) load_test: PathBuf,
}

/// What a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Supervisor,
    LoadTest,
    Other,
}

/// A running process of the campaign.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) id: i32,
    pub(crate) role: Role,
    /// The part to which it belongs.
    pub(crate) part: String,
    /// Command line.
    pub(crate) line: String,
}

impl Stage {
    /// Creates the folder of a campaign. `golo` is the command to attack, by default the one beside this program.
    pub(crate) fn set(golo: Option<PathBuf>) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("this program cannot be found")?;
        let beside = |name: &str| {
            let path = own.with_file_name(name);
            let reason = || format!("`{}` is missing: `cargo build -p golo-tests --bins` makes it", path.display());
            anyhow::ensure!(path.is_file(), reason());
            Ok(path)
        };
        let golo = match golo {
            Some(golo) => golo.canonicalize().with_context(|| format!("`{}` cannot be found", golo.display()))?,
            None => beside("golo-command")?,
        };
        let numbered = beside("numbered")?;
        let root = TempDir::with_prefix("golo-campaign-").context("there is no folder for temporary files")?;
        let load_test = root.path().join("numbered");
        fs::write(&load_test, format!("#!/bin/sh\nexec '{}' \"$@\"\n", numbered.display()))?;
        fs::set_permissions(&load_test, fs::Permissions::from_mode(0o755))?;
        Ok(Self { root, golo, load_test })
    }

    /// Returns the campaign's folder.
    pub(crate) fn folder(&self) -> &Path {
        self.root.path()
    }

    /// Keeps the folder, and returns its path.
    pub(crate) fn keep(&mut self) -> &Path {
        self.root.disable_cleanup(true);
        self.root.path()
    }

    /// Returns a call of the command `golo` for a part of a run. `log` receives its stderr, after what is there.
    pub(crate) fn golo(&self, part: &str, temporary: &Path, log: &Path) -> anyhow::Result<Command> {
        let mut command = Command::new(&self.golo);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GOLO_")) {
            command.env_remove(name);
        }
        let log = File::options().create(true).append(true).open(log)?;
        command.env(MARK, self.folder()).env(PART, part).env("TMPDIR", temporary).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(command)
    }

    /// Returns the living processes of the campaign.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
        entries.filter_map(|entry| self.process(entry.file_name().to_str()?.parse().ok()?)).collect()
    }

    fn process(&self, id: i32) -> Option<Process> {
        // That of a dead process is empty.
        let environment = fs::read(format!("/proc/{id}/environ")).ok()?;
        let value = |name: &str| {
            let mut pairs = environment.split(|byte| *byte == 0);
            pairs.find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        if value(MARK)? != self.folder().as_os_str().as_encoded_bytes() {
            return None;
        }
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let exe = fs::read_link(format!("/proc/{id}/exe")).unwrap_or_default();
        let role = match words.get(1).map(AsRef::as_ref) {
            Some("supervise") => Role::Supervisor,
            _ if exe.file_name() == Some(OsStr::new("numbered")) => Role::LoadTest,
            _ => Role::Other,
        };
        let part = value(PART).map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        Some(Process { id, role, part, line: words.join(" ").trim().chars().take(120).collect() })
    }

    /// Returns the process of a part with this role, if it is running.
    pub(crate) fn find(&self, part: &str, role: Role) -> Option<Process> {
        self.processes().into_iter().find(|process| process.part == part && process.role == role)
    }

    /// Kills every process of the campaign, also those that others start meanwhile.
    pub(crate) fn kill_all(&self) {
        loop {
            let processes = self.processes();
            if processes.is_empty() {
                return;
            }
            for process in processes {
                send(process.id, Signal::KILL);
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// Sends a signal. Returns false if there is no such process.
pub(crate) fn send(id: i32, signal: Signal) -> bool {
    Pid::from_raw(id).is_some_and(|id| kill_process(id, signal).is_ok())
}
