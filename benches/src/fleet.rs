//! Cost of merging a fleet: one second of many agents, from the bytes of their records to the second of the run.

use std::hint::black_box;
use std::time::Duration;

use golo::engine::plan::{Asked, Plan};
use golo::engine::recorder::Recorder;
use golo::engine::share::Share;
use golo::engine::snapshot::Snapshot;
use golo::engine::{Options, Progress, RunEvent};
use golo::pb::engine::event::Event;
use golo::pb::results::{Record, record::Record as Kind};
use golo::{Output, Phases, wire};
use golo_cli::drive::merged_run::MergedRun;
use prost::Message as _;

use crate::Size;
use crate::compare::{cpu_time, quartiles};

const AGENTS: usize = 1_000;
const SERIES: usize = 50;
/// Requests of each series in a second.
const REQUESTS: usize = 20;

pub(crate) fn compare(size: Size) {
    let agents = if size.rounds > 1 { AGENTS } else { 10 };
    println!("\none second of {agents} agents, each with {SERIES} series of {REQUESTS} requests");
    // Of each agent another one.
    let records: Vec<_> = (0..agents).map(record).collect();
    let length: usize = records.iter().map(Vec::len).sum();
    println!("  {:<40}{:>9.1} KB an agent", "records as they are sent", length as f64 / agents as f64 / 1e3);
    let mut times: [Vec<f64>; 3] = Default::default();
    for _ in 0..size.rounds {
        let mut merged = MergedRun::new(plan(), options(), (0..agents).map(|number| number.to_string()));
        let begun = cpu_time();
        let events: Vec<Event> = records.iter().map(|record| decoded(record)).collect();
        times[0].push((cpu_time() - begun) as f64);
        let begun = cpu_time();
        for (number, event) in events.iter().enumerate() {
            merged.receive(number, black_box(event)).expect("it is valid");
        }
        times[1].push((cpu_time() - begun) as f64);
        let begun = cpu_time();
        let Some(RunEvent::Second(Progress { second, .. })) = merged.next_event() else { panic!("no second") };
        times[2].push((cpu_time() - begun) as f64);
        assert_eq!((second.requests.len(), second.requests_done()), (SERIES, (agents * SERIES * REQUESTS) as u64));
    }
    for (what, times) in ["decoding the records", "merging them", "adding the second to the totals"].iter().zip(&times)
    {
        let (low, middle, high) = quartiles(times);
        println!("  {what:<40}{:>9.1} ms CPU ({:.1}–{:.1})", middle / 1e6, low / 1e6, high / 1e6);
    }
}

fn plan() -> Plan {
    Plan::new(Asked::default()).expect("it is valid")
}

fn options() -> Options {
    Options { job_name: "fleet".to_owned(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None }
}

fn decoded(record: &[u8]) -> Event {
    match Record::decode_length_delimited(record).expect("it is a record").record {
        Some(Kind::Event(event)) => event.event.expect("it has an event"),
        other => panic!("no event: {other:?}"),
    }
}

/// Returns the first second of an agent, as its record.
fn record(agent: usize) -> Vec<u8> {
    let second = second(agent);
    let progress = Progress { elapsed: Duration::from_secs(1), second, users: 1, connections: 1 };
    let event = wire::event(&RunEvent::Second(progress));
    Record { at: 1_795_600_000_000_000_000, record: Some(Kind::Event(event)) }.encode_length_delimited_to_vec()
}

fn second(agent: usize) -> Snapshot {
    let mut recorder = Recorder::default();
    let mut state = agent as u32;
    let mut duration = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Duration::from_secs_f64(0.0005 - 0.001 * (1.0 - f64::from(state >> 8) / f64::from(1 << 24)).ln())
    };
    for series in 0..SERIES {
        let output = output(series);
        let mut output = output.as_ref();
        for _ in 0..REQUESTS {
            output.duration = duration();
            // The phases of a request on a reused connection.
            let mut phases = Phases::default();
            (phases.blocked, phases.sending) = (output.duration / 200, output.duration / 100);
            (phases.waiting, phases.receiving) = (output.duration / 2, output.duration / 4);
            output.phases = Some(phases);
            recorder.output(&output);
        }
    }
    recorder.take()
}

/// Returns an output of the route with this number, which is spelt in letters, because digits would be treated as an ID.
fn output(series: usize) -> Output {
    let letter = |number: usize| char::from(b'a' + (number % 26) as u8);
    let path = format!("path-{}{}/of/some/length", letter(series / 26), letter(series));
    let line = format!(
        r#"{{"sequenceID":"2f0c26b1-6d3f-4c5e-9a86-9f6d0b1f3a57","url":"http://127.0.0.1:8765/{path}","method":"GET","status":200,"size":12,"timestamp":"2026-11-22T10:29:20.123456789Z","duration":1234567,"error":null}}"#,
    );
    line.parse().expect("it is a line")
}
