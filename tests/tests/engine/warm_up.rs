//! Warm-up: load before the measured part.

use golo::engine::plan::Asked;

use crate::probe::{Act, MILLI, Probe, Ran, Run, SECOND, closed, rate, run};

/// Asserts that triggers before the measured part were not counted and the others were. Returns the numbers of both.
#[track_caller]
fn warmed_up(ran: &Ran) -> (u64, u64) {
    let started = ran.started();
    let measured = started.iter().filter(|(_, _, is_measured)| *is_measured).count() as u64;
    let (due, done, ..) = ran.counts();
    assert_eq!((due, done), (measured, measured));
    let warm_up = ran.finished.totals.generator.warm_up_triggers;
    assert_eq!(warm_up, started.len() as u64 - measured, "it says how many there were");
    for (at, user, is_measured) in &started {
        assert!(!is_measured || *at >= ran.start(), "user {user} counted before the start");
    }
    assert_eq!(ran.invalid(), Vec::<String>::new());
    (started.len() as u64 - measured, measured)
}

#[tokio::test]
async fn warm_up_of_a_rate_is_not_counted() {
    let asked = Asked { warm_up: Some(SECOND), ..rate("100/s", SECOND) };
    let ran = run(Probe::quick().with_users(), asked, 2).await;
    assert_eq!(warmed_up(&ran), (100, 100));
    ran.assert_each_is_stopped_once();
}

#[tokio::test]
async fn warm_up_of_users_is_not_counted_and_users_continue() {
    let asked = Asked { warm_up: Some(SECOND), ..closed(5, SECOND) };
    let ran = run(Probe::new(|_, _| Act::Take(5 * MILLI)).with_users(), asked, 2).await;
    let (before, measured) = warmed_up(&ran);
    assert!(before >= 5 && measured >= 5);
    assert_eq!(ran.assert_each_is_stopped_once(), 5, "each has started once");
    for (user, iterations) in ran.iterations() {
        assert!(iterations.iter().copied().eq(0..iterations.len() as u64), "user {user}: {iterations:?}");
    }
}

#[tokio::test]
async fn warm_up_of_paced_users_is_not_counted() {
    let pace = Some(100 * MILLI);
    let asked = Asked { warm_up: Some(SECOND), pace, ..closed(5, SECOND) };
    let ran = run(Probe::quick().with_users(), asked, 2).await;
    assert_eq!(warmed_up(&ran), (50, 50));
    assert_eq!(ran.assert_each_is_stopped_once(), 5);
}

#[tokio::test]
async fn warm_up_trigger_that_ends_later_is_not_counted() {
    let act = |_, iteration| if iteration == 0 { Act::Take(SECOND) } else { Act::Take(5 * MILLI) };
    let asked = Asked { warm_up: Some(SECOND / 2), ..closed(4, SECOND) };
    let ran = run(Probe::new(act), asked, 2).await;
    assert_eq!(warmed_up(&ran).0, 4);
    let longest = ran.triggers().service.max().unwrap();
    assert!(ran.triggers().service.count() > 4 && longest > 0);
}

#[tokio::test]
async fn interrupted_warm_up_triggers_are_not_counted() {
    let asked = Asked { warm_up: Some(SECOND / 2), graceful_stop: Some(100 * MILLI), ..closed(4, SECOND / 2) };
    let ran = run(Probe::new(|_, _| Act::Never).with_users(), asked, 2).await;
    assert_eq!((ran.counts(), ran.started().len()), ((0, 0, 0, 0), 4));
    assert_eq!(ran.finished.totals.generator.warm_up_triggers, 4, "they are no less of the warm-up for that");
    assert_eq!(ran.assert_each_is_stopped_once(), 4);
}

#[tokio::test]
async fn iterations_exclude_the_warm_up() {
    let warm_up = Some(SECOND / 2);
    let of_users = Asked { duration: None, iterations: Some(50), warm_up, ..closed(5, SECOND) };
    let of_a_rate = Asked { duration: None, iterations: Some(50), warm_up, ..rate("100/s", SECOND) };
    for asked in [of_users, of_a_rate] {
        let ran = run(Probe::new(|_, _| Act::Take(5 * MILLI)), asked, 2).await;
        let (before, measured) = warmed_up(&ran);
        assert_eq!(measured, 50);
        assert!(before >= 5, "{before}");
    }
}

#[tokio::test]
async fn stop_during_the_warm_up_ends_the_run() {
    for asked in [closed(5, SECOND), rate("100/s", SECOND)] {
        let asked = Asked { warm_up: Some(60 * SECOND), ..asked };
        let mut run = Run::start(Probe::new(|_, _| Act::Take(5 * MILLI)).with_users(), asked, 2);
        run.until("there is load", |log| log.triggers() >= 20).await;
        run.engine.stop();
        let ran = run.finish().await;
        assert_eq!((ran.counts(), ran.finished.load_time.is_zero()), ((0, 0, 0, 0), true));
        ran.assert_each_is_stopped_once();
    }
}

#[tokio::test]
async fn starts_missed_because_of_a_warm_up_trigger_are_dropped() {
    let pace = Some(100 * MILLI);
    let asked = Asked { warm_up: Some(SECOND / 2), graceful_stop: Some(100 * MILLI), pace, ..closed(2, SECOND) };
    let ran = run(Probe::new(|_, _| Act::Never), asked, 1).await;
    // Each user was due ten times in the measured part.
    assert_eq!((ran.counts(), ran.triggers().dropped_busy), ((20, 0, 20, 0), 20));
}

#[tokio::test]
async fn busy_share_excludes_the_warm_up() {
    let act = |_, iteration| if iteration == 0 { Act::Block(900 * MILLI) } else { Act::Take(200 * MILLI) };
    let asked = Asked { warm_up: Some(SECOND), ..closed(1, SECOND) };
    let ran = run(Probe::new(act), asked, 1).await;
    let generator = &ran.finished.totals.generator;
    assert!(generator.time >= SECOND && generator.busy_share() < 0.5, "{generator:?}");
}
