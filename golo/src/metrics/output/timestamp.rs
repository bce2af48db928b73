//! RFC 3339 timestamps in UTC, with nanoseconds. The text of the current second is cached, because a busy load test
//! writes thousands of lines in it.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Length of `2026-11-22T10:05:13.123456789Z`.
const LENGTH: usize = 30;
/// First and last second, since 1970, of the years 0 to 9999, the range of RFC 3339.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

thread_local! {
    static SECOND: Cell<(i64, [u8; LENGTH])> = const { Cell::new((i64::MIN, [0; LENGTH])) };
}

/// Appends `time`. A time outside the years 0 to 9999 is clamped to that range.
pub(super) fn write(time: SystemTime, buffer: &mut Vec<u8>) {
    let (second, nanosecond) = split(time);
    let (cached, mut text) = SECOND.get();
    if cached != second {
        text = format_second(second);
        SECOND.set((second, text));
    }
    put_digits(&mut text[20..29], nanosecond);
    buffer.extend_from_slice(&text);
}

/// Writes the last `room.len()` digits of `value`, padded with zeros.
fn put_digits(room: &mut [u8], mut value: u32) {
    for digit in room.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Reads a time of 1970 or later in exactly the form that `write` writes. Returns `None` for anything else.
pub(super) fn read_own(text: &[u8]) -> Option<SystemTime> {
    let text: &[u8; LENGTH] = text.try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (29, b'Z')];
    if marks.iter().any(|&(at, mark)| text[at] != mark) {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0u32, |number, &digit| {
            let digit = digit.wrapping_sub(b'0');
            (digit < 10).then(|| number * 10 + u32::from(digit))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second, nanosecond) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 29)?);
    if year < 1970 || !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    // Days of a year before each month, and in the whole year.
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let before = |month: u32| before[month as usize] + u32::from(is_leap && month >= 2);
    if day == 0 || day > before(month) - before(month - 1) {
        return None;
    }
    // Leap days in the whole years since 1970.
    let past = year - 1;
    let leap_days = (past / 4 - past / 100 + past / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
    let days = u64::from((year - 1970) * 365 + leap_days + before(month - 1) + day - 1);
    let seconds = days * 86_400 + u64::from(hour * 3600 + minute * 60 + second);
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanosecond))
}

/// Reads an RFC 3339 time with any offset from UTC.
pub(super) fn read(text: &str) -> Result<SystemTime, time::error::Parse> {
    OffsetDateTime::parse(text, &Rfc3339).map(SystemTime::from)
}

/// Returns the seconds since 1970, rounded down, and the remaining nanoseconds.
fn split(time: SystemTime) -> (i64, u32) {
    let (second, nanosecond) = match time.duration_since(UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos()),
        Err(before) => {
            let before: Duration = before.duration();
            let second = i64::try_from(before.as_secs()).map_or(i64::MIN, |second| -second);
            match before.subsec_nanos() {
                0 => (second, 0),
                nanosecond => (second.saturating_sub(1), 1_000_000_000 - nanosecond),
            }
        }
    };
    if second < FIRST {
        (FIRST, 0)
    } else if second > LAST {
        (LAST, 999_999_999)
    } else {
        (second, nanosecond)
    }
}

fn format_second(second: i64) -> [u8; LENGTH] {
    // `split` has clamped the second to the valid range.
    let date = OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut text = *b"0000-00-00T00:00:00.000000000Z";
    let mut put = |range: std::ops::Range<usize>, value| put_digits(&mut text[range], value);
    put(0..4, date.year().unsigned_abs());
    put(5..7, u8::from(date.month()).into());
    put(8..10, date.day().into());
    put(11..13, date.hour().into());
    put(14..16, date.minute().into());
    put(17..19, date.second().into());
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(time: SystemTime) -> String {
        let mut buffer = Vec::new();
        write(time, &mut buffer);
        String::from_utf8(buffer).unwrap()
    }

    #[test]
    fn write_formats_known_times() {
        assert_eq!(written(UNIX_EPOCH), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(written(UNIX_EPOCH - Duration::from_nanos(1)), "1969-12-31T23:59:59.999999999Z");
        let leap_day = UNIX_EPOCH + Duration::new(1_709_210_096, 5);
        assert_eq!(written(leap_day), "2024-02-29T12:34:56.000000005Z");
    }

    #[test]
    fn write_clamps_to_the_range_of_rfc_3339() {
        assert_eq!(written(UNIX_EPOCH + Duration::from_secs(1 << 60)), "9999-12-31T23:59:59.999999999Z");
        assert_eq!(written(UNIX_EPOCH - Duration::from_secs(1 << 60)), "0000-01-01T00:00:00.000000000Z");
    }

    #[test]
    fn read_accepts_any_offset() {
        let local = read("2026-11-22T11:05:13.5+01:00").unwrap();
        assert_eq!(written(local), "2026-11-22T10:05:13.500000000Z");
        assert!(read("2026-11-22 10:05").is_err());
    }

    proptest! {
        #[test]
        fn time_survives_a_round_trip(second in FIRST..=LAST, nanosecond in 0u32..1_000_000_000) {
            let whole = if second < 0 {
                UNIX_EPOCH - Duration::from_secs(second.unsigned_abs())
            } else {
                UNIX_EPOCH + Duration::from_secs(second.unsigned_abs())
            };
            let time = whole + Duration::from_nanos(nanosecond.into());
            let text = written(time);
            prop_assert_eq!(read(&text).unwrap(), time);
            prop_assert_eq!(read_own(text.as_bytes()), (second >= 0).then_some(time));
        }

        #[test]
        fn read_own_agrees_with_read(
            text in "(19|20|21|99|00)[0-9]{2}-[0-1][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]\\.[0-9]{9}Z"
        ) {
            if let Some(time) = read_own(text.as_bytes()) {
                prop_assert_eq!(read(&text).unwrap(), time);
            }
        }
    }
}
