//! The flags that agent and collector have in common.

use std::path::PathBuf;

use clap::Args;

use super::{Bounds, Secret, ServerOptions, Statuses, Token, tls};
use crate::support::failure::Failure;

/// Where to listen, and to whom.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArgs {
    /// Where to listen: HOST:PORT (port 0 takes a free one). Where other machines reach it, a token or TLS is a must
    /// [default: 127.0.0.1, port 8081 of an agent, 8082 of a collector]
    #[arg(long, value_name = "ADDRESS")]
    pub addr: Option<String>,
    /// What a caller must know, as `Authorization: Bearer TOKEN`. Other users of this machine can read command lines, so
    /// the variable is the better place
    /// [env: GOLO_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<Secret>,
    /// Serve over TLS with this certificate, and those that vouch for it after it
    #[arg(long, value_name = "FILE.pem", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key
    #[arg(long, value_name = "FILE.pem", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A name that it is called by, beside its address (may be repeated). Requests whose `Host` is another are refused:
    /// they are how web pages get at what only you can reach
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
}

impl ServerArgs {
    /// These, then the environment, then the defaults. `name` is what serves, `port` its usual one.
    ///
    /// # Errors
    ///
    /// What is wrong with them, and what would be right.
    pub fn into_options(
        self,
        name: &'static str,
        port: u16,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<ServerOptions, Failure> {
        let addr = self.addr.unwrap_or_else(|| format!("127.0.0.1:{port}"));
        let Some((host, _)) = addr.rsplit_once(':').filter(|(host, _)| !host.is_empty()) else {
            return Err(format!("`--addr` is `{addr}`: expected HOST:PORT, as 127.0.0.1:{port}").into());
        };
        let token = match (self.token, variable("GOLO_TOKEN")) {
            (Some(token), _) => Some(Token::new(&token).map_err(|error| format!("`--token` {error}"))?),
            (None, Some(token)) => Some(Token::new(&token.into()).map_err(|error| format!("`GOLO_TOKEN` {error}"))?),
            (None, None) => None,
        };
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(tls::config(certificate, key)?),
            _ => None,
        };
        let mut hosts = vec![host.to_owned()];
        for host in self.host {
            let is_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
            if host.is_empty() || (!is_address && host.contains([':', '/'])) {
                return Err(format!("`--host` is `{host}`: expected a name without a port, as load1.example").into());
            }
            hosts.push(host);
        }
        Ok(ServerOptions { name, addr, token, tls, hosts, bounds: Bounds::default(), statuses: Statuses::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: ServerArgs, token: Option<&str>) -> Result<ServerOptions, Failure> {
        args.into_options("agent", 8081, |name| token.filter(|_| name == "GOLO_TOKEN").map(str::to_owned))
    }

    #[test]
    fn a_token_is_never_shown() {
        let args = ServerArgs { token: Some("hush-hush".to_owned().into()), ..ServerArgs::default() };
        assert!(!format!("{args:?}").contains("hush"), "{args:?}");
        let options = options(args, Some("elsewhere")).unwrap();
        assert!(!format!("{options:?}").contains("hush"), "{options:?}");
        let token = options.token.unwrap();
        assert_eq!([token.is("hush-hush"), token.is("elsewhere"), token.is("")], [true, false, false]);
    }

    #[test]
    fn what_is_wrong_is_said() {
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
