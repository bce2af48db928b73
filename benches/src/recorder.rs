//! Cost of the recorder: recording a request, and adding one worker's second to the totals.

use std::{hint::black_box, time::Duration};

use golo::engine::recorder::{self, Recorder, RecorderSink};
use golo::engine::snapshot::Snapshot;
use golo::{Output, Phases, Sink as _};

use crate::Size;
use crate::compare::{counted, has_valgrind, instructions, nanoseconds, quartiles, worker};

const CONTESTANTS: [&str; 3] =
    ["recording, five series", "recording, a hundred series", "recording phases, five series"];
/// Requests in one second of a worker.
const SECOND: usize = 50_000;
const SERIES: usize = 100;

pub(crate) fn compare(size: Size) {
    println!("\na recorder");
    let count = size.counted > 0 && has_valgrind();
    for contestant in CONTESTANTS {
        let (low, middle, high) = quartiles(&nanoseconds(size.sample, |operations| work(contestant, operations)));
        let counted = if count {
            let count = |operations: u64| {
                let work = worker(&["recorder", contestant, &operations.to_string()]);
                instructions(&counted(&work).output().expect("it runs").stderr)
            };
            format!("{:>9.0} instructions  ", (count(300_000) - count(100_000)) / 200_000.0)
        } else {
            String::new()
        };
        println!("  {contestant:<28}{counted}{middle:>7.0} ns ({low:.0}–{high:.0})");
    }
    let second = second();
    assert_eq!((second.requests.len(), second.requests_done()), (SERIES, SECOND as u64));
    let mut totals = second.clone();
    let times = nanoseconds(size.sample, |operations| {
        (0..operations).for_each(|_| black_box(&mut totals).merge(black_box(&second)));
    });
    let (low, middle, high) = quartiles(&times);
    println!(
        "  {:<28}{:>7.0} µs ({:.0}–{:.0}), {SECOND} requests of {SERIES} series",
        "adding a second",
        middle / 1e3,
        low / 1e3,
        high / 1e3
    );
}

/// Records as a worker does, including taking and recycling each second.
pub(crate) fn work(contestant: &str, operations: u64) {
    let series = match contestant {
        "recording, five series" | "recording phases, five series" => 5,
        "recording, a hundred series" => SERIES,
        other => panic!("no contestant {other}"),
    };
    let has_phases = contestant == "recording phases, five series";
    let sink = RecorderSink::new(Vec::new());
    recorder::install(Recorder::default());
    let outputs = outputs(series);
    let mut outputs: Vec<_> = outputs.iter().map(Output::as_ref).collect();
    let durations = durations();
    for operation in 0..operations as usize {
        let output = &mut outputs[operation % series];
        output.duration = durations[operation % durations.len()];
        if has_phases {
            // The phases of a request on a reused connection.
            let mut phases = Phases::default();
            (phases.blocked, phases.sending) = (output.duration / 200, output.duration / 100);
            (phases.waiting, phases.receiving) = (output.duration / 2, output.duration / 4);
            output.phases = Some(phases);
        }
        sink.output(black_box(output));
        if operation % SECOND == SECOND - 1 {
            recorder::with(|recorder| {
                let second = recorder.take();
                recorder.recycle(black_box(second));
            });
        }
    }
}

fn second() -> Snapshot {
    let mut recorder = Recorder::default();
    let outputs = outputs(SERIES);
    let mut outputs: Vec<_> = outputs.iter().map(Output::as_ref).collect();
    let durations = durations();
    for request in 0..SECOND {
        let output = &mut outputs[request % SERIES];
        output.duration = durations[request % durations.len()];
        recorder.output(output);
    }
    recorder.take()
}

/// Returns outputs with different paths, like those of that many endpoints.
fn outputs(series: usize) -> Vec<Output> {
    let line = |number| {
        format!(
            r#"{{"sequenceID":"2f0c26b1-6d3f-4c5e-9a86-9f6d0b1f3a57","url":"http://127.0.0.1:8765/{}/of/some/length","method":"GET","status":200,"size":12,"timestamp":"2026-11-22T10:29:20.123456789Z","duration":1234567,"error":null}}"#,
            words(number)
        )
    };
    (0..series).map(|number| line(number).parse().expect("it is a line")).collect()
}

/// Spells a number in letters, because digits would be treated as an ID.
fn words(number: usize) -> String {
    let letter = |number: usize| char::from(b'a' + (number % 26) as u8);
    format!("path-{}{}", letter(number / 26), letter(number))
}

/// Returns durations from 0.5 ms up, mostly short, in random order. Their number is prime, so that every series gets
/// all of them.
fn durations() -> Vec<Duration> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24)
    };
    (0..10_007).map(|_| Duration::from_secs_f64(0.0005 - 0.001 * (1.0 - next()).ln())).collect()
}
