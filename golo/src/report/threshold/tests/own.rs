use std::time::Duration;

use super::*;
use crate::engine::metrics::{Durations, Level, Refusal, Share, Sum, Value};
use crate::engine::room::Priority;
use crate::engine::series::TagPairs;
use crate::engine::tags::Numbers;

fn tags(pairs: &[(&str, &str)]) -> TagPairs {
    pairs.iter().copied().collect()
}

/// Two shops with a counter, a gauge, a trend, a rate and a group, and requests of two tenants.
fn measured() -> Snapshot {
    let mut totals = Snapshot::default();
    for (shop, number) in [("north", 1_u32), ("south", 2)] {
        let mut numbers = Numbers::default();
        (1..=100).for_each(|n| assert!(numbers.record_number(f64::from(n * number))));
        let mut group = Durations { failed: 1, ..Durations::default() };
        group.durations.record_n(u64::from(number) * 1_000_000, 10);
        let level = Level { count: 1, last: f64::from(number), min: -1.0, max: 9.0, at: number.into() };
        let shop = tags(&[("shop", shop)]);
        for (name, value) in [
            (
                "orders",
                Value::Counter(Sum { count: 1, millionths: u128::from(number) * 2_500_000, after_load: 500_000 }),
            ),
            ("queue", Value::Gauge(level)),
            ("cart_value", Value::Trend(numbers)),
            ("hits", Value::Rate(Share { part: number.into(), of: 4 })),
        ] {
            totals.metrics.add(name, None, Some(&shop), &value);
        }
        let group_tags = tags(&[("group", if number == 1 { "checkout" } else { "browse" })]);
        totals.metrics.add("group_duration", None, Some(&group_tags), &Value::Group(group));
    }
    totals.metrics.refuse("broken", Refusal::Value, 3);
    for (tenant, nanos) in [("blue", 5_000_000), ("green", 50_000_000)] {
        let Series { label, outcome } = series("GET", "/", PASSED);
        let label = Arc::new(Label::clone(&label).with_tags(tags(&[("tenant", tenant)])));
        request(&mut totals, Series { label, outcome }, &[nanos; 10]);
    }
    totals
}

fn judged(text: &str, totals: &Snapshot) -> Judged {
    threshold(text).judge(&Measured { totals, rates: RateTime::load(Duration::from_secs(2)), users: None })
}

#[test]
fn metrics_of_the_load_test_are_judged_by_kind_and_tags() {
    let totals = measured();
    for (text, passed, said) in [
        ("orders count==7.5", true, "7.5"),
        ("orders{shop:north} count<2.5", false, "2.5"),
        // What came after the load is in no rate.
        ("orders rate==3.25", true, "3.25/s"),
        ("orders{shop:south} rate>1/s", true, "2.25/s"),
        ("queue value==2", true, "2"),
        ("queue{shop:north} value==1", true, "1"),
        ("queue min==-1", true, "-1"),
        ("queue max<9", false, "9"),
        ("cart_value{shop:north} p(95)<=95.05", true, "95"),
        ("cart_value avg>75", true, "75.8"),
        ("cart_value count==200", true, "200"),
        ("hits rate>=37.5%", true, "37.5%"),
        ("hits{shop:south} rate<0.5", false, "50%"),
        ("group_duration{group:checkout} max<=1ms", true, "1ms"),
        ("group_duration max<1ms", false, "2ms"),
        ("http_req_duration{tenant:blue} max<=5ms", true, "5ms"),
        ("http_req_duration{tenant:green} max<=5ms", false, "50ms"),
        ("http_reqs{tenant:green,outcome:failed} count==0", true, "0"),
        ("http_reqs{route:/} count==20", true, "20"),
    ] {
        let judged = judged(text, &totals);
        assert_eq!((judged.passed, judged.said().as_str()), (passed, said), "{text}");
    }
}

