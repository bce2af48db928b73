//! Targets that a load test may use, if they are limited, as by an agent's `--allow-target`.

use std::{fmt, net::SocketAddr, sync::OnceLock};

use reqwest::{Client, Url};

use crate::error::NotAllowed;
use crate::support::setting_error::SettingError;
use crate::transport::client::has_own_policy;
use crate::transport::options::TransportOptions;
use crate::transport::proxy::{self, ClientProxy, Proxy};

/// Environment variable with the allowed targets, separated by commas: `127.0.0.1:8765,shop.example`.
const VARIABLE: &str = "GOLO_ALLOW_TARGETS";

static ALLOWED: OnceLock<Option<Vec<Target>>> = OnceLock::new();

/// A host, and its port unless any port is allowed.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: Option<u16>,
}

impl Target {
    /// Parses `HOST` or `HOST:PORT`. Returns `None` if the text is neither.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok().filter(|port| *port > 0)?)),
            _ => (text, None),
        };
        let is_plain = !host.contains(['/', '?', '#', '@', '\\']) && (host.starts_with('[') || !host.contains(':'));
        let url = Url::parse(&format!("http://{host}/")).ok().filter(|_| is_plain)?;
        Some(Self { host: url.host_str()?.to_owned(), port })
    }

    fn is_of(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        url.host_str() == Some(&self.host) && (self.port.is_none() || self.port == port)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Returns true if `text` is a target as in `GOLO_ALLOW_TARGETS`: `HOST` or `HOST:PORT`.
#[must_use]
pub fn is_target(text: &str) -> bool {
    !text.contains(',') && Target::parse(text).is_some()
}

/// Checks that a request may be sent to `url`. A proxy on the way must be allowed too, because it can reach any target.
pub(crate) fn check(url: &Url) -> Result<(), NotAllowed> {
    let Some(targets) = allowed() else { return Ok(()) };
    check_against(targets, url)?;
    match proxy::used_for(url) {
        None => Ok(()),
        Some(proxy) => check_proxy(targets, &proxy),
    }
}

/// Checks that a connection may be made to this host, of a target or of a proxy.
pub(crate) fn check_host(host: &str, port: u16) -> Result<(), NotAllowed> {
    let Some(targets) = allowed() else { return Ok(()) };
    let url = format!("http://{host}:{port}/").parse();
    // No connection can be made to a host that is none.
    url.map_or(Ok(()), |url| check_against(targets, &url))
}

/// Checks that a client of the load test's own makes no connection that [`check`] does not see: to a proxy, which may
/// come from the environment, or by a redirect.
pub(crate) fn check_client(client: &Client) -> Result<(), NotAllowed> {
    let Some(targets) = allowed() else { return Ok(()) };
    let text = format!("{client:?}");
    for proxy in proxy::of_client(&text) {
        match proxy {
            ClientProxy::Known(url) => check_proxy(targets, &url)?,
            ClientProxy::Unknown => return Err(not_by_client("uses a proxy that golo does not know", targets)),
        }
    }
    if has_own_policy(client) || text.contains("Policy(None)") {
        return Ok(());
    }
    Err(not_by_client("follows redirects to any target unless it is built with golo's builder", targets))
}

#[cold]
fn not_by_client(does: &str, targets: &[Target]) -> NotAllowed {
    NotAllowed { message: format!("the load test's own client {does}; allowed targets: {}", list(targets)) }
}

/// Checks that a connection may be made to an address that replaces the one of the URL's host, as by `--resolve`.
pub(crate) fn check_address(address: SocketAddr) -> Result<(), NotAllowed> {
    let Some(targets) = allowed() else { return Ok(()) };
    let url = format!("http://{address}/").parse();
    url.map_or(Ok(()), |url| check_against(targets, &url))
}

/// Checks that a connection may be made to a Unix socket instead of the URL's host. A list of targets names none.
#[cfg(unix)]
pub(crate) fn check_unix_socket() -> Result<(), NotAllowed> {
    let Some(targets) = allowed() else { return Ok(()) };
    let list = list(targets);
    Err(NotAllowed { message: format!("a Unix socket is not an allowed target; allowed targets: {list}") })
}

fn allowed() -> Option<&'static [Target]> {
    ALLOWED.get_or_init(|| std::env::var(VARIABLE).ok().and_then(|text| read(&text))).as_deref()
}

/// Ignores texts that are not targets. So a list of only invalid targets allows none, not all.
fn read(text: &str) -> Option<Vec<Target>> {
    (!text.is_empty()).then(|| text.split(',').filter_map(Target::parse).collect())
}

#[cold]
fn check_against(targets: &[Target], url: &Url) -> Result<(), NotAllowed> {
    if targets.iter().any(|target| target.is_of(url)) {
        return Ok(());
    }
    Err(NotAllowed { message: format!("its target is not allowed; allowed targets: {}", list(targets)) })
}

#[cold]
fn check_proxy(targets: &[Target], proxy: &Url) -> Result<(), NotAllowed> {
    if targets.iter().any(|target| target.is_of(proxy)) {
        return Ok(());
    }
    let (proxy, list) = (proxy::shown(proxy), list(targets));
    Err(NotAllowed { message: format!("the proxy `{proxy}` is not allowed; allowed targets: {list}") })
}

