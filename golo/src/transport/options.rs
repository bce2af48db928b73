//! Options of the transport: where requests go, and by which connections, TLS and HTTP versions.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::Url;

use crate::BoxError;
use crate::metrics::trace;
use crate::support::setting_error::SettingError;
use crate::transport::http::{Identity, certificates};
use crate::transport::proxy::Proxy;

/// Maximum number of addresses to connect from.
const MAX_LOCAL_ADDRESSES: usize = 65_536;

static OPTIONS: RwLock<Option<Arc<TransportOptions>>> = RwLock::new(None);
/// Number of changes of the transport's settings: of the options, and of the load test's own settings.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Sets the options of this process.
pub(crate) fn set(options: TransportOptions) {
    trace::set(options.traceparent);
    *OPTIONS.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(options));
    changed();
}

/// Returns the options of this process.
pub(crate) fn current() -> Arc<TransportOptions> {
    OPTIONS.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}

/// Records that the settings of the transport have changed.
pub(crate) fn changed() {
    GENERATION.fetch_add(1, Release);
}

/// Returns the number of changes of the transport's settings. What was made from earlier settings is not used again.
pub(crate) fn generation() -> u64 {
    GENERATION.load(Acquire)
}

/// Options of the transport for one run or one served load test. What is `None` or empty was not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransportOptions {
    /// Use a new connection for each request.
    pub no_keep_alive: bool,
    /// Accept any certificate.
    pub insecure: bool,
    /// Proxy of the requests.
    pub proxy: Proxy,
    /// Owner of connections.
    pub connections: Option<Connections>,
    /// HTTP version of the requests.
    pub http: Option<Versions>,
    /// Addresses that are used instead of a lookup.
    pub resolve: Vec<Resolve>,
    /// Lookup of host names.
    pub dns: Dns,
    /// Socket to connect to instead of the URL's host.
    pub unix_socket: Option<PathBuf>,
    /// Addresses of this machine to connect from, in turn.
    pub local_addresses: Vec<IpAddr>,
    /// File of PEM certificates that are trusted in addition to those of the system.
    pub cacert: Option<PathBuf>,
    /// File of the client's certificate and its chain, in PEM.
    pub cert: Option<PathBuf>,
    /// File of the client's private key, in PEM.
    pub key: Option<PathBuf>,
    /// Lowest TLS version.
    pub tls_min: Option<TlsVersion>,
    /// Highest TLS version.
    pub tls_max: Option<TlsVersion>,
    /// Fail a request whose kept connection the server has closed, instead of sending it again.
    pub no_resend: bool,
    /// Way in which redirects are recorded.
    pub redirects: Redirects,
    /// Send the header `traceparent` with each request.
    pub traceparent: bool,
}

impl TransportOptions {
    /// Checks that the options can be used together.
    ///
    /// # Errors
    ///
    /// Returns an error that names the options that contradict each other.
    pub(crate) fn check(&self) -> Result<(), SettingError> {
        match (&self.cert, &self.key) {
            (Some(cert), None) => {
                return Err(format!("`--cert {}` needs `--key` with its private key", cert.display()).into());
            }
            (None, Some(key)) => {
                return Err(format!("`--key {}` needs `--cert` with its certificate", key.display()).into());
            }
            _ => {}
        }
        if let (Some(min), Some(max)) = (self.tls_min, self.tls_max)
            && min > max
        {
            return Err(format!("`--tls-min {min}` is above `--tls-max {max}`").into());
        }
        let has_proxy = self.proxy != Proxy::None;
        let is_http3 = self.http == Some(Versions::Http3);
        let is_to_socket = self.unix_socket.is_some();
        for (is_contradiction, one, other) in [
            (is_to_socket && has_proxy, "--unix-socket", "--proxy"),
            (is_to_socket && !self.resolve.is_empty(), "--unix-socket", "--resolve"),
            (is_to_socket && !self.local_addresses.is_empty(), "--unix-socket", "--local-address"),
            (is_http3 && has_proxy, "--http 3", "--proxy"),
            (is_http3 && is_to_socket, "--http 3", "--unix-socket"),
            (is_http3 && self.tls_max == Some(TlsVersion::V1_2), "--http 3", "--tls-max 1.2"),
        ] {
            if is_contradiction {
                return Err(format!("`{one}` cannot be combined with `{other}`").into());
            }
        }
        Ok(())
    }

