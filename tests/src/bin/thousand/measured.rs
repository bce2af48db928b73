//! Measurements that simulated engines report: a few different seconds, in turn.

use std::time::Duration;

use golo::engine::recorder::Recorder;
use golo::engine::snapshot::Snapshot;
use golo::engine::spent::Spent;
use golo::{Output, Phases};

use crate::arguments::LoadArguments;

/// Number of different seconds.
pub(crate) const SECONDS: usize = 8;

/// Returns the different seconds.
pub(crate) fn seconds(load: LoadArguments) -> Vec<Snapshot> {
    (0..SECONDS as u64).map(|number| second(number, load)).collect()
}

/// Records a second as a worker does.
fn second(number: u64, load: LoadArguments) -> Snapshot {
    let mut recorder = Recorder::default();
    let mut durations = durations(number);
    for series in 0..load.series {
        let output = output(series);
        let mut output = output.as_ref();
        for _ in 0..load.requests {
            output.duration = durations();
            // The phases of a request on a reused connection.
            let mut phases = Phases::default();
            (phases.blocked, phases.sending) = (output.duration / 200, output.duration / 100);
            (phases.waiting, phases.receiving) = (output.duration / 2, output.duration / 4);
            output.phases = Some(phases);
            recorder.output(&output);
        }
    }
    let mut second = recorder.take();
    let triggers = &mut second.triggers;
    (triggers.due, triggers.done) = (load.series * load.requests, load.series * load.requests);
    for measure in second.requests.values() {
        triggers.service.merge(&measure.durations);
        triggers.response.merge(&measure.durations);
        let took = Duration::from_nanos(u64::try_from(measure.durations.sum()).unwrap_or(u64::MAX));
        triggers.spent.merge(Spent::of(took, took, Duration::ZERO));
    }
    (second.generator.busy, second.generator.time) = (Duration::from_millis(100), Duration::from_secs(1));
    second
}

/// Returns an output of the route with this number.
fn output(series: u64) -> Output {
    let line = format!(
        r#"{{"sequenceID":"2f0c26b1-6d3f-4c5e-9a86-9f6d0b1f3a57","url":"http://127.0.0.1:8765/{}/of/some/length","method":"GET","status":200,"size":12,"timestamp":"2026-11-22T10:29:20.123456789Z","duration":1234567,"error":null}}"#,
        letters(series)
    );
    #[expect(clippy::expect_used, reason = "the text above is a line, whatever the letters are")]
    line.parse().expect("it is a line")
}

/// Spells a number in letters, because digits would be treated as an ID.
fn letters(number: u64) -> String {
    let letter = |number: u64| char::from(b'a' + (number % 26) as u8);
    format!("path-{}{}", letter(number / 26), letter(number))
}

/// Returns a source of durations from 0.5 ms up, mostly short, which are the same for each `seed`.
fn durations(seed: u64) -> impl FnMut() -> Duration {
    let mut state = u32::try_from(seed).unwrap_or_default().wrapping_mul(2_654_435_761).wrapping_add(1);
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let share = f64::from(state >> 8) / f64::from(1 << 24);
        Duration::from_secs_f64(0.0005 - 0.001 * (1.0 - share).ln())
    }
}

/// Returns the sum of all seconds, each as often as `times` says.
pub(crate) fn sum(seconds: &[Snapshot], times: &[u64]) -> Snapshot {
    let mut sum = Snapshot::default();
    for (second, times) in seconds.iter().zip(times) {
        // By doubling, since merging is addition.
        let (mut left, mut power) = (*times, second.clone());
        while left > 0 {
            if left % 2 == 1 {
                sum.merge(&power);
            }
            power.merge(&power.clone());
            left /= 2;
        }
    }
    sum
}
