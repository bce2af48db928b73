//! The dashboards in `dashboards/`: each of their queries returns rows of a real run from the real database.
//!
//! Tests are skipped if the programs are not installed.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::databases::{Database, Kind, are_installed};
use crate::golo_run::{Ended, GoloRun};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

/// Name of the job.
const JOB: &str = "shop of dashboards";
/// Names of the dashboards, each with the type of its data source.
const BOARDS: [(&str, &str); 3] =
    [("golo-prometheus", "prometheus"), ("golo-influxdb", "influxdb"), ("golo-store", "frser-sqlite-datasource")];

/// A query of a dashboard.
struct Query {
    /// Title of the panel, or name of the variable.
    of: String,
    text: String,
    target: Value,
}

/// A run, with the time in which it was.
struct Run {
    id: String,
    ended: Ended,
    from: SystemTime,
    to: SystemTime,
}

fn board(name: &str) -> Value {
    let path = format!("{}/../dashboards/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Returns all queries: those of variables, then those of panels.
fn queries(board: &Value) -> (Vec<Query>, Vec<Query>) {
    let text = |value: &Value, keys: &[&str]| {
        let found: Vec<_> = keys.iter().filter_map(|key| value[key].as_str()).collect();
        assert_eq!(found.len(), 1, "one query of {keys:?}: {value}");
        found[0].to_owned()
    };
    let name = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let variables = board["templating"]["list"].as_array().unwrap().iter().filter(|one| one["type"] == "query");
    let variables = variables
        .map(|one| Query { of: name(one, "name"), text: text(one, &["query"]), target: one.clone() })
        .collect();
    let of_panel = |panel: &Value| -> Vec<Query> {
        let of = name(panel, "title");
        let targets = panel["targets"].as_array().unwrap().iter();
        let query = |target: &Value| {
            let text = text(target, &["expr", "query", "rawQueryText"]);
            Query { of: of.clone(), text, target: target.clone() }
        };
        targets.map(query).collect()
    };
    (variables, board["panels"].as_array().unwrap().iter().flat_map(of_panel).collect())
}

/// Replaces variables of Grafana. Panics if others are left.
fn replaced(query: &Query, variables: &[(&str, &str)]) -> String {
    let text = variables.iter().fold(query.text.clone(), |text, (name, value)| text.replace(name, value));
    let left = text.replace("$/", "/");
    assert!(!left.contains('$'), "unknown variable in {}: {text}", query.of);
    text
}

async fn run(outputs: &[String]) -> Run {
    let target = sample_service::start().unwrap();
    let from = SystemTime::now();
    let mut flags = vec!["--name", JOB];
    flags.extend("-r 40/s -d 5".split(' '));
    let ended = GoloRun::start_with(&target, &flags, outputs, &[]).end().await;
    assert!(matches!(ended.code, Some(0 | 96)), "{}", ended.text);
    let store = Connection::open(ended.store()).unwrap();
    let id = store.query_row("SELECT run FROM runs", [], |row| row.get(0)).unwrap();
    Run { id, ended, from, to: SystemTime::now() + Duration::from_secs(1) }
}

fn milliseconds(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).unwrap().as_millis().to_string()
}

fn requests(run: &Run) -> f64 {
    run.ended.number("/requests/total/duration/count")
}

#[test]
fn dashboards_are_complete() {
    for (name, source) in BOARDS {
        let board = board(name);
        assert_eq!((board["uid"].as_str(), board["schemaVersion"].as_u64()), (Some(name), Some(42)));
        let variables = board["templating"]["list"].as_array().unwrap();
        let names: Vec<_> = variables.iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!((names, variables[0]["query"].as_str()), (vec!["datasource", "job", "run"], Some(source)));
        let panels = board["panels"].as_array().unwrap();
        let mut places = HashSet::new();
        for panel in panels {
            let text = |key: &str| panel[key].as_str().filter(|text| !text.is_empty());
            assert!(text("title").is_some() && text("description").is_some(), "{name}: {panel}");
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}: {panel}");
            let place = &panel["gridPos"];
            let [x, w] = ["x", "w"].map(|key| place[key].as_u64().unwrap());
            assert!(x + w <= 24 && places.insert(place.to_string()), "{name}: {place}");
            let refs: HashSet<_> =
                panel["targets"].as_array().unwrap().iter().map(|one| one["refId"].as_str()).collect();
            assert_eq!(refs.len(), panel["targets"].as_array().unwrap().len(), "{name}: {panel}");
        }
        let ids: HashSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert!(ids.len() == panels.len() && panels.len() >= 15, "{name}: {ids:?}");
        let sources = board.to_string().matches(&format!("\"type\":\"{source}\",\"uid\":\"${{datasource}}\"")).count();
        assert_eq!(sources, panels.len() + 2, "{name}: all panels and variables use the chosen data source");
    }
}

