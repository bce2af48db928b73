//! Receivers that answer and do not accept, and wrong settings.

use std::time::Duration;

use golo_tests::Program;

use crate::points::Points;
use crate::receiver::{Answer, Receiver};
use crate::runs::Run;

const PROTOCOLS: [&str; 2] = ["http/protobuf", "grpc"];

#[tokio::test]
async fn refused_seconds_are_dropped_with_the_reason() {
    for (protocol, reason) in PROTOCOLS
        .into_iter()
        .zip(["it answered 400 Bad Request: unknown metric", "it answered InvalidArgument: unknown metric"])
    {
        let receiver = Receiver::start(Answer::Refuse);
        let ran = Run::new(&receiver, "-d 2").set("PROTOCOL", protocol).finish().await;
        ran.assert_passed();
        let sent = receiver.received().headers.len();
        let remark = ran.remark(&receiver.url());
        assert_eq!(remark, format!("{sent} of {sent} seconds were dropped: {reason}"), "nothing is sent twice");
    }
}

#[tokio::test]
async fn partial_success_is_reported_and_everything_is_sent() {
    for protocol in PROTOCOLS {
        let receiver = Receiver::start(Answer::Partly);
        let ran = Run::new(&receiver, "-d 2").set("PROTOCOL", protocol).finish().await;
        let reason = "it rejected 3 of the values of a request: too many labels";
        assert!(ran.remark(&receiver.url()).ends_with(&format!(" seconds were dropped: {reason}")), "{}", ran.text());
        ran.assert_counts(&Points::of(&receiver.received().metrics));
    }
}

#[tokio::test]
async fn busy_and_slow_receivers_get_everything() {
    for (protocol, answer) in [
        ("http/protobuf", Answer::Busy(2)),
        ("grpc", Answer::Busy(2)),
        ("grpc", Answer::Slow(Duration::from_millis(700))),
    ] {
        let receiver = Receiver::start(answer);
        let ran = Run::new(&receiver, "-d 3").set("PROTOCOL", protocol).finish().await;
        assert_eq!(ran.remark(&receiver.url()), "");
        ran.assert_counts(&Points::of(&receiver.received().metrics));
    }
}

#[tokio::test]
async fn receiver_that_hangs_delays_the_end_by_two_seconds() {
    let receiver = Receiver::start(Answer::Hang);
    let ran = Run::new(&receiver, "-d 2").finish().await;
    ran.assert_passed();
    assert!(ran.remark(&receiver.url()).contains(" seconds were dropped: "), "{}", ran.text());
    assert_eq!(receiver.received().headers.len(), 1, "the first request still waits for its answer");
}

#[tokio::test]
async fn wrong_settings_end_it_before_any_load() {
    for (url, variable, value, reason) in [
        (
            "http://127.0.0.1:1",
            "PROTOCOL",
            "http/json",
            "unknown protocol `http/json`: expected `http/protobuf` or `grpc`",
        ),
        (
            "http://127.0.0.1:1",
            "METRICS_TEMPORALITY_PREFERENCE",
            "both",
            "unknown temporality `both`: expected `cumulative`, `delta` or `lowmemory`",
        ),
        ("http://127.0.0.1:1", "HEADERS", "hush", "header 1 has no `=`"),
        ("http://me:hush@127.0.0.1:1", "PROTOCOL", "grpc", "give them by the variables"),
        ("http://127.0.0.1:1/v1/metrics", "PROTOCOL", "http/protobuf", "golo adds `/v1/metrics`"),
    ] {
        let Run { command, target, folder } = Run::to(url, "-d 1").set(variable, value);
        let finished = Program::spawn(command).finish().await;
        assert_eq!((finished.code, target.counter().seen), (Some(104), 0), "{finished:#?}");
        assert!(finished.said(reason) == 1 && finished.said("hush") == 0, "{finished:#?}");
        assert!(!folder.path().join("summary.json").exists());
    }
}
