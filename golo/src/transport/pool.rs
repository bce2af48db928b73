//! Connections of one client: a user, a trigger, a worker, or a whole run.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use http::Extensions;
use hyper_util::client::legacy::connect::Connected;
use reqwest::Url;
use tokio::sync::Notify;

use crate::error::transport::TransportError;
use crate::support::lock::lock;
use crate::transport::clock::Phase;
use crate::transport::connect::connect;
use crate::transport::http1::Http1;
use crate::transport::http2::Http2;
#[cfg(feature = "http3")]
use crate::transport::http3;
use crate::transport::message::{Broken, BrokenAt, Head, Hop, Payload, Progress};
use crate::transport::multiplexed::Multiplexed;
use crate::transport::options::Versions;
use crate::transport::origin::Origin;
use crate::transport::settings::{Settings, TlsConfig};
use crate::{ConnectionEvent, Handshake, HttpVersion, Sink};

/// Connections of one client, and its TLS sessions.
///
/// The lock is held for a few instructions, and only requests of the same client take it.
#[derive(Default)]
pub(crate) struct Pool {
    /// Largest number of connections to one origin. Requests are spread over them, and wait for one if all are in use.
    limit: Option<usize>,
    /// Number of the user whose client this is.
    user: Option<u64>,
    tls: OnceLock<TlsConfig>,
    state: Mutex<Vec<OriginState>>,
    /// Notified when a connection or a stream may have become free.
    freed: Notify,
}

/// Connections to one origin.
struct OriginState {
    origin: Arc<Origin>,
    /// Connections that carry one request at a time and carry none now. The last used one is at the end.
    idle: Vec<Live<Http1>>,
    /// Connections that carry several requests at a time.
    shared: Vec<Arc<Live<Multiplexed>>>,
    /// Number of connections that carry one request at a time, also those in use.
    single: usize,
    /// Number of connections that are being made.
    opening: usize,
    /// Number of requests that wait.
    waiting: usize,
    /// Held by the request that is the next to get a connection. Only pools with a limit have this.
    turn: Option<Arc<tokio::sync::Mutex<()>>>,
}

/// A connection that is open.
struct Live<C> {
    connection: C,
    connected: Connected,
    life: Life,
}

/// Counts a connection until it is dropped.
pub(crate) struct Life {
    sink: Arc<dyn Sink>,
    is_ended_by_server: AtomicBool,
}

impl Life {
    /// Counts a connection that has just been opened.
    pub(crate) fn begin(sink: &Arc<dyn Sink>, version: HttpVersion, handshake: Option<Handshake>) -> Self {
        sink.connection(ConnectionEvent::Opened { version, handshake });
        Self { sink: Arc::clone(sink), is_ended_by_server: AtomicBool::new(false) }
    }

    /// Records that the server closed the connection.
    pub(crate) fn end_by_server(&self) {
        self.is_ended_by_server.store(true, Relaxed);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.sink.connection(ConnectionEvent::Closed { by_server: self.is_ended_by_server.load(Relaxed) });
    }
}

/// A connection that has just been made.
struct Made {
    connection: Either,
    connected: Connected,
    version: HttpVersion,
    handshake: Option<Handshake>,
}

enum Either {
    Single(Http1),
    Shared(Multiplexed),
}

/// A connection, lent to one request.
pub(crate) struct Lease<'p> {
    pool: &'p Pool,
    lent: Lent,
    /// True if the connection has carried a request before.
    pub(crate) is_reused: bool,
}

enum Lent {
    Single { origin: Arc<Origin>, connection: Option<Live<Http1>> },
    Shared { origin: Arc<Origin>, connection: Arc<Live<Multiplexed>> },
}

/// Decision about a request that needs a connection.
enum Choice<'p> {
    Lent(Lease<'p>),
    Open,
    Wait,
}

impl Pool {
    pub(crate) fn new(limit: Option<usize>, user: Option<u64>) -> Self {
        Self { limit, user, ..Self::default() }
    }

    /// Returns the TLS configuration of this client, with its sessions.
    pub(crate) fn tls(&self, settings: &Settings) -> TlsConfig {
        self.tls.get_or_init(|| settings.tls_of_client(self.user)).clone()
    }

