//! The files of a run's reports: known to be writable before there is any load, and whole or not there at all.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// Most links that lead from one to the other: what Linux follows.
const LINKS: usize = 40;

/// A file that is to be written once the run is over.
pub(crate) struct ReportFile {
    path: PathBuf,
    place: Place,
}

enum Place {
    /// A new file beside the one that is meant, that takes its place once it is whole.
    Beside { new: NamedTempFile, file: PathBuf },
    /// What is no regular file, as a pipe, cannot be replaced.
    Itself(File),
}

impl ReportFile {
    /// Opens it; what was there stays until [`write`](Self::write) has succeeded.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        refuse_streams(path)?;
        let file = followed(path);
        let place = match is_special(path) || file.is_symlink() {
            true => Place::Itself(OpenOptions::new().write(true).open(path)?),
            false => Place::Beside { new: beside(&file)?, file },
        };
        Ok(Self { path: path.to_owned(), place })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts what `write` writes in its place.
    pub(crate) fn write(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match self.place {
            Place::Itself(file) => whole(&file, write),
            Place::Beside { new, file } => {
                whole(new.as_file(), write)?;
                new.persist(&file).map(drop).or_else(|failed| {
                    // One that is mounted by itself, as into a container, can be written and not replaced.
                    copy(&failed.file, &file).map_err(|_| failed.error)
                })
            }
        }
    }
}

fn whole(file: &File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    writer.flush()
}

fn copy(from: &NamedTempFile, to: &Path) -> io::Result<()> {
    let mut to = OpenOptions::new().write(true).truncate(true).open(to)?;
    io::copy(&mut from.reopen()?, &mut to).map(drop)
}

/// Whether it is there, and no regular file.
pub(crate) fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|known| !known.is_file())
}

/// The file that a link leads to, there already or not: a link is to stay one. It is a link itself if that leads nowhere.
pub(crate) fn followed(path: &Path) -> PathBuf {
    let mut file = path.to_owned();
    for _ in 0..LINKS {
        let Ok(next) = file.read_link() else { break };
        file = file.parent().unwrap_or(Path::new("")).join(next);
    }
    path.canonicalize().unwrap_or(file)
}

/// What stdout or stderr goes to cannot be written by another way at the same time: each would overwrite the other.
pub(crate) fn refuse_streams(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::{fd::AsFd as _, unix::fs::MetadataExt as _};
        let Ok(file) = path.metadata() else { return Ok(()) };
        if !file.is_file() {
            return Ok(());
        }
        let (stdout, stderr) = (io::stdout(), io::stderr());
        for (stream, name) in [(stdout.as_fd(), "stdout"), (stderr.as_fd(), "stderr")] {
            let known = stream.try_clone_to_owned().and_then(|stream| File::from(stream).metadata());
            if known.is_ok_and(|known| (known.dev(), known.ino()) == (file.dev(), file.ino())) {
                return Err(io::Error::other(format!("{name} goes there")));
            }
        }
    }
    Ok(())
}

/// In the same folder, since a file is moved whole within one file system only; with the permissions of the one it is to
/// replace, or with the usual ones.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    // It may be read-only although its folder is not.
    let known = path.exists().then(|| OpenOptions::new().write(true).open(path)?.metadata()).transpose()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new();
    file.prefix(".golo-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = file.tempfile_in(folder).map_err(without_path)?;
    if let Some(known) = known {
        file.as_file().set_permissions(known.permissions())?;
    }
    Ok(file)
}

/// An error that does not name the file that nobody has asked for.
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    io::Error::new(error.kind(), text.split(" at path ").next().unwrap_or_default())
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

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one_and_what_it_leads_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("runs")).unwrap();
        let link = folder.path().join("latest.json");
        std::os::unix::fs::symlink("runs/1.json", &link).unwrap();
        for text in ["first", "second"] {
            ReportFile::open(&link).unwrap().write(|to| to.write_all(text.as_bytes())).unwrap();
            assert_eq!(std::fs::read_to_string(folder.path().join("runs/1.json")).unwrap(), text);
            assert!(link.is_symlink());
        }
        std::os::unix::fs::symlink("circle", folder.path().join("circle")).unwrap();
        assert!(ReportFile::open(&folder.path().join("circle")).is_err(), "it leads nowhere");
    }

    #[cfg(unix)]
    #[test]
    fn permissions_stay_as_they_were() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        ReportFile::open(&path).unwrap().write(|to| to.write_all(b"new")).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_written_is_known_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let error = ReportFile::open(&folder.path().join("missing/summary.json")).err().unwrap().to_string();
        assert!(!error.contains(".golo-"), "{error}");
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
