//! What a job measured, on disk until the collector has it: records one after the other, as `frame` writes them.
//!
//! There is one writer. Readers get what is safely on disk and nothing else: what a collector was given can not be lost by
//! a power cut and then come again as something else under the same number. Where a record has been damaged, what follows
//! is put aside, and a last record says so: whoever reads is never left waiting.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use golo_proto::results::{Ended, Record, record};
use tokio::sync::watch;

use super::{
    frame,
    index::{Index, look_through, open},
};

/// How often the disk is waited for, at most, where nobody waits for the record.
const SYNC: Duration = Duration::from_secs(1);
/// Most records that are given at once: a collector takes no more.
const GIVEN: u64 = 10_000;

/// The records of a job.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    index: Mutex<Index>,
    extent: watch::Sender<Extent>,
}

/// How far a spool goes, of what is safely on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// The number of the next record.
    pub next: u64,
    /// Whether the last one is there.
    pub has_ended: bool,
}

/// Some records, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Each after its length.
    pub bytes: Bytes,
    /// The number of the record after them.
    pub next: u64,
    /// Whether there is none after them, and never will be.
    pub has_ended: bool,
}

impl Spool {
    /// The one in the file at `path`, which need not be there. `known` is what is known of it without looking.
    #[must_use]
    pub fn at(path: PathBuf, known: Extent) -> Self {
        Self { path, index: Mutex::default(), extent: watch::Sender::new(known) }
    }

    /// How far it goes, and from then on.
    #[must_use]
    pub fn extent(&self) -> watch::Receiver<Extent> {
        self.extent.subscribe()
    }

    /// Its size on disk, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.path.metadata().map_or(0, |about| about.len())
    }

    /// Looks through the file, cuts off a last record that is not whole, and ends it where one is damaged.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, or not be cut.
    pub fn recover(&self) -> io::Result<Extent> {
        Ok(self.known()?.extent())
    }

    /// Ends one that was whole once, and of which the end is missing now.
    ///
    /// # Errors
    ///
    /// Where that cannot be written.
    pub fn end_damaged(&self) -> io::Result<Extent> {
        let mut index = self.known()?;
        if !index.has_ended {
            index.file = None;
            index.end_damaged(&open(&self.path)?)?;
            self.extent.send_replace(index.extent());
        }
        Ok(index.extent())
    }

    /// How it ended, if that is since a record was found damaged.
    #[must_use]
    pub fn damage(&self) -> Option<Ended> {
        self.lock().damage.clone()
    }

    /// Adds a record. Where `is_awaited`, or the disk has not been waited for lately, it is on disk on return.
    ///
    /// # Errors
    ///
    /// Where it cannot be written: there is nothing of it then.
    pub fn append(&self, record: &Record, is_awaited: bool) -> io::Result<()> {
        let mut index = self.known()?;
        if index.has_ended {
            return Err(io::Error::other("its last record is there already"));
        }
        let bytes = frame::written(record)?;
        let (path, end) = (&self.path, index.end);
        if index.file.is_none() {
            index.file = Some(open(path)?);
        }
        let Some(file) = &mut index.file else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = file.write_all(&bytes) {
            // What there is of it would be taken for the beginning of the next.
            file.set_len(end)?;
            return Err(error);
        }
        index.starts.push(end);
        index.end += bytes.len() as u64;
        index.has_ended = matches!(record.record, Some(record::Record::Ended(_)));
        if is_awaited || index.synced.is_none_or(|synced| synced.elapsed() >= SYNC) {
            self.sync_now(&mut index)?;
        }
        Ok(())
    }

    /// When the disk is to be waited for next, if there is anything it does not have.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let index = self.lock();
        let is_behind = index.extent() != *self.extent.borrow();
        is_behind.then(|| index.synced.map_or_else(Instant::now, |synced| synced + SYNC))
    }

    /// Waits until everything is on disk.
    ///
    /// # Errors
    ///
    /// Where the disk says so.
    pub fn sync(&self) -> io::Result<()> {
        self.sync_now(&mut self.lock())
    }

    fn sync_now(&self, index: &mut Index) -> io::Result<()> {
        if let Some(file) = &index.file {
            file.sync_data()?;
        }
        index.synced = Some(Instant::now());
        if index.has_ended {
            index.file = None;
        }
        self.extent.send_replace(index.extent());
        Ok(())
    }

    /// Records from number `from` on, of about `most` bytes and one at least; none where it has no such record yet.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, as where it has been deleted.
    pub fn read(&self, from: u64, most: u64) -> io::Result<Option<Chunk>> {
        let index = self.known()?;
        let extent = *self.extent.borrow();
        if from >= extent.next {
            return Ok(None);
        }
        let place = |number: u64| usize::try_from(number).ok().and_then(|number| index.starts.get(number)).copied();
        let start = place(from).ok_or(io::ErrorKind::NotFound)?;
        let end_of = |number: u64| place(number + 1).unwrap_or(index.end);
        let mut next = from + 1;
        while next < extent.next && next - from < GIVEN && end_of(next) - start <= most {
            next += 1;
        }
        let length = usize::try_from(end_of(next - 1) - start).map_err(io::Error::other)?;
        drop(index);
        let mut bytes = vec![0; length];
        File::open(&self.path)?.read_exact_at(&mut bytes, start)?;
        let damaged = || io::Error::other(format!("one of its records from {from} on is damaged"));
        let bytes = frame::given(&bytes).ok_or_else(damaged)?;
        Ok(Some(Chunk { bytes: bytes.into(), next, has_ended: extent.has_ended && next == extent.next }))
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> io::Result<MutexGuard<'_, Index>> {
        let mut index = self.lock();
        if !index.is_known {
            *index = look_through(&self.path)?;
            self.extent.send_replace(index.extent());
        }
        Ok(index)
    }
}

