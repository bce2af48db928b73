//! Gives a collector what an agent's jobs measured, record after record, until it has committed all of it: over restarts
//! of either, however long that takes. What counts is the number that the collector wants next.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use golo::cli::{chain, say};
use reqwest::{Certificate, Client, ClientBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    agent::{job::Job, jobs::Agent, kept::Kept},
    http_server::Secret,
};

/// Most bytes of records that are sent at once.
const BATCH: u64 = 1 << 20;
/// How long connecting may take, and a whole call.
const CONNECT: Duration = Duration::from_secs(5);
const CALL: Duration = Duration::from_secs(30);
/// The pause after a call that failed: twice as long after each, up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// Where records go.
#[derive(Debug)]
pub struct CollectorOptions {
    /// The collector's address.
    pub url: String,
    /// Its token.
    pub token: Option<Secret>,
    /// Who vouches for its certificate, in PEM.
    pub ca: Option<PathBuf>,
}

/// A collector.
#[derive(Debug)]
pub struct Collector {
    url: Url,
    token: Option<Secret>,
    client: Client,
    is_there: AtomicBool,
}

/// Why records are not with the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Unpushed {
    /// It cannot be used at all at the moment.
    Away(String),
    /// It does not take these.
    Refused(String),
}

#[derive(Deserialize)]
struct Next {
    next: u64,
}

impl Collector {
    /// One that has not been called yet.
    ///
    /// # Errors
    ///
    /// Where its address is none, or the file of a certificate cannot be read.
    pub fn new(options: CollectorOptions) -> Result<Self, String> {
        let CollectorOptions { url: text, token, ca } = options;
        let url = text.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| format!("`--collector` is `{text}`: expected a URL, as http://127.0.0.1:8082"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("`--collector` has a user or a password: a token is given by `GOLO_COLLECTOR_TOKEN`".to_owned());
        }
        let certificate = match &ca {
            None => None,
            Some(path) => {
                let wrong = |error: &dyn std::fmt::Display| {
                    format!("`--collector-ca` is `{}`: {error}; expected a file in PEM", path.display())
                };
                let text = std::fs::read(path).map_err(|error| wrong(&error))?;
                Some(Certificate::from_pem(&text).map_err(|error| wrong(&error))?)
            }
        };
        // Fails where one is in place, which will do.
        _ = rustls::crypto::ring::default_provider().install_default();
        let client = client(certificate).map_err(|error| format!("no HTTP client: {}", chain(&error)))?;
        Ok(Self { url, token, client, is_there: AtomicBool::new(true) })
    }

    /// Whether it could be used when that was tried last.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_there.load(Relaxed)
    }

    fn url(&self, kept: &Kept, last: &str) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "runs", &kept.run, "agents", &kept.agent, last]);
        }
        url
    }

    /// The number of the record that it wants next of a job.
    async fn next(&self, kept: &Kept) -> Result<u64, Unpushed> {
        let call = self.client.get(self.url(kept, "next"));
        Ok(read(self.call(call).await?).await?.next)
    }

    /// Gives it records from number `from` on, and gives what it wants next.
    async fn push(&self, kept: &Kept, from: u64, records: bytes::Bytes) -> Result<u64, Unpushed> {
        let mut url = self.url(kept, "records");
        url.query_pairs_mut().append_pair("from", &from.to_string());
        let kind = (reqwest::header::CONTENT_TYPE, "application/octet-stream");
        let response = self.call(self.client.post(url).header(kind.0, kind.1).body(records)).await?;
        Ok(read(response).await?.next)
    }

    async fn call(&self, call: reqwest::RequestBuilder) -> Result<Response, Unpushed> {
        let call = match &self.token {
            Some(token) => call.bearer_auth(token.reveal()),
            None => call,
        };
        let response = call.send().await.map_err(|error| Unpushed::Away(chain(&error.without_url())))?;
        let status = response.status();
        // A conflict says where to go on.
        if status.is_success() || status == StatusCode::CONFLICT {
            return Ok(response);
        }
        let reason = response.text().await.unwrap_or_default();
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(300).collect();
        let text = format!("it answered {status}: {reason}");
        let is_ours = status.is_client_error()
            && !matches!(
                status,
                StatusCode::UNAUTHORIZED
                    | StatusCode::FORBIDDEN
                    | StatusCode::REQUEST_TIMEOUT
                    | StatusCode::TOO_MANY_REQUESTS
            );
        Err(if is_ours { Unpushed::Refused(text) } else { Unpushed::Away(text) })
    }
}

