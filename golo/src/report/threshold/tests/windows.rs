use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::engine::metrics::{Sum, Value};
use crate::engine::plan::{Asked, DeclaredScenario, Plan, ScenarioRequest, ScenarioSettings};
use crate::engine::series::TagPairs;
use crate::engine::tags::Numbers;
use crate::engine::{Finished, Options, Progress};
use crate::tagify;
use crate::user::share::Share;

const SECOND: Duration = Duration::from_secs(1);

/// A run of whole seconds, whose thresholds are watched.
struct Run {
    plan: Plan,
    watch: Watch,
    totals: Snapshot,
    elapsed: Duration,
    lost_after: Option<u64>,
}

impl Run {
    fn new(thresholds: &[&str], asked: Asked) -> Self {
        Self::of_plan(Plan::new(Asked { graceful_stop: Some(SECOND), ..asked }).unwrap(), thresholds)
    }

    fn of_plan(plan: Plan, thresholds: &[&str]) -> Self {
        let watch = Watch::new(thresholds.iter().map(|text| threshold(text)), &plan);
        Self { plan, watch, totals: Snapshot::default(), elapsed: Duration::ZERO, lost_after: None }
    }

    fn of_seconds(seconds: u64, thresholds: &[&str]) -> Self {
        Self::new(thresholds, Asked { duration: Some(Duration::from_secs(seconds)), ..Asked::default() })
    }

    /// Adds a second with these requests. Those that failed took 1 s, the others 1 ms.
    fn second(&mut self, passed: usize, failed: usize) {
        let mut second = Snapshot::default();
        if passed > 0 {
            request(&mut second, series("GET", "/", PASSED), &vec![1_000_000; passed]);
        }
        if failed > 0 {
            request(&mut second, series("GET", "/", FAILED), &vec![1_000_000_000; failed]);
        }
        self.add(second, SECOND);
    }

    fn add(&mut self, second: Snapshot, length: Duration) {
        self.totals.merge(&second);
        self.elapsed += length;
        self.watch.second(&Progress { elapsed: self.elapsed, second, users: 1, connections: 0 });
        if self.lost_after.is_none() && self.watch.lost(&self.totals, self.elapsed).is_some() {
            self.lost_after = Some(self.elapsed.as_secs());
        }
    }

    /// Judges the run, whose load took `load`.
    fn judged(&self, load: Duration) -> Vec<Judged> {
        let options = Options { job_name: String::new(), workers: 1, seed: 0, share: Share::WHOLE, max_lag: None };
        let not_started = Finished::not_started(self.plan.clone(), options, None);
        let totals = self.totals.clone();
        self.watch.judge(&Finished { totals, load_time: load, whole_time: self.elapsed, ..not_started })
    }

    fn ended(&self) -> Vec<Judged> {
        self.judged(self.elapsed)
    }
}

#[test]
fn bad_deploy_fails_its_window_although_the_whole_run_holds() {
    let mut run = Run::of_seconds(300, &["http_req_failed rate<20%", "http_req_failed rate<20% over 30s"]);
    for second in 0..300 {
        if (100..140).contains(&second) { run.second(0, 100) } else { run.second(100, 0) }
    }
    // The sixth bad second is a fifth of the window.
    assert_eq!(run.lost_after, Some(106));
    let judged = run.ended();
    assert!(judged[0].passed, "{}", judged[0].said());
    assert!(!judged[1].passed);
    // A window fails if it has six bad seconds: 65 end from 106 s to 165 s, less the five seconds before each.
    assert_eq!(judged[1].said(), "100% (from 1m40s to 2m10s; 59 of 271 windows failed)");
    let counts = judged[1].windows.unwrap();
    assert_eq!((counts.judged, counts.failed, counts.empty), (271, 59, 0));
    assert_eq!((counts.length, counts.worst_from), (30 * SECOND, Some(100 * SECOND)));
}

#[test]
fn worst_window_of_a_rate_is_the_lowest() {
    let mut run = Run::of_seconds(10, &["http_reqs rate>3 over 3s", "http_reqs count>=9 over 3s"]);
    [5, 5, 5, 2, 2, 5, 5, 5, 5, 5].into_iter().for_each(|requests| run.second(requests, 0));
    let judged = run.ended();
    assert_eq!(judged[0].said(), "3/s (from 2s to 5s; 2 of 8 windows failed)");
    assert!(!judged[0].passed && judged[1].passed);
    assert_eq!(judged[1].said(), "9 (from 2s to 5s; 8 windows passed)");
    assert_eq!(run.lost_after, Some(5));
}

