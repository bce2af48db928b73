//! The part of a run that belongs to this process. Feeds deal the rows of its share.
//!
//! A process is one member of a run: it runs alone, or it is one of several agents that run a plan together. Feeds are
//! created before the plan is known, so they look up the share for each row that they deal.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{support::setting_error::SettingError, user::share::Share};

/// Environment variable with which `golo` passes a load test its share before `setup` runs: `INDEX/OF`, with an index
/// from 0.
pub(crate) const VARIABLE: &str = "GOLO_SHARE";

/// The index in the upper 32 bits and the number of members in the lower ones, so that both change at once.
static SHARE: AtomicU64 = AtomicU64::new(1);

/// Sets the share of this process from now on.
pub(crate) fn join(share: Share) {
    SHARE.store(share.index() << u32::BITS | share.of(), Relaxed);
}

/// Returns the share of this process. The default is the whole.
pub(crate) fn share() -> Share {
    let packed = SHARE.load(Relaxed);
    Share::new(packed >> u32::BITS, packed & u64::from(u32::MAX)).unwrap_or(Share::WHOLE)
}

/// Parses the value of [`VARIABLE`].
///
/// # Errors
///
/// Returns a message with the value and the expected form.
pub(crate) fn parse(text: &str) -> Result<Share, SettingError> {
    let share = text.split_once('/').and_then(|(index, of)| Share::new(index.parse().ok()?, of.parse().ok()?));
    share.ok_or_else(|| {
        format!("`{VARIABLE}` is `{text}`: expected an index from 0 and a number of members, as in `0/3`").into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_reads_a_share() {
        assert_eq!(parse("2/3"), Ok(Share::WHOLE.split(3).nth(2).unwrap()));
        assert_eq!(parse("0/1"), Ok(Share::WHOLE));
        for text in ["", "1", "3/3", "1/0", "-1/3", "0/3/1", "a/b", "0/4294967296"] {
            let error = parse(text).unwrap_err().to_string();
            let expected = format!("`GOLO_SHARE` is `{text}`: expected an index from 0 and a number of members");
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
