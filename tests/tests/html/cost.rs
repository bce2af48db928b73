//! Cost of pages. Run with `cargo test --release -p golo-tests --test html -- --ignored --nocapture`.

use std::{io::Write, time::Instant};

use golo::engine::plan::Asked;

use crate::made::{Load, Made};

/// A writer that counts bytes and discards them.
#[derive(Default)]
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Returns the peak memory of this process in MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e3
}

fn cost(what: &str, routes: usize, seconds: u64, requests: u64, failing: u64) {
    let load = Load { seconds, routes, requests, durations: (3e5, 2e9), failing };
    let asked = Asked { rate: Some(format!("{}/s", routes as u64 * requests).parse().unwrap()), ..Asked::default() };
    let made = Made::of(asked, &load);
    let before = peak();
    let begun = Instant::now();
    let mut counted = Counted::default();
    made.page(&mut counted);
    let (took, size) = (begun.elapsed(), counted.0 as f64 / 1e6);
    eprintln!("{what}: {size:.2} MB in {took:.2?}; memory {before:.0} MB before, {:.0} MB at most", peak());
    if let Some(folder) = std::env::var_os("GOLO_PAGES") {
        let path = std::path::Path::new(&folder).join(format!("{routes}-routes-{seconds}-seconds.html"));
        std::fs::write(path, made.text()).unwrap();
    }
}

#[test]
#[ignore = "measures"]
fn page_of_ten_minutes_and_20_routes() {
    cost("10 minutes, 20 routes", 20, 600, 50, 25);
}

#[test]
#[ignore = "measures"]
fn page_of_an_hour_and_1000_routes() {
    cost("1 hour, 1,000 routes", 1_000, 3_600, 5, 0);
}
