//! The data folder of an agent: one that is golo's and nobody else's, and no two agents' at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::results::store::StoreError;

/// The file that says that a folder is an agent's, and is locked as long as that one lives.
const MARK: &str = "golo-agent.lock";
/// What is in it.
const FOLDERS: [&str; 3] = ["binaries", "jobs", "uploads"];

/// The file in a job's folder that an older golo kept the job's records in.
const OLD_RECORDS: &str = "records";

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It cannot be created, read or written to.
    #[error("`{}` cannot be used", .0.display())]
    Failed(PathBuf, #[source] io::Error),
    /// It is in use for something else.
    #[error(
        "`{}` has files that are not golo's, and an agent deletes what it finds: give `--data` a folder that is empty or not \
         there yet", .0.display()
    )]
    NotOurs(PathBuf),
    /// Another agent runs in it.
    #[error("another agent uses `{}`: give this one a folder of its own by `--data`", .0.display())]
    InUse(PathBuf),
    /// It has records in the format of an older golo, in this file.
    #[error(
        "`{}` holds records of an older golo, which this one does not read: let the older `golo agent` push them to a \
         collector, then move its folder `jobs` away; or give `--data` another folder", .0.display()
    )]
    OldRecords(PathBuf),
    /// Its database cannot be used.
    #[error(transparent)]
    Results(#[from] StoreError),
}

/// Takes a folder, and creates it if there is none; the folder is held until the file is dropped.
///
/// # Errors
///
/// Returns an error if the folder cannot be created, has files that are not golo's or that this golo does not read, or is
/// held by another agent.
pub(super) fn take(data: &Path) -> Result<File, DataError> {
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
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(mark).map_err(wrong)?;
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
    Ok(lock)
}

/// Makes a folder that its owner alone can enter. One that is there stays as it is.
fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(_) if folder.is_dir() => Ok(()),
        made => made,
    }
}
