//! Cost of a custom metric and of tags, within a trigger: what a load test pays for each value and for each request.

use std::future::Future as _;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::{convert::Infallible, hint::black_box};

use golo::engine::recorder::{self, Recorder, RecorderSink};

use crate::Size;
use crate::compare::{counted, has_valgrind, instructions, nanoseconds, quartiles, worker};

/// The first is the yardstick: a loop that adds to an array.
const CONTESTANTS: [&str; 8] = [
    "an array's element",
    "a counter",
    "a counter with a tag",
    "a trend",
    "a rate",
    "a gauge",
    "a step without tags",
    "a step with a tag set before",
];

pub(crate) fn compare(size: Size) {
    println!("\na value of a metric, and a step with tags, in a trigger");
    let count = size.counted > 0 && has_valgrind();
    for contestant in CONTESTANTS {
        let times = Arc::new(Mutex::new(Vec::new()));
        let measured = Arc::clone(&times);
        in_trigger(move || {
            let all = nanoseconds(size.sample, |operations| work_in_trigger(contestant, operations));
            *measured.lock().expect("nothing panicked") = all;
        });
        let (low, middle, high) = quartiles(&times.lock().expect("nothing panicked"));
        let counted = if count {
            let count = |operations: u64| {
                let work = worker(&["metrics", contestant, &operations.to_string()]);
                instructions(&counted(&work).output().expect("it runs").stderr)
            };
            format!("{:>9.0} instructions  ", (count(300_000) - count(100_000)) / 200_000.0)
        } else {
            String::new()
        };
        println!("  {contestant:<30}{counted}{middle:>7.1} ns ({low:.1}–{high:.1})");
    }
}

pub(crate) fn work(contestant: &str, operations: u64) {
    let contestant = contestant.to_owned();
    in_trigger(move || work_in_trigger(&contestant, operations));
}

/// Calls `work` in a trigger of a load test, on a thread with a recorder of its own.
fn in_trigger(work: impl Fn() + Send + Sync + 'static) {
    recorder::install(Recorder::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it starts");
    let work = Arc::new(work);
    let loadtest = golo::Loadtest::new(move |_, _| {
        let work = Arc::clone(&work);
        async move { work() }
    });
    let loadtest = loadtest.sink(RecorderSink::new(Vec::new()));
    let response = runtime.block_on(loadtest.trigger(golo::Context::default()));
    assert!(!response.error, "{}", response.output);
}

fn work_in_trigger(contestant: &str, operations: u64) {
    let mut elements = [0_u64; 8];
    for operation in 0..operations {
        match contestant {
            "an array's element" => black_box(&mut elements)[operation as usize % 8] += black_box(1),
            "a counter" => golo::counter("orders").add(black_box(1)),
            "a counter with a tag" => golo::counter("orders").tag("tenant", black_box("blue")).add(black_box(1)),
            "a trend" => golo::trend("cart_value").record(black_box(operation % 1000)),
            "a rate" => golo::rate("hits").add(black_box(true)),
            "a gauge" => golo::gauge("queue").set(black_box(operation)),
            "a step without tags" => step(),
            "a step with a tag set before" => {
                golo::tag("tenant", black_box(if operation % 2 == 0 { "blue" } else { "green" }));
                step();
            }
            other => panic!("no contestant {other}"),
        }
        // A worker takes its measurements each second.
        if operation % 50_000 == 49_999 {
            recorder::with(|recorder| {
                let second = recorder.take();
                recorder.recycle(black_box(second));
            });
        }
    }
}

/// Measures a step that is ready at once.
fn step() {
    let step = pin!(golo::measure("", "a step", async { Ok::<_, Infallible>(()) }));
    let ready = step.poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(ready, Poll::Ready(Ok(())));
}
