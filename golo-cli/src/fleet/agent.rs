//! An agent, as whoever asks it to run something calls it.

use std::{path::Path, time::Duration};

use bytes::Buf as _;
use golo::pb::results::Record;
use prost::Message as _;
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, header::CONTENT_TYPE, multipart};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use tokio::{fs::File, io::AsyncReadExt as _, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::clock::{Clock, Round};
use crate::{
    agent::kept::State,
    drive::run_end::RunEnd,
    http::client::{Address, CallError, HttpClient},
};

/// How long a call may take that needs no time to be answered.
const CALL: Duration = Duration::from_secs(10);
/// How long an agent may take to put a load test on its disk, once it has it.
const UPLOAD: Duration = Duration::from_secs(3600);
/// Bytes of a load test that are sent at once.
const PIECE: usize = 256 << 10;

/// An agent.
#[derive(Debug, Clone)]
pub struct Agent {
    client: HttpClient,
    address: Address,
}

/// What an agent says of a job.
#[derive(Debug, Clone, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: String,
    /// The run that it is a part of.
    pub run: String,
    /// What the part is called.
    pub agent: String,
    /// Where it is in its life.
    pub state: String,
}

impl JobView {
    /// Whether it will never run any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        State::ALL.iter().any(|state| state.is_over() && state.name() == self.state)
    }
}

impl Agent {
    /// The one at an address.
    #[must_use]
    pub fn new(client: HttpClient, address: Address) -> Self {
        Self { client, address }
    }

    fn call(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.client.request(method, &self.address, path.iter().copied(), None).timeout(CALL)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CallError> {
        self.client.send(request).await
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallError> {
        let body = self.send(request).await?.bytes().await.map_err(|error| self.client.away(&error))?;
        serde_json::from_slice(&body).map_err(|_| stranger())
    }

    /// Whether it is an agent, and takes our token.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    pub async fn check(&self) -> Result<(), CallError> {
        let checked = async {
            self.send(self.call(Method::GET, &["healthz"])).await?;
            self.json::<Now>(self.call(Method::GET, &["clock"])).await.map(drop)
        };
        checked.await.map_err(|error| match error {
            CallError::Refused(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED, _) => stranger(),
            error => error,
        })
    }

    /// Asks what time it is there.
    ///
    /// # Errors
    ///
    /// Why there was no answer.
    pub async fn time(&self, clock: &Clock) -> Result<Round, CallError> {
        let sent = clock.now();
        let response = self.send(self.call(Method::GET, &["clock"])).await?;
        // The rest has come with the head, or is under way.
        let received = clock.now();
        let body = response.bytes().await.map_err(|error| self.client.away(&error))?;
        let Now { now: there } = serde_json::from_slice(&body).map_err(|_| stranger())?;
        Ok(Round { sent, received, there })
    }

    /// Whether it has the load test of this hash.
    ///
    /// # Errors
    ///
    /// Why that is not known.
    pub async fn has(&self, hash: &str) -> Result<bool, CallError> {
        match self.send(self.call(Method::HEAD, &["binaries", hash])).await {
            Ok(_) => Ok(true),
            Err(CallError::Refused(StatusCode::NOT_FOUND, _)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives it the load test at `path`, and tells how many bytes of it are on their way; gives what it calls it.
    ///
    /// # Errors
    ///
    /// Why it does not have it.
    pub async fn upload(
        &self,
        path: &Path,
        length: u64,
        sent: impl Fn(u64) + Send + 'static,
    ) -> Result<String, CallError> {
        #[derive(Deserialize)]
        struct Uploaded {
            binary: String,
        }
        let unread = |error: std::io::Error| CallError::Away(format!("`{}` cannot be read: {error}", path.display()));
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
                // Where nobody takes it any more, the call has failed.
                let (Ok(()), Some(length)) = (pieces.send(piece).await, length) else { return };
                sent(length);
            }
        });
        let body = Body::wrap_stream(ReceiverStream::new(stream));
        let name = path.file_name().map_or_else(Default::default, |name| name.to_string_lossy().into_owned());
        let form =
            multipart::Form::new().part("file", multipart::Part::stream_with_length(body, length).file_name(name));
        let request = self.call(Method::POST, &["upload"]).multipart(form).timeout(UPLOAD);
        let uploaded = self.json::<Uploaded>(request).await;
        reading.abort();
        Ok(uploaded?.binary)
    }

    /// Queues a job, and gives its id.
    ///
    /// # Errors
    ///
    /// Why it is not queued; or, where there was no answer, may not be.
    pub async fn queue(&self, job: &Map<String, Value>) -> Result<String, CallError> {
        #[derive(Deserialize)]
        struct Queued {
            job: String,
        }
        Ok(self.json::<Queued>(self.call(Method::POST, &["queue"]).json(job)).await?.job)
    }

    /// All that it knows of.
    ///
    /// # Errors
    ///
    /// Why it does not say.
    pub async fn jobs(&self) -> Result<Vec<JobView>, CallError> {
        self.json(self.call(Method::GET, &["jobs"])).await
    }

    /// A job.
    ///
    /// # Errors
    ///
    /// Why it does not say.
    pub async fn job(&self, id: &str) -> Result<JobView, CallError> {
        self.json(self.call(Method::GET, &["jobs", id])).await
    }

    /// Has a job that is held begin, at so many nanoseconds since the Unix epoch by the clock there.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn start(&self, id: &str, at: u64) -> Result<(), CallError> {
        self.send(self.call(Method::POST, &["jobs", id, "start"]).json(&json!({ "at": at }))).await.map(drop)
    }

    /// Has a job stop; the second time, cuts it. `run` is what is known of the end of its run: a call that says anything of it
    /// is noted, and cuts nothing.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn stop(&self, id: &str, run: &RunEnd) -> Result<JobView, CallError> {
        let call = || self.call(Method::DELETE, &["jobs", id]);
        match self.json(call().query(&run.parameters())).await {
            // One that does not understand why is to stop all the same.
            Err(CallError::Refused(StatusCode::BAD_REQUEST, _)) => self.json(call()).await,
            stopped => stopped,
        }
    }

    /// A job's records from number `from` on: those there are, or the first that come within `wait`.
    ///
    /// # Errors
    ///
    /// Why there are none, or not all.
    pub async fn records(&self, id: &str, from: u64, wait: Duration) -> Result<Vec<Record>, CallError> {
        let query = format!("from={from}&wait={}", wait.as_secs());
        let request = self.client.request(Method::GET, &self.address, ["jobs", id, "records"], Some(&query));
        let response = self.send(request.timeout(CALL)).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Vec::new());
        }
        let is_records = |kind: &reqwest::header::HeaderValue| kind == "application/octet-stream";
        if !response.headers().get(CONTENT_TYPE).is_some_and(is_records) {
            return Err(stranger());
        }
        let mut body = response.bytes().await.map_err(|error| self.client.away(&error))?;
        let mut records = Vec::new();
        while body.has_remaining() {
            records.push(Record::decode_length_delimited(&mut body).map_err(|_| stranger())?);
        }
        Ok(records)
    }
}

/// An answer that no agent gives.
fn stranger() -> CallError {
    CallError::Refused(StatusCode::OK, "it answers as no golo agent does".to_owned())
}

#[derive(Deserialize)]
struct Now {
    now: u64,
}
