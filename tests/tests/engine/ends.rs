//! How runs end: what is refused, what may finish, and what is cut off.

use std::{sync::Arc, time::Duration};

use golo::{
    engine::{Finished, plan::Asked},
    report::{Ending, RateTime, Verdict},
};
use tokio::sync::Barrier;

use crate::probe::{Act, MILLI, Probe, Run, SECOND, Start, What, closed, rate, run, sinks, stages};

#[tokio::test]
async fn what_would_be_too_many_in_flight_is_dropped_and_that_is_valid() {
    for workers in [1, 3] {
        let asked = Asked { max_users: Some(5), graceful_stop: Some(200 * MILLI), ..rate("100/s", SECOND) };
        let ran = run(Probe::new(|_, _| Act::Never).with_users(), asked, workers).await;
        assert_eq!((ran.counts(), ran.invalid()), ((100, 0, 95, 5), vec![]));
        assert_eq!((ran.triggers().dropped_busy, ran.most_in_flight()), (95, 5));
        assert_eq!(ran.finished.totals.generator.lag.count(), 5, "what was refused is not late");
        assert_eq!(ran.assert_each_is_stopped_once(), 5);
    }
}

#[tokio::test]
async fn who_ends_makes_room_for_the_next() {
    let asked = Asked { max_users: Some(3), ..rate("100/s", SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(100 * MILLI)), asked, 2).await;
    let (due, done, dropped, interrupted) = ran.counts();
    assert_eq!((due, interrupted, dropped), (100, 0, ran.triggers().dropped_busy));
    assert!(done > 3 && done <= 33 && ran.most_in_flight() <= 3, "{done} done");
}

#[tokio::test]
async fn what_is_in_flight_at_the_end_may_finish() {
    let take = || Probe::new(|_, _| Act::Take(800 * MILLI)).with_users();
    let of_users = run(take(), closed(6, SECOND / 2), 2).await;
    assert_eq!(of_users.counts(), (6, 6, 0, 0));
    let of_a_rate = run(take(), rate("20/s", SECOND / 2), 2).await;
    assert_eq!(of_a_rate.counts(), (10, 10, 0, 0));
    for ran in [of_users, of_a_rate] {
        assert_eq!(ran.invalid(), Vec::<String>::new());
        assert!(ran.finished.load_time <= SECOND / 2 && ran.finished.whole_time >= 800 * MILLI);
        ran.assert_each_is_stopped_once();
    }
}

#[tokio::test]
async fn what_ends_after_the_load_is_counted_as_such() {
    // The plan's time is over after half a second, and each trigger takes longer.
    let ran = run(Probe::new(|_, _| Act::Take(800 * MILLI)), rate("20/s", SECOND / 2), 2).await;
    assert_eq!((ran.counts(), ran.triggers().done_after_load), ((10, 10, 0, 0), 10));
    // One of them takes longer than the load.
    let act = |_, iteration| Act::Take(if iteration == 3 { SECOND } else { MILLI });
    let ran = run(Probe::new(act), closed(1, SECOND / 2), 1).await;
    assert_eq!(ran.triggers().done_after_load, 1);
    // The load is over when the run is stopped.
    let mut run = Run::start(Probe::new(|_, _| Act::Take(300 * MILLI)), closed(4, 60 * SECOND), 2);
    run.until("there is load", |log| log.triggers() == 4).await;
    run.engine.stop();
    let ran = run.finish().await;
    assert_eq!((ran.counts(), ran.triggers().done_after_load), ((4, 4, 0, 0), 4));
}

#[tokio::test]
async fn the_load_of_a_plan_of_iterations_ends_with_the_last_start() {
    let act = |user, iteration| Act::Take(if (user, iteration) == (0, 0) { SECOND } else { 10 * MILLI });
    let asked = Asked { iterations: Some(20), duration: None, ..closed(2, SECOND) };
    let ran = run(Probe::new(act), asked, 1).await;
    let (load_time, whole_time) = (ran.finished.load_time, ran.finished.whole_time);
    assert_eq!(ran.counts(), (20, 20, 0, 0));
    assert!(whole_time >= SECOND && load_time < whole_time, "{load_time:?} of {whole_time:?}");
    assert!(ran.triggers().done_after_load >= 1, "the last one at least");
}

#[tokio::test]
async fn the_grace_begins_when_the_plan_ends() {
    // The last start is due after one second, and the plan is over after two.
    let asked = Asked { graceful_stop: Some(SECOND), ..rate("1/s", 2 * SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(1200 * MILLI)), asked, 1).await;
    assert_eq!(ran.counts(), (2, 2, 0, 0), "it was cut off after {:?}", ran.finished.whole_time);
}

