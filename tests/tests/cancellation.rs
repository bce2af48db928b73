//! Clients that disconnect in the middle of a call: only their triggers end.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use golo::{Context, Loadtest, OutputRef, Response, Sink};
use golo_tests::{connect, context, job, trigger, until, within};
use hyper_util::rt::TokioIo;
use sample_service::SampleService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tonic::transport::{Channel, Endpoint};

/// Counters of a load test that runs in this process.
#[derive(Default)]
struct Seen {
    begun: AtomicUsize,
    ended: AtomicUsize,
    answered: AtomicUsize,
    outputs: Mutex<Vec<(u16, Option<String>)>>,
}

impl Seen {
    fn counts(&self) -> (usize, usize, usize) {
        (self.begun.load(SeqCst), self.ended.load(SeqCst), self.answered.load(SeqCst))
    }
}

struct Recorder(Arc<Seen>);

impl Sink for Recorder {
    fn output(&self, output: &OutputRef<'_>) {
        self.0.outputs.lock().unwrap().push((output.status, output.error.as_deref().map(str::to_owned)));
    }
}

/// Counts when the future of a trigger ends or is dropped.
struct Guard(Arc<Seen>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, SeqCst);
    }
}

struct Served {
    seen: Arc<Seen>,
    target: SampleService,
    address: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), golo::Error>>,
}

