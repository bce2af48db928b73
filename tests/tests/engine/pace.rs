//! The closed model with a pace: each user starts once in that time.

use std::time::Duration;

use golo::{engine::plan::Asked, report::slow_pace};

use crate::probe::{Act, MILLI, Probe, Run, SECOND, closed, plan, run, stages};

fn paced(users: u64, pace: Duration, duration: Duration) -> Asked {
    Asked { pace: Some(pace), ..closed(users, duration) }
}

#[tokio::test]
async fn each_user_starts_once_a_pace() {
    for (users, pace, workers) in [(1, 100, 1), (7, 100, 3), (50, 250, 2), (3, 500, 8)] {
        let ran = run(Probe::quick(), paced(users, pace * MILLI, 2 * SECOND), workers).await;
        let starts = users * 2000 / u64::from(pace);
        assert_eq!((ran.counts(), ran.invalid()), ((starts, starts, 0, 0), vec![]));
        let iterations = ran.iterations();
        assert_eq!(iterations.len() as u64, users);
        for (user, iterations) in iterations {
            assert!(iterations.into_iter().eq(0..starts / users), "user {user}");
        }
    }
}

#[tokio::test]
async fn phases_spread_over_the_pace_and_no_start_is_early() {
    let ran = run(Probe::quick(), paced(10, SECOND, 2 * SECOND), 2).await;
    for (k, time) in ran.times().into_iter().enumerate() {
        assert!(time >= k as u32 * 100 * MILLI, "start {k} was at {time:?}");
    }
    let plan = plan(paced(10, SECOND, 2 * SECOND));
    for (at, user, _) in ran.started() {
        assert!(at >= ran.start() + plan.phase(user), "user {user} was early");
    }
}

#[tokio::test]
async fn an_overrun_is_caught_up_and_keeps_its_due_time() {
    // The third of 20 takes as long as five paces.
    let probe = Probe::new(|_, iteration| if iteration == 2 { Act::Take(500 * MILLI) } else { Act::End });
    let ran = run(probe, paced(1, 100 * MILLI, 2 * SECOND), 1).await;
    assert_eq!(ran.counts(), (20, 20, 0, 0));
    let triggers = ran.triggers();
    let late = triggers.due - triggers.response.count_at_or_below(95_000_000);
    assert!(late >= 5, "the third, and the four that waited for it: {late}");
    // The four were due 400, 300, 200 and 100 ms before they could start.
    let waited = triggers.response.sum() - triggers.service.sum();
    assert!(waited >= 990_000_000, "{waited}");
}

