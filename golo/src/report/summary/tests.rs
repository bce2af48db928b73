use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::Phases;
use crate::engine::Finished;
use crate::engine::Options;
use crate::engine::connections::Connections;
use crate::engine::errors::ErrorKind;
use crate::engine::health::{Lag, LateStarts, LostAgent};
use crate::engine::plan::{Asked, Plan};
use crate::engine::series::{Label, Outcome, Series};
use crate::engine::slowest::{Journey, SpanId, TraceContext, TraceId};
use crate::engine::snapshot::{Check, Redirects, Triggers};
use crate::error::exit::Exit;
use crate::metrics::journey::{Journeys, Step};
use crate::report::page::WIDTH;
use crate::report::text::width;
use crate::report::{Change, Verdict};
use crate::report::{Moment, Unwritten, Watch, Written};
use crate::user::share::Share;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: u64 = 1_000_000;

/// Returns a run of ten seconds without any measurements.
fn finished(asked: Asked) -> Finished {
    let plan = Plan::new(Asked { duration: Some(10 * SECOND), ..asked }).unwrap();
    let options = Options { job_name: "shop".to_owned(), workers: 2, seed: 7, share: Share::WHOLE, max_lag: None };
    let mut finished = Finished::not_started(plan, options, None);
    finished.started_at = Some(UNIX_EPOCH + Duration::from_secs(1_795_600_000));
    (finished.load_time, finished.whole_time) = (10 * SECOND, 10 * SECOND);
    finished
}

fn users(users: u64) -> Finished {
    let mut finished = finished(Asked { users: Some(users), ..Asked::default() });
    finished.most_users = users;
    finished
}

fn label(origin: &str, method: &str, route: &str) -> Arc<Label> {
    Arc::new(Label::new(origin, route, method))
}

const OK: Outcome = Outcome::Answered { status: 200, failed: false };

/// Adds `number` requests of 100 bytes that took `nanos`, each of them a trigger.
fn add(finished: &mut Finished, label: &Arc<Label>, outcome: Outcome, number: u64, nanos: u64) {
    let series = Series { label: Arc::clone(label), outcome };
    let measure = finished.totals.requests.entry(series).or_default();
    measure.durations.record_n(nanos, number);
    measure.received = measure.received.saturating_add(number.saturating_mul(100));
    let triggers = &mut finished.totals.triggers;
    triggers.due = triggers.due.saturating_add(number);
    if outcome == Outcome::Interrupted {
        triggers.interrupted = triggers.interrupted.saturating_add(number);
        return;
    }
    triggers.done = triggers.done.saturating_add(number);
    triggers.service.record_n(nanos, number);
    triggers.response.record_n(nanos.saturating_add(nanos / 2), number);
}

fn items() -> Arc<Label> {
    label("http://shop:80", "GET", "/items/{id}")
}

/// Label of everything past the limit of series.
fn other() -> Arc<Label> {
    Series { label: items(), outcome: OK }.beyond().label
}

fn step(name: &str) -> Arc<Label> {
    label("", "MEASURE", name)
}

fn passed(finished: &Finished) -> String {
    ended(&finished.clone().into())
}

fn stopped(finished: &Finished, moment: Moment) -> String {
    ended(&RunOutcome { stopped: Some(moment), is_interrupted: true, ..finished.clone().into() })
}

fn ended(outcome: &RunOutcome) -> String {
    fitting(summary(outcome, Page::default()))
}

/// Asserts properties that every summary has.
fn fitting(summary: String) -> String {
    for line in summary.lines() {
        assert!(width(line) <= WIDTH, "{}: {line}", width(line));
        assert!(!line.ends_with(' ') && !line.contains(char::is_control), "{line:?}");
    }
    for nonsense in ["NaN", "inf", "\n\n\n"] {
        assert!(!summary.replace("infl", "").contains(nonsense), "{summary}");
    }
    assert!(summary.ends_with('\n') && !summary.starts_with('\n'));
    summary
}

fn has(summary: &str, lines: &[&str]) {
    for line in lines {
        assert!(summary.lines().any(|known| known == *line), "no line `{line}` in\n{summary}");
    }
}

#[test]
fn summary_of_normal_run() {
    let mut finished = finished(Asked { rate: Some("10/s".parse().unwrap()), ..Asked::default() });
    let buy = label("http://shop:80", "POST", "/buy");
    add(&mut finished, &items(), OK, 79, 2 * MILLI);
    add(&mut finished, &items(), Outcome::Answered { status: 500, failed: true }, 1, 40 * MILLI);
    add(&mut finished, &buy, OK, 10, 12_345_678);
    add(&mut finished, &buy, Outcome::Failed(ErrorKind::Timeout), 8, 1_000 * MILLI);
    let totals = &mut finished.totals;
    totals.errors.add(ErrorKind::Status, "status 500", 3 * SECOND);
    for _ in 0..8 {
        totals.errors.add(ErrorKind::Timeout, "no response within 1s", SECOND);
        totals.errors.add(ErrorKind::Returned, "POST http://shop/buy timed out: no response within 1s", SECOND);
    }
    totals.triggers.due += 2;
    totals.triggers.dropped_busy = 2;
    totals.triggers.failed = 8;
    totals.triggers.panicked = 1;
    totals.checks.insert("the shop has items".into(), Check { passed: 79, failed: 1 });
    totals.journeys.record_n(5 * MILLI, 97);
    totals.journeys.record_n(1_012 * MILLI, 1);
    let mut journeys = Journeys::default();
    let start = UNIX_EPOCH + 5 * SECOND;
    let step = |label, at, millis, status| {
        let (started, duration) = (start + Duration::from_millis(at), Duration::from_millis(millis));
        Step { status, ..Step::plain(label, started, duration, status == 0) }
    };
    journeys.add("0d3b7c9e", step(0, 0, 2, 200), Duration::ZERO);
    journeys.add("0d3b7c9e", step(1, 12, 1_000, 0), Duration::ZERO);
    for journey in journeys.into_vec() {
        totals.slowest.add(journey.relabel(|label| if label == 0 { items() } else { Arc::clone(&buy) }));
    }
    totals.connects.record_n(412_345, 4);
    totals.generator.lag.record_n(60_000, 98);
    totals.generator.busy = SECOND;
    totals.generator.time = 20 * SECOND;
    totals.generator.foreign = 3;
    finished.most_users = 3;
    finished.whole_time = 10 * SECOND + SECOND / 2;
    finished.health.worst_lag =
        Some(Lag { from: 2, p99: Duration::from_micros(60), limit: SECOND / 100, starts: starts(0, 30) });
    finished.health.descriptors.open = 24;
    finished.health.descriptors.limit = Some(1024);

    assert_eq!(passed(&finished), include_str!("normal.txt"));
}

