//! Prometheus and VictoriaMetrics.

use std::time::Duration;

use tokio::time::sleep;

use crate::database::Database;
use crate::port::Port;
use crate::runs::{Ran, Run};

/// Buckets of classic histograms are at most 56 % wide, native ones 2.2 %. golo's own are 0.1 % wide.
const CLASSIC: f64 = 0.57;
const NATIVE: f64 = 0.023;

/// Asserts the counts of all requests and of failed ones in the series that a selector with `{…}` finds.
async fn assert_counts(database: &Database, ran: &Ran, labels: &str) {
    let (requests, failed) = ran.requests();
    assert!(requests > 100 && failed > 10, "{}", ran.text());
    let series = |more: &str| format!("sum(last_over_time(golo_http_requests_total{{{labels}{more}}}[1h]))");
    let found = (database.number(&series("")).await, database.number(&series(",outcome=\"failed\"")).await);
    assert_eq!(found, (requests as f64, failed as f64), "{}", ran.text());
    let routes = format!("count(sum by (route) (last_over_time(golo_http_requests_total{{{labels}}}[1h])))");
    assert_eq!(database.number(&routes).await, 3.0);
    let count = format!("sum(last_over_time(golo_trigger_duration_seconds_count{{{labels}}}[1h]))");
    if !labels.contains("instance!") {
        assert_eq!(database.number(&count).await, requests as f64 / 3.0);
    }
}

fn assert_near(found: f64, ours: f64, error: f64) {
    assert!((found / ours - 1.0).abs() <= error, "{found} is not within {error} of {ours}");
}

#[tokio::test]
async fn scraped_and_written_numbers_equal_the_summary() {
    let port = Port::free();
    let Some(prometheus) = Database::prometheus(&[port.number]).await else { return };
    let url = prometheus.url("/api/v1/write");
    let flags = format!("-u 5 -d 4 -o prometheus=127.0.0.1:{} -o prometheus-rw={url}", port.number);
    let ran = Run::start(&flags, &[]).finish().await;
    ran.assert_code(0);
    // Scraped series have the label `instance`. Classic histograms are written, and native ones are scraped.
    assert_counts(&prometheus, &ran, "instance=\"\"").await;
    assert_counts(&prometheus, &ran, "instance!=\"\"").await;
    let classic =
        "histogram_quantile(0.95, sum by (le) (last_over_time(golo_http_request_duration_seconds_bucket[1h])))";
    let p95 = ran.percentile("p95");
    assert_near(prometheus.number(classic).await, p95, CLASSIC);
    // `last_over_time` finds no native histograms.
    let native = "histogram_quantile(0.95, sum(golo_http_request_duration_seconds))";
    assert_near(prometheus.number_at_last(native, "golo_users{instance!=\"\"}").await, p95, NATIVE);
    // The series end with the run.
    assert_eq!(prometheus.query("golo_http_requests_total{instance=\"\"}").await, []);
    let metrics = "count(count by (__name__) (last_over_time({__name__=~\"golo_.*\", instance=\"\"}[1h])))";
    assert!(prometheus.number(metrics).await > 20.0);
    let own = "sum(last_over_time(golo_own_visits_total{instance=\"\"}[1h]))";
    assert_eq!(prometheus.number(own).await, ran.requests().0 as f64 / 3.0);
}

#[tokio::test]
async fn nothing_is_missing_after_the_receiver_was_away() {
    for database in [Database::prometheus(&[]).await, Database::victoria_metrics().await] {
        let Some(mut database) = database else { continue };
        let run = Run::start(&format!("-u 2 -d 7 -o prometheus-rw={}", database.url("/api/v1/write")), &[]);
        let run = run.begins().await;
        let whole = async {
            // The receiver has two seconds or so when it goes, and the run goes on for some when it comes back.
            sleep(Duration::from_secs(2)).await;
            database.kill();
            sleep(Duration::from_secs(2)).await;
            database.restart().await;
        };
        whole.await;
        let ran = run.finish().await;
        ran.assert_code(0);
        assert!(!ran.text().contains("were dropped"), "{}", ran.text());
        wait_until_written(&database, &ran).await;
        assert_counts(&database, &ran, "run!=\"\"").await;
        // A zero before the first second, each second, and the end.
        let points = database.number("max(count_over_time(golo_users[1h]))").await;
        assert!((7.0..=8.0).contains(&points), "{points}");
    }
}

/// VictoriaMetrics shows what was written about a second later.
async fn wait_until_written(database: &Database, ran: &Ran) {
    let expected = ran.requests().0 as f64;
    golo_tests::within("the last numbers", async {
        let query = "sum(last_over_time(golo_http_requests_total[1h]))";
        while database.query(query).await.first().is_none_or(|(_, found)| *found != expected) {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn runs_with_equal_names_do_not_disturb_each_other() {
    let Some(prometheus) = Database::prometheus(&[]).await else { return };
    let flags = format!("-u 2 -d 2 -o prometheus-rw={}", prometheus.url("/api/v1/write"));
    let mut requests = 0;
    for _ in 0..2 {
        let ran = Run::start(&flags, &[]).finish().await;
        ran.assert_code(0);
        requests += ran.requests().0;
    }
    let runs = "count(sum by (run) (last_over_time(golo_http_requests_total[1h])))";
    assert_eq!(prometheus.number(runs).await, 2.0);
    let all = "sum(last_over_time(golo_http_requests_total{job=\"routes\"}[1h]))";
    assert_eq!(prometheus.number(all).await, requests as f64);
    // No series falls, so no rate is negative and no reset is counted.
    let resets = "max(resets(golo_http_requests_total[1h]))";
    assert_eq!(prometheus.number(resets).await, 0.0);
    let falls = "min(min_over_time(deriv(golo_http_requests_total[2s])[1h:1s]))";
    assert!(prometheus.number(falls).await >= 0.0);
}

#[tokio::test]
async fn endpoint_on_an_open_address_needs_a_token() {
    let port = Port::free();
    let flags = format!("-u 1 -i 1 -o prometheus=0.0.0.0:{}", port.number);
    let ran = Run::start(&flags, &[]).finish().await;
    ran.assert_code(104);
    assert!(ran.text().contains("give a token by `GOLO_PROMETHEUS_TOKEN`"), "{}", ran.text());
    let token = "a token that nobody can guess".replace(' ', "-");
    let flags = format!("-u 1 -d 20 -o prometheus=127.0.0.1:{}", port.number);
    let run = Run::start(&flags, &[("GOLO_PROMETHEUS_TOKEN", &token)]).begins().await;
    let url = format!("http://127.0.0.1:{}/metrics", port.number);
    let status = |token: Option<&str>| {
        let request = golo::client().get(&url).header("host", "load1.example");
        let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
        async { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!([status(None).await, status(Some("wrong")).await, status(Some(&token)).await], [401, 401, 200]);
    drop(run);
}
