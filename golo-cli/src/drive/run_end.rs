//! The early end of a whole run: how the process that drives the run reports it to each part, and how each part records
//! it.

use std::time::Duration;

use golo::report::{RunOutcome, Threshold, clean};
use golo::wire::nanoseconds;
use golo_proto::results::{Ended, ended::State};
use serde::Deserialize;

use crate::support::failure::Failure;

/// Largest number of characters of a reason.
const LONGEST: usize = 1000;

/// Known reasons for the early end of a run. There may be several. The verdict then follows the same rules as for any
/// run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunEnd {
    /// Elapsed part of the measured time when the run was stopped, if it was.
    pub stopped: Option<Duration>,
    /// Threshold that could no longer pass, if the run was aborted for it.
    pub aborted: Option<Threshold>,
    /// Reason why the run died, if it did.
    pub died: Option<Death>,
    /// Reason why the run continues without the receiving part, if it does.
    pub lost: Option<String>,
}

/// Reason why a run died.
#[derive(Debug, Clone, PartialEq)]
pub struct Death {
    /// The reason as text.
    pub reason: String,
    /// Name of the part that was lost, if that is the reason.
    pub of: Option<String>,
}

/// A [`RunEnd`] as parameters of a URL.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parameters {
    stopped: Option<u64>,
    aborted: Option<String>,
    died: Option<String>,
    died_of: Option<String>,
    lost: Option<String>,
}

impl RunEnd {
    /// Creates the end of a run that died for this reason, because of the loss of the part `of` if there is one.
    #[must_use]
    pub fn died(reason: &str, of: Option<&str>) -> Self {
        let death = Death { reason: reason.to_owned(), of: of.map(str::to_owned) };
        Self { died: Some(death), ..Self::default() }
    }

    /// Adds the reasons of `other`. Known reasons are kept.
    pub fn add(&mut self, other: &Self) {
        self.stopped = self.stopped.or(other.stopped);
        self.aborted = self.aborted.take().or_else(|| other.aborted.clone());
        self.died = self.died.take().or_else(|| other.died.clone());
        self.lost = self.lost.take().or_else(|| other.lost.clone());
    }

    /// Returns the end of the run that the last record of a part contains.
    #[must_use]
    pub fn reported(ended: &Ended) -> Self {
        Self {
            stopped: ended.run_stopped.then(|| Duration::from_nanos(ended.stopped.unwrap_or_default())),
            aborted: ended.aborted.parse().ok(),
            died: cleaned(&ended.run_died).map(|reason| Death { reason, of: cleaned(&ended.run_died_of) }),
            lost: cleaned(&ended.run_lost),
        }
    }

