//! The reqwest client: the one with which requests are built, and the one that sends them if the load test configured it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, Once, PoisonError, RwLock};

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity};
use tokio::runtime;

use crate::error::{chain, reason};
use crate::metrics::visitor::Visitor;
use crate::support::lock::lock;
use crate::support::message::say;
use crate::support::panic;
use crate::transport::connects::TimeConnects;
use crate::transport::http::{REDIRECTS, TIMEOUT};
use crate::transport::options::{Connections, Resolve, TlsVersion, TransportOptions, Versions};
use crate::transport::settings::Settings;
use crate::transport::{attempts, http, options, targets};
use crate::user::cookies;
use crate::{BoxError, Error};

/// Number of runtimes for which clients are kept. A test binary starts a runtime for each test; old clients are
/// dropped.
const KEPT: usize = 64;

/// Headers that must not be sent to another host than the one they were set for.
pub(crate) const SENSITIVE: [HeaderName; 5] =
    [AUTHORIZATION, COOKIE, HeaderName::from_static("cookie2"), PROXY_AUTHORIZATION, WWW_AUTHENTICATE];

type Configure = dyn Fn(ClientBuilder) -> Result<Client, BoxError> + Send + Sync;

static CONFIGURE: RwLock<Option<Arc<Configure>>> = RwLock::new(None);
static CLIENTS: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

thread_local! {
    static LAST_USED: RefCell<Option<Kept>> = const { RefCell::new(None) };
    static IS_BUILDING: Cell<bool> = const { Cell::new(false) };
}

/// A client and its runtime. A client's connections live on the runtime that made them, so it belongs to one runtime.
#[derive(Clone)]
struct Kept {
    runtime: Option<runtime::Id>,
    generation: u64,
    client: Client,
    /// Debug text of the client, if it follows redirects by golo's policy.
    own: Option<Arc<str>>,
    /// True if golo can follow a redirect in place of this client.
    is_safe: bool,
    /// Settings of golo's transport, unless the load test configured a client of its own.
    settings: Option<Arc<Settings>>,
    /// The visitor of requests outside of a run, and of all requests if a worker's users share connections.
    outside: Arc<Visitor>,
}

/// The sender of a request.
pub(crate) enum Carrier {
    /// golo's transport.
    Transport {
        settings: Arc<Settings>,
        /// The visitor of requests outside of a run.
        outside: Arc<Visitor>,
    },
    /// The load test's own client.
    Client(Client),
}

/// Returns the sender of a request that was built with `client`, or with none.
///
/// # Panics
///
/// Panics if [`client`] does.
pub(crate) fn carrier(client: Option<Client>) -> Carrier {
    let is_marked = client.as_ref().is_none_or(is_marked);
    let carrier = with_current(|kept| match &kept.settings {
        Some(settings) if is_marked => {
            Carrier::Transport { settings: Arc::clone(settings), outside: Arc::clone(&kept.outside) }
        }
        _ => Carrier::Client(kept.client.clone()),
    });
    match (client, carrier.unwrap_or_else(|error| not_built(&error))) {
        (Some(client), Carrier::Client(_)) => Carrier::Client(client),
        (_, carrier) => carrier,
    }
}

/// Returns the settings of golo's transport, also if the load test configured a client of its own, and the visitor of
/// requests outside of a run.
///
/// # Errors
///
/// Returns an error if a setting of the load test is invalid.
#[cfg(feature = "websocket")]
pub(crate) fn transport() -> Result<(Arc<Settings>, Arc<Visitor>), Error> {
    let (settings, outside) = with_current(|kept| (kept.settings.clone(), Arc::clone(&kept.outside)))?;
    Ok((settings.map_or_else(settings_of_transport, Ok)?, outside))
}

#[cold]
fn not_built(error: &Error) -> ! {
    #[expect(clippy::panic, reason = "documented; a run has built its client by then")]
    {
        panic!("{}", chain(error))
    }
}

