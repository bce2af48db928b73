//! Replays a stored run: computes its outcome from its records, with the same code as the run itself.

mod known;

use std::time::{Duration, SystemTime};

use golo::engine::plan::Plan;
use golo::engine::share::Share;
use golo::engine::{Options, Progress};
use golo::report::{Moment, RunOutcome, Threshold, Timeline, Watch};
use golo::wire;
use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::results::ended::State;
use golo_proto::results::{Begun, Ended, Record, record};

use crate::drive::local_time::{local, to_local_time};
use crate::drive::merged_run::MergedRun;
use crate::drive::run_end::{describe_failed_job, describe_stopped_job};
use crate::support::failure::Failure;
use known::not_ended;

/// Records of one part of a run, in order.
pub type Records<'a> = Box<dyn Iterator<Item = Result<Record, Failure>> + 'a>;

/// A replayed run.
#[derive(Debug)]
pub struct Replayed {
    /// ID of the run.
    pub run: String,
    /// Name of the load test.
    pub load_test: String,
    /// Time of the first record.
    pub begun_at: SystemTime,
    /// End and measurements of the run.
    pub outcome: RunOutcome,
}

impl Replayed {
    /// Returns the name of the job.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.outcome.finished.options.job_name
    }
}

/// Replays a run from all its parts, as far as they are known at `now`. Calls `on_second` for each completed second.
/// Without a `timeline`, the outcome has an empty one, and the replay takes less time.
///
/// # Errors
///
/// Returns an error if records cannot be read or contain impossible values.
pub fn replay<'a>(
    parts: impl IntoIterator<Item = Records<'a>>,
    now: SystemTime,
    mut timeline: Option<Timeline>,
    mut on_second: impl FnMut(&Progress),
) -> Result<Replayed, Failure> {
    let mut parts =
        parts.into_iter().filter_map(|records| Part::open(records).transpose()).collect::<Result<Vec<_>, _>>()?;
    let asked = Asked::of(&parts.first().ok_or("it has no stored records")?.begun)?;
    let mut watch = Watch::new(asked.thresholds, &asked.plan);
    let missing: Vec<u64> = (0..asked.of).filter(|index| parts.iter().all(|part| part.share != *index)).collect();
    let of = asked.of;
    let names = parts.iter().map(|part| part.agent.clone());
    let names: Vec<_> = names.chain(missing.iter().map(|index| format!("share {} of {of}", index + 1))).collect();
    let mut merged = MergedRun::new(asked.plan, asked.options, names);
    for part in parts.len()..parts.len() + missing.len() {
        merged.lose(part, "it sent no records");
    }
    // Reading the part that is furthest behind keeps the seconds of all parts aligned.
    while let Some((number, part)) =
        parts.iter_mut().enumerate().filter(|(_, part)| !part.is_read).min_by_key(|(_, part)| part.seconds)
    {
        part.advance(number, &mut merged)?;
        if let Some((plan, thresholds)) = merged.take_planned() {
            let threshold = |text: &String| text.parse().map_err(|error| format!("its threshold `{text}`: {error}"));
            watch.complete(&plan, thresholds.iter().map(threshold).collect::<Result<Vec<Threshold>, _>>()?);
        }
        while let Some(progress) = merged.progress() {
            if let Some(timeline) = &mut timeline {
                timeline.add(&progress);
            }
            watch.second(&progress);
            on_second(&progress);
        }
    }
    let lost = lost(&parts);
    for (number, lost) in lost.iter().enumerate() {
        if let Some(reason) = lost {
            merged.lose(number, reason);
        }
    }
    let changes = merged.changes();
    let finished = merged.finish();
    if let Some(timeline) = &mut timeline {
        timeline.finish(&finished);
    }
    let thresholds = watch.judge(&finished);
    let not_ended = not_ended(&parts, missing.len(), of, now);
    let timeline = timeline.unwrap_or_default();
    let mut outcome = RunOutcome { timeline, thresholds, not_ended, changes, ..finished.into() };
    add_ends(&mut outcome, &parts, &lost);
    // A run that died before it started, other than by the loss of a ready agent, did not start.
    let is_lease_over = |part: &Part<'_>| part.ended.as_ref().is_some_and(|ended| ended.lease_over);
    if outcome.finished.started_at.is_none()
        && (died(&parts).any(|ended| ended.run_died_of.is_empty()) || parts.iter().any(is_lease_over))
    {
        outcome.finished.not_started = outcome.died.take();
    }
    let begun_at = wire::moment(parts.iter().map(|part| part.begun_at).min().unwrap_or_default());
    Ok(Replayed { run: asked.run, load_test: asked.load_test, begun_at, outcome })
}

