//! Tests with runs that differ in one thing.

use std::time::Duration;

use golo::engine::Progress;
use golo::engine::histogram::Histogram;
use golo::engine::plan::Asked;
use golo::engine::series::{Outcome as Ended, Series as Of};
use golo::engine::snapshot::{Measure, Snapshot};
use golo::report::Page;
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::*;

/// Returns a run with one route. Per second it has `requests` requests that take `nanos` ns; `failed` of them fail.
fn side(seconds: u64, requests: u64, nanos: u64, failed: u64) -> Side {
    side_of(&[("http://a", "/items")], seconds, (requests, nanos, failed))
}

/// Returns a run with several routes that have the same requests.
fn side_of(routes: &[(&str, &str)], seconds: u64, of: (u64, u64, u64)) -> Side {
    side_by_second(routes, seconds, |_| of)
}

/// Returns seconds with a measured step and no request.
fn steps(seconds: u64, nanos: u64) -> Seconds {
    let mut run = Seconds::default();
    for second in 1..=seconds {
        let mut snapshot = Snapshot::default();
        let mut durations = Histogram::new();
        durations.record_n(nanos + second % 3, 100);
        let label = Label::new("", "query", "MEASURE");
        let series = Of { label: label.into(), outcome: Ended::Answered { status: 0, failed: false } };
        snapshot.requests.insert(series, Measure { durations, ..Measure::default() });
        run.add(&Progress { elapsed: Duration::from_secs(second), second: snapshot, users: 1, connections: 0 });
    }
    run.keep_whole(Duration::from_secs(seconds));
    run
}

/// Returns a run; `of` returns the number of requests of a second, their duration in ns and the number of failures.
fn side_by_second(routes: &[(&str, &str)], seconds: u64, of: impl Fn(u64) -> (u64, u64, u64)) -> Side {
    let mut run = Seconds::default();
    for second in 1..=seconds {
        let (requests, nanos, failed) = of(second);
        let mut snapshot = Snapshot::default();
        snapshot.triggers.done = requests;
        for (origin, route) in routes {
            for (outcome, count) in [
                (Ended::Answered { status: 200, failed: false }, requests - failed),
                (Ended::Answered { status: 500, failed: true }, failed),
            ] {
                let mut durations = Histogram::new();
                // Seconds must differ a little.
                durations.record_n(nanos + nanos / 50 * (second % 3), count);
                let label = Label::new(*origin, *route, "GET");
                let series = Of { label: label.into(), outcome };
                snapshot.requests.insert(series, Measure { durations, ..Measure::default() });
            }
        }
        run.add(&Progress { elapsed: Duration::from_secs(second), second: snapshot, users: 1, connections: 0 });
    }
    run.keep_whole(Duration::from_secs(seconds));
    Side {
        run: "3f2a91c0-7d".to_owned(),
        name: "shop".to_owned(),
        load_test: "shop".to_owned(),
        plan: Plan::new(Asked::default()).unwrap(),
        verdict: Verdict::Passed,
        seconds: run,
    }
}

fn compared(a: &Side, b: &Side, tolerance: &str) -> Comparison {
    Comparison::of(a, b, tolerance.parse().unwrap(), Deciding::Totals)
}

fn worse(comparison: &Comparison) -> Vec<String> {
    comparison.rows().iter().filter(|row| row.regression).map(Row::name).collect()
}

