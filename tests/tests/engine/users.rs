//! The closed model: the planned number of users, each with one trigger after another.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use golo::engine::plan::Asked;
use tokio::sync::Barrier;

use crate::probe::{Act, MILLI, Probe, Run, SECOND, Start, What, closed, plan, rate, run, sinks, stages};

#[tokio::test]
async fn all_users_run_one_trigger_each_at_the_same_time() {
    for (users, workers) in [(1, 4), (7, 2), (100, 3)] {
        let everyone = Arc::new(Barrier::new(users));
        let probe = Probe::new(move |_, iteration| match iteration {
            0 => Act::Meet(Arc::clone(&everyone)),
            _ => Act::Take(5 * MILLI),
        });
        let users = users as u64;
        let ran = run(probe, closed(users, SECOND), workers).await;
        assert_eq!(ran.most_in_flight(), users);
        let (due, done, ..) = ran.counts();
        assert_eq!((due, ran.started().len() as u64, ran.invalid()), (done, done, vec![]));
        assert!(done >= users);
        assert_eq!(ran.finished.most_users, users);
        assert_eq!(ran.finished.options.workers, workers.min(users as usize));
        let iterations = ran.iterations();
        assert_eq!(iterations.keys().copied().collect::<HashSet<_>>(), (0..users).collect());
        for (user, iterations) in iterations {
            assert!(iterations.iter().copied().eq(0..iterations.len() as u64), "user {user}: {iterations:?}");
        }
    }
}

#[tokio::test]
async fn trigger_that_never_waits_does_not_block_other_users() {
    let ran = run(Probe::quick().with_users(), closed(3, SECOND / 2), 1).await;
    let iterations = ran.iterations();
    assert_eq!(iterations.len(), 3, "each has its turn");
    assert_eq!((ran.triggers().dropped(), ran.triggers().interrupted), (0, 0));
    assert_eq!(ran.assert_each_is_stopped_once(), 3);
}

#[tokio::test]
async fn users_start_and_stop_with_the_stages() {
    let asked = Asked { stages: stages("1s:10,0s:2,1s:2,500ms:6,500ms:0"), ..Asked::default() };
    let plan = plan(asked.clone());
    let probe = Probe::new(|_, _| Act::Take(5 * MILLI)).with_users();
    let ran = run(probe, asked, 2).await;
    let (due, done, ..) = ran.counts();
    assert_eq!((due, ran.invalid()), (done, vec![]));
    assert!(ran.most_in_flight() <= 10 && ran.finished.most_users <= 10);

    // No user starts before the plan wants it.
    for event in &ran.events {
        if event.what == What::Start {
            let time = event.at - ran.start();
            let wanted = (0..=1000).map(|part| plan.users_at(time * part / 1000)).max().unwrap();
            assert!(event.user < wanted, "user {} at {time:?}", event.user);
        }
    }
    assert!(ran.assert_each_is_stopped_once() >= 10);
    // Retired users are stopped while the others continue.
    let last = ran.started().last().unwrap().0;
    let retired: HashSet<_> = ran
        .events
        .iter()
        .filter(|event| matches!(event.what, What::Stop { .. }) && event.at < last)
        .map(|event| event.user)
        .collect();
    assert!((2..10).all(|user| retired.contains(&user)), "{retired:?}");
}

#[tokio::test]
async fn user_wanted_again_restarts_with_its_old_number() {
    let asked = Asked { users: Some(4), stages: stages("300ms:4,0s:1,500ms:1,0s:4,500ms:4"), ..Asked::default() };
    let ran = run(Probe::new(|_, _| Act::Take(5 * MILLI)).with_users(), asked, 1).await;
    let mut starts = HashMap::<_, u64>::new();
    for event in ran.events.iter().filter(|event| event.what == What::Start) {
        *starts.entry(event.user).or_default() += 1;
    }
    assert_eq!(starts, [(0, 1), (1, 2), (2, 2), (3, 2)].into());
    ran.assert_each_is_stopped_once();
    assert_eq!(ran.finished.totals.generator.users_started, 7);
}

#[tokio::test]
async fn paced_users_start_and_stop_with_the_stages() {
    let stages = stages("500ms:20,500ms:20,0s:5,1s:5");
    let asked = Asked { pace: Some(100 * MILLI), stages, ..Asked::default() };
    let ran = run(Probe::quick().with_users(), asked, 2).await;
    let (due, done, ..) = ran.counts();
    assert_eq!((due, ran.invalid()), (done, vec![]));
    // 20 users for half a second, and about as many starts again during the ramp and after it: 5 to 10 each, and one
    // more.
    assert!((150..=250).contains(&due), "{due}");
    assert_eq!(ran.assert_each_is_stopped_once(), 20);
}

#[tokio::test]
async fn closed_plan_ends_with_its_iterations() {
    for (users, iterations, workers) in [(10, 1234, 2), (10, 3, 4), (1, 1, 1)] {
        let asked = Asked { users: Some(users), iterations: Some(iterations), ..Asked::default() };
        for probe in [Probe::quick().with_users(), Probe::new(|_, _| Act::Take(MILLI)).with_users()] {
            let ran = run(probe, asked.clone(), workers).await;
            assert_eq!((ran.counts(), ran.invalid()), ((iterations, iterations, 0, 0), vec![]));
            assert_eq!(ran.started().len() as u64, iterations);
            ran.assert_each_is_stopped_once();
        }
    }
}

