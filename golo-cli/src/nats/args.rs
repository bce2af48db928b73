//! Flags and variables of the connection to a NATS server.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use async_nats::ServerAddr;
use clap::Args;

use crate::http::server::Secret;
use crate::support::failure::Failure;

/// Begin of the text of credentials, which a variable may have in the place of a path.
const CREDENTIALS: &str = "-----BEGIN NATS USER JWT-----";

/// Beginning of the subjects of answers, as all clients of NATS have it.
const INBOX: &str = "_INBOX";

/// A NATS server, and the credentials for it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "NATS")]
pub struct NatsArgs {
    /// NATS server with JetStream, 2.11 or newer: nats://HOST:4222, or tls://HOST:4222. Several servers of a cluster are
    /// separated by commas [env: GOLO_NATS]
    #[arg(long, value_name = "URL")]
    pub nats: Option<String>,
    /// File with credentials (a JWT and its key). The variable may have the text of the file instead
    /// [env: GOLO_NATS_CREDS]
    #[arg(long, value_name = "FILE.creds")]
    pub nats_creds: Option<PathBuf>,
    /// File with the seed of an nkey. The variable may have the seed itself. A token is read from GOLO_NATS_TOKEN, a user and
    /// a password from GOLO_NATS_USER and GOLO_NATS_PASSWORD [env: GOLO_NATS_NKEY]
    #[arg(long, value_name = "FILE.nk")]
    pub nats_nkey: Option<PathBuf>,
    /// Root certificate of the NATS server, in the place of those that this machine trusts. Requires TLS
    /// [env: GOLO_NATS_CA]
    #[arg(long, value_name = "FILE.pem")]
    pub nats_ca: Option<PathBuf>,
    /// Certificate of this client, for servers that want one
    #[arg(long, value_name = "FILE.pem", requires = "nats_key")]
    pub nats_cert: Option<PathBuf>,
    /// Private key of that certificate
    #[arg(long, value_name = "FILE.pem", requires = "nats_cert")]
    pub nats_key: Option<PathBuf>,
    /// Beginning of the subjects on which answers arrive, for servers that keep those of their users apart
    /// [env: GOLO_NATS_INBOX] [default: _INBOX]
    #[arg(long, value_name = "SUBJECT")]
    pub nats_inbox: Option<String>,
}

/// Identification to a NATS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// None.
    Anonymous,
    /// A token.
    Token(Secret),
    /// A user and a password.
    Password(String, Secret),
    /// The seed of an nkey.
    Nkey(Secret),
    /// The text of a file of credentials.
    Jwt(Secret),
}

/// Settings of the connection to a NATS server.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// Servers of one cluster, at least one.
    pub servers: Vec<ServerAddr>,
    /// Identification.
    pub credentials: Credentials,
    /// File of root certificates in PEM.
    pub ca: Option<PathBuf>,
    /// Files of the client's certificate and its key in PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Beginning of the subjects of answers, without a dot at its end.
    pub inbox: String,
}

impl NatsArgs {
    /// Returns the settings: flags first, then variables. Returns `None` if no server is given.
    ///
    /// # Errors
    ///
    /// Returns an error if a value is wrong, or if there are several identifications.
    pub fn into_options(self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<NatsOptions>, Failure> {
        let (from, text) = match (self.nats, variable("GOLO_NATS")) {
            (Some(text), _) => ("--nats", text),
            (None, Some(text)) => ("GOLO_NATS", text),
            (None, None) => return Ok(None),
        };
        let servers = servers(from, &text)?;
        let credentials = credentials(self.nats_creds, self.nats_nkey, &variable)?;
        let ca = self.nats_ca.or_else(|| variable("GOLO_NATS_CA").map(PathBuf::from));
        let certificate = self.nats_cert.zip(self.nats_key);
        let files = [("--nats-ca", &ca), ("--nats-cert", &certificate.clone().map(|(file, _)| file))];
        for (flag, file) in files.into_iter().filter_map(|(flag, file)| Some((flag, file.as_ref()?))) {
            read(flag, file)?;
        }
        let inbox = match (self.nats_inbox, variable("GOLO_NATS_INBOX")) {
            (Some(text), _) => inbox("--nats-inbox", text)?,
            (None, Some(text)) => inbox("GOLO_NATS_INBOX", text)?,
            (None, None) => INBOX.to_owned(),
        };
        Ok(Some(NatsOptions { servers, credentials, ca, certificate, inbox }))
    }
}

impl NatsOptions {
    /// Returns the addresses for messages, such as `load.example:4222`.
    #[must_use]
    pub fn name(&self) -> String {
        let names = self.servers.iter().map(|server| format!("{}:{}", server.host(), server.port()));
        names.collect::<Vec<_>>().join(",")
    }

