//! Changes of the load during a run.

use std::time::Duration;

use golo::engine::plan::{Arrivals, Asked, Target};

use crate::probe::{Act, MILLI, Probe, Run, SECOND, closed, rate};

fn level(text: &str) -> Target {
    text.parse().unwrap()
}

#[tokio::test]
async fn adjusted_rate_accounts_for_every_start() {
    for (from, to, least, most) in
        [("100/s", "500/s", 600, 1500), ("500/s", "50/s", 100, 1400), ("100/s", "0/s", 1, 290)]
    {
        let mut run = Run::start(Probe::quick(), rate(from, 3 * SECOND), 2);
        run.until("the first start", |log| log.triggers() > 0).await;
        run.until("a while later", |log| log.triggers() > 50).await;
        let planned = run.engine.adjust(level(to)).unwrap().planned_starts().unwrap();
        let ran = run.finish().await;
        assert!((least..most).contains(&planned), "{planned} from {from} to {to}");
        assert_eq!((ran.counts(), ran.invalid()), ((planned, planned, 0, 0), vec![]), "from {from} to {to}");
        assert_eq!(ran.finished.plan.planned_starts(), Some(planned));
    }
}

#[tokio::test]
async fn random_arrivals_can_be_adjusted() {
    let asked = Asked { arrivals: Some(Arrivals::Poisson), ..rate("5/s", 2 * SECOND) };
    let mut run = Run::start(Probe::quick(), asked, 2);
    run.engine.ready().await;
    run.engine.adjust(level("1000/s")).unwrap();
    let (due, done, ..) = run.finish().await.counts();
    // Within seven standard deviations of 2000.
    assert!(due == done && (1690..2310).contains(&due), "{due} of some 2000");
}

/// Runs until a second ends with this number of users.
async fn until_there_are(users: u64, run: &mut Run) {
    while run.seconds.last().is_none_or(|second| second.users != users) {
        let second = run.engine.next().await.unwrap();
        run.seconds.push(second);
    }
}

#[tokio::test]
async fn users_join_and_leave_when_adjusted() {
    let probe = Probe::new(|_, _| Act::Take(5 * MILLI)).with_users();
    let mut run = Run::start(probe, closed(3, 30 * SECOND), 2);
    run.until("the first triggers", |log| log.triggers() > 3).await;
    run.engine.adjust(level("9")).unwrap();
    run.until("nine have had a trigger", |log| log.users() == 9).await;
    until_there_are(9, &mut run).await;
    run.engine.adjust(level("2")).unwrap();
    until_there_are(2, &mut run).await;
    run.engine.stop();
    let ran = run.finish().await;
    assert_eq!((ran.finished.most_users, ran.most_in_flight() <= 9), (9, true));
    assert_eq!(ran.assert_each_is_stopped_once(), 9);
}

#[tokio::test]
async fn invalid_adjustment_is_refused_and_changes_nothing() {
    let mut run = Run::start(Probe::quick(), rate("100/s", SECOND), 1);
    let error = run.engine.adjust(level("7")).unwrap_err().to_string();
    assert_eq!(error, "`7` is in the wrong unit: the plan is a rate, so use a rate, as in 500/s");
    assert_eq!(run.finish().await.counts(), (100, 100, 0, 0));
    let mut run = Run::start(Probe::new(|_, _| Act::Take(MILLI)), closed(1, Duration::from_millis(200)), 1);
    let error = run.engine.adjust(level("7/s")).unwrap_err().to_string();
    assert_eq!(error, "`7/s` is in the wrong unit: the plan is in users, so use users");
    assert_eq!(run.engine.adjust(level("10000001")).unwrap_err().to_string(), "more than 10000000 users");
    assert_eq!(run.finish().await.finished.most_users, 1);
}

#[tokio::test]
async fn load_adjusted_to_zero_can_be_raised_again() {
    let users = |pace| Asked { users: Some(4), pace, iterations: Some(60), ..Asked::default() };
    let starts = |arrivals| Asked {
        rate: Some("200/s".parse().unwrap()),
        arrivals: Some(arrivals),
        iterations: Some(60),
        ..Asked::default()
    };
    let level_of = |asked: &Asked, users: &str, rate: &str| level(if asked.rate.is_some() { rate } else { users });
    for asked in [users(None), users(Some(20 * MILLI)), starts(Arrivals::Constant), starts(Arrivals::Poisson)] {
        let mut run = Run::start(Probe::new(|_, _| Act::Take(20 * MILLI)), asked.clone(), 2);
        run.until("it has begun", |log| log.triggers() > 6).await;
        run.engine.adjust(level_of(&asked, "0", "0/s")).unwrap();
        let second = run.seconds.len() as u64 + 2;
        while (run.seconds.len() as u64) < second {
            // The run continues without users.
            let progress = run.engine.next().await.expect("a second");
            run.seconds.push(progress);
        }
        let before = run.log.triggers();
        assert!(before < 60, "{asked:?}");
        run.engine.adjust(level_of(&asked, "4", "200/s")).unwrap();
        let ran = run.finish().await;
        assert_eq!((ran.counts().0, ran.triggers().done), (60, 60), "{asked:?}");
    }
}

#[tokio::test]
async fn users_beyond_the_planned_peak_have_their_own_phases() {
    let asked = Asked { pace: Some(SECOND), ..closed(1, 30 * SECOND) };
    let mut run = Run::start(Probe::quick(), asked, 1);
    run.until("the first", |log| log.triggers() > 0).await;
    run.engine.adjust(level("9")).unwrap();
    run.until("all have had one", |log| log.users() == 9).await;
    run.engine.stop();
    let ran = run.finish().await;
    let mut phases: Vec<_> = (0..9)
        .map(|user| {
            let at = ran.started().into_iter().find(|started| started.1 == user).unwrap().0;
            (at - ran.start()).as_millis() % 1000
        })
        .collect();
    phases.sort_unstable();
    let apart = phases.windows(2).filter(|pair| pair[1] - pair[0] > 20).count();
    assert!(apart >= 6, "{phases:?}");
}
