//! Origins: the scheme, host and port of a URL, and what is known about each.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use hyper_util::client::proxy::matcher::Intercept;
use reqwest::Url;

use crate::HttpVersion;
use crate::transport::proxy;

/// Scheme, host and port of a target.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) is_https: bool,
    /// Host as in the URL, an IPv6 address with its brackets.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    /// Host, and the port unless it is the scheme's default.
    pub(crate) authority: Box<str>,
    /// Proxy of requests to this origin.
    pub(crate) proxy: Option<Intercept>,
    /// Version that the last connection spoke, or 0.
    speaks: AtomicU8,
}

impl Origin {
    /// Returns the origin of a URL. Returns `None` if the URL has no host.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Some(Self {
            is_https: url.scheme() == "https",
            host: host.into(),
            port: url.port_or_known_default()?,
            authority: authority.into(),
            proxy: proxy::intercept(url),
            speaks: AtomicU8::new(0),
        })
    }

    /// Returns true if `url` has this origin.
    pub(crate) fn is_of(&self, url: &Url) -> bool {
        self.is_https == (url.scheme() == "https")
            && Some(self.port) == url.port_or_known_default()
            && url.host_str() == Some(&self.host)
    }

    /// Returns the HTTP proxy that receives requests in plain text, if there is one.
    pub(crate) fn plain_proxy(&self) -> Option<&Intercept> {
        self.proxy.as_ref().filter(|proxy| !self.is_https && !is_socks(proxy))
    }

    /// Returns true if each request needs a connection of its own, as far as is known.
    pub(crate) fn is_known_to_speak_http1(&self) -> bool {
        self.speaks.load(Relaxed) == 1
    }

    /// Records the version that a new connection speaks.
    pub(crate) fn speaks(&self, version: HttpVersion) {
        self.speaks.store(if version == HttpVersion::Http1 { 1 } else { 2 }, Relaxed);
    }
}

fn is_socks(proxy: &Intercept) -> bool {
    proxy.uri().scheme_str().is_some_and(|scheme| scheme.starts_with("socks"))
}
