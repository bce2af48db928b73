//! Metrics of a load test's own, tags and groups: recorded by load tests, in reports, thresholds and kept runs.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::PathBuf;

use golo_tests::{Finished, Program, Signal, command, until};
use sample_service::SampleService;
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_measures");

/// A folder for reports and a database, and a target.
struct Bench {
    folder: TempDir,
    target: SampleService,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), target: sample_service::start().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn golo(&self, program: &str, arguments: &[&str]) -> Finished {
        let mut command = command(program);
        command.env("TARGET_URL", self.target.url()).env("GOLO_DB", self.path("runs.db"));
        command.env_remove("GOLO_NO_KEEP").current_dir(self.folder.path()).args(arguments);
        Program::spawn(command).finish().await
    }

    /// Runs the load test itself, or by `golo run` if `drive` is given.
    async fn run(&self, drive: Option<&str>, job: &str, flags: &str, thresholds: &[&str]) -> Ran {
        let mut arguments = vec!["run"];
        arguments.extend(drive.map(|_| PROGRAM));
        arguments.extend(drive.iter().flat_map(|drive| ["--drive", drive]));
        arguments.extend(["--name", job, "-o", "summary=summary.json", "-o", "csv=run", "-o", "jsonl=outputs.jsonl"]);
        arguments.extend(flags.split_whitespace());
        arguments.extend(thresholds.iter().flat_map(|threshold| ["-t", threshold]));
        let program = if drive.is_some() { env!("CARGO_BIN_EXE_golo-command") } else { PROGRAM };
        let finished = self.golo(program, &arguments).await;
        let summary = fs::read(self.path("summary.json")).unwrap_or_else(|error| panic!("{error}: {finished:#?}"));
        Ran { finished, summary: serde_json::from_slice(&summary).unwrap() }
    }

    fn table(&self, name: &str) -> String {
        fs::read_to_string(self.path(&format!("run_{name}.csv"))).unwrap()
    }
}

struct Ran {
    finished: Finished,
    summary: Value,
}

impl Ran {
    #[track_caller]
    fn assert_ended_with(&self, code: i32) {
        let Finished { code: ended, stdout, stderr } = &self.finished;
        assert_eq!(*ended, Some(code), "{}\n{}", stdout.join("\n"), stderr.join("\n"));
        assert!(stdout.iter().all(|line| line.chars().count() <= 80), "{}", stdout.join("\n"));
    }

    fn said(&self) -> String {
        self.finished.stdout.join("\n")
    }

    #[track_caller]
    fn metric(&self, name: &str) -> &Value {
        let metrics = self.summary["metrics"]["metrics"].as_array().unwrap();
        metrics.iter().find(|metric| metric["name"] == name).unwrap_or_else(|| panic!("no {name}: {metrics:#?}"))
    }

    /// Returns count, failed and interrupted of each group.
    fn groups(&self) -> Vec<(&str, u64, u64, u64)> {
        let number = |value: &Value| value.as_u64().unwrap();
        let groups = self.summary["groups"].as_array().unwrap().iter().map(|group| {
            let (failed, interrupted) = (number(&group["failed"]), number(&group["interrupted"]));
            (group["name"].as_str().unwrap(), number(&group["duration"]["count"]), failed, interrupted)
        });
        groups.collect()
    }

    /// Returns the number of requests by each value of their tags, as `key:value`.
    fn tags(&self) -> Vec<(String, u64)> {
        let values = self.summary["request_tags"]["values"].as_array().unwrap().iter().map(|tag| {
            let [key, value] = ["key", "value"].map(|name| tag[name].as_str().unwrap());
            (format!("{key}:{value}"), tag["duration"]["count"].as_u64().unwrap())
        });
        values.collect()
    }
}

/// Requests of 60 triggers of the job `shop` by their tags.
fn tags_of_shop() -> Vec<(String, u64)> {
    let tags = [
        ("by:card \"gold\"", 60),
        ("group:checkout", 120),
        ("group:checkout::pay", 60),
        ("tenant:blue", 120),
        ("tenant:green", 120),
    ];
    tags.map(|(tag, count)| (tag.to_owned(), count)).into()
}

