//! Serving a load test: accepting connections, and ending well.

use std::{
    pin::Pin,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Runtime,
};
use tonic_health::{ServingStatus, pb::health_server::Health, server::HealthReporter};

use super::{
    args::ServeArgs,
    lines::Lines,
    listener::{Connection, Listener},
    service::{InFlight, SERVICE, Services, services},
    signals::Signals,
};
use crate::{Error, Loadtest, message::say};

/// Triggers in flight on one connection, and cancelled ones that are not cleaned up yet: enough that no client is
/// taken for an attacker.
const TRIGGERS: u32 = 10_000;
/// Time for the last lines, tear-down and cancelled requests, where the grace has been used up.
const LAST_MOMENT: Duration = Duration::from_secs(1);
/// How long to wait where a connection cannot be accepted: for want of descriptors, say.
const RETRY: Duration = Duration::from_millis(100);

/// Serves on the address of the command line until a signal.
pub(super) fn serve(loadtest: Loadtest, args: &ServeArgs, runtime: Runtime) -> ExitCode {
    let lines = match Lines::of_process() {
        Ok(lines) => lines,
        Err(error) => return loadtest.report(&error),
    };
    let loadtest = Arc::new(loadtest);
    let mut grace = Instant::now();
    let result = runtime.block_on(serve_until_signal(&loadtest, args, &mut grace));
    // Drops what was cut off: its requests are recorded as cancelled.
    runtime.shutdown_timeout(LAST_MOMENT);
    let lost = lines.finish(at_least_a_moment(grace));
    lines.say_checks();
    if lost > 0 {
        say(format_args!("{}: {lost} output lines were lost: nobody read them in time", loadtest.name));
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => loadtest.report(&error),
    }
}

/// `grace` becomes the time until which everything must have ended.
async fn serve_until_signal(loadtest: &Arc<Loadtest>, args: &ServeArgs, grace: &mut Instant) -> Result<(), Error> {
    let name = &loadtest.name;
    let mut signals = Signals::listen()?;
    let listener = Listener::bind(&args.addr).await?;
    tokio::select! {
        prepared = loadtest.prepare() => prepared?,
        () = signals.next() => return Ok(()),
    }
    let server = Server::new(Arc::clone(loadtest)).await;
    greet(name, &listener.address());
    tokio::select! {
        () = server.accept(&listener) => {}
        () = signals.next() => {}
    }
    drop(listener);
    *grace = Instant::now() + args.graceful_stop;
    say(format_args!("{name}: finishing the triggers in flight; a second signal cuts them off"));
    tokio::select! {
        () = server.drain() => {}
        () = tokio::time::sleep_until((*grace).into()) => {
            say(format_args!("{name}: cut off what was still in flight after {:?}", args.graceful_stop));
        }
        () = signals.next() => *grace = Instant::now(),
    }
    tokio::select! {
        result = loadtest.tear_down() => return result,
        () = tokio::time::sleep_until(at_least_a_moment(*grace).into()) => {}
        () = signals.next() => *grace = Instant::now(),
    }
    say(format_args!("{name}: cut off `teardown` or a user's `stop`"));
    Ok(())
}

fn at_least_a_moment(deadline: Instant) -> Instant {
    deadline.max(Instant::now() + LAST_MOMENT)
}

fn greet(name: &str, address: &str) {
    say(format_args!("{name}: serving golo.Job on {address}, until Ctrl-C"));
    say(format_args!("  trigger it with anything that speaks gRPC: /golo.Job/Trigger {{\"jobName\": \"{name}\"}}"));
    say(format_args!("  or without a server, once:              {name} once"));
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
    async fn new(loadtest: Arc<Loadtest>) -> Server<impl Health> {
        let in_flight = InFlight::default();
        let (health, services) = services(Arc::clone(&loadtest), in_flight.clone()).await;
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
                        say(format_args!("{}: a connection could not be accepted: {error}", self.loadtest.name));
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

    /// Waits until every trigger in flight has been answered.
    async fn drain(mut self) {
        for service in [SERVICE, ""] {
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
        Serve { loadtest: self, listener: listener.into(), stopped: Box::pin(std::future::pending()) }
    }
}

/// A load test that is served, once this is awaited. [`Loadtest::serve_on`] makes it, and shows it.
#[must_use = "a load test is not served until this is awaited"]
pub struct Serve {
    loadtest: Loadtest,
    listener: Listener,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Serve {
    /// Stops once `signal` has come: finishes the triggers in flight, stops the users, tears down, and writes what is
    /// left of the lines.
    pub fn until(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.stopped = Box::pin(signal);
        self
    }

    async fn run(self) -> Result<(), Error> {
        let lines = if self.loadtest.uses_process_sink() { Some(Lines::of_process()?) } else { None };
        self.loadtest.prepare().await?;
        let loadtest = Arc::new(self.loadtest);
        let server = Server::new(Arc::clone(&loadtest)).await;
        tokio::select! {
            () = server.accept(&self.listener) => {}
            () = self.stopped => {}
        }
        drop(self.listener);
        server.drain().await;
        let result = loadtest.tear_down().await;
        if let Some(lines) = lines {
            // Whoever wants a limit drops this.
            while tokio::task::spawn_blocking({
                let lines = lines.clone();
                move || lines.finish(Instant::now() + LAST_MOMENT)
            })
            .await
            .is_ok_and(|lost| lost > 0)
            {}
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