/// Returns the visitor for a trigger of a user.
pub(crate) fn visitor_of_trigger(of_user: &Arc<Visitor>) -> Arc<Visitor> {
    let is_new = with_current(|kept| {
        kept.settings.as_ref().is_some_and(|settings| settings.connections == Connections::PerTrigger)
    });
    if is_new.unwrap_or(false) { Arc::new(of_user.anew()) } else { Arc::clone(of_user) }
}

/// Text by which golo's own client is recognized. reqwest cannot compare clients, and its `Debug` shows this.
const MARK: &str = "golo.invalid";

/// Returns true if `client` is golo's own client. Reads the client's debug text only up to the mark.
fn is_marked(client: &Client) -> bool {
    use std::fmt::Write as _;

    struct Search(bool);
    impl std::fmt::Write for Search {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0 = text == MARK;
            // The mark is in the proxies, which come before the redirect policy.
            if self.0 || text == "redirect_policy" { Err(std::fmt::Error) } else { Ok(()) }
        }
    }
    let mut search = Search(false);
    let _ = write!(search, "{client:?}");
    search.0
}

/// Marks a client as golo's own, by a proxy that is never used.
fn marked(builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
    let never = reqwest::NoProxy::from_string("*,0.0.0.0/0,::/0");
    Ok(builder.proxy(reqwest::Proxy::https(format!("http://{MARK}"))?.no_proxy(never)))
}

impl Kept {
    fn is_for(&self, runtime: Option<runtime::Id>, generation: u64) -> bool {
        self.runtime == runtime && self.generation == generation
    }
}

/// Returns the client with which a load test builds its requests.
///
/// [`do_request`](crate::do_request) and [`request`](crate::request) send them by golo's transport: each user has its own
/// connections, TLS sessions and cookies. Requests time out after 25 s, follow at most 10 redirects, ask for no
/// compression, and use no proxy without `--proxy`. Change that with [`set_http`](crate::set_http) and the flags of
/// `run`; [`connections_and_http_versions`](crate::connections_and_http_versions) describes them. A request that the
/// client itself sends, as in `golo::client().get(url).send()`, is not measured, and uses connections of reqwest.
///
/// If the load test configures a client of its own, by [`set_client`] or the option `client = path`, this is that
/// client, and it sends the requests. Calling this again is cheap, and so is cloning the client.
///
/// # Panics
///
/// Panics if the function passed to [`set_client`] fails. This happens only outside of a run, because a run does not
/// start then.
///
/// ```no_run
/// # async fn load_test() -> Result<(), golo::RequestError> {
/// let login = golo::client().post("http://127.0.0.1:8765/login").json(&["user", "secret"]);
/// golo::do_request(&golo::new_sequence_id(), login).await?;
/// # Ok(()) }
/// ```
#[must_use]
pub fn client() -> Client {
    current().unwrap_or_else(|error| not_built(&error))
}

/// Sets the function that builds the client from now on, for this process. The builder has golo's defaults, which `f`
/// may change. From now on this client sends the requests, instead of golo's transport: the users of a worker share its
/// connections, and the phases of a request are unknown except for the waiting time.
///
/// If `f` sets a redirect policy, golo cannot count redirects: a redirected request counts as at least one redirect.
/// The report does not show a proxy that `f` sets, or one that reqwest takes from the environment because the client
/// was built without this builder.
///
/// ```
/// golo::set_client(|builder| builder.user_agent("golo").build());
/// ```
pub fn set_client<F, E>(f: F)
where
    F: Fn(ClientBuilder) -> Result<Client, E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    let configure = move |builder| f(builder).map_err(Into::into);
    *CONFIGURE.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(configure));
    forget_clients();
}

fn forget_clients() {
    options::changed();
    lock(&CLIENTS).clear();
}

/// Returns the current worker's client. Builds it if needed.
pub(crate) fn current() -> Result<Client, Error> {
    with_current(|kept| kept.client.clone())
}

/// Returns true if `client` follows redirects by golo's policy, and golo can follow one in its place. reqwest cannot
/// compare clients, so this compares their debug texts, which takes some microseconds.
pub(crate) fn is_own(client: &Client) -> bool {
    is_same(client, with_current(|kept| kept.own.clone().filter(|_| kept.is_safe)))
}

