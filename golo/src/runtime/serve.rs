//! Serving a load test: accepting connections, and shutting down gracefully.

use std::{pin::Pin, process::ExitCode, sync::Arc, time::Duration};

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tonic_health::{ServingStatus, pb::health_server::Health, server::HealthReporter};

use super::listener::{Address, Connection, Listener};
use super::own_call::{OwnCall, own_call};
use super::service::{ENGINE, InFlight, SERVICE, Services, WireLayout, services};
use super::{Runtimes, run_on};
use crate::error::exit::report;
use crate::report::lines::{Lines, Loss};
use crate::run_loop::{LAST_MOMENT, signals::Signals};
use crate::{Error, Loadtest, report::counted, support::message::say};

/// Limit of triggers in flight on one connection, and of cancelled ones that are not cleaned up yet. High enough that
/// hyper does not take a client for an attacker.
const TRIGGERS: u32 = 10_000;
/// Time to wait after a connection could not be accepted, for example because of too few descriptors.
const RETRY: Duration = Duration::from_millis(100);

/// Serves on the address of the command line until a signal.
pub(super) fn serve(
    loadtest: Loadtest,
    address: Address,
    graceful_stop: Duration,
    quiet: bool,
    wire: WireLayout,
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
    // Lines of the triggers that were cut off.
    let _ = control.block_on(async { tokio::time::timeout_at(at_least_a_moment(grace), lines.flush()).await });
    lines.print_checks();
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
    /// True if only errors and warnings are printed.
    quiet: bool,
    wire: WireLayout,
    lines: &'a Lines,
    load: &'a Handle,
}

impl Serving<'_> {
    /// Serves until a signal. Also returns the time until which the last lines may be written.
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
            // Gives the clients time to receive the errors. A trigger that blocks its thread cannot be cut off.
            let _ = tokio::time::timeout(LAST_MOMENT, &mut serving).await;
            say(format_args!("{name}: cut off the triggers still in flight"));
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

/// Binds first, so that a taken address is reported before `setup` does its work.
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

/// Prints the address of the load test, and how to send load, because serving alone sends none.
fn greet(name: &str, address: &str) {
    let OwnCall { plain, optimised } = own_call();
    say(format_args!("golo: serving golo.Job on {address}, until Ctrl-C; this sends no load by itself"));
    say(format_args!("  to load the target:  {optimised} run"));
    say(format_args!("  to trigger it once:  {plain} once"));
    say(format_args!("  to trigger it from elsewhere, over gRPC: /golo.Job/Trigger {{\"jobName\": \"{name}\"}}"));
}

/// A load test and its services.
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
    /// Accepts connections and ends idle users. Never returns.
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

    /// Serves one connection in a task of its own.
    fn answer(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(TRIGGERS)
            .max_pending_accept_reset_streams(TRIGGERS as usize)
            .max_local_error_reset_streams(TRIGGERS as usize)
            .serve_connection(TokioIo::new(stream), self.services.clone());
        let connection = self.connections.watch(connection);
        tokio::spawn(async move {
            // A client that disconnects is not an error: its triggers are dropped.
            let _ = connection.await;
        });
    }

    /// Serves until `stopped`, and then until all triggers in flight have ended.
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
            // Ends the streams of clients that watch the health, which would keep their connections open.
            self.health.clear_service_status(service).await;
        }
        tokio::select! {
            () = self.connections.shutdown() => {}
            // A client that does not read, or keeps a reflection stream open, would keep its connection open for good.
            () = self.in_flight.none_for(LAST_MOMENT) => {}
        }
    }
}

impl Loadtest {
    /// Serves `golo.Job` and health on an existing listener, for a `main` of your own.
    ///
    /// Serves for as long as the returned value is awaited. Outputs are written to stdout as lines, unless
    /// [`sink`](Self::sink) sets another sink. Signals are not handled; pass one to [`until`](Serve::until).
    ///
    /// # Errors
    ///
    /// Awaiting returns an error if the HTTP client could not be built, or if `setup` or `teardown` failed.
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

/// A load test that is served while this is awaited. [`Loadtest::serve_on`] creates it and has an example.
#[must_use = "a load test is not served until this is awaited"]
pub struct Serve {
    loadtest: Loadtest,
    listener: Listener,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
    wire: WireLayout,
}

impl Serve {
    /// Sets the field layout of responses.
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

    /// Stops once `signal` completes: finishes the triggers in flight, stops the users, runs `teardown`, and writes the
    /// remaining lines.
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
