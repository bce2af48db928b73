//! Checks the response of the program.

#![cfg(unix)]

#[test]
fn load_test_under_strict_lints_passes() {
    let response = golo_tests::once(env!("CARGO_BIN_EXE_program-strict-lints"));
    assert_eq!(response["jobName"], "journey");
    assert_eq!(response["output"], "journeyjourney 2");
}
