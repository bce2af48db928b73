//! `golo run -o influxdb=…` with InfluxDB and VictoriaMetrics. What they return must match the summary of the run.
//!
//! Tests are skipped if the programs are not installed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::databases::{Database, Kind, are_installed, free_port};
use crate::golo_run::{Ended, GoloRun};
use crate::waiting::until;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, routing::post};
use serde_json::Value;

/// Largest ratio of neighbouring bounds of buckets, which is the stated error of percentiles that are made of them.
const ERROR: f64 = 1.56;

/// InfluxDB and VictoriaMetrics.
struct Both {
    influxdb: Database,
    victoria: Database,
}

impl Both {
    /// Starts both, unless one is not installed.
    async fn start() -> Option<Self> {
        if !are_installed(&[Kind::Influxdb, Kind::VictoriaMetrics]) {
            return None;
        }
        let influxdb = Database::start(Kind::Influxdb).await;
        influxdb.influxql("", "CREATE DATABASE load").await;
        Some(Self { influxdb, victoria: Database::start(Kind::VictoriaMetrics).await })
    }

    /// Returns the outputs that send to both. `path` is that of VictoriaMetrics.
    fn outputs(&self, path: &str) -> [String; 2] {
        [self.influxdb.url("/load"), self.victoria.url(path)].map(|url| format!("influxdb={url}"))
    }

    /// Returns the values of a tag.
    async fn values(&self, tag: &str) -> BTreeSet<String> {
        self.victoria.settle().await;
        let series = self.influxdb.influxql("load", &format!("SHOW TAG VALUES WITH KEY = \"{tag}\"")).await;
        let rows = series.as_array().into_iter().flatten().flat_map(|series| series["values"].as_array().unwrap());
        let values: BTreeSet<_> = rows.map(|row| row[1].as_str().unwrap().to_owned()).collect();
        let result = self.victoria.promql(&format!("count by ({tag}) (last_over_time({{{tag}!=\"\"}}[1h]))")).await;
        let other: BTreeSet<_> = result.iter().map(|one| one["metric"][tag].as_str().unwrap().to_owned()).collect();
        assert_eq!(values, other, "both have the same values of {tag}");
        values
    }

    /// Asserts that both have the same sum of a field over a run, and returns it. `tags` are `name=value`.
    async fn sum(&self, (measurement, field): (&str, &str), run: &str, tags: &[(&str, &str)]) -> f64 {
        let condition = |(name, value): &(&str, &str)| format!(" AND \"{name}\" = '{value}'");
        let query = tags.iter().map(condition).collect::<String>();
        let query = format!("SELECT sum({field}) FROM {measurement} WHERE run = '{run}'{query}");
        let series = self.influxdb.influxql("load", &query).await;
        let sum = series[0]["values"][0][1].as_f64().unwrap_or_else(|| panic!("{query}: {series}"));
        let matchers = tags.iter().map(|(name, value)| format!(",{name}=\"{value}\"")).collect::<String>();
        let query = format!("sum(sum_over_time({measurement}_{field}{{run=\"{run}\"{matchers}}}[1h]))");
        let other = self.victoria.number(&query).await;
        assert!((sum - other).abs() <= sum.abs() * 1e-9, "{query}: {other} is not {sum}");
        sum
    }

