//! Time from starting a load test's process to its first request.

use std::{io::Read as _, net::TcpListener, time::Instant};

use crate::{Options, Size, compare::quartiles, hello::Hello};

pub(crate) fn measure(size: Size, options: &Options) {
    println!("\nfrom starting the process to the first byte of its first request");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let hello = options.hello(&format!("http://{}/", listener.local_addr().expect("it has one")));
    for (contestant, arguments) in
        [("one user", "-u 1 -i 1"), ("100,000 users", "-u 100000 --pace 1h"), ("at 1,000/s", "-r 1000/s")]
    {
        let (low, middle, high) =
            quartiles(&(0..size.rounds).map(|_| first_byte(&hello, arguments, &listener)).collect::<Vec<_>>());
        println!("  {contestant:<28}{middle:>7.2} ms ({low:.2}–{high:.2})");
    }
}

/// Returns the time in milliseconds. The process is killed once its request has arrived; the request is never answered.
fn first_byte(hello: &Hello, arguments: &str, listener: &TcpListener) -> f64 {
    let mut command = hello.command(arguments);
    let started = Instant::now();
    let mut process = command.spawn().expect("it starts");
    let (mut connection, _) = listener.accept().expect("it is connected to");
    connection.read_exact(&mut [0]).expect("it is asked something");
    let elapsed = started.elapsed();
    let _ = process.kill();
    let _ = process.wait();
    // Discard further connections of this process, so that the next measurement does not accept them.
    listener.set_nonblocking(true).expect("it is a socket");
    while listener.accept().is_ok() {}
    listener.set_nonblocking(false).expect("it is a socket");
    elapsed.as_secs_f64() * 1e3
}
