//! Serving a load test: accepting connections, and ending well.

use std::{pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    sync::oneshot,
    time::{Instant, sleep_until},
};
use tonic_health::{ServingStatus, pb::health_server::Health, server::HealthReporter};

use super::{
    Runtimes,
    listener::{Address, Connection, Listener},
    own_call::{OwnCall, own_call},
    run_on,
    service::{ENGINE, InFlight, SERVICE, Services, WireLayout, services},
};
use crate::error::exit::report;
use crate::report::lines::{Lines, Loss};
use crate::run_loop::{LAST_MOMENT, signals::Signals};
use crate::{Error, Loadtest, report::counted, support::message::say};

/// Triggers in flight on one connection, and cancelled ones that are not cleaned up yet: enough that no client is
/// taken for an attacker.
const TRIGGERS: u32 = 10_000;
/// How long to wait where a connection cannot be accepted: for want of descriptors, say.
const RETRY: Duration = Duration::from_millis(100);

/// Serves on the address of the command line until a signal.
pub(super) fn serve(
    loadtest: Loadtest,
    address: Address,
    (graceful_stop, quiet, wire): (Duration, bool, WireLayout),
    runtimes: Runtimes,
) -> ExitCode {
    let name = loadtest.name.clone();
    let lines = match Lines::of_process() {
        Ok(lines) => lines,
        Err(error) => return report(&error),
    };
    let serving = Serving { name: &name, graceful_stop, quiet, wire, lines: &lines, load: runtimes.load.handle() };
    let loadtest = Arc::new(loadtest);
    let (result, grace) = runtimes.control.block_on(serving.until_signal(&loadtest, &address));
    let control = runtimes.end(loadtest);
    // The lines of what was cut off.
    let _ = control.block_on(async { tokio::time::timeout_at(at_least_a_moment(grace), lines.flush()).await });
    lines.say_checks();
    if let Some(Loss { lines, reason }) = lines.loss() {
        say(format_args!("golo: {lines} output lines were lost: {reason}"));
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    }
}

struct Serving<'a> {
    name: &'a str,
    graceful_stop: Duration,
    /// Whether only what went wrong is said.
    quiet: bool,
    wire: WireLayout,
    lines: &'a Lines,
    load: &'a Handle,
}

impl Serving<'_> {
    /// Gives also the time until which the last lines may be written.
    async fn until_signal(&self, loadtest: &Arc<Loadtest>, address: &Address) -> (Result<(), Error>, Instant) {
        let mut grace = Instant::now();
        let result = self.serve(loadtest, address, &mut grace).await;
        (result, grace)
    }

    async fn serve(&self, loadtest: &Arc<Loadtest>, address: &Address, grace: &mut Instant) -> Result<(), Error> {
        let name = self.name;
        let mut signals = Signals::listen()?;
        let starting = run_on(self.load, start(Arc::clone(loadtest), address.clone(), self.wire));
        let (server, listener) = tokio::select! {
            started = starting => started?,
            () = signals.next() => return Ok(()),
        };
        if !self.quiet {
            greet(name, &listener.address());
        }
        let in_flight = server.in_flight.clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = async move {
            server.run(listener, async { _ = stopped.await }).await;
            Ok(())
        };
        let mut serving = std::pin::pin!(run_on(self.load, serving));
        tokio::select! {
            result = &mut serving => return result,
            () = signals.next() => {}
        }
        *grace = Instant::now() + self.graceful_stop;
        if !self.quiet {
            say(format_args!("{name}: finishing the triggers in flight; a second signal cuts them off"));
        }
        drop(stop);
        let is_cut_off = tokio::select! {
            _ = &mut serving => false,
            () = sleep_until(*grace) => true,
            () = signals.next() => {
                *grace = Instant::now();
                true
            }
        };
        if is_cut_off {
            in_flight.cut_off();
            // Until the clients have been told. One that blocks its thread cannot be cut off.
            let _ = tokio::time::timeout(LAST_MOMENT, &mut serving).await;
            say(format_args!("{name}: cut off what was still in flight"));
        }
        let result = self.tear_down(loadtest, &mut signals, grace).await;
        tokio::select! {
            () = self.lines.flush() => {}
            () = sleep_until(*grace) => {}
            () = signals.next() => *grace = Instant::now(),
        }
        result
    }

    async fn tear_down(
        &self,
        loadtest: &Arc<Loadtest>,
        signals: &mut Signals,
        grace: &mut Instant,
    ) -> Result<(), Error> {
        let tearing_down = Arc::clone(loadtest);
        tokio::select! {
            result = run_on(self.load, async move { tearing_down.tear_down().await }) => return result,
            () = sleep_until(at_least_a_moment(*grace)) => {}
            () = signals.next() => *grace = Instant::now(),
        }
        match loadtest.unstopped_users() as u64 {
            0 => say(format_args!("{}: cut off `teardown`", self.name)),
            users => {
                say(format_args!("{}: cut off the `stop` of {}, and `teardown`", self.name, counted(users, "user")))
            }
        }
        Ok(())
    }
}

/// Binds first, so that an address that is taken is known before `setup` does its work.
async fn start(
    loadtest: Arc<Loadtest>,
    address: Address,
    wire: WireLayout,
) -> Result<(Server<impl Health>, Listener), Error> {
    let listener = Listener::bind(&address).await?;
    loadtest.prepare().await?;
    Ok((Server::new(loadtest, wire).await, listener))
}

fn at_least_a_moment(deadline: Instant) -> Instant {
    deadline.max(Instant::now() + LAST_MOMENT)
}