    /// Describes the end in words. Returns `None` if nothing is known.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        match self {
            Self { died: Some(death), .. } => Some(format!("the run has died: {}", death.reason)),
            Self { lost: Some(reason), .. } => Some(format!("the run continues without it: {reason}")),
            Self { stopped: Some(_), .. } => Some("the run was stopped".to_owned()),
            Self { aborted: Some(threshold), .. } => Some(format!("`{threshold}` can no longer hold")),
            _ => None,
        }
    }

    /// Returns the last record of a part that received this end.
    #[must_use]
    pub fn of(&self, ended: Ended) -> Ended {
        let Some(reason) = self.reason() else { return ended };
        let is_stopped = ended.state() == State::Cancelled;
        let Self { stopped, aborted, died, lost } = self.clone();
        let (run_died, run_died_of) =
            died.map(|death| (death.reason, death.of.unwrap_or_default())).unwrap_or_default();
        Ended {
            reason: if is_stopped { reason } else { ended.reason },
            // True only if the driving process reported a stop.
            run_stopped: stopped.is_some(),
            stopped: stopped.map(nanoseconds),
            aborted: aborted.map(|threshold| threshold.to_string()).unwrap_or_default(),
            run_died,
            run_died_of,
            run_lost: lost.unwrap_or_default(),
            ..ended
        }
    }

    /// Returns the end as parameters of a URL.
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let Self { stopped, aborted, died, lost } = self;
        let all = [
            ("stopped", stopped.map(|stopped| nanoseconds(stopped).to_string())),
            ("aborted", aborted.as_ref().map(ToString::to_string)),
            ("died", died.as_ref().and_then(|death| cleaned(&death.reason))),
            ("died-of", died.as_ref().and_then(|death| cleaned(death.of.as_deref()?))),
            ("lost", lost.as_deref().and_then(cleaned)),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl TryFrom<Parameters> for RunEnd {
    type Error = Failure;

    fn try_from(Parameters { stopped, aborted, died, died_of, lost }: Parameters) -> Result<Self, Failure> {
        let text = |name: &str, text: Option<String>| match text {
            Some(text) => cleaned(&text).map(Some).ok_or_else(|| format!("`{name}` is empty")),
            None => Ok(None),
        };
        let (died, of, lost) = (text("died", died)?, text("died-of", died_of)?, text("lost", lost)?);
        if died.is_none() && of.is_some() {
            return Err("`died-of` needs `died`".into());
        }
        let aborted = aborted.map(|threshold| threshold.parse()).transpose();
        Ok(Self {
            stopped: stopped.map(Duration::from_nanos),
            aborted: aborted.map_err(|error| format!("`aborted` is not a threshold: {error}"))?,
            died: died.map(|reason| Death { reason, of }),
            lost,
        })
    }
}

/// Returns the last record of a run with one member, which contains how the run ended.
#[must_use]
pub fn ended(outcome: &RunOutcome) -> Ended {
    let finished = &outcome.finished;
    let stopped = outcome.stopped.map(|moment| moment.elapsed(finished.whole_time));
    let (state, reason) = match (&finished.not_started, &outcome.died, stopped) {
        (Some(reason), ..) | (None, Some(reason), _) => (State::Failed, reason.clone()),
        (None, None, Some(_)) if outcome.is_interrupted => (State::Cancelled, "a signal stopped it".to_owned()),
        (None, None, Some(_)) if outcome.is_cut => (State::Cancelled, "triggers in flight were cut off".to_owned()),
        (None, None, Some(_)) => (State::Cancelled, "an order stopped it".to_owned()),
        (None, None, None) => (State::Completed, outcome.torn_down.clone().unwrap_or_default()),
    };
    Ended {
        state: state.into(),
        reason,
        stopped: stopped.map(nanoseconds),
        died: outcome.died.clone().unwrap_or_default(),
        aborted: outcome.aborted.as_ref().map(ToString::to_string).unwrap_or_default(),
        missing: outcome.missing.clone().unwrap_or_default(),
        by_order: stopped.is_some() && !outcome.is_interrupted,
        ..Ended::default()
    }
}

/// Returns a reason from another process in a printable form.
#[must_use]
pub fn printable_reason(reason: &str) -> String {
    cleaned(reason).unwrap_or_else(|| "no reason was given".to_owned())
}

/// Describes the loss of a part whose job failed.
#[must_use]
pub fn describe_failed_job(ended: &Ended) -> String {
    format!("its job failed: {}", printable_reason(&ended.reason))
}

/// Describes the loss of a part whose job was stopped.
#[must_use]
pub fn describe_stopped_job(ended: &Ended) -> String {
    format!("its job was stopped: {}", printable_reason(&ended.reason))
}

/// Returns a reason that is safe to print and to store, or `None` if it is empty.
fn cleaned(text: &str) -> Option<String> {
    let clean: String = clean(text.trim()).chars().take(LONGEST).collect();
    Some(clean).filter(|clean| !clean.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> RunEnd {
        RunEnd {
            stopped: Some(Duration::from_millis(1500)),
            aborted: "iterations count<9".parse().ok(),
            lost: Some("it is away".to_owned()),
            ..RunEnd::died("the agent a was lost: gone", Some("a"))
        }
    }

    fn read(parameters: &[(&str, String)]) -> Result<RunEnd, Failure> {
        let json: serde_json::Map<_, _> = parameters
            .iter()
            .map(|(name, value)| {
                let number = value.parse::<u64>().ok().filter(|_| *name == "stopped");
                ((*name).to_owned(), number.map_or_else(|| value.as_str().into(), Into::into))
            })
            .collect();
        serde_json::from_value::<Parameters>(json.into()).unwrap().try_into()
    }

    #[test]
    fn parameters_keep_the_end_of_the_run() {
        assert_eq!(read(&all().parameters()), Ok(all()));
        assert_eq!(read(&[]), Ok(RunEnd::default()));
        let shown =
            |name: &'static str, value: &str| read(&[(name, value.to_owned())]).map(|end| end.reason().unwrap());
        assert_eq!(shown("died", " \u{1b}[31mgone\nnow "), Ok("the run has died: \\u{1b}[31mgone\\nnow".to_owned()));
        assert_eq!(shown("lost", &"x".repeat(9999)).unwrap().len(), "the run continues without it: ".len() + LONGEST);
        assert_eq!(shown("died", " "), Err("`died` is empty".into()));
        assert_eq!(shown("died-of", "a"), Err("`died-of` needs `died`".into()));
        assert!(shown("aborted", "fast").unwrap_err().to_string().starts_with("`aborted` is not a threshold: "));
    }

    #[test]
    fn later_reasons_are_added_and_do_not_replace_earlier_ones() {
        let stopped = |seconds| RunEnd { stopped: Some(Duration::from_secs(seconds)), ..RunEnd::default() };
        let mut end = RunEnd::default();
        end.add(&RunEnd::default());
        assert!(end == RunEnd::default() && end.reason().is_none());
        [stopped(1), stopped(2), RunEnd::default()].iter().for_each(|other| end.add(other));
        assert_eq!(end, stopped(1));
        end.add(&all());
        assert_eq!(end, RunEnd { stopped: Some(Duration::from_secs(1)), ..all() });
    }

    #[test]
    fn part_records_reported_end_and_keeps_its_own_failure() {
        let of = |state: State| Ended { state: state.into(), reason: "its own".to_owned(), ..Ended::default() };
        let ended = all().of(of(State::Cancelled));
        assert_eq!(
            (ended.run_stopped, ended.stopped, &*ended.aborted),
            (true, Some(1_500_000_000), "iterations count<9")
        );
        assert_eq!((&*ended.run_died_of, &*ended.run_lost), ("a", "it is away"));
        assert_eq!(ended.reason, "the run has died: the agent a was lost: gone");
        let failed = RunEnd::died("gone", None).of(Ended { stopped: Some(5), ..of(State::Failed) });
        assert_eq!((&*failed.reason, &*failed.run_died, failed.stopped), ("its own", "gone", None));
        assert_eq!(RunEnd::default().of(of(State::Cancelled)), of(State::Cancelled));
        assert_eq!(RunEnd::reported(&ended), all());
        assert_eq!(RunEnd::reported(&of(State::Cancelled)), RunEnd::default());
    }
}
