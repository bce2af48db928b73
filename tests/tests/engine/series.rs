//! The number of series is limited, and no request is lost by that.

use std::time::Duration;

use golo::OutputRef;
use golo::engine::recorder::Recorder;
use golo::engine::room::{NAMED_ROUTES, NAMED_SERIES, Priority, SELECTED_SERIES, SERIES, Selected};
use golo::engine::series::Outcome;
use golo::engine::snapshot::{Measure, Snapshot};

/// Returns a different path of letters for each number.
fn path(number: usize) -> String {
    let letters = number.to_string().bytes().map(|digit| char::from(b'a' + digit - b'0')).collect::<String>();
    format!("/path-{letters}")
}

/// Returns a line of a request to a route of its own, without a route name.
fn line(route: usize) -> String {
    let path = path(route);
    format!(
        r#"{{"sequenceID":"s","url":"http://h{path}","method":"GET","status":200,"size":3,"timestamp":"2026-11-22T10:05:13.123456789Z","duration":1000000,"error":null}}"#
    )
}

fn record(recorder: &mut Recorder, routes: impl Iterator<Item = usize>) {
    for route in routes {
        recorder.output(&OutputRef::parse(&line(route)).unwrap());
    }
}

/// Records a request to a named route.
fn record_named(recorder: &mut Recorder, route: &str, status: u16) {
    let line = line(0);
    let mut output = OutputRef::parse(&line).unwrap();
    (output.route, output.status) = (Some(route.into()), status);
    recorder.output(&output);
}

/// Returns the number of requests to this route with this status.
fn count(snapshot: &Snapshot, route: &str, wanted: u16) -> u64 {
    let is_wanted = |outcome| matches!(outcome, Outcome::Answered { status, .. } if status == wanted);
    let series = snapshot.requests.iter();
    let series = series.filter(|(series, _)| *series.label.route == *route && is_wanted(series.outcome));
    series.map(|(_, measure)| measure.durations.count()).sum()
}

/// Returns the highest priority among the series called `other`.
fn priority_of_others(snapshot: &Snapshot) -> Option<Priority> {
    let others = snapshot.requests.keys().filter(|series| series.label.is_other());
    others.map(|series| series.label.priority).max()
}

/// Returns the number of requests in `other`, the number of all requests, and the number of series.
fn counted(snapshot: &Snapshot) -> (u64, u64, usize) {
    let count = |measure: &Measure| measure.durations.count();
    let others = snapshot.requests.iter().filter(|(series, _)| series.label.is_other());
    let others: u64 = others.map(|(_, measure)| count(measure)).sum();
    (others, snapshot.requests.values().map(count).sum(), snapshot.requests.len())
}

