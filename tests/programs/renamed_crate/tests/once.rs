//! Checks the response of the program.

#![cfg(unix)]

#[test]
fn load_test_with_renamed_golo_passes() {
    let response = golo_tests::once(env!("CARGO_BIN_EXE_program-renamed-crate"));
    assert_eq!(response["jobName"], "journey");
    assert_eq!(response["tags"][0]["key"], "renamed");
    assert_eq!(response["tags"][0]["value"], "true");
    assert_eq!(response["tags"][1]["key"], "has a job");
    assert_eq!(response["tags"][1]["value"], "true");
}
