//! The HTTP client: one a runtime, shared by all of its users.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc, Mutex, Once, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Acquire, Ordering::Release},
    },
    time::Duration,
};

use reqwest::{
    Client, ClientBuilder,
    header::{AUTHORIZATION, COOKIE, HeaderName, PROXY_AUTHORIZATION, WWW_AUTHENTICATE},
    redirect::Policy,
};
use tokio::runtime;

use crate::{
    BoxError, Error,
    error::{chain, reason},
    support::{lock::lock, message::say, panic},
    transport::{attempts, connects::TimeConnects, proxy::Proxy, targets},
    user::cookies,
};

/// How long a request may take, body included, unless the load test says otherwise. Less than the default grace of 30 s, so
/// that a request to a target that hangs fails rather than is cut off.
const TIMEOUT: Duration = Duration::from_secs(25);
const REDIRECTS: usize = 10;
/// Runtimes whose clients are kept. A test binary starts a runtime for each test; the clients of old ones are dropped.
const KEPT: usize = 64;

/// Headers that are not for another host than the one they were given for.
pub(crate) const SENSITIVE: [HeaderName; 5] =
    [AUTHORIZATION, COOKIE, HeaderName::from_static("cookie2"), PROXY_AUTHORIZATION, WWW_AUTHENTICATE];

type Configure = dyn Fn(ClientBuilder) -> Result<Client, BoxError> + Send + Sync;

static CONFIGURE: RwLock<Option<Arc<Configure>>> = RwLock::new(None);
/// Counts the calls of `set_client`: a client of an earlier generation is not used again.
static GENERATION: AtomicU64 = AtomicU64::new(0);
static CLIENTS: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

thread_local! {
    static LAST_USED: RefCell<Option<Kept>> = const { RefCell::new(None) };
    static IS_BUILDING: Cell<bool> = const { Cell::new(false) };
}

/// A client's connections live on the runtime they were made on, so a client belongs to one.
#[derive(Clone)]
struct Kept {
    runtime: Option<runtime::Id>,
    generation: u64,
    client: Client,
    /// What the client says of itself, if it follows redirects as golo does.
    own: Option<Arc<str>>,
}

impl Kept {
    fn is_for(&self, runtime: Option<runtime::Id>, generation: u64) -> bool {
        self.runtime == runtime && self.generation == generation
    }
}

/// The HTTP client of a load test: shared by all users of the worker this runs on, so that they share its connections.
///
/// It keeps connections alive, gives up on a request after 25 s, follows at most 10 redirects, never retries, asks for
/// no compression, uses no proxy unless `--proxy` asks for one, and gives each user cookies of its own. [`set_client`] or
/// the option `client = path` changes that.
/// Cloning it is cheap, and so is calling this again.
///
/// # Panics
///
/// Outside a run only, where the function given to [`set_client`] fails; a run does not start then.
///
/// ```no_run
/// # async fn load_test() -> Result<(), golo::RequestError> {
/// let login = golo::client().post("http://127.0.0.1:8765/login").json(&["user", "secret"]);
/// golo::do_request(&golo::new_sequence_id(), login).await?;
/// # Ok(()) }
/// ```
#[must_use]
pub fn client() -> Client {
    #[expect(clippy::panic, reason = "documented; a run has built its client by then")]
    current().unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// Has `f` build the client from now on, for this process. The builder comes with golo's defaults, which `f` may change.
///
/// If `f` sets a redirect policy, golo cannot count redirects: a request that was redirected counts as one redirect at
/// least. A proxy that `f` sets is not in the report, and neither is one that reqwest takes from the environment for a
/// client that is built without this builder.
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
    GENERATION.fetch_add(1, Release);
    lock(&CLIENTS).clear();
}

/// The current worker's client, built if it is not there yet.
pub(crate) fn current() -> Result<Client, Error> {
    with_current(|kept| kept.client.clone())
}

/// Whether `client` follows redirects by golo's policy. reqwest tells no client from another, so this compares what they
/// say of themselves; that costs some microseconds.
pub(crate) fn is_own(client: &Client) -> bool {
    with_current(|kept| kept.own.clone()).ok().flatten().is_some_and(|own| *own == *format!("{client:?}"))
}

/// Has the current worker's client, built if it is not there yet.
fn with_current<T>(use_it: impl Fn(&Kept) -> T) -> Result<T, Error> {
    let runtime = runtime::Handle::try_current().ok().map(|handle| handle.id());
    let generation = GENERATION.load(Acquire);
    let is_current = |kept: &&Kept| kept.is_for(runtime, generation);
    if let Some(used) = LAST_USED.with_borrow(|kept| kept.as_ref().filter(is_current).map(&use_it)) {
        return Ok(used);
    }
    let known = lock(&CLIENTS).iter().find(is_current).cloned();
    let kept = match known {
        Some(kept) => kept,
        // Without a lock: what builds it is the load test's, and may well ask for a client.
        None => {
            let (client, own) = build()?;
            keep(Kept { runtime, generation, client, own })
        }
    };
    let used = use_it(&kept);
    LAST_USED.set(Some(kept));
    Ok(used)
}