#[test]
fn summary_warns_if_no_request_was_made() {
    let mut finished = users(5);
    let text = passed(&finished);
    has(&text, &["PASSED, but no request was made: no trigger ended"]);
    has(&text, &["  starts       0 due = 0 done + 0 dropped + 0 interrupted", "  rate         0/s started"]);
    assert!(!text.contains("Requests") && !text.contains("Triggers") && !text.contains("Errors"), "{text}");

    finished.totals.triggers.done = 1;
    finished.totals.triggers.due = 1;
    (finished.load_time, finished.whole_time) = (Duration::ZERO, Duration::ZERO);
    let text = passed(&finished);
    has(&text, &["PASSED: 1 trigger, none failed, and no request", "  rate         - started"]);
}

#[test]
fn verdict_explains_failure_of_every_request() {
    let mut finished = users(5);
    add(&mut finished, &items(), Outcome::Failed(ErrorKind::Connect), 1_000, MILLI);
    let totals = &mut finished.totals;
    for _ in 0..1000 {
        totals.errors.add(ErrorKind::Returned, "a trigger's own words", SECOND);
        totals.errors.add(ErrorKind::Connect, "Connection refused (os error 111)", 3200 * SECOND / 1000);
    }
    totals.triggers.failed = 1_000;
    let text = passed(&finished);
    has(&text, &["FAILED: nothing succeeded: every request failed: connect: Connection refused (os"]);
    assert!(!text.contains("also:"), "it is said once: {text}");
    has(&text, &["  connect   1,000      3.2s  Connection refused (os error 111)"]);
    has(&text, &["  failed       1,000 of 1,000 triggers (100%)"]);
    assert!(!text.contains("Status"), "{text}");

    let stopped = stopped(&finished, Moment::Load(11 * SECOND));
    has(&stopped, &["STOPPED by a signal while the last triggers finished"]);
    has(&stopped, &["  also: every request failed: connect: Connection refused (os error 111)"]);
}

#[test]
fn failed_and_panicked_triggers_are_reported_if_requests_passed() {
    let mut finished = users(5);
    add(&mut finished, &items(), OK, 10, MILLI);
    finished.totals.triggers.failed = 4;
    finished.totals.triggers.panicked = 1;
    finished.totals.errors.add(ErrorKind::Panic, "panicked at src/main.rs:1:\nno\u{1b}[31m", SECOND);
    let text = passed(&finished);
    has(&text, &[r"PASSED, but 3 of 10 triggers failed; 1 of 10 triggers panicked: panicked at"]);
    has(&text, &[r"  src/main.rs:1:\nno\u{1b}[31m", "  failed       4 of 10 triggers (40%), 1 by a panic"]);
}

#[test]
fn nothing_succeeded_describes_what_was_tried() {
    let mut finished = users(5);
    add(&mut finished, &items(), Outcome::Failed(ErrorKind::Connect), 100, MILLI);
    add(&mut finished, &items(), Outcome::Interrupted, 200, MILLI);
    add(&mut finished, &step("a query"), Outcome::Answered { status: 0, failed: false }, 5, MILLI);
    finished.totals.errors.add(ErrorKind::Other, "a step's own words", SECOND);
    finished.totals.errors.add(ErrorKind::Other, "a step's own words", SECOND);
    finished.totals.errors.add(ErrorKind::Connect, "refused", SECOND);
    let verdict = |finished: &Finished| RunOutcome::from(finished.clone()).verdict();
    let nothing = |finished: &Finished| match verdict(finished) {
        Verdict::Failed(reasons) => reasons,
        verdict => vec![verdict.to_string()],
    };
    let said = "nothing succeeded: 100 requests failed and 200 were cut off: connect: refused";
    assert_eq!(nothing(&finished), [said]);
    add(&mut finished, &items(), OK, 1, MILLI);
    assert_eq!(nothing(&finished), ["PASSED"]);

    let mut of_steps = users(5);
    add(&mut of_steps, &step("a query"), Outcome::Failed(ErrorKind::Other), 5, MILLI);
    of_steps.totals.errors.add(ErrorKind::Other, "no database", SECOND);
    assert_eq!(nothing(&of_steps), ["nothing succeeded: every step failed: other: no database"]);

    let mut of_triggers = users(5);
    of_triggers.totals.triggers = Triggers { due: 3, done: 2, failed: 2, panicked: 1, ..Triggers::default() };
    of_triggers.totals.errors.add(ErrorKind::Returned, "out of stock", SECOND);
    assert_eq!(nothing(&of_triggers), ["nothing succeeded: every trigger failed: out of stock"]);
    assert!(passed(&of_triggers).contains("  also: 1 of 2 triggers panicked"), "{}", passed(&of_triggers));
    of_triggers.totals.triggers = Triggers { due: 3, dropped_unready: 3, ..Triggers::default() };
    assert_eq!(nothing(&of_triggers), ["nothing succeeded: 3 starts dropped, and no trigger ran"]);
    of_triggers.totals.triggers = Triggers::default();
    assert_eq!(nothing(&of_triggers), ["PASSED"], "nothing was due");
}

