//! The line reader: reads the stdout of a load test in another process at full speed and in bounded memory. It records
//! each `Output`. Other lines are counted, and the first one of each kind is printed.

use std::fmt;
use std::io::{self, Read};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use golo::cli::say;
use golo::engine::Sinks;
use golo::engine::recorder::{Outside, RecorderSink};
use golo::{OutputRef, Sink as _};
use tokio::{runtime::Handle, sync::watch};

use crate::{drive::journeys::OpenJourneys, support::moments::on_the_wall};

/// Longest line that is read, in bytes. Longer ones are dropped.
pub const LONGEST: usize = 1 << 20;
/// Size of the read buffer at the beginning, in bytes.
const CHUNK: usize = 256 << 10;
/// Interval between searches for journeys that have ended.
const LOOK: Duration = Duration::from_secs(1);
/// Largest number of bytes that are printed of a line that is not an `Output`.
const SHOWN: usize = 120;

/// Reason why a line is not an `Output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Junk {
    /// Longer than [`LONGEST`].
    TooLong,
    /// Not valid UTF-8.
    NoText,
    /// Not JSON, or JSON of another kind.
    NoOutput,
}

impl fmt::Display for Junk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than 1 MiB",
            Self::NoText => "not UTF-8",
            Self::NoOutput => "not an `Output`",
        })
    }
}

/// Counters and state of a reader, shared with the run.
#[derive(Debug, Default)]
pub struct Lines {
    outputs: AtomicU64,
    junk: [AtomicU64; 3],
    /// True while the reader waits for a sink that is too slow.
    is_waiting: AtomicBool,
    /// Set once the reader must not wait for sinks any more.
    is_hurrying: watch::Sender<bool>,
}

impl Lines {
    /// Returns the number of `Output`s, including those that are not recorded.
    #[must_use]
    pub fn outputs(&self) -> u64 {
        self.outputs.load(Relaxed)
    }

    /// Returns true while the reader waits for a sink that is too slow.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_waiting.load(Relaxed)
    }

    /// Stops waiting for sinks. The run is over, and only a few lines are still to come.
    pub fn hurry(&self) {
        self.is_hurrying.send_replace(true);
    }

    /// Returns the number of other lines of this kind.
    #[must_use]
    pub fn junk(&self, junk: Junk) -> u64 {
        self.junk[junk as usize].load(Relaxed)
    }
}

/// Reader of a load test's stdout.
pub struct Reader {
    /// Name of the load test for messages.
    name: String,
    lines: Arc<Lines>,
    sink: Arc<RecorderSink>,
    /// Provides the start of the measured time.
    outside: Arc<Outside>,
    start: OnceLock<SystemTime>,
    /// Requests before the start belong to the warm-up. Without a warm-up there are no such requests, even if the
    /// clocks disagree.
    has_warm_up: bool,
    journeys: Arc<OpenJourneys>,
    /// Runtime on which the reader waits for slow sinks.
    runtime: Handle,
}

impl Reader {
    /// Creates a reader that records the outputs of the load test `name`. It waits for slow sinks on `runtime`.
    #[must_use]
    pub fn new(name: &str, sinks: &Sinks, has_warm_up: bool, journeys: Arc<OpenJourneys>, runtime: Handle) -> Self {
        Self {
            name: name.to_owned(),
            lines: Arc::default(),
            sink: Arc::clone(&sinks.measured),
            outside: Arc::clone(&sinks.outside),
            start: OnceLock::new(),
            has_warm_up,
            journeys,
            runtime,
        }
    }

    /// Returns the counters.
    #[must_use]
    pub fn lines(&self) -> Arc<Lines> {
        Arc::clone(&self.lines)
    }

    /// Reads until the end of the stream, on a new thread.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start a thread.
    pub fn start(self, from: impl Read + Send + 'static) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("golo-line-reader".to_owned()).spawn(move || self.read(from))
    }

