//! The writer of output lines: requests format them into memory, and one thread writes them in batches.
//!
//! A request never waits for a system call. If the reader is too slow, the memory fills up to a limit. Triggers then
//! wait after a request was measured, and no line is lost.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Seek as _, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Condvar, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::error::chain;
use crate::metrics::check::{self, Check, Checks};
use crate::metrics::sink;
use crate::support::lock::lock;
use crate::support::message::say;
use crate::{Error, OutputRef, Sink};

/// Longest time that lines are gathered before they are written.
const GATHER: Duration = Duration::from_millis(20);
/// Number of bytes that are written without waiting for more.
const ENOUGH: usize = 64 << 10;
/// Number of bytes in memory from which triggers wait.
const FULL: usize = 1 << 20;
/// Pause before a write is repeated that failed because the disk was full.
const RETRY: Duration = Duration::from_millis(100);
/// Largest number of bytes of whole lines in one write. A pipe takes that many at once or not at all (`PIPE_BUF` on
/// Linux), so a line is never torn, even if the process is killed or shares the pipe with others.
const PIECE: usize = 4096;

/// The sink that writes output lines. Clones share the same writer.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Signals the writer that there is something to do.
    work: Condvar,
    /// Signals that the writer has written a batch.
    progress: Notify,
    is_full: AtomicBool,
    room: Notify,
    checks: Mutex<Checks>,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    /// Number of lines in `pending`.
    pending_lines: u64,
    /// Number of lines of the current batch that are not written yet.
    batch_lines: u64,
    /// Set once no further line is written.
    is_closed: bool,
    /// Number of lines that were unwritten when the stream was closed, or came afterwards.
    dropped: u64,
    /// Reason why lines cannot be written, unless the reader closed the stream.
    trouble: Option<String>,
    /// Set if the writer must not wait for more lines.
    is_ending: bool,
}

/// Destination of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
    File(PathBuf),
}

/// Lines that were not written.
#[derive(Debug)]
pub(crate) struct Loss {
    pub(crate) lines: u64,
    pub(crate) reason: String,
}

impl Lines {
    /// Starts the writer's thread, which runs until the process ends.
    pub(crate) fn start(stream: Stream) -> Result<Self, Error> {
        let file = stream.open()?;
        Self::write_to(stream, file).map_err(not_started)
    }

