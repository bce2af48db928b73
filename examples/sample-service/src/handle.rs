//! A service on its own thread, for tests and examples.

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

/// A running service, reachable from this machine only. Dropping it closes its connections and ends its thread.
pub struct SampleService {
    address: SocketAddr,
    url: String,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a service on a free loopback port, with its own thread and runtime. It accepts connections as soon as this
/// returns.
///
/// Each call starts another service, with its own counts and sessions. It may be called from within a runtime.
///
/// # Errors
///
/// Returns an error if no port, thread or runtime is available.
pub fn start() -> io::Result<SampleService> {
    let service = Arc::new(Service::new());
    let router = router_of(Arc::clone(&service));
    let (stop, stopped) = oneshot::channel();
    let (started, start) = mpsc::sync_channel(1);

    // The runtime is created and dropped on this thread: dropping it within another runtime would panic.
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

/// Starts a service like [`start`], which runs until the process ends. Returns its URL: `http://127.0.0.1:PORT/`.
///
/// Each call starts another service.
///
/// # Panics
///
/// Panics if [`start`] fails.
#[track_caller]
pub fn spawn() -> String {
    match start() {
        Ok(service) => ManuallyDrop::new(service).url().to_owned(),
        Err(error) => panic!("the sample service cannot start: {error}"),
    }
}

impl SampleService {
    /// Returns the address that the service listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL, which ends with a slash: `http://127.0.0.1:PORT/`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the URL of a path and query on this service, such as `/items/1` or `/slow?ms=20`.
    pub fn url_of(&self, path: &str) -> String {
        format!("{}{}", self.url, path.strip_prefix('/').unwrap_or(path))
    }

    /// Returns the requests seen and answered so far.
    pub fn counter(&self) -> Counts {
        self.service.counter.counts()
    }

    /// Sets every count to 0. A request in flight is then counted as answered but not as seen.
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
            // A panic of the thread has already been printed. A second one here would abort the process.
            let _ = thread.join();
        }
    }
}
