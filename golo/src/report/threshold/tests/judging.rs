use std::time::Duration;

use super::*;
use crate::Phases;
use crate::engine::room::Priority;
use crate::engine::snapshot::{AfterLoad, Measure};
use crate::metrics::check::Check;
use crate::request::measure;

const MS: u64 = 1_000_000;
const TIME: Duration = Duration::from_secs(10);
const ANSWERED_STEP: Outcome = Outcome::Answered { status: 0, failed: false };

fn judged(text: &str, totals: &Snapshot) -> Judged {
    let users = Some(Users { fewest: 3, most: 25 });
    threshold(text).judge(&Measured { totals, rates: RateTime::all(TIME), users })
}

/// Returns the actual value as displayed, and whether the threshold passed.
fn said(text: &str, totals: &Snapshot) -> (String, bool) {
    let judged = judged(text, totals);
    (judged.shown(), judged.passed)
}

/// Records the phases of a request in a series.
fn phases(totals: &mut Snapshot, series: Series, phases: Phases) {
    totals.requests.entry(series).or_default().phases.get_or_insert_default().record(&phases);
}

/// Returns totals with samples of every metric.
fn everything() -> Snapshot {
    let mut totals = Snapshot::default();
    let fast: Vec<u64> = (1..=96).map(|ms| ms * MS).collect();
    request(&mut totals, series("GET", "/items/{id}", PASSED), &fast);
    request(&mut totals, series("POST", "/items", FAILED), &[200 * MS, 400 * MS]);
    request(&mut totals, series("POST", "/items", TIMED_OUT), &[1000 * MS, 1000 * MS]);
    request(&mut totals, series("POST", "/items", Outcome::Interrupted), &[9000 * MS]);
    let step = Outcome::Answered { status: 0, failed: false };
    request(&mut totals, series(measure::METHOD, "a query", step), &[5000 * MS]);
    let reused = Phases {
        blocked: Duration::from_nanos(200),
        sending: Duration::from_millis(4),
        waiting: Duration::from_millis(1),
        receiving: Duration::from_millis(5),
        ..Phases::default()
    };
    let (dns, connecting) = (Duration::from_millis(3), Duration::from_millis(2));
    phases(
        &mut totals,
        series("GET", "/items/{id}", PASSED),
        Phases { dns, connecting, tls_handshaking: dns, ..reused },
    );
    (0..95).for_each(|_| phases(&mut totals, series("GET", "/items/{id}", PASSED), reused));
    phases(&mut totals, series("POST", "/items", Outcome::Interrupted), Phases { waiting: dns, ..reused });
    for measure in totals.requests.values_mut() {
        (measure.received, measure.sent) = (1_000_000, 500_000);
    }
    (totals.triggers.done, totals.triggers.failed, totals.triggers.interrupted) = (50, 1, 4);
    (totals.triggers.dropped_busy, totals.triggers.dropped_unready) = (2, 1);
    totals.triggers.service.record_n(10 * MS, 50);
    totals.triggers.response.record_n(20 * MS, 50);
    totals.journeys.record(30 * MS);
    totals.checks.insert("page is whole".into(), Check { passed: 3, failed: 1 });
    totals.checks.insert("price".into(), Check { passed: 4, failed: 0 });
    totals
}

#[test]
fn every_metric_has_its_value() {
    let totals = everything();
    for (text, shown) in [
        ("http_reqs count<=100", "100"),
        ("http_reqs rate<=10", "10/s"),
        ("http_req_duration max<=1s", "1s"),
        ("http_req_duration min<=1", "1ms"),
        ("http_req_duration med<=50.1", "50ms"),
        ("http_req_duration p(96)<=97", "96ms"),
        ("http_req_duration avg<=100", "72.6ms"),
        ("http_req_failed rate<=3.97%", "3.96%"),
        ("http_req_failed count<=4", "4"),
        ("http_req_interrupted rate<=1%", "0.99%"),
        ("http_req_interrupted count<=1", "1"),
        ("data_received count<=3MB", "3MB"),
        ("data_received rate<=300kB", "300kB/s"),
        ("data_sent count<=1.5MB", "1.5MB"),
        ("iterations count==50", "50"),
        ("iterations rate==5", "5/s"),
        ("iteration_duration max<=10", "10ms"),
        ("iteration_response max<=20", "20ms"),
        ("iteration_failed rate<=2%", "1.85%"),
        ("iteration_failed count==1", "1"),
        ("iteration_interrupted rate<=7.5%", "7.41%"),
        ("iteration_interrupted count==4", "4"),
        ("dropped_iterations count==3", "3"),
        ("journey_duration max<=30", "30ms"),
        ("http_req_blocked avg<=1", "200ns"),
        ("http_req_dns max<=3", "3ms"),
        ("http_req_connecting p(95)<=0", "0s"),
        ("http_req_connecting max<=2", "2ms"),
        ("http_req_tls_handshaking min<=0", "0s"),
        ("http_req_sending max<=4", "4ms"),
        ("http_req_waiting max<=1", "1ms"),
        ("http_req_receiving med<=5", "5ms"),
        ("steps count==1", "1"),
        ("steps rate==0.1", "0.1/s"),
        ("step_duration max<=5s", "5s"),
        ("step_failed rate<=0%", "0%"),
        ("checks rate>=87.5%", "87.5%"),
        ("vus max==25", "25"),
        ("vus min==3", "3"),
    ] {
        assert_eq!(said(text, &totals), (shown.to_owned(), true), "{text}");
        let opposite = text.replace("<=", ">").replace(">=", "<").replace("==", "!=");
        assert!(!said(&opposite, &totals).1, "{opposite}");
    }
}

