//! A collector that is asked for runs.

use std::time::Duration;

use golo::{
    cli::chain,
    reqwest::{Client, Url},
};
use golo_proto::results::{Record, record};
use prost::Message as _;
use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};

/// How long a connection may take, and how long nothing may come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A collector.
pub struct Remote {
    runtime: Runtime,
    client: Client,
    url: Url,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Runs {
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    run: String,
}

/// What a collector refuses with.
#[derive(Deserialize)]
struct Refused {
    error: String,
}

impl Remote {
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let wrong = |reason: String| format!("`--collector {url}`: {reason}; expected a URL, as http://127.0.0.1:8082");
        let parsed = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(wrong("it is no HTTP".to_owned()));
        }
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
        golo::cli::install_provider();
        let client = Client::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE).build();
        let client = client.map_err(|error| chain(&error))?;
        let token = std::env::var("GOLO_TOKEN").ok().filter(|token| !token.is_empty());
        Ok(Self { runtime, client, url: parsed, token })
    }

    pub(super) fn newest(&self, most: u64) -> Result<Vec<String>, String> {
        let mut url = self.at(&["api", "runs"]);
        url.query_pairs_mut().append_pair("limit", &most.to_string());
        let runs: Runs = serde_json::from_slice(&self.get(url)?)
            .map_err(|error| format!("what {} answers is no list of runs: {error}", self.place()))?;
        Ok(runs.runs.into_iter().map(|run| run.run).collect())
    }

    /// The records of each part of a run.
    pub(super) fn records(&self, called: &str) -> Result<Vec<Vec<Record>>, String> {
        let body = self.get(self.at(&["api", "runs", called, "records"]))?;
        let mut parts: Vec<Vec<Record>> = Vec::new();
        let mut rest = &*body;
        while !rest.is_empty() {
            let record = Record::decode_length_delimited(&mut rest)
                .map_err(|error| format!("what {} answers are no records: {error}", self.place()))?;
            // Each part begins with what was asked for.
            match (&record.record, parts.last_mut()) {
                (Some(record::Record::Begun(_)), _) | (_, None) => parts.push(vec![record]),
                (_, Some(part)) => part.push(record),
            }
        }
        Ok(parts)
    }

    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn get(&self, url: Url) -> Result<Vec<u8>, String> {
        let mut request = self.client.get(url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        self.runtime.block_on(async {
            let failed = |error| {
                format!("{} cannot be asked: {}", self.place(), chain(&golo::reqwest::Error::without_url(error)))
            };
            let response = request.send().await.map_err(failed)?;
            let status = response.status();
            let body = response.bytes().await.map_err(failed)?.to_vec();
            if status.is_success() {
                return Ok(body);
            }
            Err(match serde_json::from_slice::<Refused>(&body) {
                Ok(refused) => refused.error,
                Err(_) => format!("{} answers {status}", self.place()),
            })
        })
    }

    /// Without user and password.
    fn place(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}
