//! Files for agents in an object store: load tests and test data, each by the SHA-256 of its content. An object is written
//! once and never replaced, because a reader of a replaced one would wait for ever.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use async_nats::jetstream::object_store::{Config, InfoErrorKind, Object, ObjectMetadata, ObjectStore};
use bytes::{Bytes, BytesMut};
use golo::cli::chain;
use tokio::fs::File;
use tokio::io::{AsyncRead, BufReader};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::io::ReaderStream;

use super::connection::Nats;
use crate::support::failure::Failure;

/// Name of the bucket.
const BUCKET: &str = "golo-files";
/// Time after which a file is deleted.
const EXPIRY: Duration = Duration::from_secs(7 * 24 * 3600);
/// Largest size of a message of a file: just below the server's usual limit of 1 MiB. The default of 128 KiB takes twice the
/// time.
const CHUNK: usize = 1_000_000;
/// Most agents that are told to read a file at a time: each costs the server the memory of what it has not sent yet.
const READERS: usize = 16;
/// Longest pause between two messages of a file.
const STALL: Duration = Duration::from_secs(20);

/// The object store of files.
#[derive(Clone)]
pub struct Objects {
    store: Arc<ObjectStore>,
    /// Size of a message of a file.
    chunk: usize,
    /// Locked while a file is written, so that each is written once.
    writing: Arc<Mutex<()>>,
    /// Permits of agents to read a file.
    reading: Arc<Semaphore>,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").finish_non_exhaustive()
    }
}

impl Objects {
    /// Opens the object store, which is created if it is missing.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses, or does not answer.
    pub async fn open(nats: &Nats) -> Result<Self, Failure> {
        let store = match nats.jetstream.get_object_store(BUCKET).await {
            Ok(store) => store,
            Err(_) => {
                let description = Some("Load tests and test data of golo".to_owned());
                let config = Config { bucket: BUCKET.to_owned(), description, max_age: EXPIRY, ..Config::default() };
                nats.jetstream.create_object_store(config).await.map_err(|error| refused(&error))?
            }
        };
        let chunk = CHUNK.min(nats.client.max_payload());
        Ok(Self { store: Arc::new(store), chunk, writing: Arc::default(), reading: Arc::new(Semaphore::new(READERS)) })
    }

    /// Writes the file at `path`, unless there is one with this hash.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be read, or the server refuses it, for example because it is full.
    pub async fn put(&self, hash: &str, path: &Path) -> Result<(), Failure> {
        let unread = |error: io::Error| Failure::from(format!("`{}` cannot be read: {error}", path.display()));
        self.write(hash, File::open(path).await.map_err(unread)?).await
    }

    /// Writes these bytes, unless there is a file with this hash.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses it, for example because it is full.
    pub async fn put_bytes(&self, hash: &str, bytes: &[u8]) -> Result<(), Failure> {
        self.write(hash, bytes).await
    }

    async fn write(&self, hash: &str, content: impl AsyncRead + Unpin) -> Result<(), Failure> {
        let _turn = self.writing.lock().await;
        match self.store.info(hash).await {
            Ok(info) if !info.deleted => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == InfoErrorKind::NotFound => {}
            Err(error) => return Err(refused(&error)),
        }
        // Each read becomes one message.
        let mut file = BufReader::with_capacity(self.chunk, content);
        let about = ObjectMetadata { name: hash.to_owned(), chunk_size: Some(self.chunk), ..ObjectMetadata::default() };
        self.store.put(about, &mut file).await.map(drop).map_err(|error| refused(&error))
    }

    /// Waits until one more agent may read a file.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.reading).acquire_owned().await.ok()
    }

    /// Returns the content of the file with this hash. A stream that stands still for 20 s ends with an error, because the
    /// library itself would wait for ever. The hash is not checked.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such file, or the server does not send it.
    pub async fn get(&self, hash: &str) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>, Failure> {
        let object: Object = self.store.get(hash).await.map_err(|error| refused(&error))?;
        let stalled = || io::Error::new(io::ErrorKind::TimedOut, "the NATS server has stopped sending it");
        let pieces = ReaderStream::with_capacity(object, CHUNK).timeout(STALL);
        Ok(pieces.map(move |piece| piece.unwrap_or_else(|_| Err(stalled()))))
    }
}

impl Objects {
    /// Reads a file of at most `most` bytes. Returns `None` if there is none.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not send it, or it is larger.
    pub async fn read(&self, hash: &str, most: usize) -> Result<Option<Bytes>, Failure> {
        match self.store.info(hash).await {
            Ok(info) if info.deleted => return Ok(None),
            Ok(_) => {}
            Err(error) if error.kind() == InfoErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(&error)),
        }
        let mut pieces = pin!(self.get(hash).await?);
        let mut content = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            content.extend_from_slice(&piece.map_err(|error| refused(&error))?);
            if content.len() > most {
                return Err(format!("a file has more than {} MiB", most >> 20).into());
            }
        }
        Ok(Some(content.freeze()))
    }

    /// Deletes a file that no one reads any more.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses.
    pub async fn delete(&self, hash: &str) -> Result<(), Failure> {
        self.store.delete(hash).await.map_err(|error| refused(&error))
    }
}

fn refused(error: &(dyn std::error::Error + 'static)) -> Failure {
    format!("the object store of the NATS server: {}", chain(error)).into()
}
