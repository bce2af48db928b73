//! Tests of the page "Thresholds in CI": golo accepts its examples.

use golo::report::Threshold;

use crate::call::{Call, sample};

const PAGE: &str = include_str!("../../../golo/docs/thresholds-in-ci.md");

#[test]
fn every_documented_threshold_parses() {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | ")).map(|(first, _)| first);
    let thresholds: Vec<_> = rows.filter(|first| first.contains(['<', '>', '='])).collect();
    assert_eq!(thresholds.len(), 22, "{thresholds:?}");
    for threshold in thresholds {
        threshold.parse::<Threshold>().unwrap_or_else(|error| panic!("{threshold}: {error}"));
    }
}

#[tokio::test]
async fn documented_job_file_runs() {
    let (_, file) = PAGE.split_once("```toml\n").unwrap();
    let (file, _) = file.split_once("```").unwrap();
    let target = sample();
    let mut call = Call::plain(&target, "mixed", "-i 8 -f load/nightly.toml");
    std::fs::create_dir(call.path("load")).unwrap();
    std::fs::write(call.path("load/nightly.toml"), file).unwrap();
    call.command.current_dir(call.path(""));
    let ran = call.finish().await;
    ran.assert_ended_with(99, "FAILED");
    let summary = std::fs::read_to_string(ran.path("load/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["run"]["plan"], "8 iterations by 20 users for at most 5s");
    assert_eq!(summary["thresholds"].as_array().unwrap().len(), 4);
    assert!(ran.path("load/junit.xml").is_file());
}