#[tokio::test]
async fn what_does_not_finish_within_the_grace_is_cut_off_and_its_users_are_stopped() {
    // One in two never ends.
    let act = |user, _| if user % 2 == 0 { Act::Never } else { Act::Take(5 * MILLI) };
    let asked = Asked { graceful_stop: Some(500 * MILLI), ..closed(6, SECOND / 2) };
    let ran = run(Probe::new(act).with_users(), asked, 2).await;
    let (due, done, dropped, interrupted) = ran.counts();
    assert_eq!((due - done, dropped, interrupted), (3, 0, 3));
    assert_eq!(ran.count(|what| *what == What::End), due, "the futures of all have been dropped");
    assert_eq!(ran.assert_each_is_stopped_once(), 6);
    assert_eq!(ran.invalid(), Vec::<String>::new());
}

#[tokio::test]
async fn a_stop_lets_what_is_in_flight_finish_and_starts_nothing_more() {
    for asked in [closed(8, 60 * SECOND), rate("100/s", 60 * SECOND)] {
        let mut run = Run::start(Probe::new(|_, _| Act::Take(300 * MILLI)).with_users(), asked, 2);
        run.until("there is load", |log| log.triggers() >= 20).await;
        run.engine.stop();
        let ran = run.finish().await;
        let (due, done, ..) = ran.counts();
        assert_eq!(due, done);
        assert!(ran.finished.load_time < 60 * SECOND);
        ran.assert_each_is_stopped_once();
        assert_eq!(ran.stopped(), Verdict::Stopped);
    }
}

#[tokio::test]
async fn a_cut_ends_what_would_never_end() {
    let everyone = Arc::new(Barrier::new(8));
    let probe = Probe::new(move |_, iteration| match iteration {
        0 => Act::Meet(Arc::clone(&everyone)),
        _ => Act::Never,
    });
    let mut run = Run::start(probe.with_users(), closed(8, 60 * SECOND), 2);
    run.until("all are in flight for ever", |log| log.triggers() == 16).await;
    run.engine.stop();
    run.engine.cut();
    let ran = run.finish().await;
    assert_eq!(ran.counts(), (16, 8, 0, 8));
    assert_eq!(ran.count(|what| *what == What::End), 16);
    assert_eq!(ran.assert_each_is_stopped_once(), 8);
}

#[tokio::test]
async fn a_stop_while_users_start_ends_the_run_and_stops_those_who_have() {
    let start = |user, _| if user % 2 == 0 { Start::Ready } else { Start::Never };
    let mut run = Run::start(Probe::quick().users(start), closed(6, 60 * SECOND), 2);
    run.until("all begin to start", |log| log.count(|what| *what == What::Start) == 6).await;
    run.engine.stop();
    let ran = run.finish().await;
    assert_eq!((ran.counts(), ran.started().len()), ((0, 0, 0, 0), 0));
    assert_eq!(ran.count(|what| matches!(what, What::Stop { .. })), 3);
    assert_eq!(ran.finished.not_started, None);
    assert_eq!(ran.stopped(), Verdict::Stopped);
}

#[tokio::test]
async fn a_start_in_the_middle_that_never_ends_is_no_trigger_in_flight() {
    let start = |user, _| if user == 1 { Start::Never } else { Start::Ready };
    let asked = Asked { graceful_stop: Some(SECOND), ..rate("10/s", SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(150 * MILLI)).users(start), asked, 1).await;
    assert_eq!(ran.counts(), (10, 9, 1, 0));
    assert_eq!(ran.triggers().dropped_stopped, 1);
}

#[tokio::test]
async fn a_stop_of_a_user_that_never_ends_keeps_the_run_for_the_grace_alone() {
    let probe = Probe::new(|_, _| Act::Take(5 * MILLI)).with_users().stop(Act::Never);
    let asked = Asked { graceful_stop: Some(100 * MILLI), ..closed(600, SECOND / 2) };
    let ran = run(probe, asked, 2).await;
    let (due, done, ..) = ran.counts();
    assert_eq!((due, ran.invalid()), (done, vec![]));
    assert_eq!(ran.count(|what| matches!(what, What::Gone { .. })), 600);
    assert_eq!(ran.finished.totals.generator.stops_cut_off, 600);
}

