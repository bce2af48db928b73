//! The runs that pages show: the run of this process, and those of a store.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use golo::report::Timeline;
use tokio::sync::Semaphore;

use super::board::{Board, Names};
use super::follow::{Follower, agent_row};
use crate::results::archive::replay_kept;
use crate::results::listed::{Runs, list_from};
use crate::results::readers::Readers;
use crate::results::store::{KeptRun, Store, StoreError};

/// Most stored runs whose boards are kept in memory while nobody looks at them.
const KEPT: usize = 8;
/// Shortest time between two looks at the store for the same run.
const PAUSE: Duration = Duration::from_millis(950);

/// The runs. Clones share them.
#[derive(Clone)]
pub struct Shelf {
    own: Option<Arc<Board>>,
    readers: Option<Readers>,
    kept: Arc<Mutex<Vec<Kept>>>,
    /// Permit to read a whole run. One is read at a time, because each takes memory and the time of a core.
    reading: Arc<Semaphore>,
}

/// The board of a stored run.
#[derive(Clone)]
struct Kept {
    run: String,
    /// Number of stored records that the board was made of, if nobody follows the run.
    records: u64,
    board: Arc<Board>,
    follower: Option<Arc<tokio::sync::Mutex<Following>>>,
}

struct Following {
    follower: Follower,
    looked: Option<Instant>,
    is_over: bool,
}

impl Shelf {
    /// Creates a shelf with the run of this process, if there is one, and the runs of a store, if there is one.
    #[must_use]
    pub fn new(own: Option<Arc<Board>>, readers: Option<Readers>) -> Self {
        Self { own, readers, kept: Arc::default(), reading: Arc::new(Semaphore::new(1)) }
    }

    /// Returns the run of this process.
    #[must_use]
    pub fn own(&self) -> Option<&Arc<Board>> {
        self.own.as_ref()
    }

    /// Returns the store's readers, if there is a store.
    #[must_use]
    pub fn readers(&self) -> Option<&Readers> {
        self.readers.as_ref()
    }

    /// Returns the stored runs after the newest `skipped`, newest first, without the run of this process.
    ///
    /// # Errors
    ///
    /// Returns an error if the store cannot be read.
    pub async fn list(&self, skipped: u64, most: u64) -> Result<Runs, StoreError> {
        let Some(readers) = &self.readers else { return Ok(Vec::new()) };
        let own = self.own.as_ref().map(|own| own.names().run.clone());
        let read = readers.read(move |store| {
            let (runs, new) = list_from(store, skipped, most)?;
            if !new.is_empty() {
                // If this fails, the summaries are computed again next time.
                _ = Store::open(store.path()).and_then(|mut store| store.summarize(&new));
            }
            Ok(runs)
        });
        let mut runs = match read.await {
            // A store that does not exist yet has no runs.
            Err(StoreError::Unknown(_)) => Vec::new(),
            runs => runs?,
        };
        runs.retain(|(run, _)| Some(&run.run) != own.as_ref());
        Ok(runs)
    }

    /// Returns the board of a run. `called` is its ID or the beginning of it, the job's name, or `latest`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such run, or if it cannot be read.
    pub async fn board(&self, called: &str) -> Result<Arc<Board>, StoreError> {
        if let Some(own) = self.own.as_ref().filter(|own| own.names().run == called) {
            return Ok(Arc::clone(own));
        }
        let unknown = || StoreError::Unknown(format!("no run is called {called:?}"));
        let readers = self.readers.as_ref().ok_or_else(unknown)?;
        let (named, shelf) = (called.to_owned(), self.clone());
        if let Some(board) = readers.read(move |store| Ok(shelf.known(store, &store.find(&named)?)?.0)).await? {
            return Ok(board);
        }
        let (named, shelf) = (called.to_owned(), self.clone());
        self.read_whole(move |store| shelf.load(store, &named)).await
    }