    /// Checks that this program supports the options.
    pub(crate) fn check_features(&self) -> Result<(), SettingError> {
        self.proxy.check_features()?;
        self.http.unwrap_or_default().check_features().map_err(|error| format!("`--http 3` {error}").into())
    }

    /// Returns the flags without a value, and whether each is set.
    #[must_use]
    pub fn switches(&self) -> [(&'static str, bool); 4] {
        [
            ("no-keep-alive", self.no_keep_alive),
            ("insecure", self.insecure),
            ("no-resend", self.no_resend),
            ("traceparent", self.traceparent),
        ]
    }

    /// Returns the flags with a value, and their values as texts that parse to the same options. The value of a flag
    /// that is not set is `None`.
    #[must_use]
    pub fn values(&self) -> [(&'static str, Option<String>); 13] {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let resolve: Vec<_> = self.resolve.iter().map(ToString::to_string).collect();
        [
            ("proxy", (self.proxy != Proxy::None).then(|| self.proxy.key())),
            ("connections", self.connections.map(|connections| connections.to_string())),
            ("http", self.http.map(|versions| versions.to_string())),
            ("resolve", (!resolve.is_empty()).then(|| resolve.join(","))),
            ("dns", (self.dns != Dns::default()).then(|| self.dns.to_string())),
            ("unix-socket", path(&self.unix_socket)),
            ("local-address", (!self.local_addresses.is_empty()).then(|| ranges(&self.local_addresses))),
            ("cacert", path(&self.cacert)),
            ("cert", path(&self.cert)),
            ("key", path(&self.key)),
            ("tls-min", self.tls_min.map(|version| version.to_string())),
            ("tls-max", self.tls_max.map(|version| version.to_string())),
            ("redirects", (self.redirects != Redirects::default()).then(|| self.redirects.to_string())),
        ]
    }

    /// Returns the flags that are set.
    #[must_use]
    pub fn flags(&self) -> Vec<&'static str> {
        let switches = self.switches().into_iter().filter(|(_, is_on)| *is_on).map(|(flag, _)| flag);
        let values = self.values().into_iter().filter(|(_, value)| value.is_some()).map(|(flag, _)| flag);
        switches.chain(values).collect()
    }

    /// Returns the environment variables that set these options. A variable of an option that is not set is empty, so
    /// that an inherited one does not override these options.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let switches = self.switches().map(|(flag, is_on)| (flag, is_on.then(|| "1".to_owned())));
        let all = switches.into_iter().chain(self.values());
        all.map(|(flag, value)| (variable_of(flag), value.unwrap_or_default())).collect()
    }

    /// Returns the flags that name a file of this machine, with their files.
    #[must_use]
    pub fn files(&self) -> Vec<(&'static str, &PathBuf)> {
        let files =
            [("unix-socket", &self.unix_socket), ("cacert", &self.cacert), ("cert", &self.cert), ("key", &self.key)];
        files.into_iter().filter_map(|(flag, file)| Some((flag, file.as_ref()?))).collect()
    }

    /// Reads the trusted certificates of `--cacert`, in PEM.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read or has no certificate.
    pub(crate) fn read_cacert(&self) -> Result<Option<Vec<u8>>, BoxError> {
        let Some(file) = &self.cacert else { return Ok(None) };
        let pem = read("--cacert", file)?;
        certificates(&pem).map_err(|error| format!("`--cacert {}`: {error}", file.display()))?;
        Ok(Some(pem))
    }

    /// Reads the certificate of `--cert` and the private key of `--key`.
    ///
    /// # Errors
    ///
    /// Returns an error if a file cannot be read, or does not contain what it should.
    pub(crate) fn read_identity(&self) -> Result<Option<Identity>, BoxError> {
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else { return Ok(None) };
        let identity = Identity::from_pem(read("--cert", cert)?, read("--key", key)?);
        let (cert, key) = (cert.display(), key.display());
        identity.map(Some).map_err(|error| format!("`--cert {cert}` with `--key {key}`: {error}").into())
    }
}