const THRESHOLDS: [&str; 10] = [
    "orders count==60",
    "orders{tenant:blue} count==30",
    "revenue rate>0/s",
    "cart_value{tenant:green} max<=9",
    "queue max==6",
    "hits{cache:edge} rate==50%",
    "group_duration{group:checkout} p(95)<1m",
    "http_reqs{group:checkout::pay,tenant:blue} count==30",
    "http_req_duration{by:\"card \\\"gold\\\"\"} p(95)<1m",
    "http_req_failed{tenant:green,route:/items/{id}} rate==0%",
];

#[tokio::test]
async fn metrics_tags_and_groups_are_recorded_however_the_plan_is_run() {
    for drive in [None, Some("plan")] {
        let bench = Bench::new();
        let ran = bench.run(drive, "shop", "-u 3 -i 60 --workers 2", &THRESHOLDS).await;
        ran.assert_ended_with(0);
        assert_eq!(ran.tags(), tags_of_shop(), "{drive:?}");
        let total = |name: &str, figure: &str| ran.metric(name)["total"][figure].as_f64().unwrap();
        assert_eq!([total("orders", "sum"), total("revenue", "sum"), total("hits", "share")], [60.0, 150.0, 0.5]);
        assert_eq!([total("cart_value", "mean"), total("cart_value", "max")], [4.5, 9.0]);
        assert_eq!([total("queue", "min"), total("queue", "max")], [0.0, 6.0], "that of `setup` does not count");
        assert_eq!((&ran.metric("revenue")["unit"], &ran.metric("orders")["unit"]), (&"EUR".into(), &Value::Null));
        let mut groups = ran.groups();
        groups.sort_unstable();
        assert_eq!(groups, [("checkout", 60, 0, 0), ("checkout::pay", 60, 0, 0)]);
        let routes = ran.summary["requests"]["routes"].as_array().unwrap();
        assert_eq!(routes.len(), 3, "a row for each route, over all tags");
        assert_eq!(ran.summary["requests"]["total"]["duration"]["count"], 240);
        let steps = ran.summary["journeys"]["slowest"][0]["steps"].as_array().unwrap();
        let names: Vec<_> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
        let groups = ["GROUP checkout::pay", "GROUP checkout"];
        assert_eq!((names.len(), &names[4..]), (6, &groups[..]), "{names:?}");
        let [first, checkout] = [&steps[1], &steps[5]].map(|step| step["started"].as_u64().unwrap());
        assert!(checkout <= first, "a group starts before its first request: {steps:#?}");
        assert!(bench.table("metrics").contains("\nrevenue,counter,EUR,tenant:blue,30,75.000,"), "{drive:?}");
        assert!(bench.table("metrics").contains("\ngroup_duration,group,ms,group:checkout,60,,,,,0,"));
        assert!(bench.table("request_tags").contains("\ntenant,green,120,0,"));
        for text in ["Metrics: counters  unit", "Groups ", "Tags of requests ", "    cache:edge,tenant:blue"] {
            assert!(ran.said().contains(text), "no {text:?}: {}", ran.said());
        }
    }
}

#[tokio::test]
async fn tags_are_read_from_lines_of_a_load_test_driven_by_triggers() {
    let bench = Bench::new();
    let ran = bench.run(Some("trigger"), "shop", "-u 3 -i 60", &["http_reqs{tenant:blue} count==120"]).await;
    ran.assert_ended_with(0);
    assert_eq!(ran.tags(), tags_of_shop());
    let lines = fs::read_to_string(bench.path("outputs.jsonl")).unwrap();
    let tags = r#","tags":{"by":"card \"gold\"","group":"checkout::pay","tenant":"blue"}}"#;
    assert_eq!(
        (lines.lines().count(), lines.lines().filter(|line| line.ends_with(tags)).count()),
        (240, 30),
        "{lines}"
    );
}

