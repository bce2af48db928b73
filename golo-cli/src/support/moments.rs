//! Moments, which are nanoseconds since the Unix epoch, as people and JSON write them.

use std::time::{Instant, SystemTime};

use golo::wire;
use serde::{Serializer, ser::Error as _};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// This moment.
#[must_use]
pub fn now() -> u64 {
    wire::unix_nanoseconds(SystemTime::now())
}

/// What the clock on the wall shows at a moment, before now or after it.
#[must_use]
pub fn on_the_wall(moment: Instant) -> SystemTime {
    let (now, wall) = (Instant::now(), SystemTime::now());
    match moment.checked_duration_since(now) {
        Some(ahead) => wall + ahead,
        None => wall.checked_sub(now.saturating_duration_since(moment)).unwrap_or(wall),
    }
}

/// A moment as RFC 3339 writes it.
#[must_use]
pub fn rfc_3339(nanoseconds: u64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(nanoseconds.into()).ok()?.format(&Rfc3339).ok()
}

/// A moment as people write it, to the second.
#[must_use]
pub fn date(nanoseconds: u64) -> String {
    let seconds = nanoseconds - nanoseconds % 1_000_000_000;
    rfc_3339(seconds).unwrap_or_else(|| "an unknown time".to_owned())
}

/// Writes a moment as RFC 3339.
///
/// # Errors
///
/// Where the serializer fails.
pub fn serialize<S: Serializer>(nanoseconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc_3339(*nanoseconds).ok_or_else(|| S::Error::custom("a moment too far away"))?)
}

/// Writes a moment as RFC 3339, where there is one.
///
/// # Errors
///
/// Where the serializer fails.
pub fn serialize_optional<S: Serializer>(nanoseconds: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match nanoseconds {
        Some(nanoseconds) => serialize(nanoseconds, serializer),
        None => serializer.serialize_none(),
    }
}

/// A moment as RFC 3339, to the second.
pub mod seconds {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};

    /// Writes it.
    ///
    /// # Errors
    ///
    /// Where the serializer fails.
    pub fn serialize<S: Serializer>(nanoseconds: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::date(*nanoseconds))
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// Where it is none.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)?;
        u64::try_from(moment.unix_timestamp_nanos()).map_err(D::Error::custom)
    }
}