    fn write_to(stream: Stream, file: File) -> io::Result<Self> {
        let lines = Self(Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            progress: Notify::new(),
            is_full: AtomicBool::new(false),
            room: Notify::new(),
            checks: Mutex::default(),
        }));
        let writer = lines.clone();
        let thread = std::thread::Builder::new().name("golo-lines".to_owned());
        thread.spawn(move || writer.write_for_ever(stream, file))?;
        Ok(lines)
    }

    /// Returns the writer of the process's stdout. There is one for the whole process.
    pub(crate) fn of_process() -> Result<Self, Error> {
        static LINES: Mutex<Option<Lines>> = Mutex::new(None);
        let mut lines = lock(&LINES);
        if let Some(lines) = &*lines {
            return Ok(lines.clone());
        }
        let started = Self::start(Stream::Stdout)?;
        sink::install(Arc::new(started.clone()));
        Ok(lines.insert(started).clone())
    }

    /// Waits until every line is written.
    pub(crate) async fn flush(&self) {
        lock(&self.0.state).is_ending = true;
        self.0.work.notify_one();
        loop {
            // Registers before it checks, so that no notification in between is missed.
            let mut progress = std::pin::pin!(self.0.progress.notified());
            progress.as_mut().enable();
            if self.unwritten() == 0 {
                break;
            }
            progress.await;
        }
        lock(&self.0.state).is_ending = false;
    }

    /// Returns the number of lines that are not written yet.
    pub(crate) fn unwritten(&self) -> u64 {
        let state = lock(&self.0.state);
        state.pending_lines + state.batch_lines
    }

    /// Returns the number of unwritten lines and the reason. Lines do not count as lost if the reader closed the
    /// stream.
    pub(crate) fn loss(&self) -> Option<Loss> {
        let state = lock(&self.0.state);
        let lines = state.pending_lines + state.batch_lines + state.dropped;
        let reason = || state.trouble.clone().unwrap_or_else(|| "they were not read in time".to_owned());
        (lines > 0).then(|| Loss { lines, reason: reason() })
    }

    /// Prints the results of the checks, if there were any.
    pub(crate) fn print_checks(&self) {
        for (name, check) in &*lock(&self.0.checks) {
            say(format_args!("check {name:?}: {} passed, {} failed", check.passed, check.failed));
        }
    }

    fn write_for_ever(&self, stream: Stream, mut file: File) {
        let mut batch = Vec::new();
        loop {
            self.next_batch(&mut batch);
            if let Err(error) = self.write(&batch, &stream, &mut file) {
                self.close(&stream, &error);
            }
            batch.clear();
            self.0.progress.notify_waiters();
        }
    }

    /// Drops all further lines for this reason.
    fn close(&self, stream: &Stream, error: &io::Error) {
        let is_unread = stream.is_closed_by(error);
        let what = if is_unread { "is closed" } else { "cannot be written" };
        say(format_args!("golo: {stream} {what}, so output lines are dropped from now on: {}", chain(error)));
        let mut state = lock(&self.0.state);
        let (dropped, trouble) = match is_unread {
            true => (0, None),
            false => (state.pending_lines + state.batch_lines, Some(chain(error))),
        };
        *state = State { is_closed: true, dropped, trouble, is_ending: state.is_ending, ..State::default() };
        self.0.is_full.store(false, Release);
        drop(state);
        self.0.room.notify_waiters();
    }

    /// Waits for lines, and swaps them for the empty `batch`.
    fn next_batch(&self, batch: &mut Vec<u8>) {
        let mut state = lock(&self.0.state);
        while state.pending.is_empty() {
            state = self.0.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let gathered = Instant::now() + GATHER;
        while !state.is_ending && state.pending.len() < ENOUGH {
            let left = gathered.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.0.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut state.pending, batch);
        state.batch_lines = std::mem::take(&mut state.pending_lines);
        self.0.is_full.store(false, Release);
        drop(state);
        self.0.room.notify_waiters();
    }

    /// Writes whole lines, one piece at a time. The stream is locked during a piece, so that a `println!` of the load
    /// test comes before or after it. Returns an error if no further line can be written.
    fn write(&self, batch: &[u8], stream: &Stream, file: &mut File) -> io::Result<()> {
        let wait = |error| self.wait_for_room(stream, error);
        let mut rest = batch;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(piece_of(rest));
            match stream {
                Stream::Stdout => {
                    let _locked = io::stdout().lock();
                    write_piece(piece, file, wait)
                }
                Stream::Stderr => {
                    let _locked = io::stderr().lock();
                    write_piece(piece, file, wait)
                }
                Stream::File(_) => write_or_nothing(piece, file, wait),
            }?;
            rest = after;
            let lines = memchr::memchr_iter(b'\n', piece).count() as u64;
            let mut state = lock(&self.0.state);
            state.batch_lines -= lines;
            state.trouble = None;
        }
        Ok(())
    }

    /// Waits before a failed write is repeated. Returns the error if repeating it is useless.
    fn wait_for_room(&self, stream: &Stream, error: io::Error) -> io::Result<()> {
        static WARNING: Once = Once::new();
        match error.kind() {
            ErrorKind::Interrupted => {}
            ErrorKind::WouldBlock => std::thread::sleep(RETRY / 100),
            // A file is a by-product, so a full disk must not stop the run for it.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded if !matches!(stream, Stream::File(_)) => {
                lock(&self.0.state).trouble = Some(chain(&error));
                WARNING.call_once(|| {
                    say(format_args!(
                        "golo: output lines cannot be written, so the load test waits until they can: {error}"
                    ));
                });
                std::thread::sleep(RETRY);
            }
            _ => return Err(error),
        }
        Ok(())
    }
}

fn not_started(error: io::Error) -> Error {
    Error::start("the writer of output lines could not be started", Some(error.into()))
}

impl Stream {
    /// Opens the file, or duplicates the stream. The duplicate bypasses std's buffer, in which a `print!` of the load
    /// test may have left the beginning of a line.
    fn open(&self) -> Result<File, Error> {
        match self {
            Self::File(path) => File::create(path)
                .map_err(|error| Error::address(format!("{self} cannot be written"), Some(error.into()))),
            Self::Stdout | Self::Stderr => self.duplicate().map_err(not_started),
        }
    }

