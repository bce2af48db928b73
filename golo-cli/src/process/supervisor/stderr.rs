//! The load test's stderr: read at its own speed, kept as its last lines, and never more of it than that.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{io::AsyncReadExt as _, process::ChildStderr};

/// How much is kept, in bytes.
const KEPT: usize = 64 << 10;
/// The longest line, in bytes: what is beyond is counted.
const LINE: usize = 8 << 10;
/// Read at once, in bytes; what a pipe holds.
const CHUNK: usize = 64 << 10;

/// Where each line goes as it comes, besides being kept.
pub(super) type Sink = Box<dyn FnMut(&str) + Send>;

/// The last lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Stderr(Arc<Mutex<String>>);

impl Stderr {
    /// The last whole lines, at most 64 KiB of them.
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

    /// Forgets what is too much only once that is as much again: moving the rest for each line would take its time.
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

/// How much of what is kept is too much: whole lines.
fn outside(kept: &str) -> usize {
    let least = kept.len().saturating_sub(KEPT);
    if least == 0 {
        return 0;
    }
    // From the byte before: the line that begins exactly here is not too much.
    let end = kept.as_bytes()[least - 1..].iter().position(|&byte| byte == b'\n');
    end.map_or(kept.len(), |at| least + at)
}

/// Makes lines of bytes as they come.
#[derive(Debug, Default)]
struct Lines {
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// How much more of it has come.
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

    /// What has no end is a line too, when nothing comes any more.
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
        match self.beyond {
            0 => take(&line),
            beyond => take(&format!("{line}{}", Beyond(beyond))),
        }
        self.begun.clear();
        self.beyond = 0;
    }
}

/// What stands in place of the rest of a long line.
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
    fn a_line_may_come_in_pieces() {
        assert_eq!(lines(&[b"one\ntw", b"o\r\n", b"\n", b"thr", b"ee"]), ["one", "two", "", "three"]);
        assert_eq!(lines(&[]), [""; 0]);
    }

    #[test]
    fn a_line_that_is_no_text_is_one_all_the_same() {
        assert_eq!(lines(&[b"caf\xe9\n"]), ["caf\u{fffd}"]);
    }

    #[test]
    fn a_long_line_is_cut() {
        let long = [b'x'; 3 * LINE];
        let lines = lines(&[&long, &long, b"\nnext\n"]);
        assert!(lines[0].ends_with(&format!("xx… ({} bytes more)", 5 * LINE)), "{}", &lines[0][LINE - 2..]);
        assert!(lines[0].starts_with(&"x".repeat(LINE)));
        assert_eq!(lines[1..], ["next"]);
    }

    #[test]
    fn the_last_lines_are_kept_whole() {
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
    fn exactly_as_much_as_is_kept_is_kept() {
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
