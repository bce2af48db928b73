//! Records of runs that were, and of those that still are.

use golo::report::Verdict;

use super::*;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_800_000_000 * SECOND;

fn record(second: u64, record: record::Record) -> Record {
    Record { at: START + second * SECOND, record: Some(record) }
}

fn begun(agent: &str, index: u64, of: u64) -> Record {
    let load = Plan::new(golo::engine::plan::Asked::default()).unwrap();
    let plan = pb::Plan {
        needs: 1,
        load: Some((&load).into()),
        share: Some(pb::Share { index, of }),
        workers: 2,
        ..pb::Plan::default()
    };
    let begun = Begun {
        run: "r".to_owned(),
        agent: agent.to_owned(),
        load_test: "shop".to_owned(),
        plan: Some(plan),
        thresholds: vec!["iterations count>=10".to_owned()],
        ..Begun::default()
    };
    record(0, record::Record::Begun(begun))
}

fn event(second: u64, event: Event) -> Record {
    record(second, record::Record::Event(wire::event(event)))
}

fn second(number: u64, done: u64) -> Record {
    let triggers = pb::Triggers { due: done, done, ..pb::Triggers::default() };
    let snapshot = Some(pb::Snapshot { triggers: Some(triggers), ..pb::Snapshot::default() });
    event(number, Event::Second(pb::Second { elapsed: number * SECOND, users: 5, snapshot }))
}

fn finished(seconds: u64) -> Record {
    let load = Some((&Plan::new(golo::engine::plan::Asked::default()).unwrap()).into());
    let time = seconds * SECOND;
    let finished = pb::Finished {
        started_at: Some(START),
        load_time: time,
        whole_time: time,
        workers: 2,
        load,
        ..pb::Finished::default()
    };
    event(seconds, Event::Finished(finished))
}

fn ended(second: u64, ended: Ended) -> Record {
    record(second, record::Record::Ended(ended))
}

fn part(agent: &str, (index, of): (u64, u64), seconds: u64, end: Option<Ended>) -> Vec<Record> {
    let mut records = vec![begun(agent, index, of)];
    records.extend((1..=seconds).map(|number| second(number, 1)));
    if let Some(end) = end {
        records.extend([finished(seconds), ended(seconds, end)]);
    }
    records
}