/// Returns the environment variable of a flag: that of `tls-min` is `GOLO_TLS_MIN`.
pub(crate) fn variable_of(flag: &str) -> String {
    format!("GOLO_{}", flag.to_uppercase().replace('-', "_"))
}

fn read(flag: &str, file: &PathBuf) -> Result<Vec<u8>, BoxError> {
    std::fs::read(file).map_err(|error| format!("`{flag} {}` cannot be read: {error}", file.display()).into())
}

/// Owner of connections: value of `--connections`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Connections {
    /// Each user has its own connections and keeps them between triggers.
    #[default]
    PerUser,
    /// Each trigger has its own connections.
    PerTrigger,
    /// The users of a worker share connections.
    Shared,
    /// All users share this number of connections to each origin.
    Number(NonZeroU32),
}

impl FromStr for Connections {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "per-user" => Ok(Self::PerUser),
            "per-trigger" => Ok(Self::PerTrigger),
            "shared" => Ok(Self::Shared),
            _ => match whole_number(text) {
                Some(number) => Ok(Self::Number(number)),
                None => Err("expected `per-user`, `per-trigger`, `shared`, or a number of connections above 0".into()),
            },
        }
    }
}

/// Parses a number of digits only.
fn whole_number<N: FromStr>(text: &str) -> Option<N> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerUser => f.write_str("per-user"),
            Self::PerTrigger => f.write_str("per-trigger"),
            Self::Shared => f.write_str("shared"),
            Self::Number(number) => number.fmt(f),
        }
    }
}

/// HTTP versions that may be used: value of `--http`, and of [`Http::version`](crate::Http::version).
///
/// ```
/// assert_eq!("2".parse(), Ok(golo::Versions::Http2));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Versions {
    /// The version that the server chooses during the TLS handshake, or HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    Http2,
    /// HTTP/3. Needs the feature `http3`.
    Http3,
}

impl Versions {
    /// Checks that this program supports the version.
    pub(crate) fn check_features(self) -> Result<(), SettingError> {
        match self {
            Self::Http3 if !cfg!(feature = "http3") => Err("needs a load test with golo's feature `http3`".into()),
            _ => Ok(()),
        }
    }
}

impl FromStr for Versions {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "auto" => Ok(Self::Auto),
            "1.1" => Ok(Self::Http1),
            "2" => Ok(Self::Http2),
            "3" => Ok(Self::Http3),
            _ => Err("expected `auto`, `1.1`, `2` or `3`".into()),
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Http1 => "1.1",
            Self::Http2 => "2",
            Self::Http3 => "3",
        })
    }
}

/// An address for a host and port: value of `--resolve`. Several values for one host and port are several addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// Host as in a parsed URL: in lower case, in ASCII, and an IPv6 address in brackets.
    pub host: String,
    /// Port of the URL.
    pub port: u16,
    /// Address to connect to.
    pub address: IpAddr,
}

impl FromStr for Resolve {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let wrong = || "expected HOST:PORT:ADDRESS, as in `shop.example:443:127.0.0.1`";
        // The colons of an IPv6 address in brackets belong to the host.
        let end = if text.starts_with('[') { text.find(']').ok_or_else(wrong)? } else { 0 };
        let (host, rest) = text.split_at(end + text[end..].find(':').ok_or_else(wrong)?);
        let (port, address) = rest[1..].split_once(':').ok_or_else(wrong)?;
        let port = whole_number(port).filter(|port| *port > 0).ok_or_else(wrong)?;
        let is_plain = !host.is_empty() && !host.contains(['/', '?', '#', '@', '\\']);
        let url = Url::parse(&format!("http://{host}/")).ok().filter(|_| is_plain).ok_or_else(wrong)?;
        let address = match address.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            None => address.parse().ok(),
        };
        let host = url.host_str().ok_or_else(wrong)?.to_owned();
        Ok(Self { host, port, address: address.ok_or_else(wrong)? })
    }
}

impl fmt::Display for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, address } = self;
        match address {
            IpAddr::V4(address) => write!(f, "{host}:{port}:{address}"),
            IpAddr::V6(address) => write!(f, "{host}:{port}:[{address}]"),
        }
    }
}

