//! What can be said of a run whose end is not known.

use std::time::{Duration, SystemTime};

use golo::{report::duration, wire};

use super::Part;
use crate::moments::date;

/// How long a part may be silent that others have outlived.
const SILENCE: Duration = Duration::from_secs(60);

/// What is known, unless every part has told its end, or is lost since others have ended long ago.
pub(super) fn not_ended(parts: &[Part<'_>], missing: &[u64], of: u64, now: SystemTime) -> Option<String> {
    if parts.iter().filter_map(|part| part.ended.as_ref()).any(|ended| !ended.run_died.is_empty()) {
        // Whoever told its end had given it up.
        return None;
    }
    let last_end = parts.iter().filter(|part| part.ended.is_some()).map(|part| part.heard_at).max();
    let is_given_up = last_end.is_some_and(|end| since(end, now) > SILENCE);
    let open: Vec<_> = parts.iter().filter(|part| part.ended.is_none()).collect();
    let is_open = |part: &&Part<'_>| !is_given_up || since(part.heard_at, now) <= SILENCE;
    if !open.iter().any(is_open) && (missing.is_empty() || is_given_up) {
        return None;
    }
    let begun = date(parts.iter().map(|part| part.begun_at).min()?);
    let mut said = format!("it began at {begun}");
    for part in &open {
        let (told, ago) = (duration(Duration::from_secs(part.seconds)), duration(whole(since(part.heard_at, now))));
        let whose = if of == 1 { String::new() } else { format!(" of {}", part.agent) };
        said += &format!("; the last that is known{whose} is from {told} into it, {ago} ago");
    }
    if !missing.is_empty() {
        said += &format!("; nothing is known yet of {} of its {of} parts", missing.len());
    }
    if parts.len() > open.len() {
        said += &format!("; {} of its parts have ended", parts.len() - open.len());
    }
    said += "; it is running, or whoever ran it was killed";
    Some(said)
}

fn since(moment: u64, now: SystemTime) -> Duration {
    // The clocks of two machines differ.
    now.duration_since(wire::moment(moment)).unwrap_or_default()
}

fn whole(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}
