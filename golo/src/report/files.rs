//! Report files: checked before the load begins, and replaced only by a complete report.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Largest number of symbolic links that are followed, as on Linux.
const LINKS: usize = 40;

/// A file that is written after the run.
pub(crate) struct ReportFile {
    path: PathBuf,
    place: Place,
}

enum Place {
    /// A temporary file in the same folder, which replaces `file` when it is complete.
    Temporary { new: NamedTempFile, file: PathBuf },
    /// A file that cannot be replaced because it is not a regular one, for example a pipe.
    InPlace(File),
}

impl ReportFile {
    /// Opens the file. Its old contents stay until [`write`](Self::write) has succeeded.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        refuse_streams(path)?;
        let file = followed(path);
        let place = match is_special(path) || file.is_symlink() {
            true => Place::InPlace(OpenOptions::new().write(true).open(path)?),
            false => Place::Temporary { new: temporary_file(&file)?, file },
        };
        Ok(Self { path: path.to_owned(), place })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the report and replaces the file with it.
    pub(crate) fn write(self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        match self.place {
            Place::InPlace(file) => whole(&file, write),
            Place::Temporary { new, file } => {
                whole(new.as_file(), write)?;
                new.persist(&file).map(drop).or_else(|failed| {
                    // A file that is a mount point of its own, for example in a container, can be written but not
                    // replaced.
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

/// Returns true if the path exists and is not a regular file.
pub(crate) fn is_special(path: &Path) -> bool {
    path.metadata().is_ok_and(|known| !known.is_file())
}

/// Returns the target of a symbolic link, whether or not it exists, so that the link itself is kept. Returns a link if
/// the links form a circle.
pub(crate) fn followed(path: &Path) -> PathBuf {
    let mut file = path.to_owned();
    for _ in 0..LINKS {
        let Ok(next) = file.read_link() else { break };
        file = file.parent().unwrap_or(Path::new("")).join(next);
    }
    path.canonicalize().unwrap_or(file)
}

/// Returns an error if stdout or stderr is redirected to the file. Two writers would overwrite each other's text.
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
                return Err(io::Error::other(format!("{name} is redirected to it")));
            }
        }
    }
    Ok(())
}

/// Creates a temporary file in the same folder, because a file can be moved atomically only within one file system. It
/// gets the permissions of the file that it replaces, or the usual ones.
fn temporary_file(path: &Path) -> io::Result<NamedTempFile> {
    // The file may be read-only although its folder is not.
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

/// Removes the path of the temporary file from an error, because the user has not asked for that file.
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
    fn old_report_stays_until_new_one_is_complete() {
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
    fn target_of_symbolic_link_is_written() {
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
    fn permissions_of_replaced_file_are_kept() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        ReportFile::open(&path).unwrap().write(|to| to.write_all(b"new")).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn open_fails_if_file_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let error = ReportFile::open(&folder.path().join("missing/summary.json")).err().unwrap().to_string();
        assert!(!error.contains(".golo-"), "{error}");
        assert!(ReportFile::open(folder.path()).is_err(), "a folder is no file");
        assert!(names(folder.path()).is_empty(), "and nothing is left of trying");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn device_is_written_and_not_replaced() {
        let full = ReportFile::open(Path::new("/dev/full")).unwrap();
        let error = full.write(|to| to.write_all(b"{}")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(!Path::new("/dev/full").metadata().unwrap().is_file());
    }
}
