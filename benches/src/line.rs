//! Time to write an `Output` as a line, and to parse it back.

use std::hint::black_box;

use golo::{Output, OutputRef};

use crate::Size;
use crate::compare::{counted, has_valgrind, instructions, nanoseconds, quartiles, worker};

const LINE: &str = r#"{"sequenceID":"2f0c26b1-6d3f-4c5e-9a86-9f6d0b1f3a57","url":"http://127.0.0.1:8765/path/of/some/length?x=1","method":"GET","status":200,"size":12,"timestamp":"2026-11-22T10:29:20.123456789Z","duration":1234567,"error":null}"#;
const CONTESTANTS: [&str; 4] = ["write: serde_json", "write: golo", "read: owned", "read: borrowed"];

pub(crate) fn compare(size: Size) {
    println!("\na line of {} bytes", LINE.len() + 1);
    let count = size.counted > 0 && has_valgrind();
    for contestant in CONTESTANTS {
        let (low, middle, high) = quartiles(&nanoseconds(size.sample, |operations| work(contestant, operations)));
        let counted = if count {
            let count = |operations: u64| {
                let work = worker(&["line", contestant, &operations.to_string()]);
                instructions(&counted(&work).output().expect("it runs").stderr)
            };
            format!("{:>9.0} instructions  ", (count(30_000) - count(10_000)) / 20_000.0)
        } else {
            String::new()
        };
        println!("  {contestant:<28}{counted}{middle:>7.0} ns ({low:.0}–{high:.0})");
    }
}

pub(crate) fn work(contestant: &str, operations: u64) {
    let output: Output = LINE.parse().expect("it is a line");
    let output = output.as_ref();
    let mut buffer = Vec::with_capacity(512);
    for _ in 0..operations {
        match contestant {
            "write: golo" => {
                buffer.clear();
                black_box(&output).write_line(&mut buffer);
                black_box(&buffer);
            }
            "write: serde_json" => {
                buffer.clear();
                serde_json::to_writer(&mut buffer, black_box(&output)).expect("it is JSON");
                black_box(&buffer);
            }
            "read: borrowed" => {
                black_box(OutputRef::parse(black_box(LINE)).expect("it is a line"));
            }
            "read: owned" => {
                black_box(black_box(LINE).parse::<Output>().expect("it is a line"));
            }
            other => panic!("no contestant {other}"),
        }
    }
}
