//! Flags of the web page.

use std::path::PathBuf;

use clap::Args;
use golo::cli::OwnFlags;

use crate::http::server::{Secret, ServerArgs, ServerFlags, ServerOptions};
use crate::support::failure::Failure;

/// Default port.
const PORT: u16 = 8089;
/// Default address.
pub const ADDRESS: &str = "127.0.0.1:8089";

const FLAGS: ServerFlags = ServerFlags {
    addr: "--web",
    token: "--web-token",
    token_variable: "GOLO_WEB_TOKEN",
    tls_cert: "--web-tls-cert",
    tls_key: "--web-tls-key",
    host: "--web-host",
};

/// Address of the web page, and who may open it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Web page")]
pub struct WebArgs {
    /// Show the run on a web page while it goes on, with charts, and controls to change or stop it: HOST:PORT (port 0
    /// takes a free one). If other machines can reach it, a token or TLS is needed [default: 127.0.0.1:8089]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = ADDRESS)]
    pub web: Option<String>,
    /// Token that the page asks for. Other users of this machine can read command lines, so prefer the variable
    #[arg(long, value_name = "TOKEN")]
    pub web_token: Option<Secret>,
    /// Certificate of the page for TLS, followed by its chain
    #[arg(long, value_name = "FILE.pem")]
    pub web_tls_cert: Option<PathBuf>,
    /// Private key of the page's certificate
    #[arg(long, value_name = "FILE.pem")]
    pub web_tls_key: Option<PathBuf>,
    /// Further host name of the page (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub web_host: Vec<String>,
}

impl OwnFlags for WebArgs {
    fn over(self, below: Self) -> Self {
        Self {
            web: self.web.or(below.web),
            web_token: self.web_token.or(below.web_token),
            web_tls_cert: self.web_tls_cert.or(below.web_tls_cert),
            web_tls_key: self.web_tls_key.or(below.web_tls_key),
            web_host: if self.web_host.is_empty() { below.web_host } else { self.web_host },
        }
    }
}

impl WebArgs {
    /// Returns the settings of the page's server, if a page is wanted.
    ///
    /// # Errors
    ///
    /// Returns an error if a flag or a variable has a wrong value, or if the other flags are given without `--web`.
    pub fn into_options(self) -> Result<Option<ServerOptions>, Failure> {
        let Self { web, web_token, web_tls_cert, web_tls_key, web_host } = self;
        let Some(addr) = web else {
            let given = [
                (FLAGS.tls_cert, web_tls_cert.is_some()),
                (FLAGS.tls_key, web_tls_key.is_some()),
                (FLAGS.host, !web_host.is_empty()),
            ];
            return match given.into_iter().find(|(_, is_given)| *is_given) {
                Some((flag, _)) => Err(format!("`{flag}` needs `--web`, which shows the page").into()),
                // The token may be set in an environment that is used for other runs too.
                None => Ok(None),
            };
        };
        // A variable or a job file may only turn the page on.
        let addr = if matches!(&*addr, "1" | "true") { ADDRESS.to_owned() } else { addr };
        if matches!(&*addr, "0" | "false") {
            return Ok(None);
        }
        let server = ServerArgs {
            addr: Some(addr),
            token: web_token,
            tls_cert: web_tls_cert,
            tls_key: web_tls_key,
            host: web_host,
        };
        server.into_options_by(FLAGS, "web page", PORT, |_| None).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(args: WebArgs) -> Result<Option<String>, String> {
        args.into_options().map(|options| options.map(|options| options.addr)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn variable_may_turn_the_page_on_and_off() {
        let web = |web: &str| address(WebArgs { web: Some(web.to_owned()), ..WebArgs::default() });
        assert_eq!(web("1"), Ok(Some("127.0.0.1:8089".to_owned())));
        assert_eq!(web("0"), Ok(None));
        assert_eq!(web("[::1]:0"), Ok(Some("[::1]:0".to_owned())));
        let error = web("target/release/shop").unwrap_err();
        assert_eq!(error, "`--web` is `target/release/shop`: expected HOST:PORT, as 127.0.0.1:8089");
    }

    #[test]
    fn flags_without_effect_are_refused() {
        let host = WebArgs { web_host: vec!["load.example".to_owned()], ..WebArgs::default() };
        assert_eq!(address(host).unwrap_err(), "`--web-host` needs `--web`, which shows the page");
        let token = WebArgs { web_token: Some("hush".to_owned().into()), ..WebArgs::default() };
        assert_eq!(address(token), Ok(None));
        let half = WebArgs { web: Some(ADDRESS.to_owned()), web_tls_key: Some("k.pem".into()), ..WebArgs::default() };
        let error = address(half).unwrap_err();
        assert_eq!(error, "`--web-tls-cert` and `--web-tls-key` belong together: one of them is missing");
    }
}
