//! Uploads a load test and files of test data to all agents that do not have them, concurrently.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use golo::cli::say;
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::interval;

use super::{each, part::Part, patience::patiently};
use crate::{agent::uploads::Content, http::client::CallError, support::failure::Failure};

/// Interval between updates of the progress line.
const REDRAW: Duration = Duration::from_millis(200);
/// Number of bytes that are hashed at once.
const PIECE: usize = 256 << 10;

/// Hash and length of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// SHA-256 in hexadecimal digits.
    pub hash: String,
    /// Length in bytes.
    pub length: u64,
}

impl Digest {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let (mut hash, mut length) = (Sha256::new(), 0);
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => {
                    hash.update(&piece[..read]);
                    length += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let hash = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { hash, length })
    }
}

/// A file that agents need.
#[derive(Debug, Clone)]
pub struct Needed {
    /// Its kind.
    pub content: Content,
    /// Its name in messages.
    pub name: String,
    /// Its path on this machine.
    pub path: PathBuf,
}

/// Uploads a file to the agents that do not have it, and returns its hash.
///
/// # Errors
///
/// Returns an error if the file cannot be read. Otherwise it names the agents that do not have the file now, each with
/// its reason.
pub async fn upload(parts: &[Arc<Part>], file: &Needed, is_quiet: bool) -> Result<String, Failure> {
    let path = file.path.clone();
    let digest = spawn_blocking(move || Digest::read(&path)).await.map_err(|error| error.to_string())?;
    let digest = digest.map_err(|error| format!("`{}` cannot be read: {error}", file.path.display()))?;
    let (hash, content) = (Arc::new(digest.hash.clone()), file.content);
    let asking = |part: Arc<Part>| {
        let hash = Arc::clone(&hash);
        async move { patiently(&part.standstill, || part.agent.has(content, &hash)).await }
    };
    let has = each(parts, asking).await?;
    let missing: Vec<_> = parts.iter().zip(has).filter(|(_, has)| !has).map(|(part, _)| Arc::clone(part)).collect();
    if missing.is_empty() {
        return Ok(digest.hash);
    }
    let to = match &missing[..] {
        [part] => part.name.clone(),
        many => format!("{} agents", many.len()),
    };
    let progress = UploadProgress::start(&file.name, &to, digest.length * missing.len() as u64, is_quiet);
    let what = match file.content {
        Content::LoadTests => "the load test".to_owned(),
        Content::Data => format!("`{}`", file.name),
    };
    let uploading = |part: Arc<Part>| {
        let what = what.clone();
        let (path, digest, sent) = (file.path.clone(), digest.clone(), Arc::clone(&progress.sent));
        async move {
            let attempt = || async {
                let of_attempt = Arc::<AtomicU64>::default();
                let (all, counted) = (Arc::clone(&sent), Arc::clone(&of_attempt));
                let count = move |bytes| {
                    counted.fetch_add(bytes, Relaxed);
                    all.fetch_add(bytes, Relaxed);
                };
                let uploaded = part.agent.upload(content, &path, &digest, count).await;
                if uploaded.is_err() {
                    sent.fetch_sub(of_attempt.load(Relaxed), Relaxed);
                }
                uploaded
            };
            let _turn = part.agent.turn().await;
            let hash = patiently(&part.standstill, attempt).await?;
            if hash == digest.hash {
                return Ok(());
            }
            Err(CallError::Local(format!("{what} changed during the upload, or did not arrive intact")))
        }
    };
    tokio::select! {
        uploaded = each(&missing, uploading) => uploaded.map(|_| digest.hash.clone()),
        () = progress.show() => Ok(digest.hash.clone()),
    }
}

/// Progress of an upload: a line that is redrawn and removed on a terminal, and a message at the beginning elsewhere.
struct UploadProgress {
    text: String,
    total: u64,
    sent: Arc<AtomicU64>,
    is_live: bool,
}

impl UploadProgress {
    fn start(name: &str, to: &str, total: u64, is_quiet: bool) -> Self {
        let text = format!("{name}: uploading {:.1} MB to {to}", total as f64 / 1e6);
        let is_live = !is_quiet && io::stderr().is_terminal();
        if !is_quiet && !is_live {
            say(&text);
        }
        Self { text, total, sent: Arc::default(), is_live }
    }

    /// Redraws the progress line. Never returns.
    async fn show(&self) {
        let mut ticks = interval(REDRAW);
        loop {
            ticks.tick().await;
            if self.is_live {
                let share = self.sent.load(Relaxed) * 100 / self.total.max(1);
                draw(&format!("\r{}, {share}%\x1b[K", self.text));
            }
        }
    }
}

impl Drop for UploadProgress {
    fn drop(&mut self) {
        if self.is_live {
            draw("\r\x1b[K");
        }
    }
}

/// Errors are ignored, for example a closed stderr.
fn draw(text: &str) {
    _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_has_hash_and_length_of_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        assert_eq!(Digest::read(&path).unwrap(), Digest { hash, length: 3 });
        assert!(Digest::read(&folder.path().join("none")).is_err());
    }
}