    /// Lends a connection to `url`'s origin. Makes one if there is none, or if `is_fresh` is true. Puts the time that
    /// this takes on the request's clock, which then is in the phase `sending`.
    pub(crate) async fn acquire<'p>(
        &'p self,
        url: &Url,
        settings: &Settings,
        is_fresh: bool,
        sink: &Arc<dyn Sink>,
        progress: &mut Progress,
    ) -> Result<Lease<'p>, TransportError> {
        let origin = match self.choose(url, settings, is_fresh, false)? {
            (_, Choice::Lent(lease)) => {
                progress.clock.enter(Phase::Sending);
                return Ok(lease);
            }
            (origin, Choice::Open) => origin,
            (origin, Choice::Wait) => {
                progress.clock.wait();
                match self.wait(&origin, url, settings, is_fresh).await? {
                    Some(lease) => {
                        progress.clock.enter(Phase::Sending);
                        return Ok(lease);
                    }
                    None => origin,
                }
            }
        };
        let opening = Opening { pool: self, origin: &origin };
        // Boxed, because otherwise the future of every request would have room for it.
        let lease = Box::pin(self.open(&origin, settings, sink, progress)).await;
        drop(opening);
        progress.clock.enter(Phase::Sending);
        lease
    }

    /// Waits for a connection. Returns `None` if one is to be made.
    async fn wait<'p>(
        &'p self,
        origin: &Arc<Origin>,
        url: &Url,
        settings: &Settings,
        is_fresh: bool,
    ) -> Result<Option<Lease<'p>>, TransportError> {
        let _waiting = Waiting::begin(self, origin);
        // Requests get connections in the order in which they came.
        let mut turn = None;
        self.of(origin, |state| turn = state.turn.clone());
        let _turn = match &turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            match self.choose(url, settings, is_fresh, true)?.1 {
                Choice::Lent(lease) => return Ok(Some(lease)),
                Choice::Open => return Ok(None),
                Choice::Wait => freed.await,
            }
        }
    }

    /// Chooses a connection for a request. If one is to be made, it is counted as opening.
    fn choose(
        &self,
        url: &Url,
        settings: &Settings,
        is_fresh: bool,
        has_turn: bool,
    ) -> Result<(Arc<Origin>, Choice<'_>), TransportError> {
        let mut states = lock(&self.state);
        let at = match states.iter().position(|state| state.origin.is_of(url)) {
            Some(at) => at,
            None => {
                states.push(OriginState::new(settings.origin(url)?, self.limit));
                states.len() - 1
            }
        };
        let state = &mut states[at];
        let origin = Arc::clone(&state.origin);
        // In a pool with a limit, a request that came later must not be faster than one that waits.
        if self.limit.is_some() && !has_turn && state.waiting > 0 {
            return Ok((origin, Choice::Wait));
        }
        if !is_fresh {
            if let Some(connection) = state.take_idle() {
                let lent = Lent::Single { origin: Arc::clone(&origin), connection: Some(connection) };
                return Ok((origin, Choice::Lent(Lease { pool: self, lent, is_reused: true })));
            }
            if let Some(connection) = state.take_stream(self.limit) {
                let lent = Lent::Shared { origin: Arc::clone(&origin), connection };
                return Ok((origin, Choice::Lent(Lease { pool: self, lent, is_reused: true })));
            }
        } else {
            if self.limit.is_some() {
                // A fresh connection takes the place of an idle one.
                state.take_idle().inspect(|_| state.single -= 1);
            }
            if settings.no_keep_alive {
                // Left behind by requests that were cancelled.
                state.shared.retain(|live| live.connection.streams() > 0 && live.connection.is_open());
            } else if self.limit.is_some()
                && let Some(connection) = state.take_stream(self.limit)
            {
                // There is no room for another connection. This one is still open, unlike the one that broke.
                let lent = Lent::Shared { origin: Arc::clone(&origin), connection };
                return Ok((origin, Choice::Lent(Lease { pool: self, lent, is_reused: true })));
            }
        }
        // The connection that is being made may carry this request too.
        let may_share = settings.may_share(&origin) && !settings.no_keep_alive && !is_fresh;
        if may_share && state.opening > 0 && self.limit.is_none() {
            return Ok((origin, Choice::Wait));
        }
        if self.limit.is_some_and(|most| state.count() >= most) {
            return Ok((origin, Choice::Wait));
        }
        state.opening += 1;
        Ok((origin, Choice::Open))
    }

    async fn open<'p>(
        &'p self,
        origin: &Arc<Origin>,
        settings: &Settings,
        sink: &Arc<dyn Sink>,
        progress: &mut Progress,
    ) -> Result<Lease<'p>, TransportError> {
        let started = Instant::now();
        let Made { connection, connected, version, handshake } = self.make(origin, settings, progress).await?;
        origin.speaks(version);
        sink.connected(started.elapsed());
        let life = Life::begin(sink, version, handshake);
        let origin = Arc::clone(origin);
        let lent = match connection {
            Either::Shared(connection) => {
                if !connection.take_stream() {
                    let error = std::io::Error::other("the server accepts no streams");
                    return Err(TransportError::connect(error));
                }
                let connection = Arc::new(Live { connection, connected, life });
                self.free(&origin, |state| state.shared.push(Arc::clone(&connection)));
                Lent::Shared { origin, connection }
            }
            Either::Single(connection) => {
                self.free(&origin, |state| state.single += 1);
                Lent::Single { origin, connection: Some(Live { connection, connected, life }) }
            }
        };
        Ok(Lease { pool: self, lent, is_reused: false })
    }

    async fn make(
        &self,
        origin: &Origin,
        settings: &Settings,
        progress: &mut Progress,
    ) -> Result<Made, TransportError> {
        #[cfg(feature = "http3")]
        if settings.versions == Versions::Http3 {
            return Ok(Made {
                connection: Either::Shared(Multiplexed::Http3(Box::new(
                    http3::connect(origin, settings, self, progress).await?,
                ))),
                connected: Connected::new(),
                version: HttpVersion::Http3,
                handshake: Some(Handshake::Full),
            });
        }
        let io = connect(origin, settings, self, progress).await?;
        let (connected, handshake) = (io.connected(), io.handshake());
        let speaks_http2 = settings.versions == Versions::Http2 || io.protocol() == Some(b"h2");
        let (connection, version) = match speaks_http2 {
            true => (Either::Shared(Multiplexed::Http2(Box::new(Http2::handshake(io).await?))), HttpVersion::Http2),
            false => (Either::Single(Http1::new(io)), HttpVersion::Http1),
        };
        Ok(Made { connection, connected, version, handshake })
    }

    /// Calls `change` with the connections to an origin.
    fn of(&self, origin: &Arc<Origin>, change: impl FnOnce(&mut OriginState)) {
        let mut states = lock(&self.state);
        if let Some(state) = states.iter_mut().find(|state| Arc::ptr_eq(&state.origin, origin)) {
            change(state);
        }
    }

    /// Like [`of`](Self::of), and then lets requests that wait try again.
    fn free(&self, origin: &Arc<Origin>, change: impl FnOnce(&mut OriginState)) {
        let mut has_waiting = false;
        self.of(origin, |state| {
            change(state);
            has_waiting = state.waiting > 0;
        });
        if has_waiting {
            self.freed.notify_waiters();
        }
    }
}

