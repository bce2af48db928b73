//! Receivers that go away.

use std::time::Duration;

use tokio::time::sleep;

use crate::points::Points;
use crate::receiver::{Answer, Receiver};
use crate::runs::{Ran, Run};

/// Runs with a receiver that is killed after some time and started again later.
async fn interrupted(protocol: &str, temporality: &str) -> (Ran, Points) {
    let mut receiver = Receiver::start(Answer::Accept);
    let run = Run::new(&receiver, "-d 6").set("PROTOCOL", protocol);
    let run = run.set("METRICS_TEMPORALITY_PREFERENCE", temporality);
    let ran = run
        .finish_after(|_| async {
            golo_tests::until("something arrives", || !receiver.received().metrics.is_empty()).await;
            receiver.kill();
            let before = receiver.received().metrics.len();
            sleep(Duration::from_millis(2500)).await;
            assert_eq!(receiver.received().metrics.len(), before);
            receiver.start_again();
        })
        .await;
    let points = Points::of(&receiver.received().metrics);
    (ran, points)
}

#[tokio::test]
async fn nothing_is_missing_after_an_outage() {
    let both = tokio::join!(interrupted("http/protobuf", "delta"), interrupted("grpc", "cumulative"));
    for (ran, points) in [both.0, both.1] {
        ran.assert_counts(&points);
        assert!(!ran.text().contains("were dropped"), "{}", ran.text());
        let users = points.select("golo.users", &[]);
        assert!(users.0.len() >= 6, "every second arrived: {}", users.0.len());
    }
}

#[tokio::test]
async fn receiver_that_is_away_does_not_change_the_run() {
    for protocol in ["http/protobuf", "grpc"] {
        let mut receiver = Receiver::start(Answer::Accept);
        receiver.kill();
        let ran = Run::new(&receiver, "-d 2").set("PROTOCOL", protocol).finish().await;
        ran.assert_passed();
        let remark = ran.remark(&receiver.url()).to_lowercase();
        assert!(remark.contains(" seconds were dropped: ") && remark.contains("refused"), "{remark}");
        assert!(ran.route("/slow")["duration"]["count"].as_u64() > Some(50), "{:#}", ran.route("/slow"));
    }
}
