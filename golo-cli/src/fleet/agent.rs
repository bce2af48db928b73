//! The client of an agent's interface, over HTTP or NATS.

use std::{path::Path, time::Duration};

use bytes::{Buf as _, Bytes};
use golo::engine::plan::Target;
use golo::pb::results::Record;
use prost::Message as _;
use reqwest::{Body, Method, StatusCode, multipart};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::carrier::{Asked, Carrier};
use super::clock::{Clock, Round};
use super::upload::Digest;
use crate::agent::kept::State;
use crate::agent::uploads::Content;
use crate::drive::run_end::RunEnd;
use crate::http::client::{ANSWER, Address, CallError, HttpClient};
use crate::nats::calls::Answer;

/// Timeout of an upload, which includes the time to write the file to disk.
const UPLOAD: Duration = Duration::from_secs(3600);
/// Most bytes of an answer with records. An agent ends it with the record that reaches 4 MiB, and a record has at most 64
/// MiB.
const RECORDS: usize = 72 << 20;
/// Number of bytes of a file that are sent at once.
const PIECE: usize = 256 << 10;

/// Client of one agent.
#[derive(Debug, Clone)]
pub struct Agent {
    carrier: Carrier,
}

/// A job as the agent describes it.
#[derive(Debug, Clone, Deserialize)]
pub struct JobView {
    /// ID of the job.
    pub id: String,
    /// ID of the run that it belongs to.
    pub run: String,
    /// Name of the part.
    pub agent: String,
    /// Name of its [`State`].
    pub state: String,
    /// Its share of the plan.
    pub share: PartNumber,
    /// Its lease in seconds, if it has one.
    pub lease: Option<f64>,
}

/// A share of a plan as the agent describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct PartNumber {
    /// Index of the part, from 0.
    pub index: u64,
    /// Number of parts.
    pub of: u64,
}

impl JobView {
    /// Returns true if the job has ended or will never run.
    #[must_use]
    pub fn is_over(&self) -> bool {
        State::ALL.iter().any(|state| state.is_over() && state.name() == self.state)
    }
}

impl Agent {
    /// Creates a client of the agent at the end of this way.
    #[must_use]
    pub fn new(carrier: Carrier) -> Self {
        Self { carrier }
    }

    async fn send(&self, asked: Asked) -> Result<Answer, CallError> {
        self.carrier.send(asked, || ()).await
    }

    async fn json<T: DeserializeOwned>(&self, asked: Asked) -> Result<T, CallError> {
        parsed(&self.send(asked).await?.body)
    }

