//! The line reader: the stdout of a load test in another process, at full speed and in bounded memory. An `Output` goes
//! straight into the recorder; anything else is counted, and said once for each kind.

use std::{
    fmt,
    io::{self, Read},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use golo::{
    OutputRef, Sink as _,
    cli::say,
    engine::{
        Sinks,
        recorder::{Outside, RecorderSink},
    },
};
use tokio::{runtime::Handle, sync::watch};

use crate::{drive::journeys::OpenJourneys, support::moments::on_the_wall};

/// The longest line that is read; of a longer one nothing is kept.
pub const LONGEST: usize = 1 << 20;
/// What is read at a time.
const CHUNK: usize = 256 << 10;
/// How often it is looked for journeys that have ended.
const LOOK: Duration = Duration::from_secs(1);
/// Bytes of a line that is no `Output` that are shown.
const SHOWN: usize = 120;

/// Why a line is no `Output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Junk {
    /// It is longer than [`LONGEST`].
    TooLong,
    /// It is no text.
    NoText,
    /// It is no JSON, or JSON of something else.
    NoOutput,
}

impl fmt::Display for Junk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "longer than 1 MiB",
            Self::NoText => "no UTF-8",
            Self::NoOutput => "no `Output`",
        })
    }
}

/// What has been read so far.
#[derive(Debug, Default)]
pub struct Lines {
    outputs: AtomicU64,
    junk: [AtomicU64; 3],
    /// Whether the reader waits for a sink that cannot keep up.
    is_waiting: AtomicBool,
    /// The reader waits for none any more.
    is_hurrying: watch::Sender<bool>,
}

impl Lines {
    /// `Output`s, whether or not they count.
    #[must_use]
    pub fn outputs(&self) -> u64 {
        self.outputs.load(Relaxed)
    }

    /// Whether the reader waits for a sink that cannot keep up.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_waiting.load(Relaxed)
    }

    /// Has the reader wait for no sink any more: the run is over, and what is still to come was measured in it. There is
    /// little of that.
    pub fn hurry(&self) {
        self.is_hurrying.send_replace(true);
    }

    /// Lines that were none, by what they were instead.
    #[must_use]
    pub fn junk(&self, junk: Junk) -> u64 {
        self.junk[junk as usize].load(Relaxed)
    }
}

/// What a reader does with what it reads.
pub struct Reader {
    /// What the load test is called in messages.
    name: String,
    lines: Arc<Lines>,
    sink: Arc<RecorderSink>,
    /// Knows when the measured part starts.
    outside: Arc<Outside>,
    start: OnceLock<SystemTime>,
    /// Requests before the start are the warm-up's. Without a warm-up there are none, whatever the clocks say.
    has_warm_up: bool,
    journeys: Arc<OpenJourneys>,
    /// Where a sink that cannot keep up is waited for.
    runtime: Handle,
}

impl Reader {
    /// One that records what it reads of the load test `name`; a sink that cannot keep up is waited for on `runtime`.
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

    /// What it counts.
    #[must_use]
    pub fn lines(&self) -> Arc<Lines> {
        Arc::clone(&self.lines)
    }

    /// Reads to the end, on a thread of its own.
    ///
    /// # Errors
    ///
    /// Where the system has no thread left.
    pub fn start(self, from: impl Read + Send + 'static) -> io::Result<JoinHandle<()>> {
        thread::Builder::new().name("golo-line-reader".to_owned()).spawn(move || self.read(from))
    }

    /// Reads to the end.
    pub fn read(&self, mut from: impl Read) {
        let mut buffer = vec![0; CHUNK];
        // What has been read of a line that is not whole yet.
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
        // Tags have told of that request already.
        if self.sink.output_came(output.timestamp) {
            return;
        }
        // Before that it is no load.
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
                "{}: a line on stdout is {junk}; it and those like it are counted and passed over: {:?}{cut}",
                self.name, shown
            ));
        }
    }

    /// Where raw outputs are not taken as fast as they come, the load test waits, as it would for any reader.
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

    /// Gives what it has in pieces.
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

    /// Outputs and junk of each kind, in a stream that comes in pieces of this length.
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
    fn lines_are_whole_however_they_come() {
        let stream = format!("{LINE}\n\n{LINE}\r\nstarting…\n{LINE}\n{{\"level\":\"info\"}}\n{LINE}");
        for piece in [1, 2, 3, 7, 100, 1000, 1 << 20] {
            assert_eq!(read(stream.as_bytes(), piece), (4, [0, 0, 2]), "in pieces of {piece}");
        }
    }

    /// Takes everything, and never has room.
    struct Full;

    impl Sink for Full {
        fn output(&self, _: &OutputRef<'_>) {}

        fn backpressure(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
            Some(Box::pin(std::future::pending()))
        }
    }

    #[test]
    fn a_reader_that_hurries_waits_for_no_sink() {
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
    fn what_is_no_text_or_too_long_is_counted_and_what_follows_is_read() {
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
