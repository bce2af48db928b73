//! Checks the response of the program.

#![cfg(unix)]

#[test]
fn load_test_with_shadowed_names_passes() {
    let response = golo_tests::once(env!("CARGO_BIN_EXE_program-shadowed-names"));
    assert_eq!(response["jobName"], "shadowed");
    assert_eq!(response["tags"][0]["key"], "shadowed");
    assert_eq!(response["tags"][0]["value"], "shadowed");
}