#[tokio::test]
async fn warm_up_and_users_that_start_record_nothing() {
    let bench = Bench::new();
    let ran = bench.run(None, "shop", "-u 2 --warm-up 1s -d 1", &[]).await;
    ran.assert_ended_with(0);
    let done = ran.summary["load"]["done"].as_f64().unwrap();
    assert_eq!(ran.metric("orders")["total"]["sum"].as_f64(), Some(done));
    assert!(ran.groups().iter().all(|(name, count, ..)| name.starts_with("checkout") && *count as f64 == done));
}

#[tokio::test]
async fn misspelled_names_fail_thresholds_and_show_the_nearest() {
    let bench = Bench::new();
    let thresholds = [
        "cart_vlaue max<100",
        "orders{tennant:blue} count>0",
        "http_reqs{tenat:blue} count>=0",
        "orders p(95)<1",
        "group_duration{group:chekout} max<1m",
    ];
    let ran = bench.run(None, "shop", "-u 1 -i 2", &thresholds).await;
    ran.assert_ended_with(99);
    let reasons: Vec<_> =
        ran.summary["thresholds"].as_array().unwrap().iter().map(|of| of["reason"].as_str()).collect();
    assert_eq!(
        reasons,
        [
            Some("no metric `cart_vlaue` was recorded; did you mean `cart_value`?"),
            Some("no value has the tag `tennant`; did you mean `tenant`?"),
            Some("no request has the tag `tenat`; did you mean `tenant`?"),
            Some("`orders` is a counter and has no `p(95)`: expected `count` or `rate`"),
            Some("no group has the tag `group:chekout`; did you mean `checkout`?"),
        ]
    );
    let misspelled = bench.golo(PROGRAM, &["run", "-i", "1", "-t", "http_req_duraton max<1"]).await;
    assert_eq!(misspelled.code, Some(104), "{misspelled:#?}");
    assert!(misspelled.stderr.join("\n").contains("did you mean `http_req_duration`?"), "{misspelled:#?}");
}

#[tokio::test]
async fn sets_of_tags_are_limited_except_for_selected_tags() {
    for drive in [None, Some("plan")] {
        let bench = Bench::new();
        let thresholds = ["http_reqs{id:1450} count==1", "orders{id:1450} count==1", "orders count==1500"];
        let ran = bench.run(drive, "many tags", "-u 2 -i 1500", &thresholds).await;
        // The metric has more than a thousand series: one of them cannot be told apart.
        let reasons: Vec<_> =
            ran.summary["thresholds"].as_array().unwrap().iter().map(|of| of["passed"].as_bool()).collect();
        assert_eq!((reasons[0], reasons[2]), (Some(true), Some(true)), "{}", ran.said());
        assert_eq!(ran.metric("orders")["total"]["sum"], 1500.0);
        assert_eq!(ran.summary["requests"]["total"]["duration"]["count"], 1500);
        let beyond = ran.summary["request_tags"]["beyond"].as_u64().unwrap();
        assert!((400..=520).contains(&beyond), "{beyond}");
        let said = ran.said();
        assert!(said.contains("tags have the value `other`: 1,000 sets of tags are told apart"), "{said}");
    }
}

#[tokio::test]
async fn invalid_values_are_refused_and_counted() {
    let bench = Bench::new();
    let ran = bench.run(None, "odd values", "-u 1 -i 3", &[]).await;
    ran.assert_ended_with(0);
    let said = ran.said();
    for text in [
        "6 values of `latency` refused: not finite, too large, or negative for a counter",
        "3 values of `orders` refused: not finite, too large, or negative for a counter",
        "3 values of `orders` refused: a metric of another kind has this name",
        "3 values of `vus` refused: golo has a metric of this name",
    ] {
        assert!(said.replace("\n  ", " ").contains(text), "no {text:?}: {said}");
    }
    assert_eq!(ran.metric("a_name_with_spaces")["total"]["count"], 3);
}