    /// Asserts that both have what the summary says.
    async fn assert_complete(&self, ended: &Ended, run: &str) {
        let total = |name: &str| ended.number(&format!("/requests/total/{name}"));
        let (all, failed) = (total("duration/count"), total("failed"));
        let sum = async |place, tags: &[(&str, &str)]| self.sum(place, run, tags).await;
        let requests = ("golo_http_requests", "count");
        assert!(failed > 0.0 && total("interrupted") == 0.0, "{}", ended.text);
        assert_eq!(sum(requests, &[]).await, all);
        assert_eq!(sum(requests, &[("outcome", "failed")]).await, failed);
        assert_eq!(sum(requests, &[("status", "500"), ("route", "/flaky")]).await, failed);
        for route in ["/items/{id}", "/flaky", "/slow"] {
            assert_eq!(sum(requests, &[("route", route)]).await, all / 3.0, "{route}");
            assert_eq!(sum(("golo_http_request_duration", "count"), &[("route", route)]).await, all / 3.0, "{route}");
        }
        assert_eq!(sum(("golo_http_received", "bytes"), &[]).await, total("received"));
        assert_eq!(
            sum(("golo_triggers", "count"), &[("outcome", "ok")]).await,
            ended.number("/triggers/service/count")
        );
        assert_eq!(sum(("golo_triggers_due", "count"), &[]).await, all / 3.0);
        assert_eq!(sum(("golo_checks", "count"), &[("result", "passed")]).await, all / 3.0);
        assert_eq!(sum(("golo_errors", "count"), &[("kind", "status")]).await, failed);
        assert_eq!(sum(("golo_own_orders", "count"), &[]).await, all / 3.0 * 2.0);
        assert_eq!(sum(("golo_own_basket", "sum"), &[]).await, all / 3.0 * 7.5);
        assert_eq!(sum(("golo_group_duration", "count"), &[("group", "look closer")]).await, all / 3.0);
        assert_eq!(sum(("golo_step_duration", "count"), &[("step", "think")]).await, all / 3.0);
        let seconds = sum(("golo_http_request_duration", "sum"), &[]).await;
        assert!((seconds - total("duration/sum") / 1e9).abs() < 1e-6, "{seconds} s");
        self.assert_percentile(run, total("duration/p95") / 1e9, all).await;
    }

    /// Asserts that the buckets of a run have all requests, and that their 95th percentile is close to `expected`.
    async fn assert_percentile(&self, run: &str, expected: f64, all: f64) {
        let query = format!("SELECT sum(bucket) FROM golo_http_request_duration WHERE run = '{run}' GROUP BY le");
        let series = self.influxdb.influxql("load", &query).await;
        let bucket = |series: &Value| {
            let bound = series["tags"]["le"].as_str().unwrap().parse::<f64>().unwrap();
            (bound, series["values"][0][1].as_f64().unwrap())
        };
        // Points without `le` have no buckets.
        let with_bound = series.as_array().unwrap().iter().filter(|series| series["tags"]["le"] != "");
        let mut buckets: Vec<_> = with_bound.map(bucket).collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{buckets:?}");
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, all)));
        let (bound, _) = buckets.iter().find(|(_, count)| *count >= 0.95 * all).unwrap();
        let others: &[f64] = &[
            *bound,
            self.victoria
                .number(&format!(
                    "histogram_quantile(0.95, sum by (le) (sum_over_time(golo_http_request_duration_bucket{{run=\"{run}\"}}[1h])))"
                ))
                .await,
        ];
        for other in others {
            eprintln!("p95 of the run: {expected} s; from buckets: {other} s");
            assert!((expected / ERROR..expected * ERROR).contains(other), "{other} is far from {expected}");
        }
    }
}

/// Returns the only value.
fn only(values: BTreeSet<String>) -> String {
    assert_eq!(values.len(), 1, "{values:?}");
    values.into_iter().next().unwrap()
}

#[track_caller]
fn assert_passed(ended: &Ended) {
    // On a busy machine starts may be late.
    let is_late = ended.code == Some(96) && ended.text.contains("starts were late");
    assert!(ended.code == Some(0) || is_late, "{:?}: {}", ended.code, ended.text);
}

/// Returns the text without line breaks, which depend on the length of addresses.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn receivers_have_what_the_summaries_of_two_runs_say() {
    let Some(both) = Both::start().await else { return };
    let target = sample_service::start().unwrap();
    let run = || GoloRun::start(&target, "-r 40/s -d 4 --name again", &both.outputs("/write"), &[]);
    let first = run().end().await;
    assert_passed(&first);
    let first_run = only(both.values("run").await);
    let second = run().end().await;
    assert_passed(&second);
    let mut runs = both.values("run").await;
    assert!(runs.remove(&first_run));
    both.assert_complete(&second, &only(runs)).await;
    // The second run took nothing from the first, although its job has the same name.
    both.assert_complete(&first, &first_run).await;
    assert_eq!(only(both.values("job").await), "again");

    let lowest = both.influxdb.influxql("load", "SELECT min(count) FROM /golo_.*/").await;
    let lowest: Vec<_> =
        lowest.as_array().unwrap().iter().map(|series| series["values"][0][1].as_f64().unwrap()).collect();
    assert!(lowest.len() > 10 && lowest.iter().all(|count| *count >= 0.0), "{lowest:?}");
    assert!(both.victoria.promql("min_over_time({__name__=~\"golo_.*_count\"}[1h]) < 0").await.is_empty());
    // All values of tags are as in the load test, apart from a backslash at the end.
    assert_eq!(only(both.values("path").await), "a b,c=d \"e\" 'f' \\g /");
    assert_eq!(only(both.values("tag_time").await), "noon");
    assert_eq!(only(both.values("zone").await), "(empty)");
}

