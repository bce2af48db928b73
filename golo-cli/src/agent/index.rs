//! Where each record of a spool's file is, and what becomes of a file that is not whole.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Instant,
};

use golo::cli::say;
use golo_proto::results::{Ended, ended, record};

use super::{
    ending,
    frame::{self, Found},
    spool::Extent,
};

/// Where the records of a spool are.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Whether the file has been looked through.
    pub(super) is_known: bool,
    /// Where each record begins.
    pub(super) starts: Vec<u64>,
    /// Where the last one ends.
    pub(super) end: u64,
    pub(super) has_ended: bool,
    /// Why it ends where it does, if that is since what followed was damaged.
    pub(super) damage: Option<Ended>,
    pub(super) file: Option<File>,
    /// When the disk was last waited for.
    pub(super) synced: Option<Instant>,
}

impl Index {
    /// What is there, now that it is on disk.
    pub(super) fn extent(&self) -> Extent {
        Extent { next: self.starts.len() as u64, has_ended: self.has_ended }
    }

    /// Adds the last record to one whose rest is damaged, where `file` writes next.
    pub(super) fn end_damaged(&mut self, mut file: &File) -> io::Result<()> {
        let reason = format!("its records are damaged from {} on", self.starts.len());
        let ended = Ended { state: ended::State::Failed.into(), reason, ..Ended::default() };
        let bytes = frame::written(&ending::record(record::Record::Ended(ended.clone())))?;
        if let Err(error) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            // A part of it would be in the way of what is written next.
            file.set_len(self.end)?;
            return Err(error);
        }
        self.starts.push(self.end);
        self.end += bytes.len() as u64;
        (self.has_ended, self.damage) = (true, Some(ended));
        Ok(())
    }
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Finds the records of a file, and sees to it that there is nothing else in it. All of it is on disk then.
pub(super) fn look_through(path: &Path) -> io::Result<Index> {
    let mut index = Index { is_known: true, ..Index::default() };
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(index),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut reader = BufReader::new(&file);
    let is_damaged = loop {
        if index.has_ended {
            // Nothing can come after that.
            break index.end < length;
        }
        match frame::next(&mut reader)? {
            Found::Record { size, is_last } => {
                index.starts.push(index.end);
                index.end += size;
                index.has_ended = is_last;
            }
            Found::End | Found::Torn => break false,
            Found::Damaged => break true,
        }
    };
    if is_damaged {
        set_aside(&file, index.end, path)?;
    }
    if index.end < length {
        file.set_len(index.end)?;
    }
    if is_damaged && !index.has_ended {
        file.seek(SeekFrom::Start(index.end))?;
        index.end_damaged(&file)?;
    }
    file.sync_data()?;
    Ok(index)
}

/// Keeps what is from `start` on in a file of its own.
fn set_aside(mut file: &File, start: u64, path: &Path) -> io::Result<()> {
    let place = path.with_extension("damaged");
    file.seek(SeekFrom::Start(start))?;
    let mut kept = open(&place)?;
    let length = io::copy(&mut file, &mut kept)?;
    kept.sync_data()?;
    say(format_args!(
        "golo agent: `{}` is damaged from byte {start} on: what was there, {length} bytes, is kept as `{}`",
        path.display(),
        place.display()
    ));
    Ok(())
}
