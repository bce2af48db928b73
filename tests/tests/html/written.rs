//! Content of a page.

use std::{path::Path, time::Duration};

use golo::engine::plan::{Asked, Plan};
use golo::engine::share::Share;
use golo::engine::{Finished, Options};
use golo::report;
use golo_tests::{Program, command};
use sample_service::SampleService;
use serde_json::Value;
use tempfile::TempDir;

use crate::made::{Load, Made};
use crate::read::{Page, number};

/// A run of the load test `visits` that wrote its page and its summary.
pub(crate) struct Ran {
    folder: TempDir,
    pub(crate) stdout: String,
}

impl Ran {
    pub(crate) async fn of(job: &str, target: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command(env!("CARGO_BIN_EXE_visits"));
        command.env("TARGET_URL", target).args(["run", "-q", "--no-progress", "--name", job]);
        command.args(flags);
        for (kind, name) in [("html", "page.html"), ("summary", "summary.json")] {
            command.arg("--out").arg(format!("{kind}={}", folder.path().join(name).display()));
        }
        let finished = Program::spawn(command).finish().await;
        assert_ne!(finished.code, Some(104), "{}", finished.stderr.join("\n"));
        Self { folder, stdout: finished.stdout.join("\n") }
    }

    /// Runs stages with failures against a sample service.
    pub(crate) async fn staged() -> Self {
        let target: SampleService = sample_service::start().unwrap();
        let flags = ["-s", "1s:60/s,1s:60/s,1s:20/s", "-t", "http_req_failed rate<1%", "-t", "checks rate>10%"];
        Self::of("shop", target.url(), &flags).await
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("page.html")
    }

    pub(crate) fn page(&self) -> Page {
        Page::of(&std::fs::read_to_string(self.path()).unwrap())
    }