/// Returns true if `client` follows redirects by golo's policy.
pub(crate) fn has_own_policy(client: &Client) -> bool {
    is_same(client, with_current(|kept| kept.own.clone()))
}

fn is_same(client: &Client, own: Result<Option<Arc<str>>, Error>) -> bool {
    own.ok().flatten().is_some_and(|own| *own == *format!("{client:?}"))
}

/// Calls `use_it` with the current worker's client. Builds it if needed.
fn with_current<T>(use_it: impl Fn(&Kept) -> T) -> Result<T, Error> {
    let runtime = runtime::Handle::try_current().ok().map(|handle| handle.id());
    let generation = options::generation();
    let is_current = |kept: &&Kept| kept.is_for(runtime, generation);
    if let Some(used) = LAST_USED.with_borrow(|kept| kept.as_ref().filter(is_current).map(&use_it)) {
        return Ok(used);
    }
    let known = lock(&CLIENTS).iter().find(is_current).cloned();
    let kept = match known {
        Some(kept) => kept,
        // Not under the lock: the load test's code builds the client, and it may ask for a client itself.
        None => {
            let outside = Arc::default();
            let settings = settings()?;
            let (client, own, is_safe) = build(&outside, settings.is_some())?;
            keep(Kept { runtime, generation, client, own, is_safe, settings, outside })
        }
    };
    let used = use_it(&kept);
    LAST_USED.set(Some(kept));
    Ok(used)
}

/// Keeps a new client. If another worker of this runtime was faster, returns that worker's client instead.
fn keep(new: Kept) -> Kept {
    let mut clients = lock(&CLIENTS);
    if let Some(kept) = clients.iter().find(|kept| kept.is_for(new.runtime, new.generation)) {
        return kept.clone();
    }
    if clients.len() == KEPT {
        clients.remove(0);
    }
    clients.push(new.clone());
    new
}

/// Builds a client. Also returns its debug text, if it follows redirects by golo's policy, and whether golo can follow one
/// in its place.
fn build(outside: &Arc<Visitor>, is_own: bool) -> Result<(Client, Option<Arc<str>>, bool), Error> {
    // The policy holds a clone, which is dropped if the load test replaces the policy.
    let policy = Arc::new(());
    let configure = CONFIGURE.read().unwrap_or_else(PoisonError::into_inner).clone();
    let build = |builder: ClientBuilder| match &configure {
        Some(configure) => {
            if IS_BUILDING.replace(true) {
                return Err("the function that builds the HTTP client uses the client itself".into());
            }
            let built = panic::caught_now(|| configure(builder));
            IS_BUILDING.set(false);
            built.unwrap_or_else(|panicked| Err(panicked.into())).map_err(|error| reason(error).into())
        }
        None => builder.build().map_err(Into::into),
    };
    let defaults = |policy: &Arc<()>| {
        let builder = defaults(policy, outside)?;
        if is_own { marked(builder).map_err(Into::into) } else { Ok(builder) }
    };
    let checked = if configure.is_some() { check_with_client() } else { Ok(()) };
    let built = checked.and_then(|()| defaults(&policy)).and_then(&build);
    let client = built
        .or_else(|error| match without_roots() {
            Some(only_added) => build(only_added(defaults(&policy)?)),
            None => Err(error),
        })
        .map_err(|error| Error::start("the HTTP client could not be built", Some(error)))?;
    let text = format!("{client:?}");
    let described = text.to_lowercase();
    // reqwest would add a default header again when a redirect leads to another host.
    let is_safe = !SENSITIVE.iter().any(|name| described.contains(&format!("\"{name}\"")));
    let own = (Arc::strong_count(&policy) > 1).then(|| text.into());
    Ok((client, own, is_safe))
}

/// Checks that the settings of the transport are possible with a client of the load test's own. [`Settings::new`] checks
/// those of golo's transport.
fn check_with_client() -> Result<(), BoxError> {
    if http::is_configured() {
        return Err("the load test has both `client` and `http`: its requests are sent by only one of them".into());
    }
    if options::current().http == Some(Versions::Http3) {
        return Err("`--http 3` is not possible with `client`: that client does not support HTTP/3".into());
    }
    Ok(())
}

