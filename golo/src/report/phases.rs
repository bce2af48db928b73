//! Phases of requests in reports.

use super::figures::quantiles;
use super::requests::Requests;
use super::units::nanoseconds;
use crate::engine::histogram::Histogram;
use crate::engine::phases::{MeasuredPhases, Phase};

/// Share of the requests' duration above which their time inside golo is worth a note.
const NOTEWORTHY: f64 = 0.05;

/// Returns the name of a phase and all samples of it, for each phase. Returns `None` if the phases are unknown, or if
/// none of them took any time.
pub(super) fn rows(phases: &MeasuredPhases) -> Option<[(&'static str, Histogram); Phase::ALL.len()]> {
    let is_known = phases.count() > 0 && Phase::ALL.iter().any(|phase| !phases.recorded(*phase).is_empty());
    is_known.then(|| Phase::ALL.map(|phase| (title(phase), phases.distribution(phase))))
}

/// Returns the name of a phase for people.
fn title(phase: Phase) -> &'static str {
    if phase == Phase::TlsHandshaking { "tls handshaking" } else { phase.name() }
}

/// Describes how long requests waited inside golo, if that is a noteworthy part of their duration.
pub(super) fn blocked(requests: &Requests) -> Option<String> {
    let total = &requests.routes.total;
    let [blocked] = quantiles(&total.phases.distribution(Phase::Blocked), [0.95]);
    let [whole] = quantiles(&total.all.durations, [0.95]);
    if blocked? as f64 <= whole? as f64 * NOTEWORTHY {
        return None;
    }
    let (blocked, whole) = (nanoseconds(blocked), nanoseconds(whole));
    Some(format!(
        "requests waited inside golo for a connection, by p95 {blocked} of {whole}: more connections, or \
         `--connections per-user`, would help"
    ))
}