#[test]
fn window_without_samples_is_not_judged() {
    let texts = ["http_req_duration max<500ms over 2s", "http_reqs count>0 over 2s", "checks rate>0 over 2s"];
    let mut run = Run::of_seconds(6, &texts);
    [1, 1, 0, 0, 0, 1].into_iter().for_each(|requests| run.second(requests, 0));
    let judged = run.ended();
    assert!(judged[0].passed);
    assert_eq!(judged[0].said(), "1ms (from 0s to 2s; 3 windows passed, 2 had no samples)");
    assert!(!judged[1].passed, "a counter is 0 in it");
    assert_eq!(judged[1].said(), "0 (from 2s to 4s; 2 of 5 windows failed)");
    assert!(!judged[2].passed);
    assert_eq!(judged[2].said(), "no samples of `checks`");
}

#[test]
fn samples_after_the_load_are_in_no_window() {
    let mut run = Run::of_seconds(3, &["http_req_duration max<500ms over 2s", "http_req_failed rate<1% over 2s"]);
    [0, 0, 0].into_iter().for_each(|requests| run.second(requests, 0));
    run.second(0, 5);
    let judged = run.judged(3 * SECOND);
    assert_eq!(run.lost_after, None);
    assert_eq!(judged[0].said(), "no samples in any of its 2 windows");
    assert!(!judged[0].passed && !judged[1].passed);
}

#[test]
fn windows_after_an_early_end_of_the_load_are_not_judged() {
    let mut run = Run::new(&["http_req_failed rate<50% over 2s"], Asked { iterations: Some(100), ..Asked::default() });
    [1, 1, 1, 1].into_iter().for_each(|requests| run.second(requests, 0));
    run.totals.triggers.due = 100;
    run.second(0, 9);
    run.second(0, 9);
    assert_eq!(run.lost_after, None, "the load ended within the fifth second");
    let judged = run.judged(4500 * SECOND / 1000);
    assert!(judged[0].passed);
    assert_eq!(judged[0].said(), "0% (from 0s to 2s; 3 windows passed)");
}

#[test]
fn run_shorter_than_a_window_is_judged_as_a_whole() {
    let mut run = Run::of_seconds(3, &["http_req_failed rate<50% over 5s", "http_req_duration max<500ms over 5s"]);
    run.second(2, 0);
    run.second(2, 1);
    assert_eq!(run.lost_after, Some(2), "the maximum can no longer hold");
    let judged = run.ended();
    assert!(judged[0].passed && !judged[1].passed);
    assert_eq!(judged[0].said(), "20% (judged over the whole run, which was shorter than 5s)");
    assert!(judged[1].said().contains("shorter than 5s; includes 20% failed requests"), "{}", judged[1].said());
    assert_eq!(judged[0].windows.unwrap().judged, 0);
    // A run without any load has no samples.
    let judged = Run::of_seconds(3, &["http_req_failed rate<50% over 1s"]).ended();
    assert_eq!((judged[0].passed, &*judged[0].said()), (false, "no samples of `http_req_failed`"));
}

#[test]
fn seconds_that_were_reported_together_are_one_window() {
    let mut run = Run::of_seconds(9, &["http_reqs rate>=2 over 2s"]);
    run.second(2, 0);
    let mut three = Snapshot::default();
    request(&mut three, series("GET", "/", PASSED), &[1; 6]);
    run.add(three, 3 * SECOND);
    run.second(2, 0);
    let judged = run.ended();
    assert_eq!(judged[0].said(), "2/s (from 1s to 4s; 2 windows passed)");
}

#[test]
fn series_in_other_fail_windows_too() {
    let mut run = Run::of_seconds(9, &["http_reqs{method:POST} count<5 over 2s"]);
    let mut second = Snapshot::default();
    let label = Arc::new(Label::new("", "other", ""));
    request(&mut second, Series { label, outcome: PASSED }, &[1]);
    run.add(second, SECOND);
    assert_eq!(run.lost_after, Some(1));
    assert!(!run.ended()[0].passed);
    assert!(run.ended()[0].said().contains("past the limit of series"));
}

#[test]
fn old_windows_count_after_they_are_certain() {
    let mut run = Run::of_seconds(1000, &["http_req_failed rate<50% over 2s"]);
    run.second(0, 1);
    run.second(0, 1);
    (2..1000).for_each(|_| run.second(1, 0));
    let judged = run.ended();
    assert_eq!(judged[0].said(), "100% (from 0s to 2s; 2 of 999 windows failed)");
    assert_eq!(run.lost_after, Some(2));
}

/// Returns a second in which the load test's own metrics have this sum. `None` if nothing was recorded.
fn own(sum: Option<u32>) -> Snapshot {
    let mut second = Snapshot::default();
    let blue: TagPairs = [("tenant", "blue")].into_iter().collect();
    if let Some(sum) = sum {
        let orders = Sum { count: 1, millionths: u128::from(sum) * 1_000_000, after_load: 0 };
        second.metrics.add("orders", None, Some(&blue), &Value::Counter(orders));
        let mut carts = Numbers::default();
        (0..sum).for_each(|_| assert!(carts.record_number(1.0)));
        second.metrics.add("carts", None, Some(&blue), &Value::Trend(carts));
        (0..sum).for_each(|_| second.tags.record(&tagify([("size", "1")]), false));
    }
    second
}

