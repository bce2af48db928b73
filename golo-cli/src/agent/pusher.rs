//! Sends the records of all jobs to a collector, in order, until it has committed all of them. This continues across
//! restarts of both sides. The collector's answer, the number of the next record that it expects, determines what is
//! sent. Each call contains the job's ID, so that the records of another job with the same run and part name are not
//! mistaken for this one's.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use golo::cli::say;
use reqwest::{Method, RequestBuilder, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use tokio::{task::spawn_blocking, time::timeout};

use crate::agent::job::Job;
use crate::agent::jobs::Agent;
use crate::agent::kept::Kept;
use crate::agent::sending::give;
use crate::http::COLLECTOR_PORT;
use crate::http::client::{ANSWER, Address, CallError, HttpClient, Names};
use crate::http::server::Secret;
use crate::support::failure::Failure;

/// Timeout of a call.
const CALL: Duration = Duration::from_secs(30);
/// Pause after a failed call. It doubles with each further failure.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum pause after a failed call.
const LONGEST: Duration = Duration::from_secs(30);
/// Pause before refused records are sent again: the collector may have been replaced.
const AGAIN: Duration = Duration::from_secs(30);

/// Names of the collector's options in error messages.
const NAMES: Names = Names { token: "`GOLO_COLLECTOR_TOKEN` or `--collector-token`", ca: "--collector-ca" };

/// Options of the connection to a collector.
#[derive(Debug)]
pub struct CollectorOptions {
    /// URL of the collector.
    pub url: String,
    /// Bearer token of the collector.
    pub token: Option<Secret>,
    /// PEM file of additional root certificates.
    pub ca: Option<PathBuf>,
}

/// Client of a collector.
#[derive(Debug)]
pub struct Collector {
    address: Address,
    client: HttpClient,
    is_there: AtomicBool,
}

/// Reason why records were not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unpushed {
    /// The collector cannot be used at the moment.
    Away(String),
    /// The collector refuses the job, or its records cannot be read.
    Refused(String),
    /// The collector refuses the records of this call.
    Unfit(String),
}

/// Response of a collector: the number of the record that it expects next, or none if it refuses the job.
#[derive(Deserialize)]
struct Next {
    next: Option<u64>,
}

impl Collector {
    /// Creates a client. Does not connect yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is invalid or the certificate file cannot be read.
    pub fn new(options: CollectorOptions) -> Result<Self, Failure> {
        let CollectorOptions { url, token, ca } = options;
        let address = Address::parse(&url, COLLECTOR_PORT).map_err(|error| format!("`--collector`: {error}"))?;
        let client = HttpClient::new(token, ca.as_deref(), NAMES)?;
        Ok(Self { address, client, is_there: AtomicBool::new(true) })
    }

    /// Returns true if the collector could be used at the last attempt.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_there.load(Relaxed)
    }

    fn request(&self, method: Method, kept: &Kept, last: &str, query: &str) -> RequestBuilder {
        let path = ["api", "runs", &kept.run, "agents", &kept.agent, last];
        self.client.request(method, &self.address, path, Some(query)).timeout(CALL)
    }

    /// Returns the number of the record that the collector expects next of a job.
    pub(super) async fn next(&self, kept: &Kept) -> Result<u64, Unpushed> {
        let query = format!("job={}", kept.id);
        self.wanted(self.request(Method::GET, kept, "next", &query)).await
    }

    /// Sends records that begin with number `from`. Returns the number that the collector expects next.
    pub(super) async fn push(&self, kept: &Kept, from: u64, records: bytes::Bytes) -> Result<u64, Unpushed> {
        let request = self.request(Method::POST, kept, "records", &format!("from={from}&job={}", kept.id));
        self.wanted(request.header(CONTENT_TYPE, "application/octet-stream").body(records)).await
    }

    async fn wanted(&self, request: RequestBuilder) -> Result<u64, Unpushed> {
        // The response to a conflict has the number of the next record, or the reason of a refusal.
        let is_wanted = |status: StatusCode| status.is_success() || status == StatusCode::CONFLICT;
        let response = match self.client.send_for(request, is_wanted).await {
            // Another kind of server answers like this.
            Err(CallError::Refused(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, reason)) => {
                return Err(Unpushed::Away(format!("there is no collector at {}: {reason}", self.address.url())));
            }
            answered => answered?,
        };
        let status = response.status();
        let body = self.client.body(response, ANSWER).await?;
        match serde_json::from_slice(&body) {
            Ok(Next { next: Some(next) }) => Ok(next),
            Ok(Next { next: None }) if status == StatusCode::CONFLICT => {
                Err(Unpushed::Refused(self.client.refusal(status, &body)))
            }
            _ => Err(Unpushed::Away("the server's response is not that of a collector".to_owned())),
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
                match status {
                    StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Self::Unfit(reason),
                    _ => Self::Refused(reason),
                }
            }
            CallError::Refused(_, reason) | CallError::Away(reason) | CallError::Local(reason) => Self::Away(reason),
        }
    }
}

/// Returns true if the collector does not have everything of a job.
#[must_use]
pub fn is_pending(job: &Job) -> bool {
    let kept = job.kept();
    let extent = job.extent();
    kept.for_collector
        && kept.committed_at.is_none()
        && !kept.is_swept
        && (extent.next > kept.committed || extent.has_ended)
}

/// Sends records to the collector until the agent exits.
pub async fn run(agent: Arc<Agent>, collector: Arc<Collector>) {
    let (mut pause, mut refused) = (PAUSE, HashMap::new());
    loop {
        match pass(&agent, &collector, &mut refused).await {
            Ok(()) => {
                if !collector.is_there.swap(true, Relaxed) {
                    say("golo agent: the collector is reachable again");
                }
                pause = PAUSE;
                _ = timeout(AGAIN, agent.news.notified()).await;
            }
            Err(reason) => {
                if collector.is_there.swap(false, Relaxed) {
                    say(format_args!("golo agent: cannot send records to the collector, retrying: {reason}"));
                }
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(LONGEST);
            }
        }
    }
}

/// Sends the pending records of all jobs, the newest job first because users watch it. `refused` contains the time of
/// each job's refusal.
async fn pass(agent: &Agent, collector: &Collector, refused: &mut HashMap<String, Instant>) -> Result<(), Failure> {
    refused.retain(|_, at| at.elapsed() < AGAIN);
    for job in agent.jobs().iter().rev().filter(|job| is_pending(job)) {
        if refused.contains_key(&job.id) {
            continue;
        }
        match give(agent, job, collector).await {
            Ok(()) => _ = note(job, None).await,
            Err(Unpushed::Away(reason)) => return Err(reason.into()),
            Err(Unpushed::Refused(reason) | Unpushed::Unfit(reason)) => {
                refused.insert(job.id.clone(), Instant::now());
                if note(job, Some(reason.clone())).await {
                    say(format_args!("golo agent: the collector refuses job {}: {reason}", job.id));
                }
            }
        }
    }
    Ok(())
}

/// Records why the collector refuses a job, if it does. Returns true if that is a change.
async fn note(job: &Arc<Job>, reason: Option<String>) -> bool {
    let job = Arc::clone(job);
    // A failed write counts as a change. In memory the reason is set, and after a restart the next attempt sets it
    // again.
    spawn_blocking(move || job.refuse(reason).unwrap_or(true)).await.unwrap_or(true)
}
