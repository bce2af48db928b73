//! A service on a thread of its own, for tests and examples.

use std::future::pending;
use std::mem::ManuallyDrop;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::{fmt, io};

use tokio::runtime;
use tokio::sync::oneshot;

use crate::counter::Counts;
use crate::routes::{Service, router_of};
use crate::server::{listen, serve};

/// A running service, reachable from this machine only. Dropping it cuts its connections and ends its thread.
pub struct SampleService {
    address: SocketAddr,
    url: String,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a service on a free loopback port, with a thread and a runtime of its own. It accepts connections at once.
///
/// Each call starts another one, with its own counts and sessions. It may be called from within a runtime.
///
/// # Errors
///
/// When the system gives no port, thread or runtime.
pub fn start() -> io::Result<SampleService> {
    let service = Arc::new(Service::new());
    let router = router_of(Arc::clone(&service));
    let (stop, stopped) = oneshot::channel();
    let (started, start) = mpsc::sync_channel(1);

    // The runtime lives and ends on its thread: within another runtime, dropping it would panic.
    let thread = thread::Builder::new().name("sample-service".to_owned()).spawn(move || {
        let opened = runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            let listener = runtime.block_on(async { listen((Ipv4Addr::LOCALHOST, 0).into()) })?;
            let address = listener.local_addr()?;
            Ok((runtime, listener, address))
        });
        match opened {
            Ok((runtime, listener, address)) => {
                let _ = started.send(Ok(address));
                runtime.block_on(async {
                    tokio::select! {
                        _ = serve(listener, router, pending()) => {}
                        _ = stopped => {}
                    }
                });
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    })?;

    let address = start.recv().unwrap_or_else(|_| Err(io::Error::other("the service's thread died")))?;
    let url = format!("http://{address}/");
    Ok(SampleService { address, url, service, stop: Some(stop), thread: Some(thread) })
}

/// Starts a service as [`start`] does, for as long as the process lives, and returns its URL: `http://127.0.0.1:PORT/`.
///
/// Each call starts another one.
///
/// # Panics
///
/// When [`start`] fails.
#[track_caller]
pub fn spawn() -> String {
    match start() {
        Ok(service) => ManuallyDrop::new(service).url().to_owned(),
        Err(error) => panic!("the sample service cannot start: {error}"),
    }
}

impl SampleService {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL, which ends with a slash: `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of a path and query on it: `/items/1`, `/slow?ms=20`.
    pub fn url_of(&self, path: &str) -> String {
        format!("{}{}", self.url, path.strip_prefix('/').unwrap_or(path))
    }

    /// What it has seen and answered so far.
    pub fn counter(&self) -> Counts {
        self.service.counter.counts()
    }

    /// Sets every count to 0. A request in flight is then answered without having been seen.
    pub fn reset_counter(&self) {
        self.service.counter.reset();
    }
}

impl fmt::Debug for SampleService {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SampleService").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Drop for SampleService {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has already been printed, and a second one here would abort.
            let _ = thread.join();
        }
    }
}