const COUNTERS: [&str; 5] =
    ["orders count", "orders{tenant:blue} count", "carts count", "tag{size} count", "orders rate"];

#[test]
fn own_counter_is_0_in_a_window_in_which_it_did_not_increase() {
    for counter in COUNTERS {
        let mut run = Run::of_seconds(7, &[&format!("{counter}>0.2 over 1s")]);
        [None, Some(2), Some(1), None, None, Some(3), None].into_iter().for_each(|sum| run.add(own(sum), SECOND));
        let judged = run.ended().remove(0);
        assert!(!judged.passed, "{counter}");
        assert!(judged.said().ends_with("(from 0s to 1s; 4 of 7 windows failed)"), "{}", judged.said());
        assert_eq!(run.lost_after, Some(2), "{counter}: it is known to be a counter then");
    }
    // Windows that were certain before anything was recorded are judged too.
    let mut run = Run::of_seconds(300, &["orders count>=1 over 1s"]);
    (0..299).for_each(|_| run.add(own(None), SECOND));
    assert_eq!(run.lost_after, None);
    run.add(own(Some(1)), SECOND);
    assert_eq!(run.lost_after, Some(300));
    let judged = run.ended().remove(0);
    assert_eq!(judged.said(), "0 (from 0s to 1s; 299 of 300 windows failed)");
    // A value that came after the last window tells the kind too.
    let mut run = Run::of_seconds(3, &["orders count>=1 over 1s", "carts avg>=1 over 1s"]);
    (0..3).for_each(|_| run.add(own(None), SECOND));
    run.add(own(Some(1)), SECOND);
    let judged = run.judged(3 * SECOND);
    assert_eq!(judged[0].said(), "0 (from 0s to 1s; 3 of 3 windows failed)");
    assert_eq!(judged[1].said(), "no samples in any of its 3 windows");
}

/// A plan of a scenario that starts at 5 s and takes 3 s, one that ends after four iterations, and two that share the
/// load of a run of 10 s.
fn scenarios() -> Plan {
    let declared = [
        ("browse", &[][..]),
        ("search", &[]),
        ("report", &[("rate", "2/s"), ("start", "5s"), ("duration", "3s")]),
        ("first", &[("users", "1"), ("iterations", "4")]),
    ];
    let declared = declared.map(|(name, settings)| DeclaredScenario {
        name: name.to_owned(),
        settings: ScenarioSettings::read(settings).unwrap(),
    });
    let run = Plan::new(Asked { duration: Some(10 * SECOND), ..Asked::default() }).unwrap();
    ScenarioRequest::default().plan(run.sole().unwrap(), &declared, false).unwrap()
}

#[test]
fn windows_of_a_scenario_are_those_of_its_load() {
    let texts = [
        "iterations{scenario:report} count>=4 over 2s",
        "iterations{scenario:first} count>=2 over 1s",
        "iterations{scenario:browse} count>=1 over 1s",
        "iterations{scenario:report} count>=6 over 4s",
    ];
    let mut run = Run::of_plan(scenarios(), &texts);
    for second in 0..12 {
        let mut seen = Snapshot::default();
        let mut done = |name: &str, number: u64| {
            let triggers = seen.scenarios.entry(name.into()).or_default();
            (triggers.due, triggers.done) = (number, number);
        };
        done("browse", 1);
        if (5..8).contains(&second) {
            done("report", 2);
        }
        if second < 2 {
            done("first", 2);
        }
        run.add(seen, SECOND);
    }
    let judged = run.judged(10 * SECOND);
    assert_eq!(judged[0].said(), "4 (from 5s to 7s; 2 windows passed)");
    assert_eq!(judged[1].said(), "2 (from 0s to 1s; 1 window passed)", "the last iteration started in the second one");
    assert_eq!(judged[2].said(), "1 (from 0s to 1s; 10 windows passed)");
    assert_eq!(judged[3].said(), "6 (judged over the whole run, as the load of the scenario was shorter than 4s)");
    assert_eq!(run.lost_after, None);
}

