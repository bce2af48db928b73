//! The program runs, and answers as its source says.

#![cfg(unix)]

#[test]
fn it_passes() {
    let response = golo_tests::once(env!("CARGO_BIN_EXE_program-shadowed-names"));
    assert_eq!(response["jobName"], "shadowed");
    assert_eq!(response["tags"][0]["key"], "shadowed");
    assert_eq!(response["tags"][0]["value"], "shadowed");
}