    /// Reads until the end of the stream.
    pub fn read(&self, mut from: impl Read) {
        let mut buffer = vec![0; CHUNK];
        // Length of the incomplete line at the beginning of the buffer.
        let mut filled = 0;
        let mut is_too_long = false;
        let mut looked = Instant::now();
        loop {
            let now = Instant::now();
            if now.duration_since(looked) >= LOOK {
                looked = now;
                self.sink.journeys(self.journeys.take_ended(now));
            }
            if filled == buffer.len() {
                if buffer.len() >= LONGEST {
                    is_too_long = true;
                    filled = 0;
                } else {
                    buffer.resize((buffer.len() * 2).min(LONGEST), 0);
                }
            }
            let read = match from.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A pipe that cannot be read any more has ended.
                Err(_) => break,
            };
            let end = filled + read;
            let Some(last) = memchr::memrchr(b'\n', &buffer[filled..end]).map(|at| filled + at) else {
                filled = end;
                continue;
            };
            let mut lines = buffer[..last].split(|&byte| byte == b'\n');
            if std::mem::take(&mut is_too_long) {
                let rest = lines.next();
                self.junk(Junk::TooLong, rest.unwrap_or_default());
            }
            lines.for_each(|line| self.line(line));
            buffer.copy_within(last + 1..end, 0);
            filled = end - (last + 1);
            self.wait_for_room();
        }
        match is_too_long {
            true => self.junk(Junk::TooLong, &buffer[..filled]),
            false if filled > 0 => self.line(&buffer[..filled]),
            false => {}
        }
        self.sink.journeys(self.journeys.take_all());
    }

    fn line(&self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let Ok(text) = std::str::from_utf8(line) else { return self.junk(Junk::NoText, line) };
        match OutputRef::parse(text) {
            Ok(output) => self.output(&output),
            Err(_) => self.junk(Junk::NoOutput, line),
        }
    }

    fn output(&self, output: &OutputRef<'_>) {
        self.lines.outputs.fetch_add(1, Relaxed);
        let sent = output.timestamp.checked_sub(output.duration).unwrap_or(output.timestamp);
        // The tags of a response have recorded this request already.
        if self.sink.output_came(output.timestamp) {
            return;
        }
        // Requests before the measured time are not part of the load.
        let Some(start) = self.outside.measured_from() else { return };
        if self.has_warm_up && sent < *self.start.get_or_init(|| on_the_wall(start)) {
            return self.sink.read_of_warm_up(output);
        }
        let label = self.sink.read(output);
        self.journeys.add(label, sent, output);
    }

    #[cold]
    fn junk(&self, junk: Junk, line: &[u8]) {
        if self.lines.junk[junk as usize].fetch_add(1, Relaxed) == 0 {
            let shown = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
            let cut = if line.len() > SHOWN { "…" } else { "" };
            say(format_args!(
                "{}: a line on stdout is {junk}; such lines are counted and skipped: {:?}{cut}",
                self.name, shown
            ));
        }
    }

    /// Waits if raw outputs are written too slowly. The load test then waits too, as it does for any reader.
    fn wait_for_room(&self) {
        let Some(room) = self.sink.backpressure() else { return };
        let mut hurrying = self.lines.is_hurrying.subscribe();
        self.lines.is_waiting.store(true, Relaxed);
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                _ = hurrying.wait_for(|is_hurrying| *is_hurrying) => {}
                () = room => {}
            }
        });
        self.lines.is_waiting.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, pin::Pin};

    use golo::Sink;

    use super::*;

    const LINE: &str = r#"{"sequenceID":"s","url":"http://h/","method":"GET","status":200,"size":3,"timestamp":"2026-11-22T10:05:13.123456789Z","duration":1000,"error":null}"#;

    /// A stream that returns its bytes in pieces.
    struct Pieces(VecDeque<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(mut piece) = self.0.pop_front() else { return Ok(0) };
            let length = piece.len().min(buffer.len());
            buffer[..length].copy_from_slice(&piece[..length]);
            if length < piece.len() {
                self.0.push_front(piece.split_off(length));
            }
            Ok(length)
        }
    }

    /// Returns the numbers of outputs and of other lines of each kind, read from a stream in pieces of this length.
    fn read(stream: &[u8], piece: usize) -> (u64, [u64; 3]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sinks = Sinks::new(Vec::new());
        sinks.outside.measure_from(Instant::now());
        let reader = Reader::new("test", &sinks, false, Arc::default(), runtime.handle().clone());
        reader.read(Pieces(stream.chunks(piece).map(<[u8]>::to_vec).collect()));
        let junk = [Junk::TooLong, Junk::NoText, Junk::NoOutput].map(|junk| reader.lines.junk(junk));
        (reader.lines.outputs(), junk)
    }

    #[test]
    fn lines_are_complete_for_any_size_of_pieces() {
        let stream = format!("{LINE}\n\n{LINE}\r\nstarting…\n{LINE}\n{{\"level\":\"info\"}}\n{LINE}");
        for piece in [1, 2, 3, 7, 100, 1000, 1 << 20] {
            assert_eq!(read(stream.as_bytes(), piece), (4, [0, 0, 2]), "in pieces of {piece}");
        }
    }

    /// A sink that accepts everything and never reports free space.
    struct Full;

    impl Sink for Full {
        fn output(&self, _: &OutputRef<'_>) {}

        fn backpressure(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
            Some(Box::pin(std::future::pending()))
        }
    }

    #[test]
    fn hurried_reader_does_not_wait_for_sinks() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let sinks = Sinks::new(vec![Arc::new(Full)]);
        sinks.outside.measure_from(Instant::now());
        let reader = Reader::new("test", &sinks, false, Arc::default(), runtime.handle().clone());
        let lines = reader.lines();
        let stream = format!("{LINE}\n").repeat(10);
        let pieces = Pieces(stream.as_bytes().chunks(LINE.len() + 1).map(<[u8]>::to_vec).collect());
        let reading = reader.start(pieces).unwrap();
        while !lines.is_waiting() {
            thread::yield_now();
        }
        assert_eq!(lines.outputs(), 1);
        lines.hurry();
        reading.join().unwrap();
        assert_eq!((lines.outputs(), lines.is_waiting()), (10, false));
    }

    #[test]
    fn reader_counts_invalid_lines_and_reads_the_next_ones() {
        let mut stream = vec![0xff, 0xfe, b'\n'];
        for length in [LONGEST - 1, LONGEST + 1, 3 * LONGEST + 17] {
            stream.extend(std::iter::repeat_n(b'x', length));
            stream.push(b'\n');
            stream.extend_from_slice(LINE.as_bytes());
            stream.push(b'\n');
        }
        stream.extend(std::iter::repeat_n(b'x', 2 * LONGEST));
        for piece in [1000, 1 << 16, 1 << 22] {
            assert_eq!(read(&stream, piece), (3, [3, 1, 1]), "in pieces of {piece}");
        }
    }
}
