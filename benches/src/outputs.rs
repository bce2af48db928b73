//! Cost of metrics outputs and of open pages: `golo run` with all of them, compared with `golo run -q`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::compare::{Target, pin, table};
use crate::hello::{Ended, Hello, built, cargo, workspace};
use crate::{Options, Size};

/// Interval of scrapes.
const SCRAPES: Duration = Duration::from_secs(1);
/// Number of open pages.
const PAGES: usize = 3;

pub(crate) fn compare(size: Size, options: &Options) {
    pin(Some(0));
    let target = Target::start(options.url.as_deref());
    let hello = options.hello(&target.url);
    cargo(workspace(), &["-p", "golo-cli"]);
    let receiver = receive();
    let [endpoint, page] = [free(), free()];
    thread::spawn(move || scrape(endpoint));
    (0..PAGES).for_each(|_| drop(thread::spawn(move || view(page))));
    let outputs = [
        format!("-o prometheus={endpoint}"),
        format!("-o prometheus-rw=http://{receiver}/write"),
        format!("-o otlp=http://{receiver}"),
        format!("-o influxdb=http://{receiver}/load"),
        format!("--web {page}"),
    ];
    pin(Some(1));
    let contestants = [("golo run -q", String::new()), ("all outputs, three pages", outputs.join(" "))];
    let mut cpu = vec![Vec::new(); contestants.len()];
    // Long enough for several seconds to be sent.
    let run = size.run * 3;
    for _ in 0..size.rounds {
        for ((_, outputs), times) in contestants.iter().zip(&mut cpu) {
            times.push(ended(&hello, &format!("-u 64 --workers 1 -d {}ms {outputs}", run.as_millis())));
        }
    }
    pin(None);
    table(
        "a request with every metrics output and three pages (64 users)",
        &contestants.map(|(name, _)| name),
        &cpu,
        &[],
    );
}

/// Returns the CPU time per request of `golo run` with these arguments, all processes together.
fn ended(hello: &Hello, arguments: &str) -> f64 {
    let mut command = Command::new(built().join("golo"));
    command.arg("run").arg(&hello.path).env("TARGET_URL", &hello.url);
    command.args(arguments.split_whitespace()).args(["-q", "--no-progress"]);
    command.env("GOLO_NO_KEEP", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ended::of(command).cpu_per_request()
}

/// Returns an address that is free now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free")
}

/// Starts a receiver that accepts every request. Returns its address.
fn receive() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || accept(stream));
        }
    });
    address
}

/// Answers requests with a length until the end of the connection.
fn accept(mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("content-length: ") {
                length = text.parse().ok()?;
            }
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
    }
}

/// Reads `/metrics` again and again while something listens there.
fn scrape(endpoint: SocketAddr) {
    loop {
        thread::sleep(SCRAPES);
        get(endpoint, "/metrics");
    }
}

/// Follows the events of the run again and again while something listens there.
fn view(page: SocketAddr) {
    loop {
        thread::sleep(SCRAPES / 10);
        let list = get(page, "/").unwrap_or_default();
        let run = list.split("/runs/").nth(1).and_then(|rest| rest.split(['"', '?', '/']).next().map(str::to_owned));
        if let Some(run) = run {
            get(page, &format!("/runs/{run}/events"));
        }
    }
}

/// Returns the response to a request, which is read to its end.
fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).ok()?;
    Some(String::from_utf8_lossy(&response).into_owned())
}
