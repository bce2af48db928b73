//! Ingestion of records, in any order of repetitions and in pieces of any size.

use golo::engine::errors::ErrorKind;
use golo::engine::series::{Label, Outcome, Series};
use golo::engine::snapshot::Snapshot;
use golo_cli::results::store::{Batch, Store, StoreError};
use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::results::ended::State;
use golo_proto::results::{Record, record};

use crate::{listed::listed, support::*};

fn refused(result: Result<golo_cli::results::store::Ingested, StoreError>) -> String {
    match result {
        Err(StoreError::Refused(reason)) => reason,
        other => panic!("expected a refusal, and not {other:?}"),
    }
}

#[test]
fn records_that_arrive_twice_count_once() {
    let place = Place::new();
    let mut store = place.store();
    let whole = part("r", ("a", 0, 1), 5);
    let a = ("r", "a");
    assert_eq!(ingest(&mut store, a, 0, &whole[..4]).unwrap().next, 4);
    let again = ingest(&mut store, a, 0, &whole[..4]).unwrap();
    assert_eq!((again.new, again.next), (0, 4));
    assert!(matches!(ingest(&mut store, a, 6, &whole[6..]), Err(StoreError::Gap { next: 4 })));
    let overlapping = ingest(&mut store, a, 2, &whole[2..6]).unwrap();
    assert_eq!((overlapping.new, overlapping.next), (2, 6));
    assert_eq!(ingest(&mut store, a, 5, &whole[5..]).unwrap().next, whole.len() as u64);
    assert_eq!(ingest(&mut store, a, 3, &whole[3..]).unwrap().new, 0);

    let run = store.find("r").unwrap();
    let truth = truth(std::slice::from_ref(&whole));
    assert_eq!(run.requests, truth.values().map(|truth| truth.durations.count()).sum::<u64>());
    assert_eq!(run.requests_failed, truth.values().map(|truth| truth.failed).sum::<u64>());
    let seconds = store.seconds(&run, 0..100).unwrap();
    assert_eq!(seconds.iter().map(|second| second.requests.requests).sum::<u64>(), run.requests);
    assert_eq!(seconds.iter().map(|second| second.triggers_due).sum::<u64>(), 5 * 120 + 6);
    assert_eq!(seconds.iter().map(|second| second.users).collect::<Vec<_>>(), [10, 10, 10, 10, 10, 0]);
    assert_eq!(sorted(kept(&store, "r", "a")), sorted(whole));
}