/// The plan and options from the first record.
pub(crate) struct Asked {
    run: String,
    pub(crate) load_test: String,
    pub(crate) plan: Plan,
    pub(crate) options: Options,
    pub(crate) thresholds: Vec<Threshold>,
    /// Number of parts that share the plan.
    pub(crate) of: u64,
}

impl Asked {
    /// Reads the first record of a part.
    ///
    /// # Errors
    ///
    /// Returns an error if the plan or a threshold is invalid.
    pub(crate) fn of(begun: &Begun) -> Result<Self, Failure> {
        let Begun { run, load_test, plan, thresholds, .. } = begun.clone();
        let pb::Plan { load, share, job_name, workers, seed, max_lag, .. } = plan.ok_or("it has no plan")?;
        let plan = Plan::try_from(&load.ok_or("its plan has no load")?).map_err(|error| error.to_string())?;
        let threshold = |text: &String| text.parse().map_err(|error| format!("its threshold `{text}`: {error}"));
        let options = Options {
            job_name: if job_name.is_empty() { load_test.clone() } else { job_name },
            workers: workers as usize,
            seed,
            share: Share::WHOLE,
            max_lag: max_lag.map(Duration::from_nanos),
        };
        Ok(Self {
            run,
            load_test,
            plan,
            options,
            thresholds: thresholds.iter().map(threshold).collect::<Result<_, _>>()?,
            of: share.map_or(1, |share| share.of.max(1)),
        })
    }
}

/// One part, as far as it has been read.
struct Part<'a> {
    agent: String,
    begun: Begun,
    begun_at: u64,
    /// Index of its share of the plan.
    share: u64,
    records: Records<'a>,
    /// Number of the last second that has been read.
    seconds: u64,
    /// Time of the last record that has been read.
    last_record_at: u64,
    /// Nanoseconds by which its clock is ahead of that of the process that drove the run.
    ahead: i128,
    has_started: bool,
    has_finished: bool,
    ended: Option<Ended>,
    is_read: bool,
}

impl<'a> Part<'a> {
    /// Returns `None` if there are no records.
    fn open(mut records: Records<'a>) -> Result<Option<Self>, Failure> {
        let Some(first) = records.next().transpose()? else { return Ok(None) };
        let Some(record::Record::Begun(begun)) = first.record else {
            return Err("its first record is not a `Begun`".into());
        };
        Ok(Some(Self {
            agent: begun.agent.clone(),
            share: begun.plan.as_ref().and_then(|plan| plan.share).map_or(0, |share| share.index),
            begun,
            begun_at: first.at,
            records,
            seconds: 0,
            last_record_at: first.at,
            ahead: 0,
            has_started: false,
            has_finished: false,
            ended: None,
            is_read: false,
        }))
    }

    /// Converts all times to the clock of the process that drove the run, once the difference is known.
    fn line_up(&mut self, ahead: i128) {
        self.begun_at = local(self.begun_at, ahead - self.ahead);
        self.last_record_at = local(self.last_record_at, ahead - self.ahead);
        self.ahead = ahead;
    }

    /// Reads until the end of the next second or the last record.
    fn advance(&mut self, number: usize, merged: &mut MergedRun) -> Result<(), Failure> {
        while let Some(record) = self.records.next() {
            let Record { at, record } = record?;
            self.last_record_at = local(at, self.ahead);
            let mut event = match record {
                Some(record::Record::Event(pb::Event { event: Some(event) })) => event,
                Some(record::Record::Ended(ended)) => {
                    self.ended = Some(ended);
                    continue;
                }
                // A record kind of a later version.
                Some(record::Record::Begun(_) | record::Record::Event(_)) | None => continue,
            };
            if let Event::Started(started) = &event {
                self.line_up(started.ahead.into());
            }
            to_local_time(&mut event, self.ahead);
            merged.receive(number, &event).map_err(|error| format!("invalid record of {}: {error}", self.agent))?;
            match &event {
                // The next record belongs to the same second.
                Event::Second(pb::Second { snapshot: Some(piece), .. }) if piece.piece() == pb::Piece::Followed => {}
                Event::Second(second) => {
                    self.seconds = Duration::from_nanos(second.elapsed).as_secs();
                    return Ok(());
                }
                Event::Started(_) => self.has_started = true,
                Event::Finished(_) => self.has_finished = true,
                _ => {}
            }
        }
        self.is_read = true;
        if !self.has_finished {
            match self.ended.as_ref().map(early_end) {
                Some(None) if !self.has_started => merged.leave(number),
                reason => merged.lose(number, reason.flatten().unwrap_or_else(|| "it sent no more records".to_owned())),
            }
        }
        Ok(())
    }
}