#[test]
fn tags_select_series() {
    let totals = everything();
    for (tags, count) in [
        ("route:/items/{id}", 96),
        ("route:/items", 4),
        ("method:post", 4),
        ("status:500", 2),
        ("error:timeout", 2),
        ("error:status", 2),
        ("outcome:failed", 4),
        ("outcome:passed", 96),
        ("method:MEASURE,outcome:passed", 1),
        ("method:MEASURE,outcome:failed", 0),
        ("origin:http://127.0.0.1:8765", 100),
        ("origin:http://localhost:8765", 0),
        ("route:/items,status:200", 0),
        ("method:MEASURE", 1),
    ] {
        let text = format!("http_reqs{{{tags}}} count=={count}");
        assert!(said(&text, &totals).1, "{text}: {}", said(&text, &totals).0);
    }
    assert_eq!(said("http_req_duration{route:/items} max<1.1s", &totals), ("1s".to_owned(), true));
    assert_eq!(said("http_req_failed{route:/items} rate<1%", &totals), ("80%".to_owned(), false));
    assert_eq!(said("http_req_interrupted{route:/items} rate<=20%", &totals), ("20%".to_owned(), true));
    assert_eq!(said("http_req_interrupted{route:/items/{id}} rate<=0", &totals), ("0%".to_owned(), true));
    assert_eq!(said("step_duration{step:a query} max<=5s", &totals), ("5s".to_owned(), true));
    assert_eq!(said("steps{step:another} count==0", &totals), ("0".to_owned(), true));
    assert_eq!(said("checks{check:page is whole} rate>70%", &totals), ("75%".to_owned(), true));
    assert_eq!(said("http_req_duration{method:MEASURE} max<=5s", &totals), ("5s".to_owned(), true));
}

#[test]
fn without_samples_only_a_counter_has_a_value() {
    let nothing = Snapshot::default();
    let measured = Measured { totals: &nothing, rates: RateTime::all(Duration::ZERO), users: None };
    for metric in Metric::all() {
        for statistic in metric.kind().statistics() {
            let statistic = statistic.replace('N', "95");
            for operator in ["<", ">=", "!="] {
                let threshold = threshold(&format!("{} {statistic}{operator}0.5", subject(metric)));
                let judged = threshold.judge(&measured);
                let is_counter = metric.kind() == metric::Kind::Counter
                    || (metric.kind() == metric::Kind::Part && threshold.statistic == Statistic::Count);
                assert_eq!(judged.passed, is_counter && operator != ">=", "{threshold}");
                assert_eq!((judged.actual.is_some(), judged.reason.is_none()), (is_counter, is_counter));
            }
        }
    }
}

#[test]
fn tags_select_phases() {
    let mut totals = everything();
    let slow = Phases { waiting: Duration::from_secs(2), ..Phases::default() };
    phases(&mut totals, series("POST", "/items", TIMED_OUT), slow);
    for (text, shown) in [
        ("http_req_waiting max<1s", "2s"),
        ("http_req_waiting{outcome:passed} max<1s", "1ms"),
        ("http_req_waiting{route:/items} max<1s", "2s"),
        ("http_req_waiting{error:timeout} max<1s", "2s"),
        ("http_req_waiting{status:200} max<1s", "1ms"),
        ("http_req_dns{method:GET} max<1s", "3ms"),
        ("http_req_dns{method:POST} max<1s", "0s"),
        ("http_req_blocked{origin:http://127.0.0.1:8765} min<1s", "0s"),
        ("http_req_blocked{origin:http://localhost} min<1s", "no samples"),
        ("http_req_sending{method:MEASURE} min<1s", "no samples"),
    ] {
        let expected = shown != "2s" && shown != "no samples";
        assert_eq!(said(text, &totals), (shown.to_owned(), expected), "{text}");
    }
}

