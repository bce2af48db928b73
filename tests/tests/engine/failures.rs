//! Load tests that fail, panic, cannot start or block: the effect on other users, and the report.

use std::time::Duration;

use golo::engine::errors::ErrorKind;
use golo::engine::plan::Asked;
use golo::report::Verdict;
use golo_tests::within;

use crate::probe::{Act, MILLI, Probe, Ran, Run, SECOND, Start, What, closed, rate, run, stages};

/// Far longer than needed, and shorter than the timeout of other tests.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Returns the number of errors of this kind with this text.
fn said(ran: &Ran, kind: ErrorKind, text: &str) -> u64 {
    let errors = ran.finished.totals.errors.by_count();
    errors.iter().filter(|(known, said, _)| *known == kind && *said == text).map(|(_, _, seen)| seen.count).sum()
}

#[tokio::test]
async fn panicking_user_is_restarted_and_others_are_not() {
    let act = |user, _| if user == 3 { Act::Panic } else { Act::Take(5 * MILLI) };
    // Restarts after a panic are slow, so the pace sets the number of panics.
    let asked = Asked { pace: Some(50 * MILLI), ..closed(10, SECOND) };
    let ran = run(Probe::new(act).with_users(), asked, 2).await;
    let (due, done, ..) = ran.counts();
    assert_eq!((due, ran.invalid()), (done, vec![]));
    assert_eq!((ran.triggers().failed, ran.triggers().panicked), (20, 20));
    assert_eq!(said(&ran, ErrorKind::Panic, "panicked: out of stock"), 20);
    assert_eq!(ran.finished.totals.errors.count(ErrorKind::Panic), 20);

    let starts = |user| ran.events.iter().filter(|event| event.user == user && event.what == What::Start).count();
    assert!((0..10).all(|user| if user == 3 { starts(user) >= 20 } else { starts(user) == 1 }));
    let stops = |user| {
        let stop = |what| matches!(what, What::Stop { .. });
        ran.events.iter().filter(|event| event.user == user && stop(event.what)).count()
    };
    assert!((0..10).all(|user| user == 3 || stops(user) == 1), "who panicked is in no state to be stopped");
    let starts = ran.count(|what| *what == What::Start);
    assert_eq!(ran.count(|what| matches!(what, What::Gone { .. })), starts);
    assert_eq!(ran.finished.totals.generator.users_started, starts);
    let mut iterations = ran.iterations();
    assert!(iterations.remove(&3).unwrap().into_iter().eq(0..20), "it goes on counting");
}

#[tokio::test]
async fn failed_trigger_is_counted_and_its_user_continues() {
    let act = |user, _| if user % 2 == 0 { Act::Fail } else { Act::Take(MILLI) };
    let asked = Asked { iterations: Some(100), duration: None, ..closed(4, SECOND) };
    let ran = run(Probe::new(act).with_users(), asked, 2).await;
    let failed = ran.triggers().failed;
    assert_eq!((ran.counts(), ran.triggers().panicked), ((100, 100, 0, 0), 0));
    assert!(failed > 0);
    assert_eq!(said(&ran, ErrorKind::Returned, "out of stock"), failed);
    assert_eq!(ran.assert_each_is_stopped_once(), 4);
}

#[tokio::test]
async fn users_that_cannot_start_do_not_stop_the_others() {
    let start = |user, _| if user % 3 == 0 { Start::Fails("no table is free") } else { Start::Ready };
    let ran = run(Probe::new(|_, _| Act::Take(5 * MILLI)).users(start), closed(9, SECOND), 2).await;
    let (due, done, ..) = ran.counts();
    assert_eq!((due, ran.invalid()), (done, vec![]));
    assert!(ran.iterations().keys().all(|user| user % 3 != 0) && ran.iterations().len() == 6);
    let generator = &ran.finished.totals.generator;
    assert_eq!((generator.users_failed, generator.users_started, ran.finished.most_users), (3, 6, 6));
    assert_eq!(said(&ran, ErrorKind::Start, "no table is free"), 3);
    assert_eq!(ran.count(|what| matches!(what, What::Stop { .. })), 6);
}

#[tokio::test]
async fn run_without_a_startable_user_is_not_started() {
    let start = |_, _| Start::Fails("no table is free");
    for asked in [closed(5, 60 * SECOND), Asked { warm_up: Some(SECOND), ..closed(5, 60 * SECOND) }] {
        let ran = run(Probe::quick().users(start), asked, 2).await;
        assert_eq!((ran.counts(), ran.started().len()), ((0, 0, 0, 0), 0));
        assert_eq!(said(&ran, ErrorKind::Start, "no table is free"), 5);
        let Verdict::NotStarted(reason) = ran.verdict() else { panic!("{:?}", ran.finished) };
        assert_eq!(reason, "no user could start");
    }
}