/// Returns the reason why a part ended early, unless it ended because the whole run did.
fn early_end(ended: &Ended) -> Option<String> {
    match ended.state() {
        _ if !ended.run_lost.is_empty() => Some(ended.run_lost.clone()),
        State::Failed => Some(describe_failed_job(ended)),
        State::Cancelled if !contains_run_end(ended) => Some(describe_stopped_job(ended)),
        State::Completed | State::Cancelled => None,
    }
}

/// True if the part's end contains the end of the whole run.
fn contains_run_end(ended: &Ended) -> bool {
    ended.run_stopped || !ended.aborted.is_empty() || !ended.run_died.is_empty()
}

/// Returns the ends of the parts that report the death of the run.
fn died<'a>(parts: &'a [Part<'_>]) -> impl Iterator<Item = &'a Ended> {
    parts.iter().filter_map(|part| part.ended.as_ref()).filter(|ended| !ended.run_died.is_empty())
}

/// Returns the reason for each lost part. If all parts were lost, none is: that is then the end of the run.
fn lost(parts: &[Part<'_>]) -> Vec<Option<String>> {
    let reasons: Vec<_> = parts.iter().map(|part| part.ended.as_ref().map(early_end)).collect();
    let went_on = reasons.contains(&Some(None));
    reasons.into_iter().map(|reason| reason.flatten().filter(|_| went_on)).collect()
}

/// Adds the ends of the parts to the outcome. Lost parts are ignored, except for what they report about the whole run.
fn add_ends(outcome: &mut RunOutcome, parts: &[Part<'_>], lost: &[Option<String>]) {
    let has_started = outcome.finished.started_at.is_some();
    let is_one = parts.len() == 1;
    for (part, lost) in parts.iter().zip(lost) {
        let Some(ended) = &part.ended else { continue };
        // An end of the whole run counts even if a lost part reports it.
        let is_stopped = ended.state() == State::Cancelled && !contains_run_end(ended) && ended.run_lost.is_empty();
        let stopped = ended.stopped.or_else(|| is_stopped.then_some(0));
        if let Some(elapsed) = stopped.filter(|_| ended.run_stopped || lost.is_none()) {
            // The process that drives a run on agents reports only that it was stopped, usually by a signal.
            outcome.is_interrupted |= ended.run_stopped || !ended.by_order;
            outcome.stopped = Some(match (outcome.stopped, has_started) {
                (_, false) => Moment::Start,
                (Some(Moment::Load(known)), true) => Moment::Load(known.max(Duration::from_nanos(elapsed))),
                (_, true) => Moment::Load(Duration::from_nanos(elapsed)),
            });
        }
        if outcome.aborted.is_none() {
            outcome.aborted = ended.aborted.parse().ok();
        }
        if lost.is_some() {
            continue;
        }
        // The agent is not the cause if the lease of its job ran out.
        let is_one = is_one || ended.lease_over;
        let named = |text: &str| if is_one { text.to_owned() } else { format!("{}: {text}", part.agent) };
        let died = match &*ended.died {
            // Another part may have reported the end of the run.
            "" if !part.has_finished && ended.state() == State::Failed => &*ended.reason,
            died => died,
        };
        if outcome.died.is_none() && !died.is_empty() {
            outcome.died = Some(named(died));
        }
        if outcome.missing.is_none() && !ended.missing.is_empty() {
            outcome.missing = Some(named(&ended.missing));
        }
        if outcome.torn_down.is_none() && ended.state() == State::Completed && !ended.reason.is_empty() {
            outcome.torn_down = Some(named(&ended.reason));
        }
    }
    outcome.died = died(parts).next().map(|ended| ended.run_died.clone()).or(outcome.died.take());
}

#[cfg(test)]
mod tests;