#[test]
fn tags_and_metrics_are_stored_beside_the_routes() {
    use golo::engine::metrics::{Durations, Sum, Value};
    use golo::engine::series::TagPairs;

    let place = Place::new();
    let mut store = place.store();
    let mut snapshot = Snapshot::default();
    let outcome = Outcome::Answered { status: 200, failed: false };
    for (tenant, duration) in [("blue", 1_000_000), ("green \"x\"", 9_000_000)] {
        let tags: TagPairs = [("tenant", tenant)].into_iter().collect();
        add(&mut snapshot, Series { label: label(0).with_tags(tags.clone()).into(), outcome }, duration);
        let orders = Value::Counter(Sum { count: 2, millionths: 2_500_000, after_load: 0 });
        snapshot.metrics.add("orders", Some("EUR"), Some(&tags), &orders);
    }
    add(&mut snapshot, Series { label: label(0).into(), outcome }, 3_000_000);
    let mut group = Durations { failed: 1, ..Durations::default() };
    group.durations.record(4_000_000);
    let group_tags: TagPairs = [("group", "checkout")].into_iter().collect();
    snapshot.metrics.add("group_duration", None, Some(&group_tags), &Value::Group(group));
    let plan = plan(1, 0, 1);
    let records = vec![
        begun("r", "a", plan.clone()),
        started(),
        second(0, 1, &snapshot),
        finished(1, &Snapshot::default(), &plan),
        ended(State::Completed, ""),
    ];
    ingest(&mut store, ("r", "a"), 0, &records).unwrap();
    assert_eq!(sorted(kept(&store, "r", "a")), sorted(records));

    let run = store.find("r").unwrap();
    assert_eq!(run.requests, 3);
    let series = store.series(&run).unwrap();
    let tenants: Vec<_> = series.iter().map(|series| series.tags.get("tenant").map(String::as_str)).collect();
    assert_eq!(tenants, [Some("blue"), Some("green \"x\""), None]);
    let seconds = store.seconds(&run, 0..1).unwrap();
    assert_eq!((seconds[0].routes.len(), seconds[0].routes[0].requests.requests), (1, 3), "one row for the route");
    let sql = place.sql();
    let mut select = sql
        .prepare("SELECT name, kind, unit, coalesce(json_extract(tags, '$.tenant'), ''), count, sum, max FROM metrics_by_second")
        .unwrap();
    let rows = select.query_map([], |row| {
        let texts: [String; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
        Ok((texts.join(" "), row.get::<_, i64>(4)?, row.get::<_, Option<f64>>(5)?, row.get::<_, Option<f64>>(6)?))
    });
    let mut rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        rows,
        [
            ("group_duration group ms ".to_owned(), 1, None, Some(4.0)),
            ("orders counter EUR blue".to_owned(), 2, Some(2.5), None),
            ("orders counter EUR green \"x\"".to_owned(), 2, Some(2.5), None),
        ]
    );
    let of_blue =
        "SELECT requests, max_ms FROM tagged_requests_by_second WHERE json_extract(tags, '$.tenant') = 'blue'";
    let of_blue = sql.query_row(of_blue, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, f64>(1)?)));
    assert_eq!(of_blue, Ok((1, 1.0)));
}

#[test]
fn measured_steps_are_stored_but_not_counted_as_requests() {
    let place = Place::new();
    let mut store = place.store();
    let step = Label::new("", "a query", "MEASURE");
    let with_step = |of: Label, failed| {
        let mut snapshot = Snapshot::default();
        let outcome = Outcome::Answered { status: 200, failed: false };
        add(&mut snapshot, Series { label: of.into(), outcome }, 1_000_000);
        let outcome = if failed { Outcome::Failed(ErrorKind::Other) } else { Outcome::Answered { status: 0, failed } };
        add(&mut snapshot, Series { label: step.clone().into(), outcome }, 9_000_000);
        snapshot
    };
    let plan = plan(1, 0, 2);
    let seconds = [second(0, 1, &with_step(label(0), false)), second(1, 1, &with_step(label(1), true))];
    let mut records = vec![begun("r", "a", plan.clone()), started()];
    records.extend(seconds);
    records.push(finished(2, &Snapshot::default(), &plan));
    records.push(ended(State::Completed, ""));
    ingest(&mut store, ("r", "a"), 0, &records).unwrap();

    let run = store.find("r").unwrap();
    assert_eq!((run.requests, run.requests_failed), (2, 0));
    let kept_seconds = store.seconds(&run, 0..2).unwrap();
    for second in &kept_seconds {
        let all = &second.requests;
        assert_eq!((all.requests, all.failed, all.duration.max_ns), (1, 0, Some(1_000_000)), "{second:?}");
        assert!(
            second.routes.iter().any(|route| route.method == "MEASURE" && route.requests.requests == 1),
            "{second:?}"
        );
    }
    let (summary, _) = listed(&store);
    assert_eq!((summary.requests, summary.requests_failed, summary.p95_ns), (2, 0, Some(1_000_000)));
    assert_eq!(sorted(kept(&store, "r", "a")), sorted(records));
}

