use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::Phases;

const SECOND: Duration = Duration::from_secs(1);
const UNLIMITED: Room = Room { time: None, per_second: None, cut_off: 0, samples: None };
const OVER: Room = Room { time: Some(Duration::ZERO), ..UNLIMITED };

fn samples(most: u64) -> Room {
    Room { samples: Some(most), ..UNLIMITED }
}

/// Returns true if the threshold can pass after requests of these durations in ten seconds, the last of which failed.
fn can_hold(text: &str, durations: &[u64], room: Room) -> bool {
    let mut totals = Snapshot::default();
    if let [passed @ .., failed] = durations {
        request(&mut totals, series("GET", "/", PASSED), passed);
        request(&mut totals, series("GET", "/", FAILED), &[*failed]);
    }
    let users = Some(Users { fewest: 5, most: 10 });
    threshold(text).can_hold(&Measured { totals: &totals, rates: RateTime::all(10 * SECOND), users }, room)
}

#[test]
fn statistics_that_move_one_way_are_lost_at_once() {
    let durations = [10, 20, 30];
    for (text, expected) in [
        ("http_req_duration max<30ns", false),
        ("http_req_duration max<=30ns", true),
        ("http_req_duration max==29ns", false),
        ("http_req_duration max>1h", true),
        ("http_req_duration min>10ns", false),
        ("http_req_duration min>=10ns", true),
        ("http_reqs count<3", false),
        ("http_reqs count<=3", true),
        ("http_reqs count==2", false),
        ("http_reqs count>1000", true),
        ("http_req_failed rate<=0%", false),
        ("http_req_failed rate==100%", false),
        ("http_req_failed rate<0.0001%", true),
        ("http_req_failed rate>99.9999%", true),
        ("vus max<10", false),
        ("vus min>5", false),
        ("vus min<1", true),
        ("http_req_duration avg<1ns", true),
        ("http_req_duration p(99)<1ns", true),
        ("http_reqs rate<0.001", true),
        ("http_reqs rate>1000", true),
        ("http_req_waiting max<1ns", true),
    ] {
        assert_eq!(can_hold(text, &durations, UNLIMITED), expected, "{text}");
    }
}

#[test]
fn without_room_threshold_passes_or_fails_by_its_value() {
    let durations = [10, 20, 30];
    for (text, expected) in [
        ("http_req_duration avg<=20ns", true),
        ("http_req_duration avg<20ns", false),
        ("http_req_duration med!=20ns", false),
        ("http_req_failed rate<34%", true),
        ("http_req_failed rate<33%", false),
        ("http_reqs rate>=0.3", true),
        ("http_reqs rate>0.31", false),
        ("http_req_waiting max<1h", false),
        ("checks rate>0", false),
    ] {
        assert_eq!(can_hold(text, &durations, OVER), expected, "{text}");
    }
}

#[test]
fn best_possible_samples_are_considered() {
    let durations = [10, 20, 30, 40];
    for (text, needed) in [
        // (10 + 20 + 30 + 40 + 0 …) / 10 = 10
        ("http_req_duration avg<=10ns", 6),
        // The second of eight.
        ("http_req_duration p(75)<=20ns", 4),
        ("http_req_duration p(75)<=10ns", 8),
        ("http_req_duration med>40ns", 5),
        ("http_req_failed rate<=10%", 6),
        ("http_req_failed rate>=50%", 2),
        ("http_reqs count>=10", 6),
    ] {
        assert!(can_hold(text, &durations, samples(needed)), "{text} with {needed}");
        assert!(!can_hold(text, &durations, samples(needed - 1)), "{text} with {}", needed - 1);
    }
}

#[test]
fn requests_that_may_be_cut_off_are_considered() {
    // Two of ten failed. All 190 requests in flight may be cut off without failing.
    let mut totals = Snapshot::default();
    request(&mut totals, series("GET", "/", PASSED), &[10; 8]);
    request(&mut totals, series("GET", "/", FAILED), &[10; 2]);
    let can_hold = |text: &str, cut_off| {
        let room = Room { time: Some(SECOND), per_second: Some(0), cut_off, samples: None };
        let measured = Measured { totals: &totals, rates: RateTime::all(10 * SECOND), users: None };
        threshold(text).can_hold(&measured, room)
    };
    assert!(can_hold("http_req_failed rate<=1%", 190) && !can_hold("http_req_failed rate<=1%", 189));
    assert!(can_hold("http_req_interrupted rate>=50%", 10) && !can_hold("http_req_interrupted rate>=50%", 9));
    assert!(can_hold("http_req_interrupted count>=10", 10) && !can_hold("http_req_interrupted count>=10", 9));
}

#[test]
fn rate_is_lost_if_no_second_can_restore_it() {
    // 4 in 10 s, 2 in each of the next ten seconds, and 2 in one that is cut short.
    let room = Room { time: Some(10 * SECOND), per_second: Some(2), ..UNLIMITED };
    let holds = |text: &str| can_hold(text, &[10, 20, 30, 40], room);
    assert!(holds("http_reqs rate>=1.3") && !holds("http_reqs rate>=1.31"));
    assert!(holds("http_reqs rate<=0.2") && !holds("http_reqs rate<0.19"));
    assert!(holds("http_reqs count>=24") && !holds("http_reqs count>24"));
}