impl OriginState {
    fn new(origin: Arc<Origin>, limit: Option<usize>) -> Self {
        let turn = limit.map(|_| Arc::default());
        Self { origin, idle: Vec::new(), shared: Vec::new(), single: 0, opening: 0, waiting: 0, turn }
    }

    /// Returns the number of connections, also of those that are being made.
    fn count(&self) -> usize {
        self.single + self.shared.len() + self.opening
    }

    /// Takes a connection that carries no request. Drops those that the server has closed.
    fn take_idle(&mut self) -> Option<Live<Http1>> {
        while let Some(mut live) = self.idle.pop() {
            if live.connection.is_open() {
                return Some(live);
            }
            live.life.end_by_server();
            self.single -= 1;
        }
        None
    }

    /// Takes a stream of a connection. Drops connections that accept no more requests.
    fn take_stream(&mut self, limit: Option<usize>) -> Option<Arc<Live<Multiplexed>>> {
        self.shared.retain(|live| {
            let is_open = live.connection.is_open();
            if !is_open {
                live.life.end_by_server();
            }
            is_open
        });
        let chosen = match limit {
            // Requests are spread over all connections.
            Some(most) => {
                let least = self.shared.iter().min_by_key(|live| live.connection.streams())?;
                if least.connection.streams() > 0 && self.count() < most {
                    return None;
                }
                least.connection.take_stream().then_some(least)
            }
            None => self.shared.iter().find(|live| live.connection.take_stream()),
        };
        chosen.map(Arc::clone)
    }
}

