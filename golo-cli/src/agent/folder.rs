//! The data folder of an agent: one that is golo's and nobody else's, and no two agents' at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

/// The file that says that a folder is an agent's, and is locked as long as that one lives.
const MARK: &str = "golo-agent.lock";
/// What is in it.
const FOLDERS: [&str; 3] = ["binaries", "jobs", "uploads"];

/// Takes a folder, which is made where there is none; it is held as long as the file is.
///
/// # Errors
///
/// Where it cannot be made, has files that are not golo's, or is held by another agent.
pub(super) fn take(data: &Path) -> Result<File, String> {
    let wrong = |error: io::Error| format!("`{}` cannot be used: {error}", data.display());
    if let Some(parent) = data.parent() {
        fs::create_dir_all(parent).map_err(wrong)?;
    }
    make(data).map_err(wrong)?;
    let mark = data.join(MARK);
    let is_ours = mark.symlink_metadata().is_ok_and(|about| about.is_file());
    if !is_ours && fs::read_dir(data).map_err(wrong)?.next().is_some() {
        return Err(format!(
            "`{}` has files that are not golo's, and an agent deletes what it finds: give `--data` a folder that is empty or not \
             there yet",
            data.display()
        ));
    }
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(mark).map_err(wrong)?;
    if lock.try_lock().is_err() {
        return Err(format!("another agent uses `{}`: give this one a folder of its own by `--data`", data.display()));
    }
    FOLDERS.iter().try_for_each(|name| make(&data.join(name))).map_err(wrong)?;
    Ok(lock)
}

/// Makes a folder that its owner alone can enter. One that is there stays as it is.
fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(_) if folder.is_dir() => Ok(()),
        made => made,
    }
}
