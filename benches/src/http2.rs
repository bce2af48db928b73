//! A request of `hello run` over HTTP/2 without TLS, compared with the crate h2 alone: 64 users with a connection each,
//! one thread.

use tokio::net::TcpStream;

use crate::compare::{Target, counted, cpu_time, has_valgrind, instructions, measured, pin, table, tell, worker};
use crate::hello::answered;
use crate::{Options, Size};

const CONNECTIONS: u64 = 64;

pub(crate) fn compare(size: Size, options: &Options) {
    pin(Some(0));
    let target = Target::start(options.url.as_deref());
    pin(None);
    let hello = options.hello(&target.url);
    let users = format!("-u {CONNECTIONS} --workers 1 --http 2");
    let h2 = |operations: u64| worker(&["http2", &operations.to_string(), &target.url]);
    pin(Some(1));
    let mut cpu = vec![Vec::new(); 2];
    for _ in 0..size.rounds {
        cpu[0].push(measured(&h2(size.operations).output().expect("it runs").stderr));
        cpu[1].push(hello.run(&format!("{users} -d {}ms", size.run.as_millis())).cpu_per_request());
    }
    let mut counts = Vec::new();
    if size.counted > 0 && has_valgrind() {
        let per_request =
            |count: &dyn Fn(u64) -> f64| (count(size.counted * 3) - count(size.counted)) / (size.counted * 2) as f64;
        counts
            .push(per_request(&|operations| instructions(&counted(&h2(operations)).output().expect("it runs").stderr)));
        counts.push(per_request(&|operations| {
            let run = hello.command(&format!("{users} -i {operations}"));
            let output = counted(&run).output().expect("it runs");
            answered(&output);
            instructions(&output.stderr)
        }));
    }
    pin(None);
    table("a request over HTTP/2 (64 connections, one worker)", &["h2 alone", "hello, --http 2"], &cpu, &counts);
}

/// Sends `operations` requests on 64 connections, each polled by a task of its own.
pub(crate) fn work(operations: u64, url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let mut users = tokio::task::JoinSet::new();
        for _ in 0..CONNECTIONS {
            let url = url.to_owned();
            users.spawn(async move { requests(&url, operations / CONNECTIONS).await });
        }
        while users.join_next().await.is_some_and(|ended| ended.is_ok()) {}
    });
    tell(cpu_time(), operations / CONNECTIONS * CONNECTIONS);
}

async fn requests(url: &str, number: u64) {
    let uri: http::Uri = url.parse().expect("a URL");
    let stream = TcpStream::connect(uri.authority().expect("it has one").as_str()).await.expect("it listens");
    stream.set_nodelay(true).expect("it is connected");
    let (mut send, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    for _ in 0..number {
        std::future::poll_fn(|context| send.poll_ready(context)).await.expect("it is open");
        let request = http::Request::get(uri.clone()).header("accept", "*/*").body(()).expect("it is valid");
        let (response, _) = send.send_request(request, true).expect("it is ready");
        let mut body = response.await.expect("it answers").into_body();
        while let Some(data) = body.data().await {
            let data = data.expect("it goes on");
            body.flow_control().release_capacity(data.len()).expect("it was received");
        }
    }
}
