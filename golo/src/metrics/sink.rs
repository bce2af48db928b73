//! Sinks: what measured requests are handed to.

use std::{
    io::Write as _,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::OutputRef;

/// What consumes [`Output`](crate::Output)s: stdout when a load test is served, a recorder when it drives itself.
///
/// A sink is called on the thread of the request, after it has been measured: it must be quick and must not block.
/// [`Loadtest::sink`](crate::Loadtest::sink) puts one of your own in place, as in this one that counts:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// #[derive(Default)]
/// struct Failures(AtomicU64);
///
/// impl golo::Sink for Failures {
///     fn output(&self, output: &golo::OutputRef<'_>) {
///         self.0.fetch_add(output.is_failed().into(), Ordering::Relaxed);
///     }
/// }
/// ```
pub trait Sink: Send + Sync + 'static {
    /// One request has been measured.
    fn output(&self, output: &OutputRef<'_>);

    /// One [`check`](crate::check()) was made. Does nothing unless the sink wants it.
    fn check(&self, name: &str, passed: bool) {
        let _ = (name, passed);
    }

    /// golo's client has made a connection, in so long a time, TLS and all. Does nothing unless the sink wants it.
    fn connected(&self, duration: Duration) {
        let _ = duration;
    }

    /// `None` while there is room; otherwise a future that ends when there is room again.
    ///
    /// A load test waits for it after a request has been measured and before a trigger starts, so that a sink that
    /// cannot keep up slows the load test down rather than growing memory or losing an output.
    fn backpressure(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        None
    }
}

/// The sink of everything that runs in no trigger's scope.
static PROCESS: RwLock<Option<Arc<dyn Sink>>> = RwLock::new(None);

/// Makes `sink` the one of the whole process: the runtime's, while it serves.
pub(crate) fn install(sink: Arc<dyn Sink>) {
    *PROCESS.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(sink);
}

/// The sink of the whole process, or stdout as it is outside any run.
pub(crate) fn process() -> Arc<dyn Sink> {
    let installed = PROCESS.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    installed.unwrap_or_else(|| Arc::new(Print))
}

/// Outside any run, in a unit test say: prints the line at once.
struct Print;

static STDOUT_IS_CLOSED: AtomicBool = AtomicBool::new(false);

impl Sink for Print {
    fn output(&self, output: &OutputRef<'_>) {
        let mut line = Vec::with_capacity(256);
        output.write_line(&mut line);
        let line = String::from_utf8_lossy(&line);
        if STDOUT_IS_CLOSED.load(Relaxed) {
            return;
        }
        // `print!` is what the test harness captures, but it panics where stdout is closed.
        #[expect(clippy::print_stdout, reason = "the line belongs on stdout")]
        let printed = std::panic::catch_unwind(AssertUnwindSafe(|| {
            print!("{line}");
            let _ = std::io::stdout().flush();
        }));
        STDOUT_IS_CLOSED.store(printed.is_err(), Relaxed);
    }
}

/// Takes nothing down: for what is not load, as `start` and `stop` of a user.
pub(crate) struct Discard;

impl Sink for Discard {
    fn output(&self, _: &OutputRef<'_>) {}
}
