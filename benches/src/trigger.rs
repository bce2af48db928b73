//! A served trigger compared with a bare tonic echo of the same messages: 64 in flight over 4 connections.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use golo::pb::{Job, JobClient, JobServer};
use golo::{Context, Response};
use tokio_stream::wrappers::TcpListenerStream;

use crate::Size;
use crate::compare::{counted, cpu_time, has_valgrind, instructions, measured, table, tell, worker};

const CONTESTANTS: [&str; 2] = ["bare tonic echo", "a load test's trigger"];
const CONNECTIONS: u64 = 4;
pub(crate) const IN_FLIGHT: u64 = 64;

pub(crate) fn compare(size: Size) {
    let mut cpu = vec![Vec::new(); CONTESTANTS.len()];
    for _ in 0..size.rounds {
        for (contestant, times) in CONTESTANTS.iter().zip(&mut cpu) {
            let stderr = serve_and_call(worker(&["serve", contestant]), size.operations);
            times.push(measured(&stderr) / size.operations as f64);
        }
    }
    let mut counts = Vec::new();
    if size.counted > 0 && has_valgrind() {
        for contestant in CONTESTANTS {
            let count = |calls| instructions(&serve_and_call(counted(&worker(&["serve", contestant])), calls));
            counts.push((count(size.counted * 3) - count(size.counted)) / (size.counted * 2) as f64);
        }
    }
    table("a trigger, on the server's side (64 in flight, 4 connections, one thread)", &CONTESTANTS, &cpu, &counts);
}

/// Starts a server, calls it and stops it. Returns what the server printed to stderr.
fn serve_and_call(mut server: std::process::Command, calls: u64) -> Vec<u8> {
    let mut server = server.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut address = String::new();
    BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut address).expect("it says where it is");
    let status =
        worker(&["call", &calls.to_string(), address.trim()]).stderr(Stdio::inherit()).status().expect("it runs");
    assert!(status.success());
    drop(server.stdin.take());
    server.wait_with_output().expect("it ends").stderr
}

fn answer(context: Context) -> Response {
    let tags = golo::tagify([("status", "200"), ("size", "12"), ("url", "http://127.0.0.1:8765/")]);
    Response { id: golo::new_sequence_id(), job_name: context.job_name, tags, ..Response::default() }
}

struct Bare;

#[tonic::async_trait]
impl Job for Bare {
    async fn trigger(&self, request: tonic::Request<Context>) -> Result<tonic::Response<Response>, tonic::Status> {
        Ok(tonic::Response::new(answer(request.into_inner())))
    }
}

/// Serves on one thread until stdin ends, then prints the CPU time it took.
pub(crate) fn serve(contestant: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        println!("{}", listener.local_addr().expect("it has one"));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            let _ = stop.send(());
        });
        let stopped = async { _ = stopped.await };
        match contestant {
            "bare tonic echo" => {
                let server = tonic::transport::Server::builder().add_service(JobServer::new(Bare));
                server
                    .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped)
                    .await
                    .expect("it serves");
            }
            "a load test's trigger" => {
                let loadtest = golo::Loadtest::new(|context, _| async { answer(context) });
                loadtest.serve_on(listener).until(stopped).await.expect("it serves");
            }
            other => panic!("no contestant {other}"),
        }
    });
    tell(cpu_time(), 1);
}

pub(crate) fn call(calls: u64, address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for connection in 0..CONNECTIONS {
            let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("a URL");
            let channel = endpoint.connect().await.expect("it listens");
            for caller in 0..IN_FLIGHT / CONNECTIONS {
                let mut client = JobClient::new(channel.clone());
                let caller = connection * (IN_FLIGHT / CONNECTIONS) + caller;
                let share = calls / IN_FLIGHT + u64::from(caller < calls % IN_FLIGHT);
                tasks.spawn(async move {
                    for _ in 0..share {
                        let context = Context { job_name: "job".to_owned(), ..Context::default() };
                        let response = client.trigger(context).await.expect("it answers").into_inner();
                        assert_eq!(response.tags.len(), 3);
                    }
                });
            }
        }
        tasks.join_all().await;
    });
}
