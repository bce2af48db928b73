//! Triggers over gRPC: they share a few connections, with the calls spread evenly over them.

use std::sync::{Arc, Mutex};

use golo::Loadtest;
use golo::engine::plan::{Asked, Plan};
use golo::engine::share::Share;
use golo::engine::{Engine, Options, Sinks};
use golo_cli::drive::job_client::{Address, ServedJob};
use golo_tests::within;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::{net::TcpListener, sync::Barrier};

/// Returns the number of calls per connection. A call is answered once `users` calls are in flight.
async fn calls(users: u64, iterations: u64) -> Vec<u64> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (calls, together) = (Arc::<Mutex<Vec<u64>>>::default(), Arc::new(Barrier::new(users as usize)));
    let counted = Arc::clone(&calls);
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut all = counted.lock().unwrap();
            let number = all.len();
            all.push(0);
            drop(all);
            let (counted, together) = (Arc::clone(&counted), Arc::clone(&together));
            let load_test = Loadtest::new(move |_, _| {
                let (counted, together) = (Arc::clone(&counted), Arc::clone(&together));
                async move {
                    counted.lock().unwrap()[number] += 1;
                    together.wait().await;
                }
            });
            let service = TowerToHyperService::new(load_test.into_service());
            tokio::spawn(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service));
        }
    });
    let asked = Asked { users: Some(users), iterations: Some(iterations), ..Asked::default() };
    let options = Options { job_name: "job".to_owned(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
    let job = ServedJob::new(Address::Tcp(address), Arc::default());
    let mut engine = Engine::start(Arc::new(job), Plan::new(asked).unwrap(), options, Sinks::new(Vec::new())).unwrap();
    within("every call is answered", async { while engine.next().await.is_some() {} }).await;
    let triggers = engine.finish().totals.triggers;
    assert_eq!((triggers.done, triggers.failed), (iterations, 0));
    serving.abort();
    calls.lock().unwrap().clone()
}

#[tokio::test]
async fn calls_are_spread_evenly_over_connections() {
    assert_eq!(calls(8, 80).await, [20; 4]);
    assert_eq!(calls(2, 20).await, [10; 2], "no connection is made that nobody needs");
}
