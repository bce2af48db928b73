//! Phases of requests over real connections: never longer than the request, however it ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use golo::{Context, Loadtest, OutputRef, Phases, Sink};
use proptest::prelude::*;

use crate::service;

/// A request of a trigger.
#[derive(Debug, Clone)]
enum Sent {
    Get(&'static str),
    Post(usize),
    /// Nothing listens there.
    Refused,
    /// The load test drops the request after this number of microseconds.
    Dropped(u64),
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        prop::sample::select(vec!["/items/1", "/slow?ms=3", "/redirect?times=2", "/nowhere"]).prop_map(Sent::Get),
        (0_usize..300_000).prop_map(Sent::Post),
        Just(Sent::Refused),
        (0_u64..2_000).prop_map(Sent::Dropped),
    ]
}

/// A sink that stores durations and phases.
#[derive(Clone, Default)]
struct Measured(Arc<Mutex<Vec<(Duration, Phases)>>>);

impl Sink for Measured {
    fn output(&self, output: &OutputRef<'_>) {
        let phases = output.phases.expect("golo sent the request");
        self.0.lock().unwrap().push((output.duration, phases));
    }
}

async fn send(sent: Sent) {
    let client = golo::client();
    let request = |request| golo::do_request("journey", request);
    // The outputs are looked at, not the results.
    match sent {
        Sent::Get(path) => drop(request(client.get(service().url_of(path))).await),
        Sent::Post(length) => drop(request(client.post(service().url()).body(vec![b'x'; length])).await),
        Sent::Refused => drop(request(client.get("http://127.0.0.1:1/")).await),
        Sent::Dropped(after) => {
            let slow = request(client.get(service().url_of("/slow?ms=20")));
            drop(tokio::time::timeout(Duration::from_micros(after), slow).await);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn phases_are_at_most_the_duration(requests in prop::collection::vec(sent(), 1..12), at_once in any::<bool>()) {
        let number = requests.len();
        let measured = Measured::default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let loadtest = Loadtest::new(move |_, _| {
            let requests = requests.clone();
            async move {
                if at_once {
                    let tasks: Vec<_> = requests.into_iter().map(|sent| golo::spawn(send(sent))).collect();
                    for task in tasks {
                        task.await.unwrap();
                    }
                } else {
                    for sent in requests {
                        send(sent).await;
                    }
                }
            }
        });
        let response = runtime.block_on(loadtest.sink(measured.clone()).trigger(Context::default()));
        prop_assert!(!response.error, "{}", response.output);
        let measured = measured.0.lock().unwrap();
        prop_assert_eq!(measured.len(), number);
        for (duration, phases) in &*measured {
            prop_assert!(phases.total() <= *duration, "{phases:?} of {duration:?}");
        }
    }
}