#[test]
fn threshold_that_asks_for_failures_lets_failing_run_pass() {
    let mut finished = users(5);
    add(&mut finished, &items(), Outcome::Answered { status: 503, failed: true }, 100, MILLI);
    let judged = |text: &str| {
        let thresholds = Watch::new([text.parse().unwrap()], &finished.plan).judge(&finished);
        RunOutcome { thresholds, ..finished.clone().into() }
    };
    for text in
        ["http_req_failed rate==100%", "http_req_duration{status:503} p(95)<10ms", "http_reqs{status:503} count>0"]
    {
        let outcome = judged(text);
        assert_eq!((outcome.verdict(), outcome.exit()), (Verdict::Passed, Exit::Success), "{text}");
        assert!(ended(&outcome).starts_with("PASSED, but every request failed"), "{text}");
    }
    for text in ["http_req_failed rate<=100%", "http_req_duration p(95)<10ms", "http_req_interrupted rate>0"] {
        let outcome = judged(text);
        assert_eq!(outcome.exit(), Exit::ThresholdFailed, "{text}");
    }
}

#[test]
fn passed_and_failed_requests_are_separate_above_one_percent_failures() {
    let mut finished = users(5);
    add(&mut finished, &items(), OK, 10, 56 * MILLI);
    add(&mut finished, &items(), Outcome::Answered { status: 503, failed: true }, 990, MILLI);
    add(&mut finished, &label("http://shop:80", "GET", "/well"), OK, 1_000, 7 * MILLI);
    let text = passed(&finished);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.starts_with(
            "PASSED, but 990 of 2,000 requests failed (49.5%), p95 7ms of those that passed and 1ms of those that failed"
        ),
        "{text}"
    );
    // Those of the route and of the total. The other route has no failure.
    assert_eq!(text.lines().filter(|line| line.starts_with("    passed  ")).count(), 2, "{text}");
    assert!(
        words.contains("passed 10 0% 1/s 1kB 56ms 56ms") && words.contains("failed 990 100% 99/s 99kB 1ms"),
        "{text}"
    );
    assert!(words.contains("passed 1,010 0% 101/s 101kB 7.49ms 7ms"), "{text}");
    let narrow = summary(&finished.clone().into(), Page::new(40, false));
    let list = narrow.lines().skip_while(|line| line.trim() != "passed").nth(1).unwrap();
    assert!(list.starts_with("    count 10 failed 0% rate 1/s"), "{narrow}");

    let mut few = users(5);
    add(&mut few, &items(), OK, 99, MILLI);
    add(&mut few, &items(), Outcome::Answered { status: 503, failed: true }, 1, MILLI);
    let text = passed(&few);
    has(&text, &["PASSED, but 1 of 100 requests failed (1%)"]);
    assert!(!text.contains("passed  "), "{text}");
}

#[test]
fn rates_exclude_what_ended_after_the_load_and_report_it() {
    let mut finished = users(5);
    finished.whole_time = 40 * SECOND;
    add(&mut finished, &items(), OK, 100, MILLI);
    let after = |finished: &mut Finished, number: u64| {
        let measure = finished.totals.requests.values_mut().next().unwrap();
        measure.after_load.count = number;
        finished.totals.triggers.done_after_load = number;
    };
    after(&mut finished, 1);
    let text = passed(&finished);
    has(&text, &["  1 request ended after the load: counted above, but in no rate"]);
    assert!(text.contains(" 100      0%  9.9/s "), "{text}");
    after(&mut finished, 100);
    assert!(passed(&finished).contains(" 100      0%   0/s "), "{}", passed(&finished));
    // Golo 0.1 did not report what ended after the load.
    after(&mut finished, 0);
    finished.tells_after_load = false;
    let text = passed(&finished);
    assert!(text.contains(" 100      0%  2.5/s ") && !text.contains("after the load"), "{text}");
}

#[test]
fn load_ended_by_iterations_lasts_until_last_start() {
    let mut finished = users(10);
    finished.plan = Plan::new(Asked { users: Some(10), iterations: Some(1_000), ..Asked::default() }).unwrap();
    (finished.load_time, finished.whole_time) = (10 * SECOND, 35 * SECOND);
    add(&mut finished, &items(), OK, 1_000, MILLI);
    let after = |finished: &mut Finished, number: u64| {
        finished.totals.requests.values_mut().for_each(|measure| measure.after_load.count = number);
        finished.totals.triggers.done_after_load = number;
    };
    after(&mut finished, 10);
    let text = passed(&finished);
    has(&text, &["  rate         99/s started", "  10 requests ended after the load: counted above, but in no rate"]);
    assert!(text.contains("      0%  99/s "), "{text}");
    // Nearly all of them started at once, so that only the whole run has a rate.
    after(&mut finished, 995);
    let text = passed(&finished);
    has(&text, &["  rate         28.6/s started"]);
    assert!(text.contains("      0%  28.6/s ") && !text.contains("after the load"), "{text}");

    let rate = Some("100/s".parse().unwrap());
    finished.plan = Plan::new(Asked { rate, iterations: Some(1_000), ..Asked::default() }).unwrap();
    finished.load_time = Duration::from_millis(9_990);
    has(&passed(&finished), &["  rate         100/s asked, 100/s achieved"]);
}

