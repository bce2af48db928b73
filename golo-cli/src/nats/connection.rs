//! The connection to a NATS server. It is kept for ever: a lost one is made again, with growing pauses.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event};
use golo::cli::{chain, explained, install_provider, say};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_stream::StreamExt as _;

use super::args::{Credentials, NatsOptions};
use crate::support::failure::Failure;

/// Oldest version of the server with what registrations need: markers of entries that have expired.
const OLDEST: (u64, u64) = (2, 11);
/// Longest time for connecting.
const CONNECT: Duration = Duration::from_secs(5);
/// Interval between signs of life to the server. Two that are not answered are the end of a connection.
const PING: Duration = Duration::from_secs(5);
/// Shortest and longest pause between attempts to connect. A random part of at most as much is added, so that many agents
/// do not come at once.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Longest time for a message to come back to its sender.
const ECHO: Duration = Duration::from_secs(5);
/// Most messages of a subscription that wait in this process. More are lost, which is reported.
const WAITING: usize = 1 << 16;

/// State of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// True while there is a connection.
    pub is_up: bool,
    /// Number of times that it was lost.
    pub losses: u64,
}

/// A connection to a NATS server with JetStream. Clones share it.
#[derive(Debug, Clone)]
pub struct Nats {
    /// The client.
    pub client: Client,
    /// Its JetStream interface.
    pub jetstream: Context,
    link: watch::Receiver<Link>,
    name: Arc<str>,
}

/// Reason why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoConnection {
    /// The server cannot be reached now.
    #[error("the NATS server {0} cannot be reached: {1}")]
    Away(String, String),
    /// The server or the settings do not fit.
    #[error("the NATS server {0}: {1}")]
    Unfit(String, String),
}

impl Nats {
    /// Connects to a server, and checks that it can do what golo needs. Messages about the connection begin with `who`, such as
    /// `golo agent`; the server lists the connection with it.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be reached, refuses the credentials, is too old, or has no JetStream.
    pub async fn connect(options: &NatsOptions, who: &'static str) -> Result<Self, NoConnection> {
        install_provider();
        let (link, state) = watch::channel(Link { is_up: true, losses: 0 });
        let name: Arc<str> = options.name().into();
        let unfit = |reason: String| NoConnection::Unfit(name.to_string(), reason);
        let connecting = identified(options).map_err(|error| unfit(error.to_string()))?;
        let said = Arc::clone(&name);
        let mut connecting = connecting
            .name(who)
            .custom_inbox_prefix(&options.inbox)
            .connection_timeout(CONNECT)
            .ping_interval(PING)
            .subscription_capacity(WAITING)
            .reconnect_delay_callback(pause)
            .require_tls(options.requires_tls())
            .event_callback(move |event| {
                notice(who, &said, &event, &link);
                std::future::ready(())
            });
        if let Some(ca) = &options.ca {
            connecting = connecting.add_root_certificates(ca.clone());
        }
        if let Some((certificate, key)) = &options.certificate {
            connecting = connecting.add_client_certificate(certificate.clone(), key.clone());
        }
        let client = connecting.connect(&options.servers[..]).await.map_err(|error| describe(&name, &error))?;
        let jetstream = jetstream::new(client.clone());
        let nats = Self { client, jetstream, link: state, name: Arc::clone(&name) };
        nats.check(&options.inbox).await.map_err(|reason| match nats.was_never_lost() {
            true => unfit(reason.to_string()),
            false => NoConnection::Away(name.to_string(), "the connection was lost at once".to_owned()),
        })?;
        if has_readable_secret(options) {
            say(format_args!(
                "{who}: without TLS, the credentials for the NATS server can be read on their way: use tls:// in its address"
            ));
        }
        Ok(nats)
    }

    /// Connects, and tries again for ever while the server cannot be reached.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses the credentials, is too old, or has no JetStream.
    pub async fn connect_patiently(options: &NatsOptions, who: &'static str) -> Result<Self, Failure> {
        let (mut attempt, mut is_said) = (0, false);
        loop {
            match Self::connect(options, who).await {
                Ok(nats) => return Ok(nats),
                Err(error @ NoConnection::Unfit(..)) => return Err(error.to_string().into()),
                Err(error) => {
                    if !std::mem::replace(&mut is_said, true) {
                        say(format_args!("{who}: {error}; trying again"));
                    }
                }
            }
            attempt += 1;
            // The first pause is none, which is for connections that were there before.
            sleep(pause(attempt + 1)).await;
        }
    }

