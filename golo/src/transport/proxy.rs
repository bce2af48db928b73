//! Proxy of the requests. The default is none.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::{ClientBuilder, Url};

use crate::support::secrets::{url_without_credentials, without_credentials};
use crate::support::setting_error::SettingError;

/// Proxy in use, as a matcher of URLs.
static MATCHER: RwLock<Option<Arc<Matcher>>> = RwLock::new(None);

const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// Value of `--proxy`. [`Display`](fmt::Display) and `Debug` leave out user and password.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Proxy {
    /// Send requests directly to the target.
    #[default]
    None,
    /// Use the proxies of the environment variables, and with the feature `system-proxy` those of the system.
    Environment,
    /// Use this proxy for every request.
    Url(Url),
}

impl Proxy {
    /// Returns a text that parses to the same value, including user and password.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Url(url) => url.to_string(),
            other => other.to_string(),
        }
    }

    /// Checks that this program supports the proxy.
    pub(crate) fn check_features(&self) -> Result<(), SettingError> {
        match self {
            Self::Url(url) if url.scheme().starts_with("socks") && !cfg!(feature = "socks") => {
                Err(format!("the proxy `{self}` needs a load test with golo's feature `socks`").into())
            }
            _ => Ok(()),
        }
    }

    /// Configures a client to use the proxy.
    pub(crate) fn apply(&self, builder: ClientBuilder) -> Result<ClientBuilder, reqwest::Error> {
        Ok(match self {
            // Without this, reqwest would use the proxies of the environment.
            Self::None => builder.no_proxy(),
            Self::Environment => from_environment(builder.no_proxy())?,
            Self::Url(url) => builder.no_proxy().proxy(reqwest::Proxy::all(url.clone())?),
        })
    }

    /// Makes this the proxy of the process, for [`used_for`].
    pub(crate) fn install(&self) {
        let matcher = match self {
            Self::None => None,
            Self::Environment => Some(Matcher::from_system()),
            Self::Url(url) => Some(Matcher::builder().all(url.to_string()).build()),
        };
        *MATCHER.write().unwrap_or_else(PoisonError::into_inner) = matcher.map(Arc::new);
    }
}

/// Adds the proxies of the environment to a reqwest client. reqwest leaves them out once any proxy is added.
fn from_environment(mut builder: ClientBuilder) -> Result<ClientBuilder, reqwest::Error> {
    type Make = fn(String) -> Result<reqwest::Proxy, reqwest::Error>;
    let kinds: [(&str, Make); 3] = [
        ("http_proxy", reqwest::Proxy::http::<String>),
        ("https_proxy", reqwest::Proxy::https::<String>),
        ("all_proxy", reqwest::Proxy::all::<String>),
    ];
    for (name, make) in kinds {
        let value = std::env::var(name).or_else(|_| std::env::var(name.to_ascii_uppercase()));
        if let Some(url) = value.ok().filter(|url| !url.is_empty()) {
            builder = builder.proxy(make(url)?.no_proxy(reqwest::NoProxy::from_env()));
        }
    }
    Ok(builder)
}

/// Returns the proxy that a request to `url` uses, with its credentials.
pub(crate) fn intercept(url: &Url) -> Option<Intercept> {
    let matcher = MATCHER.read().unwrap_or_else(PoisonError::into_inner).clone()?;
    matcher.intercept(&url.as_str().parse().ok()?)
}

/// Returns the proxy that a request to `url` uses, without user and password.
pub(crate) fn used_for(url: &Url) -> Option<Url> {
    intercept(url)?.uri().to_string().parse().ok().map(with_port)
}

/// Adds the default port to a SOCKS proxy without one. `Url` has no default port for SOCKS.
pub(crate) fn with_port(mut proxy: Url) -> Url {
    if proxy.scheme().starts_with("socks") && proxy.port().is_none() {
        // Cannot fail, because there is a host.
        let _ = proxy.set_port(Some(1080));
    }
    proxy
}

/// Returns a proxy's name for reports.
pub(crate) fn shown(proxy: &Url) -> String {
    url_without_credentials(proxy).as_str().trim_end_matches('/').to_owned()
}

/// Returns true if programs take a proxy from the environment variable `name`.
pub(crate) fn is_variable(name: &str) -> bool {
    ["http_proxy", "https_proxy", "all_proxy"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// A proxy of a client that the load test has built.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ClientProxy {
    Known(Url),
    /// One that a function chooses, or that cannot be told.
    Unknown,
}

/// Returns the proxies of a client, from its debug text: reqwest does not show them otherwise.
pub(crate) fn of_client(text: &str) -> Vec<ClientProxy> {
    let Some((_, proxies)) = text.split_once(" proxies: [") else { return Vec::new() };
    let mut depth = 1;
    let end = proxies.find(|c| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        depth == 0
    });
    let proxies = &proxies[..end.unwrap_or(proxies.len())];
    let known = proxies.split("uri: ").skip(1).map(|rest| {
        let uri = rest.split([' ', ',', '}']).next().unwrap_or_default();
        uri.parse().map_or(ClientProxy::Unknown, |url| ClientProxy::Known(with_port(url)))
    });
    // A proxy that a function chooses is shown as `_`.
    let unknown = proxies.split(", ").filter(|shown| *shown == "_").map(|_| ClientProxy::Unknown);
    known.chain(unknown).collect()
}