/// Lookup of host names: value of `--dns`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Time for which the addresses of a name are kept.
    pub ttl: Duration,
    /// Choice among the addresses of a name.
    pub select: Select,
    /// Kinds of addresses.
    pub family: Family,
}

impl Default for Dns {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(1), select: Select::default(), family: Family::default() }
    }
}

impl FromStr for Dns {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (mut ttl, mut select, mut family) = (None, None, None);
        for part in text.split(',') {
            let is_new = match part.split_once('=') {
                Some(("ttl", value)) => ttl.replace(seconds(value)?).is_none(),
                Some(("select", value)) => select.replace(value.parse()?).is_none(),
                Some(("family", value)) => family.replace(value.parse()?).is_none(),
                _ => return Err(format!("`{part}`: expected `ttl=…`, `select=…` or `family=…`").into()),
            };
            if !is_new {
                let (key, _) = part.split_once('=').unwrap_or_default();
                return Err(format!("`{key}` is given twice").into());
            }
        }
        let Self { ttl: usual, .. } = Self::default();
        Ok(Self { ttl: ttl.unwrap_or(usual), select: select.unwrap_or_default(), family: family.unwrap_or_default() })
    }
}

/// Parses the time for which addresses are kept: `30s`, or a number of seconds.
fn seconds(text: &str) -> Result<Duration, SettingError> {
    let ttl = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    ttl.ok_or_else(|| format!("`ttl={text}`: expected a time, as in `ttl=30s`").into())
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ttl = humantime::format_duration(self.ttl).to_string().replace(' ', "");
        write!(f, "ttl={ttl},select={},family={}", self.select, self.family)
    }
}

/// Choice of the address that a new connection tries first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Select {
    /// Each address in turn.
    #[default]
    RoundRobin,
    /// The first address.
    First,
    /// A random address.
    Random,
}

impl FromStr for Select {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "round-robin" => Ok(Self::RoundRobin),
            "first" => Ok(Self::First),
            "random" => Ok(Self::Random),
            _ => Err(format!("`select={text}`: expected `round-robin`, `first` or `random`").into()),
        }
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RoundRobin => "round-robin",
            Self::First => "first",
            Self::Random => "random",
        })
    }
}

/// Kinds of addresses that may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6.
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl FromStr for Family {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "any" => Ok(Self::Any),
            "4" => Ok(Self::V4),
            "6" => Ok(Self::V6),
            _ => Err(format!("`family={text}`: expected `any`, `4` or `6`").into()),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::V4 => "4",
            Self::V6 => "6",
        })
    }
}

/// Addresses of this machine: value of `--local-address`, with its ranges expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalAddresses(Vec<IpAddr>);

impl LocalAddresses {
    /// Joins the addresses of several flags.
    pub(crate) fn join(all: Vec<Self>) -> Result<Vec<IpAddr>, SettingError> {
        let addresses: Vec<_> = all.into_iter().flat_map(|Self(addresses)| addresses).collect();
        check_number(addresses.len())?;
        Ok(addresses)
    }
}

fn check_number(addresses: usize) -> Result<(), SettingError> {
    if addresses <= MAX_LOCAL_ADDRESSES {
        return Ok(());
    }
    Err(format!("`--local-address` has {addresses} addresses: expected at most {MAX_LOCAL_ADDRESSES}").into())
}

impl FromStr for LocalAddresses {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        let mut all = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (Ok(first), Ok(last)) = (first.parse::<IpAddr>(), last.parse::<IpAddr>()) else {
                let expected = "expected an address, or a range as in `10.0.0.1-10.0.0.9`";
                return Err(format!("`{part}`: {expected}").into());
            };
            if first.is_ipv4() != last.is_ipv4() {
                return Err(format!("`{part}`: expected two IPv4 addresses or two IPv6 addresses").into());
            }
            if first.is_unspecified() {
                return Err(format!("`{part}`: expected an address of this machine, not `{first}`").into());
            }
            let (from, to) = (number(first), number(last));
            let further = to.checked_sub(from);
            let further = further.ok_or_else(|| format!("`{part}`: expected the lower address first"))?;
            let count = usize::try_from(further).unwrap_or(usize::MAX).saturating_add(1);
            check_number(all.len().saturating_add(count))?;
            all.extend((0..count).filter_map(|index| address(from + index as u128, first.is_ipv4())));
        }
        Ok(Self(all))
    }
}

