//! Several engines that share one plan and start together: their work adds up to the plan.

use std::time::Instant;

use golo::engine::plan::{Asked, Plan};
use golo::engine::share::Share;

use crate::probe::{Act, MILLI, Probe, Ran, Run, SECOND, closed, rate};

/// Runs each share of the plan.
async fn run_shared(probe: impl Fn() -> Probe, asked: &Asked, engines: u64, workers: usize) -> Vec<Ran> {
    let shares = Share::WHOLE.split(engines);
    let mut runs: Vec<_> = shares.map(|share| Run::of_share(probe(), asked.clone(), workers, share)).collect();
    for run in &mut runs {
        run.engine.hold();
        assert!(run.engine.ready().await.is_some());
        assert_eq!((run.log.triggers(), run.engine.started()), (0, None), "nothing is sent while it is held");
    }
    let begin = Instant::now() + 100 * MILLI;
    for run in &mut runs {
        run.engine.begin(begin);
        assert_eq!(run.engine.started(), Some(begin + Plan::new(asked.clone()).unwrap().warm_up()));
    }
    let mut ran = Vec::new();
    for run in runs {
        ran.push(run.finish().await);
    }
    ran
}

#[tokio::test]
async fn shares_of_a_rate_add_up() {
    let asked = rate("333/s", SECOND);
    let ran = run_shared(Probe::quick, &asked, 3, 2).await;
    assert_eq!(ran.iter().map(|ran| ran.counts().1).collect::<Vec<_>>(), [111, 111, 111]);
    let mut times: Vec<_> = ran.iter().flat_map(Ran::times).collect();
    times.sort_unstable();
    for (k, time) in times.iter().enumerate() {
        assert!(*time >= k as u32 * SECOND / 333, "start {k} was early: {time:?}");
    }
}

#[tokio::test]
async fn shares_of_users_and_iterations_add_up() {
    let asked = Asked { iterations: Some(50), duration: None, ..closed(7, SECOND) };
    let ran = run_shared(|| Probe::new(|_, _| Act::Take(MILLI)), &asked, 3, 2).await;
    assert_eq!(ran.iter().map(|ran| ran.counts().1).collect::<Vec<_>>(), [17, 17, 16]);
    let mut users: Vec<_> = ran.iter().flat_map(|ran| ran.iterations().into_keys()).collect();
    users.sort_unstable();
    assert_eq!(users, (0..7).collect::<Vec<_>>());
}

#[tokio::test]
async fn empty_share_ends_without_triggers() {
    let asked = Asked { iterations: Some(2), duration: None, ..closed(3, SECOND) };
    let ran = run_shared(Probe::quick, &asked, 3, 1).await;
    assert_eq!(ran.iter().map(|ran| ran.counts().1).collect::<Vec<_>>(), [1, 1, 0]);
    let asked = closed(1, SECOND / 5);
    let ran = run_shared(|| Probe::new(|_, _| Act::Take(MILLI)), &asked, 2, 1).await;
    assert!(ran[0].counts().1 > 0 && ran[1].counts().1 == 0);
    assert_eq!(ran[1].finished.not_started, None);
}

#[tokio::test]
async fn max_users_is_shared_between_engines() {
    let asked = Asked { max_users: Some(5), graceful_stop: Some(MILLI), ..rate("200/s", SECOND) };
    let ran = run_shared(|| Probe::new(|_, _| Act::Never), &asked, 2, 2).await;
    assert_eq!(ran.iter().map(Ran::most_in_flight).collect::<Vec<_>>(), [3, 2]);
}
