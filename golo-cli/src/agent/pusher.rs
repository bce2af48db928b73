//! Gives a collector what an agent's jobs measured, record after record, until it has committed all of it: over restarts
//! of either, however long that takes. What counts is the number that the collector wants next of a job: the job's id goes
//! with every call, so that what another job gave under the same run and name is not taken for this one's.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use golo::cli::{chain, say};
use reqwest::{Method, RequestBuilder, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    agent::{job::Job, jobs::Agent, kept::Kept},
    http::{
        COLLECTOR_PORT,
        client::{Address, CallError, HttpClient, Names},
        server::Secret,
    },
    support::failure::Failure,
};

/// Most bytes of records that are sent at once.
const BATCH: usize = 1 << 20;
/// How long a whole call may take.
const CALL: Duration = Duration::from_secs(30);
/// The pause after a call that failed: twice as long after each, up to the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// When what was refused is tried again, in case the collector is another by then.
const AGAIN: Duration = Duration::from_secs(30);

/// What is said of its token and of its certificate.
const NAMES: Names = Names { token: "`GOLO_COLLECTOR_TOKEN` or `--collector-token`", ca: "--collector-ca" };

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
    address: Address,
    client: HttpClient,
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

/// What a collector answers: which record it wants next, where it takes any of them.
#[derive(Deserialize)]
struct Next {
    next: Option<u64>,
}

impl Collector {
    /// One that has not been called yet.
    ///
    /// # Errors
    ///
    /// Where its address is none, or the file of a certificate cannot be read.
    pub fn new(options: CollectorOptions) -> Result<Self, Failure> {
        let CollectorOptions { url, token, ca } = options;
        let address = Address::parse(&url, COLLECTOR_PORT).map_err(|error| format!("`--collector`: {error}"))?;
        let client = HttpClient::new(token, ca.as_deref(), NAMES)?;
        Ok(Self { address, client, is_there: AtomicBool::new(true) })
    }

    /// Whether it could be used when that was tried last.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_there.load(Relaxed)
    }

    fn request(&self, method: Method, kept: &Kept, last: &str, query: &str) -> RequestBuilder {
        let path = ["api", "runs", &kept.run, "agents", &kept.agent, last];
        self.client.request(method, &self.address, path, Some(query)).timeout(CALL)
    }

    /// The number of the record that it wants next of a job.
    async fn next(&self, kept: &Kept) -> Result<u64, Unpushed> {
        let query = format!("job={}", kept.id);
        self.wanted(self.request(Method::GET, kept, "next", &query)).await
    }

    /// Gives it records from number `from` on, and gives what it wants next.
    async fn push(&self, kept: &Kept, from: u64, records: bytes::Bytes) -> Result<u64, Unpushed> {
        let request = self.request(Method::POST, kept, "records", &format!("from={from}&job={}", kept.id));
        self.wanted(request.header(CONTENT_TYPE, "application/octet-stream").body(records)).await
    }

    async fn wanted(&self, request: RequestBuilder) -> Result<u64, Unpushed> {
        // A conflict says where to go on, or that it is with another job.
        let is_wanted = |status: StatusCode| status.is_success() || status == StatusCode::CONFLICT;
        let response = match self.client.send_for(request, is_wanted).await {
            // There is no such call where no collector is.
            Err(CallError::Refused(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, reason)) => {
                return Err(Unpushed::Away(format!("there is no collector at {}: {reason}", self.address.url())));
            }
            answered => answered?,
        };
        let status = response.status();
        let body = response.text().await.map_err(|error| self.client.away(&error))?;
        match serde_json::from_str(&body) {
            Ok(Next { next: Some(next) }) => Ok(next),
            Ok(Next { next: None }) if status == StatusCode::CONFLICT => {
                Err(Unpushed::Refused(self.client.refusal(status, &body)))
            }
            _ => Err(Unpushed::Away("it answers as no collector does".to_owned())),
        }
    }
}

impl From<CallError> for Unpushed {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(status, reason)
                if status.is_client_error()
                    && !matches!(
                        status,
                        StatusCode::UNAUTHORIZED
                            | StatusCode::FORBIDDEN
                            | StatusCode::REQUEST_TIMEOUT
                            | StatusCode::TOO_MANY_REQUESTS
                    ) =>
            {
                Self::Refused(reason)
            }
            CallError::Refused(_, reason) | CallError::Away(reason) => Self::Away(reason),
        }
    }
}

/// Whether there is anything of a job that the collector does not have.
#[must_use]
pub fn is_pending(job: &Job) -> bool {
    let kept = job.kept();
    let extent = job.extent();
    kept.for_collector
        && kept.committed_at.is_none()
        && !kept.is_swept
        && (extent.next > kept.committed || extent.has_ended)
}

/// Gives the collector whatever comes, for as long as the agent lives.
pub async fn run(agent: Arc<Agent>, collector: Arc<Collector>) {
    let (mut pause, mut refused) = (PAUSE, HashMap::new());
    loop {
        match pass(&agent, &collector, &mut refused).await {
            Ok(()) => {
                if !collector.is_there.swap(true, Relaxed) {
                    say("golo agent: the collector is there again");
                }
                pause = PAUSE;
                _ = timeout(AGAIN, agent.news.notified()).await;
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

/// Gives what there is of every job, the newest first: that one is watched. `refused` says when which was refused.
async fn pass(agent: &Agent, collector: &Collector, refused: &mut HashMap<String, Instant>) -> Result<(), String> {
    refused.retain(|_, at| at.elapsed() < AGAIN);
    for job in agent.jobs().iter().rev().filter(|job| is_pending(job)) {
        if refused.contains_key(&job.id) {
            continue;
        }
        match give(agent, job, collector).await {
            Ok(()) => _ = note(job, None).await,
            Err(Unpushed::Away(reason)) => return Err(reason),
            Err(Unpushed::Refused(reason)) => {
                refused.insert(job.id.clone(), Instant::now());
                if note(job, Some(reason.clone())).await {
                    say(format_args!("golo agent: the collector does not take job {}: {reason}", job.id));
                }
            }
        }
    }
    Ok(())
}

/// Keeps why a job is refused, and gives whether that is news.
async fn note(job: &Arc<Job>, reason: Option<String>) -> bool {
    let job = Arc::clone(job);
    // It is known where the disk does not take it, and known again after the next try.
    spawn_blocking(move || job.refuse(reason).unwrap_or(true)).await.unwrap_or(true)
}

/// Gives what there is of a job.
async fn give(agent: &Agent, job: &Arc<Job>, collector: &Collector) -> Result<(), Unpushed> {
    let kept = job.kept();
    let mut next = collector.next(&kept).await?;
    loop {
        let unread = |error| Unpushed::Refused(format!("its records cannot be read: {}", chain(&error)));
        let read = agent.results.read(job, next, BATCH).await.map_err(unread)?;
        let extent = job.extent();
        let Some(chunk) = read else {
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
