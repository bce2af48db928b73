//! Percentiles and buckets, compared with the exact values from the raw lines of the same run.

use std::collections::BTreeMap;

use golo::{engine::histogram::Histogram, report::Distribution};
use serde_json::Value;

use crate::call::{Call, Ran, sample};

/// Maximum relative error of the summary's percentiles.
const ERROR: f64 = 0.001;

/// Returns the sorted durations of requests, without measured steps.
fn durations(ran: &Ran) -> Vec<u64> {
    let outputs = ran.outputs();
    let requests = outputs.iter().filter(|output| output["method"] != "MEASURE");
    let mut durations: Vec<_> = requests.map(|output| output["duration"].as_u64().unwrap()).collect();
    durations.sort_unstable();
    durations
}

/// Returns the exact quantile by nearest rank.
fn exact(sorted: &[u64], quantile: f64) -> u64 {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[tokio::test]
async fn percentiles_match_the_raw_lines() {
    let target = sample();
    for flags in ["-u 1 -i 1", "-u 3 -i 3", "-u 4 -i 1000", "-r 400/s -d 2 --workers 2"] {
        let ran = Call::new(&target, "mixed", flags).finish().await;
        let sorted = durations(&ran);
        let total = ran.summary()["requests"]["total"]["duration"].clone();
        assert_eq!(total["count"], sorted.len());
        assert_eq!([&total["min"], &total["max"]], [sorted[0], sorted[sorted.len() - 1]], "these are exact");
        assert_eq!(total["sum"], sorted.iter().sum::<u64>(), "and so is this");
        let mean = total["sum"].as_f64().unwrap() / sorted.len() as f64;
        assert!((total["mean"].as_f64().unwrap() - mean).abs() < 1.0);
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)] {
            let (said, exact) = (total[name].as_f64().unwrap(), exact(&sorted, quantile) as f64);
            assert!((said - exact).abs() <= exact * ERROR, "{flags}: {name} is {said}, and should be {exact}");
        }
    }
}

fn buckets(distribution: &Value) -> BTreeMap<u64, u64> {
    serde_json::from_value::<Vec<(u64, u64)>>(distribution["buckets"].clone()).unwrap().into_iter().collect()
}

#[tokio::test]
async fn buckets_of_routes_add_up_to_the_total() {
    let target = sample();
    let ran = Call::new(&target, "mixed", "-u 4 -i 500").finish().await;
    let summary = ran.summary();
    let total = &summary["requests"]["total"]["duration"];
    let mut all = BTreeMap::<u64, u64>::new();
    for route in summary["requests"]["routes"].as_array().unwrap() {
        for (low, count) in buckets(&route["duration"]) {
            *all.entry(low).or_default() += count;
        }
    }
    assert_eq!(all, buckets(total));
    let lows: Vec<_> = all.keys().copied().collect();
    let mut counts = BTreeMap::<u64, u64>::new();
    for duration in durations(&ran) {
        let at = lows.partition_point(|low| *low <= duration) - 1;
        assert!((duration - lows[at]) as f64 <= lows[at] as f64 / 1024.0, "a bucket is that wide at most");
        *counts.entry(lows[at]).or_default() += 1;
    }
    assert_eq!(counts, all, "each line is in the bucket below it");
}

#[tokio::test]
async fn written_distribution_converts_back_to_a_histogram() {
    let target = sample();
    let ran = Call::new(&target, "mixed", "-u 4 -i 500").finish().await;
    let summary = ran.summary();
    let read = |value: &Value| serde_json::from_value::<Distribution>(value.clone()).unwrap();
    let total = read(&summary["requests"]["total"]["duration"]);
    let mut merged = Histogram::new();
    for route in summary["requests"]["routes"].as_array().unwrap() {
        merged.merge(&Histogram::from(&read(&route["duration"])));
    }
    assert_eq!(Distribution::from(&merged), total);
    let mut counted = Histogram::new();
    durations(&ran).into_iter().for_each(|duration| counted.record(duration));
    assert_eq!(Distribution::from(&counted), total);
}