#[tokio::test]
async fn every_query_of_prometheus_returns_rows() {
    if !are_installed(&[Kind::Prometheus]) {
        return;
    }
    let prometheus = Database::start(Kind::Prometheus).await;
    let run = run(&[format!("prometheus-rw={}", prometheus.url("/api/v1/write"))]).await;
    assert!(!run.ended.text.contains("were dropped"), "{}", run.ended.text);
    let (variables, panels) = queries(&board("golo-prometheus"));
    let known = [("$job", JOB), ("$run", &run.id), ("$__rate_interval", "4s"), ("$__range", "1h")];
    for variable in variables {
        let text = replaced(&variable, &known);
        let inside = text.strip_prefix("label_values(").and_then(|text| text.strip_suffix(')')).unwrap();
        let (metric, label) = inside.rsplit_once(", ").unwrap();
        let answer = prometheus.get(&format!("/api/v1/label/{label}/values"), &[("match[]", metric)]).await;
        let expected = if variable.of == "job" { JOB } else { &*run.id };
        assert_eq!(answer["data"], serde_json::json!([expected]), "{text}: {answer}");
    }
    let seconds = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let (start, end) = (seconds(run.from), seconds(run.to));
    for query in panels {
        let text = replaced(&query, &known);
        if query.target["instant"] == true {
            let result = prometheus.promql(&text).await;
            assert_eq!(result.len(), 1, "{text}: {result:?}");
            if query.of == "Requests" {
                assert_eq!(result[0]["value"][1].as_str().unwrap().parse(), Ok(requests(&run)));
            }
            continue;
        }
        let parameters = [("query", &*text), ("start", &start), ("end", &end), ("step", "1")];
        let answer = prometheus.get("/api/v1/query_range", &parameters).await;
        let rows = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{text}: {answer}"));
        let values = rows.iter().flat_map(|row| row["values"].as_array().unwrap());
        let numbers = values.filter(|value| value[1] != "NaN").count();
        assert!(numbers > 0, "{}: {text}: {answer}", query.of);
    }
}

#[tokio::test]
async fn every_query_of_influxdb_returns_rows() {
    if !are_installed(&[Kind::Influxdb]) {
        return;
    }
    let influxdb = Database::start(Kind::Influxdb).await;
    influxdb.influxql("", "CREATE DATABASE load").await;
    let run = run(&[format!("influxdb={}", influxdb.url("/load"))]).await;
    let (variables, panels) = queries(&board("golo-influxdb"));
    let filter = format!("time >= {}ms AND time <= {}ms", milliseconds(run.from), milliseconds(run.to));
    let known = [
        ("$timeFilter", &*filter),
        ("$__interval_ms", "1000"),
        ("$__interval", "1s"),
        ("^$job$", &format!("^({JOB})$")),
        ("^$run$", &format!("^({})$", run.id)),
    ];
    for variable in variables {
        let text = replaced(&variable, &known);
        let series = influxdb.influxql("load", &text).await;
        let expected = if variable.of == "job" { JOB } else { &*run.id };
        assert_eq!(series[0]["values"], serde_json::json!([[variable.of, expected]]), "{text}");
    }
    for query in panels {
        let text = replaced(&query, &known);
        let series = influxdb.influxql("load", &text).await;
        let values = || series.as_array().into_iter().flatten().flat_map(|one| one["values"].as_array().unwrap());
        assert!(values().any(|row| row[1].is_number()), "{}: {text}: {series}", query.of);
        if query.of == "Requests" {
            assert_eq!(series[0]["values"][0][1].as_f64(), Some(requests(&run)));
        }
        if query.of == "Requests per second by route" {
            let sum: f64 = values().filter_map(|row| row[1].as_f64()).sum();
            assert_eq!(sum, requests(&run), "with intervals of a second, rates are counts");
        }
    }
}

#[tokio::test]
async fn every_query_of_the_store_returns_rows() {
    let run = run(&[]).await;
    // As Grafana opens it: without the right to write.
    let store = Connection::open_with_flags(run.ended.store(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let (variables, panels) = queries(&board("golo-store"));
    let (from, to) = (milliseconds(run.from - Duration::from_secs(1)), milliseconds(run.to));
    let (job, id) = (format!("'{JOB}'"), format!("'{}'", run.id));
    let known = [("${job:sqlstring}", &*job), ("${run:sqlstring}", &id), ("$__from", &from), ("$__to", &to)];
    for query in variables.iter().chain(&panels) {
        let text = replaced(query, &known);
        let mut select = store.prepare(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let names: Vec<_> = select.column_names().map(str::to_owned).collect();
        let width = names.len();
        let rows = select.query_map([], |row| (0..width).map(|at| row.get(at)).collect::<Result<Vec<Cell>, _>>());
        let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
        assert!(!rows.is_empty() && rows.iter().any(|row| row.iter().any(|cell| *cell != Cell::Null)), "{text}");
        if query.target["type"] == "query" {
            let Cell::Text(found) = &rows[0][0] else { panic!("no text: {rows:?}") };
            assert_eq!((rows.len(), width), (1, 1), "{text}");
            if query.of == "job" {
                assert_eq!(found, JOB);
            } else {
                assert_eq!(query.target["regex"], r"/^(?<text>.*) \| (?<value>[^|]+)$/");
                let (shown, value) = found.rsplit_once(" | ").unwrap();
                assert!(shown.starts_with(&format!("{JOB}, 20")) && value == run.id, "{found}");
            }
            continue;
        }
        assert_eq!(query.target["queryText"], query.target["rawQueryText"], "{}", query.of);
        for column in query.target["timeColumns"].as_array().unwrap() {
            assert!(names.contains(&column.as_str().unwrap().to_owned()), "no {column}: {text}");
        }
        match &*query.of {
            "Requests" => assert_eq!(rows, [[Cell::Integer(requests(&run) as i64)]]),
            "Runs" => assert!(rows[0].contains(&Cell::Text("PASSED".to_owned())) || run.ended.code == Some(96)),
            _ => {}
        }
    }
}
