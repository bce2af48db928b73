//! One connection: its TLS handshake, its requests and its end.

use std::{net::IpAddr, pin::pin, sync::Arc, time::Duration};

use axum::{BoxError, Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, copy, sink};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::{either::Either, io::InspectReader, sync::CancellationToken};
use tower::ServiceExt as _;

use super::{Bounds, connections::Pace};

/// Largest head of a request, in bytes.
const HEAD: usize = 64 << 10;
/// Longest time for which a client may keep sending after the last response.
const LINGER: Duration = Duration::from_secs(2);
/// Most bytes that a client may send after the last response.
const LINGERING: u64 = 64 << 20;

/// The address of this machine that a request came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached(pub(super) IpAddr);

/// Settings and limits of all connections of a server.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) router: Router,
    pub(super) bounds: Bounds,
    /// Cancelled once the server is to stop.
    pub(super) stop: CancellationToken,
}

impl Service {
    /// Answers the requests of one connection until it is closed, or until it is idle and the server is to stop.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection fails. Only its client needs to see that.
    pub(super) async fn serve(self, stream: TcpStream, pace: Arc<Pace>) -> Result<(), BoxError> {
        let Self { tls, router, bounds, stop } = self;
        stream.set_nodelay(true)?;
        let reached = Reached(stream.local_addr()?.ip().to_canonical());
        let stream = match tls {
            Some(tls) => Either::Left(timeout(bounds.head, tls.accept(stream)).await??),
            None => Either::Right(stream),
        };
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(bounds.stall));
        let reads = Arc::clone(&pace);
        let mut stream = InspectReader::new(Box::pin(stream), move |bytes: &[u8]| reads.read(bytes.len()));
        let service = router.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(reached);
            request.extensions_mut().insert(Arc::clone(&pace));
            request.map(Body::new)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.head)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(&mut stream), TowerToHyperService::new(service));
        let mut connection = pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => Some(served),
            () = stop.cancelled() => None,
        };
        match served {
            Some(served) => served?,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await?;
            }
        }
        // If the client still sends a body, closing now would reset the connection, and the client would never read the
        // response.
        timeout(LINGER, copy(&mut stream.take(LINGERING), &mut sink())).await??;
        Ok(())
    }
}
