//! The load tests that were uploaded, each under the SHA-256 of what it is: the same twice is one, and nobody can put
//! another in its place.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use axum::{extract::multipart::Field, http::StatusCode};
use sha2::{Digest as _, Sha256};
use tempfile::{NamedTempFile, TempPath};
use tokio::io::{AsyncWriteExt as _, BufWriter};

use crate::{http_server::Refusal, supervisor};

/// Written to disk at once, in bytes.
const BLOCK: usize = 256 << 10;

/// Where they are.
#[derive(Debug)]
pub struct Binaries {
    folder: PathBuf,
    /// Where they are while they come.
    coming: PathBuf,
    /// Most bytes of one.
    most: u64,
}

impl Binaries {
    /// Those in a data folder. What was not whole when the agent ended is gone.
    ///
    /// # Errors
    ///
    /// Where the folders cannot be made.
    pub fn open(data: &Path, most: u64) -> io::Result<Self> {
        let this = Self { folder: data.join("binaries"), coming: data.join("uploads"), most };
        fs::create_dir_all(&this.folder)?;
        fs::create_dir_all(&this.coming)?;
        for left in fs::read_dir(&this.coming)? {
            fs::remove_file(left?.path())?;
        }
        Ok(this)
    }

    /// The program with this hash, if it is here.
    #[must_use]
    pub fn find(&self, hash: &str) -> Option<PathBuf> {
        let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let path = self.folder.join(is_hash.then_some(hash)?);
        let file = File::open(&path).ok()?;
        // It is wanted, so it is not swept away yet.
        _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// Takes one in as it comes, and gives its hash. Where it does not come to its end, nothing of it is left.
    ///
    /// # Errors
    ///
    /// Where it is too large, does not come whole, is no program for this machine, or cannot be written.
    pub async fn receive(&self, mut field: Field<'_>) -> Result<String, Refusal> {
        let name = said_name(field.file_name());
        let (file, path) = NamedTempFile::new_in(&self.coming).map_err(|error| unwritten(&error))?.into_parts();
        let mut file = BufWriter::with_capacity(BLOCK, tokio::fs::File::from_std(file));
        let (mut hash, mut length) = (Sha256::new(), 0u64);
        while let Some(bytes) = field.chunk().await.map_err(|error| Refusal::new(error.status(), error.body_text()))? {
            length += bytes.len() as u64;
            if length > self.most {
                return Err(self.too_large());
            }
            hash.update(&bytes);
            file.write_all(&bytes).await.map_err(|error| unwritten(&error))?;
        }
        file.flush().await.map_err(|error| unwritten(&error))?;
        let file = file.into_inner().into_std().await;
        let hash = format!("{:x}", hash.finalize());
        let place = self.folder.join(&hash);
        // Not to be cut off in the middle: a blocking task ends where its request does not.
        let kept = tokio::task::spawn_blocking(move || keep(file, path, &place, &name)).await;
        kept.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the upload could not be looked at"))??;
        Ok(hash)
    }

    /// What is said of a file that is too large.
    #[must_use]
    pub fn too_large(&self) -> Refusal {
        let reason = format!("a load test may have {} bytes here: `--max-upload` sets that", self.most);
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    }

    /// Removes those that nobody has wanted for `age`, but for those in use.
    pub fn sweep(&self, age: Duration, is_used: impl Fn(&str) -> bool) {
        for file in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let modified = file.metadata().and_then(|about| about.modified()).ok();
            let is_old = modified.and_then(|time| time.elapsed().ok()).is_some_and(|passed| passed > age);
            if is_old && !is_used(&file.file_name().to_string_lossy()) {
                _ = fs::remove_file(file.path());
            }
        }
    }
}

/// Puts a file in its place, if it is a program for this machine.
fn keep(file: File, path: TempPath, place: &Path, name: &str) -> Result<(), Refusal> {
    file.set_permissions(Permissions::from_mode(0o700)).map_err(|error| unwritten(&error))?;
    supervisor::check(&path, name).map_err(|error| Refusal::bad(error.to_string()))?;
    file.sync_all().map_err(|error| unwritten(&error))?;
    drop(file);
    path.persist(place).map_err(|error| unwritten(&error.error))?;
    let folder = place.parent().unwrap_or(place);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unwritten(&error))
}

/// What a file is called in messages: the end of what its sender calls it.
fn said_name(name: Option<&str>) -> String {
    let name = name.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control() && *c != '`').take(100).collect();
    if name.is_empty() { "the upload".to_owned() } else { name }
}

/// What is said where the disk does not take what is to be kept.
pub(super) fn unwritten(error: &io::Error) -> Refusal {
    let reason = format!("it cannot be kept on this machine: {error}");
    match is_full(error) {
        true => Refusal::new(StatusCode::INSUFFICIENT_STORAGE, reason),
        false => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason),
    }
}

/// Whether there is no room for what was to be written.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