/// Keeps a new client, unless another worker of this runtime was quicker: then gives that one's.
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

/// Gives the client, and what it says of itself if it follows redirects as golo does.
fn build() -> Result<(Client, Option<Arc<str>>), Error> {
    // The policy holds the other half, and is gone if the load test has replaced it.
    let policy = Arc::new(());
    let configure = CONFIGURE.read().unwrap_or_else(PoisonError::into_inner).clone();
    let build = |builder: ClientBuilder| match &configure {
        Some(configure) => {
            if IS_BUILDING.replace(true) {
                return Err("the function that builds the HTTP client asks for the client".into());
            }
            let built = panic::caught_now(|| configure(builder));
            IS_BUILDING.set(false);
            built.unwrap_or_else(|panicked| Err(panicked.into())).map_err(|error| reason(error).into())
        }
        None => builder.build().map_err(Into::into),
    };
    let built = defaults(&policy).map_err(Into::into).and_then(&build);
    let client = built
        .or_else(|error| match without_roots(&policy) {
            Some(builder) => build(builder),
            None => Err(error),
        })
        .map_err(|error| Error::start("the HTTP client could not be built", Some(error)))?;
    let described = format!("{client:?}").to_lowercase();
    // reqwest would add a default header again where a redirect leads to another host.
    let is_safe = !SENSITIVE.iter().any(|name| described.contains(&format!("\"{name}\"")));
    let own = (Arc::strong_count(&policy) > 1 && is_safe).then(|| format!("{client:?}").into());
    Ok((client, own))
}

/// Puts the TLS provider in place, without which reqwest panics: for golo's clients, and for those that a load test makes
/// by itself.
pub fn install_provider() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Fails where the load test has installed one of its own choice, which then stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// How clients are built for one run, beside golo's defaults.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// A connection for each request.
    pub(crate) no_keep_alive: bool,
    /// Any certificate will do.
    pub(crate) insecure: bool,
    /// The proxy that requests go through.
    pub(crate) proxy: Proxy,
}

static OPTIONS: RwLock<Options> = RwLock::new(Options { no_keep_alive: false, insecure: false, proxy: Proxy::None });

/// Has clients built so from now on.
pub(crate) fn set_options(options: Options) {
    options.proxy.install();
    *OPTIONS.write().unwrap_or_else(PoisonError::into_inner) = options;
    forget_clients();
}

/// Follows as many redirects as reqwest does by itself, and counts them.
fn redirects(policy: &Arc<()>) -> Policy {
    let policy = Arc::clone(policy);
    Policy::custom(move |attempt| {
        let _ = &policy;
        let is_allowed = targets::check(attempt.url());
        // The first of those before is the request itself.
        let is_within = attempt.previous().len() + attempts::followed_before() <= REDIRECTS;
        let is_http = matches!(attempt.url().scheme(), "http" | "https");
        attempts::redirected(attempt.status(), is_allowed.is_ok() && is_within && is_http);
        match is_allowed {
            Err(reason) => attempt.error(reason),
            Ok(()) if !is_within => attempt.error("too many redirects"),
            // reqwest refuses what is not HTTP.
            Ok(()) => attempt.follow(),
        }
    })
}

fn defaults(policy: &Arc<()>) -> reqwest::Result<ClientBuilder> {
    install_provider();
    let Options { no_keep_alive, insecure, proxy } = OPTIONS.read().unwrap_or_else(PoisonError::into_inner).clone();
    let mut builder = Client::builder();
    if no_keep_alive {
        builder = builder.pool_max_idle_per_host(0);
    }
    let builder = cookies::with_jars(proxy.apply(builder)?)
        .tls_danger_accept_invalid_certs(insecure)
        .connector_layer(TimeConnects)
        .timeout(TIMEOUT)
        .redirect(redirects(policy))
        .retry(reqwest::retry::never())
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd();
    Ok(builder)
}

/// On a machine without any CA root, where no builder can make a client that verifies by the system's: one that trusts
/// no CA but those the load test adds, so that plain http can be tested.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn without_roots(policy: &Arc<()>) -> Option<ClientBuilder> {
    if !rustls_native_certs::load_native_certs().certs.is_empty() {
        return None;
    }
    static WARNING: Once = Once::new();
    WARNING.call_once(|| {
        say("golo: this machine has no CA certificates, so https requests will fail");
        say("      install its package `ca-certificates`, or add a root in `client = …`");
    });
    Some(defaults(policy).ok()?.tls_certs_only([]))
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
fn without_roots(_: &Arc<()>) -> Option<ClientBuilder> {
    None
}
