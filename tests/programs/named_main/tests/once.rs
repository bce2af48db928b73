//! Checks the response of the program.

#![cfg(unix)]

#[test]
fn load_test_named_main_passes() {
    let response = golo_tests::once(env!("CARGO_BIN_EXE_program-named-main"));
    assert_eq!(response["jobName"], "not main");
    assert_eq!(response["tags"][0]["key"], "visits");
    assert_eq!(response["tags"][0]["value"], "42");
    assert_eq!(response["tags"][1]["key"], "job");
    assert_eq!(response["tags"][1]["value"], "not main");
}
