//! Making connections: lookup, TCP by the address that answers first, proxies, TLS, and the choice of the HTTP version.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tower_service::Service;

use crate::error::transport::TransportError;
use crate::error::{NotAllowed, RequestErrorKind};
use crate::transport::clock::Phase;
use crate::transport::io::Io;
use crate::transport::message::Progress;
use crate::transport::origin::Origin;
use crate::transport::pool::Pool;
use crate::transport::settings::Settings;
use crate::transport::{targets, tls};

/// Time after which the next address of a name is tried too (RFC 8305, section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Makes a connection to `origin` for the client that `pool` belongs to, and puts its phases on the request's clock.
pub(crate) async fn connect(
    origin: &Origin,
    settings: &Settings,
    pool: &Pool,
    progress: &mut Progress,
) -> Result<Io, TransportError> {
    in_time(settings, connect_at_any_time(origin, settings, pool, false, progress)).await
}

/// Makes a connection to `origin` that is to become something else than HTTP: one of HTTP/1.1, and a tunnel through any
/// proxy.
#[cfg(feature = "websocket")]
pub(crate) async fn connect_to_upgrade(
    origin: &Origin,
    settings: &Settings,
    pool: &Pool,
    progress: &mut Progress,
) -> Result<Io, TransportError> {
    in_time(settings, connect_at_any_time(origin, settings, pool, true, progress)).await
}

/// Waits until a connection is made, at most for the time that the load test allows.
pub(super) async fn in_time<T>(
    settings: &Settings,
    made: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    match settings.connect_timeout {
        None => made.await,
        Some(limit) => timeout(limit, made).await.unwrap_or_else(|_| Err(TransportError::timeout())),
    }
}

