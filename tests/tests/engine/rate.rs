//! The open model: starts happen as planned, independent of the load test.

use std::time::Duration;

use golo::engine::arrivals::Starts;
use golo::engine::plan::{Arrivals, Asked, Model};
use golo::engine::share::Share;

use crate::probe::{Act, MILLI, Probe, Ran, SECOND, plan, rate, run, run_seeded, stages};

/// Asserts that start `k` was not before `due(k)`, so that there were never more starts than planned.
#[track_caller]
fn assert_none_is_early(ran: &Ran, due: impl Fn(usize) -> Duration) {
    for (k, time) in ran.times().into_iter().enumerate() {
        assert!(time >= due(k), "start {k} was at {time:?}, and due at {:?}", due(k));
    }
}

#[tokio::test]
async fn every_start_of_a_rate_happens_and_none_is_early() {
    for (text, per_second) in [("100/s", 100), ("1000/s", 1000), ("5000/s", 5000)] {
        let asked = rate(text, 2 * SECOND);
        let planned = plan(asked.clone()).planned_starts();
        assert_eq!(planned, Some(2 * per_second));
        let ran = run(Probe::quick(), asked, 2).await;
        assert_eq!((ran.counts(), ran.invalid()), ((2 * per_second, 2 * per_second, 0, 0), vec![]));
        assert_eq!(ran.triggers().failed, 0);
        assert_none_is_early(&ran, |k| Duration::from_nanos(k as u64 * 1_000_000_000 / per_second));
    }
}

#[tokio::test]
async fn every_start_of_a_ramp_happens_and_none_is_early() {
    let asked = Asked { stages: stages("2s:1000/s,1s:1000/s,0s:0/s,500ms:200/s"), ..Asked::default() };
    assert_eq!(plan(asked.clone()).planned_starts(), Some(1000 + 1000 + 50));
    let ran = run(Probe::quick(), asked, 3).await;
    assert_eq!((ran.counts(), ran.invalid()), ((2050, 2050, 0, 0), vec![]));
    assert_none_is_early(&ran, |k| {
        // The area under the first ramp is 250 t², then follows 1000 t, then 200 t².
        let seconds = match k as f64 {
            k if k < 1000.0 => (k / 250.0).sqrt(),
            k if k < 2000.0 => 2.0 + (k - 1000.0) / 1000.0,
            k => 3.0 + ((k - 2000.0) / 200.0).sqrt(),
        };
        Duration::from_secs_f64(seconds).saturating_sub(Duration::from_micros(1))
    });
}

#[tokio::test]
async fn random_arrivals_repeat_for_the_same_seed_and_workers() {
    let asked = Asked { arrivals: Some(Arrivals::Poisson), ..rate("500/s", SECOND) };
    let plan = plan(asked.clone());
    let Model::Open { rate, .. } = plan.loads()[0].model() else { panic!("a rate is open") };
    let expected: Vec<u64> = [7, 7, 8, 9]
        .map(|seed| {
            let shares = Share::WHOLE.split(2);
            let starts = |share| Starts::new(rate, plan.duration(), None, Arrivals::Poisson, share, seed).count();
            shares.map(starts).sum::<usize>() as u64
        })
        .into();
    let mut due = Vec::new();
    for seed in [7, 7, 8, 9] {
        let ran = run_seeded(Probe::quick(), asked.clone(), 2, seed).await;
        assert_eq!(ran.counts(), (ran.triggers().due, ran.triggers().due, 0, 0));
        due.push(ran.triggers().due);
    }
    assert_eq!(due, expected);
    assert!(due.iter().any(|&number| number != due[0]), "{due:?}");
}

#[tokio::test]
async fn open_plan_ends_with_its_iterations() {
    let constant = Asked { duration: None, iterations: Some(97), ..rate("500/s", SECOND) };
    let poisson = Asked { arrivals: Some(Arrivals::Poisson), ..constant.clone() };
    let slow = || Probe::new(|_, _| Act::Take(50 * MILLI));
    for (asked, probe) in [(constant.clone(), Probe::quick()), (poisson, Probe::quick()), (constant, slow())] {
        let ran = run(probe, asked, 2).await;
        assert_eq!((ran.counts(), ran.invalid()), ((97, 97, 0, 0), vec![]));
        assert_eq!(ran.started().len(), 97);
    }
}

