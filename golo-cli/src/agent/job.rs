//! A job: its record, its live state, and the commands to its engine.

mod stop;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use golo::run_loop::Order;
use golo::wire::nanoseconds;
use golo_proto::engine::series::Outcome;
use golo_proto::engine::{Event, Series, Snapshot, event};
use golo_proto::results::{Ended, ended};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

pub use self::stop::Stop;
use super::kept::{Kept, Missing, State};
use super::lease::Lease;
use super::results::Extent;
use crate::drive::driven::HELD;
use crate::drive::setup_exchange::SetupExchange;
use crate::support::moments::{now, rfc_3339};

/// Number of bytes that are kept of the end of a load test's stderr.
const STDERR: usize = 64 << 10;

/// State of a running job, which is not written to disk.
#[derive(Debug, Default)]
struct Live {
    is_ready: bool,
    has_started: bool,
    users: u64,
    /// Requests per second in the last second.
    rate: f64,
    commands: Option<mpsc::Sender<Order>>,
    /// Set once the job was asked to stop.
    stop: Option<Stop>,
    /// Time at which a held job is to start, once that was asked.
    start_at: Option<SystemTime>,
    /// Nanoseconds by which this machine's clock is ahead of the client's, as the client has measured it.
    ahead: i64,
    /// The end of the load test's stderr.
    stderr: Option<String>,
}

/// A job of an agent.
#[derive(Debug)]
pub struct Job {
    /// ID of the job.
    pub id: String,
    folder: PathBuf,
    /// Number of committed records.
    extent: watch::Sender<Extent>,
    inner: Mutex<(Kept, Live)>,
    /// Held while the job's file is written, so that an older state never overwrites a newer one.
    saving: Mutex<()>,
    /// Number of answers to changes of the load, and the reason of the last one if it was refused.
    adjusted: watch::Sender<(u64, String)>,
    /// Held while the load is changed.
    pub adjusting: tokio::sync::Mutex<()>,
    /// Exchange of the value of `setup` with the other members of the run.
    pub exchange: Arc<SetupExchange>,
    /// The lease, if the job was queued with one.
    pub lease: Option<Lease>,
}

impl Job {
    /// Creates a job. `folder` has its files, `extent` is the number of its committed records.
    #[must_use]
    pub fn new(kept: Kept, folder: PathBuf, extent: Extent) -> Self {
        // Without a lease, nothing else tells whether the client of a held job is there.
        let exchange = if kept.lease.is_some() { SetupExchange::default() } else { SetupExchange::bounded(HELD) };
        Self {
            id: kept.id.clone(),
            lease: kept.lease.map(Duration::from_nanos).map(Lease::new),
            folder,
            extent: watch::Sender::new(extent),
            inner: Mutex::new((kept, Live::default())),
            saving: Mutex::default(),
            adjusted: watch::Sender::default(),
            adjusting: tokio::sync::Mutex::default(),
            exchange: Arc::new(exchange),
        }
    }

    /// Returns the number of committed records.
    #[must_use]
    pub fn extent(&self) -> Extent {
        *self.extent.borrow()
    }

    /// Returns a receiver that is notified when more records are committed.
    #[must_use]
    pub fn extents(&self) -> watch::Receiver<Extent> {
        self.extent.subscribe()
    }

    pub(super) fn set_extent(&self, extent: Extent) {
        self.extent.send_replace(extent);
    }

