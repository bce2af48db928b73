//! Record of reqwest's work for one request: the redirects that it follows and the connections that it makes.
//!
//! reqwest reports neither. But its redirect policy and its connector belong to golo and run while the request is
//! polled. They record what they see in a thread-local that belongs to the request during that poll.

use std::{cell::Cell, future::poll_fn, pin::pin};

use reqwest::{Method, StatusCode};

thread_local! {
    static CURRENT: Cell<Attempts> = const { Cell::new(Attempts::NONE) };
}

/// Events of one request so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// Number of redirects that were followed.
    redirects: u32,
    /// Number of those that golo followed itself, because reqwest could not send the body again.
    own: u32,
    /// Number of times that the target responded after it was sent the body.
    bodies: u32,
    /// True if the request is a `POST`, which most redirects turn into a `GET`.
    is_post: bool,
    /// True if the request has no body any more, because a redirect removed it.
    has_no_body: bool,
    /// True if a redirect arrived that is not followed.
    is_over: bool,
    /// True if a connection is being made for the request.
    is_connecting: bool,
}

impl Attempts {
    const NONE: Self = Self {
        redirects: 0,
        own: 0,
        bodies: 0,
        is_post: false,
        has_no_body: false,
        is_over: false,
        is_connecting: false,
    };

    /// Creates the record of a request that has not been sent.
    pub(crate) fn of(method: &Method) -> Self {
        Self { is_post: *method == Method::POST, ..Self::NONE }
    }

    /// Returns the number of redirects that were followed.
    pub(crate) fn redirects(&self) -> u32 {
        self.redirects
    }

    /// Returns the number of times that the body was passed to a connection, once the request has ended.
    pub(crate) fn bodies(&self, has_responded: bool) -> u32 {
        let is_handed = has_responded || !self.is_connecting;
        self.bodies + u32::from(is_handed && !self.has_no_body && !self.is_over)
    }

    /// Records a response that redirects.
    fn redirect(&mut self, status: StatusCode, is_followed: bool) {
        self.bodies += u32::from(!self.has_no_body);
        self.is_connecting = false;
        self.is_over = !is_followed;
        if is_followed {
            self.redirects += 1;
            self.has_no_body |= match status {
                StatusCode::SEE_OTHER => true,
                StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.is_post,
                _ => false,
            };
        }
    }

    /// Records a redirect that golo follows itself. The bytes sent so far are counted elsewhere.
    pub(crate) fn follow_counted(&mut self) {
        self.redirects += 1;
        self.own += 1;
        self.is_connecting = false;
    }
}

/// Polls `future`, which sends a request, and keeps `attempts` up to date.
pub(crate) async fn observed<F: Future>(future: F, attempts: &mut Attempts) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| {
        let outer = CURRENT.replace(*attempts);
        let polled = future.as_mut().poll(context);
        *attempts = CURRENT.replace(outer);
        polled
    })
    .await
}

/// Records a response that redirects the request being polled.
pub(crate) fn redirected(status: StatusCode, is_followed: bool) {
    update(|attempts| attempts.redirect(status, is_followed));
}

/// Returns the number of redirects that golo itself has followed for the request being polled.
pub(crate) fn followed_before() -> usize {
    CURRENT.get().own as usize
}

/// Records whether a connection is being made for the request being polled.
pub(crate) fn connecting(is_connecting: bool) {
    update(|attempts| attempts.is_connecting = is_connecting);
}

fn update(change: impl FnOnce(&mut Attempts)) {
    let mut attempts = CURRENT.get();
    change(&mut attempts);
    CURRENT.set(attempts);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(method: &Method, redirects: &[u16]) -> (u32, u32) {
        let mut attempts = Attempts::of(method);
        for status in redirects {
            attempts.redirect(StatusCode::from_u16(*status).unwrap(), true);
        }
        (attempts.redirects(), attempts.bodies(true))
    }

    #[test]
    fn body_is_sent_again_unless_a_redirect_removes_it() {
        assert_eq!(after(&Method::POST, &[]), (0, 1));
        assert_eq!(after(&Method::POST, &[307, 308]), (2, 3));
        assert_eq!(after(&Method::POST, &[302, 307]), (2, 1));
        assert_eq!(after(&Method::PUT, &[302, 301]), (2, 3));
        assert_eq!(after(&Method::PUT, &[303, 307]), (2, 1));
    }

    #[test]
    fn body_is_not_counted_before_there_is_a_connection() {
        let mut attempts = Attempts { is_connecting: true, ..Attempts::of(&Method::PUT) };
        assert_eq!((attempts.bodies(false), attempts.bodies(true)), (0, 1));
        attempts.redirect(StatusCode::TEMPORARY_REDIRECT, true);
        attempts.is_connecting = true;
        assert_eq!(attempts.bodies(false), 1, "the first target had it");
    }

    #[test]
    fn redirect_that_is_not_followed_is_not_counted() {
        let mut attempts = Attempts::of(&Method::PUT);
        attempts.redirect(StatusCode::TEMPORARY_REDIRECT, false);
        assert_eq!((attempts.redirects(), attempts.bodies(false)), (0, 1));
    }

    #[tokio::test]
    async fn events_belong_to_the_request_being_polled() {
        let (mut outer, mut inner) = (Attempts::default(), Attempts::default());
        redirected(StatusCode::FOUND, true);
        let nested = async {
            redirected(StatusCode::FOUND, true);
            observed(async { redirected(StatusCode::FOUND, true) }, &mut inner).await;
            tokio::task::yield_now().await;
            redirected(StatusCode::FOUND, true);
        };
        observed(nested, &mut outer).await;
        assert_eq!((outer.redirects(), inner.redirects()), (2, 1));
    }
}