#[test]
fn concurrent_parts_are_stored_unchanged_and_merged() {
    let place = Place::new();
    drop(place.store());
    let agents = ["a", "b", "c"];
    let parts: Vec<_> = (0..).zip(agents).map(|(index, agent)| part("r", (agent, index, 3), 8)).collect();
    std::thread::scope(|scope| {
        for (agent, records) in agents.iter().zip(&parts) {
            let mut store = Store::open(&place.db()).unwrap();
            scope.spawn(move || {
                for (number, record) in records.iter().enumerate() {
                    let next =
                        ingest(&mut store, ("r", agent), number as u64, std::slice::from_ref(record)).unwrap().next;
                    assert_eq!(next, number as u64 + 1);
                }
            });
        }
    });
    let store = Store::open_to_read(&place.db()).unwrap();
    for (agent, records) in agents.iter().zip(&parts) {
        assert_eq!(sorted(kept(&store, "r", agent)), sorted(records.clone()), "agent {agent}");
    }
    let run = store.find("r").unwrap();
    let merged = store.merged(&run, 0..u64::MAX).unwrap();
    let truth = truth(&parts);
    assert_eq!(merged.values().map(|second| second.requests.len()).sum::<usize>(), truth.len());
    for ((second, label), truth) in truth {
        let requests = &merged[&second].requests[&label];
        assert_eq!((requests.failed, requests.interrupted), (truth.failed, truth.interrupted));
        assert_eq!(requests.durations, truth.durations);
    }
    assert_eq!(merged[&0].users, 30);
    assert_eq!(merged[&0].triggers.due, 3 * 120);
    assert_eq!(merged[&0].triggers.response.count(), 3 * 120);
}

