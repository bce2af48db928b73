//! The lines of a served load test: formatted into memory by the requests, written in batches by one thread.
//!
//! A request never waits for a system call. Where the reader does not keep up, memory fills to a mark and load tests
//! wait, after a request has been measured; nothing is lost.

use std::{
    fmt,
    fs::File,
    io::{self, ErrorKind, Seek as _, Write},
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Condvar, Mutex, Once, PoisonError,
        atomic::{AtomicBool, Ordering::Acquire, Ordering::Release},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::{
    Error, OutputRef, Sink,
    error::chain,
    metrics::{
        check::{self, Check, Checks},
        sink,
    },
    support::{lock::lock, message::say},
};

/// How long lines may gather before they are written.
const GATHER: Duration = Duration::from_millis(20);
/// Bytes that are written without waiting for more.
const ENOUGH: usize = 64 << 10;
/// Bytes in memory from which on load tests wait.
const FULL: usize = 1 << 20;
/// How long to wait before a write that failed for want of room is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// Most bytes of whole lines in one write. A pipe takes that many at once or not at all (`PIPE_BUF` on Linux), so
/// that a line is never torn, even where the process is killed or shares the pipe with others.
const PIECE: usize = 4096;

/// The sink of a served load test. Cloning it gives the same one.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is something for the writer to do.
    work: Condvar,
    /// The writer has written a batch.
    progress: Notify,
    is_full: AtomicBool,
    room: Notify,
    checks: Mutex<Checks>,
}

#[derive(Default)]
struct State {
    pending: Vec<u8>,
    /// Lines in `pending`.
    pending_lines: u64,
    /// Lines of the batch that is being written, and are not yet.
    batch_lines: u64,
    /// Nothing is written any more.
    is_closed: bool,
    /// Lines that were not written before it was closed, or came after that.
    dropped: u64,
    /// Why lines cannot be written, where that is not for want of a reader.
    trouble: Option<String>,
    /// Nobody waits for more lines to gather.
    is_ending: bool,
}

/// Where lines are written.
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
    /// Starts the writer's thread. It ends with the process.
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

    /// The one that writes to stdout for the whole process: a process has one stdout, whatever it serves.
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
            // Listens before it looks, so that what happens in between is not missed.
            let mut progress = std::pin::pin!(self.0.progress.notified());
            progress.as_mut().enable();
            if self.unwritten() == 0 {
                break;
            }
            progress.await;
        }
        lock(&self.0.state).is_ending = false;
    }

    /// The number of lines that are not written yet.
    pub(crate) fn unwritten(&self) -> u64 {
        let state = lock(&self.0.state);
        state.pending_lines + state.batch_lines
    }

    /// What has not been written by now, and why. That nobody reads the stream any more is no loss.
    pub(crate) fn loss(&self) -> Option<Loss> {
        let state = lock(&self.0.state);
        let lines = state.pending_lines + state.batch_lines + state.dropped;
        let reason = || state.trouble.clone().unwrap_or_else(|| "nobody read them in time".to_owned());
        (lines > 0).then(|| Loss { lines, reason: reason() })
    }

    /// Tells how the checks went, if there were any.
    pub(crate) fn say_checks(&self) {
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

    /// Drops all lines from here on, for this reason.
    fn close(&self, stream: &Stream, error: &io::Error) {
        let is_unread = stream.is_closed_by(error);
        let what = if is_unread { "is closed" } else { "cannot be written" };
        say(format_args!("golo: {stream} {what}, so output lines are dropped from here on: {}", chain(error)));
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

    /// Writes whole lines, a piece at a time. The stream is locked for a piece, so that a `println!` of the load test
    /// comes before or after it. An error means that no line can be written any more.
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

    /// Waits a while after a write that failed, where it may be tried again.
    fn wait_for_room(&self, stream: &Stream, error: io::Error) -> io::Result<()> {
        static WARNING: Once = Once::new();
        match error.kind() {
            ErrorKind::Interrupted => {}
            ErrorKind::WouldBlock => std::thread::sleep(RETRY / 100),
            // A run would come to a stand for the sake of a file that is a by-product.
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
    /// A new file; or the stream without std's buffer, in which a `print!` of the load test may have left the beginning of a
    /// line.
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

    /// Whether an error means that its reader is gone, who has read what there was to read.
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
        // The writer sleeps until there is a first line, and then until there are enough.
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
                // Listens before it looks, so that what happens in between is not missed.
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

/// How many bytes to write at once: as many whole lines as a piece holds, or one longer line.
fn piece_of(lines: &[u8]) -> usize {
    let fitting = memchr::memrchr(b'\n', &lines[..lines.len().min(PIECE)]);
    fitting.or_else(|| memchr::memchr(b'\n', lines)).map_or(lines.len(), |newline| newline + 1)
}

/// Writes all of `piece`; an error that `wait` does not pass on is one to try again after.
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

/// The same at the end of a file, in which no part of a line stays behind.
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
    fn pieces_are_whole_lines() {
        assert_eq!(piece_of(b"a\nbc\n"), 5);
        let short = [b"x".repeat(3000), b"\n".to_vec()].concat();
        let lines = short.repeat(3);
        assert_eq!(piece_of(&lines), short.len(), "a second line does not fit");
        let long = [b"x".repeat(10_000), b"\n".to_vec(), short].concat();
        assert_eq!(piece_of(&long), 10_001, "a long line is one piece");
    }

    /// Takes a few bytes at a time, and fails now and then.
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
    fn a_piece_is_written_whole_however_narrow_the_stream() {
        let mut narrow = Narrow::default();
        let again = |error: io::Error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(()),
            _ => Err(error),
        };
        write_piece(b"one line\n", &mut narrow, again).unwrap();
        assert_eq!(narrow.taken, b"one line\n");
    }

    #[test]
    fn a_stream_that_nobody_reads_is_an_error() {
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
