//! Checks the response of the program.

#![cfg(unix)]

#[test]
fn load_test_with_unit_tests_passes() {
    let response = golo_tests::once(env!("CARGO_BIN_EXE_program-unit-tests"));
    assert_eq!(response["jobName"], "journey");
    assert_eq!(response["output"], "");
}