/// Says where the load test is served, and how to send load: serving alone sends none.
fn greet(name: &str, address: &str) {
    let OwnCall { plain, optimised } = own_call();
    say(format_args!("golo: serving golo.Job on {address}, until Ctrl-C; this alone sends no load"));
    say(format_args!("  to load the target:  {optimised} run"));
    say(format_args!("  to trigger it once:  {plain} once"));
    say(format_args!("  to trigger it from elsewhere, over gRPC: /golo.Job/Trigger {{\"jobName\": \"{name}\"}}"));
}

/// A load test that can be reached.
struct Server<H> {
    loadtest: Arc<Loadtest>,
    services: Services<H>,
    health: HealthReporter,
    in_flight: InFlight,
    connections: GracefulShutdown,
}

impl Server<()> {
    async fn new(loadtest: Arc<Loadtest>, wire: WireLayout) -> Server<impl Health> {
        let in_flight = InFlight::default();
        let (health, services) = services(Arc::clone(&loadtest), in_flight.clone(), wire).await;
        Server { loadtest, services, health, in_flight, connections: GracefulShutdown::new() }
    }
}

impl<H: Health> Server<H> {
    /// Accepts connections, and ends users that are idle, for ever.
    async fn accept(&self, listener: &Listener) {
        tokio::join!(self.loadtest.end_idle_users(), async {
            loop {
                match listener.accept().await {
                    Ok(Connection::Tcp(stream)) => self.answer(stream),
                    #[cfg(unix)]
                    Ok(Connection::Unix(stream)) => self.answer(stream),
                    Err(error) => {
                        say(format_args!("golo: a connection could not be accepted: {error}"));
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
        });
    }

    /// Answers the calls of one connection, in a task of its own.
    fn answer(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(TRIGGERS)
            .max_pending_accept_reset_streams(TRIGGERS as usize)
            .max_local_error_reset_streams(TRIGGERS as usize)
            .serve_connection(TokioIo::new(stream), self.services.clone());
        let connection = self.connections.watch(connection);
        tokio::spawn(async move {
            // A client that goes away in the middle is no event: its triggers are dropped.
            let _ = connection.await;
        });
    }

    /// Serves until `stopped`, and then until every trigger in flight has been answered.
    async fn run(self, listener: Listener, stopped: impl Future<Output = ()>) {
        tokio::select! {
            () = self.accept(&listener) => {}
            () = stopped => {}
        }
        drop(listener);
        self.drain().await;
    }

    async fn drain(mut self) {
        self.in_flight.stop();
        for service in [SERVICE, ENGINE, ""] {
            self.health.set_service_status(service, ServingStatus::NotServing).await;
            // Ends the streams of those who watch: they would keep their connections open.
            self.health.clear_service_status(service).await;
        }
        tokio::select! {
            () = self.connections.shutdown() => {}
            // A client that reads nothing, or leaves a stream of reflection open, keeps its connection though nothing runs.
            () = self.in_flight.none_for(LAST_MOMENT) => {}
        }
    }
}

impl Loadtest {
    /// Serves `golo.Job` and health on a listener that is there already, for those who write their own `main`.
    ///
    /// Serves for as long as what this returns is awaited. Outputs are written to stdout as lines, unless
    /// [`sink`](Self::sink) says otherwise. No signal is handled: give one to [`until`](Serve::until).
    ///
    /// # Errors
    ///
    /// When awaited: where the HTTP client could not be built, or `setup` or `teardown` failed.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let loadtest = golo::Loadtest::new(|_, _| async {}).name("nothing");
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// loadtest.serve_on(listener).until(async { _ = tokio::signal::ctrl_c().await }).await?;
    /// # Ok(()) }
    /// ```
    pub fn serve_on(self, listener: impl Into<Listener>) -> Serve {
        Serve {
            loadtest: self,
            listener: listener.into(),
            stopped: Box::pin(std::future::pending()),
            wire: WireLayout::default(),
        }
    }
}

/// A load test that is served, once this is awaited. [`Loadtest::serve_on`] makes it, and shows it.
#[must_use = "a load test is not served until this is awaited"]
pub struct Serve {
    loadtest: Loadtest,
    listener: Listener,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    wire: WireLayout,
}

impl Serve {
    /// Writes responses in this layout.
    ///
    /// ```
    /// # async fn example() -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let served = golo::Loadtest::new(|_, _| async {}).serve_on(listener).wire(golo::WireLayout::Later);
    /// # Ok(()) }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
    /// ```
    pub fn wire(self, wire: WireLayout) -> Self {
        Self { wire, ..self }
    }

    /// Stops once `signal` has come: finishes the triggers in flight, stops the users, tears down, and writes what is
    /// left of the lines.
    pub fn until(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stopped = Box::pin(signal);
        self
    }

    async fn run(self) -> Result<(), Error> {
        let lines = if self.loadtest.own_sink().is_none() { Some(Lines::of_process()?) } else { None };
        self.loadtest.prepare().await?;
        let loadtest = Arc::new(self.loadtest);
        Server::new(Arc::clone(&loadtest), self.wire).await.run(self.listener, self.stopped).await;
        let result = loadtest.tear_down().await;
        if let Some(lines) = lines {
            lines.flush().await;
        }
        result
    }
}

impl IntoFuture for Serve {
    type Output = Result<(), Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl std::fmt::Debug for Serve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serve").field("loadtest", &self.loadtest).field("listener", &self.listener).finish()
    }
}
