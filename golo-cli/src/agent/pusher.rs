//! Sends the records of all jobs to a collector, in order, until it has committed all of them. This continues across
//! restarts of both sides. The collector's answer, the number of the next record that it expects, determines what is
//! sent. Each call contains the job's ID, so that the records of another job with the same run and part name are not
//! mistaken for this one's.
//!
//! Over NATS, calls go into a stream, and a collector may take them later. Until it has committed them, the job stays pending.
//! If the stream does not have them any more and the collector still expects them, they are sent again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use golo::cli::say;
use reqwest::{Method, RequestBuilder, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::{task::spawn_blocking, time::timeout};

use crate::agent::job::Job;
use crate::agent::jobs::Agent;
use crate::agent::kept::Kept;
use crate::agent::sending::give;
use crate::http::COLLECTOR_PORT;
use crate::http::client::{ANSWER, Address, CallError, HttpClient, Names, refusal};
use crate::http::server::Secret;
use crate::nats::calls::{Answer, Call};
use crate::nats::results::Results;
use crate::support::failure::Failure;

/// Timeout of a call over HTTP.
const CALL: Duration = Duration::from_secs(30);
/// Longest time for a collector to answer a question over NATS, and to commit records that were stored in the stream.
const ASK: Duration = Duration::from_secs(5);
const ANSWERED: Duration = Duration::from_secs(2);
/// Pause before the collectors are asked again for what is in the stream.
const SOON: Duration = Duration::from_secs(3);
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
    way: Way,
    is_there: AtomicBool,
}

/// The way to a collector.
#[derive(Debug)]
enum Way {
    /// HTTP.
    Http(HttpClient, Address),
    /// A stream of a NATS server, from which any collector takes what agents store.
    Nats(Box<Results>, Mutex<HashMap<String, Stored>>),
}

/// Records of a job that were stored in the stream.
#[derive(Debug, Clone, Copy)]
struct Stored {
    /// Number of the record after them.
    next: u64,
    /// Number of the record that a collector expects next, if one has answered.
    expected: Option<u64>,
    /// Time at which the stream was created: another one does not have them.
    stream: Option<OffsetDateTime>,
}

/// State of a job at the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Number of the record to send next.
    pub(super) next: u64,
    /// Number of records that the collector has committed, if it has answered.
    pub(super) committed: Option<u64>,
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
        Ok(Self { way: Way::Http(client, address), is_there: AtomicBool::new(true) })
    }

    /// Creates a client of the collectors at a NATS server.
    #[must_use]
    pub fn at_nats(results: Results) -> Self {
        Self { way: Way::Nats(Box::new(results), Mutex::default()), is_there: AtomicBool::new(true) }
    }

    /// Returns true if the collector could be used at the last attempt.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_there.load(Relaxed)
    }

    /// Returns true if all records of a job are in a stream, from which collectors can take them later.
    #[must_use]
    pub fn has_stored(&self, job: &Job) -> bool {
        let Way::Nats(_, stored) = &self.way else { return false };
        let extent = job.extent();
        extent.has_ended && lock(stored).get(&job.id).is_some_and(|stored| stored.next == extent.next)
    }

    /// Returns true if the collector may go back to a record that was sent: those in a stream may get lost.
    pub(super) fn may_go_back(&self) -> bool {
        matches!(self.way, Way::Nats(..))
    }

    /// Returns the number of the record of a job to send next.
    pub(super) async fn next(&self, kept: &Kept) -> Result<Place, Unpushed> {
        match &self.way {
            Way::Http(client, address) => {
                let request =
                    client.request(Method::GET, address, path(kept, "next"), Some(&format!("job={}", kept.id)));
                wanted(over_http(client, address, request.timeout(CALL)).await?).map(Place::committed)
            }
            Way::Nats(results, stored) => resume(results, stored, kept).await,
        }
    }

    /// Sends records that begin with number `from`. `after` is the number of the record after them. Returns the number of the
    /// record to send next.
    pub(super) async fn push(&self, kept: &Kept, from: u64, after: u64, records: Bytes) -> Result<Place, Unpushed> {
        let (path, query) = (path(kept, "records"), format!("from={from}&job={}", kept.id));
        match &self.way {
            Way::Http(client, address) => {
                let request = client.request(Method::POST, address, path, Some(&query)).timeout(CALL);
                let request = request.header(CONTENT_TYPE, "application/octet-stream").body(records);
                wanted(over_http(client, address, request).await?).map(Place::committed)
            }
            Way::Nats(results, stored) => {
                // A collector that has not answered the call before is not waited for.
                let is_awaited = lock(stored).get(&kept.id).is_some_and(|stored| stored.expected == Some(from));
                let wait = if is_awaited { ANSWERED } else { Duration::ZERO };
                let answer = results.store(&kept.id, call(Method::POST, &path, &query, records, wait)).await?;
                let committed = answer.map(checked).transpose()?.map(wanted).transpose()?;
                let (mut stored, stream) = (lock(stored), results.stream());
                let before = stored.entry(kept.id.clone()).or_insert(Stored { next: from, expected: None, stream });
                match committed {
                    Some(next) => *before = Stored { next, expected: Some(next), stream },
                    None if is_awaited => *before = Stored { next: after, stream, ..*before },
                    None => before.next = after,
                }
                Ok(Place { next: before.next, committed })
            }
        }
    }
}

