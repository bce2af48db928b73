//! Cost of one request of a load test with three scenarios, compared with the same request of `hello`, which has none.

use crate::compare::{Target, counted, has_valgrind, instructions, pin, table};
use crate::hello::{Hello, answered};
use crate::{Options, Size};

const LOAD: &str = "-u 64 --workers 1";

pub(crate) fn compare(size: Size, options: &Options) {
    pin(Some(0));
    let target = Target::start(options.url.as_deref());
    pin(None);
    // Both are built in the same way.
    let contestants = [
        ("one function", options.hello(&target.url).with(size, "hello-alone", r#""mimalloc""#)),
        ("three scenarios", options.hello(&target.url).with_scenarios(size)),
    ];
    pin(Some(1));
    let mut cpu = vec![Vec::new(); contestants.len()];
    for _ in 0..size.rounds {
        for ((_, hello), times) in contestants.iter().zip(&mut cpu) {
            times.push(hello.run(&format!("{LOAD} -d {}ms", size.run.as_millis())).cpu_per_request());
        }
    }
    let counts: Vec<f64> = match size.counted > 0 && has_valgrind() {
        true => contestants.iter().map(|(_, hello)| per_request(hello, size.counted)).collect(),
        false => Vec::new(),
    };
    pin(None);
    let names = contestants.map(|(name, _)| name);
    table("a request of a load test with scenarios (64 users, one worker)", &names, &cpu, &counts);
}

/// Returns the instructions per request: the difference between a long and a short run, so that starting is not counted.
fn per_request(hello: &Hello, requests: u64) -> f64 {
    let count = |requests: u64| {
        let output = counted(&hello.command(&format!("{LOAD} -i {requests}"))).output().expect("it runs");
        answered(&output);
        instructions(&output.stderr)
    };
    (count(requests * 3) - count(requests)) / (requests * 2) as f64
}