#[test]
fn requests_beyond_a_thousand_series_are_counted_in_other() {
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
fn each_outcome_is_a_series_of_its_own() {
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
fn named_route_keeps_all_outcomes_beside_many_unnamed_ones() {
    let mut recorder = Recorder::default();
    record(&mut recorder, 0..SERIES + 500);
    record_named(&mut recorder, "/checkout", 200);
    record_named(&mut recorder, "/checkout", 503);
    let taken = recorder.take();
    assert_eq!((count(&taken, "/checkout", 200), count(&taken, "/checkout", 503)), (1, 1));
    assert_eq!(counted(&taken).0, 500);
    assert_eq!(priority_of_others(&taken), Some(Priority::Ordinary));
}

#[test]
fn route_named_later_keeps_its_series_and_gets_reserved_room() {
    let mut recorder = Recorder::default();
    record(&mut recorder, 0..SERIES + 1);
    record_named(&mut recorder, &path(7), 200);
    record_named(&mut recorder, &path(7), 503);
    let taken = recorder.take();
    assert_eq!((count(&taken, &path(7), 200), count(&taken, &path(7), 503)), (2, 1));
    let label = &taken.requests.keys().find(|series| *series.label.route == *path(7)).unwrap().label;
    assert_eq!(label.priority, Priority::Named);
}

#[test]
fn named_routes_are_limited_and_leave_room_for_selected_ones() {
    let selected: Selected = ["/checkout"].into_iter().collect();
    let mut recorder = Recorder::selecting(selected);
    for number in 0..NAMED_ROUTES + 200 {
        for status in [200, 201, 202, 400, 500] {
            record_named(&mut recorder, &format!("/named/{number}"), status);
        }
    }
    for status in [200, 503] {
        record_named(&mut recorder, "/checkout", status);
    }
    let taken = recorder.take();
    assert_eq!((count(&taken, "/checkout", 200), count(&taken, "/checkout", 503)), (1, 1));
    let is_named = |priority| taken.requests.keys().filter(|series| series.label.priority == priority).count();
    let others = taken.requests.keys().filter(|series| series.label.is_other()).count();
    assert_eq!(is_named(Priority::Named), NAMED_SERIES + others);
    assert_eq!(priority_of_others(&taken), Some(Priority::Named));
}

#[test]
fn selected_series_beyond_the_limit_mark_other_as_selected() {
    let selected: Selected = ["/checkout"].into_iter().collect();
    let mut recorder = Recorder::selecting(selected);
    for host in 0..SELECTED_SERIES + 1 {
        let line = line(0).replace("http://h/path-a", &format!("http://h{host}/checkout"));
        recorder.output(&OutputRef::parse(&line).unwrap());
    }
    let taken = recorder.take();
    assert_eq!((counted(&taken), priority_of_others(&taken)), ((1, 1001, 1001), Some(Priority::Selected)));
}

#[test]
fn named_and_selected_routes_survive_merging() {
    let selected: Selected = ["/checkout"].into_iter().collect();
    let mut totals = Snapshot::default();
    for worker in 0..4 {
        let mut recorder = Recorder::selecting(selected.clone());
        record(&mut recorder, worker * 1000..(worker + 1) * 1000);
        (0..500).for_each(|route| record_named(&mut recorder, &format!("/named/{}", worker * 500 + route), 200));
        record_named(&mut recorder, "/named/0", 503);
        record_named(&mut recorder, "/checkout", if worker == 3 { 503 } else { 200 });
        // Encode and decode it, as if it came from another process.
        let written = golo::pb::engine::Snapshot::from(&recorder.take());
        totals.merge(&Snapshot::try_from(&written).unwrap());
    }
    assert_eq!((count(&totals, "/checkout", 200), count(&totals, "/checkout", 503)), (3, 1));
    assert_eq!(count(&totals, "/named/0", 503), 4);
    let (others, all, _) = counted(&totals);
    assert_eq!((others, all), (3000 + 1000, 4 * 1502));
    assert_eq!(priority_of_others(&totals), Some(Priority::Named));
    let bound = SERIES + NAMED_SERIES + SELECTED_SERIES + 3;
    assert!(totals.requests.len() <= bound, "{}", totals.requests.len());
}

#[test]
fn tags_separate_series_and_selected_ones_keep_room() {
    let selected = Selected::default().with_tags([("tenant", "blue")]);
    let mut recorder = Recorder::selecting(selected);
    let line = line(0);
    let mut record_tagged = |tags: &[(&str, &str)]| {
        let mut output = OutputRef::parse(&line).unwrap();
        output.tags = tags.iter().copied().collect();
        recorder.output(&output);
    };
    for number in 0..SERIES + 100 {
        record_tagged(&[("id", &number.to_string())]);
    }
    for tags in [&[("tenant", "blue"), ("id", "late")][..], &[("tenant", "green")], &[("id", "7")], &[]] {
        record_tagged(tags);
    }
    let taken = recorder.take();
    // Past the limit: a hundred and that of another tenant keep their route. The one without tags is in `other`.
    assert_eq!(counted(&taken), (1, SERIES as u64 + 104, SERIES + 3));
    let of = |key: &str, value: &str| {
        let is_of = |label: &golo::engine::series::Label| label.tags.get(key) == Some(value);
        let measures = taken.requests.iter().filter(|(series, _)| is_of(&series.label));
        measures.map(|(_, measure)| measure.durations.count()).sum::<u64>()
    };
    assert_eq!([of("tenant", "blue"), of("tenant", "green"), of("id", "7")], [1, 0, 2]);
    assert_eq!(of("tags", "other"), 101);
    let read = Snapshot::try_from(&golo::pb::engine::Snapshot::from(&taken)).unwrap();
    assert_eq!(read, taken, "tags survive the wire");
}

#[test]
fn merging_keeps_the_series_with_most_requests() {
    let merged = || {
        let mut totals = Snapshot::default();
        for routes in [0..SERIES / 2, SERIES / 2..SERIES + 300] {
            let mut recorder = Recorder::default();
            record(&mut recorder, routes);
            record(&mut recorder, SERIES + 7..SERIES + 8);
            totals.merge(&recorder.take());
        }
        totals
    };
    let totals = merged();
    assert_eq!((count(&totals, &path(SERIES + 7), 200), counted(&totals).0), (3, 300));
    assert_eq!(totals, merged());
}

#[test]
fn other_of_a_sender_without_priorities_may_contain_selected_routes() {
    let mut recorder = Recorder::default();
    record(&mut recorder, 0..SERIES + 1);
    let mut written = golo::pb::engine::Snapshot::from(&recorder.take());
    let labels = written.requests.iter_mut().filter_map(|series| series.label.as_mut());
    labels.for_each(|label| label.priority = 0);
    let read = Snapshot::try_from(&written).unwrap();
    assert_eq!(priority_of_others(&read), Some(Priority::Selected));
    let others = read.requests.keys().filter(|series| series.label.priority != Priority::Ordinary).count();
    assert_eq!(others, 1, "what is told apart is ordinary");
}

#[test]
fn only_the_generators_own_sockets_count_as_exhausted() {
    let mut recorder = Recorder::default();
    let line = line(0);
    let mut output = OutputRef::parse(&line).unwrap();
    for error in [
        "connect: GET http://h/0: tcp open error: Too many open files (os error 24)",
        "dns: GET http://h/0: Too many open files (os error 24)",
        "connect: GET http://h/0: Cannot assign requested address (os error 99)",
        // Messages of the target about itself.
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
fn recorders_with_different_routes_merge_into_a_thousand_series_and_other() {
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
fn recycled_snapshot_starts_empty() {
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
