//! List of runs with their summaries.

use golo::engine::histogram::Histogram;
use golo::engine::series::{Label, Outcome, Series};
use golo::engine::snapshot::Snapshot;
use golo_cli::results::listed::list;
use golo_cli::results::store::{Store, Summarized, Summary};

use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::results::ended::State;
use golo_proto::results::record::Record as Kind;

use crate::support::{Place, SECOND, begun, ended, finished, ingest, part, plan, second, started, truth};

pub(crate) fn listed(store: &Store) -> (Summary, Vec<Summarized>) {
    let (mut runs, new) = list(store, 10).unwrap();
    (runs.pop().unwrap().1.unwrap(), new)
}

#[test]
fn summary_is_computed_once_and_stored() {
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
fn rate_excludes_requests_that_ended_after_the_load() {
    let place = Place::new();
    let mut store = place.store();
    let label = Label::new("http://a", "/", "GET");
    let series = Series { label: label.into(), outcome: Outcome::Answered { status: 200, failed: false } };
    let measured = |requests: u64, after_load: u64| {
        let mut snapshot = Snapshot::default();
        let measure = snapshot.requests.entry(series.clone()).or_default();
        measure.durations.record_n(1_000_000, requests);
        measure.after_load.count = after_load;
        (snapshot.triggers.due, snapshot.triggers.done) = (requests, requests);
        snapshot
    };
    let plan = plan(1, 0, 2);
    for (name, tells_after_load, expected) in [("new", true, (199, 2 * SECOND)), ("old", false, (200, 2 * SECOND + 5))]
    {
        let mut end = finished(2, &measured(1, u64::from(tells_after_load)), &plan);
        if let Some(Kind::Event(pb::Event { event: Some(Event::Finished(finished)) })) = &mut end.record {
            (finished.tells_after_load, finished.lost) = (tells_after_load, Vec::new());
        }
        let records = [
            begun(name, "a", plan.clone()),
            started(),
            second(0, 1, &measured(199, 0)),
            end,
            ended(State::Completed, ""),
        ];
        ingest(&mut store, (name, "a"), 0, &records).unwrap();
        let run = store.find(name).unwrap();
        let (runs, new) = list(&store, 10).unwrap();
        let summary = runs.into_iter().find(|(known, _)| known.run == run.run).unwrap().1.unwrap();
        assert_eq!((summary.requests, (summary.rated_requests, summary.rate_time_ns)), (200, expected), "{name}");
        store.summarize(&new).unwrap();
        let kept = store.summary(&run, store.records_of(&run).unwrap()).unwrap();
        assert_eq!(kept, Some(summary), "it is kept whole");
    }
}

#[test]
fn summary_is_computed_again_after_new_records() {
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
fn unreadable_run_does_not_hide_the_others() {
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