impl Served {
    /// Starts a load test. Its job name makes it wait for a slow request, wait forever, or return immediately.
    async fn start() -> Self {
        let (seen, target) = (Arc::new(Seen::default()), sample_service::start().unwrap());
        let slow = target.url_of("/slow?ms=60000");
        let loadtest = Loadtest::new({
            let seen = Arc::clone(&seen);
            move |context: Context, _: Response| {
                let (seen, slow) = (Arc::clone(&seen), slow.clone());
                async move {
                    let _guard = Guard(Arc::clone(&seen));
                    seen.begun.fetch_add(1, SeqCst);
                    match &*context.job_name {
                        "request" => {
                            let journey = golo::new_sequence_id();
                            golo::do_request(&journey, golo::client().get(slow)).await?;
                        }
                        "hang" => std::future::pending().await,
                        _ => {}
                    }
                    seen.answered.fetch_add(1, SeqCst);
                    Ok::<_, golo::RequestError>(())
                }
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let serving = loadtest.sink(Recorder(Arc::clone(&seen))).serve_on(listener).until(async {
            let _ = stopped.await;
        });
        Self { seen, target, address, stop, serving: tokio::spawn(serving.into_future()) }
    }

    /// Stops the server. Cancelled calls must not delay this.
    async fn stop(self) {
        self.stop.send(()).unwrap();
        within("the server's end", self.serving).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn cancelled_call_drops_its_trigger() {
    let served = Served::start().await;
    let seen = Arc::clone(&served.seen);
    let channel = connect(&served.address).await;
    let call = tokio::spawn({
        let channel = channel.clone();
        async move { trigger(&channel, job("request")).await }
    });
    until("the target sees it", || served.target.counter().seen == 1).await;
    call.abort();
    until("its future is dropped", || seen.counts() == (1, 1, 0)).await;
    assert_eq!(*seen.outputs.lock().unwrap(), [(0, Some("cancelled".to_owned()))]);

    assert!(!trigger(&channel, job("pass")).await.unwrap().error);
    assert_eq!(seen.outputs.lock().unwrap().len(), 1, "and it is recorded once");
    drop(channel);
    served.stop().await;
}

#[tokio::test]
async fn lost_connection_drops_all_its_triggers() {
    let served = Served::start().await;
    let seen = Arc::clone(&served.seen);
    let stays = connect(&served.address).await;
    let goes = connect(&served.address).await;
    let staying = tokio::spawn({
        let stays = stays.clone();
        async move { trigger(&stays, job("hang")).await }
    });
    let mut going = JoinSet::new();
    for _ in 0..20 {
        let goes = goes.clone();
        going.spawn(async move { trigger(&goes, job("request")).await });
    }
    drop(goes);
    until("all of them run", || served.target.counter().seen == 20 && seen.counts() == (21, 0, 0)).await;
    going.shutdown().await;
    until("twenty are dropped", || seen.counts() == (21, 20, 0)).await;
    assert_eq!(*seen.outputs.lock().unwrap(), vec![(0, Some("cancelled".to_owned())); 20]);

    assert!(!trigger(&stays, job("pass")).await.unwrap().error, "who stays is served");
    assert_eq!(seen.counts(), (22, 21, 1));
    staying.abort();
    until("the last one is dropped", || seen.counts() == (22, 22, 1)).await;
    drop(stays);
    served.stop().await;
}

#[tokio::test]
async fn cancelled_trigger_releases_its_user() {
    let served = Served::start().await;
    let seen = Arc::clone(&served.seen);
    let channel = connect(&served.address).await;
    for iteration in 0..20 {
        let call = tokio::spawn({
            let channel = channel.clone();
            async move { trigger(&channel, context("hang", 1, iteration)).await }
        });
        until("it runs", || seen.begun.load(SeqCst) > seen.ended.load(SeqCst)).await;
        // Also cancel a call that waits for the same user.
        let waiting = tokio::spawn({
            let channel = channel.clone();
            async move { trigger(&channel, context("hang", 1, iteration)).await }
        });
        trigger(&channel, context("pass", 2, iteration)).await.unwrap();
        waiting.abort();
        call.abort();
        let response = trigger(&channel, context("pass", 1, iteration)).await.unwrap();
        assert!(!response.error, "{}", response.output);
    }
    until("all have ended", || seen.begun.load(SeqCst) == seen.ended.load(SeqCst)).await;
    drop(channel);
    served.stop().await;
}

/// Returns a channel that counts its connections.
async fn counted(address: &str, connections: &Arc<AtomicUsize>) -> Channel {
    let (address, connections) = (address.to_owned(), Arc::clone(connections));
    let connector = tower::service_fn(move |_| {
        connections.fetch_add(1, SeqCst);
        let address = address.clone();
        async move { TcpStream::connect(address).await.map(TokioIo::new) }
    });
    within("a connection", Endpoint::from_static("http://localhost").connect_with_connector(connector)).await.unwrap()
}

#[tokio::test]
async fn thousands_of_cancelled_calls_keep_the_connection() {
    const CALLS: usize = 5_000;
    const AT_ONCE: usize = 500;
    let served = Served::start().await;
    let seen = Arc::clone(&served.seen);
    let connections = Arc::default();
    let channel = counted(&served.address, &connections).await;

    // Calls cancelled while they run.
    for round in 1..=CALLS / AT_ONCE {
        let mut calls = JoinSet::new();
        for _ in 0..AT_ONCE {
            let channel = channel.clone();
            calls.spawn(async move { trigger(&channel, job("hang")).await });
        }
        until("they run", || seen.begun.load(SeqCst) == round * AT_ONCE).await;
        calls.shutdown().await;
        until("they have ended", || seen.counts() == (round * AT_ONCE, round * AT_ONCE, 0)).await;
    }

    // Calls cancelled as soon as they are sent, before the server has read them.
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let channel = channel.clone();
        let mut call = Box::pin(async move { trigger(&channel, job("hang")).await });
        calls.spawn(async move {
            for _ in 0..number % 7 {
                tokio::select! {
                    biased;
                    _ = &mut call => panic!("it hangs"),
                    () = tokio::task::yield_now() => {}
                }
            }
        });
    }
    calls.join_all().await;

    let response = trigger(&channel, job("pass")).await.unwrap();
    assert!(!response.error, "{}", response.output);
    until("all have ended", || seen.begun.load(SeqCst) == seen.ended.load(SeqCst)).await;
    assert!(seen.begun.load(SeqCst) > CALLS + 1, "some of the hasty ones got through");
    assert_eq!(seen.answered.load(SeqCst), 1);
    assert_eq!(connections.load(SeqCst), 1, "it is the same connection still");
    drop(channel);
    served.stop().await;
}
