//! The load of one lane: the triggers and users that are due at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::lane::{Lane, Timeline};
use super::{AT_ONCE, NANOSECOND, Run, SECOND};
use crate::engine::arrivals::Starts;
use crate::engine::curve::Curve;
use crate::engine::orders::{Adjustment, Orders};
use crate::engine::plan::{Arrivals, Model};
use crate::engine::trigger::Trigger;
use crate::user::share::Share;

/// Interval of checks for stalls of the thread, if busy users have due times.
const HEARTBEAT: Duration = Duration::from_millis(5);

/// The load of one lane.
pub(super) struct Load {
    kind: Kind,
    /// Last change of the load that was applied.
    adjusted: Option<Arc<Adjustment>>,
}

enum Kind {
    Closed(Closed),
    Open(Box<Open>),
}

struct Closed {
    users: Curve,
    is_paced: bool,
    start: Instant,
    /// Time of the last change of the number of users.
    changed: Instant,
    end: Option<Instant>,
}

struct Open {
    warm_up: Due,
    measured: Due,
    /// Maximum number of triggers in flight.
    most: u64,
    /// End of the plan, which may come after the last start.
    end: Option<Instant>,
}

/// The next of a sequence of starts.
struct Due {
    starts: Starts,
    from: Instant,
    next: Option<Instant>,
}

impl Due {
    fn new(mut starts: Starts, from: Instant) -> Self {
        let next = starts.next().map(|due| from + due);
        Self { starts, from, next }
    }

    fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next.filter(|due| *due <= now)?;
        self.next = self.starts.next().map(|due| self.from + due);
        Some(due)
    }

    /// Continues along another curve.
    fn adjust(&mut self, rate: &Curve) {
        self.next = self.starts.adjust(rate, self.next.is_some()).map(|due| self.from + due);
    }
}

impl Load {
    pub(super) fn new<T>(run: &Run<T>, share: Share, Timeline { start, end }: Timeline) -> Self {
        let warm_up = run.load.warm_up();
        // The subtraction succeeds, since the engine sets the start at least one warm-up ahead.
        let from = start.checked_sub(warm_up).unwrap_or(start);
        let kind = match run.load.model() {
            Model::Closed { users, pace } => {
                Kind::Closed(Closed { users: users.clone(), is_paced: pace.is_some(), start, changed: from, end })
            }
            Model::Open { rate, arrivals, .. } => {
                let opening = Curve::constant(rate.at(Duration::ZERO) as u64);
                let spaced = |rate: &Curve, until, iterations, seed| {
                    Starts::new(rate, until, iterations, *arrivals, share, seed)
                };
                let counted = run.load.iterations().filter(|_| *arrivals == Arrivals::Constant);
                Kind::Open(Box::new(Open {
                    warm_up: Due::new(spaced(&opening, Some(warm_up), None, !run.seed), from),
                    measured: Due::new(spaced(rate, run.load.duration(), counted, run.seed), start),
                    most: run.most_in_flight,
                    end,
                }))
            }
        };
        Self { kind, adjusted: None }
    }

    /// Returns the last change of the load that was ordered, if it has not been applied yet.
    pub(super) fn news(&self, told: &Orders) -> Option<Arc<Adjustment>> {
        let is_known = |last: &&Arc<Adjustment>| self.adjusted.as_ref().is_some_and(|known| Arc::ptr_eq(known, last));
        told.adjusted.as_ref().filter(|last| !is_known(last)).cloned()
    }

    /// Applies a change of the load.
    pub(super) fn adjust<T: Trigger>(&mut self, lane: &Arc<Lane<T>>, adjustment: Arc<Adjustment>) {
        let Adjustment { at, curve } = &*adjustment;
        match &mut self.kind {
            Kind::Closed(closed) => {
                // Users that are not wanted from then on may have been due before.
                lane.start_due(*at - NANOSECOND);
                closed.users = curve.clone();
                closed.changed = closed.changed.max(*at);
            }
            Kind::Open(open) => open.measured.adjust(curve),
        }
        self.adjusted = Some(adjustment);
    }

    /// Starts what is due by `now`, or some of it if that is a lot. Returns the time of the next call, or `None` if
    /// nothing more will be due.
    pub(super) fn advance<T: Trigger>(&mut self, lane: &Arc<Lane<T>>, now: Instant) -> Option<Instant> {
        let next = match &mut self.kind {
            Kind::Closed(closed) => closed.advance(lane, now),
            Kind::Open(open) => {
                for _ in 0..AT_ONCE {
                    let Some(due) = open.warm_up.take(now).or_else(|| open.measured.take(now)) else { break };
                    lane.start_one(due, open.most);
                }
                open.warm_up.next.or(open.measured.next).or(open.end)
            }
        };
        // The load may be raised again after it was lowered to zero.
        next.or_else(|| self.waits_for_more(lane).then(|| now + SECOND))
    }

    /// Returns true if the load was changed before and nothing is left to start, but another change could start more
    /// triggers.
    fn waits_for_more<T: Trigger>(&self, lane: &Lane<T>) -> bool {
        self.adjusted.is_some()
            && match &self.kind {
                Kind::Closed(_) => lane.wanted.load(Relaxed) == 0,
                Kind::Open(open) => !open.measured.starts.are_used_up(),
            }
    }

    /// Counts the starts that were due before `over` and will not be made.
    pub(super) fn forgo<T: Trigger>(&mut self, lane: &Arc<Lane<T>>, over: Instant) {
        let before = over - NANOSECOND;
        match &mut self.kind {
            Kind::Closed(_) => lane.forgo_due(before),
            Kind::Open(open) => {
                while let Some(due) = open.measured.take(before) {
                    // Other workers may have taken all iterations.
                    if lane.run.take_iteration() {
                        lane.forgo_one(due);
                    }
                }
            }
        }
    }
}

impl Closed {
    fn advance<T: Trigger>(&mut self, lane: &Arc<Lane<T>>, now: Instant) -> Option<Instant> {
        let next_change = loop {
            let time = self.changed.saturating_duration_since(self.start);
            lane.want(lane.share.count(self.users.whole_at(time)) as u32, self.changed);
            match self.users.next_change(time).map(|change| self.start + change) {
                Some(change) if change <= now => {
                    // Users that are not wanted from then on may have been due before.
                    lane.start_due(change - NANOSECOND);
                    self.changed = change;
                }
                later => break later,
            }
        };
        let next_due = lane.start_due(now);
        let next = [next_due, next_change].into_iter().flatten().min();
        let users = lane.users();
        if users.busy() > 0 {
            // Busy users go on by themselves and notify the conductor when they end.
            let look = now + if self.is_paced { HEARTBEAT } else { SECOND };
            return next.into_iter().chain([look]).min();
        }
        if next.is_some() {
            return next;
        }
        let has_failed = users.failed() > 0 && users.failed() >= lane.wanted.load(Relaxed) as usize;
        self.end.filter(|_| !has_failed)
    }
}