#[test]
fn measured_steps_have_their_own_table_and_are_not_requests() {
    let mut finished = users(5);
    add(&mut finished, &items(), OK, 64, 2 * MILLI);
    let ok = Outcome::Answered { status: 0, failed: false };
    add(&mut finished, &step("a query"), ok, 35, 40 * MILLI);
    add(&mut finished, &step("a query"), Outcome::Failed(ErrorKind::Other), 1, MILLI);
    let text = passed(&finished);
    has(&text, &["PASSED, but 1 of 36 steps failed (2.78%), p95 40ms of those that passed and 1ms"]);
    has(&text, &["  200      64  100%"]);
    let section = |title: &str| {
        let lines = text.lines().skip_while(|line| !line.starts_with(title)).take_while(|line| !line.is_empty());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(section("Requests").iter().all(|line| !line.contains("a query") && !line.contains("40ms")), "{text}");
    assert!(section("Steps").iter().any(|line| line.starts_with("  a query")), "{text}");

    let mut alone = users(5);
    add(&mut alone, &step("a query"), ok, 35, 40 * MILLI);
    let text = passed(&alone);
    assert!(text.starts_with("PASSED: 35 steps, none failed, and no request\n"), "{text}");
    let row = |text: &str| text.lines().find(|line| line.starts_with("  a query")).map(str::to_owned).unwrap();
    assert!(row(&text).ends_with(" 3.5kB"), "{text}");
    let mut without_bytes = alone.clone();
    without_bytes.totals.requests.values_mut().for_each(|measure| measure.received = 0);
    assert!(row(&passed(&without_bytes)).ends_with(" -"), "it is unknown how much a query received");
    add(&mut alone, &items(), OK, 2, MILLI);
    assert!(passed(&alone).starts_with("PASSED: 2 requests and 35 steps, none failed\n"));
}

#[test]
fn single_request_is_summarised() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 1, 5_300);
    let text = passed(&finished);
    has(&text, &["PASSED: 1 request, none failed", "  duration  5.3µs  5.3µs  5.3µs  5.3µs  5.3µs  5.3µs"]);
    assert_eq!(text.lines().filter(|line| line.trim_start().starts_with("5.3µs")).count(), 2, "{text}");
}

#[test]
fn fifty_of_a_thousand_routes_are_shown_and_all_are_in_the_total() {
    let mut finished = users(1);
    for n in 0..1000_u64 {
        add(&mut finished, &label("http://shop:80", "GET", &format!("/{n}")), OK, 2, (n + 1) * MILLI);
    }
    add(&mut finished, &other(), OK, 500, MILLI);
    let text = passed(&finished);
    assert!(text.contains("Requests, most time spent first"), "{text}");
    has(&text, &["  … and 951 more routes"]);
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("  GET /")).collect();
    assert_eq!(rows.len(), 50);
    assert!(rows[0].starts_with("  GET /999 "), "{}", rows[0]);
    assert!(text.lines().any(|line| line.starts_with("  total  ") && line.contains("  2,500  ")), "{text}");

    let mut few = users(1);
    add(&mut few, &other(), OK, 500, MILLI);
    assert!(passed(&few).contains("  other (all past the limit of series)  "));
}

#[test]
fn long_route_does_not_break_layout() {
    let long = format!("/{}\u{1b}[2J\n\u{202e}{}/end", "界".repeat(80), "x".repeat(60));
    let mut finished = users(1);
    add(&mut finished, &label("http://one", "GET", &long), OK, 3, MILLI);
    add(&mut finished, &label("http://one", "GET", "/short"), OK, 3, MILLI);
    add(&mut finished, &label("http://two", "GET", "named"), OK, u64::MAX, u64::MAX);
    let text = passed(&finished);
    assert!(text.lines().any(|line| line.starts_with("  GET http://one/界") && line.ends_with("xx/end")), "{text}");
    assert!(text.contains("  GET http://one/short  ") && text.contains("  GET http://two named"), "{text}");
    assert!(!text.contains("target"), "{text}");
}

#[test]
fn durations_range_from_microseconds_to_most_of_an_hour() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 99, 5_000);
    add(&mut finished, &items(), OK, 1, 3_012_000 * MILLI);
    let text = passed(&finished);
    has(&text, &["  duration  5µs  5µs  5µs  5µs  50m12s  50m12s"]);
}

#[test]
fn cut_off_requests_are_counted_separately() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 10, MILLI);
    add(&mut finished, &items(), Outcome::Interrupted, 2, 9_000 * MILLI);
    let text = passed(&finished);
    has(&text, &["  starts       12 due = 10 done + 0 dropped + 2 interrupted"]);
    has(&text, &["  2 requests were cut off by the end of the run (16.7%): in no count and no"]);
    assert!(!text.contains("9s"), "{text}");

    let mut nothing_else = users(1);
    add(&mut nothing_else, &items(), Outcome::Interrupted, 1, MILLI);
    let text = passed(&nothing_else);
    has(&text, &["FAILED: nothing succeeded: no request ended, 1 request cut off"]);
    has(&text, &["  also: 1 of 1 trigger cut off"]);
    has(&text, &["Requests", "  1 request was cut off by the end of the run (100%): in no count and no latency"]);
}

#[test]
fn run_that_did_not_start_reports_only_the_reason_and_errors() {
    let users = users(10);
    let reason = Some("no user could start".to_owned());
    let mut finished = Finished::not_started(users.plan, users.options, reason);
    finished.totals.generator.users_failed = 10;
    finished.totals.errors.add(ErrorKind::Start, "no account\n", Duration::from_millis(2));
    assert_eq!(
        passed(&finished),
        "NOT STARTED: no user could start\n  also: 10 of 10 users could not start: no account\\n\n\n\
         Load\n  job          shop\n  plan         10 users for 10s\n\n\
         Errors   count  first at\n  start      1       2ms  no account\\n\n"
    );
    finished.not_started = None;
    finished.totals = Default::default();
    has(&stopped(&finished, Moment::Setup), &["STOPPED by a signal during `setup`"]);
}

#[test]
fn users_that_could_not_start_are_reported() {
    let mut finished = users(10);
    add(&mut finished, &items(), OK, 1, MILLI);
    finished.totals.errors.add(ErrorKind::Start, "no account", SECOND);
    (finished.totals.generator.users_failed, finished.totals.generator.users_started) = (3, 9);
    has(&passed(&finished), &["PASSED, but 3 of 10 users could not start: no account"]);
}