/// Installs the TLS provider, without which reqwest panics. Used for golo's clients and for those that a load test
/// builds itself.
pub fn install_provider() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Fails if the load test has installed a provider, which is then used.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Settings of the transport, and the generation for which they were made.
static SETTINGS: Mutex<Option<(u64, Arc<Settings>)>> = Mutex::new(None);

/// Sets the options of the transport, and of all clients that are built from now on.
pub(crate) fn set_options(options: TransportOptions) {
    options.proxy.install();
    options::set(options);
    forget_clients();
}

/// Returns the settings of golo's transport. Returns `None` if the load test configured a client of its own.
fn settings() -> Result<Option<Arc<Settings>>, Error> {
    if CONFIGURE.read().unwrap_or_else(PoisonError::into_inner).is_some() {
        return Ok(None);
    }
    settings_of_transport().map(Some)
}

/// Returns the settings of golo's transport, also if the load test configured a client of its own.
fn settings_of_transport() -> Result<Arc<Settings>, Error> {
    let generation = options::generation();
    let is_current = |(of, _): &&(u64, Arc<Settings>)| *of == generation;
    if let Some((_, known)) = lock(&SETTINGS).as_ref().filter(is_current) {
        return Ok(Arc::clone(known));
    }
    // Not under the lock: this calls the load test's code, which may ask for a client itself.
    let new = Arc::new(Settings::new(&options::current())?);
    let mut settings = lock(&SETTINGS);
    // If another worker was faster, its settings are used: all workers share the connections in them.
    if let Some((_, known)) = settings.as_ref().filter(is_current) {
        return Ok(Arc::clone(known));
    }
    *settings = Some((generation, Arc::clone(&new)));
    Ok(new)
}

/// Follows as many redirects as reqwest does by default, and counts them.
fn redirects(policy: &Arc<()>) -> Policy {
    let policy = Arc::clone(policy);
    Policy::custom(move |attempt| {
        let _ = &policy;
        let is_allowed = targets::check(attempt.url());
        // The first of the previous URLs is the request itself.
        let is_within = attempt.previous().len() + attempts::followed_before() <= REDIRECTS;
        let is_http = matches!(attempt.url().scheme(), "http" | "https");
        attempts::redirected(attempt.status(), is_allowed.is_ok() && is_within && is_http);
        match is_allowed {
            Err(reason) => attempt.error(reason),
            Ok(()) if !is_within => attempt.error("too many redirects"),
            // reqwest refuses other schemes than HTTP.
            Ok(()) => attempt.follow(),
        }
    })
}

fn defaults(policy: &Arc<()>, outside: &Arc<Visitor>) -> Result<ClientBuilder, BoxError> {
    install_provider();
    let options = options::current();
    let mut builder = Client::builder();
    if options.no_keep_alive {
        builder = builder.pool_max_idle_per_host(0);
    }
    builder = cookies::with_jars(options.proxy.apply(builder)?, outside)
        .tls_danger_accept_invalid_certs(options.insecure)
        .connector_layer(TimeConnects)
        .timeout(TIMEOUT)
        .redirect(redirects(policy))
        .retry(reqwest::retry::never())
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd();
    builder = to_addresses(builder, &options)?;
    with_tls(with_version(builder, options.http), &options)
}

