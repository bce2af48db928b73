//! The folder of a running job in which its load test finds the files of test data.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::uploads::Uploads;
use crate::support::failure::Failure;

/// Name of the folder in the folder of its job.
const NAME: &str = "data";

/// Creates the folder in the folder of a job, with these files by name and hash. Each one is a copy, so that a load test
/// cannot change the stored file, which other jobs use too.
///
/// # Errors
///
/// Returns an error if a file is not stored any more, or cannot be copied.
pub(super) fn create(job: &Path, files: &BTreeMap<String, String>, uploads: &Uploads) -> Result<PathBuf, Failure> {
    let folder = job.join(NAME);
    // An agent that was killed may have left it.
    remove(job);
    private_folder(&folder).map_err(|error| format!("the folder of the test data cannot be created: {error}"))?;
    for (name, hash) in files {
        let stored = uploads.find(hash).ok_or_else(|| format!("`{name}` has been deleted: upload it again"))?;
        let length = stored.metadata().map(|about| about.len()).unwrap_or_default();
        uploads.check_room(length).map_err(|refusal| refusal.reason)?;
        copy(&stored, &folder, name).map_err(|error| format!("`{name}` cannot be copied: {error}"))?;
    }
    Ok(folder)
}

/// Copies a file to a place in `folder`, in which nothing exists yet.
fn copy(stored: &Path, folder: &Path, name: &str) -> io::Result<()> {
    let place = folder.join(name);
    if let Some(parent) = place.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let mut stored = fs::File::open(stored)?;
    // `create_new` follows no link and replaces nothing.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)?;
    io::copy(&mut stored, &mut file).map(drop)
}

fn private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(folder)
}

/// Deletes the folder in the folder of a job, if there is one. Links in it are deleted and not followed.
pub(super) fn remove(job: &Path) {
    _ = fs::remove_dir_all(job.join(NAME));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::uploads::Content;

    #[test]
    fn folder_has_copies_of_the_files_and_is_removed_without_following_links() {
        let data = tempfile::tempdir().unwrap();
        for name in ["files", "uploads", "job"] {
            fs::create_dir(data.path().join(name)).unwrap();
        }
        let hash = "0".repeat(64);
        let stored = data.path().join("files").join(&hash);
        fs::write(&stored, "row\n").unwrap();
        let uploads = Uploads::open(data.path(), Content::Data, 1 << 20).unwrap();
        let job = data.path().join("job");
        let files = ["a.csv", "b/c/a.csv"].map(|name| (name.to_owned(), hash.clone())).into();
        // Files that an earlier load test has left are removed.
        fs::create_dir(job.join(NAME)).unwrap();
        std::os::unix::fs::symlink(&stored, job.join(NAME).join("a.csv")).unwrap();
        let folder = create(&job, &files, &uploads).unwrap();
        for name in ["a.csv", "b/c/a.csv"] {
            assert!(folder.join(name).symlink_metadata().unwrap().is_file());
            fs::write(folder.join(name), "changed").unwrap();
        }
        assert_eq!(fs::read_to_string(&stored).unwrap(), "row\n");
        let outside = data.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        std::os::unix::fs::symlink(&outside, folder.join("link")).unwrap();
        remove(&job);
        assert!(!folder.exists() && outside.join("kept").exists());
    }

    #[test]
    fn missing_file_is_named() {
        let data = tempfile::tempdir().unwrap();
        ["files", "uploads"].iter().for_each(|name| fs::create_dir(data.path().join(name)).unwrap());
        let uploads = Uploads::open(data.path(), Content::Data, 1 << 20).unwrap();
        let files = [("a.csv".to_owned(), "0".repeat(64))].into();
        let error = create(data.path(), &files, &uploads).unwrap_err().to_string();
        assert_eq!(error, "`a.csv` has been deleted: upload it again");
    }
}
