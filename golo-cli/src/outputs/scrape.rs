//! `-o prometheus=ADDR`: an endpoint from which Prometheus fetches the metrics of a run.
//!
//! The series end with the run, because the endpoint does. Before that it waits for a last scrape, so that Prometheus has
//! the final numbers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use golo::report::Written;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::exports::{Hurry, Totals};
use super::exposition::Format;
use super::families::Extent;
use crate::http::server::{Bounds, Server, ServerFlags, ServerOptions, Statuses, Token};
use crate::support::failure::Failure;

/// Name of the output.
pub const KIND: &str = "prometheus";
/// Variable with the token that scrapes must send.
pub const TOKEN: &str = "GOLO_PROMETHEUS_TOKEN";
/// Time to wait for the second scrape if there was only one: the usual interval is 15 s.
const USUAL: Duration = Duration::from_secs(16);
/// Longest time to wait for the last scrape: the longest usual interval is a minute.
const LONGEST: Duration = Duration::from_secs(65);
/// Interval at which a last scrape is looked for.
const CHECK: Duration = Duration::from_millis(10);
/// Time for open requests at the end.
const DRAIN: Duration = Duration::from_millis(200);

/// Address of an endpoint, and who may read it.
#[derive(Debug, Clone)]
pub struct EndpointOptions {
    /// `HOST:PORT`.
    pub addr: String,
    /// Token that scrapes must send.
    pub token: Option<Token>,
}

/// An endpoint that listens.
pub struct Endpoint {
    server: Server,
}

impl Endpoint {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is wrong or taken, or if other machines reach it and there is no token.
    pub async fn bind(options: EndpointOptions) -> Result<Self, Failure> {
        let EndpointOptions { addr, token } = options;
        let is_open =
            tokio::net::lookup_host(&addr).await.is_ok_and(|mut found| found.any(|one| !one.ip().is_loopback()));
        if is_open && token.is_none() {
            return Err(format!(
                "`--out {KIND}={addr}`: other machines can reach this address, and read the routes of the target there: \
                 give a token by `{TOKEN}`, or listen on 127.0.0.1"
            )
            .into());
        }
        // A page in a browser does not know the token, so it may use any name of this machine.
        let hosts = if token.is_some() { vec!["*".to_owned()] } else { Vec::new() };
        let bounds = Bounds { drain: DRAIN, ..Bounds::default() };
        let options = ServerOptions {
            name: "endpoint",
            addr,
            token,
            tls: None,
            hosts,
            bounds,
            statuses: Statuses::default(),
            flags: ServerFlags { token_variable: TOKEN, ..ServerFlags::SERVER },
            pages: None,
        };
        let server = Server::bind(options).await;
        let server = server.map_err(|error| Failure::from(format!("`--out {KIND}=…`: {error}")))?;
        Ok(Self { server })
    }

    /// Answers scrapes with the latest totals.
    pub(super) fn serve(self, totals: Arc<Mutex<Totals>>) -> Serving {
        let Self { server } = self;
        let place = format!("{}/metrics", server.url());
        let scrapes = Arc::<Mutex<Scrapes>>::default();
        let shown = Shown { totals, scrapes: Arc::clone(&scrapes) };
        let router = Router::new().route("/metrics", get(metrics)).with_state(shown);
        let stop = CancellationToken::new();
        let task = tokio::spawn(server.run(router, stop.clone().cancelled_owned()));
        Serving { place, scrapes, stop, task }
    }
}

/// An endpoint that answers.
pub(super) struct Serving {
    place: String,
    scrapes: Arc<Mutex<Scrapes>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// When the endpoint was scraped.
#[derive(Debug, Default)]
struct Scrapes {
    last: Option<Instant>,
    /// Time between the last two scrapes.
    interval: Option<Duration>,
    has_final: bool,
}

impl Scrapes {
    fn add(&mut self, is_final: bool) {
        let now = Instant::now();
        self.interval = self.last.map(|last| now - last).or(self.interval);
        self.last = Some(now);
        self.has_final |= is_final;
    }

    /// Returns the time until which a next scrape is likely. `None` if nothing has ever scraped.
    fn next(&self) -> Option<Instant> {
        let interval = self.interval.map_or(USUAL, |interval| interval * 3 / 2 + Duration::from_secs(1));
        Some(self.last? + interval.min(LONGEST))
    }
}

fn lock(scrapes: &Mutex<Scrapes>) -> MutexGuard<'_, Scrapes> {
    scrapes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Serving {
    /// Waits for the last scrape if the run was measured, and stops listening.
    pub(super) async fn finish(self, has_measured: bool, hurry: &Hurry) -> Written {
        let Self { place, scrapes, stop, task } = self;
        let next = lock(&scrapes).next();
        let has_final = lock(&scrapes).has_final;
        if let (true, Some(until)) = (has_measured && !has_final, next) {
            let most = until.saturating_duration_since(Instant::now()).as_secs() + 1;
            hurry.say(most, &format!("the last scrape of {place}"));
            tokio::select! {
                () = hurry.patience(until) => {}
                () = async { while !lock(&scrapes).has_final { sleep(CHECK).await } } => {}
            }
        }
        stop.cancel();
        _ = task.await;
        let has_final = lock(&scrapes).has_final;
        let remark = match next {
            None => Some("it was never scraped".to_owned()),
            Some(_) if has_measured && !has_final => Some("it was not scraped after the end of the run".to_owned()),
            Some(_) => None,
        };
        Written { kind: KIND, path: place, error: None, remark }
    }
}

/// What the endpoint shows.
#[derive(Clone)]
struct Shown {
    totals: Arc<Mutex<Totals>>,
    scrapes: Arc<Mutex<Scrapes>>,
}

async fn metrics(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let format = Format::preferred(&accept.collect::<Vec<_>>().join(","));
    let totals = shown.totals.lock().unwrap_or_else(PoisonError::into_inner);
    let (body, is_final) = match totals.frame() {
        Some(frame) => (format.write(frame.labels, frame.families(Extent::Totals)), frame.is_last),
        None => (Vec::new(), false),
    };
    drop(totals);
    lock(&shown.scrapes).add(is_final);
    ([(header::CONTENT_TYPE, format.content_type())], body).into_response()
}
