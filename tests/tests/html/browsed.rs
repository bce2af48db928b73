//! Pages as displayed by a browser.

use std::{collections::BTreeSet, path::Path};

use golo::engine::plan::Asked;
use serde_json::Value;

use crate::browser::{Seen, show};
use crate::made::{Load, Made};
use crate::written::Ran;

impl Seen {
    /// Checks that apply to every page.
    #[track_caller]
    fn assert_sound(&self, charts: usize) {
        assert_eq!(self.console, Vec::<String>::new());
        let found = &self.found;
        assert_eq!(found["error"], Value::Null);
        assert_eq!(found["resources"], Value::Array(Vec::new()), "nothing is asked of anywhere");
        assert_eq!(found["isScrolled"], false, "{} wide", found["width"]);
        let drawn = found["charts"].as_array().unwrap();
        assert_eq!(drawn.len(), charts);
        for chart in drawn {
            assert!(chart["isDrawn"] == true && chart["isBroken"] == false, "{chart}");
            assert!(chart["seen"].as_u64().unwrap() > 0, "nothing in {chart}");
            assert!(!chart["label"].as_str().unwrap().is_empty(), "{chart}");
            for marks in chart["axes"].as_array().unwrap() {
                let marks: Vec<_> = marks.as_array().unwrap().iter().map(|mark| mark.as_str().unwrap()).collect();
                let distinct: BTreeSet<_> = marks.iter().collect();
                assert_eq!(distinct.len(), marks.len(), "two marks of one axis read the same: {marks:?} of {chart}");
            }
            let width = |key: &str| chart[key].as_f64().unwrap();
            assert!((width("width") - width("drawnWidth")).abs() < 2.0, "{chart}");
        }
        // A duration has the same text in the table and in the chart.
        for figures in found["figures"].as_array().unwrap() {
            assert_eq!(figures["drawn"], figures["written"], "{}", figures["name"]);
        }
    }
}

async fn assert_sound(page: &Path, charts: usize) -> Option<Seen> {
    show(page, 360).await?.assert_sound(charts);
    let wide = show(page, 1300).await?;
    wide.assert_sound(charts);
    Some(wide)
}

async fn show_made(asked: Asked, load: Load) -> Option<Seen> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.html");
    std::fs::write(&path, Made::of(asked, &load).text()).unwrap();
    assert_sound(&path, 8).await
}

#[tokio::test]
async fn staged_run_with_failures_is_drawn() {
    let ran = Ran::staged().await;
    let Some(seen) = assert_sound(&ran.path(), 8).await else { return };
    let routes = |column: &str| seen.found["sorted"][column].as_array().unwrap().clone();
    assert_eq!(routes("0"), ["GET /flaky", "GET /items", "GET /items/{id}", "GET /slow"]);
    let count = |text: &Value| text.as_str().unwrap().replace(',', "").parse::<u64>().unwrap();
    assert!(routes("1").iter().map(count).is_sorted_by(|one, other| one >= other), "the most first");
}

#[tokio::test]
async fn script_in_the_text_of_a_load_test_is_not_executed() {
    let ran = Ran::of("hostile", "", &["-i", "3", "-u", "1"]).await;
    // Measured steps have no status chart and no heat map.
    let Some(seen) = assert_sound(&ran.path(), 4).await else { return };
    assert_eq!(seen.found["title"], "FAILED: hostile");
}

#[tokio::test]
async fn run_with_one_point_and_no_request_is_drawn() {
    let ran = Ran::of("nothing", "", &["-i", "1", "-u", "1"]).await;
    assert_sound(&ran.path(), 3).await;
}

#[tokio::test]
async fn axis_marks_of_short_runs_differ() {
    for seconds in [1, 6, 9] {
        let load = Load { seconds, routes: 2, requests: 3, durations: (1e6, 1e8), failing: 2 };
        show_made(
            Asked { users: Some(3), duration: Some(std::time::Duration::from_secs(seconds)), ..Asked::default() },
            load,
        )
        .await;
    }
}

#[tokio::test]
async fn run_whose_requests_all_failed_is_drawn() {
    let ran = Ran::of("shop", "http://127.0.0.1:9", &["-d", "1s", "-u", "2"]).await;
    assert_sound(&ran.path(), 8).await;
}

#[tokio::test]
async fn ten_minutes_of_durations_from_5_microseconds_to_50_minutes_are_drawn() {
    let load = Load { seconds: 600, routes: 30, requests: 3, durations: (5e3, 3e12), failing: 3 };
    let asked = Asked { stages: vec!["5m:90/s".parse().unwrap(), "5m:0/s".parse().unwrap()], ..Asked::default() };
    let Some(seen) = show_made(asked, load).await else { return };
    assert_eq!(seen.found["found"], "1 of 30");
}

#[tokio::test]
async fn two_days_are_drawn_with_points_of_several_minutes() {
    let load = Load { seconds: 2 * 86_400, routes: 1, requests: 1, durations: (1e6, 1.1e6), failing: 1 };
    show_made(
        Asked { users: Some(3), duration: Some(std::time::Duration::from_secs(2 * 86_400)), ..Asked::default() },
        load,
    )
    .await;
}
