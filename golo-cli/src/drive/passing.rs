//! Raw outputs of a load test that runs a plan itself, on their way to whoever wants them.

use std::{collections::VecDeque, sync::Arc};

use golo::{OutputRef, Sink as _, cli::say, engine::recorder::RecorderSink};

/// Pieces of lines that have come and not been passed on. There are few: what is not said to be taken keeps the load test
/// from sending more.
pub struct Passing {
    to: Arc<RecorderSink>,
    pieces: VecDeque<Vec<u8>>,
    /// Whether one that could not be read has been said.
    has_said: bool,
}

impl Passing {
    /// On their way to whoever gets what `to` passes on.
    #[must_use]
    pub fn new(to: Arc<RecorderSink>) -> Self {
        Self { to, pieces: VecDeque::new(), has_said: false }
    }

    /// Takes a piece that has come.
    pub fn add(&mut self, piece: Vec<u8>) {
        self.pieces.push_back(piece);
    }

    /// Whether there is one.
    #[must_use]
    pub fn has_some(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Waits until there is room for one more.
    pub async fn room(&self) {
        if let Some(room) = self.to.backpressure() {
            room.await;
        }
    }

    /// Passes on what there is room for, and gives how many bytes that was.
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

    /// Passes on all there is: whether it is written in time is no matter of this any more.
    pub fn pass_on_all(&mut self) {
        for piece in std::mem::take(&mut self.pieces) {
            self.pass(&piece);
        }
    }

    fn pass(&mut self, lines: &[u8]) {
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match std::str::from_utf8(line).map(OutputRef::parse) {
                Ok(Ok(output)) => self.to.pass_on(&output),
                _ if !std::mem::replace(&mut self.has_said, true) => {
                    say("golo: an output of the load test cannot be read, and is not passed on");
                }
                _ => {}
            }
        }
    }
}
