//! Times as nanoseconds since the Unix epoch, and their text forms.

use std::time::{Instant, SystemTime};

use golo::wire;
use serde::{Serializer, ser::Error as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Returns the current time.
#[must_use]
pub fn now() -> u64 {
    wire::unix_nanoseconds(SystemTime::now())
}

/// Returns the wall clock time of an instant in the past or future.
#[must_use]
pub fn on_the_wall(moment: Instant) -> SystemTime {
    let (now, wall) = (Instant::now(), SystemTime::now());
    match moment.checked_duration_since(now) {
        Some(ahead) => wall + ahead,
        None => wall.checked_sub(now.saturating_duration_since(moment)).unwrap_or(wall),
    }
}

/// Formats a time as RFC 3339. Returns `None` if the format cannot express it.
#[must_use]
pub fn rfc_3339(nanoseconds: u64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds.into()).ok()?.format(&Rfc3339).ok()
}

/// Formats a time as RFC 3339, rounded down to the second.
#[must_use]
pub fn date(nanoseconds: u64) -> String {
    let seconds = nanoseconds - nanoseconds % 1_000_000_000;
    rfc_3339(seconds).unwrap_or_else(|| "an unknown time".to_owned())
}

/// Serializes a time as RFC 3339.
///
/// # Errors
///
/// Returns an error if the format cannot express the time or the serializer fails.
pub fn serialize<S: Serializer>(nanoseconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc_3339(*nanoseconds).ok_or_else(|| S::Error::custom("the time is out of range"))?)
}

/// Serializes an optional time as RFC 3339 or none.
///
/// # Errors
///
/// As [`serialize`].
pub fn serialize_optional<S: Serializer>(nanoseconds: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match nanoseconds {
        Some(nanoseconds) => serialize(nanoseconds, serializer),
        None => serializer.serialize_none(),
    }
}

/// Serde functions for times as RFC 3339, to the second.
pub mod seconds {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};

    /// Serializes a time.
    ///
    /// # Errors
    ///
    /// Returns an error if the serializer fails.
    pub fn serialize<S: Serializer>(nanoseconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::date(*nanoseconds))
    }

    /// Deserializes a time.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is no RFC 3339 time, or a time before 1970.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)?;
        u64::try_from(moment.unix_timestamp_nanos()).map_err(D::Error::custom)
    }
}