    fn summary(&self) -> Value {
        read(&self.folder.path().join("summary.json"))
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Checks that apply to every page.
#[track_caller]
fn assert_sound(page: &Page) {
    assert_eq!(page.html.errors, Vec::<std::borrow::Cow<'static, str>>::new());
    let scripts = page.all("script");
    assert_eq!(scripts.len(), 4, "the document, and three that are ours");
    let foreign = page.all("img, iframe, object, embed, base, link:not([rel=icon]), script[src], [onerror], [onload]");
    assert_eq!(foreign.iter().map(|element| element.html()).collect::<Vec<_>>(), Vec::<String>::new());
    let words = page.texts("header, main");
    for nonsense in ["NaN", "inf/s", "undefined", "null"] {
        assert!(!words.iter().any(|word| word.contains(nonsense)), "{nonsense}");
    }
    let policy = page.all("meta[http-equiv=Content-Security-Policy]")[0].attr("content").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    let all: std::collections::BTreeSet<_> =
        page.all("[id]").iter().map(|element| element.attr("id").unwrap()).collect();
    assert_eq!(all.len(), page.all("[id]").len(), "each ID is given once");
    for link in page.all("nav a") {
        assert!(all.contains(link.attr("href").unwrap().trim_start_matches('#')));
    }
    for table in page.all("table:not(.waterfall)") {
        assert!(table.text().next().is_some() && table.html().contains("<caption"), "{}", table.html());
    }
}

#[tokio::test]
async fn page_matches_the_document_and_the_summary() {
    let ran = Ran::staged().await;
    let (page, summary) = (ran.page(), ran.summary());
    assert_sound(&page);
    assert_eq!(page.document(), summary);
    assert!(page.text("title").ends_with(": shop"));
    assert_eq!(page.text(".verdict strong"), summary["verdict"]["word"].as_str().unwrap());

    let routes = page.rows("requests");
    let wanted = summary["requests"]["routes"].as_array().unwrap().iter().chain([&summary["requests"]["total"]]);
    let keys = [
        "/duration/count",
        "",
        "/rate",
        "/received",
        "",
        "/duration/min",
        "/duration/p50",
        "/duration/p90",
        "/duration/p95",
        "/duration/p99",
        "/duration/p999",
        "/duration/max",
    ];
    assert_eq!(routes.len(), wanted.clone().count());
    for (row, wanted) in routes.iter().zip(wanted) {
        let line: Vec<String> = row.iter().map(|cell| cell.text().collect()).collect();
        assert!(ran.stdout.contains(&line[0]), "{line:?}");
        // The printed summary contains the same figures, split over two lines.
        for figure in &line[1..] {
            assert!(ran.stdout.contains(figure), "{figure} of {line:?} in\n{}", ran.stdout);
        }
        for (cell, key) in row[1..].iter().zip(keys).filter(|(_, key)| !key.is_empty()) {
            let wanted = wanted.pointer(key).unwrap().as_f64().unwrap();
            // serde_json parses fractions with an error in the last digit.
            assert!((number(cell) - wanted).abs() <= wanted * 1e-12, "{key}: {} for {wanted}", number(cell));
        }
    }
    let thresholds = page.texts("#thresholds tbody td");
    assert_eq!((&*thresholds[0], &*thresholds[3]), ("✗ failed", "✓ passed"), "{thresholds:?}");
    assert_eq!(page.rows("history").len(), summary["timeline"]["points"].as_array().unwrap().len());
    assert_eq!(summary["run"]["model"], "open");
    assert!(page.all("#journeys .waterfall .bar").len() > 3 && !page.all("#journeys tr.bad").is_empty());
}

#[tokio::test]
async fn text_of_a_load_test_is_escaped() {
    let ran = Ran::of("hostile", "", &["-i", "3", "-u", "1"]).await;
    let page = ran.page();
    assert_sound(&page);
    assert_eq!(page.text("title"), "FAILED: hostile");
    let hostile =
        "</script><script>document.title='taken'</script><img src=http://127.0.0.1:9/x onerror=alert(1)>\"'&amp;";
    for section in ["steps", "tags", "checks", "errors", "journeys"] {
        let texts = page.texts(&format!("#{section}"));
        assert!(texts[0].contains(hostile), "{section}: {}", texts[0]);
    }
    assert_eq!(page.document(), ran.summary());
    let ran = Ran::of("<b>\"job\"</b>", "", &["-i", "1", "-u", "1"]).await;
    assert_eq!(ran.page().text("h1"), "<b>\"job\"</b>");
}

#[tokio::test]
async fn run_without_requests_has_a_page() {
    let ran = Ran::of("nothing", "", &["-i", "1", "-u", "1"]).await;
    let page = ran.page();
    assert_sound(&page);
    assert_eq!(
        (page.all("#requests").len(), page.all("#chart-latency").len(), page.all("#chart-rate").len()),
        (0, 0, 1)
    );
    assert!(page.text(".verdict").contains("1 trigger, none failed, and no request"));
}

#[test]
fn run_that_did_not_start_has_a_page() {
    let plan = Plan::new(Asked::default()).unwrap();
    let options = Options { job_name: "shop".to_owned(), workers: 2, seed: 7, share: Share::WHOLE, max_lag: None };
    let finished = Finished::not_started(plan, options, Some("`setup` failed: <no table>".to_owned()));
    let mut page = Vec::new();
    report::html(&finished.into(), &mut page).unwrap();
    let page = Page::of(std::str::from_utf8(&page).unwrap());
    assert_sound(&page);
    assert_eq!(page.text(".verdict"), "NOT STARTED`setup` failed: <no table>");
    assert_eq!(page.all(".chart, section").len(), 0);
}

#[test]
fn page_contains_the_buckets_of_twenty_routes() {
    let load = Load { seconds: 2, routes: 25, requests: 4, durations: (1e6, 1e9), failing: 2 };
    let page = Page::of(&Made::of(Asked { rate: Some("50/s".parse().unwrap()), ..Asked::default() }, &load).text());
    assert_sound(&page);
    assert_eq!(page.rows("requests").len(), 26, "every route, and the total");
    let document = page.document();
    let routes = document["requests"]["routes"].as_array().unwrap();
    let have_buckets = |route: &Value| !route["duration"]["buckets"].as_array().unwrap().is_empty();
    assert_eq!(routes.iter().map(have_buckets).collect::<Vec<_>>(), [[true; 20].as_slice(), &[false; 5]].concat());
}

#[test]
fn last_point_ends_with_the_run() {
    let load = Load { seconds: 3, routes: 1, requests: 4, durations: (5e3, 3e12), failing: 2 };
    let mut made = Made::of(Asked { rate: Some("4/s".parse().unwrap()), ..Asked::default() }, &load);
    made.finished.whole_time = Duration::from_millis(2_250);
    made.finished.load_time = Duration::from_secs(2);
    made.timeline.finish(&made.finished);
    let document = Page::of(&made.text()).document();
    let points = document["timeline"]["points"].as_array().unwrap();
    let last = points.last().unwrap();
    assert_eq!((points.len(), &last["at"], &last["length"]), (3, &2_250_000_000_u64.into(), &250_000_000_u64.into()));
    assert_eq!((&last["asked_rate"], &points[0]["asked_rate"]), (&Value::Null, &4.0.into()));
}
