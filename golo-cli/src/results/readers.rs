//! A pool of read-only connections to a database, separate from the connection that writes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::store::{Store, StoreError};

/// Maximum number of concurrent reads; further reads wait.
const READERS: usize = 8;

/// The pool. Clones share its connections.
#[derive(Clone)]
pub struct Readers(Arc<Shared>);

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Store>>,
    free: Arc<Semaphore>,
}

impl Readers {
    /// Creates a pool for the database at `path`. Connections are opened when needed.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let shared = Shared { path: path.to_owned(), idle: Mutex::default(), free: Arc::new(Semaphore::new(READERS)) };
        Self(Arc::new(shared))
    }

    /// Runs `read` on a thread that may block. Returns its result.
    ///
    /// # Errors
    ///
    /// Returns an error if the database cannot be opened, if `read` fails, or if the program is ending.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = || StoreError::Unusable("the program is ending".to_owned());
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