#[test]
fn wrong_name_shows_the_nearest_that_exists() {
    let totals = measured();
    for (text, reason) in [
        ("cart_vlaue avg>0", "no metric `cart_vlaue` was recorded; did you mean `cart_value`?"),
        ("latency avg>0", "no metric `latency` was recorded"),
        ("broken avg>0", "no metric `broken` was recorded: 3 invalid values refused"),
        ("orders{shp:north} count>0", "no value has the tag `shp`; did you mean `shop`?"),
        ("orders{shop:nroth} count>0", "no value has the tag `shop:nroth`; did you mean `north`?"),
        ("orders p(95)>0", "`orders` is a counter and has no `p(95)`: expected `count` or `rate`"),
        ("orders rate>1%", "`orders` is a counter: its rate is per second, not a share"),
        ("hits rate>1/s", "`hits` is a rate: it is a share, not a number per second"),
        ("queue avg>1", "`queue` is a gauge and has no `avg`: expected `value`, `min` or `max`"),
        (
            "cart_value rate>1",
            "`cart_value` is a trend and has no `rate`: expected `avg`, `min`, `max`, `med`, `p(N)` or `count`",
        ),
        ("group_duration{group:chekout} max<1", "no group has the tag `group:chekout`; did you mean `checkout`?"),
        ("http_reqs{tennant:blue} count==0", "no request has the tag `tennant`; did you mean `tenant`?"),
        ("http_req_duration{tenant:blu} max<1", "no request has the tag `tenant:blu`; did you mean `blue`?"),
        ("http_req_failed{tenant:bleu} count<5", "no request has the tag `tenant:bleu`; did you mean `blue`?"),
        ("steps{tenant:blue} count==0", "no step has the tag `tenant`"),
    ] {
        let judged = judged(text, &totals);
        assert_eq!((judged.passed, judged.said().as_str()), (false, reason), "{text}");
    }
    assert_eq!(judged("group_duration max<1", &Snapshot::default()).said(), "no group was recorded");
}

#[test]
fn values_past_the_limit_of_series_fail_thresholds_with_tags_only() {
    let mut totals = measured();
    let more = Value::Counter(Sum { count: 2, millionths: 1_000_000, after_load: 0 });
    totals.metrics.add("orders", None, None, &more);
    assert!(judged("orders count==8.5", &totals).passed);
    let said = judged("orders{shop:north} count>0", &totals).said();
    assert_eq!(said, "not known: 2 values past the limit of series may have this tag");
}

#[test]
fn requests_whose_tags_are_past_the_limit_fail_thresholds_that_may_select_them() {
    let mut totals = measured();
    let Series { label, outcome } = series("GET", "/full", PASSED);
    let tags = tags(&[("tags", "other")]);
    let label = Label::clone(&label).with_tags(tags).with_priority(Priority::Selected);
    request(&mut totals, Series { label: Arc::new(label), outcome }, &[1; 3]);
    let said = judged("http_req_failed{tenant:blue} count<5", &totals).said();
    assert_eq!(said, "not known: 3 requests past the limit of series are in `other`, and may have this tag");
    for text in [
        "http_reqs{tenant:blue,route:/} count==10",
        "http_reqs{tenant:blue,outcome:failed} count==0",
        "http_reqs{route:/full} count==3",
        "http_reqs{method:GET} count==23",
    ] {
        assert!(judged(text, &totals).passed, "{text}: {}", judged(text, &totals).said());
    }
}

#[test]
fn metric_that_can_no_longer_hold_is_lost_at_once() {
    let totals = measured();
    let measured = Measured { totals: &totals, rates: RateTime::load(Duration::from_secs(2)), users: None };
    let room = Room { time: Some(Duration::from_secs(10)), ..Room::default() };
    for (text, can_hold) in [
        ("orders count<7", false),
        ("orders count<8", true),
        ("orders p(95)<8", false),
        ("queue max<5", false),
        ("queue min<-1", true),
        ("queue value<0", true),
        ("hits rate>=100%", false),
        ("cart_value max<150", false),
        ("group_duration max<1ms", false),
        ("not_yet_recorded max<1", true),
    ] {
        assert_eq!(threshold(text).can_hold(&measured, room), can_hold, "{text}");
    }
}
