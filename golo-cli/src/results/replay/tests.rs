//! Tests with records of ended and unfinished runs.

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
    event(number, Event::Second(pb::Second { elapsed: number * SECOND, users: 5, snapshot, connections: 0 }))
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
    let replayed = replay(records, wire::moment(START + now * SECOND), Some(Timeline::default()), |progress| {
        seconds.push((progress.elapsed.as_secs(), progress.users, progress.second.triggers.done));
    });
    (replayed.unwrap(), seconds)
}

fn verdict(parts: &[Vec<Record>], now: u64) -> Verdict {
    replayed(parts, now).0.outcome.verdict()
}

#[test]
fn seconds_of_parts_are_merged_in_any_order() {
    let parts = [part("a", (0, 2), 6, Some(Ended::default())), part("b", (1, 2), 6, Some(Ended::default()))];
    let (replayed, seconds) = replayed(&parts, 6);
    // The last second arrives with the end of the first part.
    assert_eq!(seconds, (1..=6).map(|second| (second, 10, 2)).collect::<Vec<_>>());
    let RunOutcome { finished, timeline, not_ended, .. } = &replayed.outcome;
    assert_eq!((finished.totals.triggers.done, finished.options.workers, not_ended.clone()), (12, 4, None));
    assert_eq!(timeline.points().map(|point| point.done).collect::<Vec<_>>(), [2; 6]);
    assert_eq!((replayed.outcome.verdict(), replayed.name(), &*replayed.run), (Verdict::Passed, "shop", "r"));
}

#[test]
fn thresholds_are_judged_again() {
    let parts = [part("a", (0, 1), 6, Some(Ended::default()))];
    assert_eq!(verdict(&parts, 6), Verdict::Failed(vec!["iterations count>=10 was 6".to_owned()]));
}

#[test]
fn verdict_follows_the_recorded_end() {
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
    assert_eq!(replayed.outcome.torn_down.as_deref(), Some("teardown failed"));
    let (replayed, _) = self::replayed(
        &[part("a", (0, 1), 12, Some(Ended { aborted: "iterations count>=10".to_owned(), ..Ended::default() }))],
        12,
    );
    assert!(replayed.outcome.aborted.is_some());
}

#[test]
fn run_without_recorded_end_has_not_ended() {
    let parts = [part("a", (0, 1), 5, None)];
    let (replayed, seconds) = replayed(&parts, 8);
    let expected = "it began at 2027-01-15T08:00:00Z; the last record is from 5s into the run, 3s ago; it is running, or \
                    the process that ran it was killed or could not store the end";
    assert_eq!((replayed.outcome.verdict(), seconds.len()), (Verdict::NotEnded(expected.to_owned()), 5));
    assert_eq!(replayed.outcome.finished.totals.triggers.done, 5);
    let only_begun = [vec![begun("a", 0, 1)]];
    assert!(matches!(verdict(&only_begun, 0), Verdict::NotEnded(_)));
}

#[test]
fn silent_part_is_lost_a_minute_after_others_ended() {
    let parts = [part("a", (0, 2), 12, Some(Ended::default())), part("b", (1, 2), 4, None)];
    let Verdict::NotEnded(known) = verdict(&parts, 15) else { panic!("it may come") };
    assert!(known.contains("the last record of b is from 4s into the run, 11s ago; 1 of its parts"), "{known}");
    let Verdict::Invalid(reasons) = verdict(&parts, 100) else { panic!("it will not come") };
    assert_eq!(reasons, ["the agent b was lost from 4s on: it sent no more records"]);
}

#[test]
fn missing_part_is_named() {
    let parts = [part("b", (1, 3), 12, Some(Ended::default())), part("a", (0, 3), 12, Some(Ended::default()))];
    let Verdict::NotEnded(known) = verdict(&parts, 15) else { panic!("it may come") };
    assert!(known.contains("1 of its 3 parts have sent no records yet"), "{known}");
    let Verdict::Invalid(reasons) = verdict(&parts, 100) else { panic!("it will not come") };
    assert_eq!(reasons, ["the agent share 3 of 3 was lost from the start on: it sent no records"]);
}

