//! Runs in one line each, with what they came to.

use golo::engine::histogram::Histogram;
use golo_cli::{
    listed::list,
    store::{Store, Summarized, Summary},
};

use crate::support::{Place, ingest, part, truth};

fn listed(store: &Store) -> (Summary, Vec<Summarized>) {
    let (mut runs, new) = list(store, 10).unwrap();
    (runs.pop().unwrap().1.unwrap(), new)
}

#[test]
fn what_a_run_came_to_is_worked_out_once() {
    let place = Place::new();
    let mut store = place.store();
    let records = part("r", ("a", 0, 1), 3);
    ingest(&mut store, ("r", "a"), 0, &records).unwrap();
    let (summary, new) = listed(&store);
    let mut all = Histogram::new();
    let truth = truth(&[records]);
    truth.values().for_each(|truth| all.merge(&truth.durations));
    assert_eq!((summary.requests, summary.p95_ns), (all.count(), all.quantile(0.95)));
    assert_eq!(summary.requests_failed, truth.values().map(|truth| truth.failed).sum::<u64>());

    assert_eq!(new.len(), 1);
    store.summarize(&new).unwrap();
    let (again, new) = listed(&store);
    assert_eq!((again, new.len()), (summary.clone(), 0));
    let damaged = "UPDATE records SET record = x'ff'";
    place.sql().execute(damaged, []).unwrap();
    assert_eq!(listed(&store).0, summary, "without reading a record");
}

#[test]
fn what_has_more_records_is_worked_out_anew() {
    let place = Place::new();
    let mut store = place.store();
    ingest(&mut store, ("r", "a"), 0, &part("r", ("a", 0, 2), 3)).unwrap();
    let (half, new) = listed(&store);
    assert_eq!(new.len(), 1, "the other half is given up");
    store.summarize(&new).unwrap();

    let other = part("r", ("b", 1, 2), 3);
    ingest(&mut store, ("r", "b"), 0, &other[..4]).unwrap();
    let (more, _) = listed(&store);
    assert!(more.requests > half.requests, "{more:?}");
    ingest(&mut store, ("r", "b"), 4, &other[4..]).unwrap();
    let (whole, new) = listed(&store);
    assert!(whole.requests > more.requests, "{whole:?}");
    store.summarize(&new).unwrap();
    assert_eq!(listed(&store).0, whole);
}

#[test]
fn a_run_that_cannot_be_read_hides_no_other() {
    let place = Place::new();
    let mut store = place.store();
    for run in ["r", "s"] {
        ingest(&mut store, (run, "a"), 0, &part(run, ("a", 0, 1), 3)).unwrap();
    }
    place.sql().execute("UPDATE records SET record = x'ff' WHERE part = 1", []).unwrap();
    let (runs, new) = list(&store, 10).unwrap();
    assert_eq!(
        runs.iter().map(|(run, summary)| (&*run.run, summary.is_ok())).collect::<Vec<_>>(),
        [("s", true), ("r", false)]
    );
    assert_eq!(new.len(), 1);
}