#[test]
fn invalid_batch_is_refused_and_not_stored() {
    let place = Place::new();
    let mut store = place.store();
    let whole = part("r", ("a", 0, 2), 3);
    let a = ("r", "a");
    assert_eq!(refused(ingest(&mut store, a, 0, &whole[1..])), "record 0 is not a `Begun`");
    assert!(matches!(store.find("r"), Err(StoreError::Unknown(_))), "nothing is kept of what was refused");
    assert!(refused(ingest(&mut store, ("r", "b"), 0, &whole)).contains(r#"of the agent "a": expected "b""#));
    assert!(refused(ingest(&mut store, ("s", "a"), 0, &whole)).contains(r#"of the run "r": expected "s""#));
    assert!(
        refused(ingest(&mut store, ("", "a"), 0, &whole))
            .contains("invalid name of a run, \"\": expected 1 to 128 bytes")
    );
    let no_plan = Record {
        at: 1,
        record: Some(record::Record::Begun(golo_proto::results::Begun {
            run: "r".into(),
            agent: "a".into(),
            ..Default::default()
        })),
    };
    assert_eq!(refused(ingest(&mut store, a, 0, &[no_plan])), "record 0 has no plan");

    ingest(&mut store, a, 0, &whole[..5]).unwrap();
    let next = |record: Record| vec![whole[5].clone(), record];
    for (record, expected) in [
        (whole[0].clone(), "record 6 is a second `Begun`"),
        (Record::default(), "record 6 is of a kind unknown to this golo"),
        (told(1, pb::Event::default()), "record 6 is of a kind unknown to this golo"),
        (told(1, golo::wire::event(Event::Outputs(pb::Outputs::default()))), "record 6 is an event that is not stored"),
        (whole[5].clone(), "record 6 contains second 2, which is out of order"),
        (
            told(1, golo::wire::event(Event::Second(pb::Second { elapsed: 9_000_000_000, ..Default::default() }))),
            "record 6 is a second without a snapshot",
        ),
    ] {
        assert_eq!(refused(ingest(&mut store, a, 5, &next(record))), expected);
        assert_eq!(store.next("r", "a", None).unwrap(), 5, "the record before was not kept either");
    }
    let odd = pb::Series { label: Some(pb::Label::default()), ..Default::default() };
    let snapshot = pb::Snapshot { requests: vec![odd], ..Default::default() };
    let odd = golo::wire::event(Event::Second(pb::Second {
        elapsed: 9_000_000_000,
        users: 1,
        snapshot: Some(snapshot),
        connections: 0,
    }));
    assert_eq!(refused(ingest(&mut store, a, 5, &[told(1, odd)])), "record 5: a series without an outcome");

    ingest(&mut store, a, 5, &whole[5..]).unwrap();
    let after = vec![whole[4].clone()];
    assert_eq!(refused(ingest(&mut store, a, 8, &after)), "record 8 comes after the part has ended");

    let other = part("r", ("b", 1, 3), 3);
    assert!(refused(ingest(&mut store, ("r", "b"), 0, &other)).starts_with("a part of another plan"));
    let mut again = whole.clone();
    again[0] = begun("r", "a", plan(2, 1, 3));
    assert!(refused(ingest(&mut store, a, 0, &again)).contains("already sent another job"));
    assert_eq!(sorted(kept(&store, "r", "a")), sorted(whole));
}

#[test]
fn part_belongs_to_the_first_job_that_sent_it() {
    let place = Place::new();
    let mut store = place.store();
    let whole = part("r", ("a", 0, 1), 3);
    let batch = |job: &str, from: usize| Batch {
        run: "r".to_owned(),
        agent: "a".to_owned(),
        job: Some(job.to_owned()),
        from: from as u64,
        records: whole[from..from + 2].to_vec(),
    };
    assert!(refused(store.ingest(batch("another", 0))).contains(r#"of the job "job-of-a": expected "another""#));
    assert_eq!(store.next("r", "a", Some("another")).unwrap(), 0, "nothing is known yet");
    store.ingest(batch("job-of-a", 0)).unwrap();
    // Refused in all cases: the next records, known records, and records after a gap.
    for from in [2, 0, 4] {
        let told = store.ingest(batch("another", from));
        assert!(matches!(told, Err(StoreError::OtherJob { known }) if known == "job-of-a"));
    }
    assert!(matches!(store.next("r", "a", Some("another")), Err(StoreError::OtherJob { .. })));
    assert_eq!(store.next("r", "a", Some("job-of-a")).unwrap(), 2);
    assert_eq!(store.ingest(batch("job-of-a", 2)).unwrap().next, 4);
    assert_eq!(sorted(kept(&store, "r", "a")), sorted(whole[..4].to_vec()));
}

#[test]
fn records_that_cannot_be_displayed_are_refused() {
    let place = Place::new();
    let mut store = place.store();
    let a = ("r", "a");
    let mut first = begun("r", "a", plan(1, 0, 3));
    let Some(record::Record::Begun(asked)) = &mut first.record else { panic!() };
    asked.thresholds.push("http_reqs rate".to_owned());
    assert!(refused(ingest(&mut store, a, 0, &[first])).starts_with("record 0: its threshold `http_reqs rate`: "));
    let parts = begun("r", "a", plan(1001, 0, 3));
    assert_eq!(refused(ingest(&mut store, a, 0, &[parts])), "record 0: a run has at most 1000 parts, not 1001");
    let latest = begun("latest", "a", plan(1, 0, 3));
    assert!(refused(ingest(&mut store, ("latest", "a"), 0, &[latest])).contains("cannot have the ID `latest`"));

    ingest(&mut store, a, 0, &part("r", ("a", 0, 1), 3)[..4]).unwrap();
    let no_model = Some(pb::Load::default());
    let event = |event| told(1, golo::wire::event(event));
    let adjusted = |load| event(Event::Adjusted(pb::Adjusted { load, ..Default::default() }));
    let finished = |load| event(Event::Finished(pb::Finished { load, ..Default::default() }));
    for (record, expected) in [
        (adjusted(no_model.clone()), "record 4: no model of the load"),
        (finished(no_model), "record 4: no model of the load"),
        (finished(None), "record 4: a `Finished` without a load"),
    ] {
        assert_eq!(refused(ingest(&mut store, a, 4, &[record])), expected);
    }
    let load = plan(1, 0, 3).load;
    assert_eq!(ingest(&mut store, a, 4, &[adjusted(None), adjusted(load.clone()), finished(load)]).unwrap().next, 7);
}

#[test]
fn count_above_2_to_the_53_is_refused() {
    const MOST: u64 = 1 << 53;
    let place = Place::new();
    let mut store = place.store();
    let a = ("r", "a");
    let whole = part("r", ("a", 0, 1), 2);
    ingest(&mut store, a, 0, &whole[..3]).unwrap();
    let histogram = |counts: &[u64]| {
        Some(pb::Histogram { gaps: vec![1; counts.len()], counts: counts.to_vec(), max: 9, ..Default::default() })
    };
    let nth = |number: u64, dropped, durations, received| {
        let series = pb::Series {
            label: Some(pb::Label::default()),
            outcome: Some(pb::series::Outcome::Answered(200)),
            durations,
            received,
            ..Default::default()
        };
        let triggers =
            pb::Triggers { dropped_busy: dropped, dropped_unready: 1, dropped_stopped: 1, ..Default::default() };
        let snapshot = pb::Snapshot { requests: vec![series], triggers: Some(triggers), ..Default::default() };
        let second = pb::Second { elapsed: number * 1_000_000_000, users: 1, snapshot: Some(snapshot), connections: 0 };
        told(1, golo::wire::event(Event::Second(second)))
    };
    for (dropped, durations, received, expected) in [
        (u64::MAX, None, 0, "18446744073709551615 dropped triggers"),
        (MOST - 1, None, 0, "9007199254740993 dropped triggers"),
        (1, histogram(&[MOST, 1]), 0, "9007199254740993 requests"),
        (1, None, MOST + 1, "9007199254740993 received bytes"),
    ] {
        let told = ingest(&mut store, a, 3, &[nth(1, dropped, durations, received)]);
        assert_eq!(refused(told), format!("record 3: {expected}: a count is at most 2^53"));
    }
    // The largest allowed counts can be read by every query.
    ingest(&mut store, a, 3, &[nth(1, MOST - 2, histogram(&[MOST]), MOST)]).unwrap();
    let run = store.find("r").unwrap();
    assert_eq!(store.seconds(&run, 0..9).unwrap()[0].triggers_dropped, MOST);
    assert_eq!(store.series(&run).unwrap()[0].requests, MOST);
    let dropped = place.sql().query_row("SELECT triggers_dropped FROM run_by_second", [], |row| row.get::<_, i64>(0));
    assert_eq!(dropped.unwrap().unsigned_abs(), MOST);
    // This also holds if the sum of all seconds exceeds an integer.
    let many: Vec<_> = (2..1100).map(|number| nth(number, 0, histogram(&[MOST]), MOST)).collect();
    ingest(&mut store, a, 4, &many).unwrap();
    assert_eq!(store.series(&run).unwrap()[0].requests, i64::MAX.unsigned_abs());
    assert_eq!(store.seconds(&run, 0..9999).unwrap().len(), 1099);
}

#[test]
fn only_the_end_may_follow_the_finished_record() {
    let place = Place::new();
    let mut store = place.store();
    let whole = part("r", ("a", 0, 1), 2);
    ingest(&mut store, ("r", "a"), 0, &whole[..6]).unwrap();
    let late = second(7, 1, &measured(&mut Numbers(1), 1, 1));
    assert_eq!(refused(ingest(&mut store, ("r", "a"), 6, &[late])), "record 6 comes after the engine has finished");
    ingest(&mut store, ("r", "a"), 6, &whole[6..]).unwrap();
}

#[test]
fn run_ends_after_its_last_part_with_the_worst_state() {
    let place = Place::new();
    let mut store = place.store();
    let state = |store: &Store, run| {
        let run = store.find(run).unwrap();
        (run.state, run.reason)
    };
    for (run, ends, expected) in [
        ("r1", [State::Completed, State::Completed], ("completed", "")),
        ("r2", [State::Cancelled, State::Completed], ("cancelled", "a: why")),
        ("r3", [State::Cancelled, State::Failed], ("failed", "a: why; b: why")),
    ] {
        for (index, agent) in (0..).zip(["a", "b"]) {
            let begun = begun(run, agent, plan(2, index, 1));
            let reason = if ends[index as usize] == State::Completed { "" } else { "why" };
            ingest(&mut store, (run, agent), 0, &[begun, started()]).unwrap();
            assert_eq!(state(&store, run).0, "running");
            ingest(&mut store, (run, agent), 2, &[ended(ends[index as usize], reason)]).unwrap();
        }
        assert_eq!(state(&store, run), (expected.0.to_owned(), expected.1.to_owned()));
    }
    let run = store.find("r1").unwrap();
    assert_eq!((run.started_at_ns, run.ended_at_ns), (Some(START), Some(START + 99_000_000_000)));
    assert_eq!((run.name.as_str(), run.load_test.as_str()), ("shop", "shop-load-test"));
    assert_eq!((run.plan.as_str(), run.thresholds.len()), ("10 users for 1s", 2));
    let parts = store.parts(&run).unwrap();
    let shares: Vec<_> = parts.iter().map(|part| (part.agent.as_str(), part.share_index, part.share_of)).collect();
    assert_eq!(shares, [("a", 0, 2), ("b", 1, 2)]);
}

#[test]
fn run_is_found_by_id_prefix_name_or_latest() {
    let place = Place::new();
    let mut store = place.store();
    assert!(store.find("latest").unwrap_err().to_string().contains("no run is stored yet"));
    for run in ["aa1", "aa2", "b%_"] {
        ingest(&mut store, (run, "x"), 0, &[begun(run, "x", plan(1, 0, 1))]).unwrap();
    }
    let not_started = store.find("latest").unwrap_err().to_string();
    assert!(not_started.starts_with("no stored run has started: the newest is b%_"), "{not_started}");
    assert_eq!(store.find("shop").unwrap().run, "b%_", "the newest of that name, since none started");
    for run in ["aa1", "aa2"] {
        ingest(&mut store, (run, "x"), 1, &[started()]).unwrap();
    }
    let found = |called: &str| store.find(called).map(|run| run.run).map_err(|error| error.to_string());
    assert_eq!(found("aa1").unwrap(), "aa1");
    assert_eq!(found("latest").unwrap(), "aa2", "the newest that started");
    assert_eq!(found("shop").unwrap(), "aa2", "the newest of that name that started");
    assert_eq!(found("b%").unwrap(), "b%_");
    assert!(found("aa").unwrap_err().contains("more than one run ID begins"));
    assert!(found("%").unwrap_err().contains("no run is called"));
    assert!(found("").unwrap_err().contains("no run is called"));
    assert_eq!(store.runs(2).unwrap().iter().map(|run| &*run.run).collect::<Vec<_>>(), ["b%_", "aa2"]);
}

#[test]
fn route_priority_is_the_highest_but_unknown_stays_for_other() {
    let place = Place::new();
    let mut store = place.store();
    let written = |method: &str, priority: pb::Priority| pb::Series {
        label: Some(pb::Label { method: method.to_owned(), priority: priority.into(), ..pb::Label::default() }),
        outcome: Some(pb::series::Outcome::Answered(200)),
        ..pb::Series::default()
    };
    let mut priority = |method: &str, told: &[pb::Priority]| {
        let run = format!("r-{method}-{}", told.len());
        ingest(&mut store, (&run, "a"), 0, &part(&run, ("a", 0, 1), 5)[..3]).unwrap();
        for (number, told) in told.iter().enumerate() {
            let number = number as u64;
            let mut record = second(number + 3, number, &Snapshot::default());
            let Some(record::Record::Event(pb::Event { event: Some(Event::Second(second)) })) = &mut record.record
            else {
                panic!("no second")
            };
            second.snapshot.as_mut().unwrap().requests = vec![written(method, *told)];
            ingest(&mut store, (&run, "a"), number + 3, &[record]).unwrap();
        }
        let select = "SELECT priority FROM routes JOIN runs ON runs.id = routes.run WHERE runs.run = ?";
        place.sql().query_row(select, [run], |row| row.get::<_, i32>(0)).unwrap()
    };
    use pb::Priority::{Named, Ordinary, Selected, Unknown};
    assert_eq!(priority("GET", &[Ordinary, Selected, Named]), Selected as i32);
    assert_eq!(priority("GET", &[Unknown, Ordinary]), Ordinary as i32);
    assert_eq!(priority("", &[Ordinary, Named, Ordinary]), Named as i32);
    assert_eq!(priority("", &[Ordinary, Unknown]), Unknown as i32);
}