#[test]
fn end_of_whole_run_overrides_ends_of_parts() {
    let of = |state: State| Ended { state: state.into(), ..Ended::default() };
    let cancelled = of(State::Cancelled);
    let died = Ended { run_died: "b was lost".to_owned(), run_died_of: "b".to_owned(), ..cancelled.clone() };
    let stopped = Ended { run_stopped: true, stopped: Some(3 * SECOND), ..cancelled.clone() };
    let aborted = Ended { aborted: "iterations count>=10".to_owned(), ..cancelled.clone() };
    let failed = Ended { died: "killed".to_owned(), reason: "killed".to_owned(), ..of(State::Failed) };
    let of_two = |a: &Ended, b: Option<&Ended>, now: u64| {
        verdict(&[part("a", (0, 2), 4, Some(a.clone())), part("b", (1, 2), 4, b.cloned())], now)
    };
    let both = |ended: Ended| of_two(&ended, Some(&ended), 6);
    assert_eq!(both(stopped.clone()), Verdict::Stopped);
    assert_eq!(both(cancelled.clone()), Verdict::Stopped, "whoever stopped all of them");
    assert!(matches!(
        both(Ended { aborted: "iterations count<10".to_owned(), ..cancelled.clone() }),
        Verdict::Failed(_)
    ));
    assert_eq!(both(Ended { stopped: Some(3 * SECOND), run_stopped: true, ..aborted }), Verdict::Stopped);
    let of_the_run = Verdict::Died("b was lost".to_owned());
    assert_eq!(both(Ended { stopped: Some(3 * SECOND), run_stopped: true, ..died.clone() }), of_the_run);
    assert_eq!(of_two(&died, Some(&failed), 6), of_the_run);
    assert_eq!(of_two(&died, None, 6), of_the_run, "b is not waited for");
    assert_eq!(both(failed.clone()), Verdict::Died("a: killed".to_owned()), "nobody went on");

    assert_eq!(
        of_two(&Ended::default(), Some(&Ended { run_lost: "away".to_owned(), ..stopped.clone() }), 6),
        Verdict::Stopped
    );
    let restarted = |agent, index| {
        let reason = "the agent ended while it ran".to_owned();
        let end = Ended { reason, ..of(State::Failed) };
        [part(agent, (index, 2), 4, None), vec![ended(9, end)]].concat()
    };
    let of_all = Verdict::Died("a: the agent ended while it ran".to_owned());
    assert_eq!(verdict(&[restarted("a", 0), restarted("b", 1)], 9), of_all);
    let away = Ended { run_lost: "away".to_owned(), ..cancelled.clone() };
    assert_eq!(verdict(&[restarted("a", 0), part("b", (1, 2), 4, Some(away))], 9), of_all);
    let ready = |agent, index| vec![begun(agent, index, 2), ended(1, died.clone())];
    assert_eq!(verdict(&[ready("a", 0), ready("b", 1)], 2), of_the_run, "it was ready to begin");

    // The third part is still running.
    let parts = |b: Option<Ended>| {
        [part("a", (0, 3), 6, Some(died.clone())), part("b", (1, 3), 6, None), part("c", (2, 3), 6, b)]
    };
    assert!(matches!(verdict(&parts(None), 9), Verdict::NotEnded(_)));
    assert_eq!(verdict(&parts(Some(died.clone())), 9), of_the_run);
    // The lost agent sent no records.
    let parts = [part("a", (0, 2), 6, Some(died))];
    assert_eq!(verdict(&parts, 9), of_the_run);
}

#[test]
fn lost_part_makes_run_invalid() {
    let of = |state: State, reason: &str| Ended { state: state.into(), reason: reason.to_owned(), ..Ended::default() };
    let lost = |ended: Ended| {
        let parts = [part("a", (0, 2), 12, Some(Ended::default())), part("b", (1, 2), 6, Some(ended))];
        let Verdict::Invalid(reasons) = verdict(&parts, 12) else { panic!("it was not delivered") };
        reasons.join("; ")
    };
    let died = Ended { died: "killed".to_owned(), ..of(State::Failed, "killed") };
    assert_eq!(lost(died), "the agent b was lost from 6s on: its job failed: killed");
    let stopped = Ended { stopped: Some(6 * SECOND), ..of(State::Cancelled, "the agent was stopped") };
    assert_eq!(lost(stopped), "the agent b was lost from 6s on: its job was stopped: the agent was stopped");
    let away = Ended { run_lost: "it does not answer".to_owned(), ..of(State::Cancelled, "") };
    assert_eq!(lost(away), "the agent b was lost from 6s on: it does not answer");
}

