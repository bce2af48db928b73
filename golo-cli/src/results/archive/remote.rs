//! Client for the stored runs of a collector.

use std::{path::Path, time::Duration};

use golo_proto::results::{Record, record};
use prost::Message as _;
use reqwest::Method;
use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};

use super::ArchiveError;
use crate::http::COLLECTOR_PORT;
use crate::http::client::{Address, HttpClient, Names};
use crate::http::server::Secret;
use crate::results::listed::Listed;
use crate::results::store::Summary;
use crate::support::failure::Failure;

/// Maximum time without data from the collector.
const SILENCE: Duration = Duration::from_secs(30);
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

impl Remote {
    pub(super) fn new(url: &str, token: Option<Secret>, ca: Option<&Path>) -> Result<Self, Failure> {
        let address = Address::parse(url, COLLECTOR_PORT).map_err(|error| format!("`--collector`: {error}"))?;
        let client = HttpClient::new(token, ca, NAMES)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        Ok(Self { runtime, client, address })
    }

    /// Returns the newest runs, newest first: a line for each, or the reason why it cannot be read.
    pub(super) fn list(&self, most: u64) -> Result<Vec<Result<Listed, Failure>>, Failure> {
        let body = self.get(&["api", "runs"], Some(&format!("limit={most}&summaries=true")))?;
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

    /// Returns the records of a run, one list per part.
    pub(super) fn records(&self, called: &str) -> Result<Vec<Vec<Record>>, ArchiveError> {
        let body = self.get(&["api", "runs", called, "records"], None).map_err(|failure| {
            // A collector that has the run and cannot read its records breaks off its response.
            match self.get(&["api", "runs", called], None) {
                Ok(_) => ArchiveError::Unreadable(failure),
                Err(_) => ArchiveError::NotFound(failure),
            }
        })?;
        let mut parts: Vec<Vec<Record>> = Vec::new();
        let mut rest = &*body;
        while !rest.is_empty() {
            let record = Record::decode_length_delimited(&mut rest)
                .map_err(|_| ArchiveError::NotFound(self.unexpected_response()))?;
            // A `Begun` record is the first of each part.
            match (&record.record, parts.last_mut()) {
                (Some(record::Record::Begun(_)), _) | (_, None) => parts.push(vec![record]),
                (_, Some(part)) => part.push(record),
            }
        }
        Ok(parts)
    }

    fn get(&self, path: &[&str], query: Option<&str>) -> Result<Vec<u8>, Failure> {
        let request = self.client.request(Method::GET, &self.address, path.iter().copied(), query);
        let loaded = self.runtime.block_on(self.client.load(request, SILENCE));
        loaded.map_err(|error| self.error(&error.to_string()))
    }

    fn unexpected_response(&self) -> Failure {
        self.error("its response is not that of a golo collector")
    }

    fn error(&self, reason: &str) -> Failure {
        format!("the collector {}: {reason}", self.address.name()).into()
    }
}