fn replayed(parts: &[Vec<Record>], now: u64) -> (Replayed, Vec<(u64, u64, u64)>) {
    let mut seconds = Vec::new();
    let records = parts.iter().map(|part| Box::new(part.iter().cloned().map(Ok)) as Records<'_>);
    let replayed = replay(records, wire::moment(START + now * SECOND), |progress| {
        seconds.push((progress.elapsed.as_secs(), progress.users, progress.second.triggers.done));
    });
    (replayed.unwrap(), seconds)
}

fn verdict(parts: &[Vec<Record>], now: u64) -> Verdict {
    replayed(parts, now).0.reported.verdict()
}

#[test]
fn the_seconds_of_parts_are_put_together_whatever_their_order() {
    let parts = [part("a", (0, 2), 6, Some(Ended::default())), part("b", (1, 2), 6, Some(Ended::default()))];
    let (replayed, seconds) = replayed(&parts, 6);
    // The last comes with the end of the first to end.
    assert_eq!(seconds, (1..=6).map(|second| (second, 10, 2)).collect::<Vec<_>>());
    let Reported { finished, timeline, ending } = &replayed.reported;
    assert_eq!((finished.totals.triggers.done, finished.options.workers, ending.not_ended.clone()), (12, 4, None));
    assert_eq!(timeline.points().map(|point| point.done).collect::<Vec<_>>(), [2; 6]);
    assert_eq!((replayed.reported.verdict(), replayed.name(), &*replayed.run), (Verdict::Passed, "shop", "r"));
}

#[test]
fn thresholds_are_judged_anew() {
    let parts = [part("a", (0, 1), 6, Some(Ended::default()))];
    assert_eq!(verdict(&parts, 6), Verdict::Failed(vec!["iterations count>=10 was 6".to_owned()]));
}

#[test]
fn how_it_ended_is_known() {
    let verdict = |end: Ended| verdict(&[part("a", (0, 1), 12, Some(end))], 12);
    let of = |state: State| Ended { state: state.into(), ..Ended::default() };
    assert_eq!(verdict(Ended { stopped: Some(3 * SECOND), ..of(State::Cancelled) }), Verdict::Stopped);
    let missing = "requests are missing".to_owned();
    let invalid = Verdict::Invalid(vec![missing.clone()]);
    assert_eq!(verdict(Ended { missing, ..of(State::Completed) }), invalid);
    assert_eq!(verdict(of(State::Cancelled)), Verdict::Stopped);
    let died = Ended { died: "signal 9 ended it".to_owned(), ..of(State::Failed) };
    assert_eq!(verdict(died), Verdict::Died("signal 9 ended it".to_owned()));
    let (replayed, _) = replayed(
        &[part("a", (0, 1), 12, Some(Ended { reason: "teardown failed".to_owned(), ..of(State::Completed) }))],
        12,
    );
    assert_eq!(replayed.reported.ending.torn_down.as_deref(), Some("teardown failed"));
    let (replayed, _) = self::replayed(
        &[part("a", (0, 1), 12, Some(Ended { aborted: "iterations count>=10".to_owned(), ..Ended::default() }))],
        12,
    );
    assert!(replayed.reported.ending.aborted.is_some());
}

#[test]
fn a_run_whose_end_nobody_told_has_not_ended() {
    let parts = [part("a", (0, 1), 5, None)];
    let (replayed, seconds) = replayed(&parts, 8);
    let expected = "it began at 2027-01-15T08:00:00Z; the last that is known is from 5s into it, 3s ago; it is running, or \
                    whoever ran it was killed";
    assert_eq!((replayed.reported.verdict(), seconds.len()), (Verdict::NotEnded(expected.to_owned()), 5));
    assert_eq!(replayed.reported.finished.totals.triggers.done, 5);
    let only_begun = [vec![begun("a", 0, 1)]];
    assert!(matches!(verdict(&only_begun, 0), Verdict::NotEnded(_)));
}

#[test]
fn a_part_that_others_have_outlived_is_lost_after_a_minute() {
    let parts = [part("a", (0, 2), 12, Some(Ended::default())), part("b", (1, 2), 4, None)];
    let Verdict::NotEnded(known) = verdict(&parts, 15) else { panic!("it may come") };
    assert!(known.contains("the last that is known of b is from 4s into it, 11s ago; 1 of its parts"), "{known}");
    let Verdict::Invalid(reasons) = verdict(&parts, 100) else { panic!("it will not come") };
    assert_eq!(reasons, ["the agent b was lost from 4s on: nothing more was heard of it"]);
}

#[test]
fn a_part_that_never_came_is_named() {
    let parts = [part("b", (1, 3), 12, Some(Ended::default())), part("a", (0, 3), 12, Some(Ended::default()))];
    let Verdict::NotEnded(known) = verdict(&parts, 15) else { panic!("it may come") };
    assert!(known.contains("nothing is known yet of 1 of its 3 parts"), "{known}");
    let Verdict::Invalid(reasons) = verdict(&parts, 100) else { panic!("it will not come") };
    assert_eq!(reasons, ["the agent share 3 of 3 was lost from the start on: nothing was heard of it"]);
}

#[test]
fn an_agent_that_died_with_it_has_said_so() {
    let mut records = part("a", (0, 1), 4, None);
    let reason = "the agent ended while it ran".to_owned();
    records.push(ended(9, Ended { state: State::Failed.into(), reason: reason.clone(), ..Ended::default() }));
    assert_eq!(verdict(&[records], 15), Verdict::Died(reason));
}

#[test]
fn what_cannot_be_is_said() {
    let wrong = |records: Vec<Record>| {
        let records = Box::new(records.into_iter().map(Ok)) as Records<'_>;
        replay([records], wire::moment(START), |_| {}).unwrap_err()
    };
    assert_eq!(wrong(Vec::new()), "nothing is kept of it");
    assert_eq!(wrong(vec![second(1, 1)]), "its first record does not say what was asked for");
    let broken = event(1, Event::Second(pb::Second { elapsed: SECOND, users: 1, snapshot: None }));
    assert_eq!(wrong(vec![begun("a", 0, 1), broken]), "what a told cannot be: no snapshot of a second");
}
