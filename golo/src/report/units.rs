//! Formats numbers for people: three digits and a unit.

use std::time::Duration;

/// Formats a duration: `412µs`, `1.24ms`, `50m12s`, `3d3h`.
pub fn duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1000 {
        return format!("{nanos}ns");
    }
    for (unit, most, name) in [(1_000, 1_000, "µs"), (1_000_000, 1_000, "ms"), (1_000_000_000, 60, "s")] {
        let rounded = rounded(nanos, unit);
        if rounded < unit * most {
            return format!("{}{name}", decimal(rounded, unit));
        }
    }
    let to = |unit: u128| (nanos + unit / 2) / unit;
    let (seconds, minutes, hours) = (to(1_000_000_000), to(60_000_000_000), to(3_600_000_000_000));
    if seconds < 3600 {
        in_two(seconds, 60, "m", "s")
    } else if minutes < 72 * 60 {
        in_two(minutes, 60, "h", "m")
    } else if hours < 100 * 24 {
        in_two(hours, 24, "d", "h")
    } else {
        format!("{}d", to(86_400_000_000_000))
    }
}

/// Formats a duration in nanoseconds; `-` if there is none.
pub(super) fn nanoseconds(nanos: Option<u64>) -> String {
    nanos.map_or_else(|| "-".to_owned(), |nanos| duration(Duration::from_nanos(nanos)))
}

/// Formats a number with separators of thousands: `216,825`.
pub fn count(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats a number with a noun: `1 request`, `2 requests`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Formats a share: `3.79%`. `0%` means exactly none, and `100%` means exactly all.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    if part == 0 || part >= whole {
        return if part == 0 { "0%" } else { "100%" }.to_owned();
    }
    let unit = 1_000_000;
    let share = u128::from(part) * 100 * unit / u128::from(whole);
    match rounded(share.max(unit), unit) {
        _ if share < unit / 100 => "<0.01%".to_owned(),
        _ if share < unit => format!("{}%", decimal((share + 5_000) / 10_000 * 10_000, unit)),
        all if all >= 100 * unit => ">99.9%".to_owned(),
        share => format!("{}%", decimal(share, unit)),
    }
}

/// Formats a number without a unit to three digits, or more if it has more before the decimal point: `-12.3`, `1,234`.
pub fn number(value: f64) -> String {
    let unit = 1000;
    // `as` saturates.
    let thousandths = (value.abs() * 1e3).round() as u128;
    let rounded = if thousandths == 0 { 0 } else { rounded(thousandths, unit) };
    let sign = if value < 0.0 && rounded > 0 { "-" } else { "" };
    if rounded < 1000 * unit {
        return format!("{sign}{}", decimal(rounded, unit));
    }
    sign.to_owned() + &count((thousandths + unit / 2) / unit)
}

/// Formats a number of events in `time` as a rate: `1,234/s`.
pub fn rate(number: u64, time: Duration) -> String {
    if time.is_zero() {
        return "-".to_owned();
    }
    let nanos = time.as_nanos();
    // Rounded as in `per_second`, so that both show the same.
    millionths((u128::from(number) * 1_000_000_000_000_000 + nanos / 2) / nanos, number == 0)
}

/// Formats a rate that is already per second.
pub fn per_second(rate: f64) -> String {
    // `as` saturates, and turns NaN into 0.
    millionths(u128::from((rate * 1e6).round() as u64), rate == 0.0)
}

fn millionths(rate: u128, is_zero: bool) -> String {
    let unit = 1_000_000;
    match rounded(rate, unit) {
        0 if is_zero => "0/s".to_owned(),
        _ if rate < unit / 1000 => "<0.001/s".to_owned(),
        rounded if rounded < 1000 * unit => format!("{}/s", decimal(rounded, unit)),
        _ if rate < 1_000_000_000 * unit => format!("{}/s", count((rate + unit / 2) / unit)),
        _ => format!("{:.2e}/s", rate as f64 / unit as f64),
    }
}

/// Formats an amount of data: `390kB`.
#[must_use]
pub fn bytes(number: u64) -> String {
    let number = u128::from(number);
    let mut unit = 1;
    for name in ["B", "kB", "MB", "GB", "TB", "PB"] {
        let rounded = rounded(number, unit);
        if rounded < 1000 * unit {
            return format!("{}{name}", decimal(rounded, unit));
        }
        unit *= 1000;
    }
    format!("{}EB", decimal(rounded(number, unit), unit))
}

/// Rounds `value` to three digits, or more if `value / unit` has more before the decimal point.
fn rounded(value: u128, unit: u128) -> u128 {
    let step = match value / unit {
        0 => unit / 1000,
        1..10 => unit / 100,
        10..100 => unit / 10,
        _ => unit,
    };
    let step = step.max(1);
    (value + step / 2) / step * step
}