#[tokio::test]
async fn nothing_is_missing_after_the_receivers_were_away() {
    let Some(mut both) = Both::start().await else { return };
    let target = sample_service::start().unwrap();
    let run = GoloRun::start(&target, "-r 40/s -d 8", &both.outputs("?org=me&bucket=load"), &[]);
    // Three requests a trigger: 120 are a second.
    until("receivers have something", || target.counter().seen > 240).await;
    both.influxdb.kill().await;
    both.victoria.kill().await;
    let seen = target.counter().seen;
    until("some seconds have passed", || target.counter().seen > seen + 300).await;
    both.influxdb.start_again().await;
    both.victoria.start_again().await;
    let ended = run.end().await;
    assert_passed(&ended);
    assert!(!ended.text.contains("were dropped"), "{}", ended.text);
    let run = only(both.values("run").await);
    both.assert_complete(&ended, &run).await;
}

#[tokio::test]
async fn lost_seconds_are_reported_and_change_no_verdict() {
    if !are_installed(&[Kind::Influxdb]) {
        return;
    }
    let influxdb = Database::start(Kind::Influxdb).await;
    let guarded = Database::start_with(Kind::Influxdb, &[("INFLUXDB_HTTP_AUTH_ENABLED", "true")]).await;
    guarded.influxql("", "CREATE USER admin WITH PASSWORD 'hush' WITH ALL PRIVILEGES").await;
    guarded.influxql("", "CREATE USER guest WITH PASSWORD 'quiet'").await;
    guarded.influxql("", "CREATE DATABASE load").await;
    influxdb.influxql("", "CREATE DATABASE other").await;
    influxdb.write("other", "golo_http_requests count=1i").await;
    let target = sample_service::start().unwrap();
    let nobody = format!("http://127.0.0.1:{}/load", free_port());
    let urls = [nobody.clone(), influxdb.url("/none"), influxdb.url("/other"), guarded.url("/load")];
    let outputs = urls.map(|url| format!("influxdb={url}"));
    let run = async |user: &str, password: &str| {
        let variables = [("GOLO_INFLUXDB_USER", user), ("GOLO_INFLUXDB_PASSWORD", password)];
        let ended = GoloRun::start(&target, "-r 20/s -d 2", &outputs, &variables).end().await;
        assert_passed(&ended);
        assert!(!ended.text.contains(password), "{}", ended.text);
        (unwrapped(&ended.text), ended)
    };

    let (text, _) = run("admin", "wrong").await;
    let advice = "credentials come from GOLO_INFLUXDB_TOKEN, or GOLO_INFLUXDB_USER and GOLO_INFLUXDB_PASSWORD";
    for expected in [
        format!("{nobody}: 3 of 3 seconds were dropped: "),
        format!(
            "{}: 3 of 3 seconds were dropped: it answered 404 Not Found: database not found: \"none\"; golo does not create it",
            influxdb.url("/none")
        ),
        format!(
            "{}: 2 of 3 seconds were dropped: it answered 400 Bad Request: partial write: field type conflict: ",
            influxdb.url("/other")
        ),
        "; the other points of these seconds were stored".to_owned(),
        format!(
            "{}: 3 of 3 seconds were dropped: it answered 401 Unauthorized: authorization failed; {advice}",
            guarded.url("/load")
        ),
    ] {
        assert!(text.contains(&expected), "no {expected:?}: {text}");
    }
    assert!(text.contains("stored as"), "the other outputs have everything: {text}");
    let (text, _) = run("guest", "quiet").await;
    assert!(text.contains("it answered 403 Forbidden: ") && text.contains(advice), "{text}");

    let (text, ended) = run("admin", "hush").await;
    assert!(!text.contains("401 Unauthorized") && !text.contains("403 Forbidden"), "{text}");
    let sum = async |database: &Database, name: &str, query: &str| {
        let series = database.influxql(name, query).await;
        series[0]["values"][0][1].as_f64().unwrap()
    };
    let requests = ended.number("/requests/total/duration/count");
    assert_eq!(sum(&guarded, "load", "SELECT sum(count) FROM golo_http_requests").await, requests);
    let bytes = 3.0 * ended.number("/requests/total/received");
    assert_eq!(sum(&influxdb, "other", "SELECT sum(bytes) FROM golo_http_received").await, bytes);
}

