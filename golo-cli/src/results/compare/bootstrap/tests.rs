//! Tests with series whose true change is known.

use proptest::prelude::*;

use super::*;

/// Returns a series around `mean` in which each second depends on the one before by the factor `memory`.
fn noise(random: &mut SmallRng, seconds: usize, mean: f64, memory: f64) -> Series {
    let mut last = 0.0;
    let second = |_| {
        // The sum of twelve uniform numbers is nearly normal.
        let normal = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        last = memory * last + normal;
        (mean * (1.0 + 0.1 * last), 1.0)
    };
    (0..seconds).map(second).collect()
}

fn change(a: &Series, b: &Series) -> Change {
    changes(std::slice::from_ref(a), std::slice::from_ref(b), &[CONFIDENCE])[0].unwrap()
}

/// Returns the numbers of pairs of runs with the same distribution whose interval lies above 0 and below 0.
fn false_alarms(seconds: usize, memory: f64) -> (u32, u32) {
    let mut random = SmallRng::seed_from_u64(7);
    let (mut worse, mut better) = (0, 0);
    for _ in 0..PAIRS {
        let [a, b] = [(); 2].map(|()| noise(&mut random, seconds, 100.0, memory));
        let Change { low, high, .. } = change(&a, &b);
        worse += u32::from(low > 0.0);
        better += u32::from(high < 0.0);
    }
    (worse, better)
}

const PAIRS: u32 = 100;

#[test]
fn interval_misses_true_change_about_as_often_as_expected() {
    for (seconds, memory, most) in [(60, 0.0, 0.10), (100, 0.3, 0.12)] {
        let (worse, better) = false_alarms(seconds, memory);
        let share = f64::from(worse + better) / f64::from(PAIRS);
        assert!((0.01..=most).contains(&share), "{seconds} s with {memory}: {worse} worse, {better} better");
    }
}

#[test]
fn dependent_seconds_widen_the_interval() {
    let mut random = SmallRng::seed_from_u64(3);
    let a = noise(&mut random, 300, 100.0, 0.8);
    let mut shuffled = a.clone();
    for at in (1..shuffled.len()).rev() {
        shuffled.swap(at, random.random_range(0..=at));
    }
    let width = |series: &Series| {
        let Change { low, high, .. } = change(series, series);
        high - low
    };
    assert!(width(&a) > 1.3 * width(&shuffled), "{} {}", width(&a), width(&shuffled));
}

#[test]
fn same_runs_have_same_interval() {
    let mut random = SmallRng::seed_from_u64(5);
    let [a, b] = [(); 2].map(|()| noise(&mut random, 30, 100.0, 0.2));
    assert_eq!(change(&a, &b), change(&a, &b));
}

#[test]
fn change_from_zero_is_infinite() {
    let none = vec![(0.0, 10.0); 20];
    let some = vec![(1.0, 10.0); 20];
    let of = |change, difference| Change { change, low: change, high: change, difference, most_more: difference };
    assert_eq!(change(&none, &some), of(f64::INFINITY, 0.1));
    assert_eq!(change(&none, &none), of(0.0, 0.0));
    assert_eq!(change(&some, &none), of(-1.0, -0.1));
    // About a third of the resamples of twenty seconds miss a given second.
    let mut once = none.clone();
    once[9] = (1.0, 10.0);
    let Change { low, high, difference, most_more, .. } = change(&none, &once);
    assert_eq!((low, high), (0.0, f64::INFINITY));
    assert!((difference - 0.005).abs() < 1e-12 && (0.005..=0.02).contains(&most_more), "{difference} {most_more}");
}

#[test]
fn series_without_data_has_no_change() {
    let silent = vec![(0.0, 0.0); 20];
    let some = vec![(1.0, 1.0); 20];
    let confidences = [CONFIDENCE; 2];
    assert_eq!(changes(&[silent.clone(), some.clone()], &[some.clone(), some], &confidences)[0], None);
    assert_eq!(value(&silent), None);
    assert_eq!((changes(&[], &[], &[]), value(&[])), (Vec::new(), None));
    assert_eq!(changes(&[Vec::new()], &[Vec::new()], &[CONFIDENCE]), [None]);
}

#[test]
fn higher_confidence_widens_interval() {
    let mut random = SmallRng::seed_from_u64(9);
    let [a, b] = [(); 2].map(|()| noise(&mut random, 60, 100.0, 0.0));
    let found = changes(&[a.clone(), a], &[b.clone(), b], &[0.95, 0.999]);
    let [Some(narrow), Some(wide)] = found[..] else { panic!("{found:?}") };
    assert_eq!(narrow.change, wide.change);
    // For a normal distribution the half-widths are 1.96 and 3.29 standard deviations.
    let ratio = (wide.high - wide.low) / (narrow.high - narrow.low);
    assert!((1.45..1.95).contains(&ratio), "{ratio}");
}

#[test]
fn block_is_cube_root_of_seconds() {
    assert_eq!([0, 1, 8, 27, 600].map(block), [1, 1, 2, 3, 8]);
}

fn seconds() -> impl Strategy<Value = Series> {
    prop::collection::vec((50.0_f64..150.0).prop_map(|value| (value, 1.0)), 8..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn run_is_not_worse_than_itself(series in seconds()) {
        let Change { change, low, high, .. } = change(&series, &series);
        prop_assert!(change == 0.0 && low <= 0.0 && 0.0 <= high, "{low} {high}");
    }

    #[test]
    fn shift_is_detected(series in seconds(), factor in 2.0_f64..4.0) {
        let shifted: Series = series.iter().map(|(value, weight)| (value * factor, *weight)).collect();
        let Change { change, low, high, .. } = change(&series, &shifted);
        prop_assert!((change - (factor - 1.0)).abs() < 1e-9);
        prop_assert!(low <= change && change <= high && low > 0.0, "{low} {high}");
        let scaled = shifted.iter().map(|(value, weight)| (value * 1e6, *weight)).collect();
        let same = self::change(&series.iter().map(|(value, weight)| (value * 1e6, *weight)).collect(), &scaled);
        prop_assert!((same.low - low).abs() < 1e-6 && (same.high - high).abs() < 1e-6, "a unit changes nothing");
    }
}
