//! Requests in `other` that a threshold may select.

use super::Threshold;
use super::metric::Metric;
use super::tag::{Key, Tag};
use crate::engine::room::Priority;
use crate::engine::series::{Outcome, Series};
use crate::engine::snapshot::Snapshot;
use crate::report::units::counted;

impl Threshold {
    /// Explains why the threshold fails independently of its value: requests that it may select are past the limits of
    /// [`room`](crate::engine::room), so that their route, method and origin are unknown.
    #[must_use]
    pub fn hidden(&self, totals: &Snapshot) -> Option<String> {
        let has = |keys: &[Key]| self.tags.iter().any(|tag| keys.contains(&tag.key()));
        if !self.is_of_requests() {
            return None;
        }
        let is_of_route = has(&[Key::Route, Key::Step, Key::Own]);
        if !is_of_route && !has(&[Key::Method, Key::Origin]) {
            return None;
        }
        let hidden = totals.requests.iter().filter(|(series, _)| {
            // A selected route, or tag, has room of its own. Its requests are past the limits only if that is used up.
            let is_hidden = match series.label.is_other() {
                true => !is_of_route || series.label.priority == Priority::Selected,
                false => has(&[Key::Own]) && series.label.is_untagged() && series.label.priority == Priority::Selected,
            };
            is_hidden && self.may_be_about(series)
        });
        match hidden.fold(0, |sum: u64, (_, measure)| sum.saturating_add(measure.durations.count())) {
            0 => None,
            hidden => {
                let have = if has(&[Key::Step]) {
                    "be this step"
                } else if has(&[Key::Own]) {
                    "have this tag"
                } else if is_of_route {
                    "be of this route"
                } else {
                    "have this method or origin"
                };
                Some(format!(
                    "not known: {} past the limit of series are in `other`, and may {have}",
                    counted(hidden, if self.wants_steps() { "step" } else { "request" })
                ))
            }
        }
    }

    /// Returns true if the samples are requests or measured steps.
    pub(super) fn is_of_requests(&self) -> bool {
        !matches!(self.metric, Metric::Own | Metric::GroupDuration)
    }

    /// Returns true if requests past the limits may match, judging by what is known of them: of those in `other` the
    /// outcome, and of those without their tags also the target.
    fn may_be_about(&self, other: &Series) -> bool {
        let may_be_step = !matches!(other.outcome, Outcome::Answered { status: 1.., .. });
        let is_other = other.label.is_other();
        let is_kind = match self.wants_steps() {
            true if is_other => may_be_step,
            wants_steps => other.is_step() == wants_steps,
        };
        let is_label = |tag: &&Tag| {
            let is_target = matches!(tag.key(), Key::Route | Key::Method | Key::Origin | Key::Step);
            tag.key() == Key::Own || (is_other && is_target)
        };
        (other.outcome != Outcome::Interrupted || self.metric.counts_cut_off())
            && is_kind
            && self.tags.iter().filter(|tag| !is_label(tag)).all(|tag| tag.is_of(other))
    }
}