#[tokio::test]
async fn run_whose_triggers_all_lack_a_user_has_not_passed() {
    let start = |_, _| Start::Fails("no table is free");
    let staged = Asked { stages: stages("500ms:5,500ms:5"), ..Asked::default() };
    for asked in [rate("20/s", SECOND), staged] {
        let ran = run(Probe::quick().users(start), asked, 2).await;
        let (due, done, dropped, _) = ran.counts();
        assert_eq!((done, dropped, ran.triggers().dropped_unready), (0, due, due));
        assert!(due > 0 && ran.finished.totals.generator.users_failed == due);
        assert_ne!(ran.verdict(), Verdict::Passed, "not one trigger was run");
    }
}

#[tokio::test]
async fn run_ends_when_no_user_is_left() {
    // Each user starts once and panics. Only the iterations would end the run.
    let start = |_, nth| if nth < 4 { Start::Ready } else { Start::Fails("no table is free") };
    let asked = Asked { iterations: Some(100), duration: None, ..closed(4, SECOND) };
    let probe = Probe::new(|_, _| Act::Panic).users(start);
    let mut run = Run::start(probe, asked, 2);
    run.until("each has tried to start twice", |log| log.count(|what| *what == What::Start) == 8).await;
    let ran = tokio::time::timeout(AT_ONCE, run.finish()).await.expect("it ends: nothing can happen any more");
    assert_eq!(ran.triggers().done, 4);
    ran.counts();
}

#[tokio::test]
async fn run_whose_preparation_fails_is_not_started() {
    for workers in [2, 4] {
        // One of several workers is not ready.
        let probe = Probe::quick().with_users().unprepared("the certificate has expired");
        let ran = run(probe, closed(8, 60 * SECOND), workers).await;
        assert_eq!((ran.counts(), ran.started().len()), ((0, 0, 0, 0), 0));
        let verdict = ran.verdict();
        assert_eq!(verdict, Verdict::NotStarted("the certificate has expired".to_owned()));
        ran.assert_each_is_stopped_once();
    }
}

#[tokio::test]
async fn blocked_thread_makes_starts_late_and_the_run_invalid() {
    let mut run = Run::start(Probe::new(|_, _| Act::Block(200 * MILLI)), rate("50/s", SECOND / 2), 1);
    let ran = within("the run", async {
        run.until("it has begun", |log| log.triggers() > 0).await;
        run.finish().await
    })
    .await;
    assert_eq!(ran.counts(), (25, 25, 0, 0), "whatever was due is made up for");
    let Verdict::Invalid(reasons) = ran.verdict() else { panic!("{:?}", ran.finished) };
    assert!(reasons.len() == 1 && reasons[0].starts_with("starts were late"), "{reasons:?}");
    let triggers = ran.triggers();
    assert!(triggers.response.max().unwrap() > triggers.service.max().unwrap());
}

#[tokio::test]
async fn dead_task_is_counted_and_its_user_continues() {
    let act = |user, iteration| if (user, iteration) == (0, 1) { Act::Die } else { Act::Take(5 * MILLI) };
    let paced = Asked { pace: Some(20 * MILLI), ..closed(2, SECOND) };
    // In the open model, another user could take the trigger.
    let alone = Asked { max_users: Some(1), ..rate("50/s", SECOND) };
    for asked in [closed(2, SECOND), paced, alone] {
        let ran = run(Probe::new(act).with_users(), asked, 1).await;
        assert_eq!((ran.counts().3, ran.invalid()), (1, vec![]));
        assert!(ran.iterations()[&0].len() > 2, "{:?}", ran.iterations());
        assert_eq!(ran.finished.totals.errors.count(ErrorKind::Panic), 1);
    }
}

#[tokio::test]
async fn users_that_cannot_start_take_no_iterations() {
    let start = |user, _| if user < 2 { Start::Fails("no table is free") } else { Start::Ready };
    let staged = Asked { users: None, stages: stages("500ms:4,60s:4"), ..closed(4, SECOND) };
    for asked in [closed(4, SECOND), staged] {
        let asked = Asked { duration: None, iterations: Some(20), ..asked };
        let ran = run(Probe::new(|_, _| Act::Take(5 * MILLI)).users(start), asked, 2).await;
        assert_eq!(ran.counts(), (20, 20, 0, 0));
        assert_eq!(ran.finished.totals.generator.users_failed, 2);
    }
}
