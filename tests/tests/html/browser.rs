//! Headless Chromium, if it is installed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::read::Page;

/// Possible names of the program.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
/// Long enough for the largest page on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// State of a page in the browser.
pub(crate) struct Seen {
    /// Result of the probe script.
    pub(crate) found: Value,
    /// Messages on the console.
    pub(crate) console: Vec<String>,
}

/// Displays the page at `path` in a frame of this width, and runs the probe script in it. Returns `None` if there is no
/// browser.
pub(crate) async fn show(path: &Path, width: u32) -> Option<Seen> {
    let Some(browser) = browser() else {
        eprintln!("skipped: there is no Chromium, under any of the names {}", NAMES.join(", "));
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let outer = folder.path().join("outer.html");
    let page = path.canonicalize().unwrap();
    let probe = include_str!("probe.js");
    let frame =
        format!("<iframe src='file://{}' style='width:{width}px;height:900px;border:0'></iframe>", page.display());
    std::fs::write(&outer, format!("<!doctype html><body>{frame}<pre></pre><script>{probe}</script>")).unwrap();
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]);
    command.args(["--enable-logging=stderr", "--v=0", "--window-size=1400,1000", "--virtual-time-budget=120000"]);
    command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    command.arg("--dump-dom").arg(format!("file://{}", outer.display())).kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("the browser ends").unwrap();
    let dom = Page::of(&String::from_utf8(ended.stdout).unwrap());
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    let found = serde_json::from_str(&dom.text("pre")).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let console = stderr.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
    Some(Seen { found, console })
}

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut all = std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    all.find(|file| file.is_file())
}
