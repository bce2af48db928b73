//! Tests that dropping a service ends its thread and its connections. It is alone in its process, so that it can count
//! threads.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn drop_ends_the_thread_and_requests_in_flight() {
    let before = threads();
    let service = sample_service::start().unwrap();
    let address = service.address();
    if let (Some(before), Some(now)) = (before, threads()) {
        assert_eq!(now, before + 1);
    }

    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(b"GET /slow?ms=60000 HTTP/1.1\r\nhost: sample\r\n\r\n").unwrap();
    while service.counter().seen == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }

    let start = Instant::now();
    drop(service);
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(connection.read(&mut [0; 16]).unwrap_or(0), 0);
    assert!(TcpStream::connect(address).is_err());
    // A joined thread may remain listed for a moment.
    while threads() != before {
        assert!(start.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Returns the number of threads of this process, or `None` if the system has no `/proc`.
fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}