#[tokio::test]
async fn a_cut_ends_stops_that_would_never_end() {
    let probe = Probe::new(|_, _| Act::Take(5 * MILLI)).with_users().stop(Act::Never);
    let mut run = Run::start(probe, closed(4, 60 * SECOND), 2);
    run.until("there is load", |log| log.triggers() >= 20).await;
    run.engine.stop();
    run.until("all are being stopped", |log| log.count(|what| matches!(what, What::Stop { .. })) == 4).await;
    run.engine.cut();
    let ran = run.finish().await;
    let (due, done, ..) = ran.counts();
    assert_eq!((due, ran.invalid()), (done, vec![]));
    assert_eq!(ran.count(|what| matches!(what, What::Gone { .. })), 4);
    assert_eq!(ran.finished.totals.generator.stops_cut_off, 4);
}

#[tokio::test]
async fn a_stop_that_is_cut_off_while_the_run_goes_on_is_counted() {
    let probe = Probe::new(|_, _| Act::Take(5 * MILLI)).with_users().stop(Act::Never);
    // Two leave before the end, and two at the end.
    let asked = Asked { users: Some(4), stages: stages("300ms:4,0s:2,300ms:2"), ..Asked::default() };
    let ran = run(probe, Asked { graceful_stop: Some(100 * MILLI), ..asked }, 1).await;
    assert_eq!(ran.finished.totals.generator.stops_cut_off, 4);
}

#[tokio::test]
async fn a_stop_that_panics_or_ends_is_not_cut_off() {
    for stop in [Act::Die, Act::Take(20 * MILLI)] {
        let probe = Probe::new(|_, _| Act::Take(5 * MILLI)).with_users().stop(stop);
        let ran = run(probe, closed(3, SECOND / 4), 1).await;
        assert_eq!(ran.finished.totals.generator.stops_cut_off, 0);
    }
}

#[tokio::test]
async fn a_thread_that_is_blocked_for_ever_is_a_worker_lost() {
    // Long enough to be given up, and no longer than the other tests run.
    let act = |user, _| if user == 1 { Act::Block(12 * SECOND) } else { Act::Take(5 * MILLI) };
    let asked = Asked { graceful_stop: Some(100 * MILLI), ..closed(2, SECOND / 2) };
    let ran = run(Probe::new(act), asked, 2).await;
    let (due, done, dropped, interrupted) = ran.counts();
    assert!(due > 1 && done > 1, "the other worker's count");
    // What the lost worker has counted since its last second is lost with it.
    assert!(dropped == 0 && interrupted <= 1);
    let Verdict::Invalid(reasons) = Verdict::of(&ran.finished, &Ending::default()) else {
        panic!("{:?}", ran.finished)
    };
    assert!(reasons.iter().any(|reason| reason.contains("lost, of 2: it did not answer")), "{reasons:?}");
}

#[tokio::test]
async fn what_a_lost_worker_never_told_the_end_of_is_interrupted_in_the_seconds_too() {
    // It is told that the first trigger has started, and not that it has ended.
    let act = |user, iteration| match (user, iteration) {
        (1, 0) => Act::Take(1300 * MILLI),
        (1, _) => Act::Block(10 * SECOND),
        _ => Act::Take(5 * MILLI),
    };
    let asked = Asked { graceful_stop: Some(100 * MILLI), ..closed(2, 3 * SECOND / 2) };
    let ran = run(Probe::new(act), asked, 2).await;
    assert_eq!((ran.finished.health.lost.len(), ran.counts().3), (1, 1));
    assert_eq!(ran.finished.rest.triggers.interrupted, 1);
}

#[tokio::test]
async fn workers_are_not_lost_where_the_engine_itself_stood_still() {
    let asked = Asked { graceful_stop: Some(Duration::ZERO), ..closed(8, SECOND / 5) };
    let mut run = Run::start(Probe::new(|_, _| Act::Take(5 * MILLI)).with_users(), asked, 4);
    run.until("it has begun", |log| log.triggers() > 8).await;
    // Nobody asks the engine for longer than it has patience with its workers.
    tokio::time::sleep(4 * SECOND).await;
    let ran = run.finish().await;
    assert_eq!((ran.invalid(), ran.assert_each_is_stopped_once()), (vec![], 8));
}

#[tokio::test]
async fn what_the_other_workers_measured_last_is_not_lost_with_one() {
    let sinks = sinks();
    let outside = Arc::clone(&sinks.outside);
    let act = |user, _| if user == 1 { Act::Block(8 * SECOND) } else { Act::Take(5 * MILLI) };
    let asked = Asked { graceful_stop: Some(100 * MILLI), ..closed(2, SECOND / 2) };
    // A request from a user's stop comes after the last second.
    let ran = Run::with(Probe::new(act).with_users().stop(Act::Report(outside)), asked, 2, 0, sinks).finish().await;
    assert_eq!(ran.finished.totals.requests_done(), 1);
    assert_eq!(ran.finished.health.lost.len(), 1);
}

