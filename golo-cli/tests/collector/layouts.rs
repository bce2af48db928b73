//! Databases with rows of an older layout, and with compressed rows that are damaged.

use golo_cli::results::store::StoreError;
use golo_cli::support::squeezed::squeeze;
use golo_proto::engine::{self as pb, event::Event};
use golo_proto::results::{Record, record};
use prost::Message as _;
use rusqlite::params;

use crate::support::*;

/// The table of version 5, whose views stay as they are.
const OLDER: &str = "
    PRAGMA legacy_alter_table = ON;
    ALTER TABLE seconds RENAME TO newer;
    CREATE TABLE seconds (
        id INTEGER PRIMARY KEY,
        part INTEGER NOT NULL REFERENCES parts (id),
        second INTEGER NOT NULL,
        series INTEGER NOT NULL REFERENCES series (id),
        requests INTEGER NOT NULL,
        received_bytes INTEGER NOT NULL,
        sent_bytes INTEGER NOT NULL,
        duration_sum_ns INTEGER NOT NULL,
        duration_min_ns INTEGER,
        duration_p50_ns INTEGER,
        duration_p90_ns INTEGER,
        duration_p95_ns INTEGER,
        duration_p99_ns INTEGER,
        duration_p999_ns INTEGER,
        duration_max_ns INTEGER,
        durations BLOB,
        UNIQUE (part, second, series)
    );
    INSERT INTO seconds
        (part, second, series, requests, received_bytes, sent_bytes, duration_sum_ns, duration_max_ns, durations)
        SELECT part, second, series, requests, received_bytes, sent_bytes, duration_sum_ns, duration_max_ns, durations
        FROM newer;
    DROP TABLE newer;
    PRAGMA user_version = 5;
";

/// Gives the only part of a database the layout of version 5: records are not compressed, and the histograms of their
/// requests are in `seconds`.
fn make_older(place: &Place, records: &[Record]) {
    let sql = place.sql();
    sql.execute_batch(OLDER).unwrap();
    let mut next = 0;
    for (number, record) in records.iter().enumerate() {
        let mut record = record.clone();
        let snapshot = match &mut record.record {
            Some(record::Record::Event(pb::Event { event: Some(Event::Second(second)) })) => {
                next = second.elapsed / SECOND;
                second.snapshot.as_mut().map(|snapshot| (next - 1, snapshot))
            }
            Some(record::Record::Event(pb::Event { event: Some(Event::Finished(finished)) })) => {
                finished.rest.as_mut().map(|rest| (next, rest))
            }
            _ => None,
        };
        if let Some((second, snapshot)) = snapshot {
            for durations in
                std::mem::take(&mut snapshot.requests).iter().filter_map(|series| series.durations.as_ref())
            {
                // The sums are different in each series.
                let update = "UPDATE seconds SET durations = ?1 WHERE second = ?2 AND duration_sum_ns = ?3";
                let changed =
                    sql.execute(update, params![durations.encode_to_vec(), second as i64, durations.sum as i64]);
                assert_eq!(changed, Ok(1));
            }
        }
        let update = "UPDATE records SET record = ? WHERE number = ?";
        assert_eq!(sql.execute(update, params![record.encode_to_vec(), number as i64]), Ok(1));
    }
}

#[test]
fn runs_of_an_older_layout_are_read_continued_and_merged() {
    let parts = [part("r", ("a", 0, 2), 20), part("r", ("b", 1, 2), 20)];
    let place = Place::new();
    ingest(&mut place.store(), ("r", "a"), 0, &parts[0][..12]).unwrap();
    let older = Place::new();
    ingest(&mut older.store(), ("r", "a"), 0, &parts[0][..12]).unwrap();
    make_older(&older, &parts[0][..12]);
    let read = older.store();
    assert_eq!(sorted(kept(&read, "r", "a")), sorted(parts[0][..12].to_vec()));
    assert_eq!(older.sql().pragma_query_value(None, "user_version", |row| row.get(0)), Ok(6));
    drop(read);
    for place in [&place, &older] {
        let mut store = place.store();
        ingest(&mut store, ("r", "a"), 12, &parts[0][12..]).unwrap();
        // Its seconds are merged with those of the older layout.
        ingest(&mut store, ("r", "b"), 0, &parts[1]).unwrap();
    }
    let (newer, older) = (place.store(), older.store());
    let of = |store: &golo_cli::results::store::Store| {
        let run = store.find("r").unwrap();
        (store.seconds(&run, 0..99).unwrap(), store.series(&run).unwrap(), store.merged(&run, 0..99).unwrap())
    };
    assert!(of(&newer) == of(&older));
    for store in [&newer, &older] {
        for (agent, records) in [("a", &parts[0]), ("b", &parts[1])] {
            assert_eq!(sorted(kept(store, "r", agent)), sorted(records.clone()));
        }
        let merged = of(store).2;
        for ((second, label), truth) in truth(&parts) {
            let found = &merged[&second].requests[&label];
            assert_eq!((found.failed, found.interrupted), (truth.failed, truth.interrupted));
            assert_eq!(found.durations, truth.durations);
        }
    }
}

#[test]
fn records_are_compressed_and_their_histograms_are_stored_once() {
    let place = Place::new();
    let records = part("r", ("a", 0, 1), 20);
    ingest(&mut place.store(), ("r", "a"), 0, &records).unwrap();
    let number = |sql: &str| place.sql().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let sent: usize = records.iter().map(Record::encoded_len).sum();
    let stored = number("SELECT sum(length(record)) FROM records");
    assert!(stored * 2 < sent as i64, "{stored} bytes of {sent}");
    assert_eq!(number("SELECT count(*) FROM seconds WHERE durations IS NOT NULL"), 0);
    assert_eq!(
        number("SELECT sum(requests) FROM seconds"),
        number("SELECT sum(requests + interrupted) FROM merged_seconds WHERE route = 0")
    );
}

#[test]
fn damaged_compressed_record_is_damage_and_the_others_are_read() {
    let place = Place::new();
    let records = part("r", ("a", 0, 1), 5);
    ingest(&mut place.store(), ("r", "a"), 0, &records).unwrap();
    let whole: Vec<u8> =
        place.sql().query_row("SELECT record FROM records WHERE number = 4", [], |row| row.get(0)).unwrap();
    let changed = |at: usize| {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        changed
    };
    let damaged =
        [whole[..whole.len() / 2].to_vec(), changed(whole.len() / 2), changed(0), squeeze(&vec![0; 65 << 20])];
    for blob in damaged {
        place.sql().execute("UPDATE records SET record = ? WHERE number = 4", [blob]).unwrap();
        let store = place.store();
        let part = store.parts(&store.find("r").unwrap()).unwrap().remove(0);
        let salvage = |number| store.salvage(&part, number).map(|salvaged| salvaged.unwrap().record);
        let error: StoreError = salvage(4).unwrap_err();
        assert!(error.is_damage() && error.to_string().starts_with("the database is damaged: "), "{error:?}");
        assert!(store.records(&part, 0).any(|record| record.is_err_and(|error| error.is_damage())));
        let others = [0, 1, 2, 3, 5, 6, 7, 8, 9].map(|number| salvage(number as u64).unwrap());
        let expected: Vec<_> =
            records.iter().enumerate().filter(|(number, _)| *number != 4).map(|(_, record)| record.clone()).collect();
        assert_eq!(others.to_vec(), expected);
    }
}
