//! Flags for the transport: those of `run`, `serve` and `once`.

use std::path::PathBuf;

use clap::{ArgAction, Args, Command};

use super::RunArgs;
use crate::support::setting_error::SettingError;
use crate::transport::options::{
    Connections, Dns, LocalAddresses, Redirects, Resolve, TlsVersion, TransportOptions, Versions, variable_of,
};
use crate::transport::proxy::{Proxy, ProxyText};

/// Flags for the transport.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Transport")]
pub(in crate::runtime) struct TransportArgs {
    /// Connections of each user (per-user), of each trigger (per-trigger), of all users of a worker thread (shared), or
    /// this number of connections to each origin in the whole run [default: per-user]
    #[arg(long, value_name = "OWNER|N")]
    connections: Option<Connections>,
    /// Use a new connection for each request
    #[arg(long, action = ArgAction::SetTrue)]
    no_keep_alive: bool,
    /// Fail a request if the server has closed its kept connection, instead of sending it once more
    #[arg(long, action = ArgAction::SetTrue)]
    no_resend: bool,
    /// HTTP version: auto, 1.1, 2, or 3 (needs golo's feature `http3`) [default: auto]
    #[arg(long, value_name = "VERSION")]
    http: Option<Versions>,
    /// Record a redirected request as one request (follow), or each redirect as a request (separate) [default: follow]
    #[arg(long, value_name = "follow|separate")]
    redirects: Option<Redirects>,
    /// Send the header `traceparent` with each request: the trace ID is the sequence ID of its journey, and the span ID
    /// is its own. Reports show the trace IDs of slow journeys and failed requests
    #[arg(long, action = ArgAction::SetTrue)]
    traceparent: bool,
    /// Send requests through a proxy: http://HOST:PORT, or `env` to use HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and
    /// NO_PROXY, which are ignored otherwise [default: none]
    #[arg(long, value_name = "URL|env|none")]
    proxy: Option<ProxyText>,
    /// Connect to this address for a host and port, without a lookup: shop.example:443:127.0.0.1 (may be repeated, or a
    /// list with commas)
    #[arg(long, value_name = "HOST:PORT:ADDRESS", value_delimiter = ',')]
    resolve: Vec<Resolve>,
    /// Lookup of host names: ttl=TIME, select=round-robin|first|random, family=any|4|6, or several of them with commas
    /// [default: ttl=1s,select=round-robin,family=any]
    #[arg(long, value_name = "KEY=VALUE")]
    dns: Option<Dns>,
    /// Connect to this Unix socket instead of the host of the URL
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<PathBuf>,
    /// Connect from these addresses of this machine, in turn: 10.0.0.1, 10.0.0.1-10.0.0.9 (may be repeated, or a list
    /// with commas)
    #[arg(long, value_name = "ADDRESS")]
    local_address: Vec<LocalAddresses>,
    /// Accept any TLS certificate
    #[arg(long, action = ArgAction::SetTrue)]
    insecure: bool,
    /// Trust the CA certificates in this file, in addition to those of this machine
    #[arg(long, value_name = "FILE.pem")]
    cacert: Option<PathBuf>,
    /// Present the client certificate in this file, with its chain; needs --key
    #[arg(long, value_name = "FILE.pem")]
    cert: Option<PathBuf>,
    /// Private key of --cert
    #[arg(long, value_name = "FILE.pem")]
    key: Option<PathBuf>,
    /// Lowest TLS version, 1.2 or 1.3 [default: 1.2]
    #[arg(long, value_name = "VERSION")]
    tls_min: Option<TlsVersion>,
    /// Highest TLS version, 1.2 or 1.3 [default: 1.3]
    #[arg(long, value_name = "VERSION")]
    tls_max: Option<TlsVersion>,
}

