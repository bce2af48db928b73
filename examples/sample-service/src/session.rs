//! Sessions: tokens, and the cookie or header that carries them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use rand::TryRng;
use rand::rngs::{SysError, SysRng};

use crate::refusal::Refusal;
use crate::routes::Service;

/// The password of every user.
pub const PASSWORD: &str = "secret";

pub(crate) const COOKIE_NAME: &str = "session";

/// Maximum number of sessions. Beyond it, the oldest one ends when another begins.
const MOST_SESSIONS: usize = 100_000;

/// Sessions of one service. A user may have any number of them.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    users: HashMap<u128, Arc<str>>,
    oldest_first: VecDeque<u128>,
}

impl Sessions {
    /// Starts a session and returns its token: 32 hexadecimal digits.
    pub(crate) fn begin(&self, user: &str) -> Result<String, SysError> {
        let token = (u128::from(SysRng.try_next_u64()?) << 64) | u128::from(SysRng.try_next_u64()?);
        let mut open = self.open();
        if open.oldest_first.len() == MOST_SESSIONS
            && let Some(oldest) = open.oldest_first.pop_front()
        {
            open.users.remove(&oldest);
        }
        open.users.insert(token, user.into());
        open.oldest_first.push_back(token);
        Ok(format!("{token:032x}"))
    }

    pub(crate) fn user(&self, token: &str) -> Option<Arc<str>> {
        let token = u128::from_str_radix(token, 16).ok()?;
        self.open().users.get(&token).cloned()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// User of a request that carries the token of an open session. Other requests are refused with 401.
pub(crate) struct SignedIn(pub(crate) Arc<str>);

impl FromRequestParts<Arc<Service>> for SignedIn {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<Service>) -> Result<Self, Refusal> {
        tokens(&parts.headers)
            .find_map(|token| service.sessions.user(token))
            .map(SignedIn)
            .ok_or_else(|| Refusal::new(StatusCode::UNAUTHORIZED, "not signed in: `POST /login` first"))
    }
}

/// Returns every token in the `Authorization` and `Cookie` headers.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let bearer = headers.get(AUTHORIZATION).into_iter().filter_map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    // HTTP/2 may send each cookie in its own header.
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let sessions = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| {
        let (name, token) = cookie.trim().split_once('=')?;
        (name == COOKIE_NAME).then_some(token)
    });
    bearer.chain(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_session_ends_when_there_are_too_many() {
        let sessions = Sessions::default();
        let first = sessions.begin("ada").unwrap();
        let second = sessions.begin("ada").unwrap();
        for _ in 2..MOST_SESSIONS {
            sessions.begin("crowd").unwrap();
        }
        assert_eq!(sessions.user(&first).as_deref(), Some("ada"));
        sessions.begin("crowd").unwrap();
        assert_eq!(sessions.user(&first), None);
        assert_eq!(sessions.user(&second).as_deref(), Some("ada"));
        assert_eq!(sessions.open().users.len(), MOST_SESSIONS);
    }
}
