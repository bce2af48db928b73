//! Runtimes of several threads, on systems that may refuse a thread.

use std::io;
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::sync::{Arc, Mutex, mpsc};
use std::{fmt, thread};

use tokio::runtime::{Builder, Runtime};

use crate::support::lock::lock;
use crate::support::panic::message;

/// Name of the thread that starts a runtime.
const NAME: &str = "golo-start";
/// Advice for a process that gets no more threads.
const ADVICE: &str = "raise the limit of processes and threads (`ulimit -u`, or `pids.max` of the cgroup)";

/// Held while the panic hook is replaced.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts a runtime with this number of threads.
///
/// # Errors
///
/// Returns an error if the system refuses a thread or a descriptor. The threads that it did not refuse stay until the end
/// of the process.
pub fn start_runtime(threads: usize) -> io::Result<Runtime> {
    // tokio panics if it does not get all its threads, and then waits forever for those that it got. So a thread that can
    // be left behind starts them, and the panic hook, which is called before that wait, reports the panic.
    let _alone = lock(&STARTING);
    let (report, started) = mpsc::channel();
    let panicked = report.clone();
    let hook = Hook::set(move |text| _ = panicked.send(Err(refused(text.trim_start_matches("panicked: ")))));
    let building = thread::Builder::new().name(NAME.to_owned()).spawn(move || {
        _ = report.send(Builder::new_multi_thread().worker_threads(threads).enable_all().build());
    });
    let started = building.map_err(refused).and_then(|_| started.recv().unwrap_or_else(|error| Err(refused(error))));
    drop(hook);
    started
}

fn refused(reason: impl fmt::Display) -> io::Error {
    io::Error::other(format!("{reason}; {ADVICE}"))
}

/// A panic hook.
type Call = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// Panic hook for the thread that starts a runtime, until this is dropped.
struct Hook(Option<Arc<Call>>);

impl Hook {
    /// Calls `report` with the message of that thread's panic. Panics of other threads go to the hook that is replaced.
    fn set(report: impl Fn(String) + Send + Sync + 'static) -> Self {
        let before = Arc::new(take_hook());
        let others = Arc::clone(&before);
        set_hook(Box::new(move |panic| match thread::current().name() {
            Some(NAME) => report(message(panic.payload())),
            _ => others(panic),
        }));
        Self(Some(before))
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // Drops the other reference to the hook before.
        drop(take_hook());
        if let Some(before) = self.0.take().and_then(Arc::into_inner) {
            set_hook(before);
        }
    }
}
