//! Database files that are not golo's, of another version, or full.

use golo_cli::results::store::{Store, StoreError};

use crate::{listed::listed, support::*};

fn refused(result: Result<Store, StoreError>) -> String {
    match result {
        Ok(_) => panic!("it was opened"),
        Err(error) => golo::cli::chain(&error),
    }
}

#[test]
fn nothing_is_acknowledged_that_would_go_to_a_removed_file() {
    let place = Place::new();
    let mut store = place.store();
    let write = |store: &mut Store| store.write(|writing| writing.push("shop", &[]).map(drop)).and_then(|done| done);
    write(&mut store).unwrap();
    std::fs::rename(place.db(), place.db().with_extension("moved")).unwrap();
    let error = write(&mut store).unwrap_err().to_string();
    let expected = "runs.db was removed or replaced while it was in use: start this program again";
    assert!(error.ends_with(expected), "{error}");
    std::fs::rename(place.db().with_extension("moved"), place.db()).unwrap();
    write(&mut store).unwrap();
}

#[test]
fn database_of_a_newer_golo_is_refused() {
    let place = Place::new();
    drop(place.store());
    place.sql().pragma_update(None, "user_version", 99).unwrap();
    for opened in [Store::open(&place.db()), Store::open_to_read(&place.db())] {
        let reason = refused(opened);
        assert!(reason.contains("was written by a newer golo: its version is 99"), "{reason}");
    }
}

#[test]
fn database_of_golo_0_1_is_migrated_and_its_summaries_are_computed_again() {
    let place = Place::new();
    let mut store = place.store();
    let records = part("r", ("a", 0, 1), 3);
    ingest(&mut store, ("r", "a"), 0, &records).unwrap();
    let (_, new) = listed(&store);
    store.summarize(&new).unwrap();
    drop(store);
    let older = "ALTER TABLE summaries DROP COLUMN rated_requests; ALTER TABLE summaries DROP COLUMN rate_time_ns;
                 ALTER TABLE routes DROP COLUMN priority; DROP VIEW tags_by_second; DROP TABLE tags;
                 DROP VIEW metrics_by_second; DROP VIEW tagged_requests_by_second; DROP TABLE metrics;
                 ALTER TABLE summaries DROP COLUMN requests_interrupted;
                 UPDATE summaries SET verdict = 'PASSED'; PRAGMA user_version = 1;";
    place.sql().execute_batch(older).unwrap();
    let store = Store::open_to_read(&place.db()).unwrap();
    let (summary, new) = listed(&store);
    assert_eq!((&*summary.verdict, new.len()), ("INVALID", 1), "a worker was lost");
    assert!(summary.rate_time_ns > 0, "{summary:?}");
    // Their priorities were not stored.
    let kept = kept(&store, "r", "a").len();
    assert_eq!((kept, store.series(&store.find("r").unwrap()).unwrap().len()), (records.len(), 15));
    let dangling =
        place.sql().query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get::<_, i64>(0));
    assert_eq!(dangling, Ok(0), "what belongs to a series still does");
}

#[test]
fn routes_of_a_version_1_database_have_unknown_priority() {
    let place = Place::new();
    let sql = place.sql();
    sql.execute_batch(include_str!("../../src/results/store/migrations/0001_runs.sql")).unwrap();
    sql.pragma_update(None, "application_id", i32::from_be_bytes(*b"golo")).unwrap();
    sql.pragma_update(None, "user_version", 1).unwrap();
    let run = "INSERT INTO runs (run, name, load_test, plan, thresholds, state, reason, parts_expected, added_at_ns)
               VALUES ('r', '', '', '', '', 'running', '', 1, 0)";
    sql.execute_batch(run).unwrap();
    sql.execute_batch("INSERT INTO routes (run, origin, route, method) VALUES (1, '', 'other', '')").unwrap();
    drop(sql);
    Store::open_to_read(&place.db()).unwrap();
    let priority = place.sql().query_row("SELECT priority FROM routes", [], |row| row.get::<_, i64>(0));
    assert_eq!(priority, Ok(0));
}

#[test]
fn database_of_another_program_is_refused_and_unchanged() {
    let place = Place::new();
    place.sql().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = std::fs::read(place.db()).unwrap();
    for opened in [Store::open(&place.db()), Store::open_to_read(&place.db())] {
        assert!(refused(opened).contains("is a database of another program"));
    }
    assert_eq!(std::fs::read(place.db()).unwrap(), before);
}

#[test]
fn file_that_is_no_database_is_refused() {
    let place = Place::new();
    std::fs::write(place.db(), "hello, this is a text that is longer than the head of a database. ".repeat(20))
        .unwrap();
    assert!(refused(Store::open(&place.db())).contains("it is not a database"));
    let folder = place.db().parent().unwrap().to_owned();
    assert!(refused(Store::open(&folder)).contains("cannot open"));
    let nowhere = folder.join("no/runs.db");
    let expected = format!(
        "cannot open {}: there is no folder {}: create it first",
        nowhere.display(),
        folder.join("no").display()
    );
    assert_eq!(refused(Store::open(&nowhere)), expected);
    assert!(refused(Store::open_to_read(&folder.join("none.db"))).contains("nothing is stored yet"));
}

