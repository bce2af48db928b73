//! What agent and collector share as HTTP servers: who may call them, and how much of them one caller can take up.
//!
//! Off loopback a server starts only with a token or with TLS. A web page cannot use one, wherever it comes from: `guard`
//! says how that is known. What a client sends, and how slowly, is bounded: see [`Bounds`]. Whatever goes wrong is answered
//! as `{"error":"…"}`.

mod args;
mod connection;
mod guard;
mod pace;
mod refusal;
mod statuses;
mod timed_body;
mod tls;
mod token;

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, middleware};
use golo::cli::say;
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};

pub use args::ServerArgs;
pub use refusal::Refusal;
pub use statuses::Statuses;
pub use token::{Secret, Token};

use crate::support::failure::Failure;
use guard::Guard;
use pace::Paces;

/// How long is waited where no connection can be taken, as without a descriptor.
const RECOVERY: Duration = Duration::from_millis(100);

/// How much a client may take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most connections; for one more the slowest is closed, where there is one that keeps the server waiting.
    pub connections: usize,
    /// How long the head of a request may take, a TLS handshake, and the pause between two requests.
    pub head: Duration,
    /// How long a body may stall that is received, or a response that is sent.
    pub stall: Duration,
    /// How long a body may take that is received, and a second more for each 16 KiB of it that have come.
    pub body_time: Duration,
    /// Most bytes of a body, unless a route says otherwise.
    pub body: usize,
    /// How long answers under way may take once the server is to stop.
    pub drain: Duration,
}

impl Default for Bounds {
    /// 256 connections, 10 s for a head, 30 s of stalling, 60 s for a body, 1 MiB of it, 5 s in the end.
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            body_time: Duration::from_secs(60),
            body: 1 << 20,
            drain: Duration::from_secs(5),
        }
    }
}

/// How to serve.
#[derive(Clone)]
pub struct ServerOptions {
    /// What it is called in messages: `agent`.
    pub name: &'static str,
    /// Where to listen: `HOST:PORT`; port 0 takes a free one.
    pub addr: String,
    /// What a caller must know.
    pub token: Option<Token>,
    /// The certificate, where it is served over TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Names that a request's `Host` may have, beside its own address and loopback's.
    pub hosts: Vec<String>,
    /// How much a client may take up.
    pub bounds: Bounds,
    /// Counts what was answered.
    pub statuses: Statuses,
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("name", &self.name)
            .field("addr", &self.addr)
            .field("token", &self.token)
            .field("is_tls", &self.tls.is_some())
            .field("hosts", &self.hosts)
            .field("bounds", &self.bounds)
            .finish_non_exhaustive()
    }
}

/// A server that listens, and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    options: ServerOptions,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    ///
    /// Where the address is none or is taken, or is not loopback's and there is neither token nor TLS: in a line that says
    /// what would be right.
    pub async fn bind(options: ServerOptions) -> Result<Self, Failure> {
        let addr = &options.addr;
        let wrong = |error: std::io::Error| format!("cannot listen on `{addr}`: {error}");
        let found: Vec<_> = tokio::net::lookup_host(addr).await.map_err(wrong)?.collect();
        if let Some(open) = found.iter().find(|address| !address.ip().is_loopback())
            && options.token.is_none()
            && options.tls.is_none()
        {
            return Err(format!(
                "`{}` can be reached from other machines, and whoever reaches this {} can use it: give a token by `GOLO_TOKEN` or \
                 `--token`, or a certificate by `--tls-cert` and `--tls-key`, or listen on `127.0.0.1:{}`",
                options.addr,
                options.name,
                open.port()
            )
            .into());
        }
        if let Some(open) = found.iter().find(|address| !address.ip().is_loopback())
            && options.token.as_ref().is_some_and(Token::is_short)
        {
            return Err(format!(
                "`{}` can be reached from other machines, and the token has fewer than {} characters: give one that is hard to \
                 guess, as `openssl rand -hex 16` makes it, or listen on `127.0.0.1:{}`",
                options.addr,
                token::LEAST,
                open.port()
            )
            .into());
        }
        let listener = TcpListener::bind(&found[..]).await.map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        Ok(Self { listener, address, options })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is called.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// What is not wrong and may still surprise.
    fn warnings(&self) -> impl Iterator<Item = &'static str> {
        let is_open = !self.address.ip().is_loopback();
        let (has_token, has_tls) = (self.options.token.is_some(), self.options.tls.is_some());
        let warnings = [
            (!has_token, "without a token, whoever reaches this address can use it: give one by `GOLO_TOKEN`"),
            (!has_tls, "without TLS, the token can be read on its way: give `--tls-cert` and `--tls-key`"),
        ];
        warnings.into_iter().filter_map(move |(holds, text)| (is_open && holds).then_some(text))
    }

    /// Answers until `shutdown`; then nothing new is taken, and what is under way has a moment to finish.
    pub async fn run(self, router: Router, shutdown: impl Future<Output = ()>) {
        let Self { listener, options, .. } = self;
        let bounds = options.bounds;
        let guard = Arc::new(Guard::of(&options));
        let router = router.fallback(|| async { Refusal::not_found("there is nothing here") });
        // Around it, rather than within: a router adds to an answer what its own layers do not see.
        let router = Router::new()
            .fallback_service(router)
            .layer(DefaultBodyLimit::max(bounds.body))
            .layer(middleware::from_fn_with_state(guard, guard::answer));
        let (stop, stopped) = watch::channel(false);
        let free = Arc::new(Semaphore::new(bounds.connections));
        let mut shutdown = std::pin::pin!(shutdown);
        let paces = Paces::default();
        loop {
            let accepted = async {
                let accepted = listener.accept().await;
                (accepted, place(&free, &paces).await)
            };
            let (accepted, permit) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (pace, paces, stopped) = (paces.add(), paces.clone(), stopped.clone());
                    let (tls, router) = (options.tls.clone(), router.clone());
                    tokio::spawn(async move {
                        connection::serve(stream, tls, router, bounds, Arc::clone(&pace), stopped).await;
                        paces.remove(&pace);
                        drop(permit);
                    });
                }
                Err(_) => sleep(RECOVERY).await,
            }
        }
        drop(listener);
        stop.send_replace(true);
        let all = u32::try_from(bounds.connections).unwrap_or(u32::MAX);
        // Whoever is not done by then is not waited for.
        _ = timeout(bounds.drain, free.acquire_many(all)).await;
    }
}

/// Room for one more connection, which others give way for.
async fn place(free: &Arc<Semaphore>, paces: &Paces) -> Option<OwnedSemaphorePermit> {
    loop {
        if let Ok(permit) = Arc::clone(free).try_acquire_owned() {
            return Some(permit);
        }
        paces.make_room();
        if let Ok(permit) = timeout(RECOVERY, Arc::clone(free).acquire_owned()).await {
            return permit.ok();
        }
    }
}

/// Listens, says where, and answers until `shutdown`.
///
/// # Errors
///
/// As [`Server::bind`].
pub async fn serve(router: Router, options: ServerOptions, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
    let server = Server::bind(options).await?;
    server.announce();
    server.run(router, shutdown).await;
    Ok(())
}

impl Server {
    /// Says where it listens.
    pub fn announce(&self) {
        let name = self.options.name;
        for warning in self.warnings() {
            say(format_args!("golo {name}: {warning}"));
        }
        say(format_args!("golo {name}: listens on {}", self.url()));
    }
}
