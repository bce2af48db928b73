//! Feeds: rows of test data for triggers.

mod read;

use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rand::RngExt as _;
use serde::de::DeserializeOwned;

use crate::{Error, metrics::scope, user::member};

/// Reads the rows of a file into a [`Feed`], for a load test's `setup`. Needs the feature `feed`.
///
/// The file's extension determines its format:
///
/// | extension | contents |
/// |---|---|
/// | `.csv` | comma-separated values; the first row is the header and names the fields of `T` |
/// | `.tsv` | the same, separated by tabs |
/// | `.json` | an array of rows |
/// | `.jsonl`, `.ndjson` | one row per line |
///
/// The file must be UTF-8, with or without a byte order mark. Blank lines between rows are skipped. The whole file is
/// read once: every row is checked before the load begins, and stays in memory. A relative path starts at the working
/// directory.
///
/// # Errors
///
/// Returns an error if the file cannot be read, its extension is unknown, it has no rows, or a row is not a `T`. The
/// error names the line. It never quotes a row, because rows may contain secrets. So it leaves out messages that a
/// type's own `Deserialize` produces.
///
/// ```no_run
/// #[derive(serde::Deserialize)]
/// struct Login {
///     user: String,
///     password: String,
/// }
///
/// async fn prepare() -> Result<golo::Feed<Login>, golo::Error> {
///     golo::feed("users.csv").map(golo::Feed::unique)
/// }
///
/// #[golo::loadtest(setup = prepare)]
/// async fn login(logins: golo::Shared<golo::Feed<Login>>) -> Result<(), golo::BoxError> {
///     let Login { user, password } = logins.next().ok_or("users.csv has too few rows")?;
///     let request = golo::client().post("http://127.0.0.1:8765/login").basic_auth(user, Some(password));
///     golo::do_request(&golo::new_sequence_id(), request).await?;
///     Ok(())
/// }
/// ```
pub fn feed<T: DeserializeOwned>(path: impl AsRef<Path>) -> Result<Feed<T>, Error> {
    read::rows(path.as_ref()).map(Feed::of)
}

/// Rows of test data (feature `feed`) for the triggers of all users and workers. [`feed`](feed()) reads them from a
/// file.
///
/// Rows are dealt in [sequence](Self::sequential) by default. Every trigger takes rows, also during the warm-up.
///
/// # Several agents
///
/// `golo submit` starts the load test on each agent, and each agent reads the whole file, which `--data FILE` sends along.
/// You need not split the file, because a feed deals only the rows of its member of the run:
///
/// | feed | rows that member `i` of `n` deals, counted from 0 |
/// |---|---|
/// | [unique](Self::unique) | `i`, `i + n`, `i + 2n`, …: no other member deals these |
/// | [sequential](Self::sequential) | the same, continued past the last row as if the rows were repeated |
/// | [random](Self::random) | any row: users have other numbers on each member, and so get other rows |
///
/// With 20 rows, three agents have 7, 7 and 6. A member that is out of rows gets `None`, even if another member still
/// has rows, because rows are not moved between members. So give a unique feed at least as many rows as there are
/// triggers, and some more if the agents differ in speed. The rows of a lost agent stay unused.
///
/// ```
/// # fn main() -> Result<(), golo::Error> {
/// let colours = golo::Feed::new(["red", "green"])?;
/// assert_eq!(colours.next(), Some(&"red"));
/// assert_eq!(colours.next(), Some(&"green"));
/// assert_eq!(colours.next(), Some(&"red"));
/// # Ok(()) }
/// ```
pub struct Feed<T> {
    /// Never empty.
    rows: Vec<T>,
    order: Order,
    dealt: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Sequential,
    Random,
    Unique,
}

impl<T> Feed<T> {
    /// Creates a feed of rows that are made in code.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no rows.
    pub fn new(rows: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let rows = Vec::from_iter(rows);
        if rows.is_empty() { Err(Error::feed("a feed needs at least one row", None)) } else { Ok(Self::of(rows)) }
    }

    fn of(rows: Vec<T>) -> Self {
        Self { rows, order: Order::Sequential, dealt: AtomicU64::new(0) }
    }

    /// Deals the rows in order, one at each call, and starts again after the last. Members of a run start with
    /// different rows, see [above](Self#several-agents).
    #[must_use]
    pub fn sequential(self) -> Self {
        Self { order: Order::Sequential, ..self }
    }

    /// Deals a random row at each call, with equal probabilities.
    ///
    /// The choice is seeded: a trigger with a user and an iteration in its [`Context`](crate::Context) gets the same
    /// rows each time it is run.
    #[must_use]
    pub fn random(self) -> Self {
        Self { order: Order::Random, ..self }
    }

