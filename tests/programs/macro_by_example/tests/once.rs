//! Checks the response of the program.

#![cfg(unix)]

#[test]
fn load_test_from_a_macro_by_example_passes() {
    let response = golo_tests::once(env!("CARGO_BIN_EXE_program-macro-by-example"));
    assert_eq!(response["jobName"], "by example");
    assert_eq!(response["tags"][0]["key"], "visits");
    assert_eq!(response["tags"][0]["value"], "42");
    assert_eq!(response["tags"][1]["key"], "job");
    assert_eq!(response["tags"][1]["value"], "by example");
}
