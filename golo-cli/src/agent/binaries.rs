//! The load tests that were uploaded, each under the SHA-256 of what it is: the same twice is one, and nobody can put
//! another in its place.

use std::{
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use axum::{
    extract::multipart::{Field, MultipartError},
    http::StatusCode,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tokio::{
    io::{AsyncWriteExt as _, BufWriter},
    sync::Semaphore,
};

use crate::{http::server::Refusal, process::supervisor};

/// Written to disk at once, in bytes.
const BLOCK: usize = 256 << 10;
/// What the names of those that come begin with.
const COMING: &str = ".tmp";
/// Bytes that uploads leave free on the disk, which is the one that records go to.
const FREE: u64 = 256 << 20;
/// How often that is looked at, in bytes.
const LOOK: u64 = 4 << 20;

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
    /// Those in a data folder, which has its folders. What was not whole when the agent ended is gone.
    ///
    /// # Errors
    ///
    /// Where that cannot be deleted.
    pub fn open(data: &Path, most: u64) -> io::Result<Self> {
        let this = Self { folder: data.join("binaries"), coming: data.join("uploads"), most };
        for left in fs::read_dir(&this.coming)? {
            let left = left?;
            if left.file_name().to_string_lossy().starts_with(COMING) {
                fs::remove_file(left.path())?;
            }
        }
        Ok(this)
    }

    /// The program with this hash, if it is here.
    #[must_use]
    pub fn find(&self, hash: &str) -> Option<PathBuf> {
        let path = self.folder.join(is_hash(hash).then_some(hash)?);
        let file = File::open(&path).ok()?;
        // It is wanted, so it is not swept away yet.
        _ = file.set_modified(SystemTime::now());
        Some(path)
    }

    /// Takes one in as it comes, and gives its hash. As many write at a time as `writing` lets. Where it does not come to its end, nothing of it is left.
    ///
    /// # Errors
    ///
    /// Where it is too large, does not come whole, is no program for this machine, or cannot be written.
    pub async fn receive(&self, mut field: Field<'_>, writing: &Semaphore) -> Result<String, Refusal> {
        let name = said_name(field.file_name());
        let made = tempfile::Builder::new().prefix(COMING).tempfile_in(&self.coming);
        let (file, path) = made.map_err(|error| unwritten(&error))?.into_parts();
        let mut file = BufWriter::with_capacity(BLOCK, tokio::fs::File::from_std(file));
        let (mut hash, mut length, mut looked) = (Sha256::new(), 0u64, 0u64);
        while let Some(bytes) = field.chunk().await.map_err(|error| self.unread(&error))? {
            length += bytes.len() as u64;
            if length > self.most {
                return Err(self.too_large());
            }
            if length > looked {
                looked = length + LOOK;
                self.check_room(LOOK)?;
            }
            // While it waits for its sender, it keeps nobody else waiting.
            let _turn = writing.acquire().await;
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

    /// Says why there is no room for so many more bytes.
    ///
    /// # Errors
    ///
    /// Where there is none. A file system that does not say what it has is not asked.
    pub fn check_room(&self, more: u64) -> Result<(), Refusal> {
        match rustix::fs::statvfs(&self.coming) {
            Ok(about) => check_room(about.f_bavail.saturating_mul(about.f_frsize), more),
            Err(_) => Ok(()),
        }
    }

    /// What is said of a form that cannot be read to its end.
    #[must_use]
    pub fn unread(&self, error: &MultipartError) -> Refusal {
        match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => self.too_large(),
            status => Refusal::new(status, error.body_text()),
        }
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
            let name = file.file_name();
            // What somebody else has put there is not the agent's to delete.
            if is_old && name.to_str().is_some_and(|name| is_hash(name) && !is_used(name)) {
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

/// Whether a name is a hash, as load tests are called here.
fn is_hash(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Says why an upload may not take so many more bytes of a disk that has so many.
fn check_room(free: u64, more: u64) -> Result<(), Refusal> {
    if free >= more.saturating_add(FREE) {
        return Ok(());
    }
    let reason = format!("the disk has {} MiB left, and an upload leaves {} MiB of it free", free >> 20, FREE >> 20);
    Err(Refusal::new(StatusCode::INSUFFICIENT_STORAGE, reason))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_leaves_room_for_what_is_measured() {
        assert_eq!(check_room(FREE + 5, 5), Ok(()));
        for (free, more) in [(FREE + 5, 6), (0, 0), (u64::MAX - 1, u64::MAX)] {
            let refusal = check_room(free, more).unwrap_err();
            assert_eq!(refusal.status, StatusCode::INSUFFICIENT_STORAGE);
            assert!(refusal.reason.ends_with("an upload leaves 256 MiB of it free"), "{}", refusal.reason);
        }
    }
}
