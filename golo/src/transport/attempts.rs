//! What reqwest does while it sends one request: redirects that it follows, and connections that it makes.
//!
//! reqwest tells of neither. Its redirect policy and its connector are golo's, and both run while the request is polled,
//! so they note what they see in a thread-local that belongs to the request for the time of that poll.

use std::{cell::Cell, future::poll_fn, pin::pin};

use reqwest::{Method, StatusCode};

thread_local! {
    static CURRENT: Cell<Attempts> = const { Cell::new(Attempts::NONE) };
}

/// What was seen of one request so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// Redirects that were followed.
    redirects: u32,
    /// Those of them that golo followed itself, since reqwest could not send the body again.
    own: u32,
    /// How often the target has answered after it was handed the body.
    bodies: u32,
    /// Whether a redirect turns it into a `GET`, unless the redirect says otherwise.
    is_post: bool,
    /// Whether what is sent now has no body, since a redirect took it away.
    has_no_body: bool,
    /// Whether a redirect came that is not followed.
    is_over: bool,
    /// Whether a connection is being made for it.
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

    /// A request that is yet to be sent.
    pub(crate) fn of(method: &Method) -> Self {
        Self { is_post: *method == Method::POST, ..Self::NONE }
    }

    /// Number of redirects that were followed.
    pub(crate) fn redirects(&self) -> u32 {
        self.redirects
    }

    /// How often the body was handed to a connection, once the request has ended.
    pub(crate) fn bodies(&self, has_responded: bool) -> u32 {
        let is_handed = has_responded || !self.is_connecting;
        self.bodies + u32::from(is_handed && !self.has_no_body && !self.is_over)
    }

    /// Notes a response that redirects.
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

    /// Notes a redirect that golo follows itself. How much went out of the body so far is counted elsewhere.
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

/// Notes a response that redirects the request that is polled.
pub(crate) fn redirected(status: StatusCode, is_followed: bool) {
    update(|attempts| attempts.redirect(status, is_followed));
}

/// Number of redirects that golo itself has followed for the request that is polled.
pub(crate) fn followed_before() -> usize {
    CURRENT.get().own as usize
}

/// Notes whether a connection is being made for the request that is polled.
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
    fn a_body_goes_out_again_unless_a_redirect_takes_it_away() {
        assert_eq!(after(&Method::POST, &[]), (0, 1));
        assert_eq!(after(&Method::POST, &[307, 308]), (2, 3));
        assert_eq!(after(&Method::POST, &[302, 307]), (2, 1));
        assert_eq!(after(&Method::PUT, &[302, 301]), (2, 3));
        assert_eq!(after(&Method::PUT, &[303, 307]), (2, 1));
    }

    #[test]
    fn a_body_is_not_handed_over_before_there_is_a_connection() {
        let mut attempts = Attempts { is_connecting: true, ..Attempts::of(&Method::PUT) };
        assert_eq!((attempts.bodies(false), attempts.bodies(true)), (0, 1));
        attempts.redirect(StatusCode::TEMPORARY_REDIRECT, true);
        attempts.is_connecting = true;
        assert_eq!(attempts.bodies(false), 1, "the first target had it");
    }

    #[test]
    fn a_redirect_that_is_not_followed_is_no_request() {
        let mut attempts = Attempts::of(&Method::PUT);
        attempts.redirect(StatusCode::TEMPORARY_REDIRECT, false);
        assert_eq!((attempts.redirects(), attempts.bodies(false)), (0, 1));
    }

    #[tokio::test]
    async fn what_is_noted_belongs_to_the_request_that_is_polled() {
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
