//! Checks the response of the program.

#![cfg(unix)]

#[test]
fn load_test_with_a_raw_identifier_passes() {
    let response = golo_tests::once(env!("CARGO_BIN_EXE_program-raw-identifier"));
    assert_eq!(response["jobName"], "type");
    assert_eq!(response["tags"][0]["key"], "kind");
    assert_eq!(response["tags"][0]["value"], "raw");
}
