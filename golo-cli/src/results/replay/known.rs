//! Description of a run without a known end.

use std::time::{Duration, SystemTime};

use golo::{report::duration, wire};

use super::Part;
use crate::support::moments::date;

/// Maximum silence of a part after another has ended.
const SILENCE: Duration = Duration::from_secs(60);

/// Describes what is known of the run. Returns `None` if every part has ended, or is lost because others ended long
/// ago.
pub(super) fn not_ended(parts: &[Part<'_>], missing: usize, of: u64, now: SystemTime) -> Option<String> {
    // The agent whose loss ended the run is not waited for.
    let died_of: Vec<_> = parts.iter().filter_map(|part| Some(&*part.ended.as_ref()?.run_died_of)).collect();
    let is_named = |part: &&Part<'_>| died_of.contains(&&*part.agent);
    let is_unknown = died_of.iter().any(|name| !name.is_empty() && parts.iter().all(|part| part.agent != *name));
    let missing = missing.saturating_sub(is_unknown.into());
    let last_end = parts.iter().filter(|part| part.ended.is_some()).map(|part| part.last_record_at).max();
    let is_given_up = last_end.is_some_and(|end| since(end, now) > SILENCE);
    let open: Vec<_> = parts.iter().filter(|part| part.ended.is_none() && !is_named(part)).collect();
    let is_open = |part: &&Part<'_>| !is_given_up || since(part.last_record_at, now) <= SILENCE;
    if !open.iter().any(is_open) && (missing == 0 || is_given_up) {
        return None;
    }
    let begun = date(parts.iter().map(|part| part.begun_at).min()?);
    let mut text = format!("it began at {begun}");
    for part in &open {
        let (elapsed, ago) =
            (duration(Duration::from_secs(part.seconds)), duration(whole(since(part.last_record_at, now))));
        let of_agent = if of == 1 { String::new() } else { format!(" of {}", part.agent) };
        text += &format!("; the last record{of_agent} is from {elapsed} into the run, {ago} ago");
    }
    if missing > 0 {
        text += &format!("; {missing} of its {of} parts have sent no records yet");
    }
    let ended = parts.iter().filter(|part| part.ended.is_some()).count();
    if ended > 0 {
        text += &format!("; {ended} of its parts have ended");
    }
    text += "; it is running, or the process that ran it was killed or could not store the end";
    Some(text)
}

fn since(moment: u64, now: SystemTime) -> Duration {
    // Zero if the other machine's clock is ahead.
    now.duration_since(wire::moment(moment)).unwrap_or_default()
}

fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}