#[tokio::test]
async fn a_stop_while_the_thread_is_blocked_forgets_nothing_that_was_due() {
    let paced = Asked { pace: Some(SECOND), ..closed(10, 60 * SECOND) };
    for asked in [paced, rate("10/s", 60 * SECOND)] {
        let act = |user, iteration| if (user, iteration) == (0, 0) { Act::Block(SECOND) } else { Act::End };
        let mut run = Run::start(Probe::new(act), asked, 1);
        run.until("it blocks", |log| log.triggers() == 1).await;
        tokio::time::sleep(SECOND / 2).await;
        run.engine.stop();
        let ran = run.finish().await;
        let planned = ran.finished.load_time.as_nanos().div_ceil((100 * MILLI).as_nanos());
        assert_eq!(u128::from(ran.counts().0), planned, "{:?}", ran.triggers());
        assert!(ran.triggers().dropped_stopped > 0);
        let lag = &ran.finished.totals.generator.lag;
        assert!(lag.max().unwrap() >= 100_000_000, "golo was late for them: {lag:?}");
    }
}

#[tokio::test]
async fn the_time_users_take_to_stop_is_none_of_the_load() {
    // Of all users at the end, and of some before it.
    let leaving = Asked { users: Some(2), stages: stages("300ms:2,0s:1,200ms:1"), ..Asked::default() };
    for asked in [closed(2, SECOND / 2), leaving] {
        let asked = Asked { graceful_stop: Some(4 * SECOND), ..asked };
        let probe = Probe::new(|_, _| Act::Take(5 * MILLI)).with_users().stop(Act::Take(3 * SECOND));
        let ran = run(probe, asked, 2).await;
        assert_eq!(ran.assert_each_is_stopped_once(), 2);
        assert!(ran.finished.whole_time < 2 * SECOND, "{:?}", ran.finished.whole_time);
    }
}

#[tokio::test]
async fn iterations_without_a_duration_take_as_long_as_they_do() {
    let asked = || Asked { duration: None, iterations: Some(2), graceful_stop: Some(50 * MILLI), ..closed(2, SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(SECOND)), asked(), 2).await;
    assert_eq!(ran.counts(), (2, 2, 0, 0), "it was cut off after {:?}", ran.finished.whole_time);

    let mut run = Run::start(Probe::new(|_, _| Act::Never), asked(), 2);
    run.until("both are in flight", |log| log.triggers() == 2).await;
    run.engine.stop();
    assert_eq!(run.finish().await.counts(), (2, 0, 0, 2), "until somebody stops it");
}

#[tokio::test]
async fn a_plan_is_over_with_the_last_of_its_iterations() {
    // The next start would come in an hour.
    let rare = Asked { duration: None, iterations: Some(1), ..rate("1/h", SECOND) };
    let paced = Asked { duration: None, iterations: Some(1), pace: Some(3600 * SECOND), ..closed(1, SECOND) };
    for asked in [rare, paced] {
        let ran = run(Probe::quick(), asked, 1).await;
        assert_eq!(ran.counts(), (1, 1, 0, 0));
    }
}

#[tokio::test]
async fn who_is_still_starting_at_a_stop_has_no_trigger_after_it() {
    let paced = Asked { pace: Some(SECOND), stages: stages("10ms:3,60s:3"), ..Asked::default() };
    for asked in [paced, rate("3/s", 60 * SECOND)] {
        let probe = Probe::quick().users(|_, _| Start::Takes(SECOND));
        let mut run = Run::start(probe, asked, 1);
        run.until("all are starting", |log| log.count(|what| *what == What::Start) == 3).await;
        run.engine.stop();
        let ran = run.finish().await;
        let (due, done, dropped, _) = ran.counts();
        assert_eq!((due, ran.started().len() as u64), (done + dropped, done));
        assert!(done < 3 && ran.triggers().dropped_stopped >= 2, "{:?}", ran.triggers());
        assert_eq!(ran.assert_each_is_stopped_once(), 3);
    }
}

#[tokio::test]
async fn iterations_that_start_all_at_once_have_the_rate_of_the_whole_run() {
    // A rate over the time until the last start would be one of thousands a second.
    let asked = Asked { iterations: Some(4), ..closed(4, 60 * SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(SECOND)), asked, 2).await;
    assert_eq!(ran.counts(), (4, 4, 0, 0));
    let Finished { load_time, whole_time, .. } = ran.finished;
    assert!(whole_time >= SECOND && load_time < whole_time, "{load_time:?} of {whole_time:?}");
    assert_eq!(RateTime::of(&ran.finished), RateTime::all(whole_time));
}
