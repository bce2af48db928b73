//! A database: each SQL statement is a step that `golo::measure` times, with sqlx and SQLite. The report has a table of
//! steps, and thresholds select one by its name:
//!
//! ```text
//! cd examples/sql
//! cargo run -- once
//! cargo run --release -- run --users 10 -d 10s -t 'step_duration{step:insert order} p(95)<20ms'
//! ```
//!
//! Without `DATABASE`, the path of an SQLite file, it makes a database in a temporary folder and loads that. The example
//! needs Rust 1.94, as sqlx does, and is a workspace of its own.

use std::time::Duration;

use golo::{BoxError, Shared};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};

/// A database, with the folder that it is deleted with.
struct Database {
    pool: SqlitePool,
    _folder: Option<tempfile::TempDir>,
}

/// Opens the database once for all users. SQLite runs in this process, so they can share its connections. Connections to
/// a database server belong to the thread that opened them: with those, open a pool in `User::start`.
async fn open() -> Result<Database, BoxError> {
    let (path, folder) = match golo::param("DATABASE") {
        Some(path) => (path.into(), None),
        None => {
            let folder = tempfile::tempdir()?;
            (folder.path().join("orders.db"), Some(folder))
        }
    };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(5));
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item INTEGER NOT NULL)")
        .execute(&pool)
        .await?;
    Ok(Database { pool, _folder: folder })
}

#[golo::loadtest(setup = open)]
async fn sql(database: Shared<Database>) -> Result<(), BoxError> {
    let journey = golo::new_sequence_id();

    // The time to get a connection is a step of its own, so that a pool that is too small shows.
    let mut connection = golo::measure(&journey, "get a connection", database.pool.acquire()).await?;

    let insert = sqlx::query("INSERT INTO orders (item) VALUES (?)").bind(7_i64).execute(&mut *connection);
    let order = golo::measure(&journey, "insert order", insert).await?.last_insert_rowid();

    let select = sqlx::query_scalar("SELECT item FROM orders WHERE id = ?").bind(order).fetch_one(&mut *connection);
    let item: i64 = golo::measure(&journey, "select order", select).await?;
    golo::check("the order has its item", item == 7);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail by panics")]

    use std::sync::{Arc, Mutex};

    use golo::{Context, Loadtest, OutputRef, Sink};

    use super::*;

    /// Keeps name and error of each step as a text.
    #[derive(Clone, Default)]
    struct Steps(Arc<Mutex<Vec<String>>>);

    impl Sink for Steps {
        fn output(&self, output: &OutputRef<'_>) {
            let error = output.error.as_deref().unwrap_or("ok");
            self.0.lock().unwrap().push(format!("{}: {error}", output.url));
        }
    }

    #[tokio::test]
    async fn each_statement_is_a_step() {
        let database = Shared::new(open().await.unwrap());
        let steps = Steps::default();
        let of_test = database.clone();
        let load_test = Loadtest::new(move |_, _| sql(of_test.clone()));
        let response = load_test.sink(steps.clone()).trigger(Context::default()).await;
        assert!(!response.error, "{}", response.output);
        let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&database.pool).await.unwrap();
        assert_eq!(orders, 1);

        sqlx::query("DROP TABLE orders").execute(&database.pool).await.unwrap();
        assert!(sql(database).await.is_err());
        let expected = ["get a connection: ok", "insert order: ok", "select order: ok"];
        assert_eq!(*steps.0.lock().unwrap(), expected);
    }
}
