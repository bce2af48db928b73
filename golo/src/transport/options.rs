//! Options of the transport: where requests go, and by which connections, TLS and HTTP versions.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::transport::proxy::Proxy;

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

/// HTTP versions that may be used: value of `--http`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Versions {
    /// The version that the server chooses during the TLS handshake, or HTTP/1.1 without TLS.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    Http2,
    /// HTTP/3.
    Http3,
}

/// An address for a host and port: value of `--resolve`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// Host name in lower case.
    pub host: String,
    /// Port of the URL.
    pub port: u16,
    /// Address to connect to.
    pub address: IpAddr,
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

/// TLS version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
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