#[tokio::test]
async fn open_plan_ends_with_iterations_or_duration_whichever_is_first() {
    let few = run(Probe::quick(), Asked { iterations: Some(20), ..rate("100/s", 10 * SECOND) }, 2).await;
    assert_eq!(few.counts(), (20, 20, 0, 0));
    let many = run(Probe::quick(), Asked { iterations: Some(1000), ..rate("100/s", SECOND) }, 2).await;
    assert_eq!(many.counts(), (100, 100, 0, 0));
}

#[tokio::test]
async fn fewer_starts_than_workers_all_happen() {
    let ran = run(Probe::quick(), rate("3/s", SECOND), 8).await;
    assert_eq!(ran.counts(), (3, 3, 0, 0));
    assert_eq!(ran.finished.options.workers, 8);
    let one_at_a_time = run(Probe::quick(), Asked { max_users: Some(1), ..rate("10/s", SECOND) }, 8).await;
    assert_eq!(one_at_a_time.triggers().due, 10);
    assert_eq!(one_at_a_time.finished.options.workers, 1, "never more workers than users");
}

#[tokio::test]
async fn rate_lasts_for_the_planned_duration() {
    // Two starts in two seconds are one per second, even if the last start is earlier.
    let ran = run(Probe::quick(), rate("1/s", 2 * SECOND), 1).await;
    assert_eq!(ran.counts(), (2, 2, 0, 0));
    assert_eq!(ran.finished.load_time, 2 * SECOND);
    assert!(ran.finished.whole_time >= 2 * SECOND);
}

#[tokio::test]
async fn users_of_an_open_plan_count_iterations_from_0() {
    let probe = Probe::new(|_, _| Act::Take(20 * MILLI)).with_users();
    let ran = run(probe, rate("200/s", SECOND), 2).await;
    assert_eq!(ran.counts(), (200, 200, 0, 0));
    for (user, iterations) in ran.iterations() {
        assert!(iterations.iter().copied().eq(0..iterations.len() as u64), "user {user}: {iterations:?}");
    }
    assert_eq!(ran.assert_each_is_stopped_once(), ran.iterations().len() as u64);
}

#[tokio::test]
async fn iterations_of_a_rate_count_starts_that_are_due() {
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let asked =
            Asked { arrivals: Some(arrivals), max_users: Some(1), iterations: Some(20), ..rate("200/s", SECOND) };
        let asked = Asked { duration: None, ..asked };
        let ran = run(Probe::new(|_, _| Act::Take(SECOND)), asked, 1).await;
        assert_eq!(ran.counts(), (20, 1, 19, 0));
    }
}

#[tokio::test]
async fn random_arrivals_of_a_blocked_worker_are_made_by_the_others() {
    // The first user of the second worker blocks it for longer than the other worker needs for all starts.
    let act = |user, iteration| if (user, iteration) == (1, 0) { Act::Block(SECOND) } else { Act::End };
    let asked = Asked { arrivals: Some(Arrivals::Poisson), iterations: Some(50), ..rate("200/s", SECOND) };
    let ran = run(Probe::new(act), Asked { duration: None, ..asked }, 2).await;
    assert_eq!(ran.counts(), (50, 50, 0, 0));
}

#[tokio::test]
async fn excessive_rate_still_runs_triggers_and_ends_in_time() {
    let asked = Asked { max_users: Some(100), ..rate("5000000/s", SECOND / 2) };
    let ran = run(Probe::quick(), asked, 1).await;
    let (due, done, ..) = ran.counts();
    assert_eq!(due, 2_500_000);
    assert!(done > 2000, "{done} done");
    assert!(!ran.blamed().is_empty());
    // Half a second of load, one second to catch up, and the time to count the rest.
    assert!(ran.finished.whole_time < 8 * SECOND, "{:?}", ran.finished.whole_time);
}
