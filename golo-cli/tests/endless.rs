//! Servers that answer without end, where an agent or a collector is expected.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;

/// Answers each request with this status and a body that never ends. Returns the address.
fn endless(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(stream, status));
        }
    });
    address
}

fn answer(mut stream: TcpStream, status: &str) {
    _ = stream.read(&mut [0; 4096]);
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, " ".repeat(64 << 10));
    _ = stream.write_all(head.as_bytes());
    // Ends once the client closes the connection.
    while stream.write_all(chunk.as_bytes()).is_ok() {}
}

/// Runs `golo`, which must end by itself. Returns its exit code and all that it said, with single spaces.
fn golo(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golo"));
    command.args(arguments).env_remove("GOLO_TOKEN").stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    // `submit` says it in its report, which is wrapped.
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).split_whitespace().collect::<Vec<_>>().join(" ");
    (status.code(), said)
}

#[test]
fn refusal_without_end_is_cut_off() {
    let address = endless("500 Internal Server Error");
    for arguments in [
        &["show", "--collector", &address][..],
        &["runs", "--collector", &address],
        &["compare", "a", "b", "--collector", &address],
        &["submit", env!("CARGO_BIN_EXE_golo"), "--no-keep", "--agent", &address],
    ] {
        let (code, said) = golo(arguments);
        assert!(matches!(code, Some(104 | 107)), "{arguments:?}: {code:?} {said}");
        assert!(said.contains("it answers 500 Internal Server Error, as no golo does"), "{arguments:?}: {said}");
    }
}

#[test]
fn answer_without_end_is_refused() {
    let address = endless("200 OK");
    for (arguments, most) in [
        (&["show", "--collector", &address][..], "64 MiB"),
        (&["runs", "--collector", &address], "64 MiB"),
        (&["submit", env!("CARGO_BIN_EXE_golo"), "--no-keep", "--agent", &address], "16 MiB"),
    ] {
        let (code, said) = golo(arguments);
        assert!(matches!(code, Some(104 | 107)), "{arguments:?}: {code:?} {said}");
        let expected = format!("its answer is larger than {most}, as no golo's is");
        assert!(said.contains(&expected), "{arguments:?}: {said}");
    }
}