fn client(certificate: Option<Certificate>) -> Result<Client, reqwest::Error> {
    let builder =
        || ClientBuilder::new().connect_timeout(CONNECT).timeout(CALL).redirect(reqwest::redirect::Policy::none());
    match certificate {
        Some(certificate) => builder().tls_certs_only([certificate]).build(),
        // A machine without any root can use plain HTTP still.
        None => builder().build().or_else(|_| builder().tls_certs_only([]).build()),
    }
}

async fn read(response: Response) -> Result<Next, Unpushed> {
    let body = response.bytes().await.map_err(|error| Unpushed::Away(chain(&error.without_url())))?;
    serde_json::from_slice(&body).map_err(|_| Unpushed::Away("it answers as no collector does".to_owned()))
}

/// Whether there is anything of a job that the collector does not have.
#[must_use]
pub fn is_pending(job: &Job) -> bool {
    let kept = job.kept();
    let extent = *job.spool.extent().borrow();
    kept.for_collector && kept.committed_at.is_none() && (extent.next > kept.committed || extent.has_ended)
}

/// Gives the collector whatever comes, for as long as the agent lives.
pub async fn run(agent: Arc<Agent>, collector: Arc<Collector>) {
    let mut pause = PAUSE;
    loop {
        match pass(&agent, &collector).await {
            Ok(()) => {
                if !collector.is_there.swap(true, Relaxed) {
                    say("golo agent: the collector is there again");
                }
                pause = PAUSE;
                // What was refused is tried again, in case the collector is another by then.
                _ = timeout(LONGEST, agent.news.notified()).await;
            }
            Err(reason) => {
                if collector.is_there.swap(false, Relaxed) {
                    say(format_args!(
                        "golo agent: the collector cannot be used, and is tried again until it can: {reason}"
                    ));
                }
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST);
            }
        }
    }
}

/// Gives what there is of every job, the newest first: that one is watched.
async fn pass(agent: &Agent, collector: &Collector) -> Result<(), String> {
    for job in agent.jobs().iter().rev().filter(|job| is_pending(job)) {
        match give(job, collector).await {
            Ok(()) => {}
            Err(Unpushed::Away(reason)) => return Err(reason),
            Err(Unpushed::Refused(reason)) => {
                say(format_args!("golo agent: the collector does not take job {}: {reason}", job.id));
            }
        }
    }
    Ok(())
}

/// Gives what there is of a job.
async fn give(job: &Arc<Job>, collector: &Collector) -> Result<(), Unpushed> {
    let kept = job.kept();
    let mut next = collector.next(&kept).await?;
    loop {
        let reading = Arc::clone(job);
        let read = spawn_blocking(move || reading.spool.recover().and_then(|_| reading.spool.read(next, BATCH))).await;
        let unread = |error: String| Unpushed::Refused(format!("its records cannot be read: {error}"));
        let chunk = read.map_err(|error| unread(error.to_string()))?.map_err(|error| unread(error.to_string()))?;
        let extent = *job.spool.extent().borrow();
        let Some(chunk) = chunk else {
            if next > extent.next {
                return Err(Unpushed::Refused(format!("it has {next} records, and there are {} here", extent.next)));
            }
            let is_done = extent.has_ended && next == extent.next;
            if is_done {
                let committing = Arc::clone(job);
                // Where the disk does not take that, the collector is asked again after a restart.
                _ = spawn_blocking(move || committing.commit(next)).await;
            } else {
                job.change(|kept| kept.committed = next);
            }
            return Ok(());
        };
        let (asked, end, is_last) = (next, chunk.next, chunk.has_ended);
        next = collector.push(&kept, asked, chunk.bytes).await?;
        if next <= asked {
            return Err(Unpushed::Refused(format!("it wants record {next} after it was given those from {asked} on")));
        }
        // That it has all of them is said once that is on disk.
        if !is_last || next < end {
            job.change(|kept| kept.committed = next);
        }
    }
}
