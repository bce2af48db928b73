//! A pool of read-only connections to the store.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::results::store::{Store, StoreError};

/// Maximum number of concurrent reads; further reads wait.
const READERS: usize = 8;

/// Handle to the pool; clones share it.
#[derive(Clone)]
pub(super) struct Readers(Arc<Shared>);

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Store>>,
    free: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn of(path: &Path) -> Self {
        let shared = Shared { path: path.to_owned(), idle: Mutex::default(), free: Arc::new(Semaphore::new(READERS)) };
        Self(Arc::new(shared))
    }

    /// Runs `read` on a thread that may block and returns its result.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = || StoreError::Unusable("the collector is shutting down".to_owned());
        let permit = Arc::clone(&self.0.free).acquire_owned().await.map_err(|_| ended())?;
        let shared = Arc::clone(&self.0);
        let reading = tokio::task::spawn_blocking(move || shared.read(permit, read));
        reading.await.unwrap_or_else(|_| Err(ended()))
    }
}

impl Shared {
    fn read<T>(
        &self,
        _permit: OwnedSemaphorePermit,
        read: impl FnOnce(&Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let store = match kept {
            Some(store) => store,
            None => Store::open_to_read(&self.path)?,
        };
        let answer = read(&store);
        idle().push(store);
        answer
    }
}
