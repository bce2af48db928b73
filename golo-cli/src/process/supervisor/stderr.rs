//! The load test's stderr: read without delay, with only the last lines kept in memory.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::{io::AsyncReadExt as _, process::ChildStderr};

use super::printable::printable;

/// Number of bytes that are kept.
const KEPT: usize = 64 << 10;
/// Maximum length of a line in bytes; the rest is only counted.
const LINE: usize = 8 << 10;
/// Bytes per read: the capacity of a pipe.
const CHUNK: usize = 64 << 10;

/// Callback for each line, in addition to keeping it.
pub(super) type Sink = Box<dyn FnMut(&str) + Send>;

/// The last lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Stderr(Arc<Mutex<String>>);

impl Stderr {
    /// Returns the last complete lines, at most 64 KiB.
    pub(super) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept[outside(&kept)..].to_owned()
    }

    /// Reads `pipe` to its end.
    pub(super) async fn read(self, mut pipe: ChildStderr, mut sink: Option<Sink>) {
        let mut lines = Lines::default();
        let mut chunk = vec![0; CHUNK];
        while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
            lines.feed(&chunk[..length], |line| self.take(line, &mut sink));
        }
        lines.end(|line| self.take(line, &mut sink));
    }

    fn take(&self, line: &str, sink: &mut Option<Sink>) {
        self.keep(line);
        if let Some(sink) = sink {
            sink(line);
        }
    }

    /// Drops old lines only after as much again has been added, because moving the rest for each line would be slow.
    fn keep(&self, line: &str) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_str(line);
        kept.push('\n');
        if kept.len() > 2 * KEPT {
            let outside = outside(&kept);
            kept.drain(..outside);
        }
    }
}

/// Returns the length of the lines to drop.
fn outside(kept: &str) -> usize {
    let least = kept.len().saturating_sub(KEPT);
    if least == 0 {
        return 0;
    }
    // Includes the byte before, because a line that begins exactly at the limit is kept.
    let end = kept.as_bytes()[least - 1..].iter().position(|&byte| byte == b'\n');
    end.map_or(kept.len(), |at| least + at)
}

/// Splits bytes into lines.
#[derive(Debug, Default)]
struct Lines {
    /// Beginning of a line whose end has not been read.
    begun: Vec<u8>,
    /// Number of further bytes of that line.
    beyond: usize,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                Some(rest) => {
                    self.add(rest);
                    self.finish(&mut take);
                }
                None => self.add(piece),
            }
        }
    }

    /// Passes on a last line without a line break.
    fn end(mut self, mut take: impl FnMut(&str)) {
        if !self.begun.is_empty() {
            self.finish(&mut take);
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let (within, beyond) = bytes.split_at(bytes.len().min(LINE - self.begun.len()));
        self.begun.extend_from_slice(within);
        self.beyond += beyond.len();
    }

    fn finish(&mut self, take: &mut impl FnMut(&str)) {
        let line = self.begun.strip_suffix(b"\r").unwrap_or(&self.begun);
        let line = String::from_utf8_lossy(line);
        let line = printable(&line);
        match self.beyond {
            0 => take(&line),
            beyond => take(&format!("{line}{}", Beyond(beyond))),
        }
        self.begun.clear();
        self.beyond = 0;
    }
}

/// Replacement for the rest of a long line.
struct Beyond(usize);

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "… ({} bytes more)", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut taken = Vec::new();
        for chunk in chunks {
            lines.feed(chunk, |line| taken.push(line.to_owned()));
        }
        lines.end(|line| taken.push(line.to_owned()));
        taken
    }

    #[test]
    fn line_may_arrive_in_pieces() {
        assert_eq!(lines(&[b"one\ntw", b"o\r\n", b"\n", b"thr", b"ee"]), ["one", "two", "", "three"]);
        assert_eq!(lines(&[]), [""; 0]);
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(lines(&[b"caf\xe9\n"]), ["caf\u{fffd}"]);
    }

    #[test]
    fn long_line_is_cut() {
        let long = [b'x'; 3 * LINE];
        let lines = lines(&[&long, &long, b"\nnext\n"]);
        assert!(lines[0].ends_with(&format!("xx… ({} bytes more)", 5 * LINE)), "{}", &lines[0][LINE - 2..]);
        assert!(lines[0].starts_with(&"x".repeat(LINE)));
        assert_eq!(lines[1..], ["next"]);
    }

    #[test]
    fn last_lines_are_kept_complete() {
        let stderr = Stderr::default();
        for number in 0..100_000 {
            stderr.keep(&format!("line {number}"));
            let text = stderr.0.lock().unwrap().len();
            assert!(text <= 2 * KEPT);
        }
        let text = stderr.text();
        assert!(text.len() <= KEPT && text.len() > KEPT - 20, "{}", text.len());
        let first: usize = text.lines().next().unwrap().strip_prefix("line ").unwrap().parse().unwrap();
        let numbers: Vec<String> = (first..100_000).map(|number| format!("line {number}")).collect();
        assert!(text.lines().eq(numbers));
    }

    #[test]
    fn text_of_exactly_the_limit_is_kept() {
        let stderr = Stderr::default();
        let line = "y".repeat(1023);
        for _ in 0..64 {
            stderr.keep(&line);
        }
        assert_eq!(stderr.text().len(), KEPT);
        stderr.keep(&line);
        assert_eq!(stderr.text().len(), KEPT);
        stderr.keep("");
        assert_eq!(stderr.text().len(), KEPT - 1023);
    }
}
