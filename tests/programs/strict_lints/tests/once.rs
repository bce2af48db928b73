//! The program runs, and answers as its source says.

#![cfg(unix)]

#[test]
fn it_passes() {
    let response = golo_tests::once(env!("CARGO_BIN_EXE_program-strict-lints"));
    assert_eq!(response["jobName"], "journey");
    assert_eq!(response["output"], "journeyjourney 2");
}