#[test]
fn saturated_generator_is_explained_in_words() {
    let mut finished = users(10);
    add(&mut finished, &items(), OK, 90, MILLI);
    add(&mut finished, &items(), Outcome::Answered { status: 503, failed: true }, 10, MILLI);
    finished.health.worst_lag = Some(Lag { from: 4, p99: SECOND / 20, limit: SECOND / 100, starts: starts(17, 300) });
    finished.health.lost.push("it did not stop: the load test blocks its thread".to_owned());
    finished.totals.generator.without_port = 1;
    let text = passed(&finished);
    let head: Vec<_> = text.lines().take(7).collect();
    assert_eq!(
        head,
        [
            "INVALID: the generator, not the target, was the limit: starts were late: 17 of",
            "  300 starts, by p99 50ms in the 3s from 4s on, where 10ms is the limit (on a",
            "  shared CI machine, ask for less load or raise the limit with `--max-lag`); 1",
            "  request found no local port left; a worker was lost, of 2: it did not stop:",
            "  the load test blocks its thread",
            "  also: 10 of 100 requests failed (10%), p95 1ms of those that passed and 1ms of",
            "    those that failed",
        ]
    );
    has(&text, &["  worst lag    p99 50ms late at worst (from 4s on); 10ms is the limit, and 17 of"]);
}

/// Returns `late` late starts of `all` in a window of three seconds.
fn starts(late: u64, all: u64) -> Option<LateStarts> {
    Some(LateStarts { length: 3 * SECOND, late, all })
}

#[test]
fn one_late_start_does_not_invalidate_run() {
    let mut finished = users(10);
    add(&mut finished, &items(), OK, 90, MILLI);
    finished.health.worst_lag = Some(Lag { from: 4, p99: SECOND / 20, limit: SECOND / 40, starts: starts(1, 12) });
    assert!(passed(&finished).starts_with("PASSED: 90 requests, none failed\n"));
    // Results of an older golo contain no number of late starts.
    finished.health.worst_lag = Some(Lag { from: 4, p99: SECOND / 20, limit: SECOND / 40, starts: None });
    assert!(passed(&finished).starts_with("INVALID: "));
}

#[test]
fn lost_workers_are_reported_with_their_share_for_any_verdict() {
    let mut finished = users(10);
    add(&mut finished, &items(), OK, 90, MILLI);
    let reasons = ["it did not stop", "it did not stop", "panicked: no\n"];
    finished.health.lost = reasons.map(str::to_owned).to_vec();
    finished.options.workers = 8;
    for text in [passed(&finished), stopped(&finished, Moment::Load(SECOND))] {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("3 workers were lost, of 8: it did not stop, panicked: no"), "{text}");
        assert!(words.contains("lost 3 of 8 workers, with that share of the load, and what was measured"), "{text}");
    }
}

#[test]
fn lost_agents_are_reported_with_time_and_reason() {
    let mut finished = users(10);
    add(&mut finished, &items(), OK, 90, MILLI);
    let lost = |name: &str, seconds: u32, reason: &str| LostAgent {
        name: name.to_owned(),
        from: seconds * SECOND,
        reason: reason.to_owned(),
    };
    finished.health.lost_agents =
        vec![lost("10.0.0.2:8081", 3, "it cannot be reached"), lost("10.0.0.3:8081", 0, "no user could start")];
    let text = passed(&finished);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.starts_with(
            "INVALID: the generator, not the target, was the limit: the agent 10.0.0.2:8081 was lost from 3s on: it cannot be \
             reached; the agent 10.0.0.3:8081 was lost from the start on: no user could start"
        ),
        "{text}"
    );
    let said = "lost the agent 10.0.0.2:8081, with its share of the load, from 3s on: it cannot be reached";
    assert!(words.contains(said), "{text}");
    let text = stopped(&finished, Moment::Load(SECOND));
    assert!(text.contains("also: the agent 10.0.0.2:8081 was lost from 3s on"), "{text}");
}

#[test]
fn unwritten_outputs_are_a_concern() {
    let mut finished = users(10);
    add(&mut finished, &items(), OK, 9, MILLI);
    let unwritten = |lines, reason: &str| Unwritten { lines, place: "`x`".to_owned(), reason: reason.to_owned() };
    let unwritten = vec![unwritten(1_234, "no space\u{7}"), unwritten(1, "no time")];
    let text = ended(&RunOutcome { unwritten, ..finished.into() });
    has(
        &text,
        &[
            r"PASSED, but 1,234 output lines could not be written to `x`: no space\u{7}; 1",
            "  output line could not be written to `x`: no time",
        ],
    );
}

#[test]
fn asked_rate_of_stages_covers_time_until_run_was_stopped() {
    let stages = |text: &str| text.split(',').map(|stage| stage.parse().unwrap()).collect();
    let of_a_rate = Asked { stages: stages("10s:100/s"), ..Asked::default() };
    let of_users = Asked { stages: stages("10s:100"), pace: Some(SECOND), ..Asked::default() };
    for asked in [of_a_rate, of_users] {
        let mut finished = users(1);
        finished.plan = Plan::new(asked).unwrap();
        finished.load_time = 4 * SECOND;
        add(&mut finished, &items(), OK, 40, MILLI);
        has(&stopped(&finished, Moment::Load(4 * SECOND)), &["  rate         20/s on average asked, 10/s achieved"]);
        finished.load_time = 10 * SECOND;
        has(&passed(&finished), &["  rate         50/s on average asked, 4/s achieved"]);
    }
}