    /// Checks that the server is an agent and accepts the token.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent cannot be used.
    pub async fn check(&self) -> Result<(), CallError> {
        let checked = async {
            self.send(Asked::new(Method::GET, &["healthz"])).await?;
            self.json::<Now>(Asked::new(Method::GET, &["clock"])).await.map(drop)
        };
        checked.await.map_err(|error| match error {
            CallError::Refused(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => not_an_agent(),
            error => error,
        })
    }

    /// Returns the agent's platform, such as `linux-amd64`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no valid answer.
    pub async fn platform(&self) -> Result<String, CallError> {
        #[derive(Deserialize)]
        struct About {
            platform: String,
        }
        Ok(self.json::<About>(Asked::new(Method::GET, &["about"])).await?.platform)
    }

    /// Asks the agent for its time.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no valid answer.
    pub async fn time(&self, clock: &Clock) -> Result<Round, CallError> {
        let (sent, mut received) = (clock.now(), 0);
        // The body has come with the head, or is on its way.
        let come = || received = clock.now();
        let answer = self.carrier.send(Asked::new(Method::GET, &["clock"]), come).await?;
        let Now { now: there } = parsed(&answer.body)?;
        Ok(Round { sent, received, there })
    }

    /// Returns true if the agent has the file of this kind with this hash.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent does not answer the question.
    pub async fn has(&self, content: Content, hash: &str) -> Result<bool, CallError> {
        match self.send(Asked::new(Method::HEAD, &[content.folder(), hash])).await {
            Ok(_) => Ok(true),
            Err(CallError::Refused(StatusCode::NOT_FOUND, _)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Brings the file at `path` to the agent, and returns the agent's ID for it. Calls `sent` with the number of bytes of each
    /// piece when it is handed to the connection.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent does not have the file.
    pub async fn upload(
        &self,
        content: Content,
        path: &Path,
        digest: &Digest,
        sent: impl Fn(u64) + Send + 'static,
    ) -> Result<String, CallError> {
        match &self.carrier {
            Carrier::Http(client, address) => upload(client, address, content, path, digest.length, sent).await,
            Carrier::Nats { objects, .. } => {
                objects.put(&digest.hash, path).await.map_err(|failure| CallError::Away(failure.to_string()))?;
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let asked = Asked::new(Method::POST, &[content.folder(), &digest.hash, "fetch"]);
                self.send(asked.body(name.into_owned()).timeout(UPLOAD)).await?;
                sent(digest.length);
                Ok(digest.hash.clone())
            }
        }
    }

    /// Waits until this agent may receive a file, if not all agents should at the same time.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        match &self.carrier {
            Carrier::Http(..) => None,
            Carrier::Nats { objects, .. } => objects.turn().await,
        }
    }

    /// Queues a job and returns its ID.
    ///
    /// # Errors
    ///
    /// Returns an error if the job is not queued. Without an answer from the agent, the job may be queued nevertheless.
    pub async fn queue(&self, job: &Map<String, Value>) -> Result<String, CallError> {
        #[derive(Deserialize)]
        struct Queued {
            job: String,
        }
        Ok(self.json::<Queued>(Asked::new(Method::POST, &["queue"]).body(json!(job).to_string())).await?.job)
    }

    /// Returns all jobs of the agent.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no valid answer.
    pub async fn jobs(&self) -> Result<Vec<JobView>, CallError> {
        self.json(Asked::new(Method::GET, &["jobs"])).await
    }

    /// Returns a job.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no valid answer.
    pub async fn job(&self, id: &str) -> Result<JobView, CallError> {
        self.json(Asked::new(Method::GET, &["jobs", id])).await
    }

    /// Returns what the `setup` of a job's load test has returned for the other members of the run. Waits for it for at
    /// most `wait`, and returns `None` if it has not come by then.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent does not answer, or refuses, since the load test has returned nothing for others.
    pub async fn setup_value(&self, id: &str, wait: Duration) -> Result<Option<Bytes>, CallError> {
        let asked = Asked::new(Method::GET, &["jobs", id, "setup"]).query(format!("wait={}", wait.as_secs()));
        let answer = self.send(asked).await?;
        Ok((answer.status != StatusCode::NO_CONTENT).then_some(answer.body))
    }

    /// Passes a job's load test what the `setup` of another member has returned.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent refuses, or does not answer.
    pub async fn give_setup(&self, id: &str, value: Bytes) -> Result<(), CallError> {
        self.send(Asked::new(Method::PUT, &["jobs", id, "setup"]).body(value)).await.map(drop)
    }

    /// Lets a job run its `teardown`, which waits for the end of all other members if it is that of the whole run.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent refuses, or does not answer.
    pub async fn tear_down(&self, id: &str) -> Result<(), CallError> {
        self.send(Asked::new(Method::POST, &["jobs", id, "teardown"])).await.map(drop)
    }

    /// Renews the lease of a job. Waits for the answer for at most `wait`.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent does not answer, or refuses, since the job is stopping or over.
    pub async fn renew(&self, id: &str, wait: Duration) -> Result<(), CallError> {
        self.send(Asked::new(Method::POST, &["jobs", id, "lease"]).timeout(wait)).await.map(drop)
    }

    /// Sets the length of the lease of a running job, from now on.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent does not answer, or refuses, since the job is stopping or over.
    pub async fn extend(&self, id: &str, lease: Duration) -> Result<(), CallError> {
        let body = json!({ "lease": lease.as_secs_f64() }).to_string();
        let answer = self.send(Asked::new(Method::POST, &["jobs", id, "lease"]).body(body)).await?;
        if answer.status == StatusCode::NO_CONTENT {
            // An older agent has renewed the lease and did not read the body.
            let reason = "its golo is too old to go on without this process";
            return Err(CallError::Refused(StatusCode::NOT_IMPLEMENTED, reason.to_owned()));
        }
        Ok(())
    }

    /// Lets a held job begin. `at` is in nanoseconds since the Unix epoch, by the agent's clock, which is `ahead` nanoseconds
    /// ahead of the local one.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent refuses, or does not answer.
    pub async fn start(&self, id: &str, at: u64, ahead: i64) -> Result<(), CallError> {
        let body = json!({ "at": at, "ahead": ahead }).to_string();
        self.send(Asked::new(Method::POST, &["jobs", id, "start"]).body(body)).await.map(drop)
    }

    /// Changes the load of a job's whole run. The agent takes its share of it. Returns once the load test has confirmed it.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent refuses, or does not answer.
    pub async fn adjust(&self, id: &str, level: Target) -> Result<(), CallError> {
        let level = match level {
            Target::Users(users) => json!({ "users": users }),
            Target::Rate(rate) => json!({ "rate": rate.to_string() }),
        };
        self.send(Asked::new(Method::PATCH, &["jobs", id]).body(level.to_string())).await.map(drop)
    }

    /// Stops a job. A second call cuts it off. `run` contains the known reasons for the end of the run: a call that
    /// adds reasons is recorded and never cuts the job off.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent refuses, or does not answer.
    pub async fn stop(&self, id: &str, run: &RunEnd) -> Result<JobView, CallError> {
        let asked = Asked::new(Method::DELETE, &["jobs", id]);
        match self.json(asked.clone().query(encoded(&run.parameters()))).await {
            // An older agent that refuses the parameters must still stop the job.
            Err(CallError::Refused(StatusCode::BAD_REQUEST, _)) => self.json(asked).await,
            stopped => stopped,
        }
    }

    /// Returns a job's records from number `from` on. If there are none yet, waits for the first ones for at most
    /// `wait`.
    ///
    /// # Errors
    ///
    /// Returns an error if the agent refuses, does not answer, or sends invalid records.
    pub async fn records(&self, id: &str, from: u64, wait: Duration) -> Result<Vec<Record>, CallError> {
        let asked = Asked::new(Method::GET, &["jobs", id, "records"]).most(RECORDS);
        let answer = self.send(asked.query(format!("from={from}&wait={}", wait.as_secs()))).await?;
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(Vec::new());
        }
        if answer.kind.as_deref() != Some("application/octet-stream") {
            return Err(not_an_agent());
        }
        let mut body = answer.body;
        let mut records = Vec::new();
        while body.has_remaining() {
            records.push(Record::decode_length_delimited(&mut body).map_err(|_| not_an_agent())?);
        }
        Ok(records)
    }
}

/// Uploads a file over HTTP.
async fn upload(
    client: &HttpClient,
    address: &Address,
    content: Content,
    path: &Path,
    length: u64,
    sent: impl Fn(u64) + Send + 'static,
) -> Result<String, CallError> {
    #[derive(Deserialize)]
    struct Uploaded {
        #[serde(alias = "file")]
        binary: String,
    }
    let unread = |error: std::io::Error| CallError::Local(format!("`{}` cannot be read: {error}", path.display()));
    let mut file = File::open(path).await.map_err(unread)?;
    let (pieces, stream) = mpsc::channel(2);
    let reading = tokio::spawn(async move {
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            let piece = match file.read_buf(&mut piece).await {
                Ok(0) => return,
                Ok(_) => Ok(piece),
                Err(error) => Err(error),
            };
            let length = piece.as_ref().map(|piece| piece.len() as u64).ok();
            // The receiver is dropped if the call has failed.
            let (Ok(()), Some(length)) = (pieces.send(piece).await, length) else { return };
            sent(length);
        }
    });
    let body = Body::wrap_stream(ReceiverStream::new(stream));
    let name = path.file_name().map_or_else(Default::default, |name| name.to_string_lossy().into_owned());
    let form = multipart::Form::new().part("file", multipart::Part::stream_with_length(body, length).file_name(name));
    let place = match content {
        Content::LoadTests => "upload",
        Content::Data => content.folder(),
    };
    let request = client.request(Method::POST, address, [place], None).multipart(form).timeout(UPLOAD);
    let answered = async { parsed::<Uploaded>(&client.body(client.send(request).await?, ANSWER).await?) };
    let uploaded = answered.await;
    reading.abort();
    match uploaded {
        Ok(uploaded) => Ok(uploaded.binary),
        Err(CallError::Refused(status @ StatusCode::NOT_FOUND, _)) if content == Content::Data => {
            let reason = "it was built with an older golo, which receives no files of test data: update it";
            Err(CallError::Refused(status, reason.to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// Returns the query with these parameters.
fn encoded(parameters: &[(&'static str, String)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters).finish()
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(body).map_err(|_| not_an_agent())
}

/// Creates the error for an answer that does not come from an agent.
fn not_an_agent() -> CallError {
    CallError::Refused(StatusCode::OK, "it does not answer like a golo agent".to_owned())
}

#[derive(Deserialize)]
struct Now {
    now: u64,
}