async fn connect_at_any_time(
    origin: &Origin,
    settings: &Settings,
    pool: &Pool,
    is_upgrade: bool,
    progress: &mut Progress,
) -> Result<Io, TransportError> {
    let io = match &origin.proxy {
        None => Io::from(to_host(&origin.host, origin.port, settings, progress).await?),
        Some(proxy) => through(proxy, origin, settings, is_upgrade, progress).await?,
    };
    if !origin.is_https {
        return Ok(io);
    }
    progress.clock.enter(Phase::TlsHandshaking);
    let mut config = pool.tls(settings).map_err(|error| TransportError::new(RequestErrorKind::Tls, error))?;
    if is_upgrade {
        Arc::make_mut(&mut config).alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    tls::connect(config, &origin.host, io).await
}

/// A stream of bytes before TLS.
enum Plain {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl From<Plain> for Io {
    fn from(plain: Plain) -> Self {
        match plain {
            Plain::Tcp(stream) => Self::Tcp(stream),
            #[cfg(unix)]
            Plain::Unix(stream) => Self::Unix(stream),
        }
    }
}

#[cold]
fn not_allowed(reason: NotAllowed) -> TransportError {
    TransportError::new(RequestErrorKind::Other, reason)
}

/// Connects to a host by its name or address.
async fn to_host(host: &str, port: u16, settings: &Settings, progress: &mut Progress) -> Result<Plain, TransportError> {
    #[cfg(unix)]
    if let Some(path) = &settings.unix_socket {
        targets::check_unix_socket().map_err(not_allowed)?;
        progress.clock.enter(Phase::Connecting);
        return tokio::net::UnixStream::connect(path).await.map(Plain::Unix).map_err(TransportError::connect);
    }
    let addresses = addresses(host, port, settings, progress).await?;
    progress.clock.enter(Phase::Connecting);
    let stream = race(&addresses, settings).await.map_err(TransportError::connect)?;
    // Fails only if the connection is gone already, which the exchange then reports.
    let _ = stream.set_nodelay(true);
    Ok(Plain::Tcp(stream))
}

/// Returns the addresses of a host in the order in which they are tried.
pub(super) async fn addresses(
    host: &str,
    port: u16,
    settings: &Settings,
    progress: &mut Progress,
) -> Result<Vec<SocketAddr>, TransportError> {
    targets::check_host(host, port).map_err(not_allowed)?;
    if let Some(addresses) = settings.resolver.known(host, port) {
        if settings.resolver.is_fixed(host, port) {
            addresses.iter().try_for_each(|address| targets::check_address(*address)).map_err(not_allowed)?;
        }
        return Ok(addresses);
    }
    progress.clock.enter(Phase::Dns);
    let looked_up = settings.resolver.look_up(host, port).await;
    looked_up.map_err(|error| TransportError::new(RequestErrorKind::Dns, error))
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Connects to the address that answers first. Each address is tried 250 ms after the one before, or at once if that
/// failed.
async fn race(addresses: &[SocketAddr], settings: &Settings) -> io::Result<TcpStream> {
    let mut rest = addresses.iter();
    let start = |address: &SocketAddr| attempt(*address, settings.local_address(*address));
    let Some(first) = rest.next() else { return Err(io::ErrorKind::AddrNotAvailable.into()) };
    if addresses.len() == 1 {
        return start(first).await;
    }
    let mut attempts: Vec<Attempt> = vec![Box::pin(start(first))];
    let mut failed = None;
    loop {
        let mut pause = pin!(sleep(NEXT_ADDRESS));
        let has_rest = rest.len() > 0;
        let event = poll_fn(|context| {
            let ready = poll_any(&mut attempts, context);
            if ready.is_ready() {
                return ready.map(Some);
            }
            match has_rest {
                true => pause.as_mut().poll(context).map(|()| None),
                false => Poll::Pending,
            }
        });
        match event.await {
            Some(Ok(stream)) => return Ok(stream),
            // The first failure is about the address that should have been used.
            Some(Err(error)) => failed = failed.or(Some(error)),
            None => {}
        }
        match (rest.next(), failed.is_some() && attempts.is_empty()) {
            (Some(next), _) => attempts.push(Box::pin(start(next))),
            (None, true) => return Err(failed.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())),
            (None, false) => {}
        }
    }
}

/// Polls attempts, and removes the one that has ended.
fn poll_any(attempts: &mut Vec<Attempt>, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
    for at in 0..attempts.len() {
        if let Poll::Ready(result) = attempts[at].as_mut().poll(context) {
            drop(attempts.remove(at));
            return Poll::Ready(result);
        }
    }
    Poll::Pending
}

async fn attempt(address: SocketAddr, local: Option<std::net::IpAddr>) -> io::Result<TcpStream> {
    let Some(local) = local else { return TcpStream::connect(address).await };
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.bind(SocketAddr::new(local, 0))?;
    socket.connect(address).await
}

/// Connects to an origin through a proxy.
async fn through(
    proxy: &Intercept,
    origin: &Origin,
    settings: &Settings,
    is_upgrade: bool,
    progress: &mut Progress,
) -> Result<Io, TransportError> {
    let invalid = || TransportError::new(RequestErrorKind::Connect, "the proxy has no host");
    let (scheme, host) = (proxy.uri().scheme_str().unwrap_or("http"), proxy.uri().host().ok_or_else(invalid)?);
    let is_socks = scheme.starts_with("socks");
    let port = proxy.uri().port_u16().unwrap_or(match scheme {
        "https" => 443,
        _ if is_socks => 1080,
        _ => 80,
    });
    let mut io = Io::from(to_host(host, port, settings, progress).await?);
    if scheme == "https" {
        let config = settings.tls_of_proxy().map_err(|error| TransportError::new(RequestErrorKind::Tls, error))?;
        io = tls::connect(config, host, io).await?;
    }
    let target = format!("{}:{}", origin.host, origin.port);
    let target: Uri =
        target.parse().map_err(|error: http::uri::InvalidUri| TransportError::new(RequestErrorKind::Connect, error))?;
    if is_socks {
        return socks(proxy, scheme, target, io).await;
    }
    if !origin.is_https && !is_upgrade {
        return Ok(io);
    }
    let mut tunnel = Tunnel::new(proxy.uri().clone(), Made(Some(TokioIo::new(io))));
    if let Some(auth) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(auth.clone());
    }
    let io = tunnel.call(target).await.map_err(|error| TransportError::new(RequestErrorKind::Connect, error))?;
    Ok(Io::Proxied(Box::new(io.into_inner())))
}

#[cfg(feature = "socks")]
async fn socks(proxy: &Intercept, scheme: &str, target: Uri, io: Io) -> Result<Io, TransportError> {
    use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5};

    let made = Made(Some(TokioIo::new(io)));
    let is_local = matches!(scheme, "socks4" | "socks5");
    let failed = |error: &dyn std::fmt::Display| TransportError::new(RequestErrorKind::Connect, error.to_string());
    let io = if scheme.starts_with("socks4") {
        let mut socks = SocksV4::new(proxy.uri().clone(), made).local_dns(is_local);
        socks.call(target).await.map_err(|error| failed(&error))?
    } else {
        let mut socks = SocksV5::new(proxy.uri().clone(), made).local_dns(is_local);
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        socks.call(target).await.map_err(|error| failed(&error))?
    };
    Ok(Io::Proxied(Box::new(io.into_inner())))
}

#[cfg(not(feature = "socks"))]
async fn socks(_: &Intercept, scheme: &str, _: Uri, _: Io) -> Result<Io, TransportError> {
    let error = format!("the proxy's scheme `{scheme}` needs golo's feature `socks`");
    Err(TransportError::new(RequestErrorKind::Connect, error))
}

/// A connector that returns a connection which has been made.
struct Made(Option<TokioIo<Io>>);

impl Service<Uri> for Made {
    type Response = TokioIo<Io>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<TokioIo<Io>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        std::future::ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}