#[cfg(unix)]
#[test]
fn new_database_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    let store = place.store();
    for file in ["runs.db", "runs.db-wal", "runs.db-shm"] {
        let mode = place.db().with_file_name(file).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    // Permissions that the owner changed are kept.
    drop(store);
    std::fs::set_permissions(place.db(), std::fs::Permissions::from_mode(0o640)).unwrap();
    drop(place.store());
    assert_eq!(place.db().metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn reopened_database_has_all_records() {
    let place = Place::new();
    let records = part("r", ("a", 0, 1), 3);
    ingest(&mut place.store(), ("r", "a"), 0, &records).unwrap();
    assert_eq!(sorted(kept(&place.store(), "r", "a")), sorted(records.clone()));
    let reader = Store::open_to_read(&place.db()).unwrap();
    assert_eq!(sorted(kept(&reader, "r", "a")), sorted(records));
    let mut reader = reader;
    assert!(ingest(&mut reader, ("s", "a"), 0, &part("s", ("a", 0, 1), 1)).is_err(), "a reader writes nothing");
}

#[test]
fn full_database_reports_full_and_keeps_its_records() {
    let place = Place::new();
    let mut store = place.store();
    let records = part("r", ("a", 0, 1), 200);
    store.limit_bytes(300_000).unwrap();
    let mut next = 0;
    let error = loop {
        match ingest(&mut store, ("r", "a"), next, &records[next as usize..next as usize + 1]) {
            Ok(ingested) => next = ingested.next,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    assert!(next > 3, "some had room");
    assert_eq!(sorted(kept(&store, "r", "a")), sorted(records[..next as usize].to_vec()));
    assert_eq!(store.next("r", "a", None).unwrap(), next);
    // With room again, ingestion continues.
    store.limit_bytes(1 << 30).unwrap();
    ingest(&mut store, ("r", "a"), next, &records[next as usize..]).unwrap();
    assert_eq!(sorted(kept(&store, "r", "a")), sorted(records));
}

#[test]
fn full_database_rolls_back_the_whole_transaction() {
    let place = Place::new();
    let mut store = place.store();
    store.limit_bytes(300_000).unwrap();
    let batch = |run: &str, seconds| golo_cli::results::store::Batch {
        run: run.to_owned(),
        agent: "a".to_owned(),
        job: None,
        from: 0,
        records: part(run, ("a", 0, 1), seconds),
    };
    let written = store.write(|writing| {
        assert!(writing.ingest(batch("small", 1)).is_ok());
        assert!(writing.ingest(golo_cli::results::store::Batch { from: 7, ..batch("odd", 1) }).is_err());
        assert!(matches!(writing.ingest(batch("large", 300)), Err(StoreError::Full(_))));
        assert!(writing.ingest(batch("later", 1)).is_err());
    });
    assert!(matches!(written, Err(StoreError::Full(_))));
    assert!(store.runs(9).unwrap().is_empty());
    let one = store.write(|writing| {
        assert!(writing.ingest(golo_cli::results::store::Batch { from: 7, ..batch("odd", 1) }).is_err());
        writing.ingest(batch("small", 1))
    });
    assert!(one.unwrap().is_ok(), "what is refused to one concerns no other");
}

#[test]
fn deleted_part_leaves_others_and_takes_its_run_with_the_last() {
    let place = Place::new();
    let mut store = Store::open_to_sweep(&place.db()).unwrap();
    let parts = [("r", "a", 0, 2), ("r", "b", 1, 2), ("s", "a", 0, 1)]
        .map(|(run, agent, index, of)| (run, agent, part(run, (agent, index, of), 5)));
    for (run, agent, records) in &parts {
        ingest(&mut store, (run, agent), 0, records).unwrap();
    }
    for (deleted, (run, agent, _)) in parts.iter().enumerate() {
        let whole = store.part_of_job(run, &format!("job-of-{agent}")).unwrap().unwrap();
        store.delete(&whole).unwrap();
        store.delete(&whole).unwrap();
        for (run, agent, records) in &parts[deleted + 1..] {
            assert_eq!(sorted(kept(&store, run, agent)), sorted(records.clone()));
        }
        let dangling =
            place.sql().query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get::<_, i64>(0));
        assert_eq!(dangling, Ok(0));
        let runs: Vec<_> = store.runs(9).unwrap().into_iter().map(|run| run.run).collect();
        assert_eq!(runs, [&["s", "r"][..], &["s"], &[]][deleted]);
    }
    let tables =
        ["runs", "parts", "records", "routes", "series", "seconds", "triggers", "merged_seconds", "tags", "metrics"];
    for table in tables {
        let rows = place.sql().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
        assert_eq!(rows, Ok(0), "{table}");
    }
}
