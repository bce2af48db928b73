//! All reports must have the same numbers: the summary file, the tables, the JUnit file, the terminal, and the target's
//! counter.

use std::collections::BTreeMap;

use sample_service::SampleService;
use serde_json::Value;

use crate::call::{Call, Ran, Row, sample};

/// Number of requests and of failed requests, by method and name of the route.
type Routes = BTreeMap<(String, String), (u64, u64)>;

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

fn read(row: &Row, name: &str) -> u64 {
    row[name].parse().unwrap_or_else(|_| panic!("{name} of {row:?}"))
}

fn sum<'a>(values: impl IntoIterator<Item = &'a Value>, key: &str) -> u64 {
    values.into_iter().map(|value| number(&value[key])).sum()
}

/// Asserts that every report of an uninterrupted run has the same numbers. Returns the number of requests.
#[track_caller]
fn assert_same(ran: &Ran, target: &SampleService) -> u64 {
    let summary = ran.summary();
    let (steps, outputs): (Vec<_>, Vec<_>) =
        ran.outputs().into_iter().partition(|output| output["method"] == "MEASURE");
    assert_steps(ran, &summary, &steps);
    let all = outputs.len() as u64;
    let failed = outputs.iter().filter(|output| !output["error"].is_null() || output["status"].as_u64() >= Some(400));
    let failed = failed.count() as u64;
    assert_eq!((target.counter().seen, target.counter().answered), (all, all));
    let total = &summary["requests"]["total"];
    assert_eq!((number(&total["duration"]["count"]), number(&total["failed"])), (all, failed));
    assert_eq!(number(&total["received"]), outputs.iter().filter_map(|output| output["size"].as_u64()).sum::<u64>());
    assert_routes(ran, &summary, all, failed);
    assert_timeline(ran, &summary, all, failed);
    let statuses = summary["statuses"].as_array().unwrap();
    let answered = outputs.iter().filter(|output| output["status"].as_u64() > Some(0)).count() as u64;
    assert_eq!(sum(statuses, "count"), answered);
    let errors = summary["errors"].as_array().unwrap();
    let table = ran.table("failures");
    let rows: Vec<_> = table.iter().map(|row| (row["error"].clone(), read(row, "count"))).collect();
    let said: Vec<_> = errors.iter().map(|error| (text(&error["text"]), number(&error["count"]))).collect();
    assert_eq!(rows, said);
    assert_printed(ran, "Requests", all);
    all
}