    /// Deals the rows in order, each once in the whole run, over all users, workers and [agents](Self#several-agents).
    ///
    /// ```
    /// # fn main() -> Result<(), golo::Error> {
    /// let vouchers = golo::Feed::new(["A1", "B2"])?.unique();
    /// assert_eq!(vouchers.next(), Some(&"A1"));
    /// assert_eq!(vouchers.next(), Some(&"B2"));
    /// assert_eq!(vouchers.next(), None);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn unique(self) -> Self {
        Self { order: Order::Unique, ..self }
    }

    /// Returns the next row. Returns `None` if a [unique](Self::unique) feed has dealt all rows of this member of the
    /// run. Other feeds always return a row.
    #[must_use]
    pub fn next(&self) -> Option<&T> {
        let count = self.rows.len() as u64;
        let row = match self.order {
            Order::Sequential => self.deal() % count,
            Order::Unique => self.deal(),
            Order::Random => match scope::current() {
                Some(scope) => scope.with_random(|random| random.random_range(0..count)),
                None => scope::entropy().random_range(0..count),
            },
        };
        self.rows.get(usize::try_from(row).ok()?)
    }

    fn deal(&self) -> u64 {
        member::share().nth(self.dealt.fetch_add(1, Relaxed))
    }

    /// Returns all rows, in order.
    #[must_use]
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// Returns the number of rows, dealt or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns true if there are no rows. Always false, because a feed without rows cannot be created.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Prints the number of rows and their order. Rows may be secrets.
impl<T> fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("rows", &self.rows.len()).field("order", &self.order).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, sync::Arc, thread};

    use super::*;
    use crate::metrics::scope::Scope;

    /// Returns how often each row is dealt when eight threads take `each` rows.
    fn dealt_to_eight_threads(feed: &Feed<u32>, each: usize) -> HashMap<u32, usize> {
        let rows = thread::scope(|threads| {
            let takers = [(); 8].map(|()| threads.spawn(|| Vec::from_iter((0..each).filter_map(|_| feed.next()))));
            takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect::<Vec<_>>()
        });
        rows.into_iter().fold(HashMap::new(), |mut counts, row| {
            *counts.entry(*row).or_default() += 1;
            counts
        })
    }

    #[test]
    fn sequential_starts_again_after_the_last_row() {
        let feed = Feed::new(["a", "b", "c"]).unwrap();
        let dealt = Vec::from_iter((0..7).filter_map(|_| feed.next().copied()));
        assert_eq!(dealt, ["a", "b", "c", "a", "b", "c", "a"]);
        assert_eq!(feed.random().sequential().next(), Some(&"b"), "continues at the next row");
    }

    #[test]
    fn sequential_deals_evenly_over_threads() {
        let counts = dealt_to_eight_threads(&Feed::new(0..100).unwrap(), 1000);
        assert_eq!(counts, (0..100).map(|row| (row, 80)).collect());
    }

    #[test]
    fn unique_deals_each_row_once_over_threads() {
        let feed = Feed::new(0..5000).unwrap().unique();
        assert_eq!(dealt_to_eight_threads(&feed, 1000), (0..5000).map(|row| (row, 1)).collect());
        assert_eq!(feed.next(), None);
        assert_eq!(feed.len(), 5000);
    }

    #[test]
    fn random_deals_every_row() {
        let feed = Feed::new(0..10).unwrap().random();
        let counts = dealt_to_eight_threads(&feed, 1000);
        assert_eq!(counts.len(), 10);
        assert!(counts.values().all(|count| (600..1000).contains(count)), "{counts:?}");
    }

    /// Returns the rows that a trigger of this user and iteration gets.
    async fn dealt_to(feed: &Feed<u32>, user: u64, iteration: u64) -> Vec<u32> {
        let context = crate::Context { user: Some(user), iteration: Some(iteration), ..Default::default() };
        let scope = Scope::new(crate::metrics::sink::process(), Arc::default(), None).of_trigger(&context, 0);
        Arc::new(scope).run(async { (0..20).filter_map(|_| feed.next().copied()).collect() }).await
    }

    #[tokio::test]
    async fn random_is_reproducible_within_a_trigger() {
        let feed = Feed::new(0..1000).unwrap().random();
        let dealt = dealt_to(&feed, 1, 2).await;
        assert_eq!(dealt, dealt_to(&feed, 1, 2).await);
        assert_ne!(dealt, dealt_to(&feed, 1, 3).await);
        assert_ne!(dealt, dealt_to(&feed, 2, 2).await);
    }

    #[test]
    fn debug_does_not_show_rows() {
        let feed = Feed::new(["hunter2"]).unwrap().unique();
        assert_eq!(format!("{feed:?}"), "Feed { rows: 1, order: Unique }");
    }

    #[test]
    fn new_rejects_a_feed_without_rows() {
        let error = Feed::<String>::new([]).unwrap_err();
        assert!(error.is_feed());
        assert_eq!(error.to_string(), "a feed needs at least one row");
    }
}