#[tokio::test]
async fn each_second_reports_the_number_of_users() {
    let mut run = Run::start(Probe::new(|_, _| Act::Take(5 * MILLI)), closed(8, 60 * SECOND), 2);
    run.until("some seconds have passed", |log| log.triggers() > 500).await;
    while run.seconds.len() < 2 {
        let progress = run.engine.next().await.unwrap();
        run.seconds.push(progress);
    }
    run.engine.stop();
    let ran = run.finish().await;
    assert!(ran.seconds.iter().all(|progress| progress.users == 8), "{:?}", ran.seconds);
    assert_eq!((ran.seconds[0].elapsed, ran.seconds[1].elapsed), (SECOND, 2 * SECOND));
    let told: u64 = ran.seconds.iter().map(|progress| progress.second.triggers.done).sum();
    assert!(told <= ran.triggers().done && told > 0);
}

#[tokio::test]
async fn outputs_outside_of_triggers_count_from_the_start() {
    for _ in 0..5 {
        let sinks = sinks();
        let outside = Arc::clone(&sinks.outside);
        let probe = Probe::new(move |_, _| Act::Report(Arc::clone(&outside)));
        let asked = Asked { iterations: Some(20), duration: None, ..closed(10, SECOND) };
        let ran = Run::with(probe, asked, 2, 0, sinks).finish().await;
        assert_eq!((ran.counts(), ran.finished.totals.requests_done()), ((20, 20, 0, 0), 20));
    }
}

#[tokio::test]
async fn run_of_less_than_a_second_reports_its_users() {
    let ran = run(Probe::new(|_, _| Act::Take(5 * MILLI)), closed(5, 300 * MILLI), 2).await;
    assert_eq!((ran.finished.most_users, ran.seconds.len()), (5, 0), "no second was over");
    assert_eq!(ran.finished.rest.triggers.done, ran.triggers().done);
}

#[tokio::test]
async fn retired_user_retries_start_when_wanted_again() {
    let start = |user, nth| if user >= 2 && nth < 4 { Start::Fails("no table is free") } else { Start::Ready };
    let asked = Asked { users: Some(4), stages: stages("500ms:4,0s:2,1s:2,0s:4,1s:4"), ..Asked::default() };
    let ran = run(Probe::new(|_, _| Act::Take(5 * MILLI)).users(start), asked, 1).await;
    assert_eq!(ran.seconds[0].users, 2, "the two who have started");
    assert_eq!(ran.iterations().len(), 4, "the others start when they are wanted again");
    assert_eq!(ran.finished.most_users, 4);
}

#[tokio::test]
async fn slow_user_start_delays_triggers_but_is_not_generator_lag() {
    let starting = 400 * MILLI;
    let ran = run(Probe::quick().users(move |_, _| Start::Takes(starting)), rate("50/s", SECOND), 1).await;
    assert_eq!((ran.counts(), ran.invalid()), ((50, 50, 0, 0), vec![]));
    let totals = &ran.finished.totals;
    let nanos = starting.as_nanos() as u64;
    // Triggers due before the first users were ready each waited for a user of their own.
    let late = totals.start_waits.count();
    assert!((10..=40).contains(&late) && totals.start_waits.min().unwrap() >= nanos, "{:?}", totals.start_waits);
    assert_eq!((totals.user_starts.count(), totals.generator.users_started), (late, late));
    assert!(totals.user_starts.min().unwrap() >= nanos);
    // Response times count from the due time. Service times are short, and golo itself was not late.
    let triggers = ran.triggers();
    assert!(50 - triggers.response.count_at_or_below(nanos - 1) >= late, "{:?}", triggers.response);
    assert!(triggers.service.max().unwrap() < nanos && totals.generator.lag.quantile(0.5).unwrap() < nanos);
    assert_eq!(totals.generator.overdue, 0);
}

#[tokio::test]
async fn start_after_the_end_of_the_plan_is_overdue() {
    let probe = Probe::quick().users(|_, _| Start::Takes(700 * MILLI));
    let ran = run(probe, rate("20/s", SECOND / 2), 1).await;
    assert_eq!(ran.counts(), (10, 10, 0, 0));
    assert_eq!(ran.finished.totals.generator.overdue, 10);
}

#[tokio::test]
async fn user_start_times_of_a_closed_plan_are_recorded_without_waits() {
    let asked = Asked { warm_up: Some(SECOND / 10), ..closed(3, SECOND / 4) };
    let ran = run(Probe::new(|_, _| Act::Take(5 * MILLI)).users(|_, _| Start::Takes(50 * MILLI)), asked, 2).await;
    let totals = &ran.finished.totals;
    assert_eq!((totals.user_starts.count(), totals.start_waits.count()), (3, 0));
    assert!(totals.user_starts.min().unwrap() >= 50_000_000);
    // Without users there are no start times.
    let ran = run(Probe::quick(), rate("50/s", SECOND / 4), 1).await;
    assert!(ran.finished.totals.user_starts.is_empty());
}