    /// Returns true if the connection must use TLS.
    #[must_use]
    pub fn requires_tls(&self) -> bool {
        self.ca.is_some() || self.certificate.is_some() || self.servers.iter().any(ServerAddr::tls_required)
    }
}

/// Reads the addresses of servers.
fn servers(from: &str, text: &str) -> Result<Vec<ServerAddr>, Failure> {
    let expected = "expected nats://HOST:PORT or tls://HOST:PORT";
    let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let servers: Result<Vec<_>, Failure> = texts
        .map(|text| {
            if text.contains('@') {
                return Err(Failure::from(format!(
                    "`{from}`: an address has a user, a password or a token: set GOLO_NATS_TOKEN, or GOLO_NATS_USER and \
                     GOLO_NATS_PASSWORD"
                )));
            }
            let server = text.parse::<ServerAddr>().ok().filter(|server| !server.host().is_empty());
            let server = server.filter(|server| matches!(server.scheme(), "nats" | "tls"));
            server.ok_or_else(|| Failure::from(format!("`{from}`: `{text}` is no address of a NATS server: {expected}")))
        })
        .collect();
    match servers?.as_slice() {
        [] => Err(Failure::from(format!("`{from}` is empty: {expected}"))),
        servers => Ok(servers.to_vec()),
    }
}

/// Checks the beginning of subjects of answers.
fn inbox(from: &str, text: String) -> Result<String, Failure> {
    let is_token = |token: &str| !token.is_empty() && !token.contains(|c: char| c.is_whitespace() || "*>$".contains(c));
    match text.split('.').all(is_token) {
        true => Ok(text),
        false => {
            Err(format!("`{from}`: `{text}` is no beginning of subjects: expected a name such as _INBOX_agent").into())
        }
    }
}

fn credentials(
    creds: Option<PathBuf>,
    nkey: Option<PathBuf>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Credentials, Failure> {
    let creds = match (creds, variable("GOLO_NATS_CREDS")) {
        (Some(file), _) => Some(read("--nats-creds", &file)?),
        (None, Some(text)) if text.trim_start().starts_with(CREDENTIALS) => Some(text),
        (None, Some(file)) => Some(read("GOLO_NATS_CREDS", Path::new(&file))?),
        (None, None) => None,
    };
    let is_seed = |text: &str| text.trim().starts_with("SU") && text.trim().len() == 58;
    let nkey = match (nkey, variable("GOLO_NATS_NKEY")) {
        (Some(file), _) => Some(("--nats-nkey", read("--nats-nkey", &file)?)),
        (None, Some(text)) if is_seed(&text) => Some(("GOLO_NATS_NKEY", text)),
        (None, Some(file)) => Some(("GOLO_NATS_NKEY", read("GOLO_NATS_NKEY", Path::new(&file))?)),
        (None, None) => None,
    };
    // A file of an nkey may have comments.
    let nkey = nkey.map(|(from, text)| {
        let seed = text.lines().map(str::trim).find(|line| is_seed(line)).map(str::to_owned);
        seed.ok_or_else(|| Failure::from(format!("`{from}` has no seed of a user's nkey: expected SU and 56 letters")))
    });
    let nkey = nkey.transpose()?;
    let user = match (variable("GOLO_NATS_USER"), variable("GOLO_NATS_PASSWORD")) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => return Err("`GOLO_NATS_USER` and `GOLO_NATS_PASSWORD` belong together: one of them is missing".into()),
    };
    let token = variable("GOLO_NATS_TOKEN");
    match (creds, nkey, user, token) {
        (None, None, None, None) => Ok(Credentials::Anonymous),
        (Some(text), None, None, None) => Ok(Credentials::Jwt(text.into())),
        (None, Some(seed), None, None) => Ok(Credentials::Nkey(seed.into())),
        (None, None, Some((user, password)), None) => Ok(Credentials::Password(user, password.into())),
        (None, None, None, Some(token)) => Ok(Credentials::Token(token.into())),
        _ => Err("several identifications for the NATS server: keep one of credentials, nkey, user and token".into()),
    }
}

fn read(flag: &str, path: &Path) -> Result<String, Failure> {
    let failed = |error: &dyn Display| Failure::from(format!("`{flag} {}` cannot be read: {error}", path.display()));
    std::fs::read_to_string(path).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        nats: NatsArgs,
    }

    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

