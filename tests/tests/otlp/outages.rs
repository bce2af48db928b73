//! Receivers that go away.

use std::time::Duration;

use tokio::time::sleep;

use crate::points::Points;
use crate::receiver::{Answer, Receiver};
use crate::runs::{Ran, Run};

/// Runs for some seconds with a receiver that is killed in the middle, and started again after `away`.
async fn interrupted(protocol: &str, temporality: &str, seconds: u64, away: Duration) -> (Ran, Points) {
    let mut receiver = Receiver::start(Answer::Accept);
    let run = Run::new(&receiver, &format!("-d {seconds}")).set("PROTOCOL", protocol);
    let run = run.set("METRICS_TEMPORALITY_PREFERENCE", temporality);
    let ran = run
        .finish_after(|_| async {
            golo_tests::until("something arrives", || !receiver.received().metrics.is_empty()).await;
            sleep(Duration::from_secs(seconds).saturating_sub(away) / 3).await;
            receiver.kill();
            let before = receiver.received().metrics.len();
            sleep(away).await;
            assert_eq!(receiver.received().metrics.len(), before);
            receiver.start_again();
        })
        .await;
    let points = Points::of(&receiver.received().metrics);
    (ran, points)
}

async fn nothing_is_missing(seconds: u64, away: Duration) {
    let both = tokio::join!(
        interrupted("http/protobuf", "delta", seconds, away),
        interrupted("grpc", "cumulative", seconds, away)
    );
    for (ran, points) in [both.0, both.1] {
        ran.assert_counts(&points);
        assert!(!ran.text().contains("were dropped"), "{}", ran.text());
        let users = points.select("golo.users", &[]);
        assert!(users.0.len() as u64 >= seconds, "every second arrived: {}", users.0.len());
        for route in ["/items/{id}", "/slow", "/flaky"] {
            let at_receiver = points.select("golo.http.request.duration", &[("route", route)]);
            let (count, p95) = (at_receiver.total(), at_receiver.quantile(0.95) * 1000.0);
            let ours = &ran.route(route)["duration"];
            let ours_p95 = ours["p95"].as_f64().unwrap() / 1e6;
            eprintln!("{route}: {count} and p95 {p95:.3} ms at the receiver, {} and {ours_p95:.3} ms", ours["count"]);
        }
    }
}

#[tokio::test]
async fn nothing_is_missing_after_an_outage() {
    nothing_is_missing(6, Duration::from_millis(2500)).await;
}

#[tokio::test]
#[ignore = "it takes half a minute"]
async fn nothing_is_missing_after_a_long_outage() {
    nothing_is_missing(20, Duration::from_secs(10)).await;
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