/// Asserts the numbers of measured steps, which do not count as requests.
#[track_caller]
fn assert_steps(ran: &Ran, summary: &Value, outputs: &[Value]) {
    let all = outputs.len() as u64;
    let failed = outputs.iter().filter(|output| !output["error"].is_null()).count() as u64;
    let steps = &summary["steps"];
    assert_eq!((number(&steps["total"]["duration"]["count"]), number(&steps["total"]["failed"])), (all, failed));
    let named = steps["steps"].as_array().unwrap();
    assert_eq!(named.iter().map(|step| number(&step["duration"]["count"])).sum::<u64>(), all);
    let mut table = ran.table("steps");
    let total = table.pop().unwrap();
    assert_eq!((&*total["step"], read(&total, "count"), read(&total, "failed")), ("total", all, failed));
    assert_eq!(table.iter().map(|row| read(row, "count")).sum::<u64>(), all);
    let points = summary["timeline"]["points"].as_array().unwrap();
    assert_eq!((sum(points, "steps"), sum(points, "steps_failed")), (all, failed));
    assert_printed(ran, "Steps", all);
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Asserts that the routes of the summary file and of the table are the same.
#[track_caller]
fn assert_routes(ran: &Ran, summary: &Value, all: u64, failed: u64) {
    let routes = summary["requests"]["routes"].as_array().unwrap();
    let said: Routes = routes
        .iter()
        .map(|route| {
            let name = (text(&route["method"]), text(&route["route"]));
            (name, (number(&route["duration"]["count"]), number(&route["failed"])))
        })
        .collect();
    assert_eq!(said.len(), routes.len());
    let mut table = ran.table("stats");
    let total = table.pop().unwrap();
    let rows: Routes = table
        .iter()
        .map(|row| {
            let name = (row["method"].clone(), row["route"].clone());
            (name, (read(row, "requests"), read(row, "failed")))
        })
        .collect();
    assert_eq!(rows, said);
    assert_eq!((&*total["route"], read(&total, "requests"), read(&total, "failed")), ("total", all, failed));
    let sums = said.values().fold((0, 0), |(count, failed), route| (count + route.0, failed + route.1));
    assert_eq!(sums, (all, failed));
}

/// Asserts that the timelines of the summary file and of the table are the same.
#[track_caller]
fn assert_timeline(ran: &Ran, summary: &Value, all: u64, failed: u64) {
    let points = summary["timeline"]["points"].as_array().unwrap();
    let rows = ran.table("stats_history");
    assert_eq!(rows.len(), points.len());
    let of_rows = |name: &str| rows.iter().map(|row| read(row, name)).sum::<u64>();
    assert_eq!((sum(points, "requests"), sum(points, "requests_failed")), (all, failed));
    assert_eq!((of_rows("requests"), of_rows("requests_failed")), (all, failed));
    for name in ["due", "done"] {
        assert_eq!(
            (sum(points, name), of_rows(name)),
            (number(&summary["load"][name]), number(&summary["load"][name]))
        );
    }
    let in_points = |key: &str| {
        let pairs = points.iter().flat_map(|point| point[key].as_array().unwrap());
        pairs.map(|pair| number(&pair[1])).sum::<u64>()
    };
    assert_eq!((in_points("statuses"), in_points("heat")), (all, all));
}

/// Asserts the total of a printed table, and that no line is broken or too wide.
#[track_caller]
fn assert_printed(ran: &Ran, title: &str, all: u64) {
    let lines = &ran.finished.stdout;
    let is_head = |line: &&String| line.starts_with(title) && line.contains("failed");
    let table = lines.iter().skip_while(|line| !is_head(line)).take_while(|line| !line.is_empty());
    let total = table.into_iter().find(|line| line.starts_with("  total "));
    let said = total.map_or(0, |line| line.split_whitespace().nth(1).unwrap().replace(',', "").parse().unwrap());
    assert_eq!(said, all, "{lines:#?}");
    for line in lines {
        let is_torn = line.chars().any(char::is_control) || ["NaN", "inf"].iter().any(|part| line.contains(part));
        assert!(!is_torn && unicode_width::UnicodeWidthStr::width(&**line) <= 80, "{line:?}");
    }
}

#[tokio::test]
async fn mixed_run_has_the_same_numbers_in_all_reports() {
    let target = sample();
    let ran = Call::new(&target, "mixed", "-u 4 -i 200 --workers 2").finish().await;
    ran.assert_reported(0, "PASSED");
    assert_eq!(assert_same(&ran, &target), 200 * 3 + 50);
    let summary = ran.summary();
    assert_eq!(summary["requests"]["routes"].as_array().unwrap().len(), 4);
    assert_eq!(number(&summary["steps"]["total"]["duration"]["count"]), 200);
    let check = |name: &str| {
        let checks = summary["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        (number(&check["passed"]), number(&check["failed"]))
    };
    assert_eq!((check("all is well"), check("the number is even")), ((200, 0), (100, 100)));
    assert_eq!(number(&summary["journeys"]["duration"]["count"]), 200);
}

#[tokio::test]
async fn run_without_a_request_has_empty_figures() {
    let target = sample();
    let ran = Call::new(&target, "nothing", "-u 2 -i 20").finish().await;
    ran.assert_reported(0, "PASSED");
    assert_eq!(assert_same(&ran, &target), 0);
    let total = &ran.summary()["requests"]["total"];
    assert!(total["duration"]["p50"].is_null() && total["duration"]["mean"].is_null() && total["rate"] == 0.0);
    let row = &ran.table("stats")[0];
    assert_eq!(
        (&*row["p50_ms"], &*row["avg_ms"], &*row["max_ms"], &*row["requests_per_second"]),
        ("", "", "", "0.000")
    );
}

#[tokio::test]
async fn run_without_a_trigger_is_reported() {
    let target = sample();
    let ran = Call::new(&target, "get", "-r 1/h --arrivals poisson -d 100ms").finish().await;
    ran.assert_reported(0, "PASSED");
    assert_eq!(assert_same(&ran, &target), 0);
    assert_eq!(ran.headline(), "PASSED, but no request was made: no trigger ended");
}

#[tokio::test]
async fn percentiles_of_one_request_are_its_duration() {
    let target = sample();
    let ran = Call::new(&target, "get", "-u 1 -i 1").finish().await;
    ran.assert_reported(0, "PASSED");
    assert_eq!((assert_same(&ran, &target), ran.headline()), (1, "PASSED: 1 request, none failed".to_owned()));
    let total = &ran.summary()["requests"]["total"]["duration"];
    assert_eq!([&total["p50"], &total["p999"], &total["max"], &total["sum"]], [&total["min"]; 4]);
}

#[tokio::test]
async fn run_whose_requests_all_failed_is_reported() {
    let target = sample();
    let ran = Call::new(&target, "fail", "-u 2 -i 30").finish().await;
    ran.assert_reported(99, "FAILED");
    assert_eq!(assert_same(&ran, &target), 30);
    assert_eq!(ran.headline(), "FAILED: nothing succeeded: every request failed: status 500");
    let errors = ran.summary()["errors"].clone();
    assert_eq!((&errors[0]["kind"], &errors[0]["count"]), (&"status".into(), &30.into()));
}

#[tokio::test]
async fn routes_beyond_a_thousand_are_counted_together() {
    let target = sample();
    for (iterations, routes) in [(900, 900), (1500, 1001)] {
        target.reset_counter();
        let ran = Call::new(&target, "many routes", &format!("-u 4 -i {iterations} --workers 2")).finish().await;
        ran.assert_reported(0, "PASSED");
        assert_eq!(assert_same(&ran, &target), iterations);
        let known = ran.summary()["requests"]["routes"].as_array().unwrap().len();
        assert!(known <= routes && (iterations > 900 || known == routes), "{known}");
        let more = format!("  … and {} more routes", known - 50);
        assert!(ran.finished.stdout.contains(&more), "{more}: {:#?}", ran.finished.stdout);
        let other = ran.summary()["requests"]["routes"].as_array().unwrap().iter().any(|route| route["method"] == "");
        assert_eq!(other, iterations > 1000, "what is beyond the limit is together");
    }
}

#[tokio::test]
async fn long_route_is_whole_in_files_and_cut_on_the_terminal() {
    let target = sample();
    let ran = Call::new(&target, "a long route", "-u 2 -i 30").finish().await;
    ran.assert_reported(0, "PASSED");
    assert_eq!(assert_same(&ran, &target), 30);
    let route = text(&ran.summary()["requests"]["routes"][0]["route"]);
    assert_eq!((route.chars().count(), &ran.table("stats")[0]["route"]), (300, &route));
    assert!(ran.finished.stdout.iter().any(|line| line.contains("  GET /xxx") && line.contains('…')));
}

#[tokio::test]
async fn route_of_wide_characters_fits_the_terminal() {
    let target = sample();
    let ran = Call::new(&target, "a wide route", "-u 2 -i 30").finish().await;
    ran.assert_reported(0, "PASSED");
    assert_eq!(assert_same(&ran, &target), 30);
}

#[tokio::test]
async fn hostile_route_breaks_no_report() {
    let target = sample();
    let ran = Call::new(&target, "a hostile route", "-u 2 -i 30").finish().await;
    ran.assert_reported(0, "PASSED");
    assert_eq!(assert_same(&ran, &target), 30);
}

#[tokio::test]
async fn tags_are_the_same_in_all_reports() {
    let target = sample();
    let ran = Call::new(&target, "tags", "-u 3 -i 60")
        .with(&["tag{amount} avg>2", "tag{parity:odd} count==30"])
        .finish()
        .await;
    ran.assert_reported(0, "PASSED");
    let summary = ran.summary();
    let [amount, parity] = &summary["tags"]["keys"].as_array().unwrap()[..] else { panic!("{}", summary["tags"]) };
    assert_eq!((&amount["key"], &parity["key"]), (&"amount".into(), &"parity".into()), "by length, then by bytes");
    let numbers = &amount["numbers"];
    let figures = ["count", "mean", "min", "max"].map(|key| numbers[key].as_f64().unwrap());
    assert_eq!(figures, [60.0, 2.375, -5.0, 9.75]);
    let rows = ran.table("tags");
    let row = |key: &str, value: &str| rows.iter().find(|row| row["key"] == key && row["value"] == value).unwrap();
    assert_eq!((&*row("parity", "odd")["count"], &*row("parity", "even")["failed"]), ("30", "0"));
    assert_eq!((&*row("amount", "")["min"], &*row("amount", "")["avg"]), ("-5.000", "2.375"));
    assert!(ran.finished.stdout.iter().any(|line| line.starts_with("  parity: odd")), "{:#?}", ran.finished.stdout);
}

#[tokio::test]
async fn hostile_tags_break_no_report() {
    let target = sample();
    let ran = Call::new(&target, "hostile tags", "-u 2 -i 30").finish().await;
    ran.assert_reported(0, "PASSED");
    let stdout = ran.finished.stdout.concat();
    assert!(stdout.contains("\\u{1b}[2J") && !stdout.contains('\u{1b}'), "{stdout}");
    assert_eq!(ran.table("tags").len(), 1);
}
