//! Uploads a load test to all agents that do not have it, concurrently.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use golo::cli::say;
use sha2::{Digest as _, Sha256};
use tokio::time::interval;

use super::{each, part::Part};
use crate::{http::client::CallError, process::load_test::LoadTest, support::failure::Failure};

/// Interval between updates of the progress line.
const REDRAW: Duration = Duration::from_millis(200);
/// Number of bytes that are hashed at once.
const PIECE: usize = 256 << 10;

/// Hash and length of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// SHA-256 in hexadecimal digits.
    pub hash: String,
    /// Length in bytes.
    pub length: u64,
}

impl Binary {
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

/// Uploads the load test to the agents that do not have it.
///
/// # Errors
///
/// Returns an error that names the agents that do not have the load test now, each with its reason.
pub async fn upload(parts: &[Arc<Part>], load_test: &LoadTest, binary: &Binary, is_quiet: bool) -> Result<(), Failure> {
    let hash = Arc::new(binary.hash.clone());
    let asking = |part: Arc<Part>| {
        let hash = Arc::clone(&hash);
        async move { part.agent.has(&hash).await }
    };
    let has = each(parts, asking).await?;
    let missing: Vec<_> = parts.iter().zip(has).filter(|(_, has)| !has).map(|(part, _)| Arc::clone(part)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let to = match &missing[..] {
        [part] => part.name.clone(),
        many => format!("{} agents", many.len()),
    };
    let progress = UploadProgress::start(&load_test.name, &to, binary.length * missing.len() as u64, is_quiet);
    let uploading = |part: Arc<Part>| {
        let (path, binary, sent) = (load_test.path.clone(), binary.clone(), Arc::clone(&progress.sent));
        async move {
            let count = move |bytes| _ = sent.fetch_add(bytes, Relaxed);
            let hash = part.agent.upload(&path, binary.length, count).await?;
            if hash == binary.hash {
                return Ok(());
            }
            Err(CallError::Away("the load test changed during the upload, or did not arrive intact".to_owned()))
        }
    };
    tokio::select! {
        uploaded = each(&missing, uploading) => uploaded.map(drop),
        () = progress.show() => Ok(()),
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
    fn binary_has_hash_and_length_of_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        assert_eq!(Binary::read(&path).unwrap(), Binary { hash, length: 3 });
        assert!(Binary::read(&folder.path().join("none")).is_err());
    }
}