/// Formats `value` in `unit`, without trailing zeros.
fn decimal(value: u128, unit: u128) -> String {
    let thousandths = value % unit * 1000 / unit;
    let text = format!("{}.{thousandths:03}", value / unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats a number of small units, `of` of which make a large one, with both units.
fn in_two(number: u128, of: u128, large: &str, small: &str) -> String {
    match number % of {
        0 => format!("{}{large}", number / of),
        rest => format!("{}{large}{rest}{small}", number / of),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rate_of_a_number_and_of_a_quotient_are_the_same() {
        let time = Duration::from_nanos(20_000_000_005);
        assert_eq!([rate(783, time), per_second(783.0 / time.as_secs_f64())], ["39.2/s", "39.2/s"]);
    }

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        for (nanos, said) in [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (1_000, "1µs"),
            (5_300, "5.3µs"),
            (412_345, "412µs"),
            (999_499, "999µs"),
            (999_950, "1ms"),
            (1_239_999, "1.24ms"),
            (9_995_000, "10ms"),
            (99_950_000, "100ms"),
            (999_600_000, "1s"),
            (59_940_000_000, "59.9s"),
            (59_996_000_000, "1m"),
            (60_400_000_000, "1m"),
            (3_012_000_000_000, "50m12s"),
            (3_599_600_000_000, "1h"),
            (5_400_000_000_000, "1h30m"),
            (86_399_000_000_000, "24h"),
            (100_000_000_000_000, "27h47m"),
            (259_199_000_000_000, "3d"),
            (270_000_000_000_000, "3d3h"),
            (31_536_000_000_000_000, "365d"),
            (u64::MAX, "213504d"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), said, "{nanos}");
        }
        assert_eq!(duration(Duration::MAX), "213503982334601d");
        assert_eq!(nanoseconds(None), "-");
    }

    #[test]
    fn counts_are_grouped_and_shares_are_rounded() {
        let counts = [(0, "0"), (999, "999"), (1_000, "1,000"), (u64::MAX, "18,446,744,073,709,551,615")];
        for (number, said) in counts {
            assert_eq!(count(number), said);
        }
        assert_eq!([counted(1, "request"), counted(1_000, "request")], ["1 request", "1,000 requests"]);
        for (part, whole, said) in [
            (0, 0, "-"),
            (0, 7, "0%"),
            (7, 7, "100%"),
            (1, 1_000_000, "<0.01%"),
            (1, 1_000, "0.1%"),
            (9_996, 1_000_000, "1%"),
            (1, 30, "3.33%"),
            (1, 3, "33.3%"),
            (999_999, 1_000_000, ">99.9%"),
            (u64::MAX - 1, u64::MAX, ">99.9%"),
            (1, u64::MAX, "<0.01%"),
        ] {
            assert_eq!(percent(part, whole), said, "{part} of {whole}");
        }
    }

    #[test]
    fn rates_and_amounts_have_three_digits_and_a_unit() {
        for (number, millis, said) in [
            (5, 0, "-"),
            (0, 1_000, "0/s"),
            (1, 1_000, "1/s"),
            (1_234_400, 1_000_000, "1,234/s"),
            (999_600, 1_000_000, "1,000/s"),
            (99_800, 1_000_000, "99.8/s"),
            (1, 60_000, "0.017/s"),
            (1, 10_000_000, "<0.001/s"),
            (u64::MAX, 1, "1.84e22/s"),
        ] {
            assert_eq!(rate(number, Duration::from_millis(millis)), said, "{number} in {millis}");
        }
        assert_eq!(rate(u64::MAX, Duration::from_nanos(1)), "1.84e28/s");
        assert_eq!([1.5, 0.0, 1000.0, f64::INFINITY].map(per_second)[..3], ["1.5/s", "0/s", "1,000/s"]);
        for (number, said) in
            [(0, "0B"), (999, "999B"), (1_240, "1.24kB"), (999_950, "1MB"), (5_000_000, "5MB"), (u64::MAX, "18.4EB")]
        {
            assert_eq!(bytes(number), said);
        }
    }

    /// 0 ns to 584 years, each magnitude equally likely.
    fn nanos() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0_u32..64).prop_map(|(value, shift)| value >> shift)
    }

    /// Parses a formatted duration, in nanoseconds.
    fn read(text: &str) -> f64 {
        if let Some(days) = text.strip_suffix('d') {
            return days.parse::<f64>().unwrap() * 86_400e9;
        }
        humantime::parse_duration(text).map_or_else(
            |_| {
                let (number, unit) = text.split_at(text.find(|c: char| c.is_alphabetic()).unwrap());
                let unit =
                    [("ns", 1.0), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)].into_iter().find(|(name, _)| *name == unit);
                number.parse::<f64>().unwrap() * unit.unwrap().1
            },
            |duration| duration.as_nanos() as f64,
        )
    }

    proptest! {
        #[test]
        fn formatted_duration_is_short_and_close_to_the_value(nanos in nanos()) {
            let said = duration(Duration::from_nanos(nanos));
            prop_assert!(said.chars().count() <= 7, "{}", said);
            let error = (read(&said) - nanos as f64).abs();
            prop_assert!(error <= nanos as f64 * 0.0085, "{} for {}", said, nanos);
        }

        #[test]
        fn formatted_duration_never_has_more_of_a_unit_than_fit(nanos in nanos()) {
            let said = duration(Duration::from_nanos(nanos));
            let parts = said.split_inclusive(|c: char| c.is_alphabetic()).collect::<String>();
            for (unit, most) in [("ns", 1e3), ("µs", 1e3), ("ms", 1e3), ("s", 60.0), ("m", 60.0), ("h", 72.0)] {
                if let Some(before) = parts.strip_suffix(unit) {
                    let digits = before.rsplit(|c: char| c.is_alphabetic()).next().unwrap_or_default();
                    prop_assert!(digits.parse::<f64>().is_ok_and(|number| number < most), "{}", said);
                    break;
                }
            }
        }

        #[test]
        fn formatted_text_never_contains_nan_or_infinity(part in nanos(), whole in nanos(), nanos in nanos()) {
            let time = Duration::from_nanos(nanos);
            for said in [percent(part, whole), rate(part, time), bytes(part), per_second(f64::from_bits(part))] {
                prop_assert!(!said.contains("NaN") && !said.contains("inf"), "{}", said);
                prop_assert!(said.chars().count() <= 13, "{}", said);
            }
        }
    }
}