/// What a request to a made-up InfluxDB 2 had: query, credentials, body.
type Request = (String, String, String);

#[tokio::test]
async fn second_is_sent_again_with_its_token_after_a_failure() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel::<Request>();
    let has_failed = Arc::new(AtomicBool::new(false));
    let answer = async move |query: RawQuery, headers: HeaderMap, body: String| {
        let credentials = headers["authorization"].to_str().unwrap().to_owned();
        tell.send((query.0.unwrap(), credentials, body)).unwrap();
        if has_failed.swap(true, Relaxed) { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/api/v2/write", post(answer));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });

    let target = sample_service::start().unwrap();
    let output = format!("influxdb=http://{address}?org=my%20team&bucket=load");
    let ended = GoloRun::start(&target, "-r 20/s -d 2", &[output], &[("GOLO_INFLUXDB_TOKEN", "hush")]).end().await;
    serving.abort();
    assert_passed(&ended);
    assert!(!ended.text.contains("were dropped") && !ended.text.contains("hush"), "{}", ended.text);
    assert!(ended.text.contains(&format!("http://{address}/")), "{}", ended.text);
    let mut requests = Vec::new();
    while let Ok(request) = told.try_recv() {
        requests.push(request);
    }
    assert!(
        requests.len() == 4 && requests[0] == requests[1],
        "two seconds and the rest, one of them twice: {requests:#?}"
    );
    let mut count = 0.0;
    for (query, credentials, body) in &requests[1..] {
        assert_eq!((&**query, &**credentials), ("org=my+team&bucket=load&precision=ms", "Token hush"));
        let times: BTreeSet<_> = body.lines().map(|line| line.rsplit_once(' ').unwrap().1).collect();
        assert!(times.len() == 1 && times.iter().all(|time| time.len() == 13), "{times:?}");
        let of_requests = body.lines().filter(|line| line.starts_with("golo_http_requests,"));
        count += of_requests
            .map(|line| line.rsplit_once("count=").unwrap().1.split(' ').next().unwrap().parse::<f64>().unwrap())
            .sum::<f64>();
    }
    assert_eq!(count, ended.number("/requests/total/duration/count"));
}

#[tokio::test]
async fn wrong_argument_is_refused_before_any_load() {
    let target = sample_service::start().unwrap();
    for (url, expected) in [
        ("http://127.0.0.1:1", "expected http://127.0.0.1:8086/DATABASE (1.x), "),
        ("http://127.0.0.1:1/load?u=me&p=hush", "give them by the variables GOLO_INFLUXDB_TOKEN, or "),
        ("http://127.0.0.1:1/api/v2/write?org=a&bucket=b&token=hush", "give them by the variables GOLO_INFLUXDB_TOKEN"),
        ("http://me:hush@127.0.0.1:1/load", "other users of this machine can read the user and password in it"),
    ] {
        let ended = GoloRun::start(&target, "-d 1", &[format!("influxdb={url}")], &[]).end().await;
        let text = unwrapped(&ended.text);
        assert!(ended.code == Some(104) && text.contains(expected) && !text.contains("hush"), "{url}: {text}");
    }
    assert_eq!(target.counter().seen, 0);
}