/// Returns totals with a request for each duration and outcome, all of whose time is spent waiting.
fn snapshot(samples: &[(u64, bool)]) -> Snapshot {
    let mut totals = Snapshot::default();
    for &(nanos, failed) in samples {
        let series = series("GET", "/", if failed { FAILED } else { PASSED });
        request(&mut totals, series.clone(), &[nanos]);
        let phases = Phases { waiting: Duration::from_nanos(nanos), ..Phases::default() };
        totals.requests.entry(series).or_default().phases.get_or_insert_default().record(&phases);
    }
    totals
}

fn durations(most: usize) -> impl Strategy<Value = Vec<(u64, bool)>> {
    let nanos = prop_oneof![0..20_u64, 0..20_000_u64, any::<u64>().prop_map(|nanos| nanos >> 20)];
    prop::collection::vec((nanos, any::<bool>()), 0..most)
}

fn statistics() -> impl Strategy<Value = (Metric, Statistic)> {
    let durations = prop_oneof![
        prop::sample::select(vec![Statistic::Avg, Statistic::Min, Statistic::Max, Statistic::Med]),
        (0..=1000_u32).prop_map(|permille| Statistic::Percentile(f64::from(permille) / 10.0)),
    ];
    prop_oneof![
        (prop::sample::select(vec![Metric::HttpReqDuration, Metric::HttpReqWaiting, Metric::HttpReqDns]), durations),
        prop::sample::select(vec![Statistic::Count, Statistic::Rate])
            .prop_map(|statistic| (Metric::HttpReqFailed, statistic)),
        prop::sample::select(vec![Statistic::Count, Statistic::Rate])
            .prop_map(|statistic| (Metric::HttpReqs, statistic)),
    ]
}

/// Returns a threshold with this limit, in the base unit.
fn at(metric: Metric, statistic: Statistic, operator: Operator, value: f64) -> Threshold {
    let dimension = metric.dimension(statistic);
    let unit = dimension.unit("ns").or(dimension.unit("")).unwrap();
    Threshold {
        metric,
        own: None,
        tags: Vec::new(),
        statistic,
        operator,
        limit: Limit { number: value, unit },
        over: None,
    }
}

/// Samples as a run may add them: arbitrary ones, or all of them the best or the worst.
fn rest() -> impl Strategy<Value = Vec<(u64, bool)>> {
    let extreme = (prop::sample::select(vec![0, 1 << 60]), any::<bool>());
    prop_oneof![durations(60), extreme.prop_map(|sample| vec![sample; 60])]
}

/// Room, the part of its time that a run takes, and the number of samples that it adds.
fn taken() -> impl Strategy<Value = (Room, Duration, usize)> {
    let time = prop::option::of(0..12_000_u64);
    let room = (time, prop::option::of(0..8_u64), prop::option::of(0..60_u64));
    let brought = prop_oneof![Just(60_usize), 0..60_usize];
    (room, 0..12_000_u64, brought).prop_map(|((time, per_second, samples), taken, brought)| {
        let room = Room { time: time.map(Duration::from_millis), per_second, samples, ..UNLIMITED };
        let taken = room.time.unwrap_or(Duration::MAX).min(Duration::from_millis(taken));
        let by_time = per_second.map_or(60, |each| each * taken.as_nanos().div_ceil(SECOND.as_nanos()) as u64);
        let most = if taken.is_zero() && per_second.is_some() { 0 } else { by_time.min(samples.unwrap_or(60)) };
        let most = if room.time == Some(Duration::ZERO) { 0 } else { most };
        (room, taken, brought.min(most as usize))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn lost_threshold_never_passes(
        (metric, statistic) in statistics(), before in durations(60), rest in rest(), (room, taken, most) in taken(),
        so_far in 0..12_000_u64,
    ) {
        let so_far = Duration::from_millis(so_far);
        let (before, mut after) = (snapshot(&before), snapshot(&rest[..most.min(rest.len())]));
        after.merge(&before);
        let until_now = Measured { totals: &before, rates: RateTime::all(so_far), users: None };
        let in_the_end = Measured { totals: &after, rates: RateTime::all(so_far + taken), users: None };
        let Some(actual) = at(metric, statistic, Operator::Equal, 0.0).judge(&in_the_end).actual else { return Ok(()) };
        let value = actual.value();
        for (operator, limit) in [
            (Operator::Equal, value),
            (Operator::AtMost, value),
            (Operator::AtLeast, value),
            (Operator::Below, value.next_up()),
            (Operator::Above, value.next_down()),
            (Operator::Unequal, value.next_up()),
        ] {
            let threshold = at(metric, statistic, operator, limit);
            prop_assert!(threshold.judge(&in_the_end).passed);
            prop_assert!(threshold.can_hold(&until_now, room), "{} comes to {}", threshold, actual);
        }
    }

    #[test]
    fn more_room_never_loses_a_threshold(
        threshold in super::reading::thresholds(), samples in durations(20), time in 0..9_u64, each in 0..9_u64, more in 0..9_u64,
    ) {
        let totals = snapshot(&samples);
        let measured = Measured { totals: &totals, rates: RateTime::all(SECOND), users: None };
        let small = Room { time: Some(SECOND * time as u32), per_second: Some(each), samples: Some(more), ..UNLIMITED };
        for large in [UNLIMITED, Room { time: None, ..small }, Room { per_second: None, ..small }, samples_of(more + 1)] {
            prop_assert!(!threshold.can_hold(&measured, small) || threshold.can_hold(&measured, large));
        }
    }
}

fn samples_of(most: u64) -> Room {
    samples(most)
}