/// A connection that is being made, until this is dropped.
struct Opening<'a> {
    pool: &'a Pool,
    origin: &'a Arc<Origin>,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        self.pool.free(self.origin, |state| state.opening -= 1);
    }
}

/// A request that waits, until this is dropped.
struct Waiting<'a> {
    pool: &'a Pool,
    origin: &'a Arc<Origin>,
}

impl<'a> Waiting<'a> {
    fn begin(pool: &'a Pool, origin: &'a Arc<Origin>) -> Self {
        pool.of(origin, |state| state.waiting += 1);
        Self { pool, origin }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // If the request gave up, what it was woken for is left to another one.
        self.pool.free(self.origin, |state| state.waiting -= 1);
    }
}

impl Lease<'_> {
    /// Sends a request on the connection and reads the whole response.
    pub(crate) async fn exchange(
        &mut self,
        hop: &Hop<'_>,
        payload: &mut Payload,
        progress: &mut Progress,
    ) -> Result<(Head, Bytes), Broken> {
        match &mut self.lent {
            Lent::Single { connection: Some(live), .. } => live.connection.exchange(hop, payload, progress).await,
            // Boxed, because otherwise the future of every request would have room for it.
            Lent::Shared { connection, .. } => Box::pin(connection.connection.exchange(hop, payload, progress)).await,
            Lent::Single { connection: None, .. } => {
                let error = std::io::Error::from(std::io::ErrorKind::NotConnected);
                Err(Broken { error: TransportError::connect(error), at: BrokenAt::Other })
            }
        }
    }

    pub(crate) fn origin(&self) -> &Arc<Origin> {
        match &self.lent {
            Lent::Single { origin, .. } | Lent::Shared { origin, .. } => origin,
        }
    }

    /// Returns the addresses of the connection, as reqwest attaches them to a response.
    pub(crate) fn extensions(&self) -> Extensions {
        let mut extensions = Extensions::new();
        match &self.lent {
            Lent::Single { connection: Some(live), .. } => live.connected.get_extras(&mut extensions),
            Lent::Single { connection: None, .. } => {}
            Lent::Shared { connection, .. } => connection.connected.get_extras(&mut extensions),
        }
        extensions
    }

    /// Returns true if other requests can use the connection although this one failed.
    pub(crate) fn carries_on(&self) -> bool {
        matches!(&self.lent, Lent::Shared { connection, .. } if connection.connection.is_open())
    }

    /// Ends the connection after this request, or earlier if the server has closed it.
    pub(crate) fn end(mut self, by_server: bool) {
        match &mut self.lent {
            Lent::Single { connection, .. } => {
                connection.take().inspect(|live| {
                    if by_server {
                        live.life.end_by_server()
                    }
                });
            }
            Lent::Shared { origin, connection } => {
                self.pool.of(origin, |state| state.shared.retain(|live| !Arc::ptr_eq(live, connection)));
                if by_server {
                    connection.life.end_by_server();
                }
            }
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        match &mut self.lent {
            Lent::Single { origin, connection } => {
                let kept = connection.take().filter(|live| {
                    let is_reusable = live.connection.is_reusable();
                    if live.connection.is_closed_by_server() {
                        live.life.end_by_server();
                    }
                    is_reusable
                });
                self.pool.free(origin, |state| match kept {
                    Some(live) => state.idle.push(live),
                    None => state.single -= 1,
                });
            }
            Lent::Shared { origin, connection } => {
                connection.connection.free_stream();
                self.pool.free(origin, |_| {});
            }
        }
    }
}
