//! Uploaded load tests and files of test data, each in a file named by the SHA-256 of its content. The same content is
//! stored once, and an upload cannot replace another one.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, SystemTime};

use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio::sync::Semaphore;
use tokio_stream::{Stream, StreamExt as _};

use crate::{http::server::Refusal, process::supervisor};

/// Size of a write to disk, in bytes.
const BLOCK: usize = 256 << 10;
/// Prefix of the file names of uploads in progress.
const COMING: &str = ".tmp";
/// Number of bytes that uploads leave free on the disk for records.
const FREE: u64 = 256 << 20;
/// Number of bytes after which the free space is checked again.
const LOOK: u64 = 4 << 20;

/// Kind of uploaded files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Programs.
    LoadTests,
    /// Files that load tests read.
    Data,
}

impl Content {
    /// Returns the folder in the data folder of an agent, which is also the path of its calls.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::LoadTests => "binaries",
            Self::Data => "files",
        }
    }

    /// Returns what one of them is called in messages.
    fn one(self) -> &'static str {
        match self {
            Self::LoadTests => "the load test",
            Self::Data => "the file",
        }
    }

    fn mode(self) -> u32 {
        match self {
            Self::LoadTests => 0o700,
            Self::Data => 0o600,
        }
    }
}

/// Folder of uploaded files of one kind.
#[derive(Debug)]
pub struct Uploads {
    content: Content,
    folder: PathBuf,
    /// Folder of uploads in progress.
    coming: PathBuf,
    /// Maximum size of a file in bytes.
    most: u64,
}

impl Uploads {
    /// Opens the files of a data folder, in which their folder and `uploads` exist. Deletes unfinished uploads of an
    /// earlier agent.
    ///
    /// # Errors
    ///
    /// Returns an error if the unfinished uploads cannot be listed or deleted.
    pub fn open(data: &Path, content: Content, most: u64) -> io::Result<Self> {
        let this = Self { content, folder: data.join(content.folder()), coming: data.join("uploads"), most };
        for left in fs::read_dir(&this.coming)? {
            let left = left?;
            if left.file_name().to_string_lossy().starts_with(COMING) {
                fs::remove_file(left.path())?;
            }
        }
        Ok(this)
    }

    /// Returns the path of the file with this hash, or `None` if it was not uploaded.
    #[must_use]
    pub fn find(&self, hash: &str) -> Option<PathBuf> {
        let path = self.folder.join(is_hash(hash).then_some(hash)?);
        let file = File::open(&path).ok()?;
        // `sweep` deletes files by their modification time.
        _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// Receives the file of a form and returns its hash.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`receive_as`](Self::receive_as).
    pub async fn receive(&self, field: Field<'_>, writing: &Semaphore) -> Result<String, Refusal> {
        let name = field.file_name().map(str::to_owned);
        let pieces = field.map(|piece| piece.map_err(|error| self.unread(&error)));
        self.receive_as(None, name.as_deref(), pieces, writing).await
    }

    /// Receives a file in pieces and returns its hash, which must be `expected`, if that is known. Its sender calls it `name`.
    /// Each write takes a permit of `writing`. A file that is refused leaves nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if the file is too large, incomplete, another one, or cannot be written, or if it is to be a load
    /// test and is not a program for this machine.
    pub async fn receive_as(
        &self,
        expected: Option<&str>,
        name: Option<&str>,
        pieces: impl Stream<Item = Result<Bytes, Refusal>>,
        writing: &Semaphore,
    ) -> Result<String, Refusal> {
        let name = said_name(name);
        let mut pieces = pin!(pieces);
        let made = tempfile::Builder::new().prefix(COMING).tempfile_in(&self.coming);
        let (file, path) = made.map_err(|error| unwritten(&error))?.into_parts();
        let mut file = BufWriter::with_capacity(BLOCK, tokio::fs::File::from_std(file));
        let (mut hash, mut length, mut looked) = (Sha256::new(), 0u64, 0u64);
        while let Some(bytes) = pieces.next().await {
            let bytes = bytes?;
            length += bytes.len() as u64;
            if length > self.most {
                return Err(self.too_large());
            }
            if length > looked {
                looked = length + LOOK;
                self.check_room(LOOK)?;
            }
            // Held only during a write, so that a slow sender does not block other uploads.
            let _turn = writing.acquire().await;
            hash.update(&bytes);
            file.write_all(&bytes).await.map_err(|error| unwritten(&error))?;
        }
        file.flush().await.map_err(|error| unwritten(&error))?;
        let file = file.into_inner().into_std().await;
        let hash = format!("{:x}", hash.finalize());
        if expected.is_some_and(|expected| expected != hash) {
            return Err(Refusal::bad(format!("{} did not arrive intact", self.content.one())));
        }
        let (place, content) = (self.folder.join(&hash), self.content);
        // A blocking task runs to its end even if the client disconnects.
        let kept = tokio::task::spawn_blocking(move || keep(file, path, &place, content, &name)).await;
        kept.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the upload could not be checked"))??;
        Ok(hash)
    }

    /// Checks that the disk has room for `more` bytes. Succeeds if the file system does not report its free space.
    ///
    /// # Errors
    ///
    /// Returns an error if less than `FREE` would be left.
    pub fn check_room(&self, more: u64) -> Result<(), Refusal> {
        match rustix::fs::statvfs(&self.coming) {
            Ok(about) => check_room(about.f_bavail.saturating_mul(about.f_frsize), more),
            Err(_) => Ok(()),
        }
    }

    /// Returns the refusal of a form that cannot be read completely.
    #[must_use]
    pub fn unread(&self, error: &MultipartError) -> Refusal {
        match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => self.too_large(),
            status => Refusal::new(status, error.body_text()),
        }
    }

