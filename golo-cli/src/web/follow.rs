//! Follows a stored run that is still going on: reads the new records of its parts into a board.

use std::time::{Duration, SystemTime};

use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, Options};
use golo::report::Watch;
use golo::wire;
use golo_proto::engine as pb;
use golo_proto::engine::event::Event;
use golo_proto::results::{Record, record};

use super::board::{AgentRow, Board, Offer};
use crate::drive::merged_run::MergedRun;
use crate::results::replay::Asked;
use crate::results::store::{KeptPart, KeptRun, Store, StoreError};
use crate::support::moments::now;

/// Records of a part that are read before those of the next part, so that few seconds wait for the other parts.
const AT_ONCE: usize = 64;
/// Silence of all parts after which a run counts as not ended, in nanoseconds.
const SILENCE: u64 = 60_000_000_000;
/// Most parts of a run.
const PARTS: u64 = 10_000;

/// Reads a run while it is being stored.
pub(super) struct Follower {
    run: KeptRun,
    options: Options,
    merged: MergedRun,
    watch: Watch,
    started_at: Option<SystemTime>,
    elapsed: Duration,
    /// Each share of the plan.
    read: Vec<Followed>,
}

/// What has been read of a share.
#[derive(Clone, Default)]
struct Followed {
    next: u64,
    has_ended: bool,
}

impl Follower {
    /// Begins to follow a run, and shows its plan.
    ///
    /// # Errors
    ///
    /// Returns an error if the run cannot be read.
    pub(super) fn open(store: &Store, run: KeptRun, board: &Board) -> Result<Self, StoreError> {
        let unusable = |reason: &str| StoreError::Unusable(format!("run `{}`: {reason}", run.run));
        let parts = store.parts(&run)?;
        let first = parts.first().and_then(|part| store.records(part, 0).next()).transpose()?;
        let Some(Record { record: Some(record::Record::Begun(begun)), .. }) = first else {
            return Err(unusable("it has no stored records"));
        };
        let Asked { plan, options, thresholds, of, .. } =
            Asked::of(&begun).map_err(|failure| unusable(&failure.to_string()))?;
        let names = (0..of.min(PARTS)).map(|index| format!("share {} of {of}", index + 1));
        board.set_plan(&plan);
        Ok(Self {
            run,
            watch: Watch::new(thresholds, &plan),
            merged: MergedRun::new(plan, options.clone(), names),
            options,
            started_at: None,
            elapsed: Duration::ZERO,
            read: vec![Followed::default(); of.min(PARTS) as usize],
        })
    }

    /// Returns the run.
    pub(super) fn run(&self) -> &KeptRun {
        &self.run
    }

    /// Reads what is new. Returns true if the run is over: all parts have ended, or nothing has come for a while.
    ///
    /// # Errors
    ///
    /// Returns an error if the database fails, or if a record is invalid.
    pub(super) fn advance(&mut self, store: &Store, board: &Board) -> Result<bool, StoreError> {
        let parts = store.parts(&self.run)?;
        loop {
            let mut is_new = false;
            for part in &parts {
                let share = part.share_index as usize;
                let Some(next) = self.read.get(share).filter(|read| !read.has_ended).map(|read| read.next) else {
                    continue;
                };
                for record in store.records(part, next).take(AT_ONCE) {
                    is_new = true;
                    self.take(share, &record?, board)?;
                }
            }
            self.show_seconds(board);
            if !is_new {
                break;
            }
        }
        if self.read.len() > 1 {
            board.set_agents(parts.iter().map(agent_row).collect());
        }
        board.offer(|| Offer::of(self.merged.totals(), &self.watch, |totals| self.so_far(totals)));
        let heard_at = parts.iter().map(|part| part.heard_at_ns).max().unwrap_or_default();
        Ok(self.read.iter().all(|read| read.has_ended) || now().saturating_sub(heard_at) > SILENCE)
    }

    fn take(&mut self, share: usize, record: &Record, board: &Board) -> Result<(), StoreError> {
        self.read[share].next += 1;
        let event = match &record.record {
            Some(record::Record::Event(pb::Event { event: Some(event) })) => event,
            Some(record::Record::Ended(_)) => {
                self.read[share].has_ended = true;
                if !self.merged.has_finished(share) {
                    self.merged.lose(share, "it ended early");
                }
                return Ok(());
            }
            // The first record, or one of a later version.
            Some(record::Record::Begun(_) | record::Record::Event(_)) | None => return Ok(()),
        };
        let invalid = |error| StoreError::Unusable(format!("run `{}`: invalid record: {error}", self.run.run));
        self.merged.receive(share, event).map_err(invalid)?;
        match event {
            Event::Started(started) if self.started_at.is_none() => {
                let at = wire::moment(started.at);
                self.started_at = Some(at);
                board.set_started(at);
            }
            Event::Adjusted(adjusted) if share == 0 && adjusted.load.is_some() => {
                board.add_change(&Ok(self.merged.plan().clone()), None);
            }
            _ => {}
        }
        Ok(())
    }

    fn show_seconds(&mut self, board: &Board) {
        if let Some((plan, thresholds)) = self.merged.take_planned() {
            self.watch.complete(&plan, thresholds.iter().filter_map(|text| text.parse().ok()));
            board.set_plan(&plan);
        }
        while let Some(second) = self.merged.progress() {
            self.elapsed = second.elapsed;
            self.watch.second(&second);
            board.add_second(&second);
        }
    }

    /// Returns the measurements so far.
    fn so_far(&self, totals: Snapshot) -> Finished {
        let plan = self.merged.plan().clone();
        so_far(Finished {
            totals,
            started_at: self.started_at,
            whole_time: self.elapsed,
            ..Finished::not_started(plan, self.options.clone(), None)
        })
    }
}

/// Completes the measurements of a run that is going on: its load has lasted as long as the run, unless it is over.
pub fn so_far(finished: Finished) -> Finished {
    let whole = finished.whole_time;
    let load_time = finished.plan.duration().map_or(whole, |duration| duration.min(whole));
    Finished { load_time, ..finished }
}

/// Returns the row of an agent's part.
pub(super) fn agent_row(part: &KeptPart) -> AgentRow {
    AgentRow { name: part.agent.clone(), state: part.state.clone(), reason: part.reason.clone() }
}
