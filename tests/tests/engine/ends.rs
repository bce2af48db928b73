//! Ends of runs: dropped starts, triggers that may finish, and triggers that are cut off.

use std::{sync::Arc, time::Duration};

use golo::engine::Finished;
use golo::engine::plan::Asked;
use golo::report::{RateTime, Verdict};
use tokio::sync::Barrier;

use crate::probe::{Act, MILLI, Probe, Run, SECOND, Start, What, closed, rate, run, sinks, stages};

#[tokio::test]
async fn starts_beyond_max_users_are_dropped_and_the_run_is_valid() {
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
async fn finished_trigger_makes_room_for_the_next() {
    let asked = Asked { max_users: Some(3), ..rate("100/s", SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(100 * MILLI)), asked, 2).await;
    let (due, done, dropped, interrupted) = ran.counts();
    assert_eq!((due, interrupted, dropped), (100, 0, ran.triggers().dropped_busy));
    assert!(done > 3 && done <= 33 && ran.most_in_flight() <= 3, "{done} done");
}

#[tokio::test]
async fn triggers_in_flight_at_the_end_may_finish() {
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
async fn triggers_that_end_after_the_load_are_counted_separately() {
    // The plan lasts half a second, and each trigger takes longer than that.
    let ran = run(Probe::new(|_, _| Act::Take(800 * MILLI)), rate("20/s", SECOND / 2), 2).await;
    assert_eq!((ran.counts(), ran.triggers().done_after_load), ((10, 10, 0, 0), 10));
    // One of these triggers ends after the load.
    let act = |_, iteration| Act::Take(if iteration == 3 { SECOND } else { MILLI });
    let ran = run(Probe::new(act), closed(1, SECOND / 2), 1).await;
    assert_eq!(ran.triggers().done_after_load, 1);
    // A stop ends the load.
    let mut run = Run::start(Probe::new(|_, _| Act::Take(300 * MILLI)), closed(4, 60 * SECOND), 2);
    run.until("there is load", |log| log.triggers() == 4).await;
    run.engine.stop();
    let ran = run.finish().await;
    assert_eq!((ran.counts(), ran.triggers().done_after_load), ((4, 4, 0, 0), 4));
}

#[tokio::test]
async fn load_of_a_plan_with_iterations_ends_with_the_last_start() {
    let act = |user, iteration| Act::Take(if (user, iteration) == (0, 0) { SECOND } else { 10 * MILLI });
    let asked = Asked { iterations: Some(20), duration: None, ..closed(2, SECOND) };
    let ran = run(Probe::new(act), asked, 1).await;
    let (load_time, whole_time) = (ran.finished.load_time, ran.finished.whole_time);
    assert_eq!(ran.counts(), (20, 20, 0, 0));
    assert!(whole_time >= SECOND && load_time < whole_time, "{load_time:?} of {whole_time:?}");
    assert!(ran.triggers().done_after_load >= 1, "the last one at least");
}

#[tokio::test]
async fn grace_starts_when_the_plan_ends() {
    // The last start is due after one second, and the plan ends after two.
    let asked = Asked { graceful_stop: Some(SECOND), ..rate("1/s", 2 * SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(1200 * MILLI)), asked, 1).await;
    assert_eq!(ran.counts(), (2, 2, 0, 0), "it was cut off after {:?}", ran.finished.whole_time);
}

#[tokio::test]
async fn triggers_beyond_the_grace_are_cut_off_and_their_users_stopped() {
    // Every second trigger never ends.
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
async fn stop_finishes_triggers_in_flight_and_starts_no_more() {
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
async fn cut_ends_endless_triggers() {
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
async fn stop_during_user_starts_stops_the_started_users() {
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
async fn endless_user_start_drops_its_trigger() {
    let start = |user, _| if user == 1 { Start::Never } else { Start::Ready };
    let asked = Asked { graceful_stop: Some(SECOND), ..rate("10/s", SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(150 * MILLI)).users(start), asked, 1).await;
    assert_eq!(ran.counts(), (10, 9, 1, 0));
    assert_eq!(ran.triggers().dropped_stopped, 1);
}

#[tokio::test]
async fn endless_user_stop_delays_the_end_by_the_grace_only() {
    let probe = Probe::new(|_, _| Act::Take(5 * MILLI)).with_users().stop(Act::Never);
    let asked = Asked { graceful_stop: Some(100 * MILLI), ..closed(600, SECOND / 2) };
    let ran = run(probe, asked, 2).await;
    let (due, done, ..) = ran.counts();
    assert_eq!((due, ran.invalid()), (done, vec![]));
    assert_eq!(ran.count(|what| matches!(what, What::Gone { .. })), 600);
    assert_eq!(ran.finished.totals.generator.stops_cut_off, 600);
}

#[tokio::test]
async fn cut_ends_endless_user_stops() {
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
async fn user_stop_cut_off_during_the_run_is_counted() {
    let probe = Probe::new(|_, _| Act::Take(5 * MILLI)).with_users().stop(Act::Never);
    // Two users leave before the end, and two at the end.
    let asked = Asked { users: Some(4), stages: stages("300ms:4,0s:2,300ms:2"), ..Asked::default() };
    let ran = run(probe, Asked { graceful_stop: Some(100 * MILLI), ..asked }, 1).await;
    assert_eq!(ran.finished.totals.generator.stops_cut_off, 4);
}

#[tokio::test]
async fn user_stop_that_panics_or_ends_is_not_counted_as_cut_off() {
    for stop in [Act::Die, Act::Take(20 * MILLI)] {
        let probe = Probe::new(|_, _| Act::Take(5 * MILLI)).with_users().stop(stop);
        let ran = run(probe, closed(3, SECOND / 4), 1).await;
        assert_eq!(ran.finished.totals.generator.stops_cut_off, 0);
    }
}

#[tokio::test]
async fn worker_blocked_forever_is_lost() {
    // Long enough for the engine to give up on the worker, and no longer than the other tests run.
    let act = |user, _| if user == 1 { Act::Block(12 * SECOND) } else { Act::Take(5 * MILLI) };
    let asked = Asked { graceful_stop: Some(100 * MILLI), ..closed(2, SECOND / 2) };
    let ran = run(Probe::new(act), asked, 2).await;
    let (due, done, dropped, interrupted) = ran.counts();
    assert!(due > 1 && done > 1, "the other worker's count");
    // Everything that the lost worker counted since its last second is lost too.
    assert!(dropped == 0 && interrupted <= 1);
    let Verdict::Invalid(reasons) = ran.verdict() else { panic!("{:?}", ran.finished) };
    assert!(reasons.iter().any(|reason| reason.contains("lost, of 2: it did not answer")), "{reasons:?}");
}

#[tokio::test]
async fn open_triggers_of_a_lost_worker_are_interrupted_in_the_seconds() {
    // The engine has received the start of the second trigger, but not its end.
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
async fn workers_are_not_lost_when_the_engine_was_not_polled() {
    let asked = Asked { graceful_stop: Some(Duration::ZERO), ..closed(8, SECOND / 5) };
    let mut run = Run::start(Probe::new(|_, _| Act::Take(5 * MILLI)).with_users(), asked, 4);
    run.until("it has begun", |log| log.triggers() > 8).await;
    // The engine is not polled for longer than it waits for its workers.
    tokio::time::sleep(4 * SECOND).await;
    let ran = run.finish().await;
    assert_eq!((ran.invalid(), ran.assert_each_is_stopped_once()), (vec![], 8));
}

#[tokio::test]
async fn last_outputs_of_other_workers_survive_a_lost_worker() {
    let sinks = sinks();
    let outside = Arc::clone(&sinks.outside);
    let act = |user, _| if user == 1 { Act::Block(8 * SECOND) } else { Act::Take(5 * MILLI) };
    let asked = Asked { graceful_stop: Some(100 * MILLI), ..closed(2, SECOND / 2) };
    // A request in a user's stop is made after the last second.
    let ran = Run::with(Probe::new(act).with_users().stop(Act::Report(outside)), asked, 2, 0, sinks).finish().await;
    assert_eq!(ran.finished.totals.requests_done(), 1);
    assert_eq!(ran.finished.health.lost.len(), 1);
}

#[tokio::test]
async fn stop_during_a_blocked_thread_counts_all_due_starts() {
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
async fn user_stops_do_not_extend_the_run() {
    // Users that stop at the end, and one that stops before it.
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
async fn iterations_without_a_duration_may_take_any_time() {
    let asked = || Asked { duration: None, iterations: Some(2), graceful_stop: Some(50 * MILLI), ..closed(2, SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(SECOND)), asked(), 2).await;
    assert_eq!(ran.counts(), (2, 2, 0, 0), "it was cut off after {:?}", ran.finished.whole_time);

    let mut run = Run::start(Probe::new(|_, _| Act::Never), asked(), 2);
    run.until("both are in flight", |log| log.triggers() == 2).await;
    run.engine.stop();
    assert_eq!(run.finish().await.counts(), (2, 0, 0, 2), "until somebody stops it");
}

#[tokio::test]
async fn plan_ends_with_its_last_iteration() {
    // The next start would be due in an hour.
    let rare = Asked { duration: None, iterations: Some(1), ..rate("1/h", SECOND) };
    let paced = Asked { duration: None, iterations: Some(1), pace: Some(3600 * SECOND), ..closed(1, SECOND) };
    for asked in [rare, paced] {
        let ran = run(Probe::quick(), asked, 1).await;
        assert_eq!(ran.counts(), (1, 1, 0, 0));
    }
}

#[tokio::test]
async fn user_still_starting_at_a_stop_has_no_trigger() {
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
async fn rate_of_simultaneous_iterations_is_over_the_whole_run() {
    // Measured until the last start only, the rate would be thousands per second.
    let asked = Asked { iterations: Some(4), ..closed(4, 60 * SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(SECOND)), asked, 2).await;
    assert_eq!(ran.counts(), (4, 4, 0, 0));
    let Finished { load_time, whole_time, .. } = ran.finished;
    assert!(whole_time >= SECOND && load_time < whole_time, "{load_time:?} of {whole_time:?}");
    assert_eq!(RateTime::of(&ran.finished), RateTime::all(whole_time));
}
