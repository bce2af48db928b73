use proptest::prelude::*;

use super::{numbers::thousandths, *};

fn tag(key: &str, value: &str) -> ResponseTag {
    ResponseTag { key: key.to_owned(), value: value.to_owned() }
}

fn recorded(tags: &[(&str, &str, bool)]) -> Tags {
    let mut all = Tags::default();
    for (key, value, failed) in tags {
        all.record(&[tag(key, value)], *failed);
    }
    all
}

fn of<'a>(tags: &'a Tags, key: &str) -> &'a Tag {
    match tags.get(key) {
        Known::Came(tag) => tag,
        other => panic!("{other:?}"),
    }
}

#[test]
fn values_are_counted_by_outcome_of_their_trigger() {
    let tags = recorded(&[("status", "200", false), ("status", "500", true), ("status", "200", false)]);
    let status = of(&tags, "status");
    assert_eq!(status.value("200"), Known::Came(Counts { passed: 2, failed: 0 }));
    assert_eq!(status.value("500"), Known::Came(Counts { passed: 0, failed: 1 }));
    assert_eq!((status.value("404"), tags.get("size")), (Known::Never, Known::Never));
    assert_eq!((status.count(None), status.count(Some(true)), status.is_distribution()), (3, 1, false));
    assert_eq!((status.numbers(None).mean(), status.numbers(Some(true)).max()), (Some(300.0), Some(500.0)));
}

#[test]
fn numbers_are_recognised() {
    let shown = |value| {
        let mut numbers = Numbers::default();
        numbers.record(thousandths(value)?);
        numbers.max()
    };
    for (value, expected) in [
        ("0", 0.0),
        ("-0", 0.0),
        ("+7", 7.0),
        ("007", 7.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1.2345", 1.235),
        ("1.0004", 1.0),
        ("0.9996", 1.0),
        ("-3.25", -3.25),
        ("1e3", 1000.0),
        ("2.5E-1", 0.25),
    ] {
        assert_eq!(shown(value), Some(expected), "{value}");
    }
    for value in [
        "", "-", ".", "1.2.3", "1,5", "0x10", "1_000", "inf", "-inf", "NaN", "--1", "-+1", "1e", "e3", "1e400", " 1",
        "1 ", "200 OK",
    ] {
        assert_eq!(shown(value), None, "{value}");
    }
    assert!(shown("18446744073709550").unwrap() > 1.8e16);
    assert_eq!((shown("18446744073709551"), shown("99999999999999999999")), (None, None), "beyond 2^64 thousandths");
}

#[test]
fn numbers_below_and_above_zero_form_one_distribution() {
    let mut numbers = Numbers::default();
    assert_eq!((numbers.mean(), numbers.quantile(0.5), numbers.min()), (None, None, None));
    for value in ["-10", "-2.5", "0", "4", "8.5"] {
        numbers.record(thousandths(value).unwrap());
    }
    let quantiles = numbers.quantiles(&[0.0, 0.2, 0.4, 0.5, 0.8, 1.0]);
    for (quantile, expected) in quantiles.iter().zip([-10.0, -10.0, -2.5, 0.0, 4.0, 8.5]) {
        assert!((quantile.unwrap() - expected).abs() <= expected.abs() * 0.0005, "{quantiles:?}");
    }
    assert_eq!((numbers.min(), numbers.max(), numbers.mean()), (Some(-10.0), Some(8.5), Some(0.0)));
    let mut below = Numbers::default();
    below.record(thousandths("-3").unwrap());
    assert_eq!((below.min(), below.max(), below.sum()), (Some(-3.0), Some(-3.0), -3.0));
}

#[test]
fn key_with_many_different_numbers_is_a_distribution() {
    let mut tags = Tags::default();
    for size in 0..=REPEATING {
        tags.record(&[tag("size", &size.to_string()), tag("word", &format!("w{size}"))], false);
    }
    assert!(of(&tags, "size").is_distribution() && !of(&tags, "word").is_distribution());
    tags.record(&[tag("size", "unknown")], false);
    assert!(!of(&tags, "size").is_distribution());
}

#[test]
fn keys_and_values_are_bounded_without_losing_counts() {
    let mut tags = Tags::default();
    for number in 0..1000 {
        tags.record(&[tag("id", &number.to_string()), tag(&format!("key{number}"), "x")], number % 2 == 0);
    }
    let id = of(&tags, "id");
    assert_eq!((id.values().count(), id.other().all(), id.count(None)), (VALUES, 900, 1000));
    assert_eq!((tags.iter().count(), tags.beyond()), (KEYS, 1000 - (KEYS as u64 - 1)));
    // A value that would have been kept never occurred. A value beyond the kept ones is unknown.
    assert_eq!(
        (id.value("99"), id.value("0x"), id.value("100")),
        (Known::Came(Counts { passed: 1, failed: 0 }), Known::Never, Known::Unknown)
    );
    assert_eq!((tags.get("a"), tags.get("key999")), (Known::Never, Known::Unknown));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn merged_tags_do_not_depend_on_parts_or_order(
        tags in prop::collection::vec(("k|[a-z]{2}", "-?[0-9]{1,3}|[a-c]{1,3}", any::<bool>(), 0..4_usize), 0..500),
    ) {
        let whole = recorded(&tags.iter().map(|(key, value, failed, _)| (&**key, &**value, *failed)).collect::<Vec<_>>());
        let mut parts: [Tags; 4] = Default::default();
        for (key, value, failed, part) in &tags {
            parts[*part].record(&[tag(key, value)], *failed);
        }
        let mut merged = Tags::default();
        parts.iter().rev().for_each(|part| merged.merge(part));
        let mut pairs = parts[2].clone();
        pairs.merge(&parts[0]);
        let mut other = parts[1].clone();
        other.merge(&parts[3]);
        pairs.merge(&other);
        for merged in [merged, pairs] {
            prop_assert_eq!(&merged, &whole);
        }
    }
}
