//! Sinks: receivers of measured requests.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use crate::metrics::custom::MetricSample;
use crate::metrics::group::GroupSample;
use crate::{ConnectionEvent, OutputRef};

/// Receiver of [`Output`](crate::Output)s. Usually this is stdout when a load test is served, and a recorder when it
/// drives itself.
///
/// golo calls a sink on the request's thread, after the request has been measured. A sink must be fast and must not
/// block. Set your own with [`Loadtest::sink`](crate::Loadtest::sink). This one counts failed requests:
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
    /// Receives one measured request.
    fn output(&self, output: &OutputRef<'_>);

    /// Receives the result of one [`check`](crate::check()). Does nothing by default.
    fn check(&self, name: &str, passed: bool) {
        let _ = (name, passed);
    }

    /// Receives one value of a custom metric. Does nothing by default.
    fn metric(&self, sample: &MetricSample) {
        let _ = sample;
    }

    /// Receives one [`group`](crate::group()) that has ended. Does nothing by default.
    fn group(&self, sample: &GroupSample) {
        let _ = sample;
    }

    /// Receives the time that golo's client took to make one connection, including TLS. Does nothing by default.
    fn connected(&self, duration: Duration) {
        let _ = duration;
    }

    /// Receives an event of a connection of golo's transport. Does nothing by default.
    fn connection(&self, event: ConnectionEvent) {
        let _ = event;
    }

    /// Returns `None` while the sink has room, and otherwise a future that completes once it has room again.
    ///
    /// A load test waits for that future after each measured request and before each trigger. So a sink that cannot
    /// keep up slows the load test down; memory does not grow and no output is lost.
    fn backpressure(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        None
    }
}

/// The sink of code that runs outside of any trigger's scope.
static PROCESS: RwLock<Option<Arc<dyn Sink>>> = RwLock::new(None);

/// Sets the sink of the whole process. The runtime does so while it serves.
pub(crate) fn install(sink: Arc<dyn Sink>) {
    *PROCESS.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(sink);
}

/// Returns the sink of the whole process, or [`Print`] if none is set.
pub(crate) fn process() -> Arc<dyn Sink> {
    let installed = PROCESS.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    installed.unwrap_or_else(|| Arc::new(Print))
}

/// Prints each line to stdout at once. Used outside of a run, for example in a unit test.
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
        // The test harness captures `print!`, but `print!` panics if stdout is closed.
        #[expect(clippy::print_stdout, reason = "the line belongs on stdout")]
        let printed = std::panic::catch_unwind(AssertUnwindSafe(|| {
            print!("{line}");
            let _ = std::io::stdout().flush();
        }));
        STDOUT_IS_CLOSED.store(printed.is_err(), Relaxed);
    }
}

/// Discards outputs that are not load, for example those of a user's `start` and `stop`.
pub(crate) struct Discard;

impl Sink for Discard {
    fn output(&self, _: &OutputRef<'_>) {}
}
