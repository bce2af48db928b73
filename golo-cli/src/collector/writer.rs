//! The thread that writes to the store. All jobs that queue up during one transaction go into the next, so that
//! concurrent writers share one wait for the disk.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use golo::cli::{chain, say};
use tokio::sync::{mpsc, oneshot, watch};

use crate::results::store::{Store, StoreError, Writing};

/// Maximum number of queued jobs; further callers wait for a place.
const WAITING: usize = 64;

/// A job of a transaction. The argument is `None` if the transaction could not begin. Returns the callback for the
/// transaction's end, which receives the error of a failed commit.
type Job = Box<dyn FnOnce(Option<&mut Writing<'_>>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// Handle to the writing thread; clones share it.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// Reason why the last transaction failed, if it did.
    trouble: watch::Receiver<Option<String>>,
}

impl Writer {
    pub(super) fn start(store: Store) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(WAITING);
        let (troubled, trouble) = watch::channel(None);
        let writing = move || write(store, queue, &troubled);
        let thread = thread::Builder::new().name("golo-writer".to_owned()).spawn(writing)?;
        Ok(Self { jobs, thread: Arc::new(Mutex::new(Some(thread))), trouble })
    }

    /// Returns the reason why the last transaction failed, if it did.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Runs `write` in a transaction and returns once it is committed or has failed. It is written even if the caller
    /// does not wait.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let over = || StoreError::Unusable("the collector is shutting down".to_owned());
        let job: Job = Box::new(move |writing| {
            let written = writing.map_or_else(|| Err(over()), write);
            Box::new(move |lost| {
                // The caller may have stopped waiting.
                _ = answer.send(lost.map_or(written, Err));
            })
        });
        self.jobs.send(job).await.map_err(|_| over())?;
        answered.await.unwrap_or_else(|_| Err(over()))
    }

    /// Waits until all queued jobs are written. All clones must have been dropped, or the wait ends with the last of
    /// them.
    pub(super) async fn close(self) {
        let Self { jobs, thread, .. } = self;
        drop(jobs);
        let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Joining fails only after a panic, which has been printed.
            _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn write(mut store: Store, mut queue: mpsc::Receiver<Job>, trouble: &watch::Sender<Option<String>>) {
    let mut jobs = Vec::with_capacity(WAITING);
    while queue.blocking_recv_many(&mut jobs, WAITING) > 0 {
        let mut answers = Vec::with_capacity(jobs.len());
        let written = store.write(|writing| {
            answers.extend(jobs.drain(..).map(|job| job(Some(&mut *writing))));
            writing.is_changed()
        });
        report(&written, trouble);
        let lost = written.err();
        answers.extend(jobs.drain(..).map(|job| job(None)));
        for answer in answers {
            answer(lost.as_ref().map(StoreError::again));
        }
    }
}

/// Reports once that nothing can be stored and once that it works again. A transaction without changes proves neither.
fn report(written: &Result<bool, StoreError>, trouble: &watch::Sender<Option<String>>) {
    let had_trouble = trouble.borrow().is_some();
    match written {
        Err(error) => {
            let reason = chain(error);
            if !had_trouble {
                say(format_args!(
                    "golo collector: results cannot be stored: {reason}; agents keep them until they can"
                ));
            }
            trouble.send_replace(Some(reason));
        }
        Ok(true) if had_trouble => {
            say("golo collector: results can be stored again");
            trouble.send_replace(None);
        }
        Ok(_) => {}
    }
}
