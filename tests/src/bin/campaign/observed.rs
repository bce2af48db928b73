//! What was observed in a round.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::target::Seen;

/// A fault that was done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Struck {
    /// Time at which it began, if its victim was there.
    pub(crate) at: Option<Instant>,
    /// A signal ended the victim.
    pub(crate) killed: bool,
    /// The victim did not end, although it was asked to.
    pub(crate) lives_on: bool,
}

/// The end of `golo submit` or `golo run`.
#[derive(Debug)]
pub(crate) struct ClientEnd {
    /// Exit code, or `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) at: Instant,
    /// It did not end by itself in time.
    pub(crate) hung: bool,
    /// Its summary file, if it wrote one.
    pub(crate) summary: Option<Value>,
}

/// A part of the run.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    /// `HOST:PORT` of the agent, as `golo submit` names it; empty in `golo run`.
    pub(crate) address: String,
    /// The agent's job.
    pub(crate) job: Option<Value>,
    pub(crate) seen: Seen,
}

/// A round that has ended.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) struck: Option<Struck>,
    pub(crate) client: ClientEnd,
    pub(crate) parts: Vec<Part>,
    /// The run in the collector, with its summary.
    pub(crate) collected: Option<Value>,
    /// Parts of the run in the collector.
    pub(crate) collected_parts: Vec<Value>,
    /// Jobs that had not ended in time.
    pub(crate) unended: Vec<String>,
    /// Jobs that did not end although they were stopped.
    pub(crate) wedged: Vec<String>,
    /// Jobs whose records had not arrived in time.
    pub(crate) unpushed: Vec<String>,
    /// Processes that had not ended in time.
    pub(crate) processes: Vec<String>,
    /// Files that were left in the folder for temporary files.
    pub(crate) files: Vec<String>,
    /// Lines of panics in logs.
    pub(crate) panics: Vec<String>,
    /// Folder of the round's logs, and that of the agents' and the collector's.
    pub(crate) logs: (PathBuf, PathBuf),
}

impl Part {
    /// Number of requests that its agent counted.
    pub(crate) fn counted(&self) -> Option<u64> {
        self.job.as_ref()?["requests"].as_u64()
    }
}

impl ClientEnd {
    /// Returns a text of the verdict in the summary: `word` or `text`.
    pub(crate) fn verdict(&self, key: &str) -> &str {
        self.summary.as_ref().and_then(|summary| summary["verdict"][key].as_str()).unwrap_or_default()
    }

    /// Number of requests in the summary.
    pub(crate) fn requests(&self) -> Option<u64> {
        self.summary.as_ref()?["requests"]["total"]["duration"]["count"].as_u64()
    }
}

impl Observed {
    /// Time of the fault, if it had a victim.
    pub(crate) fn struck_at(&self) -> Option<Instant> {
        self.struck.and_then(|struck| struck.at)
    }

    /// Time of the first request.
    pub(crate) fn loaded_at(&self) -> Option<Instant> {
        self.parts.iter().filter_map(|part| part.seen.arrived.first()).min().copied()
    }

    /// Number of requests that the collector counted.
    pub(crate) fn collected_requests(&self) -> Option<u64> {
        self.collected.as_ref()?["summary"]["requests"].as_u64()
    }

    /// Number of requests of all parts that the end of the load cut off, as the collector has it.
    pub(crate) fn interrupted_requests(&self) -> u64 {
        let summary = self.collected.as_ref().map(|run| &run["summary"]["requests_interrupted"]);
        summary.and_then(Value::as_u64).unwrap_or_default()
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = self.loaded_at().or(self.struck_at()).unwrap_or(self.client.at);
        let time = |at: Instant| match at.checked_duration_since(origin) {
            Some(after) => format!("{:.2}s", after.as_secs_f64()),
            None => format!("-{:.2}s", origin.saturating_duration_since(at).as_secs_f64()),
        };
        let ClientEnd { code, at, .. } = &self.client;
        let code = code.map_or("a signal".to_owned(), |code| code.to_string());
        writeln!(f, "  client: ended at {} with {code}, {:?}", time(*at), self.client.verdict("text"))?;
        match self.struck_at() {
            Some(at) => writeln!(f, "  fault: at {}", time(at))?,
            None => writeln!(f, "  fault: none")?,
        }
        for Part { name, job, seen, .. } in &self.parts {
            let last = seen.arrived.last().map_or("never".to_owned(), |at| time(*at));
            let (received, answered) = (seen.arrived.len(), seen.answered.len());
            write!(f, "  {name}: the target received {received} and answered {answered} requests, the last at {last}")?;
            match job {
                Some(job) => writeln!(
                    f,
                    "; the agent counted {}, {} {}, {} records, {} of them pushed",
                    job["requests"], job["state"], job["reason"], job["records"], job["committed"]
                )?,
                None => writeln!(f)?,
            }
        }
        match &self.collected {
            Some(run) => writeln!(f, "  collector: {} {}", run["summary"]["verdict"], run["summary"]["requests"])?,
            None => writeln!(f, "  collector: no run")?,
        }
        write!(f, "  logs: {}, {}", self.logs.0.display(), self.logs.1.display())
    }
}

/// Time that may pass between two events of different processes on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_secs(3);