#[tokio::test]
async fn what_a_user_was_too_busy_for_is_dropped_at_the_end() {
    // Starts at 0, 350 and 700 ms, for what was due at 0, 100 and 200 ms; seven more were due by the end.
    let probe = Probe::new(|_, _| Act::Take(350 * MILLI));
    let ran = run(probe, paced(1, 100 * MILLI, SECOND), 1).await;
    let (due, done, dropped, _) = ran.counts();
    assert_eq!(due, 10);
    assert!(done <= 3 && dropped >= 7, "{done} done, {dropped} dropped");
    assert_eq!(ran.triggers().dropped_busy, dropped);
    assert_eq!(ran.invalid(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_user_was_too_busy_for_is_dropped_where_the_end_cuts_it_off() {
    let asked = Asked { graceful_stop: Some(100 * MILLI), ..paced(2, 100 * MILLI, SECOND) };
    let ran = run(Probe::new(|_, _| Act::Never), asked, 2).await;
    // Each was due ten times: the first is cut off, and the others could not start.
    assert_eq!(ran.counts(), (20, 0, 18, 2));
}

#[tokio::test]
async fn a_paced_load_test_that_blocks_its_thread_is_late_and_invalid() {
    // One that goes on late, one that never does.
    for (block, duration) in [(250, 2), (1500, 1)] {
        let probe = Probe::new(move |_, _| Act::Block(block * MILLI));
        let ran = run(probe, paced(1, 100 * MILLI, duration * SECOND), 1).await;
        assert_eq!(ran.counts().0, 10 * u64::from(duration));
        let reasons = ran.blamed();
        assert!(reasons.len() == 1 && reasons[0].starts_with("starts were late"), "{reasons:?}");
    }
}

#[tokio::test]
async fn nothing_is_due_after_a_stop() {
    let probe = Probe::new(|_, iteration| if iteration == 0 { Act::End } else { Act::Take(2 * SECOND) });
    let mut run = Run::start(probe, paced(1, 20 * MILLI, 60 * SECOND), 1);
    run.until("the second is in flight", |log| log.triggers() == 2).await;
    run.engine.stop();
    let ran = run.finish().await;
    let load_time = ran.finished.load_time;
    let most = load_time.as_nanos().div_ceil((20 * MILLI).as_nanos());
    let (due, ..) = ran.counts();
    assert!(u128::from(due) <= most, "{due} were due in {load_time:?}, {most} at most");
}

#[tokio::test]
async fn a_paced_plan_ends_with_its_iterations() {
    for probe in [Probe::quick(), Probe::new(|_, _| Act::Take(70 * MILLI))] {
        let asked = Asked { duration: None, iterations: Some(43), ..paced(10, 50 * MILLI, SECOND) };
        let ran = run(probe, asked, 2).await;
        assert_eq!((ran.counts(), ran.invalid()), ((43, 43, 0, 0), vec![]));
    }
}

#[tokio::test]
async fn a_slow_target_is_not_golos_doing_where_the_thread_stood_still_once() {
    let act = |user, iteration| if (user, iteration) == (0, 9) { Act::Block(SECOND) } else { Act::Take(350 * MILLI) };
    let ran = run(Probe::new(act), paced(20, 100 * MILLI, 5 * SECOND), 1).await;
    // By then each user is late by more than two seconds, and would be without it.
    assert_eq!(ran.counts().0, 1000);
    let lag = &ran.finished.totals.generator.lag;
    assert!(lag.max().unwrap() < 700_000_000, "{lag:?}");
}

#[tokio::test]
async fn short_blocks_add_up_to_a_late_load_test() {
    let probe = Probe::new(|_, _| {
        std::thread::sleep(15 * MILLI);
        Act::Take(MILLI)
    });
    let ran = run(probe, paced(1, 10 * MILLI, 2 * SECOND), 1).await;
    assert_eq!(ran.counts().0, 200);
    let lag = &ran.finished.totals.generator.lag;
    assert!(lag.max().unwrap() > 300_000_000, "the last is late by the sum of them: {lag:?}");
    assert!(ran.blamed()[0].starts_with("starts were late"));
}

#[tokio::test]
async fn who_leaves_while_the_thread_is_blocked_was_due_until_then() {
    let act = |user, iteration| if (user, iteration) == (0, 7) { Act::Block(SECOND) } else { Act::End };
    let asked = Asked { users: Some(2), pace: Some(100 * MILLI), stages: stages("1s:2,0s:1,1s:1"), ..Asked::default() };
    let ran = run(Probe::new(act), asked, 1).await;
    assert_eq!(ran.counts().0, 20 + 10, "{:?}", ran.triggers());
}

#[tokio::test]
async fn who_is_busy_while_it_is_not_wanted_is_not_due_meanwhile() {
    let act = |user, iteration| if (user, iteration) == (1, 4) { Act::Take(SECOND) } else { Act::End };
    let stages = stages("500ms:2,0s:1,500ms:1,0s:2,1s:2");
    let asked = Asked { users: Some(2), pace: Some(100 * MILLI), stages, ..Asked::default() };
    let ran = run(Probe::new(act), asked, 1).await;
    assert_eq!(ran.counts(), (20 + 15, 35, 0, 0));
}

#[tokio::test]
async fn who_is_wanted_again_while_it_stops_is_due_all_the_same() {
    let stages = stages("500ms:5,0s:0,500ms:0,0s:5,2s:5");
    let asked = Asked { users: Some(5), pace: Some(100 * MILLI), stages, ..Asked::default() };
    let ran = run(Probe::quick().with_users().stop(Act::Take(SECOND)), asked, 1).await;
    let (due, _, dropped, _) = ran.counts();
    assert_eq!((due, dropped), (25 + 100, ran.triggers().dropped_busy));
    assert!(dropped >= 25, "{dropped}");
}

#[tokio::test]
async fn think_time_beyond_the_pace_is_the_load_tests_doing() {
    let probe = Probe::new(|_, _| Act::Think(300 * MILLI, 5 * MILLI));
    let ran = run(probe, paced(4, 100 * MILLI, 2 * SECOND), 2).await;
    let (due, done, dropped, _) = ran.counts();
    assert_eq!((due, ran.invalid()), (80, vec![]));
    let triggers = ran.triggers();
    assert_eq!((triggers.dropped_busy, triggers.dropped_pausing), (dropped, dropped));
    assert!(dropped >= 40, "{dropped}");
    // Nothing of it is charged to the target: neither in what a trigger takes nor in what it waited for.
    assert!(triggers.response.quantile(0.5).unwrap() < 300_000_000, "{:?}", triggers.response);
    let spent = triggers.spent;
    assert!(spent.thinking >= 300 * MILLI * done as u32 && spent.requesting >= 5 * MILLI * done as u32, "{spent:?}");
    assert!(slow_pace(&ran.finished.plan, triggers).unwrap().starts_with("the load test thinks for "));
}

#[tokio::test]
async fn a_target_that_is_too_slow_for_the_pace_is_to_blame_for_what_is_dropped() {
    for act in [|| Act::Take(350 * MILLI), || Act::Think(Duration::ZERO, 350 * MILLI)] {
        let ran = run(Probe::new(move |_, _| act()), paced(2, 100 * MILLI, 2 * SECOND), 1).await;
        let triggers = ran.triggers();
        assert!(triggers.dropped_busy > 0 && triggers.dropped_pausing <= 1, "{triggers:?}");
        assert!(triggers.response.max().unwrap() > 1_000_000_000, "{:?}", triggers.response);
        assert_eq!(slow_pace(&ran.finished.plan, triggers), None);
    }
}

#[tokio::test]
async fn the_part_of_the_think_time_in_what_is_dropped_is_told_apart() {
    // In ten seconds a user would have 50 triggers without its think time, and has 40.
    let ran = run(Probe::new(|_, _| Act::Think(25 * MILLI, 100 * MILLI)), paced(4, 50 * MILLI, 4 * SECOND), 1).await;
    let triggers = ran.triggers();
    let (all, pausing) = (triggers.dropped_busy, triggers.dropped_pausing);
    assert!(pausing > 0 && pausing * 2 < all, "{pausing} of {all}");
}
