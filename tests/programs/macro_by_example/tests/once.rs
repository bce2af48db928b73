//! The program runs, and answers as its source says.

#![cfg(unix)]

#[test]
fn it_passes() {
    let response = golo_tests::once(env!("CARGO_BIN_EXE_program-macro-by-example"));
    assert_eq!(response["jobName"], "by example");
    assert_eq!(response["tags"][0]["key"], "visits");
    assert_eq!(response["tags"][0]["value"], "42");
    assert_eq!(response["tags"][1]["key"], "job");
    assert_eq!(response["tags"][1]["value"], "by example");
}
