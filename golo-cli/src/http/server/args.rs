//! The flags that agent and collector share.

use std::path::PathBuf;

use clap::Args;

use super::{Bounds, Failure, Secret, ServerOptions, Statuses, Token, tls};

/// Address of a server, and who may call it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// Address to listen on: HOST:PORT (port 0 takes a free one). If other machines can reach it, a token or TLS is needed
    /// [default: 127.0.0.1, port 8081 of an agent, 8082 of a collector]
    #[arg(long, value_name = "ADDRESS")]
    pub addr: Option<String>,
    /// Bearer token that clients must send. Other users of this machine can read command lines, so prefer the variable
    /// [env: GOLO_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<Secret>,
    /// Certificate for TLS, followed by its chain
    #[arg(long, value_name = "FILE.pem", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate
    #[arg(long, value_name = "FILE.pem", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Further host name of this server (may be repeated). Requests with another `Host` are refused, so that a web page
    /// cannot reach the server through a browser
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
}

/// Names of the flags of a server, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerFlags {
    /// Flag of the address.
    pub addr: &'static str,
    /// Flag of the token.
    pub token: &'static str,
    /// Variable with the token.
    pub token_variable: &'static str,
    /// Flag of the certificate.
    pub tls_cert: &'static str,
    /// Flag of the certificate's key.
    pub tls_key: &'static str,
    /// Flag of a further name.
    pub host: &'static str,
}

impl ServerFlags {
    /// Flags of agent and collector.
    pub const SERVER: Self = Self {
        addr: "--addr",
        token: "--token",
        token_variable: "GOLO_TOKEN",
        tls_cert: "--tls-cert",
        tls_key: "--tls-key",
        host: "--host",
    };
}

impl ServerArgs {
    /// Returns the settings: flags first, then the environment, then the defaults. `name` is the name of the server, `port`
    /// its usual port.
    ///
    /// # Errors
    ///
    /// Returns an error if a flag or a variable has a wrong value.
    pub fn into_options(
        self,
        name: &'static str,
        port: u16,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<ServerOptions, Failure> {
        self.into_options_by(ServerFlags::SERVER, name, port, variable)
    }

    /// As [`into_options`](Self::into_options), for flags with other names.
    ///
    /// # Errors
    ///
    /// Returns an error if a flag or a variable has a wrong value.
    pub fn into_options_by(
        self,
        flags: ServerFlags,
        name: &'static str,
        port: u16,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<ServerOptions, Failure> {
        let addr = self.addr.unwrap_or_else(|| format!("127.0.0.1:{port}"));
        let Some((host, _)) = addr.rsplit_once(':').filter(|(host, _)| !host.is_empty()) else {
            return Err(Failure::from(format!(
                "`{}` is `{addr}`: expected HOST:PORT, as 127.0.0.1:{port}",
                flags.addr
            )));
        };
        let (from, token) = match self.token {
            Some(token) => (flags.token, Some(token)),
            None => (flags.token_variable, variable(flags.token_variable).map(Secret::from)),
        };
        let token = token.map(|token| Token::new(&token)).transpose();
        let token = token.map_err(|error| Failure::from(format!("`{from}` {error}")))?;
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(tls::config(flags, certificate, key)?),
            (None, None) => None,
            _ => {
                let ServerFlags { tls_cert, tls_key, .. } = flags;
                return Err(Failure::from(format!(
                    "`{tls_cert}` and `{tls_key}` belong together: one of them is missing"
                )));
            }
        };
        let mut hosts = vec![host.to_owned()];
        for host in self.host {
            let is_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
            if host.is_empty() || (!is_address && host.contains([':', '/'])) {
                return Err(Failure::from(format!(
                    "`{}` is `{host}`: expected a name without a port, as load1.example",
                    flags.host
                )));
            }
            hosts.push(host);
        }
        let (bounds, statuses) = (Bounds::default(), Statuses::default());
        Ok(ServerOptions { name, addr, token, tls, hosts, bounds, statuses, flags, pages: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: ServerArgs, token: Option<&str>) -> Result<ServerOptions, Failure> {
        args.into_options("agent", 8081, |name| token.filter(|_| name == "GOLO_TOKEN").map(str::to_owned))
    }

    #[test]
    fn token_is_never_shown() {
        let args = ServerArgs { token: Some("hush-hush".to_owned().into()), ..ServerArgs::default() };
        assert!(!format!("{args:?}").contains("hush"), "{args:?}");
        let options = options(args, Some("elsewhere")).unwrap();
        assert!(!format!("{options:?}").contains("hush"), "{options:?}");
        let token = options.token.unwrap();
        assert_eq!([token.is("hush-hush"), token.is("elsewhere"), token.is("")], [true, false, false]);
    }

    #[test]
    fn error_names_the_flag_and_the_expected_value() {
        for (args, expected) in [
            (
                ServerArgs { addr: Some("8081".to_owned()), ..ServerArgs::default() },
                "`--addr` is `8081`: expected HOST:PORT",
            ),
            (
                ServerArgs { host: vec!["a:1".to_owned()], ..ServerArgs::default() },
                "`--host` is `a:1`: expected a name",
            ),
            (ServerArgs { token: Some(String::new().into()), ..ServerArgs::default() }, "`--token` is empty"),
        ] {
            let error = options(args, None).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = options(ServerArgs::default(), Some("two words")).unwrap_err().to_string();
        assert!(error.starts_with("`GOLO_TOKEN` has"), "{error}");
    }
}
