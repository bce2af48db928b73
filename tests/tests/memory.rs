//! Memory cost of measuring. The test is alone in its process, because it measures the whole process.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::time::Duration;

use golo::OutputRef;
use golo::engine::recorder::Recorder;
use golo::engine::room::SERIES;
use golo::engine::snapshot::Snapshot;

const RECORDERS: usize = 16;
const VALUES: usize = 300;
const MOST: u64 = 256 << 20;

/// Returns the resident memory of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

/// Pseudo-random numbers from 0 to 1, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Records `values` requests in each series, from 100 µs to 1 s, with as many in each decade.
fn measure(recorder: &mut Recorder, values: usize, random: &mut Random) {
    for route in 0..SERIES {
        let line = format!(
            r#"{{"sequenceID":"s","url":"http://h/{route}","method":"GET","status":200,"size":3,"timestamp":"2026-11-22T10:05:13.123456789Z","duration":1,"error":null,"route":"/route-{route}"}}"#
        );
        let mut output = OutputRef::parse(&line).unwrap();
        for _ in 0..values {
            output.duration = Duration::from_secs_f64(1e-4 * 10f64.powf(4.0 * random.next()));
            recorder.output(&output);
        }
    }
}

#[test]
fn thousand_series_of_sixteen_workers_fit_in_256_mib() {
    let before = resident();
    let mut random = Random(1);
    let mut totals = Snapshot::default();
    let mut recorders: Vec<_> = (0..RECORDERS).map(|_| Recorder::default()).collect();
    // Two seconds: when the first one has been merged and recycled, the second one has not been taken yet.
    for second in 0..2 {
        for recorder in &mut recorders {
            measure(recorder, VALUES, &mut random);
        }
        if second == 0 {
            let taken: Vec<_> = recorders.iter_mut().map(Recorder::take).collect();
            taken.iter().for_each(|snapshot| totals.merge(snapshot));
            recorders.iter_mut().zip(taken).for_each(|(recorder, snapshot)| recorder.recycle(snapshot));
        }
    }
    let used = resident().saturating_sub(before);
    assert_eq!(totals.requests.len(), SERIES);
    assert_eq!(totals.requests_done(), (RECORDERS * SERIES * VALUES) as u64);
    assert!(used < MOST, "{} MiB, of which the totals have {} MiB", used >> 20, totals.bytes() >> 20);
    drop(recorders);
}
