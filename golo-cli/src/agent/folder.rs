//! The data folder of an agent. It contains no other files, and only one agent at a time can use it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::results::store::StoreError;

/// File that marks a folder as an agent's data folder, and has its ID. A running agent holds a lock on it.
const MARK: &str = "golo-agent.lock";
/// Folders in the data folder.
const FOLDERS: [&str; 4] = ["binaries", "files", "jobs", "uploads"];

/// File in a job's folder in which an older golo stored the job's records.
const OLD_RECORDS: &str = "records";

/// Reason why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The folder cannot be created, read or written.
    #[error("the data folder `{}` cannot be used", .0.display())]
    Failed(PathBuf, #[source] io::Error),
    /// The folder contains files that do not belong to an agent.
    #[error(
        "`{}` has files that are not golo's, and an agent deletes files in its data folder: set `--data` to an empty \
         or new folder", .0.display()
    )]
    NotOurs(PathBuf),
    /// Another agent uses the folder.
    #[error("another agent uses `{}`: set another folder with `--data`", .0.display())]
    InUse(PathBuf),
    /// The folder contains this file with records in the format of an older golo.
    #[error(
        "`{}` contains records of an older golo, which this version cannot read: let the older `golo agent` send them \
         to a collector and then move the folder `jobs` away, or set another folder with `--data`", .0.display()
    )]
    OldRecords(PathBuf),
    /// The folder's database cannot be used.
    #[error(transparent)]
    Results(#[from] StoreError),
}

/// Locks a data folder, and creates it if it does not exist. The lock is released when the returned file is dropped. Returns
/// the ID of the folder too, which it keeps for ever.
///
/// # Errors
///
/// Returns an error if the folder cannot be created, contains foreign files or records of an older golo, or is in use
/// by another agent.
pub(super) fn take(data: &Path) -> Result<(File, String), DataError> {
    let wrong = |error: io::Error| DataError::Failed(data.to_owned(), error);
    if let Some(parent) = data.parent() {
        fs::create_dir_all(parent).map_err(wrong)?;
    }
    make(data).map_err(wrong)?;
    let mark = data.join(MARK);
    let is_ours = mark.symlink_metadata().is_ok_and(|about| about.is_file());
    if !is_ours && fs::read_dir(data).map_err(wrong)?.next().is_some() {
        return Err(DataError::NotOurs(data.to_owned()));
    }
    let mut lock = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(mark).map_err(wrong)?;
    if lock.try_lock().is_err() {
        return Err(DataError::InUse(data.to_owned()));
    }
    FOLDERS.iter().try_for_each(|name| make(&data.join(name))).map_err(wrong)?;
    for job in fs::read_dir(data.join("jobs")).map_err(wrong)? {
        let records = job.map_err(wrong)?.path().join(OLD_RECORDS);
        if records.exists() {
            return Err(DataError::OldRecords(records));
        }
    }
    let id = id(&mut lock).map_err(wrong)?;
    Ok((lock, id))
}

/// Returns the ID of a folder, which is in its file. Writes it if there is none.
fn id(mark: &mut File) -> io::Result<String> {
    let mut id = String::new();
    mark.read_to_string(&mut id)?;
    if id.is_empty() {
        id = golo::new_sequence_id();
        // On a full disk, the ID is that of this process.
        _ = mark.write_all(id.as_bytes());
    }
    Ok(id)
}

/// Creates a folder that only its owner can access. An existing folder stays as it is.
fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(_) if folder.is_dir() => Ok(()),
        made => made,
    }
}