/// Returns an address as a number.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// Returns the address of a number.
fn address(number: u128, is_v4: bool) -> Option<IpAddr> {
    match is_v4 {
        true => Some(IpAddr::V4(u32::try_from(number).ok()?.into())),
        false => Some(IpAddr::V6(number.into())),
    }
}

/// Returns addresses as a list of ranges.
fn ranges(addresses: &[IpAddr]) -> String {
    let is_next = |one: &IpAddr, next: &IpAddr| {
        one.is_ipv4() == next.is_ipv4() && number(*one).checked_add(1) == Some(number(*next))
    };
    let shown = addresses.chunk_by(is_next).map(|range| match range {
        [first, .., last] => format!("{first}-{last}"),
        _ => range.iter().map(ToString::to_string).collect(),
    });
    shown.collect::<Vec<_>>().join(",")
}

/// TLS version, for [`Http::tls_min`](crate::Http::tls_min) and [`Http::tls_max`](crate::Http::tls_max).
///
/// ```
/// assert!(golo::TlsVersion::V1_2 < golo::TlsVersion::V1_3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl FromStr for TlsVersion {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "1.2" => Ok(Self::V1_2),
            "1.3" => Ok(Self::V1_3),
            _ => Err("expected `1.2` or `1.3`".into()),
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        })
    }
}

/// Way in which redirects are recorded: value of `--redirects`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Redirects {
    /// A request and its redirects are one `Output`.
    #[default]
    Together,
    /// Each redirect is an `Output` of its own.
    Separate,
}

impl FromStr for Redirects {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        match text {
            "follow" => Ok(Self::Together),
            "separate" => Ok(Self::Separate),
            _ => Err("expected `follow` or `separate`".into()),
        }
    }
}