    /// Runs `read`, which reads whole runs, once no other does. Returns its result.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no store, or if `read` fails.
    pub async fn read_whole<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.readers.as_ref().ok_or_else(|| StoreError::Unknown("no run is stored".to_owned()))?;
        // Nobody closes the semaphore. The permit is kept until the end of the read, also if nobody waits for it any more.
        let turn = Arc::clone(&self.reading).acquire_owned().await;
        readers
            .read(move |store| {
                let _turn = turn;
                read(store)
            })
            .await
    }

    /// Returns the board of a stored run, if it is known and the run has not changed since, and the number of records of
    /// the run.
    fn known(&self, store: &Store, run: &KeptRun) -> Result<(Option<Arc<Board>>, u64), StoreError> {
        if let Some(own) = self.own.as_ref().filter(|own| own.names().run == run.run) {
            return Ok((Some(Arc::clone(own)), 0));
        }
        let records = store.records_of(run)?;
        let is_current =
            |known: &Kept| known.records == records || (known.follower.is_some() && !known.board.is_over());
        Ok((self.find(&run.run).filter(is_current).map(|known| known.board), records))
    }

    /// Returns the board of a stored run, and reads the run if it has changed since.
    fn load(&self, store: &Store, called: &str) -> Result<Arc<Board>, StoreError> {
        let run = store.find(called)?;
        let (known, records) = self.known(store, &run)?;
        if let Some(board) = known {
            return Ok(board);
        }
        let names = Names { run: run.run.clone(), job: run.name.clone(), load_test: run.load_test.clone() };
        let board = Board::new(names, None);
        let mut follower = None;
        let mut following = Follower::open(store, run.clone(), &board)?;
        if run.is_running() && !following.advance(store, &board)? {
            let following = Following { follower: following, looked: Some(Instant::now()), is_over: false };
            follower = Some(Arc::new(tokio::sync::Mutex::new(following)));
        }
        if follower.is_none() {
            let is_read = board.has_seconds();
            end(store, &run, &board, is_read)?;
        }
        let kept = Kept { run: run.run, records, board: Arc::clone(&board), follower };
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.run != kept.run);
        all.insert(0, kept);
        // A board that somebody looks at is kept, since its followers are found here.
        let mut number = 0;
        all.retain(|kept| {
            number += 1;
            number <= KEPT || kept.board.is_watched()
        });
        Ok(board)
    }

    fn find(&self, run: &str) -> Option<Kept> {
        let mut all = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|kept| kept.run == run)?;
        all[..=at].rotate_right(1);
        all.first().cloned()
    }

    /// Reads what is new of a run that is being stored, at most once a second. Returns false if nothing will come.
    pub async fn refresh(&self, board: &Arc<Board>) -> bool {
        let (Some(kept), Some(readers)) = (self.find(&board.names().run), &self.readers) else { return false };
        let Some(following) = kept.follower.filter(|_| Arc::ptr_eq(&kept.board, board)) else { return false };
        // Another viewer is reading it.
        let Ok(mut following) = following.try_lock_owned() else { return true };
        if following.is_over || following.looked.is_some_and(|looked| looked.elapsed() < PAUSE) {
            return !following.is_over;
        }
        following.looked = Some(Instant::now());
        let board = Arc::clone(board);
        let read = readers.read(move |store| {
            if following.follower.advance(store, &board)? {
                following.is_over = true;
                end(store, following.follower.run(), &board, true)?;
            }
            Ok(!following.is_over)
        });
        // A failing store is asked again after a second.
        read.await.unwrap_or(true)
    }
}

/// Shows the end of a run, as `golo show` computes it. Unless `is_read`, shows its seconds too.
fn end(store: &Store, run: &KeptRun, board: &Board, is_read: bool) -> Result<(), StoreError> {
    let parts = store.parts(run)?;
    let add = |second: &golo::engine::Progress| {
        if !is_read {
            board.add_second(second);
        }
    };
    let replayed = replay_kept(store, &parts, Some(Timeline::default()), add);
    let replayed = replayed.map_err(|failure| StoreError::Unusable(format!("run `{}`: {failure}", run.run)))?;
    if parts.len() > 1 || run.parts_expected > 1 {
        board.set_agents(parts.iter().map(agent_row).collect());
    }
    board.end(replayed.outcome);
    Ok(())
}
