//! The temporary folder of a load test's socket.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{self, Path, PathBuf};
use std::{env, io};

use rustix::process::geteuid;
use tempfile::TempDir;

/// Beginning of the folder's name.
const PREFIX: &str = "golo-";
/// File in the folder on which a running `golo` holds a lock.
const LOCK: &str = "lock";
/// The socket.
const SOCKET: &str = "job.sock";
/// Length of the part of the folder's name that differs.
const DIFFERS: usize = 6;
/// Maximum length of a socket's path on every Unix, in bytes.
const LONGEST: usize = 103;
/// Place of the folder if the path of a socket in `TMPDIR` would be too long.
const SHORT: &str = "/tmp";

/// A folder that only this user can access. It is deleted when this is dropped, or by the next run if this process is
/// killed.
#[derive(Debug)]
pub(super) struct SocketFolder {
    folder: TempDir,
    /// Declared last, because a folder without a lock may be deleted.
    _lock: File,
}

impl SocketFolder {
    /// Creates a folder, and deletes those of dead processes.
    pub(super) fn create() -> io::Result<Self> {
        // The load test may run in another folder.
        Self::create_in(&place(&path::absolute(env::temp_dir())?))
    }

    fn create_in(place: &Path) -> io::Result<Self> {
        sweep(place);
        let mut named = tempfile::Builder::new();
        named.prefix(PREFIX).rand_bytes(DIFFERS).permissions(Permissions::from_mode(0o700));
        let folder = named.tempdir_in(place)?;
        // It has its name only once it is locked, or another process could take it for one of a dead process.
        let unnamed = folder.path().join(format!(".{LOCK}"));
        let lock = File::create_new(&unnamed)?;
        lock.try_lock()?;
        fs::rename(unnamed, folder.path().join(LOCK))?;
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of the socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.path().join(SOCKET)
    }
}

/// Returns the folder for temporary files, or a shorter one if the path of a socket in it would be too long.
fn place(temporary: &Path) -> PathBuf {
    let rest = PREFIX.len() + DIFFERS + SOCKET.len() + 2;
    if temporary.as_os_str().len() + rest > LONGEST { SHORT.into() } else { temporary.to_owned() }
}

/// Deletes the folders of this user's dead processes, whose locks are free.
fn sweep(place: &Path) {
    let own = geteuid().as_raw();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.metadata().is_ok_and(|about| about.is_dir() && about.uid() == own);
        let Some(lock) = is_ours.then(|| File::open(entry.path().join(LOCK)).ok()).flatten() else { continue };
        if lock.try_lock().is_ok() {
            _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_dead_processes_are_deleted() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for (name, file) in [("golo-dead", "lock"), ("golo-begun", ".lock"), ("other", "lock")] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join(file), "").unwrap();
        }
        let alive = SocketFolder::create_in(place.path()).unwrap();
        let second = SocketFolder::create_in(place.path()).unwrap();
        assert!(!at("golo-dead").exists() && at("golo-begun").exists() && at("other").exists());
        assert!(alive.path().exists() && alive.socket().starts_with(place.path()));
        assert_eq!(alive.path().metadata().unwrap().mode() & 0o777, 0o700);
        let paths = [alive.path().to_owned(), second.path().to_owned()];
        drop((alive, second));
        assert!(paths.iter().all(|path| !path.exists()));
    }

    #[test]
    fn path_of_the_socket_is_never_too_long() {
        let long = |length: usize| PathBuf::from(format!("/{}", "x".repeat(length - 1)));
        let longest = LONGEST - "/golo-123456/job.sock".len();
        assert_eq!(place(&long(longest)), long(longest));
        assert_eq!(place(&long(longest + 1)), Path::new("/tmp"));
    }
}
