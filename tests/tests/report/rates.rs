//! Rates per second are computed over the duration of the load. Requests that end in the grace are counted and reported
//! separately.

use serde_json::Value;

use crate::call::{Call, Ran, sample};

const SECOND: u64 = 1_000_000_000;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

/// Asserts that all reports divide the requests that ended during the load by its duration. Returns the number of
/// requests that ended afterwards.
#[track_caller]
fn assert_rates(ran: &Ran) -> u64 {
    let summary = ran.summary();
    let (run, total) = (&summary["run"], &summary["requests"]["total"]);
    assert_eq!((&run["rate_time"], &run["rates_count_after_load"]), (&run["load_time"], &Value::Bool(false)));
    let (count, after) = (number(&total["duration"]["count"]), number(&total["after_load"]));
    let expected = (count - after) as f64 / (number(&run["load_time"]) as f64 / 1e9);
    let is_near = |rate: f64| (rate - expected).abs() <= 0.001 + expected * 1e-6;
    assert!(is_near(total["rate"].as_f64().unwrap()), "{} is not {expected}", total["rate"]);
    let row = ran.table("stats").pop().unwrap();
    assert!(is_near(row["requests_per_second"].parse().unwrap()), "{row:?}");
    assert_eq!(row["after_load"], after.to_string());
    let done = number(&summary["load"]["done"]) - number(&summary["triggers"]["after_load"]);
    let iterations = done as f64 / (number(&run["load_time"]) as f64 / 1e9);
    for threshold in summary["thresholds"].as_array().unwrap() {
        let judged = threshold["value"].as_f64().unwrap();
        match threshold["metric"].as_str().unwrap() {
            "iterations" => assert!((judged - iterations).abs() < 0.001, "{threshold}: {iterations}"),
            "http_reqs" => assert!(is_near(judged), "{threshold}"),
            _ => assert_eq!(judged, 0.0),
        }
    }
    let said = format!("{after} request{} ended after the load", if after == 1 { "" } else { "s" });
    let is_said = ran.finished.stdout.iter().any(|line| line.trim_start().starts_with(&said));
    assert_eq!(is_said, after > 0, "{said}: {:#?}", ran.finished.stdout);
    after
}

/// Asserts that the run passed, or that the machine was too busy for it.
#[track_caller]
fn assert_passed(ran: &Ran) {
    let is_late = ran.finished.code == Some(96) && ran.headline().contains("starts were late");
    ran.assert_ended_with(if is_late { 96 } else { 0 }, if is_late { "INVALID" } else { "PASSED" });
}

#[tokio::test]
async fn slow_request_does_not_lower_the_rate_of_the_others() {
    let target = sample();
    let thresholds = ["http_reqs rate>0", "iterations rate>0"];
    // An open model, a closed model with a pace, and one without.
    for plan in ["-r 50/s", "-u 3 --pace 50ms", "-u 2"] {
        let ran = Call::new(&target, "slow first", &format!("{plan} -d 1")).with(&thresholds).finish().await;
        assert_passed(&ran);
        let summary = ran.summary();
        assert_eq!(number(&summary["run"]["load_time"]), SECOND);
        assert!(number(&summary["run"]["whole_time"]) > 2 * SECOND, "the slow one ended in the grace");
        assert!(assert_rates(&ran) >= 1, "{plan}");
        let starts = &summary["load"];
        assert_eq!(
            number(&starts["done"]),
            number(&summary["requests"]["total"]["duration"]["count"]),
            "all is counted"
        );
    }
}

#[tokio::test]
async fn rate_is_0_if_all_requests_end_in_the_grace() {
    let target = sample();
    let thresholds = ["http_reqs rate==0", "iterations rate==0", "data_received rate==0"];
    let ran = Call::new(&target, "all slow", "-r 20/s -d 1").with(&thresholds).finish().await;
    assert_passed(&ran);
    assert_eq!(assert_rates(&ran), 20);
    let summary = ran.summary();
    assert!(number(&summary["requests"]["total"]["received"]) > 0);
    let held = |threshold: &Value| threshold["passed"] == true;
    assert!(summary["thresholds"].as_array().unwrap().iter().all(held), "{}", summary["thresholds"]);
}

#[tokio::test]
async fn load_with_iterations_ends_with_the_last_start() {
    let target = sample();
    let ran = Call::new(&target, "slow first", "-r 50/s -i 50").with(&["http_reqs rate>0"]).finish().await;
    assert_passed(&ran);
    let summary = ran.summary();
    let load_time = number(&summary["run"]["load_time"]);
    assert!(load_time >= SECOND * 98 / 100, "{load_time}");
    assert!(number(&summary["run"]["whole_time"]) >= load_time + SECOND, "the slow one takes longer");
    assert!(assert_rates(&ran) >= 1);

    // With all starts at the same time, the rate is over the whole run.
    let ran = Call::new(&target, "all slow", "-u 5 -i 5").with(&["http_reqs rate>0"]).finish().await;
    assert_passed(&ran);
    let run = ran.summary()["run"].clone();
    assert_eq!((&run["rate_time"], &run["rates_count_after_load"]), (&run["whole_time"], &Value::Bool(true)));
    assert!(!ran.finished.stdout.iter().any(|line| line.contains("after the load")), "{:#?}", ran.finished.stdout);
}