#[test]
fn retired_user_that_was_busy_is_a_reason_for_dropped_starts() {
    let mut finished = users(1);
    let stages = vec!["5s:0".parse().unwrap(), "5s:0".parse().unwrap()];
    let asked = Asked { users: Some(1), pace: Some(SECOND), stages, ..Asked::default() };
    finished.plan = Plan::new(asked).unwrap();
    add(&mut finished, &items(), OK, 1, MILLI);
    (finished.totals.triggers.due, finished.totals.triggers.dropped_busy) = (3, 2);
    has(&passed(&finished), &["  dropped      2: their user was still busy when its time in the run was over"]);
}

#[test]
fn signal_is_reported_with_stage_of_run() {
    let mut finished = users(1);
    finished.load_time = Duration::from_millis(4_200);
    add(&mut finished, &items(), OK, 1, MILLI);
    let said = |finished: &Finished, moment| stopped(finished, moment).lines().next().unwrap().to_owned();
    let load = |millis| Moment::Load(Duration::from_millis(millis));
    assert_eq!(said(&finished, load(4_200)), "STOPPED by a signal after 4.2s of 10s");
    let asked = Asked { warm_up: Some(SECOND), iterations: Some(5), ..Asked::default() };
    finished.plan = Plan::new(asked).unwrap();
    for (moment, when) in [
        (Moment::Setup, "during `setup`"),
        (Moment::Start, "while users started"),
        (load(0), "during the warm-up"),
        (load(4_200), "after 4.2s"),
        // The iterations had been used up by then.
        (load(4_201), "while the last triggers finished"),
        (Moment::Stop, "while users stopped"),
        (Moment::Teardown, "during `teardown`"),
    ] {
        assert_eq!(said(&finished, moment), format!("STOPPED by a signal {when}"));
    }
}

#[test]
fn orders_of_programs_are_reported() {
    let mut finished = users(1);
    finished.load_time = Duration::from_millis(4_200);
    add(&mut finished, &items(), OK, 1, MILLI);
    let change = |at, load: &str| Change { at: Duration::from_millis(at), load: load.to_owned() };
    let changes = vec![change(1_500, "20 users"), change(2_000, "1 user")];
    let stopped = Some(Moment::Load(finished.load_time));
    let text = ended(&RunOutcome { changes, stopped, ..finished.into() });
    has(&text, &["STOPPED by an order after 4.2s of 10s", "  changed      to 20 users at 1.5s, to 1 user at 2s"]);
}

#[test]
fn saturated_generator_is_a_warning_if_users_are_unpaced() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 1, MILLI);
    (finished.totals.generator.busy, finished.totals.generator.time) = (19 * SECOND, 20 * SECOND);
    let text = passed(&finished);
    assert!(text.contains("95% of the time") && text.contains("the generator is saturated"), "{text}");

    let paced = Asked { users: Some(1), pace: Some(SECOND), ..Asked::default() };
    finished.plan = Plan::new(Asked { duration: Some(10 * SECOND), ..paced }).unwrap();
    let text = passed(&finished);
    assert!(text.contains("response, from due") && !text.contains("saturated"), "{text}");
}

#[test]
fn journeys_of_one_request_each_are_not_shown() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 10, MILLI);
    finished.totals.journeys.record_n(MILLI, 10);
    assert!(!passed(&finished).contains("Journeys"));
    // Some requests of these belong to no journey that was kept.
    add(&mut finished, &items(), OK, 10, MILLI);
    assert!(passed(&finished).contains("Journeys"));
    assert!(!passed(&finished).contains("slowest"));
}

#[test]
fn journey_of_one_request_is_shown_if_it_has_a_trace() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 1, MILLI);
    finished.totals.journeys.record(MILLI);
    let (trace_id, span_id) = (TraceId::new([0xab; 16]).unwrap(), SpanId::new([1; 8]).unwrap());
    let trace = Some(Box::new(TraceContext { trace_id, span_id }));
    let step = Step { trace, ..Step::plain(items(), UNIX_EPOCH, Duration::from_nanos(MILLI), false) };
    finished.totals.slowest.add(Journey::begin("x", step, Duration::ZERO));
    let trace = format!("    trace {}", "ab".repeat(16));
    has(&passed(&finished), &["  slowest: 1ms, sequence x", &trace]);
}

#[test]
fn slow_steps_of_long_journey_are_shown() {
    let mut finished = users(1);
    let mut journeys = Journeys::default();
    for n in 0..70_u64 {
        let started = UNIX_EPOCH + n as u32 * SECOND;
        let duration = Duration::from_millis(if n % 10 == 0 { 500 } else { n });
        journeys.add("\n", Step::plain(0, started, duration, n == 60), Duration::ZERO);
    }
    finished.totals.journeys.record(MILLI);
    for journey in journeys.into_vec() {
        finished.totals.slowest.add(journey.relabel(|_| label("", "MEASURE", &"very ".repeat(60))));
    }
    let text = passed(&finished);
    has(&text, &[r"  slowest: 1m9s, sequence \n", "    … and 52 more steps, each quicker"]);
    has(&text, &["    … then 6 steps that were not kept"]);
    assert!(text.contains("      +0s  500ms  ok      MEASURE very very"), "{text}");
    assert!(text.contains("     +1m  500ms  failed  MEASURE very very"), "{text}");
}

#[test]
fn many_errors_checks_and_statuses_are_limited() {
    let mut finished = users(1);
    for n in 0..99_u16 {
        add(&mut finished, &items(), Outcome::Answered { status: 400 + n, failed: n > 4 }, 1, MILLI);
        finished.totals.errors.add(
            ErrorKind::Returned,
            &format!("{}\u{7}{}", "ab".repeat(n.into()), "long ".repeat(50)),
            SECOND,
        );
        finished.totals.checks.insert(format!("{n} {}", "界".repeat(90)).into(), Check { passed: 0, failed: 1 });
    }
    let text = passed(&finished);
    has(&text, &["  … and 49 more checks", "  … and 49 more codes", "  … and 79 more errors"]);
    assert!(text.contains("; 99 checks failed"), "{text}");
}

