//! The one thread that writes. What has queued up while it wrote is the next transaction, so that many who write at once
//! wait for the disk once.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use golo::cli::{chain, say};
use tokio::sync::{mpsc, oneshot, watch};

use crate::results::store::{Store, StoreError, Writing};

/// Most that wait; more wait to be let in.
const WAITING: usize = 64;

/// What is written in a transaction, if one could begin; it gives what is done once that is over, kept or not.
type Job = Box<dyn FnOnce(Option<&mut Writing<'_>>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// Writes to a store, from anywhere.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// Why nothing can be kept, since it was tried last.
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

    /// Why nothing can be kept, where that was so when it was tried last.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// Answers once it is kept for good, or never will be. A caller that is gone by then changes nothing of that.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let over = || StoreError::Unusable("the collector is ending".to_owned());
        let job: Job = Box::new(move |writing| {
            let written = writing.map_or_else(|| Err(over()), write);
            Box::new(move |lost| {
                // Nobody may be waiting any more.
                _ = answer.send(lost.map_or(written, Err));
            })
        });
        self.jobs.send(job).await.map_err(|_| over())?;
        answered.await.unwrap_or_else(|_| Err(over()))
    }

    /// Waits until all is written that has been asked for. Every other one must be gone by then, or about to go.
    pub(super) async fn close(self) {
        let Self { jobs, thread, .. } = self;
        drop(jobs);
        let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Only a panic fails it, which has been told of.
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
        tell(&written, trouble);
        let lost = written.err();
        answers.extend(jobs.drain(..).map(|job| job(None)));
        for answer in answers {
            answer(lost.as_ref().map(StoreError::again));
        }
    }
}

/// Says once that nothing can be kept, and once that it can be again: what was only refused tells neither.
fn tell(written: &Result<bool, StoreError>, trouble: &watch::Sender<Option<String>>) {
    let had_trouble = trouble.borrow().is_some();
    match written {
        Err(error) => {
            let reason = chain(error);
            if !had_trouble {
                say(format_args!("golo collector: nothing can be kept: {reason}; agents keep it until it can"));
            }
            trouble.send_replace(Some(reason));
        }
        Ok(true) if had_trouble => {
            say("golo collector: what comes can be kept again");
            trouble.send_replace(None);
        }
        Ok(_) => {}
    }
}
