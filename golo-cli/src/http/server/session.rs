//! Sessions of browsers. A browser cannot send a bearer token when a person opens a page, so a page exchanges the token
//! for a cookie.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method, Uri, header, uri::Authority};
use rand::{TryRng as _, rngs::SysRng};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{Failure, Secret, Token};

/// Path that exchanges the token for a cookie.
pub const SESSION: &str = "/session";

/// Policy of all pages: scripts and styles come from files of this server only, and no other page may frame them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Pages that a server offers to browsers.
#[derive(Clone)]
pub struct Pages {
    /// HTML of the page that asks for the token.
    pub login: &'static str,
    /// Beginning of the paths that need no token, because they contain nothing of a run.
    pub open: &'static str,
    /// Sessions of the browsers.
    pub sessions: Sessions,
}

/// Sessions of browsers. Clones share them.
#[derive(Clone)]
pub struct Sessions(Arc<Kept>);

struct Kept {
    token: Option<Token>,
    /// Value of the cookie, which is made of the token and of random bytes.
    value: String,
    is_tls: bool,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Sessions {
    /// Creates the sessions of a server. They end with its process.
    ///
    /// # Errors
    ///
    /// Returns an error if the system has no random numbers.
    pub fn new(token: Option<Token>, is_tls: bool) -> Result<Self, Failure> {
        let mut random = [0; 32];
        SysRng.try_fill_bytes(&mut random).map_err(|error| format!("no random numbers: {error}"))?;
        let mut hash = Sha256::new();
        hash.update(random);
        if let Some(token) = &token {
            hash.update(token.hash());
        }
        let value = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(Arc::new(Kept { token, value, is_tls })))
    }

    /// Returns the cookie for a browser that has sent this token to `host`. Returns `None` if the token is wrong.
    #[must_use]
    pub fn open(&self, token: &Secret, host: &Authority) -> Option<HeaderValue> {
        let Kept { token: known, value, is_tls } = &*self.0;
        known.as_ref().filter(|known| known.is(token.reveal()))?;
        let secure = if *is_tls { "; Secure" } else { "" };
        let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Strict{secure}", name(host));
        HeaderValue::from_str(&cookie).ok()
    }

    /// True if the request has the cookie. A request that changes something must also come from a page of this server.
    pub(super) fn allow(&self, method: &Method, headers: &HeaderMap, host: &Authority) -> bool {
        let name = name(host);
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let is_known = pairs.any(|(key, value)| key == name && value.as_bytes().ct_eq(self.0.value.as_bytes()).into());
        // Foreign values of both headers have been refused already.
        let is_own_page = headers.contains_key(header::ORIGIN)
            || headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
        is_known && (is_own_page || matches!(*method, Method::GET | Method::HEAD))
    }
}

/// Returns the name of the cookie. Browsers share cookies between the ports of a host, so it contains the port.
fn name(host: &Authority) -> String {
    host.port_u16().map_or_else(|| "golo_session".to_owned(), |port| format!("golo_session_{port}"))
}

/// True if a person opens a page, for example by a link on a page of another site. That reads nothing for the other site
/// and changes nothing.
pub(super) fn is_opened(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|given| given == value);
    *method == Method::GET && is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document")
}

/// True if the client shows HTML.
pub(super) fn shows_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("text/html"))
}

/// Adds the headers of pages to a response.
pub(super) fn protect(headers: &mut HeaderMap) {
    let fixed = [
        ("content-security-policy", POLICY),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Returns the host that a request is for, which the server has checked.
#[must_use]
pub fn host_of(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.to_str().ok()?.parse::<Uri>().ok()?.into_parts().authority
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_is_not_the_token_and_needs_an_own_page_to_change_something() {
        let secret = Secret::from("hush-hush-hush-hush".to_owned());
        let sessions = Sessions::new(Some(Token::new(&secret).unwrap()), true).unwrap();
        let host: Authority = "127.0.0.1:8089".parse().unwrap();
        assert_eq!(sessions.open(&Secret::from("hush".to_owned()), &host), None);
        let cookie = sessions.open(&secret, &host).unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.starts_with("golo_session_8089=") && cookie.ends_with("; HttpOnly; SameSite=Strict; Secure"));
        assert!(!cookie.contains("hush"));
        let mut headers = HeaderMap::new();
        assert!(!sessions.allow(&Method::GET, &headers, &host));
        let pair = cookie.split(';').next().unwrap();
        headers.insert(header::COOKIE, HeaderValue::from_str(&format!("other=1; {pair}")).unwrap());
        assert!(sessions.allow(&Method::GET, &headers, &host) && !sessions.allow(&Method::POST, &headers, &host));
        headers.insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        assert!(sessions.allow(&Method::POST, &headers, &host));
        let other = Sessions::new(Some(Token::new(&secret).unwrap()), true).unwrap();
        assert!(!other.allow(&Method::GET, &headers, &host), "a cookie of another process");
    }
}
