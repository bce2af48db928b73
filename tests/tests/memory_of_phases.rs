//! Memory cost of measuring the phases of requests. The test is alone in its process, because it measures the whole
//! process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use golo::engine::recorder::Recorder;
use golo::engine::room::SERIES;
use golo::engine::snapshot::Snapshot;
use golo::{OutputRef, Phases};

const RECORDERS: usize = 16;
const VALUES: usize = 50;
const MOST: u64 = 512 << 20;

/// Returns the resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

/// Records requests on reused connections, in more series than are kept separately.
fn measure(recorder: &mut Recorder, second: usize) {
    for route in 0..2 * SERIES {
        let line = format!(
            r#"{{"sequenceID":"s","url":"http://h/route-{}","method":"GET","status":200,"size":3,"timestamp":"2026-11-22T10:05:13.123456789Z","duration":1,"error":null}}"#,
            letters(route)
        );
        let mut output = OutputRef::parse(&line).unwrap();
        for value in 0..VALUES {
            output.duration = Duration::from_micros((1 + (route + value * 7 + second) % 1_000) as u64 * 100);
            let mut phases = Phases::default();
            (phases.sending, phases.waiting) = (output.duration / 50, output.duration / 2);
            phases.receiving = output.duration / 3;
            output.phases = Some(phases);
            recorder.output(&output);
        }
    }
}

/// Spells a number in letters, because digits would be treated as an ID.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(b'a' + digit - b'0')).collect()
}

#[test]
fn phases_of_thousand_series_of_sixteen_workers_fit_in_512_mib() {
    let before = resident();
    let mut totals = Snapshot::default();
    let mut recorders: Vec<_> = (0..RECORDERS).map(|_| Recorder::default()).collect();
    for second in 0..3 {
        for recorder in &mut recorders {
            measure(recorder, second);
        }
        let taken: Vec<_> = recorders.iter_mut().map(Recorder::take).collect();
        taken.iter().for_each(|snapshot| totals.merge(snapshot));
        recorders.iter_mut().zip(taken).for_each(|(recorder, snapshot)| recorder.recycle(snapshot));
    }
    let used = resident().saturating_sub(before);
    assert_eq!(totals.requests.len(), SERIES + 1, "the others share one");
    let phases = totals.phases();
    assert_eq!(phases.count(), (3 * RECORDERS * 2 * SERIES * VALUES) as u64);
    assert!(totals.bytes() > phases.bytes());
    assert!(used < MOST, "{} MiB, of which the totals have {} MiB", used >> 20, totals.bytes() >> 20);
    drop(recorders);
}