#[test]
fn unknown_scenario_fails_with_the_nearest_one() {
    let reason = |plan: Plan, text: &str| {
        let mut run = Run::of_plan(plan, &[text]);
        let mut second = Snapshot::default();
        for scenario in ["browse", "first"] {
            let Series { label, outcome } = series("GET", "/", PASSED);
            let tags = [("scenario", scenario)].into_iter().collect();
            let label = Arc::new(Label::clone(&label).with_tags(tags));
            request(&mut second, Series { label, outcome }, &[1]);
        }
        run.add(second, SECOND);
        let judged = run.ended().remove(0);
        assert_eq!(judged.passed, judged.reason.is_none(), "{text}");
        judged.reason
    };
    for metric in ["iteration_failed", "dropped_iterations", "iterations", "http_req_failed"] {
        for over in ["", " over 1s"] {
            let of = |scenario| reason(scenarios(), &format!("{metric}{{scenario:{scenario}}} count<9{over}"));
            assert_eq!(of("borwse").unwrap(), "the run has no scenario `borwse`; did you mean `browse`?", "{metric}");
            assert_eq!(of("first"), None, "{metric}");
        }
    }
    let shared = reason(scenarios(), "dropped_iterations{scenario:browse} count<=0").unwrap();
    assert_eq!(shared, "not known: `browse` shares its load, so starts that did not happen belong to no scenario");
    // A load test without scenarios may have a tag of this key.
    let without = || Plan::new(Asked::default()).unwrap();
    assert_eq!(reason(without(), "http_req_failed{scenario:browse} count<1"), None);
    let none = reason(without(), "iterations{scenario:browse} count<9").unwrap();
    assert_eq!(none, "the run has no scenario `browse`");
}

proptest! {
    #[test]
    fn windows_of_own_counters_are_judged_like_their_sums(
        seconds in prop::collection::vec(prop::option::of(1..5_u32), 1..20),
        length in any::<prop::sample::Index>(),
        counter in prop::sample::select(&COUNTERS[..]),
        operator in prop::sample::select(&Operator::ALL[..]),
        limit in 0..8_u32,
    ) {
        let length = 1 + length.index(seconds.len());
        let text = format!("{counter}{operator}{limit} over {length}s");
        let mut run = Run::of_seconds(seconds.len() as u64, &[&text]);
        seconds.iter().for_each(|&sum| run.add(own(sum), SECOND));
        let judged = run.ended().remove(0);
        let Some(first) = seconds.iter().position(Option::is_some) else {
            prop_assert!(!judged.passed && judged.reason.is_some());
            return Ok(());
        };
        let sums = seconds.windows(length).map(|window| window.iter().flatten().sum::<u32>());
        let divisor = if counter.ends_with("rate") { length as f64 } else { 1.0 };
        let failed: Vec<_> = sums.map(|sum| !operator.holds(f64::from(sum) / divisor, f64::from(limit))).collect();
        let counts = judged.windows.unwrap();
        let number = failed.iter().filter(|failed| **failed).count();
        prop_assert_eq!((counts.judged, counts.failed, counts.empty), (failed.len() as u64, number as u64, 0), "{}", text);
        prop_assert_eq!(judged.passed, number == 0);
        // A failed window ends the run once the kind of the metric is known.
        let lost = failed.iter().position(|failed| *failed).map(|window| (window + length).max(first + 1) as u64);
        prop_assert_eq!(run.lost_after, lost);
    }

    #[test]
    fn windows_are_judged_like_runs_of_their_seconds(
        threshold in super::reading::thresholds().prop_filter("over windows", |threshold| threshold.over.is_some()),
        seconds in prop::collection::vec((0..4_usize, 0..3_usize), 1..20),
        length in 1..8_usize,
    ) {
        let threshold = Threshold { over: Some(SECOND * length as u32), ..threshold };
        let mut run = Run::of_seconds(seconds.len() as u64, &[&threshold.to_string()]);
        seconds.iter().for_each(|&(passed, failed)| run.second(passed, failed));
        let judged = run.ended().remove(0);
        let counts = judged.windows.unwrap();
        let mut naive = (0, 0, 0);
        for window in seconds.windows(length) {
            let mut alone = Run::of_seconds(length as u64, &[]);
            window.iter().for_each(|&(passed, failed)| alone.second(passed, failed));
            let users = Some(Users { fewest: 1, most: 1 });
            let rates = RateTime::load(SECOND * length as u32);
            match threshold.judge(&Measured { totals: &alone.totals, rates, users }).actual {
                None => naive.2 += 1,
                Some(actual) => {
                    naive.0 += 1;
                    naive.1 += u64::from(!threshold.holds(actual.value()));
                }
            }
        }
        prop_assert_eq!((counts.judged, counts.failed, counts.empty), naive, "{}", threshold);
        prop_assert_eq!(run.lost_after.is_some(), naive.1 > 0 || (seconds.len() < length && !judged.passed && run.lost_after.is_some()));
        if naive.0 + naive.2 > 0 {
            prop_assert_eq!(judged.passed, naive.0 > 0 && naive.1 == 0 && judged.reason.is_none());
        }
    }
}