    fn duplicate(&self) -> io::Result<File> {
        #[cfg(unix)]
        use std::os::fd::AsFd as _;
        #[cfg(windows)]
        use std::os::windows::io::AsHandle as _;
        let (stdout, stderr) = (io::stdout(), io::stderr());
        #[cfg(unix)]
        let stream = match self {
            Self::Stderr => stderr.as_fd(),
            _ => stdout.as_fd(),
        };
        #[cfg(windows)]
        let stream = match self {
            Self::Stderr => stderr.as_handle(),
            _ => stdout.as_handle(),
        };
        stream.try_clone_to_owned().map(File::from)
    }

    /// Returns true if the error means that the reader has closed the stream. It has then read everything it wanted.
    fn is_closed_by(&self, error: &io::Error) -> bool {
        error.kind() == ErrorKind::BrokenPipe && !matches!(self, Self::File(_))
    }
}

impl Sink for Lines {
    fn output(&self, output: &OutputRef<'_>) {
        let mut state = lock(&self.0.state);
        if state.is_closed {
            state.dropped += u64::from(state.trouble.is_some());
            return;
        }
        let before = state.pending.len();
        output.write_line(&mut state.pending);
        state.pending_lines += 1;
        let after = state.pending.len();
        if after >= FULL {
            self.0.is_full.store(true, Release);
        }
        // The writer sleeps until the first line arrives, and then until there are enough.
        if before == 0 || (before < ENOUGH && after >= ENOUGH) {
            self.0.work.notify_one();
        }
    }

    fn check(&self, name: &str, passed: bool) {
        check::add(&mut lock(&self.0.checks), name, Check::once(passed));
    }

    fn backpressure(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        if !self.0.is_full.load(Acquire) {
            return None;
        }
        Some(Box::pin(async {
            loop {
                // Registers before it checks, so that no notification in between is missed.
                let mut room = std::pin::pin!(self.0.room.notified());
                room.as_mut().enable();
                if !self.0.is_full.load(Acquire) {
                    return;
                }
                room.await;
            }
        }))
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => write!(f, "`{}`", path.display()),
        }
    }
}

/// Returns the length of the next write: as many whole lines as fit into [`PIECE`], or one longer line.
fn piece_of(lines: &[u8]) -> usize {
    let fitting = memchr::memrchr(b'\n', &lines[..lines.len().min(PIECE)]);
    fitting.or_else(|| memchr::memchr(b'\n', lines)).map_or(lines.len(), |newline| newline + 1)
}

/// Writes all of `piece`. After an error that `wait` does not return, the write is repeated.
fn write_piece(piece: &[u8], stream: &mut impl Write, wait: impl Fn(io::Error) -> io::Result<()>) -> io::Result<()> {
    let mut rest = piece;
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) => wait(error)?,
        }
    }
    Ok(())
}

/// Writes `piece` at the end of a file. Removes an incomplete piece after an error.
fn write_or_nothing(piece: &[u8], file: &mut File, wait: impl Fn(io::Error) -> io::Result<()>) -> io::Result<()> {
    let begin = file.stream_position();
    let written = write_piece(piece, file, wait);
    if let (Err(_), Ok(begin)) = (&written, begin) {
        let _ = file.set_len(begin);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn piece_contains_whole_lines() {
        assert_eq!(piece_of(b"a\nbc\n"), 5);
        let short = [b"x".repeat(3000), b"\n".to_vec()].concat();
        let lines = short.repeat(3);
        assert_eq!(piece_of(&lines), short.len(), "a second line does not fit");
        let long = [b"x".repeat(10_000), b"\n".to_vec(), short].concat();
        assert_eq!(piece_of(&long), 10_001, "a long line is one piece");
    }

    /// A stream that takes a few bytes at a time and fails now and then.
    #[derive(Default)]
    struct Narrow {
        taken: Vec<u8>,
        calls: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            match self.calls % 3 {
                0 => Err(ErrorKind::WouldBlock.into()),
                1 => Err(ErrorKind::Interrupted.into()),
                _ => {
                    let taken = bytes.len().min(2);
                    self.taken.extend_from_slice(&bytes[..taken]);
                    Ok(taken)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn piece_is_written_completely_to_stream_with_short_writes() {
        let mut narrow = Narrow::default();
        let again = |error: io::Error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
            _ => Err(error),
        };
        write_piece(b"one line\n", &mut narrow, again).unwrap();
        assert_eq!(narrow.taken, b"one line\n");
    }

    #[test]
    fn write_fails_if_stream_has_no_reader() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert_eq!(write_piece(b"line\n", &mut Closed, Err).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
