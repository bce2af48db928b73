//! Exchange of one request for one response, on whichever connection can carry it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method};
use reqwest::Url;

use crate::error::RequestErrorKind;
use crate::error::transport::TransportError;
use crate::transport::clock::Phase;
use crate::transport::message::{Broken, BrokenAt, Head, Hop, Payload, Progress};
use crate::transport::pool::Pool;
use crate::transport::settings::Settings;
use crate::{ConnectionEvent, Sink};

/// Largest number of times that a request is sent again because the server did not process it.
const RESENDS: u32 = 3;

/// A complete response.
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Bytes,
    /// Addresses of the connection.
    pub(crate) extensions: Extensions,
}

/// Means by which a request is sent.
pub(crate) struct Means<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) pool: &'a Pool,
    pub(crate) sink: &'a Arc<dyn Sink>,
}

/// Sends a request and reads the whole response.
///
/// A request that the server did not process is sent again on another connection: one for which the server had already
/// closed the connection, if it is idempotent, and one that the server refused (GOAWAY, REFUSED_STREAM).
pub(crate) async fn send(
    method: &Method,
    url: &Url,
    headers: &HeaderMap,
    payload: &mut Payload,
    means: &Means<'_>,
    progress: &mut Progress,
) -> Result<Answer, TransportError> {
    let Means { settings, pool, sink } = *means;
    let (mut resent, mut is_fresh) = (0, settings.no_keep_alive);
    loop {
        let mut lease = pool.acquire(url, settings, is_fresh, sink, progress).await?;
        let is_reused = lease.is_reused;
        sink.connection(if is_reused { ConnectionEvent::Reused } else { ConnectionEvent::Used });
        let origin = Arc::clone(lease.origin());
        let hop = Hop { method, url, headers, origin: &origin };
        let Broken { error, at } = match lease.exchange(&hop, payload, progress).await {
            Ok((head, body)) => {
                let extensions = lease.extensions();
                if settings.no_keep_alive {
                    lease.end(false);
                }
                return Ok(Answer { head, body, extensions });
            }
            Err(broken) => broken,
        };
        let is_stale = is_reused && matches!(at, BrokenAt::Unsent | BrokenAt::Unanswered);
        // The failure of one stream is not the end of its connection.
        if at != BrokenAt::Other || settings.no_keep_alive || !lease.carries_on() {
            lease.end(at != BrokenAt::Other);
        } else {
            drop(lease);
        }
        let again = payload.is_fresh()
            && match at {
                BrokenAt::Unsent => is_reused,
                BrokenAt::Unprocessed => settings.resends && resent < RESENDS,
                BrokenAt::Unanswered => settings.resends && is_reused && resent == 0 && hop.is_idempotent(),
                BrokenAt::Other => false,
            };
        if !again {
            return Err(match is_stale {
                true => TransportError::new(RequestErrorKind::Reset, "the server closed an idle connection"),
                false => error,
            });
        }
        if at != BrokenAt::Unsent {
            resent += 1;
            sink.connection(ConnectionEvent::Resent);
        }
        is_fresh |= at != BrokenAt::Unprocessed;
        progress.clock.enter(Phase::Blocked);
    }
}