#[test]
fn run_is_no_regression_of_itself() {
    let run = side(20, 100, 5_000_000, 1);
    let comparison = compared(&run, &run, "5%");
    assert_eq!((comparison.outcome, comparison.warnings.len()), (Outcome::NoRegression, 0));
    assert_eq!((comparison.a.seconds, comparison.rows.len()), (19, 15));
    let text = comparison.text(Page::default());
    assert!(text.starts_with("NO REGRESSION within 5%\n"), "{text}");
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let deciding = "deciding rows: http_reqs rate, http_req_failed rate, http_req_duration p50, http_req_duration p95, iterations rate;";
    assert!(joined.contains(deciding), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

/// Returns a run in which one of `every` seconds is much slower than the others.
fn spiky(seconds: u64, every: u64, requests: u64) -> Side {
    let slow = |second: u64| if second.is_multiple_of(every) { 20_000_000 } else { 5_000_000 };
    side_by_second(&[("http://a", "/items")], seconds, |second| (requests, slow(second), 0))
}

#[test]
fn interval_past_tolerance_is_too_noisy() {
    let (a, b) = (spiky(40, 10, 100), spiky(40, 8, 100));
    let comparison = compared(&a, &b, "10%");
    assert_eq!(comparison.outcome(), Outcome::TooNoisy, "{:?}", comparison.rows);
    let advice = comparison.advice.unwrap();
    assert!(advice.seconds.is_none_or(|seconds| seconds > 40), "{advice:?}");
    let text = comparison.text(Page::default());
    assert!(text.starts_with("TOO NOISY TO TELL within 10%: http_req_duration p50 +"), "{text}");
    assert!(text.contains("  advice: ") && text.contains("noisy\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    // The advised tolerance must work.
    let percent = advice.tolerance_percent.unwrap();
    assert_eq!(compared(&a, &b, &format!("{percent}%")).outcome(), Outcome::NoRegression);
    assert_eq!(compared(&a, &b, &format!("{}%", percent - 1)).outcome(), Outcome::TooNoisy);
}

#[test]
fn runs_of_advised_length_are_decided() {
    let (a, b) = (spiky(60, 10, 100), spiky(60, 10, 100));
    let noisy = compared(&a, &b, "10%");
    assert_eq!(noisy.outcome(), Outcome::TooNoisy);
    let seconds = noisy.advice.unwrap().seconds.unwrap();
    assert!((61..20_000).contains(&seconds), "{seconds}");
    // The advised length is an estimate: twice as long must be enough.
    let longer = spiky(2 * seconds, 10, 100);
    assert_eq!(compared(&longer, &longer, "10%").outcome(), Outcome::NoRegression);
}

/// Returns a run of a minute with 100 requests per second whose durations are log-normal, as those of real services.
fn healthy(random: &mut SmallRng) -> Side {
    let mut run = Seconds::default();
    for second in 1..=60 {
        let mut durations = Histogram::new();
        for _ in 0..100 {
            // The sum of twelve uniform numbers is nearly normal.
            let normal = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
            durations.record_n((20e6 * (0.5 * normal).exp()) as u64, 1);
        }
        let mut snapshot = Snapshot::default();
        snapshot.triggers.done = 100;
        let label = Label::new("http://a", "/items", "GET");
        let series = Of { label: label.into(), outcome: Ended::Answered { status: 200, failed: false } };
        snapshot.requests.insert(series, Measure { durations, ..Measure::default() });
        run.add(&Progress { elapsed: Duration::from_secs(second), second: snapshot, users: 1, connections: 0 });
    }
    run.keep_whole(Duration::from_secs(60));
    Side { seconds: run, ..side(1, 0, 0, 0) }
}

#[test]
fn healthy_runs_of_a_minute_mostly_show_no_regression() {
    let mut random = SmallRng::seed_from_u64(11);
    let mut outcomes = Vec::new();
    for _ in 0..PAIRS {
        let [a, b] = [(); 2].map(|()| healthy(&mut random));
        outcomes.push(compared(&a, &b, "10%").outcome());
    }
    let count = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
    assert_eq!(count(Outcome::Regression), 0, "{outcomes:?}");
    assert!(count(Outcome::NoRegression) * 10 >= PAIRS * 9, "{outcomes:?}");
}

const PAIRS: usize = 10;

#[test]
fn noisy_rows_outside_main_metrics_do_not_decide() {
    let of = |spikes: u64| {
        side_by_second(&[("http://a", "/items"), ("http://a", "/rare")], 40, |second| {
            let is_slow = second.is_multiple_of(spikes);
            (100, 5_000_000, if is_slow { 1 } else { 0 })
        })
    };
    let noisy = |comparison: &Comparison| {
        comparison.rows.iter().filter(|row| row.outcome == Some(Shown::TooNoisy)).map(Row::name).collect::<Vec<_>>()
    };
    let comparison = compared(&of(9), &of(7), "10%");
    assert_eq!(comparison.outcome(), Outcome::TooNoisy, "failures of all requests decide");
    let all = Comparison::of(&of(9), &of(7), "10%".parse().unwrap(), Deciding::All);
    assert!(all.rows.iter().all(|row| row.decides) && noisy(&all) == noisy(&comparison));

    // With 100 requests per second, p99.9 depends on a single request, which is sometimes slow.
    let rare = |shift: u64| {
        side_by_second(&[("http://a", "/items")], 60, |second| {
            (100, if (second + shift).is_multiple_of(30) { 6_500_000 } else { 5_000_000 }, 0)
        })
    };
    let comparison = compared(&rare(0), &rare(1), "2%");
    let deciding: Vec<_> = comparison.rows.iter().filter(|row| row.decides).map(Row::name).collect();
    assert_eq!(deciding.len(), 5, "{deciding:?}");
    let others = comparison.rows.iter().filter(|row| !row.decides);
    assert!(others.clone().all(|row| row.confidence > 0.99), "there are ten of them");
    assert!(comparison.rows.iter().filter(|row| row.decides).all(|row| row.confidence == 0.95));
}

#[test]
fn steps_decide_without_requests() {
    let of = |nanos: u64| {
        let mut side = side(20, 100, nanos, 0);
        side.seconds = steps(20, nanos);
        side
    };
    let comparison = compared(&of(5_000_000), &of(8_000_000), "10%");
    let deciding: Vec<_> = comparison.rows.iter().filter(|row| row.decides).map(Row::name).collect();
    assert!(deciding.contains(&"http_req_duration p95 of MEASURE query".to_owned()), "{deciding:?}");
    assert_eq!(comparison.outcome(), Outcome::Regression);
}

#[test]
fn invalid_or_unfinished_run_is_unfit() {
    let mut run = side(20, 100, 5_000_000, 0);
    assert_eq!(run.unfit(), None);
    for (verdict, expected) in [
        (
            Verdict::Invalid(vec!["late".to_owned(), "lost".to_owned()]),
            "the run 3f2a91c0 (shop) is INVALID: late; lost",
        ),
        (Verdict::Died("by signal 9".to_owned()), "the run 3f2a91c0 (shop) is DIED: by signal 9"),
        (Verdict::NotStarted("no".to_owned()), "the run 3f2a91c0 (shop) is NOT STARTED: no"),
        (Verdict::NotEnded("it began".to_owned()), "the run 3f2a91c0 (shop) is NOT ENDED: it began"),
    ] {
        run.verdict = verdict;
        assert_eq!(run.unfit().as_deref(), Some(expected));
    }
    for verdict in [Verdict::Passed, Verdict::Stopped, Verdict::Failed(vec!["rate".to_owned()])] {
        run.verdict = verdict;
        assert_eq!(run.unfit(), None);
    }
}

#[test]
fn slower_failing_and_fewer_requests_are_regressions() {
    let a = side(20, 100, 5_000_000, 1);
    let slower = compared(&a, &side(20, 100, 6_000_000, 1), "5%");
    assert_eq!(slower.outcome(), Outcome::Regression);
    assert_eq!(worse(&slower).len(), 10, "five percentiles, of all and of the route");
    assert!(slower.text(Page::default()).starts_with("REGRESSION beyond 5%: http_req_duration p50 +20"));
    assert_eq!(
        worse(&compared(&a, &side(20, 100, 5_000_000, 3), "5%")),
        ["http_req_failed rate", "http_req_failed rate of GET /items"]
    );
    let fewer = ["http_reqs rate", "iterations rate", "http_reqs rate of GET /items"];
    assert_eq!(worse(&compared(&a, &side(20, 80, 5_000_000, 1), "30%")), [""; 0], "20% fewer is tolerated");
    let failing = ["http_req_failed rate", "http_req_failed rate of GET /items"];
    let found = worse(&compared(&a, &side(20, 80, 5_000_000, 1), "5%"));
    assert!(fewer.iter().chain(&failing).all(|name| found.iter().any(|found| found == name)), "{found:?}");
    let better = compared(&side(20, 80, 6_000_000, 3), &a, "5%");
    assert_eq!(better.outcome(), Outcome::NoRegression, "that is better");
}

#[test]
fn larger_tolerance_finds_fewer_regressions() {
    let (a, b) = (side(20, 100, 5_000_000, 1), side(20, 95, 5_600_000, 2));
    let found = ["0%", "5%", "10%", "20%", "100%", "200%"].map(|tolerance| worse(&compared(&a, &b, tolerance)).len());
    assert!(found.is_sorted_by(|more, fewer| more >= fewer) && found[0] > 0 && found[5] == 0, "{found:?}");
}

#[test]
fn first_failures_are_a_regression() {
    let comparison = compared(&side(20, 100, 5_000_000, 0), &side(20, 100, 5_000_000, 1), "50%");
    assert_eq!(worse(&comparison).len(), 2);
    assert!(comparison.text(Page::default()).contains("+∞ to +∞"), "{}", comparison.text(Page::default()));
}

#[test]
fn short_runs_are_not_judged() {
    let comparison = compared(&side(20, 100, 5_000_000, 0), &side(8, 100, 50_000_000, 0), "5%");
    assert_eq!((comparison.outcome, worse(&comparison).len()), (Outcome::TooLittle, 0));
    let text = comparison.text(Page::default());
    let first = "TOO SHORT TO TELL: A has 19 counted seconds, B has 7 counted seconds; at least 8\n";
    assert!(text.starts_with(first) && text.contains("5.11ms  51.1ms       -         -"), "{text}");
    assert_eq!((comparison.advice, comparison.rows[0].outcome), (None, None));
}

#[test]
fn different_plan_or_verdict_is_a_warning() {
    let a = side(20, 100, 5_000_000, 0);
    let mut b = side(20, 100, 5_000_000, 0);
    b.plan = Plan::new(Asked { users: Some(7), ..Asked::default() }).unwrap();
    b.verdict = Verdict::Invalid(Vec::new());
    let comparison = compared(&a, &b, "5%");
    assert_eq!(
        comparison.warnings,
        [
            "the load was not the same: A is 25 users for 10s, B is 7 users for 10s",
            "B is INVALID: the load generator limited the run, not the target alone"
        ]
    );
}

#[test]
fn route_of_only_one_run_is_a_warning() {
    let of = |routes: &[(&str, &str)]| side_of(routes, 20, (100, 5_000_000, 0));
    let both = of(&[("http://a", "/items"), ("http://a", "/")]);
    let one = of(&[("http://a", "/items")]);
    assert_eq!(compared(&both, &one, "5%").warnings, ["only A has: GET /"]);
    let text = compared(&both, &one, "5%").text(Page::default());
    assert!(text.contains("  warning: only A has: GET /\n"), "{text}");
    assert_eq!(compared(&one, &both, "5%").warnings, ["only B has: GET /"]);
    let paths: Vec<_> = (0..10).map(|number| format!("/{number}")).collect();
    let routes: Vec<_> = paths.iter().map(|path| ("http://a", &**path)).collect();
    let expected = "only B has: GET /0, GET /1, GET /2, GET /3, GET /4, GET /5, GET /6, GET /7, and 2 more";
    assert_eq!(compared(&one, &of(&routes), "5%").warnings, ["only A has: GET /items", expected]);
}

#[test]
fn route_names_have_origins_in_both_runs_or_in_neither() {
    let of = |routes: &[(&str, &str)]| side_of(routes, 20, (100, 5_000_000, 0));
    let routes = |comparison: &Comparison| {
        let mut routes: Vec<_> = comparison.rows.iter().filter_map(|row| row.route.clone()).collect();
        routes.dedup();
        routes
    };
    let one = of(&[("http://a", "/items")]);
    let moved = compared(&one, &of(&[("http://b", "/items")]), "5%");
    assert_eq!((routes(&moved), moved.warnings), (vec!["GET /items".to_owned()], vec![]));
    let more = compared(&one, &of(&[("http://a", "/items"), ("http://b", "/items")]), "5%");
    assert_eq!(routes(&more), ["GET http://a/items"]);
    assert_eq!(more.warnings, ["only B has: GET http://b/items"]);
}

#[test]
fn partial_last_second_does_not_count() {
    let mut run = side(20, 100, 5_000_000, 0);
    run.seconds.keep_whole(Duration::from_millis(15_500));
    // `keep_whole` removes the first second once more.
    assert_eq!(run.seconds.len(), 13);
}

/// Returns a run whose triggers have tags: `size`, a multiple of `step`, and `status`. Of 40 triggers per second,
/// `failed` fail.
fn tagged(step: u64, failed: u64) -> Side {
    let mut run = Seconds::default();
    for second in 1..=30 {
        let mut snapshot = Snapshot::default();
        for number in 0..40 {
            let status = if number < failed { "500" } else { "200" };
            let tags = golo::tagify([("size", (number * step).to_string()), ("status", status.to_owned())]);
            snapshot.tags.record(&tags, number < failed);
        }
        run.add(&Progress { elapsed: Duration::from_secs(second), second: snapshot, users: 1, connections: 0 });
    }
    run.keep_whole(Duration::from_secs(30));
    Side { seconds: run, ..side(1, 1, 1, 0) }
}

#[test]
fn tags_are_compared_but_not_judged() {
    let (a, b) = (tagged(1000, 0), tagged(3000, 20));
    let comparison = compared(&a, &b, "5%");
    let row = |name: &str| comparison.rows().iter().find(|row| row.name() == name).unwrap();
    let size = row("tag{size} avg");
    assert_eq!((size.a.unwrap().round(), size.b.unwrap().round()), (19_500.0, 58_500.0));
    assert!(size.change.is_some_and(|change| change > 1.9) && size.low.is_some());
    let failed = row("tag{status:500} rate");
    assert_eq!((failed.a, failed.b), (Some(0.0), Some(0.5)));
    let tags = comparison.rows().iter().filter(|row| row.tag.is_some());
    assert!(tags.clone().count() > 4 && tags.clone().all(|row| !row.regression && !row.improvement));
    let text = comparison.text(Page::new(120, false));
    for line in ["tags of triggers, not judged", "  tag{size} p95 ", "  tag{status:200} rate "] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}
