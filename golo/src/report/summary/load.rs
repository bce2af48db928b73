//! The job, its target, and the delivered load.

use std::time::{SystemTime, UNIX_EPOCH};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::report::RunOutcome;
use crate::report::change;
use crate::report::facts::{self, Fact, took};
use crate::report::requests::Requests;
use crate::report::text::clean;

pub(super) fn load(outcome: &RunOutcome, requests: &Requests) -> Vec<Fact> {
    let finished = &outcome.finished;
    let mut facts =
        vec![Fact::new("job", clean(&finished.options.job_name)), Fact::new("plan", finished.plan.to_string())];
    facts.extend(requests.only_origin().map(|origin| Fact::new("target", origin)));
    let Some(started_at) = finished.started_at else { return facts };
    let from = date(started_at).map_or_else(String::new, |date| format!(", from {date}"));
    facts.push(Fact::new("took", took(finished.load_time, finished.whole_time, &from)));
    facts.extend(change::fact(&outcome.changes));
    facts.extend(facts::load(finished, false));
    facts
}

/// Returns a time in whole seconds, or `None` if RFC 3339 cannot express it.
fn date(at: SystemTime) -> Option<String> {
    let seconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok()?.format(&Rfc3339).ok()
}
