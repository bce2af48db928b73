//! Tests of the program: its address, its output, its end.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sample-service"));
    command.env_remove("SAMPLE_SERVICE_ADDR").stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn get(address: &str, path: &str) -> TcpStream {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nhost: sample\r\n\r\n").unwrap();
    connection
}

/// Waits until the service has received a request to `/slow`.
fn wait_for_slow(address: &str) {
    let mut answer = String::new();
    while !answer.contains(r#""/slow":1"#) {
        let mut connection = TcpStream::connect(address).unwrap();
        write!(connection, "GET /counter HTTP/1.1\r\nhost: sample\r\nconnection: close\r\n\r\n").unwrap();
        answer.clear();
        connection.read_to_string(&mut answer).unwrap();
    }
}

#[test]
fn program_finishes_requests_in_flight_after_a_signal() {
    for signal in ["-INT", "-TERM"] {
        let mut child = program().env("SAMPLE_SERVICE_ADDR", "127.0.0.1:0").spawn().unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);

        let first = messages.next().unwrap();
        let address = first.strip_prefix("listening on http://").unwrap().trim_end_matches('/');
        let table: Vec<_> = messages.by_ref().skip(1).take_while(|line| !line.is_empty()).collect();
        assert_eq!(table.len(), sample_service::ENDPOINTS.len());
        assert!(table.iter().all(|line| line.len() <= 80), "{table:#?}");

        let mut answer = [0; 12];
        get(address, "/").read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");

        let mut in_flight = get(address, "/slow?ms=500");
        wait_for_slow(address);
        let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        in_flight.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn second_signal_stops_at_once() {
    let mut child = program().args(["--addr", "127.0.0.1:0"]).spawn().unwrap();
    let mut first = String::new();
    let mut messages = BufReader::new(child.stderr.take().unwrap());
    messages.read_line(&mut first).unwrap();
    let address = first.trim().strip_prefix("listening on http://").unwrap().trim_end_matches('/');
    let _in_flight = get(address, "/slow?ms=60000");
    wait_for_slow(address);

    let start = Instant::now();
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(200));
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    }
    assert!(child.wait().unwrap().success());
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn taken_port_is_reported_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = program().args(["--addr", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).unwrap();
    let expected = format!("error: cannot listen on {address}: the port is taken; choose another with `--addr`\n");
    assert_eq!(message, expected);
}