/// Returns the proxies that requests to any of `origins` use.
pub(crate) fn used_for_any<'o>(origins: impl IntoIterator<Item = &'o str>) -> Vec<String> {
    let urls = origins.into_iter().filter_map(|origin| origin.parse().ok());
    let mut proxies: Vec<_> = urls.filter_map(|url| used_for(&url)).map(|proxy| shown(&proxy)).collect();
    proxies.sort_unstable();
    proxies.dedup();
    proxies
}

impl FromStr for Proxy {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "none" => return Ok(Self::None),
            "env" => return Ok(Self::Environment),
            _ => {}
        }
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url: Option<Url> = whole.parse().ok();
        let is_proxy = |url: &Url| {
            let has_more = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
            SCHEMES.contains(&url.scheme()) && url.host_str().is_some_and(|host| !host.is_empty()) && !has_more
        };
        url.filter(is_proxy).map(Self::Url).ok_or_else(|| {
            let shown = without_credentials(&whole);
            let shown = if whole == text { &*shown } else { shown.trim_start_matches("http://") };
            format!("`{shown}`: expected `env`, `none`, or a URL as in `http://127.0.0.1:3128`").into()
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Environment => f.write_str("env"),
            Self::Url(url) => f.write_str(&shown(url)),
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Unparsed value of `--proxy`. clap prints a value that it cannot parse, and this one may contain a password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ProxyText(String);

impl ProxyText {
    /// Parses the value.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not `env`, `none` or the URL of a proxy.
    pub(crate) fn read(&self) -> Result<Proxy, SettingError> {
        self.0.parse()
    }
}

impl From<&str> for ProxyText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for ProxyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyText(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::client::install_provider;

    #[test]
    fn proxy_parses_urls_and_hosts_and_never_shows_a_password() {
        for (text, shown, key) in [
            ("env", "env", "env"),
            ("none", "none", "none"),
            ("127.0.0.1:3128", "http://127.0.0.1:3128", "http://127.0.0.1:3128/"),
            ("https://ann:secret@proxy.example", "https://proxy.example", "https://ann:secret@proxy.example/"),
            ("ann:secret@proxy.example:1", "http://proxy.example:1", "http://ann:secret@proxy.example:1/"),
            ("socks5h://u:p@[::1]:1080", "socks5h://[::1]:1080", "socks5h://u:p@[::1]:1080"),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(
                (proxy.to_string(), format!("{proxy:?}"), proxy.key()),
                (shown.into(), shown.into(), key.into())
            );
            assert_eq!(proxy.key().parse(), Ok(proxy));
        }
        for text in ["", "ftp://h", "http://", "http://h/path", "http://h?q", "http://ann:secret@h:port", "a b"] {
            let error = text.parse::<Proxy>().unwrap_err().to_string();
            assert!(error.contains("expected `env`, `none`, or a URL") && !error.contains("secret"), "{error}");
        }
        assert!(!format!("{:?}", ProxyText::from("http://ann:secret@h")).contains("secret"));
    }

    #[test]
    fn proxies_of_a_client_are_found() {
        install_provider();
        let of = |builder: ClientBuilder| of_client(&format!("{:?}", builder.build().unwrap()));
        let builder = || reqwest::Client::builder().no_proxy();
        let known = |url: &str| ClientProxy::Known(url.parse().unwrap());
        assert_eq!(of(builder()), []);
        let https = reqwest::Proxy::https("http://ann:secret@[::1]:9").unwrap();
        let all = reqwest::Proxy::all("http://proxy.example").unwrap().no_proxy(reqwest::NoProxy::from_string("a,b"));
        assert_eq!(of(builder().proxy(https)), [known("http://[::1]:9")]);
        // One for each scheme.
        assert_eq!(of(builder().proxy(all)), [known("http://proxy.example"), known("http://proxy.example")]);
        let chosen = reqwest::Proxy::custom(|_| Some("http://proxy.example"));
        assert_eq!(of(builder().proxy(chosen)), [ClientProxy::Unknown]);
    }

    #[test]
    fn socks_proxy_needs_its_feature() {
        let checked = "socks5://127.0.0.1".parse::<Proxy>().unwrap().check_features();
        assert_eq!(checked.is_ok(), cfg!(feature = "socks"));
        assert_eq!("http://127.0.0.1".parse::<Proxy>().unwrap().check_features(), Ok(()));
    }
}
