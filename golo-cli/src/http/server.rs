//! The HTTP server that agent and collector share: who may call it, and how much of it one caller can take up.
//!
//! On an address that other machines reach, a server starts only with a token or with TLS. Web pages cannot call it:
//! `guard` describes how they are recognised. The size and the slowness of what a client sends are bounded, see [`Bounds`].
//! Every error is answered as `{"error":"…"}`.
//!
//! The accept loop is our own: `axum::serve` has no timeout for heads, no TLS and no limit of connections.

mod args;
mod connection;
mod connections;
mod guard;
mod refusal;
mod session;
mod statuses;
mod timed_body;
mod tls;
mod token;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use crate::support::failure::Failure;
use axum::{Router, extract::DefaultBodyLimit, middleware};
use golo::cli::say;
use tokio::net::{TcpListener, lookup_host};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use args::{ServerArgs, ServerFlags};
pub use refusal::Refusal;
pub use session::{Pages, SESSION, Sessions, host_of};
pub use statuses::Statuses;
pub use token::{Secret, Token};

use connection::Service;
use connections::Connections;
use guard::Guard;

/// Pause after a connection could not be accepted, for example because no descriptor was free.
const RECOVERY: Duration = Duration::from_millis(100);

/// Limits of what clients may take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most connections. For one more the slowest is closed, if there is one that keeps the server waiting.
    pub connections: usize,
    /// Longest time for the head of a request, for a TLS handshake, and between two requests.
    pub head: Duration,
    /// Longest pause while a body is received or a response is sent.
    pub stall: Duration,
    /// Longest time for receiving a body, plus a second for each 16 KiB of it that have been received.
    pub body_time: Duration,
    /// Most bytes of a body, unless a route has its own limit.
    pub body: usize,
    /// Longest time for open requests once the server is to stop.
    pub drain: Duration,
}

impl Default for Bounds {
    /// Returns 256 connections, 10 s for a head, 30 s for a pause, 60 s and 1 MiB for a body, and 5 s for the end.
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

/// Settings of a server.
#[derive(Clone)]
pub struct ServerOptions {
    /// Name of the server in messages: `agent`.
    pub name: &'static str,
    /// Address to listen on: `HOST:PORT`. Port 0 takes a free one.
    pub addr: String,
    /// Token that callers must send.
    pub token: Option<Token>,
    /// Certificate and key, if the server uses TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Names that a request's `Host` may have, besides the server's own address and loopback. `*` stands for every name.
    pub hosts: Vec<String>,
    /// Limits of what clients may take up.
    pub bounds: Bounds,
    /// Counts the responses.
    pub statuses: Statuses,
    /// Names of the flags, for messages.
    pub flags: ServerFlags,
    /// Pages for browsers, if there are any.
    pub pages: Option<Pages>,
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

/// A server that listens, but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    options: ServerOptions,
}

impl Server {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is wrong or taken, or if other machines reach it and there is neither TLS nor a token
    /// that is hard to guess.
    pub async fn bind(options: ServerOptions) -> Result<Self, Failure> {
        let addr = &options.addr;
        let failed = |error: io::Error| Failure::from(format!("cannot listen on `{addr}`: {error}"));
        let found: Vec<_> = lookup_host(addr).await.map_err(failed)?.collect();
        if let Some(open) = found.iter().find(|address| !address.ip().is_loopback()) {
            let (name, port) = (options.name, open.port());
            let ServerFlags { token, token_variable, tls_cert, tls_key, .. } = options.flags;
            let needed = match &options.token {
                None if options.tls.is_none() => format!(
                    "anyone who reaches this {name} can use it: give a token by `{token_variable}` or `{token}`, or a \
                     certificate by `{tls_cert}` and `{tls_key}`"
                ),
                Some(token) if token.is_short() => format!(
                    "the token has fewer than {} characters: give one that is hard to guess, as `openssl rand -hex 16` makes it",
                    token::LEAST
                ),
                _ => String::new(),
            };
            if !needed.is_empty() {
                return Err(Failure::from(format!(
                    "`{addr}` can be reached from other machines, and {needed}, or listen on `127.0.0.1:{port}`"
                )));
            }
        }
        let listener = TcpListener::bind(&found[..]).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, options })
    }

    /// Returns the address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Returns warnings about settings that are allowed but may be unexpected.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        let ServerFlags { token_variable, tls_cert, tls_key, .. } = self.options.flags;
        let is_open = !self.address.ip().is_loopback();
        let (has_token, has_tls) = (self.options.token.is_some(), self.options.tls.is_some());
        let no_token =
            || format!("without a token, anyone who reaches this address can use it: give one by `{token_variable}`");
        let no_tls = || format!("without TLS, the token can be read on its way: give `{tls_cert}` and `{tls_key}`");
        let warnings = [(!has_token).then(no_token), (!has_tls).then(no_tls)];
        warnings.into_iter().flatten().filter(move |_| is_open)
    }

    /// Prints the address, and warnings about the settings.
    pub fn announce(&self) {
        let name = self.options.name;
        for warning in self.warnings() {
            say(format_args!("golo {name}: {warning}"));
        }
        say(format_args!("golo {name}: listens on {}", self.url()));
    }

    /// Answers requests until `shutdown` completes. Then it accepts no more connections, and open requests have
    /// [`Bounds::drain`] to finish.
    pub async fn run(self, router: Router, shutdown: impl Future<Output = ()>) {
        let Self { listener, options, .. } = self;
        let bounds = options.bounds;
        let guard = Arc::new(Guard::new(&options));
        let router = router.fallback(|| async { Refusal::not_found("there is nothing here") });
        // The layers are outside the router, because they do not see what a router itself adds to a response.
        let router = Router::new()
            .fallback_service(router)
            .layer(DefaultBodyLimit::max(bounds.body))
            .layer(middleware::from_fn_with_state(guard, guard::answer));
        let stop = CancellationToken::new();
        let service = Service { tls: options.tls.map(TlsAcceptor::from), router, bounds, stop: stop.clone() };
        let mut connections = Connections::default();
        let accepting = async {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    sleep(RECOVERY).await;
                    continue;
                };
                connections.make_room(bounds.connections).await;
                let service = service.clone();
                connections.spawn(|pace| async { _ = service.serve(stream, pace).await });
            }
        };
        tokio::select! {
            biased;
            () = shutdown => {}
            () = accepting => {}
        }
        drop(listener);
        stop.cancel();
        // The rest is cut off.
        _ = timeout(bounds.drain, connections.closed()).await;
    }
}

/// Listens, prints the address, and answers requests until `shutdown` completes.
///
/// # Errors
///
/// Returns the errors of [`Server::bind`].
pub async fn serve(router: Router, options: ServerOptions, shutdown: impl Future<Output = ()>) -> Result<(), Failure> {
    let server = Server::bind(options).await?;
    server.announce();
    server.run(router, shutdown).await;
    Ok(())
}
