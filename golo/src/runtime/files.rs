//! The files of a run's reports: known to be writable before there is any load, and whole or not there at all.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// A file that is to be written once the run is over.
pub(super) struct ReportFile {
    path: PathBuf,
    place: Place,
}

enum Place {
    /// A new file beside it, that takes its place once it is whole.
    Beside(NamedTempFile),
    /// What is no regular file, as a pipe, cannot be replaced.
    Itself(File),
}

impl ReportFile {
    /// Opens it; what was there stays until [`write`](Self::write) has succeeded.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let is_special = path.metadata().is_ok_and(|known| !known.is_file());
        let place = match is_special {
            true => Place::Itself(OpenOptions::new().write(true).open(path)?),
            false => Place::Beside(beside(path)?),
        };
        Ok(Self { path: path.to_owned(), place })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts what `write` writes in its place.
    pub(super) fn write(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match self.place {
            Place::Itself(file) => whole(&file, write),
            Place::Beside(file) => {
                whole(file.as_file(), write)?;
                file.persist(&self.path).map(drop).map_err(|error| error.error)
            }
        }
    }
}

fn whole(file: &File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    writer.flush()
}

/// In the same folder, since a file is moved whole within one file system only; with the usual permissions.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    if path.exists() {
        // It may be read-only although its folder is not.
        OpenOptions::new().write(true).open(path)?;
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new();
    file.prefix(".golo-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.permissions(std::fs::Permissions::from_mode(0o666));
    }
    file.tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.collect()
    }

    #[test]
    fn what_was_there_stays_until_the_new_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        std::fs::write(&path, "old").unwrap();
        let file = ReportFile::open(&path).unwrap();
        let failed = file.write(|to| {
            to.write_all(b"ne")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(failed.is_err());
        assert_eq!((std::fs::read_to_string(&path).unwrap(), names(folder.path()).len()), ("old".to_owned(), 1));
        ReportFile::open(&path).unwrap().write(|to| to.write_all(b"new")).unwrap();
        assert_eq!((std::fs::read_to_string(&path).unwrap(), names(folder.path()).len()), ("new".to_owned(), 1));
    }

    #[test]
    fn what_cannot_be_written_is_known_at_once() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ReportFile::open(&folder.path().join("missing/summary.json")).is_err());
        assert!(ReportFile::open(folder.path()).is_err(), "a folder is no file");
        assert!(names(folder.path()).is_empty(), "and nothing is left of trying");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_written_and_not_replaced() {
        let full = ReportFile::open(Path::new("/dev/full")).unwrap();
        let error = full.write(|to| to.write_all(b"{}")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(!Path::new("/dev/full").metadata().unwrap().is_file());
    }
}