fn list(targets: &[Target]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Checks the proxies that the parameters of a job name, as `HTTP_PROXY` does, against the targets that an agent allows.
///
/// # Errors
///
/// Returns an error if one of them is not among the targets, or is no proxy.
pub fn check_proxies_among(targets: &[String], params: &[(String, String)]) -> Result<(), SettingError> {
    let targets: Vec<_> = targets.iter().filter_map(|target| Target::parse(target)).collect();
    for (name, value) in params.iter().filter(|(name, value)| proxy::is_variable(name) && !value.is_empty()) {
        let refused = |reason: String| SettingError::from(format!("`env` has `{name}`: {reason}"));
        match value.parse::<Proxy>() {
            Ok(Proxy::Url(url)) => {
                check_proxy(&targets, &proxy::with_port(url)).map_err(|error| refused(error.to_string()))?;
            }
            _ => return Err(refused("expected the URL of a proxy, as in `http://127.0.0.1:3128`".to_owned())),
        }
    }
    Ok(())
}

/// Checks the options of a job against the targets that an agent allows. Each must satisfy [`is_target`].
///
/// # Errors
///
/// Returns an error if the proxy or an address of `--resolve` is not one of the targets, or if there is a Unix socket.
pub fn check_among(targets: &[String], options: &TransportOptions) -> Result<(), SettingError> {
    let targets: Vec<_> = targets.iter().filter_map(|target| Target::parse(target)).collect();
    if let Proxy::Url(url) = &options.proxy {
        check_proxy(&targets, &proxy::with_port(url.clone())).map_err(|error| error.to_string())?;
    }
    for resolve in &options.resolve {
        let address = SocketAddr::new(resolve.address, resolve.port);
        let is_allowed =
            Url::parse(&format!("http://{address}/")).is_ok_and(|url| check_against(&targets, &url).is_ok());
        if !is_allowed {
            let list = list(&targets);
            return Err(format!("`--resolve {resolve}` is not allowed; allowed targets: {list}").into());
        }
    }
    match &options.unix_socket {
        Some(_) => Err(format!("`--unix-socket` is not allowed; allowed targets: {}", list(&targets)).into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(targets: &str, url: &str) -> bool {
        read(targets).is_none_or(|targets| check_against(&targets, &url.parse().unwrap()).is_ok())
    }

    #[test]
    fn target_matches_its_host_and_port() {
        assert!(is_allowed("", "http://anywhere.example/"));
        assert!(is_allowed("127.0.0.1:8765", "http://127.0.0.1:8765/items?x=1"));
        assert!(is_allowed("shop.example, 127.0.0.1", "https://Shop.Example:8443/"));
        assert!(is_allowed("shop.example:443", "https://shop.example/"));
        assert!(is_allowed("[::1]:80", "http://[::1]/") && is_allowed("[::1]", "http://[0:0::1]:9/"));
        for (targets, url) in [
            ("127.0.0.1:8765", "http://127.0.0.1:8766/"),
            ("127.0.0.1:8765", "http://localhost:8765/"),
            ("shop.example", "http://shop.example.evil.example/"),
            ("shop.example", "http://shop.example@evil.example/"),
            ("shop.example:443", "http://shop.example/"),
            ("not a target", "http://anywhere.example/"),
            (",", "http://anywhere.example/"),
        ] {
            assert!(!is_allowed(targets, url), "{targets}: {url}");
        }
    }

    #[test]
    fn options_lead_only_to_allowed_targets() {
        let targets = ["shop.example:443".to_owned(), "10.0.0.1:443".to_owned(), "[::1]".to_owned()];
        let resolve = |text: &str| TransportOptions { resolve: vec![text.parse().unwrap()], ..Default::default() };
        let check = |options| check_among(&targets, &options).map_err(|error| error.to_string());
        for text in ["shop.example:443:10.0.0.1", "shop.example:443:::1"] {
            assert_eq!(check(resolve(text)), Ok(()), "{text}");
        }
        for text in ["shop.example:443:10.0.0.2", "shop.example:80:10.0.0.1", "shop.example:443:::ffff:a00:1"] {
            assert!(check(resolve(text)).unwrap_err().contains("is not allowed; allowed targets: shop.example:443"));
        }
        let socket = TransportOptions { unix_socket: Some("s".into()), ..Default::default() };
        assert!(check(socket).unwrap_err().starts_with("`--unix-socket` is not allowed; allowed targets: "));
        let proxy = TransportOptions { proxy: "http://10.0.0.1:3128".parse().unwrap(), ..Default::default() };
        assert!(check(proxy).unwrap_err().contains("the proxy `http://10.0.0.1:3128` is not allowed"));
    }

    #[test]
    fn proxies_among_parameters_must_be_allowed() {
        let targets = ["shop.example".to_owned(), "10.0.0.1:3128".to_owned()];
        let check = |name: &str, value: &str| {
            check_proxies_among(&targets, &[("A".into(), "b".into()), (name.into(), value.into())])
                .map_err(|error| error.to_string())
        };
        for value in ["http://10.0.0.1:3128", "10.0.0.1:3128", "socks5://ann:secret@shop.example:9", ""] {
            assert_eq!(check("HTTPS_PROXY", value), Ok(()), "{value}");
        }
        assert_eq!(check("NO_PROXY", "anything"), Ok(()));
        for name in ["HTTP_PROXY", "https_proxy", "All_Proxy"] {
            let error = check(name, "http://ann:secret@10.0.0.1:9").unwrap_err();
            let reason = "the proxy `http://10.0.0.1:9` is not allowed; allowed targets: shop.example, 10.0.0.1:3128";
            assert_eq!(error, format!("`env` has `{name}`: {reason}"));
            assert!(check(name, "secret of ann").unwrap_err().contains("expected the URL of a proxy"));
        }
    }

    #[test]
    fn is_target_rejects_other_texts() {
        assert!(["127.0.0.1", "a.example:80", "[::1]", "[::1]:1"].into_iter().all(is_target));
        for text in ["", ":80", "a:b", "a:0", "::1", "http://a", "a/b", "u@a", "a,b", "a:99999"] {
            assert!(!is_target(text), "{text}");
        }
    }
}
