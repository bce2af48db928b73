//! Relays raw outputs from a load test that runs a plan itself to the outputs of this process.

use std::{collections::VecDeque, sync::Arc};

use golo::{OutputRef, Sink as _, cli::say, engine::recorder::RecorderSink};

/// Relay with a queue of pieces of lines that were received and not passed on yet. The queue stays short: the load test
/// sends further lines only after earlier ones were confirmed.
pub struct OutputRelay {
    to: Arc<RecorderSink>,
    pieces: VecDeque<Vec<u8>>,
    /// Set once an unreadable output was reported.
    has_warned: bool,
}

impl OutputRelay {
    /// Creates a relay to the sinks that receive raw outputs from `to`.
    #[must_use]
    pub fn new(to: Arc<RecorderSink>) -> Self {
        Self { to, pieces: VecDeque::new(), has_warned: false }
    }

    /// Adds a received piece to the queue.
    pub fn add(&mut self, piece: Vec<u8>) {
        self.pieces.push_back(piece);
    }

    /// Returns true if the queue has a piece.
    #[must_use]
    pub fn has_some(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Waits until the sinks have room for another piece.
    pub async fn room(&self) {
        if let Some(room) = self.to.backpressure() {
            room.await;
        }
    }

    /// Passes on pieces while the sinks have room. Returns the number of bytes passed on.
    pub fn pass_on(&mut self) -> u64 {
        let mut bytes = 0;
        while self.to.backpressure().is_none()
            && let Some(piece) = self.pieces.pop_front()
        {
            self.pass(&piece);
            bytes += piece.len() as u64;
        }
        bytes
    }

    /// Passes on all pieces, without waiting for room.
    pub fn pass_on_all(&mut self) {
        for piece in std::mem::take(&mut self.pieces) {
            self.pass(&piece);
        }
    }

    fn pass(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match std::str::from_utf8(line).map(OutputRef::parse) {
                Ok(Ok(output)) => self.to.pass_on(&output),
                _ if !std::mem::replace(&mut self.has_warned, true) => {
                    say("golo: an output of the load test cannot be read and is not passed on");
                }
                _ => {}
            }
        }
    }
}
