//! The closed model with a pace: each user starts one trigger per pace.

use std::time::Duration;

use golo::{engine::plan::Asked, report::slow_pace};

use crate::probe::{Act, MILLI, Probe, Run, SECOND, closed, plan, run, stages};

fn paced(users: u64, pace: Duration, duration: Duration) -> Asked {
    Asked { pace: Some(pace), ..closed(users, duration) }
}

#[tokio::test]
async fn each_user_starts_once_per_pace() {
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
async fn phases_are_spread_over_the_pace_and_no_start_is_early() {
    let ran = run(Probe::quick(), paced(10, SECOND, 2 * SECOND), 2).await;
    for (k, time) in ran.times().into_iter().enumerate() {
        assert!(time >= k as u32 * 100 * MILLI, "start {k} was at {time:?}");
    }
    let plan = plan(paced(10, SECOND, 2 * SECOND));
    for (at, user, _) in ran.started() {
        assert!(at >= ran.start() + plan.loads()[0].phase(user), "user {user} was early");
    }
}

#[tokio::test]
async fn late_starts_are_caught_up_with_their_original_due_times() {
    // The third of 20 triggers takes five paces.
    let probe = Probe::new(|_, iteration| if iteration == 2 { Act::Take(500 * MILLI) } else { Act::End });
    let ran = run(probe, paced(1, 100 * MILLI, 2 * SECOND), 1).await;
    assert_eq!(ran.counts(), (20, 20, 0, 0));
    let triggers = ran.triggers();
    let late = triggers.due - triggers.response.count_at_or_below(95_000_000);
    assert!(late >= 5, "the third, and the four that waited for it: {late}");
    // Four starts were due 400, 300, 200 and 100 ms before they could happen.
    let waited = triggers.response.sum() - triggers.service.sum();
    assert!(waited >= 990_000_000, "{waited}");
}

#[tokio::test]
async fn starts_missed_by_a_busy_user_are_dropped_at_the_end() {
    // Starts at 0, 350 and 700 ms, which were due at 0, 100 and 200 ms. Seven more were due before the end.
    let probe = Probe::new(|_, _| Act::Take(350 * MILLI));
    let ran = run(probe, paced(1, 100 * MILLI, SECOND), 1).await;
    let (due, done, dropped, _) = ran.counts();
    assert_eq!(due, 10);
    assert!(done <= 3 && dropped >= 7, "{done} done, {dropped} dropped");
    assert_eq!(ran.triggers().dropped_busy, dropped);
    assert_eq!(ran.invalid(), Vec::<String>::new());
}

#[tokio::test]
async fn starts_missed_by_an_endless_trigger_are_dropped() {
    let asked = Asked { graceful_stop: Some(100 * MILLI), ..paced(2, 100 * MILLI, SECOND) };
    let ran = run(Probe::new(|_, _| Act::Never), asked, 2).await;
    // Each user was due ten times: the first trigger is cut off, and the others could not start.
    assert_eq!(ran.counts(), (20, 0, 18, 2));
}

#[tokio::test]
async fn blocked_thread_makes_paced_starts_late_and_the_run_invalid() {
    // A user that continues late, and one that never continues.
    for (block, duration) in [(250, 2), (1500, 1)] {
        let probe = Probe::new(move |_, _| Act::Block(block * MILLI));
        let ran = run(probe, paced(1, 100 * MILLI, duration * SECOND), 1).await;
        assert_eq!(ran.counts().0, 10 * u64::from(duration));
        let reasons = ran.blamed();
        assert!(reasons.len() == 1 && reasons[0].starts_with("starts were late"), "{reasons:?}");
    }
}

#[tokio::test]
async fn no_start_is_due_after_a_stop() {
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
async fn paced_plan_ends_with_its_iterations() {
    for probe in [Probe::quick(), Probe::new(|_, _| Act::Take(70 * MILLI))] {
        let asked = Asked { duration: None, iterations: Some(43), ..paced(10, 50 * MILLI, SECOND) };
        let ran = run(probe, asked, 2).await;
        assert_eq!((ran.counts(), ran.invalid()), ((43, 43, 0, 0), vec![]));
    }
}

#[tokio::test]
async fn slow_target_is_not_counted_as_lag_after_one_block() {
    let act = |user, iteration| if (user, iteration) == (0, 9) { Act::Block(SECOND) } else { Act::Take(350 * MILLI) };
    let ran = run(Probe::new(act), paced(20, 100 * MILLI, 5 * SECOND), 1).await;
    // By then each user is more than two seconds late, and would be without the block as well.
    assert_eq!(ran.counts().0, 1000);
    let lag = &ran.finished.totals.generator.lag;
    assert!(lag.max().unwrap() < 700_000_000, "{lag:?}");
}

#[tokio::test]
async fn short_blocks_add_up_to_late_starts() {
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
async fn user_that_leaves_during_a_block_was_due_until_then() {
    let act = |user, iteration| if (user, iteration) == (0, 7) { Act::Block(SECOND) } else { Act::End };
    let asked = Asked { users: Some(2), pace: Some(100 * MILLI), stages: stages("1s:2,0s:1,1s:1"), ..Asked::default() };
    let ran = run(Probe::new(act), asked, 1).await;
    assert_eq!(ran.counts().0, 20 + 10, "{:?}", ran.triggers());
}

#[tokio::test]
async fn busy_user_is_not_due_while_retired() {
    let act = |user, iteration| if (user, iteration) == (1, 4) { Act::Take(SECOND) } else { Act::End };
    let stages = stages("500ms:2,0s:1,500ms:1,0s:2,1s:2");
    let asked = Asked { users: Some(2), pace: Some(100 * MILLI), stages, ..Asked::default() };
    let ran = run(Probe::new(act), asked, 1).await;
    assert_eq!(ran.counts(), (20 + 15, 35, 0, 0));
}

#[tokio::test]
async fn user_wanted_again_while_stopping_is_due() {
    let stages = stages("500ms:5,0s:0,500ms:0,0s:5,2s:5");
    let asked = Asked { users: Some(5), pace: Some(100 * MILLI), stages, ..Asked::default() };
    let ran = run(Probe::quick().with_users().stop(Act::Take(SECOND)), asked, 1).await;
    let (due, _, dropped, _) = ran.counts();
    assert_eq!((due, dropped), (25 + 100, ran.triggers().dropped_busy));
    assert!(dropped >= 25, "{dropped}");
}

#[tokio::test]
async fn think_time_beyond_the_pace_is_attributed_to_the_load_test() {
    let probe = Probe::new(|_, _| Act::Think(300 * MILLI, 5 * MILLI));
    let ran = run(probe, paced(4, 100 * MILLI, 2 * SECOND), 2).await;
    let (due, done, dropped, _) = ran.counts();
    assert_eq!((due, ran.invalid()), (80, vec![]));
    let triggers = ran.triggers();
    assert_eq!((triggers.dropped_busy, triggers.dropped_pausing), (dropped, dropped));
    assert!(dropped >= 40, "{dropped}");
    // The think time is not attributed to the target: neither in the service time nor in the waiting time.
    assert!(triggers.response.quantile(0.5).unwrap() < 300_000_000, "{:?}", triggers.response);
    let spent = triggers.spent;
    assert!(spent.thinking >= 300 * MILLI * done as u32 && spent.requesting >= 5 * MILLI * done as u32, "{spent:?}");
    assert!(slow_pace(&ran.finished.plan, triggers).unwrap().starts_with("the load test thinks for "));
}

#[tokio::test]
async fn dropped_starts_are_attributed_to_a_slow_target() {
    for act in [|| Act::Take(350 * MILLI), || Act::Think(Duration::ZERO, 350 * MILLI)] {
        let ran = run(Probe::new(move |_, _| act()), paced(2, 100 * MILLI, 2 * SECOND), 1).await;
        let triggers = ran.triggers();
        assert!(triggers.dropped_busy > 0 && triggers.dropped_pausing <= 1, "{triggers:?}");
        assert!(triggers.response.max().unwrap() > 1_000_000_000, "{:?}", triggers.response);
        assert_eq!(slow_pace(&ran.finished.plan, triggers), None);
    }
}

#[tokio::test]
async fn drops_caused_by_think_time_are_counted_separately() {
    // A user would have 40 triggers in four seconds without its think time, and has 32.
    let ran = run(Probe::new(|_, _| Act::Think(25 * MILLI, 100 * MILLI)), paced(4, 50 * MILLI, 4 * SECOND), 1).await;
    let triggers = ran.triggers();
    let (all, pausing) = (triggers.dropped_busy, triggers.dropped_pausing);
    assert!(pausing > 0 && pausing * 2 < all, "{pausing} of {all}");
}