    /// Returns the folder of the job's files.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn lock(&self) -> MutexGuard<'_, (Kept, Live)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a copy of the job's record.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.lock().0.clone()
    }

    /// Returns the job's state.
    #[must_use]
    pub fn state(&self) -> State {
        let inner = self.lock();
        let (kept, live) = &*inner;
        let is_late = || kept.length.zip(kept.started).is_some_and(|(length, at)| at.saturating_add(length) < now());
        match kept.state {
            State::Running if live.stop.is_some() || is_late() => State::Draining,
            state => state,
        }
    }

    /// Changes the job's record in memory.
    pub fn change<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        change(&mut self.lock().0)
    }

    /// Writes the job's record to disk.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written; then the previous file remains.
    pub fn save(&self) -> io::Result<()> {
        let _turn = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        self.kept().write(&self.folder)
    }

    /// Marks all of the job's `records` as committed by the collector. This is written to disk before it is reported.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save); it is reported nevertheless, and after a restart the collector is asked again.
    pub fn commit(&self, records: u64) -> io::Result<()> {
        let moment = now();
        let commit = |kept: &mut Kept| {
            (kept.committed, kept.committed_at) = (records, Some(moment));
            (kept.refused, kept.refused_at) = (None, None);
        };
        let _turn = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.kept();
        commit(&mut kept);
        let written = kept.write(&self.folder);
        self.change(commit);
        written
    }

    /// Sets the reason why the collector refuses the job's records, or clears it with `None`. A change is written to
    /// disk. Returns true if it is a change.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save); in memory the reason is set nevertheless.
    pub fn refuse(&self, reason: Option<String>) -> io::Result<bool> {
        let is_news = self.change(|kept| {
            let is_news = kept.refused != reason;
            kept.refused_at = reason.is_some().then(|| kept.refused_at.unwrap_or_else(now));
            kept.refused = reason;
            is_news
        });
        if is_news {
            self.save()?;
        }
        Ok(is_news)
    }

    /// Records that the collector has received record `number` without its content. This is written to disk. Returns true
    /// if it is the first one.
    ///
    /// # Errors
    ///
    /// As [`save`](Self::save); in memory it is recorded nevertheless.
    pub fn miss(&self, number: u64, reason: &str) -> io::Result<bool> {
        let is_first = self.change(|kept| {
            let is_first = kept.missing.is_none();
            let first = || Missing { records: 0, first: format!("record {number}: {reason}") };
            kept.missing.get_or_insert_with(first).records += 1;
            is_first
        });
        self.save()?;
        Ok(is_first)
    }

    /// Marks the job as starting. Its commands are sent to `commands` from now on.
    pub fn begin(&self, commands: mpsc::Sender<Order>) {
        let mut inner = self.lock();
        let (kept, live) = &mut *inner;
        kept.state = State::Starting;
        if live.stop.is_some() {
            _ = commands.try_send(Order::Stop);
        }
        live.commands = Some(commands);
    }

    /// Resets everything that [`note`](Self::note) has counted, before the events are replayed.
    pub fn forget_events(&self) {
        self.change(|kept| (kept.started, kept.elapsed, kept.requests, kept.interrupted) = (None, 0, (0, 0), 0));
    }

    /// Adds what the client has reported about this machine's clock to the event of the start.
    pub fn note_clock(&self, event: &mut Event) {
        if let Some(event::Event::Started(started)) = &mut event.event {
            started.ahead = self.lock().1.ahead;
        }
    }

    /// Updates the job's state from an event of its engine.
    pub fn note(&self, event: &Event) {
        let mut inner = self.lock();
        let (kept, live) = &mut *inner;
        match &event.event {
            Some(event::Event::Ready(ready)) => {
                (live.is_ready, live.users) = (true, ready.users);
            }
            Some(event::Event::Started(started)) => {
                live.has_started = true;
                kept.started = Some(started.at);
                kept.state = State::Running;
            }
            Some(event::Event::Second(second)) => {
                let passed = Duration::from_nanos(second.elapsed.saturating_sub(kept.elapsed));
                let count = count(second.snapshot.as_ref(), kept);
                live.rate = if passed.is_zero() { 0.0 } else { count as f64 / passed.as_secs_f64() };
                live.users = second.users;
                kept.elapsed = second.elapsed;
            }
            Some(event::Event::Finished(finished)) => {
                count(finished.rest.as_ref(), kept);
                kept.elapsed = kept.elapsed.max(finished.load_time);
                (live.users, live.rate) = (0, 0.0);
            }
            Some(event::Event::Adjusted(adjusted)) => {
                self.adjusted.send_modify(|(count, refused)| {
                    *count += 1;
                    refused.clone_from(&adjusted.refused);
                });
            }
            Some(
                event::Event::Accepted(_)
                | event::Event::Planned(_)
                | event::Event::Outputs(_)
                | event::Event::SetUp(_),
            )
            | None => {}
        }
    }

    /// Sends a command to the engine. Returns false if there is no engine that can receive it.
    pub fn command(&self, command: Order) -> bool {
        self.lock().1.commands.as_ref().is_some_and(|commands| commands.try_send(command).is_ok())
    }

    /// Returns true if the load test has been set up and will return no value of `setup` any more: its users have
    /// started, or the job is over.
    #[must_use]
    pub fn is_past_setup(&self) -> bool {
        let inner = self.lock();
        inner.1.is_ready || inner.1.has_started || inner.0.state.is_over()
    }

    /// Renews the job's lease. Sets its length from now on if one is given, which is possible once the load has started.
    ///
    /// # Errors
    ///
    /// Returns the reason if the job has no lease, is stopping, or is over: a renewal has no effect then. Also returns a
    /// reason if a length is given and the load has not started.
    pub fn renew(&self, length: Option<Duration>) -> Result<(), String> {
        let lease = self.lease.as_ref().ok_or("the job was queued without `lease`")?;
        let mut inner = self.lock();
        let (kept, live) = &mut *inner;
        if kept.state.is_over() {
            let reason = if kept.reason.is_empty() { String::new() } else { format!(": {}", kept.reason) };
            return Err(format!("the job is {}{reason}", kept.state.name()));
        }
        match &live.stop {
            Some(Stop { is_lease_over: true, .. }) => Err(lease.to_string()),
            Some(Stop { reason, run, .. }) => {
                Err(format!("the job is stopping: {}", run.reason().as_deref().unwrap_or(reason)))
            }
            None if length.is_some() && kept.state != State::Running => {
                Err(format!("the job is {}: a running job can be given another lease", kept.state.name()))
            }
            None => {
                lease.renew(length);
                kept.lease = length.map(nanoseconds).or(kept.lease);
                Ok(())
            }
        }
    }

    /// Starts the clock of a held job at the time `at`, by this machine's clock, which is `ahead` nanoseconds ahead of the
    /// client's. A call that is repeated with the same time has no further effect.
    ///
    /// # Errors
    ///
    /// Returns the reason if the job was not queued with `hold`, is not ready, has been started at another time, or is
    /// over.
    pub fn start(&self, at: SystemTime, ahead: i64) -> Result<(), &'static str> {
        let mut inner = self.lock();
        let (kept, live) = &mut *inner;
        if !kept.hold {
            return Err("the job was not queued with `hold`, so it starts by itself");
        }
        if kept.state.is_over() || live.stop.is_some() {
            return Err("the job is over or is stopping");
        }
        if live.start_at == Some(at) {
            return Ok(());
        }
        if live.start_at.is_some() || live.has_started {
            return Err("the job has already been started");
        }
        if !live.is_ready {
            return Err("the job is not ready yet");
        }
        let sent = live.commands.as_ref().is_some_and(|commands| commands.try_send(Order::Start { at }).is_ok());
        (live.start_at, live.ahead) = (sent.then_some(at), ahead);
        if sent { Ok(()) } else { Err("the job is over or is stopping") }
    }

    /// Adds a line of the load test's stderr.
    pub fn say(&self, line: &str) {
        let mut inner = self.lock();
        let text = inner.1.stderr.get_or_insert_default();
        text.push_str(line);
        text.push('\n');
        if text.len() > 2 * STDERR {
            let least = text.len() - STDERR;
            let from =
                text.as_bytes()[least..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| least + at + 1);
            text.drain(..from);
        }
    }

    /// Returns the end of the load test's stderr while the job is running.
    #[must_use]
    pub fn stderr(&self) -> Option<String> {
        self.lock().1.stderr.clone()
    }

    /// Returns a receiver that is notified when the engine answers a change of the load: the number of answers, and the
    /// reason of the last one if it was refused.
    #[must_use]
    pub fn adjusted(&self) -> watch::Receiver<(u64, String)> {
        self.adjusted.subscribe()
    }

    /// Sets the job's final state.
    pub fn end(&self, ended: &Ended) {
        let mut inner = self.lock();
        let (kept, live) = &mut *inner;
        kept.state = match ended.state() {
            ended::State::Completed => State::Completed,
            ended::State::Failed => State::Failed,
            ended::State::Cancelled => State::Cancelled,
        };
        kept.reason.clone_from(&ended.reason);
        kept.ended = Some(now());
        (live.commands, live.users, live.rate) = (None, 0, 0.0);
        self.exchange.clear();
    }

    /// Drops the load test's stderr from memory, once it is on disk.
    pub fn forget_stderr(&self) {
        self.lock().1.stderr = None;
    }

    /// Returns the current number of users and the requests per second.
    #[must_use]
    pub fn load(&self) -> (u64, f64) {
        let inner = self.lock();
        (inner.1.users, inner.1.rate)
    }

    /// Returns the job as JSON, as in the HTTP API.
    #[must_use]
    pub fn view(&self) -> Value {
        let state = self.state();
        let records = self.extent().next;
        let inner = self.lock();
        let (kept, live) = &*inner;
        let (requests, failed) = kept.requests;
        json!({
            "id": kept.id,
            "run": kept.run,
            "agent": kept.agent,
            "name": kept.name,
            "binary": kept.binary,
            "data": kept.data,
            "state": state.name(),
            "reason": kept.reason,
            "plan": kept.plan,
            "share": { "index": kept.share.0, "of": kept.share.1 },
            "hold": kept.hold,
            "lease": kept.lease.map(|lease| Duration::from_nanos(lease).as_secs_f64()),
            "ready": live.is_ready && !live.has_started && !state.is_over(),
            "queued_at": rfc_3339(kept.queued),
            "started_at": kept.started.map(rfc_3339),
            "ended_at": kept.ended.map(rfc_3339),
            "elapsed": Duration::from_nanos(kept.elapsed).as_secs_f64(),
            "users": live.users,
            "requests": requests,
            "failed": failed,
            "interrupted": kept.interrupted,
            "rate": live.rate,
            "records": records,
            "committed": kept.for_collector.then_some(kept.committed),
            "refused": kept.refused,
            "missing": kept.missing.as_ref().map(ToString::to_string),
        })
    }
}

/// Adds the snapshot's requests to the job's record. Returns the number of those that were completed.
fn count(snapshot: Option<&Snapshot>, kept: &mut Kept) -> u64 {
    let mut all = 0;
    let is_request = |series: &&Series| !golo::wire::is_step(series);
    for series in snapshot.into_iter().flat_map(|snapshot| &snapshot.requests).filter(is_request) {
        let count: u64 = series.durations.iter().flat_map(|durations| &durations.counts).sum();
        if matches!(series.outcome, Some(Outcome::Interrupted(_))) {
            kept.interrupted += count;
            continue;
        }
        all += count;
        if matches!(series.outcome, Some(Outcome::Unexpected(_) | Outcome::Failed(_))) {
            kept.requests.1 += count;
        }
    }
    kept.requests.0 += all;
    all
}

#[cfg(test)]
mod tests;
