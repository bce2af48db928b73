//! One connection: its TLS, its requests, and an end that lets the client read the last answer.

use std::{
    io,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::watch,
    time::{Sleep, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::{Bounds, pace::Pace};

/// Most bytes of a request's head.
const HEAD: usize = 64 << 10;
/// How long a client may go on sending what nobody reads any more, and how much of it.
const LINGER: Duration = Duration::from_secs(2);
const LINGERING: usize = 64 << 20;

/// The address of this machine that a request came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reached(pub(super) IpAddr);

/// Answers the requests of one connection until it is closed, is to give way, or is idle once the server is to stop.
pub(super) async fn serve(
    stream: TcpStream,
    tls: Option<Arc<rustls::ServerConfig>>,
    router: Router,
    bounds: Bounds,
    pace: Arc<Pace>,
    stopped: watch::Receiver<bool>,
) {
    let leaving = Arc::clone(&pace);
    let answering = async move {
        // Where that fails the connection is gone already.
        _ = stream.set_nodelay(true);
        let Ok(address) = stream.local_addr() else { return };
        let reached = Reached(address.ip().to_canonical());
        match tls {
            None => requests(stream, reached, router, bounds, pace, stopped).await,
            Some(config) => {
                if let Ok(Ok(stream)) = timeout(bounds.head, TlsAcceptor::from(config).accept(stream)).await {
                    requests(stream, reached, router, bounds, pace, stopped).await;
                }
            }
        }
    };
    tokio::select! {
        () = answering => {}
        () = leaving.left() => {}
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    reached: Reached,
    router: Router,
    bounds: Bounds,
    pace: Arc<Pace>,
    mut stopped: watch::Receiver<bool>,
) {
    let stream = Polite::new(stream, bounds.stall, Arc::clone(&pace));
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(reached);
        request.extensions_mut().insert(Arc::clone(&pace));
        request.map(Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    // What goes wrong with a connection is its client's to see.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.wait_for(|is| *is) => {}
    }
    connection.as_mut().graceful_shutdown();
    _ = connection.await;
}

/// A stream that fails where its client stops reading, and that is closed only once the client has stopped sending: one
/// that still sends a body would have its connection reset, and never read why it was refused.
struct Polite<S> {
    stream: S,
    stall: Duration,
    pace: Arc<Pace>,
    writing: Option<Pin<Box<Sleep>>>,
    closing: Option<Pin<Box<Sleep>>>,
    left: usize,
}

impl<S> Polite<S> {
    fn new(stream: S, stall: Duration, pace: Arc<Pace>) -> Self {
        Self { stream, stall, pace, writing: None, closing: None, left: LINGERING }
    }

    /// What writing gave, unless that has been waited for too long.
    fn in_time<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let stall = self.stall;
        ready!(self.writing.get_or_insert_with(|| Box::pin(sleep(stall))).as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Polite<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.pace.read(buffer.filled().len() - before);
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Polite<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = Pin::new(&mut self.stream).poll_flush(context);
        self.in_time(context, written)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            let shut = Pin::new(&mut self.stream).poll_shutdown(context);
            ready!(self.in_time(context, shut))?;
            self.closing = Some(Box::pin(sleep(LINGER)));
        }
        let mut space = [0; 8 << 10];
        while self.left > 0 {
            let mut unread = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(context, &mut unread) {
                Poll::Ready(Ok(())) if !unread.filled().is_empty() => {
                    self.left = self.left.saturating_sub(unread.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    if let Some(closing) = &mut self.closing {
                        ready!(closing.as_mut().poll(context));
                    }
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}