    fn options(flags: &[&str], variables: &[(&str, &str)]) -> Result<Option<NatsOptions>, String> {
        let line = Line::try_parse_from(["golo"].iter().chain(flags)).map_err(|error| error.to_string())?;
        let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string());
        line.nats.into_options(variable).map_err(|error| error.to_string())
    }

    #[test]
    fn command_line_definition_is_valid() {
        Line::command().debug_assert();
    }

    #[test]
    fn servers_come_from_the_flag_or_else_the_variable() {
        let name = |flags: &[&str], variables: &[(&str, &str)]| {
            options(flags, variables).map(|options| options.map(|options| (options.name(), options.requires_tls())))
        };
        assert_eq!(name(&[], &[]), Ok(None));
        let variable = [("GOLO_NATS", "tls://a, tls://b:4333")];
        assert_eq!(name(&[], &variable), Ok(Some(("a:4222,b:4333".to_owned(), true))));
        assert_eq!(name(&["--nats", "nats://c:1"], &variable), Ok(Some(("c:1".to_owned(), false))));
        assert_eq!(name(&["--nats", "d"], &[]), Ok(Some(("d:4222".to_owned(), false))));
    }

    #[test]
    fn answers_arrive_on_subjects_of_the_user() {
        let inbox = |flags: &[&str], variables: &[(&str, &str)]| {
            options(flags, variables).map(|options| options.unwrap().inbox)
        };
        let variable = [("GOLO_NATS_INBOX", "_INBOX_agent")];
        assert_eq!(inbox(&["--nats", "a"], &[]).as_deref(), Ok("_INBOX"));
        assert_eq!(inbox(&["--nats", "a"], &variable).as_deref(), Ok("_INBOX_agent"));
        assert_eq!(inbox(&["--nats", "a", "--nats-inbox", "b.c"], &variable).as_deref(), Ok("b.c"));
        for wrong in ["", "a.", ".a", "a..b", "a.>", "*", "$JS", "a b"] {
            let error = inbox(&["--nats", "a", "--nats-inbox", wrong], &[]).unwrap_err();
            assert!(error.starts_with(&format!("`--nats-inbox`: `{wrong}` is no beginning of subjects")), "{error}");
        }
    }

    #[test]
    fn one_identification_is_used() {
        let credentials = |variables: &[(&str, &str)]| {
            options(&["--nats", "a"], variables).map(|options| options.unwrap().credentials)
        };
        assert_eq!(credentials(&[]), Ok(Credentials::Anonymous));
        assert_eq!(credentials(&[("GOLO_NATS_TOKEN", "t")]), Ok(Credentials::Token("t".to_owned().into())));
        let password = [("GOLO_NATS_USER", "u"), ("GOLO_NATS_PASSWORD", "p")];
        assert_eq!(credentials(&password), Ok(Credentials::Password("u".to_owned(), "p".to_owned().into())));
        assert_eq!(credentials(&[("GOLO_NATS_NKEY", SEED)]), Ok(Credentials::Nkey(SEED.to_owned().into())));
        let text = format!("{CREDENTIALS}\nabc");
        assert_eq!(credentials(&[("GOLO_NATS_CREDS", &text)]), Ok(Credentials::Jwt(text.clone().into())));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("user.nk");
        std::fs::write(&file, format!("# of the agents\n{SEED}\n")).unwrap();
        let file = file.display().to_string();
        let expected = Credentials::Nkey(SEED.to_owned().into());
        assert_eq!(credentials(&[("GOLO_NATS_NKEY", &file)]), Ok(expected.clone()));
        assert_eq!(options(&["--nats", "a", "--nats-nkey", &file], &[]).unwrap().unwrap().credentials, expected);
    }

    #[test]
    fn errors_show_no_secret() {
        let given = &["--nats", "a"][..];
        for (flags, variables, expected) in [
            (&["--nats", "nats://hush@a"][..], &[][..], "`--nats`: an address has a user, a password or a token"),
            (&["--nats", "http://a"], &[], "`--nats`: `http://a` is no address of a NATS server: expected nats://HOST"),
            (&["--nats", " , "], &[], "`--nats` is empty: expected nats://HOST:PORT"),
            (given, &[("GOLO_NATS_USER", "hush")], "`GOLO_NATS_USER` and `GOLO_NATS_PASSWORD` belong together"),
            (given, &[("GOLO_NATS_TOKEN", "hush"), ("GOLO_NATS_NKEY", SEED)], "several identifications"),
            (given, &[("GOLO_NATS_CREDS", "/none/a.creds")], "`GOLO_NATS_CREDS /none/a.creds` cannot be read: "),
            (&["--nats", "a", "--nats-ca", "/none/ca.pem"], &[], "`--nats-ca /none/ca.pem` cannot be read: "),
        ] {
            let error = options(flags, variables).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("hush"), "{error}");
        }
    }
}