    /// Returns the refusal of a file that is too large.
    #[must_use]
    pub fn too_large(&self) -> Refusal {
        let (one, most) = (self.content.one(), self.most);
        let reason = format!("{one} is larger than this agent's `--max-upload` of {most} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    }

    /// Deletes files that were not requested for longer than `age`, except those for which `is_used` is true.
    pub fn sweep(&self, age: Duration, is_used: impl Fn(&str) -> bool) {
        for file in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let modified = file.metadata().and_then(|about| about.modified()).ok();
            let is_old = modified.and_then(|time| time.elapsed().ok()).is_some_and(|passed| passed > age);
            let name = file.file_name();
            // Foreign files are left alone.
            if is_old && name.to_str().is_some_and(|name| is_hash(name) && !is_used(name)) {
                _ = fs::remove_file(file.path());
            }
        }
    }
}

/// Moves an upload to `place`. A load test must be a program for this machine.
fn keep(file: File, path: TempPath, place: &Path, content: Content, name: &str) -> Result<(), Refusal> {
    file.set_permissions(Permissions::from_mode(content.mode())).map_err(|error| unwritten(&error))?;
    if content == Content::LoadTests {
        supervisor::check(&path, name).map_err(|error| Refusal::bad(error.to_string()))?;
    }
    file.sync_all().map_err(|error| unwritten(&error))?;
    drop(file);
    path.persist(place).map_err(|error| unwritten(&error.error))?;
    let folder = place.parent().unwrap_or(place);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unwritten(&error))
}

/// Returns true if a file name is a SHA-256 in lower-case hex.
fn is_hash(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Checks that an upload of `more` bytes leaves [`FREE`] of the `free` bytes.
fn check_room(free: u64, more: u64) -> Result<(), Refusal> {
    if free >= more.saturating_add(FREE) {
        return Ok(());
    }
    let reason = format!("the disk has {} MiB left, and uploads must leave {} MiB free", free >> 20, FREE >> 20);
    Err(Refusal::new(StatusCode::INSUFFICIENT_STORAGE, reason))
}

/// Returns the name of an upload in messages: the last component of the sender's file name, without control characters.
fn said_name(name: Option<&str>) -> String {
    let name = name.unwrap_or_default().rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name.chars().filter(|c| !c.is_control() && *c != '`').take(100).collect();
    if name.is_empty() { "the upload".to_owned() } else { name }
}

/// Returns the refusal of a request whose data cannot be written to disk.
pub(super) fn unwritten(error: &io::Error) -> Refusal {
    let reason = format!("the agent cannot write to its disk: {error}");
    match is_full(error) {
        true => Refusal::new(StatusCode::INSUFFICIENT_STORAGE, reason),
        false => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, reason),
    }
}

/// Returns true if the error means that the disk is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upload_leaves_free_space_for_records() {
        assert_eq!(check_room(FREE + 5, 5), Ok(()));
        for (free, more) in [(FREE + 5, 6), (0, 0), (u64::MAX - 1, u64::MAX)] {
            let refusal = check_room(free, more).unwrap_err();
            assert_eq!(refusal.status, StatusCode::INSUFFICIENT_STORAGE);
            assert!(refusal.reason.ends_with("uploads must leave 256 MiB free"), "{}", refusal.reason);
        }
    }
}