impl fmt::Display for Redirects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Together => "follow",
            Self::Separate => "separate",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::{Strategy as _, any};
    use proptest::{prop_assert_eq, sample::select};

    use super::*;

    #[track_caller]
    fn assert_read_back<T: FromStr<Err = SettingError> + fmt::Display + Debug + PartialEq>(texts: &[&str]) {
        for text in texts {
            let value: T = text.parse().unwrap();
            assert_eq!(&value.to_string(), text);
        }
    }

    #[track_caller]
    fn assert_wrong<T: FromStr<Err = SettingError> + Debug>(texts: &[&str], expected: &str) {
        for text in texts {
            let error = text.parse::<T>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn words_are_read_back_and_no_others_are_accepted() {
        assert_read_back::<Connections>(&["per-user", "per-trigger", "shared", "1", "4294967295"]);
        let texts = ["", "0", "-1", "+1", "1.5", "4294967296", "per_user", "Shared", " 1"];
        assert_wrong::<Connections>(&texts, "expected `per-user`, `per-trigger`, `shared`, or a number");
        assert_read_back::<Versions>(&["auto", "1.1", "2", "3"]);
        assert_wrong::<Versions>(&["", "1", "1.0", "h2", "2.0", "4"], "expected `auto`, `1.1`, `2` or `3`");
        assert_read_back::<TlsVersion>(&["1.2", "1.3"]);
        assert_wrong::<TlsVersion>(&["", "1.1", "1", "TLSv1.3"], "expected `1.2` or `1.3`");
        assert_read_back::<Redirects>(&["follow", "separate"]);
        assert_wrong::<Redirects>(&["", "together", "none"], "expected `follow` or `separate`");
    }

    #[test]
    fn resolve_reads_hosts_and_addresses_as_curl_does() {
        for (text, host, port, address, shown) in [
            ("Shop.Example:443:127.0.0.1", "shop.example", 443, "127.0.0.1", "shop.example:443:127.0.0.1"),
            ("a:1:::1", "a", 1, "::1", "a:1:[::1]"),
            ("a:1:[::1]", "a", 1, "::1", "a:1:[::1]"),
            ("[::1]:80:10.0.0.1", "[::1]", 80, "10.0.0.1", "[::1]:80:10.0.0.1"),
            (
                "münchen.example:80:10.0.0.1",
                "xn--mnchen-3ya.example",
                80,
                "10.0.0.1",
                "xn--mnchen-3ya.example:80:10.0.0.1",
            ),
        ] {
            let resolve: Resolve = text.parse().unwrap();
            assert_eq!(resolve, Resolve { host: host.to_owned(), port, address: address.parse().unwrap() });
            assert_eq!(resolve.to_string(), shown);
            assert_eq!(shown.parse(), Ok(resolve));
        }
        let texts = [
            "",
            "a",
            "a:1",
            "a:1:",
            ":1:10.0.0.1",
            "a:0:10.0.0.1",
            "a:65536:10.0.0.1",
            "a:+1:10.0.0.1",
            "a:1:b",
            "a:1:[10.0.0.1]",
            "a:1:[::1",
            "[::1",
            "[::1]",
            "u@a:1:10.0.0.1",
            "a/b:1:10.0.0.1",
            "http://a:1:10.0.0.1",
            "a:1:10.0.0.1:2",
        ];
        assert_wrong::<Resolve>(&texts, "expected HOST:PORT:ADDRESS, as in `shop.example:443:127.0.0.1`");
    }

    #[test]
    fn dns_takes_each_part_at_most_once() {
        let dns = |text: &str| text.parse::<Dns>().unwrap();
        let usual = Dns::default();
        assert_eq!(dns("ttl=30s"), Dns { ttl: Duration::from_secs(30), ..usual.clone() });
        assert_eq!(dns("ttl=0"), Dns { ttl: Duration::ZERO, ..usual.clone() });
        assert_eq!(dns("family=6,select=random"), Dns { family: Family::V6, select: Select::Random, ..usual });
        assert_read_back::<Dns>(&["ttl=1m30s,select=first,family=4", "ttl=500ms,select=round-robin,family=any"]);
        assert_wrong::<Dns>(&["", "30s", "ttl", "timeout=1s", "ttl=1s,"], "expected `ttl=…`, `select=…` or `family=…`");
        assert_wrong::<Dns>(&["ttl=", "ttl=soon", "ttl=-1", "ttl=NaN"], "expected a time, as in `ttl=30s`");
        assert_wrong::<Dns>(&["select=last"], "`select=last`: expected `round-robin`, `first` or `random`");
        assert_wrong::<Dns>(&["ttl=1s,family=5"], "`family=5`: expected `any`, `4` or `6`");
        assert_wrong::<Dns>(&["ttl=1s,family=4,ttl=1s"], "`ttl` is given twice");
    }

    #[test]
    fn ranges_of_local_addresses_are_expanded() {
        let addresses = |text: &str| text.parse::<LocalAddresses>().unwrap().0;
        let shown: Vec<_> = addresses("10.0.0.254-10.0.1.1,::1").iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1", "::1"]);
        assert_eq!(addresses("10.0.0.0-10.0.255.255").len(), 65_536);
        assert_eq!(addresses("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").len(), 1);
        assert_eq!(ranges(&addresses("10.0.0.1,10.0.0.2,10.0.0.4,::2-::9")), "10.0.0.1-10.0.0.2,10.0.0.4,::2-::9");
        let expected = "expected an address, or a range as in `10.0.0.1-10.0.0.9`";
        assert_wrong::<LocalAddresses>(&["", "a", "10.0.0.1,", "10.0.0.1-", "10.0.0.1-2-3", "[::1]"], expected);
        assert_wrong::<LocalAddresses>(&["10.0.0.1-::1"], "expected two IPv4 addresses or two IPv6 addresses");
        assert_wrong::<LocalAddresses>(&["0.0.0.0", "::", "0.0.0.0-0.0.0.9"], "expected an address of this machine");
        assert_wrong::<LocalAddresses>(&["10.0.0.2-10.0.0.1"], "expected the lower address first");
        let texts = ["10.0.0.0-10.1.0.0", "::1-ffff::", "10.0.0.0-10.0.255.255,10.1.0.0"];
        assert_wrong::<LocalAddresses>(&texts, "addresses: expected at most 65536");
        let halves = || ["10.0.0.0-10.0.255.255", "::1"].map(|text| text.parse().unwrap());
        assert!(LocalAddresses::join(halves().into()).is_err());
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let file = || Some(PathBuf::from("x.pem"));
        let proxy = || "http://127.0.0.1:3128".parse().unwrap();
        let local = || vec![IpAddr::from([127, 0, 0, 2])];
        let usual = TransportOptions::default;
        for (options, expected) in [
            (TransportOptions { cert: file(), ..usual() }, "`--cert x.pem` needs `--key` with its private key"),
            (TransportOptions { key: file(), ..usual() }, "`--key x.pem` needs `--cert` with its certificate"),
            (
                TransportOptions { tls_min: Some(TlsVersion::V1_3), tls_max: Some(TlsVersion::V1_2), ..usual() },
                "`--tls-min 1.3` is above `--tls-max 1.2`",
            ),
            (
                TransportOptions { unix_socket: file(), proxy: proxy(), ..usual() },
                "`--unix-socket` cannot be combined with `--proxy`",
            ),
            (
                TransportOptions { unix_socket: file(), local_addresses: local(), ..usual() },
                "`--unix-socket` cannot be combined with `--local-address`",
            ),
            (
                TransportOptions { http: Some(Versions::Http3), proxy: proxy(), ..usual() },
                "`--http 3` cannot be combined with `--proxy`",
            ),
            (
                TransportOptions { http: Some(Versions::Http3), unix_socket: file(), ..usual() },
                "`--http 3` cannot be combined with `--unix-socket`",
            ),
            (
                TransportOptions { http: Some(Versions::Http3), tls_max: Some(TlsVersion::V1_2), ..usual() },
                "`--http 3` cannot be combined with `--tls-max 1.2`",
            ),
        ] {
            assert_eq!(options.check().unwrap_err().to_string(), expected);
        }
        assert_eq!(TransportOptions { cert: file(), key: file(), ..usual() }.check(), Ok(()));
    }

    #[test]
    fn variable_of_an_option_that_is_not_set_is_empty() {
        let options = TransportOptions { insecure: true, http: Some(Versions::Http2), ..TransportOptions::default() };
        let set: Vec<_> = options.variables().into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(set, [pair("GOLO_INSECURE", "1"), pair("GOLO_HTTP", "2")]);
        assert!(options.variables().contains(&pair("GOLO_NO_KEEP_ALIVE", "")));
        assert_eq!(options.flags(), ["insecure", "http"]);
    }

    #[test]
    fn http_3_needs_its_feature() {
        let options = TransportOptions { http: Some(Versions::Http3), ..TransportOptions::default() };
        let checked = options.check_features().map_err(|error| error.to_string());
        let needed = || Err("`--http 3` needs a load test with golo's feature `http3`".to_owned());
        assert_eq!(checked, if cfg!(feature = "http3") { Ok(()) } else { needed() });
    }

    proptest::proptest! {
        #[test]
        fn any_resolve_is_read_back(host in "[a-z][a-z0-9]{0,9}(\\.[a-z]{1,5})?", port in 1u16.., address in any::<IpAddr>()) {
            let resolve = Resolve { host, port, address };
            prop_assert_eq!(resolve.to_string().parse(), Ok(resolve));
        }

        #[test]
        fn any_dns_is_read_back(
            ttl in (0u64..1_000_000_000, 0u32..1_000_000_000).prop_map(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds)),
            choice in select(vec![Select::RoundRobin, Select::First, Select::Random]),
            family in select(vec![Family::Any, Family::V4, Family::V6]),
        ) {
            let dns = Dns { ttl, select: choice, family };
            prop_assert_eq!(dns.to_string().parse(), Ok(dns));
        }

        #[test]
        fn any_local_addresses_are_read_back(
            starts in proptest::collection::vec((any::<IpAddr>(), 1u128..50), 1..9),
        ) {
            let expand = |(first, count): (IpAddr, u128)| {
                let from = number(first).max(1);
                (0..count).filter_map(move |index| address(from.checked_add(index)?, first.is_ipv4()))
            };
            let addresses: Vec<_> = starts.into_iter().flat_map(expand).collect();
            prop_assert_eq!(ranges(&addresses).parse(), Ok(LocalAddresses(addresses)));
        }
    }
}
