//! The HTTP client: one a runtime, shared by all of its users.

use std::{
    cell::{Cell, RefCell},
    sync::{
        Arc, Mutex, Once, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Acquire, Ordering::Release},
    },
    time::Duration,
};

use reqwest::{Client, ClientBuilder, redirect::Policy};
use tokio::runtime;

use crate::{
    BoxError, Error,
    connects::TimeConnects,
    cookies,
    error::{chain, reason},
    lock::lock,
    message::say,
    panic, targets,
};

/// How long a request may take, body included, unless the load test says otherwise.
const TIMEOUT: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 10;
/// Runtimes whose clients are kept. A test binary starts a runtime for each test; the clients of old ones are dropped.
const KEPT: usize = 64;

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
}

impl Kept {
    fn is_for(&self, runtime: Option<runtime::Id>, generation: u64) -> bool {
        self.runtime == runtime && self.generation == generation
    }
}

/// The HTTP client of a load test: shared by all users of the worker this runs on, so that they share its connections.
///
/// It keeps connections alive, gives up on a request after 60 s, follows at most 10 redirects, never retries, asks for
/// no compression, and gives each user cookies of its own. [`set_client`] or the option `client = path` changes that.
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
    let runtime = runtime::Handle::try_current().ok().map(|handle| handle.id());
    let generation = GENERATION.load(Acquire);
    let is_current = |kept: &&Kept| kept.is_for(runtime, generation);
    if let Some(client) = LAST_USED.with_borrow(|kept| kept.as_ref().filter(is_current).map(|kept| kept.client.clone()))
    {
        return Ok(client);
    }
    let known = lock(&CLIENTS).iter().find(is_current).cloned();
    let kept = match known {
        Some(kept) => kept,
        // Without a lock: what builds it is the load test's, and may well ask for a client.
        None => keep(Kept { runtime, generation, client: build()? }),
    };
    LAST_USED.set(Some(kept.clone()));
    Ok(kept.client)
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

fn build() -> Result<Client, Error> {
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
    build(defaults())
        .or_else(|error| match without_roots() {
            Some(builder) => build(builder),
            None => Err(error),
        })
        .map_err(|error| Error::start("the HTTP client could not be built", Some(error)))
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
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// A connection for each request.
    pub(crate) no_keep_alive: bool,
    /// Any certificate will do.
    pub(crate) insecure: bool,
}

static OPTIONS: RwLock<Options> = RwLock::new(Options { no_keep_alive: false, insecure: false });

/// Has clients built so from now on.
pub(crate) fn set_options(options: Options) {
    *OPTIONS.write().unwrap_or_else(PoisonError::into_inner) = options;
    forget_clients();
}

/// Whether no proxy can come from outside: the environment names none, and the system is not asked.
fn names_no_proxy() -> bool {
    let named = |name: &str| std::env::var_os(name).is_some() || std::env::var_os(name.to_lowercase()).is_some();
    !cfg!(feature = "system-proxy") && !["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"].into_iter().any(named)
}

fn redirects() -> Policy {
    let limited = Policy::limited(REDIRECTS);
    if !targets::are_limited() {
        return limited;
    }
    Policy::custom(move |attempt| match targets::check(attempt.url()) {
        Ok(()) => limited.redirect(attempt),
        Err(reason) => attempt.error(reason),
    })
}

fn defaults() -> ClientBuilder {
    install_provider();
    let Options { no_keep_alive, insecure } = *OPTIONS.read().unwrap_or_else(PoisonError::into_inner);
    let mut builder = Client::builder();
    if no_keep_alive {
        builder = builder.pool_max_idle_per_host(0);
    }
    if names_no_proxy() {
        // reqwest would look at every request for what it is not to find.
        builder = builder.no_proxy();
    }
    cookies::with_jars(builder)
        .tls_danger_accept_invalid_certs(insecure)
        .connector_layer(TimeConnects)
        .timeout(TIMEOUT)
        .redirect(redirects())
        .retry(reqwest::retry::never())
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
}

/// On a machine without any CA root, where no builder can make a client that verifies by the system's: one that trusts
/// no CA but those the load test adds, so that plain http can be tested.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn without_roots() -> Option<ClientBuilder> {
    if !rustls_native_certs::load_native_certs().certs.is_empty() {
        return None;
    }
    static WARNING: Once = Once::new();
    WARNING.call_once(|| {
        say("golo: this machine has no CA certificates, so https requests will fail");
        say("      install its package `ca-certificates`, or add a root in `client = …`");
    });
    Some(defaults().tls_certs_only([]))
}

#[cfg(not(all(unix, not(target_vendor = "apple"))))]
fn without_roots() -> Option<ClientBuilder> {
    None
}