#[test]
fn unknown_phases_have_no_samples() {
    let mut totals = Snapshot::default();
    request(&mut totals, series("GET", "/", PASSED), &[3 * MS; 10]);
    let measure = totals.requests.values_mut().next().unwrap();
    (0..10).for_each(|_| measure.phases.get_or_insert_default().record_waiting(Duration::from_millis(2)));
    assert_eq!(said("http_req_waiting{route:/} max<1s", &totals), ("2ms".to_owned(), true));
    for phase in ["blocked", "dns", "connecting", "tls_handshaking", "sending", "receiving"] {
        assert_eq!(said(&format!("http_req_{phase} p(95)<1h"), &totals), ("no samples".to_owned(), false));
    }
    // The only histogram of golo 0.1 is of all series.
    let mut old = Snapshot::default();
    old.waiting.record(7 * MS);
    assert_eq!(said("http_req_waiting max<1s", &old), ("7ms".to_owned(), true));
    assert_eq!(said("http_req_waiting{route:/} max<1s", &old), ("no samples".to_owned(), false));
}

#[test]
fn unknown_tag_value_is_reported_as_no_samples() {
    let totals = everything();
    let judged = judged("http_req_duration{route:/item/{id}} p(95)<1s", &totals);
    let reason = "no samples of `http_req_duration{route:/item/{id}}`; did you mean `/items/{id}`?";
    assert_eq!((judged.passed, judged.reason.as_deref()), (false, Some(reason)));
    assert_eq!(judged.shown(), "no samples");
    let reason = super::super::Threshold::judge(
        &threshold("checks{check:prices} rate>0"),
        &Measured { totals: &totals, rates: RateTime::all(TIME), users: None },
    )
    .reason;
    assert_eq!(reason.as_deref(), Some("no samples of `checks{check:prices}`; did you mean `price`?"));
}

#[test]
fn near_miss_is_shown_with_more_digits() {
    let mut totals = Snapshot::default();
    request(&mut totals, series("GET", "/", PASSED), &[200_400_001; 999]);
    request(&mut totals, series("GET", "/", FAILED), &[200_400_001]);
    assert_eq!(said("http_req_duration max<200ms", &totals), ("200.400001ms".to_owned(), false));
    assert_eq!(said("http_req_duration max<300ms", &totals), ("200ms".to_owned(), true));
    assert_eq!(said("http_req_failed rate<0.1%", &totals), ("0.1%".to_owned(), false));
    assert_eq!(said("http_reqs rate>100", &totals), ("100/s".to_owned(), false));
    assert_eq!(said("http_reqs rate>100.5", &totals), ("100/s".to_owned(), false));
}