#[test]
fn run_that_died_before_start_has_not_started() {
    let cancelled =
        Ended { state: State::Cancelled.into(), run_died: "the agent b: no licence".to_owned(), ..Ended::default() };
    let parts = [vec![begun("a", 0, 2), ended(1, cancelled)]];
    let reason = "the agent b: no licence".to_owned();
    let failed = Ended { state: State::Failed.into(), reason: "no licence".to_owned(), ..Ended::default() };
    let both = [parts[0].clone(), vec![begun("b", 1, 2), ended(1, failed)]];
    assert_eq!(verdict(&both, 2), Verdict::NotStarted(reason.clone()));
    assert_eq!(verdict(&parts, 100), Verdict::NotStarted(reason));
    let stopped = Ended { state: State::Cancelled.into(), run_stopped: true, stopped: Some(0), ..Ended::default() };
    let of = |agent: &str, index| vec![begun(agent, index, 2), ended(1, stopped.clone())];
    let (left, _) = replayed(&[of("a", 0), of("b", 1)], 2);
    assert_eq!((left.outcome.verdict(), left.outcome.finished.health.lost_agents), (Verdict::Stopped, vec![]));
}

#[test]
fn lease_that_ran_out_is_the_death_of_the_run_and_no_fault_of_an_agent() {
    let reason = "the lease of 10s ran out".to_owned();
    let over = Ended {
        state: State::Failed.into(),
        reason: reason.clone(),
        died: reason.clone(),
        lease_over: true,
        ..Ended::default()
    };
    let of = |agent, index| part(agent, (index, 2), 4, Some(over.clone()));
    let (both, _) = replayed(&[of("a", 0), of("b", 1)], 5);
    assert_eq!(both.outcome.verdict(), Verdict::Died(reason.clone()));
    assert_eq!(both.outcome.finished.health.lost_agents, []);
    let held = |agent, index| vec![begun(agent, index, 2), ended(1, over.clone())];
    assert_eq!(verdict(&[held("a", 0), held("b", 1)], 2), Verdict::NotStarted(reason));
}

#[test]
fn times_are_those_of_the_process_that_drove_the_run() {
    let ahead = 100;
    // The clock of the second agent is behind.
    let of = |agent, index, ahead: i64| {
        let moved = |second: u64| second.checked_add_signed(ahead).unwrap();
        let at = START.checked_add_signed(ahead * SECOND as i64).unwrap();
        let started = Event::Started(pb::Started { at, ahead: ahead * SECOND as i64 });
        let mut records = part(agent, (index, 2), 4, None);
        records.insert(1, event(0, started));
        for record in &mut records {
            record.at = moved(record.at / SECOND) * SECOND;
        }
        records
    };
    let (replayed, _) = replayed(&[of("a", 0, 0), of("b", 1, -ahead)], 8);
    let RunOutcome { finished, not_ended, .. } = &replayed.outcome;
    assert_eq!((finished.started_at, replayed.begun_at), (Some(wire::moment(START)), wire::moment(START)));
    let known = not_ended.clone().unwrap();
    for agent in ["a", "b"] {
        assert!(known.contains(&format!("the last record of {agent} is from 4s into the run, 4s ago")), "{known}");
    }
}

#[test]
fn failed_end_of_only_part_is_death_of_run() {
    let mut records = part("a", (0, 1), 4, None);
    let reason = "the agent ended while it ran".to_owned();
    records.push(ended(9, Ended { state: State::Failed.into(), reason: reason.clone(), ..Ended::default() }));
    assert_eq!(verdict(&[records], 15), Verdict::Died(reason));
}

#[test]
fn invalid_records_are_reported() {
    let wrong = |records: Vec<Record>| {
        let records = Box::new(records.into_iter().map(Ok)) as Records<'_>;
        replay([records], wire::moment(START), None, |_| {}).unwrap_err().to_string()
    };
    assert_eq!(wrong(Vec::new()), "it has no stored records");
    assert_eq!(wrong(vec![second(1, 1)]), "its first record is not a `Begun`");
    let broken = event(1, Event::Second(pb::Second { elapsed: SECOND, users: 1, snapshot: None, connections: 0 }));
    assert_eq!(wrong(vec![begun("a", 0, 1), broken]), "invalid record of a: no snapshot of a second");
}
