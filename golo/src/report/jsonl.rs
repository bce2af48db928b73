//! `jsonl=`: writes every request as a line of JSON to a file or to stdout.

use std::{path::Path, pin::Pin, sync::Arc, time::Duration};

use super::files::refuse_streams;
use super::lines::{Lines, Stream};
use super::outputs::{OutputKind, cannot_be_written};
use super::{MetricsOutput, RunOutcome, Unwritten, Written};
use crate::{Error, Sink};

pub(super) const KIND: OutputKind = OutputKind {
    name: "jsonl",
    example: "jsonl=FILE",
    files: |argument| if argument == "-" { Vec::new() } else { vec![argument.into()] },
    check: |_| Ok(()),
    open,
};

/// Returns the destination of the lines for this argument.
pub(super) fn stream(argument: &str) -> Stream {
    if argument == "-" { Stream::Stdout } else { Stream::File(argument.into()) }
}

fn open(argument: &str) -> Result<Box<dyn MetricsOutput>, Error> {
    let stream = stream(argument);
    if let Stream::File(path) = &stream {
        refuse_streams(Path::new(path)).map_err(|error| cannot_be_written(path, error))?;
    }
    Ok(Box::new(LineOutput { lines: Lines::start(stream.clone())?, stream }))
}

struct LineOutput {
    stream: Stream,
    lines: Lines,
}

impl MetricsOutput for LineOutput {
    fn sink(&self) -> Option<Arc<dyn Sink>> {
        Some(Arc::new(self.lines.clone()))
    }

    fn flush(&mut self, time: Duration) -> Pin<Box<dyn Future<Output = Option<Unwritten>> + '_>> {
        Box::pin(async move {
            let _ = tokio::time::timeout(time, self.lines.flush()).await;
            let loss = self.lines.loss()?;
            Some(Unwritten { lines: loss.lines, place: self.stream.to_string(), reason: loss.reason })
        })
    }

    fn finish(&mut self, _: &RunOutcome) -> Vec<Written> {
        match &self.stream {
            Stream::File(path) => {
                vec![Written { kind: KIND.name, path: path.display().to_string(), error: None, remark: None }]
            }
            Stream::Stdout | Stream::Stderr => Vec::new(),
        }
    }
}