    /// Returns the address of the server for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the state of the connection, which can be awaited.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Returns true while there is a connection.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link.borrow().is_up
    }

    /// Returns true if the connection was never lost.
    fn was_never_lost(&self) -> bool {
        self.link.borrow().losses == 0
    }

    /// Waits until the connection is lost, unless it is already.
    pub async fn is_lost(&self) {
        self.is_in(|link| !link.is_up).await;
    }

    /// Waits until there is a connection.
    pub async fn is_up_again(&self) {
        self.is_in(|link| link.is_up).await;
    }

    async fn is_in(&self, state: impl FnMut(&Link) -> bool) {
        if self.link().wait_for(state).await.is_err() {
            // The client is gone.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until a message has come back to this process, so that the server knows all subscriptions that were made before.
    ///
    /// # Errors
    ///
    /// Returns an error if it does not come back within 5 s.
    pub async fn settle(&self) -> Result<(), Failure> {
        let inbox = self.client.new_inbox();
        let echoed = async {
            let mut echo = self.client.subscribe(inbox.clone()).await.ok()?;
            self.client.publish(inbox, bytes::Bytes::new()).await.ok()?;
            echo.next().await
        };
        match timeout(ECHO, echoed).await {
            Ok(Some(_)) => Ok(()),
            _ => Err("a message does not come back".into()),
        }
    }

    /// Checks that the server can do what golo needs.
    async fn check(&self, inbox: &str) -> Result<(), Failure> {
        let version = self.client.server_info().version;
        if parsed(&version).is_none_or(|version| version < OLDEST) {
            let (major, minor) = OLDEST;
            return Err(format!("it is version {version}, and golo needs {major}.{minor} or newer").into());
        }
        self.settle().await.map_err(|failure| {
            let needed = format!("the account must be allowed to use the subjects `{inbox}.>` (`--nats-inbox`)");
            Failure::from(format!("{failure}: {needed}"))
        })?;
        self.jetstream.query_account().await.map(drop).map_err(|error| {
            Failure::from(format!("it has no JetStream for this account: {}; start it with -js", chain(&error)))
        })
    }
}

/// Returns options with the identification.
fn identified(options: &NatsOptions) -> Result<ConnectOptions, Failure> {
    let connecting = ConnectOptions::new();
    Ok(match &options.credentials {
        Credentials::Anonymous => connecting,
        Credentials::Token(token) => connecting.token(token.reveal().to_owned()),
        Credentials::Password(user, password) => {
            connecting.user_and_password(user.clone(), password.reveal().to_owned())
        }
        Credentials::Nkey(seed) => connecting.nkey(seed.reveal().to_owned()),
        // The error may quote the text.
        Credentials::Jwt(text) => connecting
            .credentials(text.reveal())
            .map_err(|_| Failure::from("the credentials cannot be read: expected the text of a .creds file"))?,
    })
}

/// Returns true if a token or a password is sent to another machine without TLS.
fn has_readable_secret(options: &NatsOptions) -> bool {
    let is_sent = matches!(options.credentials, Credentials::Token(_) | Credentials::Password(..));
    let is_loopback = |host: &str| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    is_sent && !options.requires_tls() && !options.servers.iter().all(|server| is_loopback(server.host()))
}

/// Returns the pause before an attempt to connect.
fn pause(attempt: usize) -> Duration {
    if attempt <= 1 {
        return Duration::ZERO;
    }
    let doubled = PAUSE.saturating_mul(1 << (attempt - 2).min(10));
    doubled.min(LONGEST_PAUSE).mul_f64(1.0 + rand::random::<f64>())
}

/// Notes and prints a change of the connection.
fn notice(who: &str, name: &str, event: &Event, link: &watch::Sender<Link>) {
    match event {
        Event::Disconnected => {
            link.send_modify(|link| *link = Link { is_up: false, losses: link.losses + 1 });
            say(format_args!("{who}: the connection to the NATS server {name} was lost; trying again"));
        }
        Event::Connected => {
            let comes_up = |link: &mut Link| !std::mem::replace(&mut link.is_up, true);
            if link.send_if_modified(comes_up) {
                say(format_args!("{who}: connected to the NATS server {name} again"));
            }
        }
        Event::SlowConsumer(_) => {
            say(format_args!(
                "{who}: messages of the NATS server {name} were lost, because too many were waiting here"
            ));
        }
        Event::ServerError(error) => say(format_args!("{who}: the NATS server {name} reports: {error}")),
        Event::LameDuckMode => say(format_args!("{who}: the NATS server {name} is about to stop")),
        // Failed attempts to connect again are reported by their beginning and their end.
        Event::ClientError(_) | Event::Draining | Event::Closed => {}
    }
}

fn describe(name: &str, error: &ConnectError) -> NoConnection {
    let reason = chain(error);
    let unfit = |reason: &str| NoConnection::Unfit(name.to_owned(), reason.to_owned());
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => unfit(
            "it refuses the credentials: set GOLO_NATS_TOKEN, GOLO_NATS_USER and GOLO_NATS_PASSWORD, `--nats-nkey` or \
             `--nats-creds`",
        ),
        ConnectErrorKind::Authentication => unfit("the credentials cannot be used: the nonce could not be signed"),
        ConnectErrorKind::ServerParse => unfit(&reason),
        ConnectErrorKind::Tls => unfit(&format!("TLS failed: {reason}")),
        ConnectErrorKind::TimedOut => {
            NoConnection::Away(name.to_owned(), format!("no connection within {} s", CONNECT.as_secs()))
        }
        ConnectErrorKind::Io if reason.contains("certificate") => unfit(&format!(
            "its certificate is not trusted: {}; `--nats-ca FILE` names who vouches for it",
            explained(&reason)
        )),
        ConnectErrorKind::Dns | ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
            NoConnection::Away(name.to_owned(), explained(&reason).into_owned())
        }
    }
}

/// Returns the major and the minor number of a version.
fn parsed(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        assert_eq!(pause(1), Duration::ZERO);
        for attempt in 2..200 {
            let pause = pause(attempt);
            assert!(PAUSE <= pause && pause <= 2 * LONGEST_PAUSE, "{attempt}: {pause:?}");
        }
        assert!(pause(100) >= LONGEST_PAUSE);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert_eq!(parsed("2.9.10"), Some((2, 9)));
        assert!(parsed("2.9.10") < Some(OLDEST) && parsed("2.11.0-RC.1") >= Some(OLDEST));
        assert_eq!(parsed("new"), None);
    }
}