#[cfg(test)]
mod tests {
    use golo_proto::results::{Begun, ended};
    use prost::Message as _;

    use super::*;

    fn records() -> Vec<Record> {
        let begun = |run: &str| Some(record::Record::Begun(Begun { run: run.to_owned(), ..Begun::default() }));
        let mut all: Vec<_> =
            (0..5).map(|number| Record { at: number, record: begun(&"x".repeat(60 * number as usize)) }).collect();
        all.push(Record { at: 5, record: Some(record::Record::Ended(Ended::default())) });
        all
    }

    fn decoded(chunk: &Chunk) -> Vec<Record> {
        let mut bytes = chunk.bytes.clone();
        let mut all = Vec::new();
        while !bytes.is_empty() {
            all.push(Record::decode_length_delimited(&mut bytes).unwrap());
        }
        all
    }

    #[test]
    fn what_was_written_is_read_back_from_any_number_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let spool = Spool::at(path.clone(), Extent::default());
        for record in records() {
            spool.append(&record, true).unwrap();
        }
        assert!(spool.append(&records()[0], true).is_err(), "nothing comes after the last");
        for spool in [spool, Spool::at(path, Extent { next: 6, has_ended: true })] {
            for from in 0..6 {
                let chunk = spool.read(from, u64::MAX).unwrap().unwrap();
                assert_eq!(decoded(&chunk), records()[from as usize..]);
                assert_eq!((chunk.next, chunk.has_ended), (6, true));
            }
            assert_eq!(spool.read(6, 1).unwrap(), None);
            let (mut from, mut all) = (0, Vec::new());
            while let Some(chunk) = spool.read(from, 100).unwrap() {
                assert!(chunk.next > from);
                assert_eq!(chunk.has_ended, chunk.next == 6);
                from = chunk.next;
                all.extend(decoded(&chunk));
            }
            assert_eq!(all, records());
        }
    }

    #[test]
    fn a_record_that_is_not_whole_is_cut_off_wherever_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let whole: Vec<u8> = records()[..3].iter().flat_map(|record| frame::written(record).unwrap()).collect();
        let torn = frame::written(&records()[4]).unwrap();
        for length in 0..torn.len() {
            std::fs::write(&path, [&whole[..], &torn[..length]].concat()).unwrap();
            let spool = Spool::at(path.clone(), Extent::default());
            assert_eq!(spool.recover().unwrap(), Extent { next: 3, has_ended: false }, "{length}");
            spool.append(&records()[5], true).unwrap();
            let all = decoded(&spool.read(0, u64::MAX).unwrap().unwrap());
            assert_eq!(all, [&records()[..3], &records()[5..]].concat());
        }
    }

    #[test]
    fn what_is_damaged_ends_it_and_is_kept_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let frames: Vec<_> = records().iter().map(|record| frame::written(record).unwrap()).collect();
        let start = frames[..2].concat().len();
        // In the length, its other half, the checksum, the record itself.
        for bit in (0..8 * frames[2].len()).step_by(5) {
            let mut damaged = frames.concat();
            damaged[start + bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &damaged).unwrap();
            _ = std::fs::remove_file(path.with_extension("damaged"));
            let spool = Spool::at(path.clone(), Extent { next: 6, has_ended: true });
            assert_eq!(spool.recover().unwrap(), Extent { next: 3, has_ended: true }, "bit {bit}");
            assert_eq!(spool.damage().unwrap().reason, "its records are damaged from 2 on");
            assert_eq!(std::fs::read(path.with_extension("damaged")).unwrap(), damaged[start..]);
            for spool in [spool, Spool::at(path.clone(), Extent::default())] {
                spool.recover().unwrap();
                let all = decoded(&spool.read(0, u64::MAX).unwrap().unwrap());
                assert_eq!((all.len(), &all[..2]), (3, &records()[..2]));
                let Some(record::Record::Ended(ended)) = &all[2].record else { panic!("{all:?}") };
                assert_eq!(
                    (ended.state(), &ended.reason[..]),
                    (ended::State::Failed, "its records are damaged from 2 on")
                );
            }
        }
    }

    #[test]
    fn what_is_damaged_later_is_not_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let spool = Spool::at(path.clone(), Extent::default());
        records().iter().for_each(|record| spool.append(record, true).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(spool.read(0, 1).is_ok() && spool.read(0, u64::MAX).is_err());
    }

    #[test]
    fn no_more_is_given_at_once_than_a_collector_takes() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::at(folder.path().join("records"), Extent::default());
        (0..=GIVEN).for_each(|_| spool.append(&records()[0], false).unwrap());
        spool.sync().unwrap();
        assert_eq!(spool.read(0, u64::MAX).unwrap().unwrap().next, GIVEN);
        assert_eq!(spool.read(1, u64::MAX).unwrap().unwrap().next, GIVEN + 1);
    }

    #[test]
    fn readers_get_what_is_on_disk_alone() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::at(folder.path().join("records"), Extent::default());
        spool.append(&records()[0], true).unwrap();
        spool.append(&records()[1], false).unwrap();
        if spool.due().is_some() {
            assert_eq!(spool.read(1, 1).unwrap(), None);
        }
        spool.sync().unwrap();
        assert_eq!((spool.due(), spool.read(1, 1).unwrap().unwrap().next), (None, 2));
    }
}
