//! `do_request` compared with bare reqwest that reads the whole body: 64 requests at a time on one thread, with the
//! target in another process.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::Size;
use crate::compare::{Target, counted, cpu_time, has_valgrind, instructions, measured, table, tell, worker};

const AT_A_TIME: usize = 64;
const CONTESTANTS: [&str; 3] = ["bare reqwest", "do_request, no line", "do_request with its line"];

pub(crate) fn compare(size: Size) {
    let target = Target::start(None);
    let run =
        |contestant: &str, operations: u64| worker(&["request", contestant, &operations.to_string(), &target.url]);
    let mut cpu = vec![Vec::new(); CONTESTANTS.len()];
    for _ in 0..size.rounds {
        for (contestant, times) in CONTESTANTS.iter().zip(&mut cpu) {
            let output = run(contestant, size.operations).output().expect("it runs");
            times.push(measured(&output.stderr));
        }
    }
    let mut counts = Vec::new();
    if size.counted > 0 && has_valgrind() {
        for contestant in CONTESTANTS {
            let count =
                |operations| instructions(&counted(&run(contestant, operations)).output().expect("it runs").stderr);
            // The difference excludes the cost of starting, which is part of both counts.
            counts.push((count(size.counted * 3) - count(size.counted)) / (size.counted * 2) as f64);
        }
    }
    table("a request (12-byte body, 64 at a time, one thread)", &CONTESTANTS, &cpu, &counts);
}

pub(crate) fn work(contestant: &str, operations: u64, url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    let url = Arc::<str>::from(url);
    let left = Arc::new(AtomicU64::new(operations));
    runtime.block_on(async {
        match contestant {
            "bare reqwest" => bare(as_golos(), url, left).await,
            "reqwest as it comes" => bare(reqwest::Client::builder(), url, left).await,
            "do_request, no line" => golo(golo::Loadtest::new(on_golo(url, left)).sink(Nowhere)).await,
            "do_request with its line" => {
                let loadtest = golo::Loadtest::new(on_golo(url, left));
                served(loadtest).await;
            }
            other => panic!("no contestant {other}"),
        }
    });
    tell(cpu_time(), operations);
}

fn as_golos() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(60))
        .redirect(reqwest::redirect::Policy::limited(10))
        .retry(reqwest::retry::never())
        .cookie_store(true)
}

async fn bare(client: reqwest::ClientBuilder, url: Arc<str>, left: Arc<AtomicU64>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = client.build().expect("it can be built");
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..AT_A_TIME {
        let (client, url, left) = (client.clone(), url.clone(), left.clone());
        tasks.spawn(async move {
            while take(&left) {
                let response = client.get(&*url).send().await.expect("it is answered");
                assert_eq!(response.bytes().await.expect("it is whole").len(), 12);
            }
        });
    }
    tasks.join_all().await;
}

fn on_golo(
    url: Arc<str>,
    left: Arc<AtomicU64>,
) -> impl Fn(golo::Context, golo::Response) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static
{
    move |_, _| {
        let (url, left) = (url.clone(), left.clone());
        Box::pin(async move {
            let tasks: Vec<_> = (0..AT_A_TIME)
                .map(|_| {
                    let (url, left) = (url.clone(), left.clone());
                    golo::spawn(async move {
                        let client = golo::client();
                        let journey = golo::new_sequence_id();
                        while take(&left) {
                            let response = golo::do_request(&journey, client.get(&*url)).await.expect("it is answered");
                            assert_eq!(response.content_length(), Some(12));
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.expect("it ends");
            }
        })
    }
}

async fn golo(loadtest: golo::Loadtest) {
    let response = loadtest.trigger(golo::Context::default()).await;
    assert!(!response.error, "{}", response.output);
}

/// Triggers over a socket of its own, so that the lines are written as those of a served load test are.
async fn served(loadtest: golo::Loadtest) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(loadtest.serve_on(listener).until(async { _ = stopped.await }).into_future());
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}")).expect("a URL").connect().await;
    let mut client = golo::pb::JobClient::new(channel.expect("it listens"));
    let response = client.trigger(golo::Context::default()).await.expect("it answers").into_inner();
    assert!(!response.error, "{}", response.output);
    drop((client, stop));
    serving.await.expect("it ends").expect("it ends well");
}

fn take(left: &AtomicU64) -> bool {
    left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
}

struct Nowhere;

impl golo::Sink for Nowhere {
    fn output(&self, _: &golo::OutputRef<'_>) {}
}