impl TransportArgs {
    /// Returns these flags, with those that are not set taken from `below`.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            connections: self.connections.or(below.connections),
            no_keep_alive: self.no_keep_alive || below.no_keep_alive,
            no_resend: self.no_resend || below.no_resend,
            http: self.http.or(below.http),
            redirects: self.redirects.or(below.redirects),
            traceparent: self.traceparent || below.traceparent,
            proxy: self.proxy.or(below.proxy),
            resolve: if self.resolve.is_empty() { below.resolve } else { self.resolve },
            dns: self.dns.or(below.dns),
            unix_socket: self.unix_socket.or(below.unix_socket),
            local_address: if self.local_address.is_empty() { below.local_address } else { self.local_address },
            insecure: self.insecure || below.insecure,
            cacert: self.cacert.or(below.cacert),
            cert: self.cert.or(below.cert),
            key: self.key.or(below.key),
            tls_min: self.tls_min.or(below.tls_min),
            tls_max: self.tls_max.or(below.tls_max),
        }
    }

    /// Completes these flags with the defaults.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is invalid, or if flags contradict each other.
    pub(super) fn into_options(self) -> Result<TransportOptions, SettingError> {
        let options = TransportOptions {
            proxy: self.read_proxy().map_err(|error| format!("`--proxy`: {error}"))?,
            no_keep_alive: self.no_keep_alive,
            insecure: self.insecure,
            connections: self.connections,
            http: self.http,
            resolve: self.resolve,
            dns: self.dns.unwrap_or_default(),
            unix_socket: self.unix_socket,
            local_addresses: LocalAddresses::join(self.local_address)?,
            cacert: self.cacert,
            cert: self.cert,
            key: self.key,
            tls_min: self.tls_min,
            tls_max: self.tls_max,
            no_resend: self.no_resend,
            redirects: self.redirects.unwrap_or_default(),
            traceparent: self.traceparent,
        };
        options.check()?;
        Ok(options)
    }

    /// Completes the flags of `serve` or `once` from the environment, then with the defaults.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is invalid, if flags contradict each other, or if this program does not support one.
    pub(in crate::runtime) fn with_environment(
        self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<TransportOptions, SettingError> {
        let flags = Self::augment_args(Command::new(""));
        let names: Vec<_> = flags.get_arguments().filter_map(clap::Arg::get_long).map(variable_of).collect();
        let (environment, _) =
            <RunArgs>::of_environment(|name| names.iter().find(|own| *own == name).and_then(|_| variable(name)))?;
        let options = self.over(environment.transport).into_options()?;
        options.check_features()?;
        Ok(options)
    }

    /// Parses the proxy. Returns `Proxy::None` if there is none.
    pub(super) fn read_proxy(&self) -> Result<Proxy, SettingError> {
        self.proxy.as_ref().map_or(Ok(Proxy::None), ProxyText::read)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::call;
    use super::*;

    #[test]
    fn flags_take_precedence_over_variables() {
        let environment = [("GOLO_HTTP", "2"), ("GOLO_RESOLVE", "a:1:10.0.0.1,b:2:10.0.0.2"), ("GOLO_NO_RESEND", "1")];
        let options = call(&[], &environment).unwrap().transport;
        assert_eq!((options.http, options.resolve.len(), options.no_resend), (Some(Versions::Http2), 2, true));
        let flags = ["--http", "1.1", "--resolve", "a:1:10.0.0.3", "--dns", "family=4", "--local-address", "::1"];
        let options = call(&flags, &environment).unwrap().transport;
        assert_eq!((options.http, options.resolve.len()), (Some(Versions::Http1), 1));
        assert_eq!(options.local_addresses, ["::1".parse::<std::net::IpAddr>().unwrap()]);
    }

    #[test]
    fn contradictions_across_flags_and_variables_are_refused() {
        for (flags, environment, expected) in [
            (&["--cert", "c.pem"][..], &[][..], "`--cert c.pem` needs `--key`"),
            (&["--tls-max", "1.2"], &[("GOLO_TLS_MIN", "1.3")], "`--tls-min 1.3` is above `--tls-max 1.2`"),
            (&["--unix-socket", "s"], &[("GOLO_PROXY", "env")], "`--unix-socket` cannot be combined with `--proxy`"),
            (&[], &[("GOLO_CONNECTIONS", "many")], "`GOLO_CONNECTIONS` is `many`: expected `per-user`"),
            (&[], &[("GOLO_PROXY", "http://ann:hush@h/path")], "`GOLO_PROXY`: `http://h/path`: expected `env`"),
        ] {
            let error = call(flags, environment).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(call(&["--unix-socket", "s", "--proxy", "none"], &[("GOLO_PROXY", "env")]).is_ok());
    }
}