/// Applies the options about addresses. reqwest looks a host up without its port.
fn to_addresses(mut builder: ClientBuilder, options: &TransportOptions) -> Result<ClientBuilder, BoxError> {
    let mut hosts: Vec<_> = options.resolve.iter().map(|resolve| &*resolve.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    for host in hosts {
        let of_port = |port: u16| {
            let is_of_port = move |resolve: &&Resolve| resolve.host == host && resolve.port == port;
            options.resolve.iter().filter(is_of_port).map(|resolve| SocketAddr::new(resolve.address, 0))
        };
        let mut ports = options.resolve.iter().filter(|resolve| resolve.host == host).map(|resolve| resolve.port);
        let Some(port) = ports.next() else { continue };
        if ports.any(|other| !of_port(other).eq(of_port(port))) {
            let text = "reqwest connects to the same addresses at every port";
            return Err(format!("`--resolve` has different addresses for the ports of `{host}`: {text}").into());
        }
        builder = builder.resolve_to_addrs(host, &of_port(port).collect::<Vec<_>>());
    }
    if let Some(socket) = &options.unix_socket {
        builder = through_socket(builder, socket)?;
    }
    Ok(builder.local_address(options.local_addresses.first().copied()))
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "fails on other systems")]
fn through_socket(builder: ClientBuilder, socket: &Path) -> Result<ClientBuilder, BoxError> {
    Ok(builder.unix_socket(socket))
}

#[cfg(not(unix))]
fn through_socket(_: ClientBuilder, _: &Path) -> Result<ClientBuilder, BoxError> {
    Err("`--unix-socket` needs a Unix system".into())
}

fn with_version(builder: ClientBuilder, version: Option<Versions>) -> ClientBuilder {
    match version {
        // `check` refuses HTTP/3 for a client of the load test's own.
        None | Some(Versions::Auto | Versions::Http3) => builder,
        Some(Versions::Http1) => builder.http1_only(),
        Some(Versions::Http2) => builder.http2_prior_knowledge(),
    }
}

fn with_tls(mut builder: ClientBuilder, options: &TransportOptions) -> Result<ClientBuilder, BoxError> {
    let version = |version| match version {
        TlsVersion::V1_2 => reqwest::tls::Version::TLS_1_2,
        TlsVersion::V1_3 => reqwest::tls::Version::TLS_1_3,
    };
    if let Some(min) = options.tls_min {
        builder = builder.tls_version_min(version(min));
    }
    if let Some(max) = options.tls_max {
        builder = builder.tls_version_max(version(max));
    }
    if let Some(pem) = options.read_cacert()? {
        builder = builder.tls_certs_merge(Certificate::from_pem_bundle(&pem)?);
    }
    if let Some(http::Identity { certificate, key }) = options.read_identity()? {
        builder = builder.identity(Identity::from_pem(&[certificate, b"\n".to_vec(), key].concat())?);
    }
    Ok(builder)
}

/// On a machine without CA roots, returns a change of the builder after which it trusts only the CAs that the load test
/// adds. Otherwise no client could be built there, not even for plain http.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn without_roots() -> Option<fn(ClientBuilder) -> ClientBuilder> {
    if !rustls_native_certs::load_native_certs().certs.is_empty() {
        return None;
    }
    static WARNING: Once = Once::new();
    WARNING.call_once(|| {
        say("golo: this machine has no CA certificates, so https requests will fail");
        say("      install its package `ca-certificates`, or add a root with `--cacert`");
    });
    Some(|builder| builder.tls_certs_only([]))
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
fn without_roots() -> Option<fn(ClientBuilder) -> ClientBuilder> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn own_client_is_told_from_others() {
        assert!(is_marked(&client()));
        assert!(matches!(carrier(Some(client())), Carrier::Transport { .. }));
        assert!(matches!(carrier(None), Carrier::Transport { .. }));
        install_provider();
        for other in [Client::new(), Client::builder().cookie_store(true).build().unwrap()] {
            assert!(!is_marked(&other), "{other:?}");
            assert!(matches!(carrier(Some(other)), Carrier::Client(_)));
        }
    }

    #[tokio::test]
    async fn settings_of_a_later_call_are_used_although_a_client_was_built() {
        drop(client());
        // It uses the client itself, which must be an error and not a lock that is never released.
        crate::set_http(|http| {
            let error = current().err();
            http.default_header("x-error", if error.is_some() { "yes" } else { "no" })
        });
        let Carrier::Transport { settings, .. } = carrier(None) else { panic!("it is golo's transport") };
        assert_eq!(settings.headers.get("x-error").unwrap(), "yes");
    }
}