impl Place {
    /// Creates the place after records that the collector has committed.
    fn committed(next: u64) -> Self {
        Self { next, committed: Some(next) }
    }
}

/// Returns where to go on over NATS. Records that were stored in the stream are sent again if a collector expects them and
/// the stream does not have them any more.
async fn resume(results: &Results, stored: &Mutex<HashMap<String, Stored>>, kept: &Kept) -> Result<Place, Unpushed> {
    let before = lock(stored).get(&kept.id).copied();
    let Some(mut expected) = expected(results, kept).await? else {
        // The stream keeps what follows until there is a collector.
        lock(stored).entry(kept.id.clone()).and_modify(|stored| stored.expected = None);
        let next = before.map_or(0, |stored| stored.next).max(kept.committed);
        return Ok(Place { next, committed: None });
    };
    let mut next = expected;
    let mut stream = results.stream();
    if let Some(before) = before.filter(|stored| stored.next > expected) {
        if results.holds(&kept.id, before.stream).await? {
            (next, stream) = (before.next, before.stream);
        } else {
            // A collector may have carried out the last of them since the question.
            expected = self::expected(results, kept).await?.unwrap_or(expected);
            (next, stream) = (expected, results.stream());
        }
    }
    lock(stored).insert(kept.id.clone(), Stored { next, expected: Some(expected), stream });
    Ok(Place { next, committed: Some(expected) })
}

/// Asks any collector at the NATS server for the number of the record that it expects next. Returns `None` if none answers.
async fn expected(results: &Results, kept: &Kept) -> Result<Option<u64>, Unpushed> {
    let question = call(Method::GET, &path(kept, "next"), &format!("job={}", kept.id), Bytes::new(), ASK);
    match results.ask(question).await {
        Ok(answer) => wanted(checked(answer)?).map(Some),
        Err(CallError::Away(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn lock(stored: &Mutex<HashMap<String, Stored>>) -> MutexGuard<'_, HashMap<String, Stored>> {
    stored.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the path of a call about a job.
fn path<'k>(kept: &'k Kept, last: &'static str) -> [&'k str; 6] {
    ["api", "runs", &kept.run, "agents", &kept.agent, last]
}

/// Returns a call over NATS.
fn call(method: Method, path: &[&str], query: &str, body: Bytes, timeout: Duration) -> Call {
    Call { method, path: format!("/{}?{query}", path.join("/")), body, timeout, most: ANSWER }
}

/// Makes a call over HTTP.
async fn over_http(client: &HttpClient, address: &Address, request: RequestBuilder) -> Result<Answer, Unpushed> {
    let response = match client.send_for(request, is_wanted).await {
        // Another kind of server answers like this.
        Err(CallError::Refused(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, reason)) => {
            return Err(Unpushed::Away(format!("there is no collector at {}: {reason}", address.url())));
        }
        answered => answered?,
    };
    let status = response.status();
    Ok(Answer { status, kind: None, body: client.body(response, ANSWER).await? })
}

/// Returns the response of a call over NATS, unless the collector refuses the call.
fn checked(answer: Answer) -> Result<Answer, Unpushed> {
    match is_wanted(answer.status) {
        true => Ok(answer),
        false => Err(CallError::Refused(answer.status, refusal(answer.status, &answer.body)).into()),
    }
}

/// Returns true for the status of a success, and for that of a conflict: its response has the number of the next record, or
/// the reason of a refusal.
fn is_wanted(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::CONFLICT
}

/// Returns the number of the record that a collector expects next.
fn wanted(answer: Answer) -> Result<u64, Unpushed> {
    match serde_json::from_slice(&answer.body) {
        Ok(Next { next: Some(next) }) => Ok(next),
        Ok(Next { next: None }) if answer.status == StatusCode::CONFLICT => {
            Err(Unpushed::Refused(refusal(answer.status, &answer.body)))
        }
        _ => Err(Unpushed::Away("the server's response is not that of a collector".to_owned())),
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
                let is_stored = agent.jobs().iter().any(|job| is_pending(job) && collector.may_go_back());
                _ = timeout(if is_stored { SOON } else { AGAIN }, agent.news.notified()).await;
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