#[test]
fn largest_numbers_fit_into_summary() {
    let mut finished = finished(Asked { rate: Some("10000000/s".parse().unwrap()), ..Asked::default() });
    add(&mut finished, &items(), OK, u64::MAX, u64::MAX);
    add(&mut finished, &items(), Outcome::Failed(ErrorKind::Other), u64::MAX, 0);
    let totals = &mut finished.totals;
    let triggers = &mut totals.triggers;
    (triggers.failed, triggers.panicked, triggers.dropped_busy) = (u64::MAX, u64::MAX, u64::MAX);
    (triggers.dropped_unready, triggers.dropped_stopped) = (u64::MAX, u64::MAX);
    totals.checks.insert("c".into(), Check { passed: u64::MAX, failed: u64::MAX });
    totals.generator.users_failed = u64::MAX;
    totals.generator.users_started = u64::MAX;
    (totals.generator.busy, totals.generator.time) = (Duration::MAX, Duration::MAX);
    totals.generator.foreign = u64::MAX;
    finished.most_users = u64::MAX;
    (finished.load_time, finished.whole_time) = (Duration::MAX, Duration::from_nanos(1));
    finished.started_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1 << 60));
    finished.health.worst_lag =
        Some(Lag { from: u64::MAX, p99: Duration::MAX, limit: Duration::MAX, starts: starts(1, 2) });
    passed(&finished);
}

/// Returns a run in which one threshold passed, one failed and one had no samples.
fn judged() -> RunOutcome {
    let mut finished = users(5);
    add(&mut finished, &items(), OK, 99, 2 * MILLI);
    add(&mut finished, &items(), Outcome::Answered { status: 500, failed: true }, 1, 40 * MILLI);
    let watch = |texts: [&str; 3]| Watch::new(texts.map(|text| text.parse().unwrap()), &finished.plan);
    let watch = watch(["http_req_duration p(95)<200ms", "http_req_failed rate<0.1%", "checks rate>=99%"]);
    RunOutcome { thresholds: watch.judge(&finished), ..finished.into() }
}

#[test]
fn thresholds_come_first_with_actual_values() {
    let text = ended(&judged());
    let head: Vec<_> = text.lines().take(8).collect();
    assert_eq!(
        head,
        [
            "FAILED: http_req_failed rate<0.1% was 1%; checks rate>=99%: no samples of",
            "  `checks`",
            "  also: 1 of 100 requests failed (1%)",
            "",
            "Thresholds",
            "  ✓ http_req_duration p(95)<200ms  2ms",
            "  ✗ http_req_failed rate<0.1%      1%",
            "  ✗ checks rate>=99%               no samples of `checks`",
        ]
    );
}

#[test]
fn run_aborted_by_threshold_reports_time() {
    let mut outcome = judged();
    outcome.finished.load_time = 4 * SECOND;
    outcome.aborted = Some(outcome.thresholds[1].threshold.clone());
    let text = ended(&outcome);
    assert!(text.starts_with("FAILED after 4s, when that could no longer be mended: http_req_failed"), "{text}");
}

#[test]
fn files_come_last_and_write_errors_are_in_headline() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 1, MILLI);
    let file =
        |kind, path: &str, error: Option<&str>| Written { kind, path: path.into(), error: error.map(str::to_owned) };
    let files = vec![file("summary", "s.json", None), file("csv", "r_stats.csv", Some("no space left"))];
    let text = ended(&RunOutcome { files, ..finished.into() });
    assert!(text.starts_with("PASSED, but `r_stats.csv` could not be written: no space left\n"), "{text}");
    assert!(
        text.ends_with("Files\n  summary      s.json\n  csv          r_stats.csv: not written: no space left\n"),
        "{text}"
    );
}

#[test]
fn wide_page_has_one_line_per_route_and_narrow_page_a_list() {
    let outcome = judged();
    let page = |columns| summary(&outcome, Page::new(columns, false));
    let wide = page(140);
    let row = wide.lines().find(|line| line.starts_with("  GET /items/{id}  ")).unwrap();
    assert_eq!(row.split_whitespace().count(), 14, "{row}");
    for columns in [30, 40, 60, 79, 80, 100, 140] {
        let text = page(columns);
        let widest = text.lines().map(width).max().unwrap();
        assert!(widest <= columns, "{widest} in {columns}:\n{text}");
        assert!(!text.lines().any(|line| line.ends_with(' ')), "{text}");
        let words = |text: &str| text.split_whitespace().filter(|word| word.starts_with("2ms")).count();
        assert_eq!(words(&text), words(&wide), "every figure is there:\n{text}");
    }
}

#[test]
fn colours_do_not_change_text() {
    let outcome = judged();
    let coloured = summary(&outcome, Page::new(80, true));
    assert!(coloured.starts_with("\u{1b}[1m\u{1b}[31mFAILED\u{1b}[0m: http_req_failed"), "{coloured:?}");
    assert_eq!(console::strip_ansi_codes(&coloured), ended(&outcome));
}

#[test]
fn redirects_are_requests_that_the_target_received() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 3, MILLI);
    add(&mut finished, &items(), Outcome::Interrupted, 1, MILLI);
    add(&mut finished, &label("", "MEASURE", "a step"), OK, 5, MILLI);
    assert!(!passed(&finished).contains("redirect"));
    finished.totals.redirect(&items(), Redirects { followed: 10, at_least: 0 });
    has(&passed(&finished), &["  10 redirects followed: the target saw 14 requests"]);
    finished.totals.redirect(&items(), Redirects { followed: 1, at_least: 1 });
    let summary = passed(&finished);
    has(&summary, &["  at least 11 redirects followed: the target saw at least 15 requests (the load"]);
    let mut nothing_ended = users(1);
    add(&mut nothing_ended, &items(), Outcome::Interrupted, 1, MILLI);
    nothing_ended.totals.redirect(&items(), Redirects { followed: 1, at_least: 0 });
    has(&passed(&nothing_ended), &["  1 redirect followed: the target saw 2 requests"]);
}

