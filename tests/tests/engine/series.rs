//! Series are bounded in number, and nothing is lost for that.

use std::time::Duration;

use golo::{
    OutputRef,
    engine::{
        recorder::Recorder,
        series::SERIES,
        snapshot::{Measure, Snapshot},
    },
};

/// A line of a request to a route of its own.
fn line(route: usize) -> String {
    format!(
        r#"{{"sequenceID":"s","url":"http://h/{route}","method":"GET","status":200,"size":3,"timestamp":"2026-11-22T10:05:13.123456789Z","duration":1000000,"error":null,"route":"/route-{route}"}}"#
    )
}

fn record(recorder: &mut Recorder, routes: impl Iterator<Item = usize>) {
    for route in routes {
        recorder.output(&OutputRef::parse(&line(route)).unwrap());
    }
}

/// How many requests are under `other`, how many in all, and how many series there are.
fn counted(snapshot: &Snapshot) -> (u64, u64, usize) {
    let count = |measure: &Measure| measure.durations.count();
    let others = snapshot.requests.iter().filter(|(series, _)| series.label.is_other());
    let others: u64 = others.map(|(_, measure)| count(measure)).sum();
    (others, snapshot.requests.values().map(count).sum(), snapshot.requests.len())
}

#[test]
fn past_a_thousand_series_the_rest_is_other() {
    let mut recorder = Recorder::default();
    record(&mut recorder, 0..SERIES);
    assert_eq!(counted(&recorder.take()), (0, 1000, 1000));
    record(&mut recorder, (0..SERIES + 500).chain(0..SERIES + 500));
    let taken = recorder.take();
    assert_eq!(counted(&taken), (1000, 3000, 1001));
    assert_eq!(taken.requests.values().map(|measure| measure.received).sum::<u64>(), 9000);
    assert_eq!(taken.requests_done(), 3000);
    record(&mut recorder, SERIES..SERIES + 2);
    assert_eq!(counted(&recorder.take()), (2, 2, 1), "what has no requests is not in it");
}

#[test]
fn outcomes_are_series_too() {
    let mut recorder = Recorder::default();
    for route in 0..SERIES {
        let line = line(route);
        let mut output = OutputRef::parse(&line).unwrap();
        recorder.output(&output);
        output.status = 503;
        recorder.output(&output);
    }
    let taken = recorder.take();
    let (_, all, series) = counted(&taken);
    assert_eq!((all, taken.requests_failed()), (2000, 1000));
    assert!((SERIES..=SERIES + 2).contains(&series), "{series}");
}

#[test]
fn only_a_socket_of_its_own_that_cannot_be_opened_exhausts_the_generator() {
    let mut recorder = Recorder::default();
    let line = line(0);
    let mut output = OutputRef::parse(&line).unwrap();
    for error in [
        "connect: GET http://h/0: tcp open error: Too many open files (os error 24)",
        "dns: GET http://h/0: Too many open files (os error 24)",
        "connect: GET http://h/0: Cannot assign requested address (os error 99)",
        // What a target says of itself.
        "the database is down: too many open files",
        "body: GET http://h/0: too many open files",
    ] {
        output.error = Some(error.into());
        recorder.output(&output);
    }
    let generator = recorder.take().generator;
    assert_eq!((generator.without_descriptor, generator.without_port), (2, 1));
}

#[test]
fn recorders_with_other_routes_merge_into_a_thousand_and_other() {
    let mut totals = Snapshot::default();
    for worker in 0..4 {
        let mut recorder = Recorder::default();
        let routes = worker * 800..worker * 800 + 1300;
        record(&mut recorder, routes);
        totals.merge(&recorder.take());
    }
    let (others, all, series) = counted(&totals);
    assert_eq!(all, 4 * 1300);
    assert!(series <= SERIES + 1, "{series}");
    assert!(others >= 4 * 300);
    let sum: u128 = totals.requests.values().map(|measure| measure.durations.sum()).sum();
    assert_eq!(sum, Duration::from_millis(4 * 1300).as_nanos());
}

#[test]
fn what_has_been_read_is_filled_again_from_nothing() {
    let mut recorder = Recorder::default();
    let mut totals = Snapshot::default();
    for _ in 0..5 {
        record(&mut recorder, 0..100);
        let taken = recorder.take();
        assert_eq!(counted(&taken), (0, 100, 100));
        totals.merge(&taken);
        recorder.recycle(taken);
    }
    assert_eq!(counted(&totals), (0, 500, 100));
}