#[test]
fn json_contains_value_and_unit() {
    let totals = everything();
    let json = |text: &str| serde_json::to_string(&judged(text, &totals).actual.unwrap()).unwrap();
    for (text, written) in [
        ("http_req_duration max<1", r#"{"value":1000000000,"unit":"ns"}"#),
        ("http_reqs count<1", r#"{"value":100,"unit":"count"}"#),
        ("http_reqs rate<1", r#"{"value":10.0,"unit":"per_second"}"#),
        ("http_req_interrupted{route:/items} rate<1", r#"{"value":0.2,"unit":"share"}"#),
        ("data_sent count<1", r#"{"value":1500000,"unit":"bytes"}"#),
        ("data_sent rate<1", r#"{"value":150000.0,"unit":"bytes_per_second"}"#),
    ] {
        assert_eq!(json(text), written);
    }
}

#[test]
fn series_in_other_count_as_requests_unless_they_are_steps() {
    let mut totals = Snapshot::default();
    let step = Outcome::Answered { status: 0, failed: false };
    request(&mut totals, series("GET", "/", PASSED).beyond(), &[MS]);
    request(&mut totals, series(measure::METHOD, "a query", step).beyond(), &[MS]);
    request(&mut totals, series(measure::METHOD, "a query", TIMED_OUT).beyond(), &[MS]);
    assert!(said("http_reqs count==1", &totals).1);
    assert!(said("steps count==2", &totals).1 && said("step_failed rate==50%", &totals).1);
    // Golo 0.1 counted a step that succeeded like this.
    let label = Arc::clone(&series("GET", "/", PASSED).beyond().label);
    request(&mut totals, Series { label, outcome: step }, &[MS]);
    assert!(said("http_reqs count==1", &totals).1 && said("steps count==3", &totals).1);
}

#[test]
fn rate_excludes_what_ended_after_the_load_but_count_includes_it() {
    let mut totals = Snapshot::default();
    request(&mut totals, series("GET", "/", PASSED), &[MS; 100]);
    for measure in totals.requests.values_mut() {
        (measure.received, measure.sent) = (1_000, 500);
        measure.after_load = AfterLoad { count: 40, received: 400, sent: 200 };
    }
    (totals.triggers.done, totals.triggers.done_after_load) = (100, 40);
    let said = |text: &str, rates| threshold(text).judge(&Measured { totals: &totals, rates, users: None }).shown();
    for (text, of_load, of_all) in [
        ("http_reqs rate>1", "6/s", "10/s"),
        ("http_reqs{outcome:failed} rate<1", "0/s", "0/s"),
        ("iterations rate>1", "6/s", "10/s"),
        ("data_received rate>1", "60B/s", "100B/s"),
        ("data_sent rate>1", "30B/s", "50B/s"),
        ("http_reqs count>1", "100", "100"),
        ("iterations count>1", "100", "100"),
        ("data_sent count>1", "500B", "500B"),
    ] {
        assert_eq!(said(text, RateTime::load(TIME)), of_load, "{text}");
        assert_eq!(said(text, RateTime::all(TIME)), of_all, "{text}");
    }
}

#[test]
fn durations_that_include_failures_have_a_note() {
    let mut totals = Snapshot::default();
    request(&mut totals, series("GET", "/", PASSED), &[56 * MS; 100]);
    request(&mut totals, series("GET", "/", FAILED), &[MS]);
    let note = |text: &str, totals: &Snapshot| judged(text, totals).note;
    assert_eq!(note("http_req_duration p(95)<100ms", &totals), None, "one in a hundred is usual");
    request(&mut totals, series("GET", "/", FAILED), &[MS; 9_898]);
    let said = judged("http_req_duration p(95)<50ms", &totals);
    assert_eq!(said.said(), "1ms (includes 99% failed requests; p(95) of the passed ones is 56ms)");
    assert!(said.passed);
    assert_eq!(
        note("http_req_duration{route:/} avg<50ms", &totals).as_deref(),
        Some("includes 99% failed requests; avg of the passed ones is 56ms")
    );
    for tags in ["outcome:passed", "outcome:failed", "status:500", "error:status"] {
        assert_eq!(note(&format!("http_req_duration{{{tags}}} p(95)<1s"), &totals), None, "{tags}");
    }
    for (outcome, waiting) in [(PASSED, 56), (FAILED, 1), (FAILED, 1)] {
        let waiting = Duration::from_millis(waiting);
        phases(&mut totals, series("GET", "/", outcome), Phases { waiting, ..Phases::default() });
    }
    assert_eq!(
        note("http_req_waiting p(95)<1s", &totals).as_deref(),
        Some("includes 66.7% failed requests; p(95) of the passed ones is 56ms")
    );
    assert_eq!(note("http_req_waiting{outcome:passed} max<1s", &totals), None);
    totals.waiting.record(MS);
    assert_eq!(note("http_req_waiting max<1s", &totals).as_deref(), Some("includes 99% failed requests"));
    totals.triggers.service.record(MS);
    (totals.triggers.done, totals.triggers.failed) = (10, 2);
    assert_eq!(note("iteration_duration max<1s", &totals).as_deref(), Some("includes 20% failed triggers"));
    assert_eq!(note("http_reqs count>1", &totals), None);
}

#[test]
fn threshold_asks_for_failures_if_it_cannot_pass_without_them() {
    let mut totals = Snapshot::default();
    request(&mut totals, series("GET", "/", FAILED), &[MS; 10]);
    (totals.triggers.done, totals.triggers.failed) = (10, 10);
    for (text, expected) in [
        ("http_req_failed rate==100%", true),
        ("http_req_failed rate>0", true),
        ("http_req_failed count>=10", true),
        ("iteration_failed rate>99%", true),
        ("http_reqs{status:500} count>5", true),
        ("http_reqs{error:status} rate>0", true),
        ("http_req_duration{outcome:failed} p(95)<1s", true),
        ("http_req_duration{status:500} p(95)<1s", true),
        // These pass without a failure too.
        ("http_req_failed rate<=100%", false),
        ("http_req_failed rate>=0", false),
        ("http_reqs{status:500} count<100", false),
        ("http_reqs{status:200} count>=0", false),
        ("http_reqs count>5", false),
        ("http_req_duration p(95)<1s", false),
    ] {
        let judged = judged(text, &totals);
        assert!(judged.passed, "{text}");
        assert_eq!(judged.wants_failures(), expected, "{text}");
    }
    assert!(!judged("http_req_failed count>10", &totals).wants_failures(), "it does not hold");
}

/// Returns the series of requests past the limits, with this as their highest priority.
fn other_of(outcome: Outcome, priority: Priority) -> Series {
    let label = Label::new("http://h", "/past/the/limits", "GET").with_priority(priority);
    Series { label: Arc::new(label), outcome }.beyond()
}

/// Adds requests past the limits, with this as their highest priority.
fn other(totals: &mut Snapshot, outcome: Outcome, priority: Priority) {
    request(totals, other_of(outcome, priority), &[MS]);
}

fn fails_for_others(threshold: &str, totals: &Snapshot) -> bool {
    let judged = judged(threshold, totals);
    let reason = judged.reason.unwrap_or_default();
    assert!(!judged.passed || reason.is_empty());
    reason.starts_with("not known: ") && reason.contains(" past the limit of series are in `other`")
}

#[test]
fn threshold_that_may_select_requests_in_other_fails() {
    let mut totals = Snapshot::default();
    request(&mut totals, series("GET", "/checkout", PASSED), &[MS]);
    let of_route = "http_req_failed{route:/checkout} rate<1%";
    let by_method = "http_req_duration{method:GET} max<1s";
    let by_origin = "http_reqs{origin:http://127.0.0.1:8765} count>0";
    let without = ["http_req_duration max<1s", "http_reqs{status:200} count>0", "http_req_failed{error:dns} rate<1%"];
    for threshold in [of_route, by_method, by_origin] {
        assert!(judged(threshold, &totals).passed, "{threshold}");
    }
    other(&mut totals, PASSED, Priority::Ordinary);
    assert!(judged(of_route, &totals).passed, "a selected route has room of its own");
    assert!(fails_for_others(by_method, &totals) && fails_for_others(by_origin, &totals));
    let mut merged = totals.clone();
    let more = [(other_of(PASSED, Priority::Selected), Measure::default())];
    merged.measure(more.iter().map(|(series, measure)| (series, measure)));
    for threshold in [of_route, by_method, by_origin] {
        assert!(fails_for_others(threshold, &merged), "{threshold}");
    }
    for threshold in without {
        assert!(!fails_for_others(threshold, &merged), "{threshold}");
    }
    // The outcomes of requests in `other` are known.
    assert!(!fails_for_others("http_reqs{route:/checkout,status:500} count<1", &merged));
    assert!(fails_for_others("http_reqs{route:/checkout,status:200} count<1", &merged));
    assert!(!fails_for_others("http_req_duration{method:MEASURE} max<1s", &merged));
    // Shares count requests that were cut off. Durations and counts do not.
    let mut cut = totals.clone();
    other(&mut cut, Outcome::Interrupted, Priority::Selected);
    assert!(fails_for_others(of_route, &cut));
    assert!(fails_for_others("http_req_interrupted{route:/checkout} rate<1%", &cut));
    assert!(!fails_for_others("http_reqs{route:/checkout} count>0", &cut));
    // A step that a threshold selects is treated like a route.
    let query = Label::new("", "a query", measure::METHOD).with_priority(Priority::Selected);
    let of_step = "step_failed{step:a query} rate<1%";
    request(&mut totals, Series { label: Arc::new(query.clone()), outcome: ANSWERED_STEP }, &[MS]);
    assert!(judged(of_step, &totals).passed);
    request(&mut totals, Series { label: Arc::new(query), outcome: TIMED_OUT }.beyond(), &[MS]);
    assert!(fails_for_others(of_step, &totals));
    assert!(!fails_for_others(of_route, &totals), "a step is no request");
    let can_hold = |threshold: &str| {
        let measured = Measured { totals: &merged, rates: RateTime::all(TIME), users: None };
        super::threshold(threshold).can_hold(&measured, Room::default())
    };
    assert_eq!((can_hold(of_route), can_hold(without[0])), (false, true));
}