#[test]
fn load_of_warm_up_and_users_is_reported_as_not_counted() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 3, MILLI);
    assert!(!passed(&finished).contains("connections"));
    let generator = &mut finished.totals.generator;
    (generator.warm_up_triggers, generator.warm_up_requests, generator.warm_up_connections) = (50, 100, 100);
    let summary = passed(&finished);
    has(&summary, &["  connections  100 made, all in the warm-up"]);
    has(&summary, &["  warm-up      50 triggers and 100 requests before the start, not counted"]);
    let totals = &mut finished.totals;
    (totals.generator.user_requests, totals.generator.user_connections) = (7, 1);
    totals.connects.record_n(MILLI, 20);
    let summary = passed(&finished);
    has(&summary, &["  connections  121 made, 100 in the warm-up, 1 by users that started and"]);
    has(&summary, &["  requests     7 made by users that started and stopped, not counted"]);
}

/// Records the phases of `number` requests.
fn record_phases(finished: &mut Finished, label: &Arc<Label>, number: u64, phases: Phases) {
    let series = Series { label: Arc::clone(label), outcome: OK };
    let measured = finished.totals.requests.entry(series).or_default().phases.get_or_insert_default();
    (0..number).for_each(|_| measured.record(&phases));
}

#[test]
fn phases_have_a_table_with_zeros_of_reused_connections() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 100, 20 * MILLI);
    assert!(!passed(&finished).contains("Phases"), "they are unknown");
    let millis = Duration::from_millis;
    let reused = Phases { waiting: millis(15), receiving: millis(2), ..Phases::default() };
    record_phases(&mut finished, &items(), 96, reused);
    record_phases(&mut finished, &items(), 4, Phases { connecting: millis(3), ..reused });
    let summary = passed(&finished);
    let table = [
        "Phases              p50   p95   max",
        "  blocked            0s    0s    0s",
        "  dns                0s    0s    0s",
        "  connecting         0s    0s   3ms",
        "  tls handshaking    0s    0s    0s",
        "  sending            0s    0s    0s",
        "  waiting          15ms  15ms  15ms",
        "  receiving         2ms   2ms   2ms",
        "",
        "Triggers",
    ];
    assert!(summary.contains(table.join("\n").as_str()), "{summary}");
    assert!(summary.starts_with("PASSED: 100 requests"), "{summary}");

    let mut nothing = users(1);
    add(&mut nothing, &items(), OK, 1, MILLI);
    record_phases(&mut nothing, &items(), 1, Phases::default());
    assert!(!passed(&nothing).contains("Phases"), "no phase took any time");
}

#[test]
fn long_wait_inside_golo_is_in_the_headline() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 100, 20 * MILLI);
    record_phases(&mut finished, &items(), 100, Phases { blocked: Duration::from_millis(1), ..Phases::default() });
    assert!(passed(&finished).starts_with("PASSED: 100 requests"), "5 % is usual");
    record_phases(&mut finished, &items(), 100, Phases { blocked: Duration::from_millis(12), ..Phases::default() });
    let summary = passed(&finished);
    has(&summary, &["PASSED, but requests waited inside golo for a connection, by p95 12ms of 20ms:"]);
    has(&summary, &["  more connections, or `--connections per-user`, would help"]);
}

#[test]
fn transport_and_use_of_connections_are_named() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 1_000, MILLI);
    assert!(!passed(&finished).contains("transport"), "it is unknown");
    let series = Series { label: items(), outcome: OK };
    let measured = finished.totals.requests.entry(series).or_default().phases.get_or_insert_default();
    (0..7).for_each(|_| measured.record_waiting(Duration::from_micros(900)));
    has(&passed(&finished), &["  transport    reqwest (the load test's client)"]);

    record_phases(&mut finished, &items(), 1, Phases { waiting: Duration::from_micros(900), ..Phases::default() });
    finished.totals.connects.record_n(MILLI, 20);
    finished.totals.generator.warm_up_connections = 4;
    finished.totals.connections = Connections {
        http1: 20,
        http2: 4,
        handshakes_full: 1,
        handshakes_resumed: 23,
        used: 24,
        reused: 976,
        closed_by_server: 3,
        resent: 1,
        ..Connections::default()
    };
    finished.most_connections = 8;
    let summary = passed(&finished);
    let words = summary.split_whitespace().collect::<Vec<_>>().join(" ");
    has(&summary, &["  tls          1 full handshake, 23 resumed"]);
    for text in [
        "transport golo (HTTP/1.1, HTTP/2); reqwest (the load test's client) for 7 requests",
        "connections 24 made, 4 in the warm-up; 24 carried requests, 976 requests reused one, 3 closed by the server, 1 \
         request sent again, 8 open at once at most; connecting took p50 1ms, p99 1ms, max 1ms",
    ] {
        assert!(words.contains(text), "{summary}");
    }
}

#[test]
fn proxy_is_named() {
    let mut finished = users(1);
    add(&mut finished, &items(), OK, 1, MILLI);
    finished.proxies = vec!["http://127.0.0.1:3128".to_owned()];
    has(&passed(&finished), &["  proxy        http://127.0.0.1:3128"]);
}

#[test]
fn response_with_rejected_content_keeps_its_status() {
    let mut finished = users(1);
    add(&mut finished, &items(), Outcome::Content { status: 200 }, 2, MILLI);
    add(&mut finished, &items(), OK, 2, MILLI);
    (0..2).for_each(|_| finished.totals.errors.add(ErrorKind::Content, "no such user", SECOND));
    let summary = passed(&finished);
    assert!(summary.starts_with("PASSED, but 2 of 4 requests failed (50%)"), "{summary}");
    has(&summary, &["  200       2  50%", "  200       2  50%  failed", "  content      2        1s  no such user"]);
}
