//! The one thread that writes. What has queued up while it wrote is the next transaction, so that many who write at once
//! wait for the disk once.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use tokio::sync::{mpsc, oneshot};

use crate::store::{Store, StoreError, Writing};

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
}

impl Writer {
    pub(super) fn start(store: Store) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(WAITING);
        let thread = thread::Builder::new().name("golo-writer".to_owned()).spawn(move || write(store, queue))?;
        Ok(Self { jobs, thread: Arc::new(Mutex::new(Some(thread))) })
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
        let Self { jobs, thread } = self;
        drop(jobs);
        let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // Only a panic fails it, which has been told of.
            _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn write(mut store: Store, mut queue: mpsc::Receiver<Job>) {
    let mut jobs = Vec::with_capacity(WAITING);
    while queue.blocking_recv_many(&mut jobs, WAITING) > 0 {
        let mut answers = Vec::with_capacity(jobs.len());
        let written = store.write(|writing| answers.extend(jobs.drain(..).map(|job| job(Some(&mut *writing)))));
        let lost = written.err();
        answers.extend(jobs.drain(..).map(|job| job(None)));
        for answer in answers {
            answer(lost.as_ref().map(StoreError::again));
        }
    }
}
