//! Client for the stored runs of a collector.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use golo_proto::results::Record;
use prost::Message as _;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};

use super::ArchiveError;
use crate::http::COLLECTOR_PORT;
use crate::http::client::{Address, CallError, HttpClient, Names};
use crate::http::server::Secret;
use crate::results::listed::Listed;
use crate::results::store::Summary;
use crate::support::failure::Failure;

/// Maximum time without data from the collector.
const SILENCE: Duration = Duration::from_secs(30);
/// Maximum size in bytes of an answer: a list of 100,000 runs has about 60 MiB.
const BODY: usize = 64 << 20;
/// Size in bytes of the pages of all parts of a run together. A page ends with the record that reaches its share.
const PAGES: usize = 4 << 20;
/// Names of the token and of the CA flag in error messages.
const NAMES: Names = Names { token: "`GOLO_TOKEN`", ca: "--ca" };

/// Connection to a collector.
pub struct Remote {
    runtime: Runtime,
    client: HttpClient,
    address: Address,
}

#[derive(Deserialize)]
struct Runs {
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    run: String,
    name: String,
    load_test: String,
    plan: String,
    summary: Option<Summary>,
    /// Reason if the summary is missing.
    unreadable: Option<String>,
}

#[derive(Deserialize)]
struct RunOfParts {
    run: String,
    parts: Vec<Part>,
}

/// An agent's part of a run.
#[derive(Deserialize)]
pub(super) struct Part {
    agent: String,
}

impl Remote {
    pub(super) fn new(url: &str, token: Option<Secret>, ca: Option<&Path>) -> Result<Self, Failure> {
        let address = Address::parse(url, COLLECTOR_PORT).map_err(|error| format!("`--collector`: {error}"))?;
        let client = HttpClient::new(token, ca, NAMES)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        Ok(Self { runtime, client, address })
    }

    /// Returns the newest runs, newest first: a line for each, or the reason why it cannot be read.
    pub(super) fn list(&self, most: u64) -> Result<Vec<Result<Listed, Failure>>, Failure> {
        let body = self.get(&["api", "runs"], Some(&format!("limit={most}&summaries=true")))?.unwrap_or_default();
        let Runs { runs } = serde_json::from_slice(&body).map_err(|_| self.unexpected_response())?;
        let listed = |run: Run| {
            let Run { run, name, load_test, plan, summary, unreadable } = run;
            match summary {
                Some(summary) => Ok(Listed { run, name, load_test, plan, summary }),
                None => Err(format!("run `{run}`: {}", unreadable.unwrap_or_default()).into()),
            }
        };
        Ok(runs.into_iter().map(listed).collect())
    }

    /// Returns the ID of a run, and its parts.
    pub(super) fn find(&self, called: &str) -> Result<(String, Vec<Part>), ArchiveError> {
        let body = self.get(&["api", "runs", called], None).map_err(ArchiveError::NotFound)?.unwrap_or_default();
        let RunOfParts { run, parts } =
            serde_json::from_slice(&body).map_err(|_| ArchiveError::NotFound(self.unexpected_response()))?;
        Ok((run, parts))
    }

    /// Returns the records of a run, part by part. They are loaded in pages as they are read.
    pub(super) fn records(&self, called: &str) -> Result<Vec<Pages<'_>>, ArchiveError> {
        let (run, parts) = self.find(called)?;
        // The pages of all parts are in memory at the same time.
        let bytes = PAGES / parts.len().max(1);
        let pages =
            |Part { agent }| Pages { remote: self, run: run.clone(), agent, bytes, next: 0, page: Bytes::new() };
        Ok(parts.into_iter().map(pages).collect())
    }

    /// Returns the body of an answer, or `None` if it has no content.
    fn get(&self, path: &[&str], query: Option<&str>) -> Result<Option<Bytes>, Failure> {
        let request = self.client.request(Method::GET, &self.address, path.iter().copied(), query);
        let body = self.runtime.block_on(self.client.load(request, SILENCE, BODY));
        let body = body.map_err(|error| match error {
            CallError::Refused(StatusCode::METHOD_NOT_ALLOWED, _) => {
                self.error("it was built with an older golo, which does not send records in pages: update it")
            }
            error => self.error(&error.to_string()),
        })?;
        Ok(Some(body).filter(|body| !body.is_empty()))
    }

    fn unexpected_response(&self) -> Failure {
        self.error("its response is not that of a golo collector")
    }

    fn error(&self, reason: &str) -> Failure {
        format!("the collector {}: {reason}", self.address.name()).into()
    }
}

/// The records of a part, in order.
pub(super) struct Pages<'a> {
    remote: &'a Remote,
    run: String,
    agent: String,
    /// Size in bytes after which a page ends.
    bytes: usize,
    /// Number of the next record.
    next: u64,
    /// Encoded records that were loaded and not returned yet.
    page: Bytes,
}

impl Iterator for Pages<'_> {
    type Item = Result<Record, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() {
            let Self { remote, run, agent, bytes, next, .. } = self;
            let path = ["api", "runs", run, "agents", agent, "records"];
            match remote.get(&path, Some(&format!("from={next}&bytes={bytes}"))) {
                Ok(page) => self.page = page?,
                Err(failure) => return Some(Err(failure)),
            }
        }
        self.next += 1;
        Some(Record::decode_length_delimited(&mut self.page).map_err(|_| self.remote.unexpected_response()))
    }
}