#[tokio::test]
async fn dropped_and_failing_groups_fail_and_thinking_is_no_part_of_them() {
    let bench = Bench::new();
    let ran = bench.run(None, "broken groups", "-u 1 -i 5", &["group_duration{group:thinking} max<100ms"]).await;
    let mut groups = ran.groups();
    groups.sort_unstable();
    assert_eq!(groups, [("failing", 5, 5, 0), ("slow", 5, 5, 0), ("thinking", 5, 0, 0)]);
    assert_eq!(ran.summary["thresholds"][0]["passed"], true, "{}", ran.said());
    let ran = bench.run(None, "hang in a group", "-u 2 -d 1 --graceful-stop 100ms", &[]).await;
    assert_eq!(ran.groups(), [("hanging", 0, 0, 2)], "{}", ran.said());
    assert!(ran.said().contains("2 groups were cut off by the end of the run: in no count"), "{}", ran.said());
}

#[tokio::test]
async fn kept_run_is_shown_as_printed_and_compared() {
    let bench = Bench::new();
    let flags = "-u 1 -d 11 --seed 1";
    let first = bench.run(Some("plan"), "shop", flags, &["orders count>0"]).await;
    let shown = bench.golo(env!("CARGO_BIN_EXE_golo-command"), &["show"]).await;
    assert_eq!(shown.stdout.join("\n"), first.said().split("\n\nFiles").next().unwrap(), "{shown:#?}");
    bench.run(Some("plan"), "shop", flags, &[]).await;
    let runs = bench.golo(env!("CARGO_BIN_EXE_golo-command"), &["runs", "--json"]).await;
    let runs: Value = serde_json::from_str(&runs.stdout.join("\n")).unwrap();
    let [b, a] = [0, 1].map(|at| runs[at]["run"].as_str().unwrap().to_owned());
    let compared = bench.golo(env!("CARGO_BIN_EXE_golo-command"), &["compare", &a, &b]).await;
    let said = compared.stdout.join("\n");
    for text in [
        "metrics, not judged",
        "  orders rate",
        "  cart_value p95",
        "  hits rate",
        "  queue value",
        "group:checkout",
        "group:checkout::pay",
    ] {
        assert!(said.contains(text), "no {text:?}: {said}\n{}", compared.stderr.join("\n"));
    }
}

/// Each name is 256 KiB long. Two triggers each have names that differ only at the end.
#[tokio::test]
async fn long_names_take_little_memory_and_are_shown_as_cut() {
    let bench = Bench::new();
    let mut command = command(env!("CARGO_BIN_EXE_jobs"));
    command.env("TARGET_URL", bench.target.url()).current_dir(bench.folder.path());
    command.args(["run", "--name", "name at length", "-u", "1", "-d", "600", "-o", "summary=summary.json"]);
    let mut program = Program::spawn(command);
    until("the last trigger waits", || bench.target.counter().answered == 100).await;
    program.rest().await;
    let peak = program.peak_memory();
    assert!(peak < 100 << 20, "{} MiB", peak >> 20);
    program.insist(Signal::INT).await;
    let finished = program.finish().await;
    assert_eq!(finished.code, Some(105), "{finished:#?}");
    let summary: Value = serde_json::from_slice(&fs::read(bench.path("summary.json")).unwrap()).unwrap();
    for (list, key, count, longest, end) in [
        ("/checks", "/passed", 4, 300, "…"),
        ("/groups", "/duration/count", 2, 128, "…"),
        ("/steps/steps", "/duration/count", 2, 300, "…"),
        ("/metrics/metrics", "/total/count", 2, 128, "_cut"),
        ("/tags/keys", "/passed", 2, 100, "…"),
    ] {
        let all = summary.pointer(list).unwrap().as_array().unwrap();
        assert_eq!(all.len(), 50, "{list}");
        for one in all {
            let name = one.get("name").or_else(|| one.get("key")).unwrap().as_str().unwrap();
            assert!(name.len() <= longest && name.ends_with(end), "{list}: {name}");
            assert_eq!(one.pointer(key), Some(&count.into()), "{list}: {name}");
        }
    }
}
