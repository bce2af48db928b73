//! The web page of the run of this process, on a thread of its own.

use std::path::Path;
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use golo::cli::say;
use golo::run_loop::Order;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use super::board::{Board, Names};
use super::routes::Web;
use super::shelf::Shelf;
use super::{WebArgs, offer_pages};
use crate::http::server::{Bounds, Server, ServerOptions};
use crate::results::readers::Readers;
use crate::support::failure::Failure;

/// Longest time for which viewers may receive the end of the run.
const DRAIN: Duration = Duration::from_secs(1);
/// Number of orders that may wait for the run loop.
const ORDERS: usize = 16;

/// The server of a run's page. Dropping it closes the page.
pub struct WebServer {
    board: Arc<Board>,
    url: String,
    orders: Option<mpsc::Receiver<Order>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WebServer {
    /// Starts to serve the page of a run, and prints its address. Returns `None` if no page is wanted. Viewers can change
    /// its load, and stop it. The list shows the runs of the database at `store` too.
    ///
    /// # Errors
    ///
    /// Returns an error if a flag is wrong, or if the address cannot be listened on.
    pub fn start(args: WebArgs, names: Names, store: Option<&Path>) -> Result<Option<Self>, Failure> {
        let Some(options) = args.into_options()? else { return Ok(None) };
        let (sender, orders) = mpsc::channel(ORDERS);
        let board = Board::new(names, Some(sender));
        let shelf = Shelf::new(Some(Arc::clone(&board)), store.map(Readers::of));
        let (stop, stopped) = oneshot::channel();
        let (bound, is_bound) = std_mpsc::channel();
        let serving = move || serve(shelf, options, &bound, stopped);
        let cannot_start = |error| format!("the web page cannot start: {error}");
        let thread = thread::Builder::new().name("golo-web".to_owned()).spawn(serving).map_err(cannot_start)?;
        let ended = || Err(Failure::from("the web page cannot start"));
        let url = is_bound.recv().unwrap_or_else(|_| ended())?;
        Ok(Some(Self { board, url, orders: Some(orders), stop: Some(stop), thread: Some(thread) }))
    }

    /// Returns the URL of the server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the board that the page shows.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Returns the orders of viewers, once.
    pub fn take_orders(&mut self) -> Option<mpsc::Receiver<Order>> {
        self.orders.take()
    }
}

impl Drop for WebServer {
    /// Waits until the viewers have received the end of the run, at most for a second.
    fn drop(&mut self) {
        // The thread may have ended.
        _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            // Joining fails only after a panic, which has been printed.
            _ = thread.join();
        }
    }
}

fn serve(
    shelf: Shelf,
    mut options: ServerOptions,
    bound: &std_mpsc::Sender<Result<String, Failure>>,
    stopped: oneshot::Receiver<()>,
) {
    options.bounds = Bounds { drain: DRAIN, ..options.bounds };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::from(format!("the web page cannot start: {error}")));
    let prepared = runtime.and_then(|runtime| {
        let sessions = offer_pages(&mut options)?;
        let server = runtime.block_on(Server::bind(options))?;
        Ok((runtime, sessions, server))
    });
    let (runtime, sessions, server) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => {
            _ = bound.send(Err(failure));
            return;
        }
    };
    for warning in server.warnings() {
        say(format_args!("golo web page: {warning}"));
    }
    if let Some(own) = shelf.own() {
        say(format_args!("{}: watch the run at {}/runs/{}", own.names().load_test, server.url(), own.names().run));
    }
    _ = bound.send(Ok(server.url()));
    let web = Web::new(shelf, Some(sessions));
    runtime.block_on(server.run(web.router(), async { _ = stopped.await }));
    // Reading the store may take longer than the end of the run may wait.
    runtime.shutdown_background();
}
