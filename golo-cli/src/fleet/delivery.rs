//! A run on several agents as one engine. The agents start together, are followed and stopped together, and their
//! measurements are merged.

mod changes;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use golo::cli::say;
use golo::engine::plan::{Plan, Target};
use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, Options, RunEvent};
use golo::pb::engine::event::Event;
use golo::pb::results::ended::State;
use golo::pb::results::record::Record as Kind;
use golo::pb::results::{Ended, Record};
use golo::report::{Moment, RunOutcome};
use golo::run_loop::{EngineHandle, NextEvent, StopReason};
use golo::wire;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::clock::{Clock, Offset, skew};
use super::follow::MemberEvent;
use super::orders::{Order, OrderState, carry_out_orders};
use super::part::Part;
use super::standstill::Standstill;
use super::start::start;
use super::{FleetSettings, OnAgentLoss};
use crate::drive::local_time::to_local_time;
use crate::drive::merged_run::MergedRun;
use crate::drive::run_end::{RunEnd, describe_failed_job, describe_stopped_job, printable_reason};
use crate::support::failure::Failure;

/// Most agents whose start is printed. Of more, these are the first and the last ones.
const STARTS: usize = 10;

/// Number of stderr lines that are printed of a failed load test.
const LAST_LINES: usize = 5;

/// Pause between attempts to stop the job of a lost agent.
const AGAIN: Duration = Duration::from_secs(1);

/// Channel of the parts' events, each with the number of its part.
pub type MemberEvents = mpsc::Receiver<(usize, MemberEvent)>;

/// A run on several agents.
pub struct Delivery {
    /// Name of the load test for messages.
    name: String,
    is_quiet: bool,
    on_loss: OnAgentLoss,
    parts: Vec<Following>,
    events: MemberEvents,
    merged: MergedRun,
    clock: Clock,
    standstill: Arc<Standstill>,
    lease: Duration,
    /// Difference between each agent's clock and the local one, once it is known.
    offsets: watch::Receiver<Vec<Option<Offset>>>,
    orders: watch::Sender<OrderState>,
    /// Start of the measured time.
    started: Option<Instant>,
    has_printed_skew: bool,
    torn_down: watch::Sender<Vec<String>>,
    /// Tasks that start the run, carry out orders, and clear up.
    working: JoinSet<()>,
    /// The plan with all changes that the agents have confirmed, if there are any.
    changed: Option<Plan>,
    /// Levels of the load that the agents have not been asked for yet.
    levels: VecDeque<Target>,
    /// The change that the agents have not answered yet, if there is one.
    adjusting: JoinSet<Result<Plan, String>>,
    /// End of the run that another process has ordered, as the parts report it.
    ordered_elsewhere: RunEnd,
}

/// A part and its reported state.
struct Following {
    part: Arc<Part>,
    is_open: bool,
    /// Start time by the agent's clock.
    started: Option<u64>,
    /// Reason of the job if it ended because its lease ran out.
    lease_over: Option<String>,
}

/// Facts about a run that was started before.
#[derive(Debug, Clone, Default)]
pub struct Joined {
    /// Difference between each agent's clock and the local one.
    pub offsets: Vec<Option<Offset>>,
    /// Names of the parts that are not followed.
    pub absent: Vec<String>,
}

/// Channels from a run to its fleet.
pub struct FleetChannels {
    /// Events of the parts.
    pub events: MemberEvents,
    /// Sender of events that are not of a part's records.
    pub event_sender: mpsc::Sender<(usize, MemberEvent)>,
    /// Errors after the run.
    pub torn_down: watch::Sender<Vec<String>>,
    /// Orders to the parts, with the reasons for the end of the run.
    pub orders: watch::Sender<OrderState>,
    /// Times at which this process stood still.
    pub standstill: Arc<Standstill>,
}

impl Delivery {
    /// Starts the held jobs of all parts.
    #[must_use]
    pub fn start(
        settings: &FleetSettings,
        parts: &[Arc<Part>],
        plan: (Plan, Options),
        channels: FleetChannels,
    ) -> Self {
        let (known, offsets) = watch::channel(vec![None; parts.len()]);
        let (order, events) = (channels.orders.subscribe(), channels.event_sender.clone());
        let mut delivery = Self::of_parts(settings, parts, plan, channels, (offsets, &[]));
        let starting = start(parts.to_vec(), delivery.clock, known, order, events);
        delivery.working.spawn(starting);
        delivery
    }

    /// Joins a run that was started before.
    #[must_use]
    pub fn join(
        settings: &FleetSettings,
        parts: &[Arc<Part>],
        plan: (Plan, Options),
        channels: FleetChannels,
        joined: Joined,
    ) -> Self {
        let (_, offsets) = watch::channel(joined.offsets);
        let mut delivery = Self::of_parts(settings, parts, plan, channels, (offsets, &joined.absent));
        for index in parts.len()..parts.len() + joined.absent.len() {
            delivery.merged.lose(index, "its agent is not followed");
        }
        delivery
    }

    /// Creates a run of these parts. Those named by `absent` have no measurements.
    fn of_parts(
        settings: &FleetSettings,
        parts: &[Arc<Part>],
        (plan, options): (Plan, Options),
        channels: FleetChannels,
        (offsets, absent): (watch::Receiver<Vec<Option<Offset>>>, &[String]),
    ) -> Self {
        let orders = channels.orders;
        let mut working = JoinSet::new();
        for part in parts {
            working.spawn(carry_out_orders(Arc::clone(part), orders.subscribe()));
        }
        let names = parts.iter().map(|part| part.name.clone()).chain(absent.iter().cloned());
        let following =
            |part: &Arc<Part>| Following { part: Arc::clone(part), is_open: true, started: None, lease_over: None };
        Self {
            name: settings.name.clone(),
            is_quiet: settings.is_quiet,
            on_loss: settings.on_loss,
            merged: MergedRun::new(plan, options, names),
            parts: parts.iter().map(following).collect(),
            events: channels.events,
            clock: Clock::start(),
            standstill: channels.standstill,
            lease: settings.lease,
            offsets,
            orders,
            started: None,
            has_printed_skew: false,
            torn_down: channels.torn_down,
            working,
            changed: None,
            levels: VecDeque::new(),
            adjusting: JoinSet::new(),
            ordered_elsewhere: RunEnd::default(),
        }
    }

    /// Takes over a plan that a part's load test has completed before the run began.
    pub fn planned(&mut self, index: usize, event: &Event) {
        if let Err(error) = self.merged.receive(index, event) {
            self.lose(index, format!("it sent an invalid event: {error}"));
        }
    }

    fn order(&self, order: Order, run: &RunEnd) {
        self.orders.send_modify(|orders| orders.add(order, run));
    }

    fn receive(&mut self, index: usize, event: MemberEvent) {
        if !self.parts[index].is_open {
            return;
        }
        match event {
            MemberEvent::Lost(reason) => self.lose(index, reason),
            MemberEvent::Record(record) => self.record(index, *record),
        }
        self.print_skew();
    }

    fn record(&mut self, index: usize, record: Record) {
        match record.record {
            Some(Kind::Event(event)) => {
                if let Some(event) = event.event {
                    self.event(index, event);
                }
            }
            Some(Kind::Ended(ended)) => self.ended(index, &ended),
            Some(Kind::Begun(_)) | None => {}
        }
    }

    fn event(&mut self, index: usize, mut event: Event) {
        if let Event::Started(started) = &event {
            self.parts[index].started = Some(started.at);
        }
        let offset = self.offsets.borrow()[index];
        if let Some(offset) = offset {
            to_local_time(&mut event, offset.ahead);
        }
        if let Event::Started(started) = &event {
            let at = self.clock.instant(started.at);
            if self.started.is_none() {
                self.merged.push(RunEvent::Started { at: wire::moment(started.at) });
            }
            self.started = Some(self.started.map_or(at, |earliest| earliest.min(at)));
        }
        if let Err(error) = self.merged.receive(index, &event) {
            self.lose(index, format!("it sent an invalid event: {error}"));
        }
    }

    fn ended(&mut self, index: usize, ended: &Ended) {
        let is_stopping = self.orders.borrow().order > Order::Run;
        let reported = RunEnd::reported(ended);
        let is_ordered_elsewhere = !is_stopping && reported.lost.is_none() && reported != RunEnd::default();
        match ended.state() {
            State::Completed => {
                if !ended.reason.is_empty() {
                    let text = format!("{}: {}", self.parts[index].part.name, printable_reason(&ended.reason));
                    self.torn_down.send_modify(|all| all.push(text));
                }
                self.close(index);
            }
            State::Failed if ended.lease_over => self.lease_over(index, ended),
            State::Cancelled if is_stopping => self.close(index),
            State::Cancelled if is_ordered_elsewhere => {
                self.ordered_elsewhere.add(&reported);
                self.close(index);
            }
            State::Cancelled => self.lose(index, describe_stopped_job(ended)),
            State::Failed => {
                // If all load tests fail in the same way, the first one is enough.
                if self.broken().is_none() {
                    print_stderr(&self.name, &self.parts[index].part.name, &ended.stderr);
                }
                self.lose(index, describe_failed_job(ended));
            }
        }
    }

    /// Ends a part whose job the agent has stopped because its lease ran out. If this process stood still, that is the
    /// cause, and the agent is not to blame.
    fn lease_over(&mut self, index: usize, ended: &Ended) {
        let reason = printable_reason(&ended.reason);
        let is_first = self.parts.iter().all(|following| following.lease_over.is_none());
        self.parts[index].lease_over = Some(reason.clone());
        let Some(why) = self.standstill.end_of_leases(self.lease) else {
            return self.lose(index, describe_failed_job(ended));
        };
        if is_first {
            say(format_args!("{}: {why}", self.name));
        }
        let others_go_on = self.parts.iter().enumerate().any(|(other, following)| other != index && following.is_open);
        let is_over = self.parts.iter().all(|following| following.lease_over.is_some());
        if is_over || (others_go_on && self.on_loss == OnAgentLoss::Fail) {
            self.order(Order::Cut, &RunEnd::died(&reason, None));
            self.close(index);
        } else {
            self.lose_part(index, describe_failed_job(ended));
            self.tear_down();
        }
    }

    /// Ends a part that has reported its end.
    fn close(&mut self, index: usize) {
        self.parts[index].is_open = false;
        // A part without the engine's last event counts as lost.
        if !self.merged.has_finished(index) {
            self.merged.lose(index, "it ended without its last measurements");
        }
        self.tear_down();
    }

    /// Continues without a part.
    fn lose_part(&mut self, index: usize, reason: String) {
        self.merged.lose(index, &reason);
        self.parts[index].is_open = false;
        self.parts[index].part.lose(reason);
    }

    fn lose(&mut self, index: usize, reason: String) {
        self.lose_part(index, reason.clone());
        let name = self.parts[index].part.name.clone();
        let is_last = self.parts.iter().all(|following| !following.is_open) && self.merged.have_all_failed();
        let goes_on = self.on_loss == OnAgentLoss::Continue && !is_last;
        let text = format!("the agent {name} was lost: {reason}");
        let then = if goes_on { "the others continue" } else { "stopping" };
        if self.broken().is_none() {
            say(format_args!("{}: {text}; {then}", self.name));
        }
        if goes_on {
            // The agent may still be running, and send load that is not counted.
            let part = Arc::clone(&self.parts[index].part);
            self.working.spawn(async move {
                while part.withdraw(&RunEnd::default()).await.is_err() {
                    sleep(AGAIN).await;
                }
            });
        } else {
            self.order(Order::Cut, &RunEnd::died(&text, Some(&name)));
        }
        self.tear_down();
    }

    /// Lets the part that has run the `setup` of the whole run tear down, once all others are over.
    fn tear_down(&mut self) {
        let mut open = self.parts.iter().filter(|following| following.is_open);
        if let (Some(Following { part, .. }), None) = (open.next(), open.next())
            && part.has_set_up()
        {
            let part = Arc::clone(part);
            self.working.spawn(async move { part.tear_down().await });
        }
    }

    /// Prints how far apart the agents started, once all remaining ones have started.
    fn print_skew(&mut self) {
        let mut open = self.parts.iter().filter(|following| following.is_open);
        if self.has_printed_skew || self.is_quiet || !open.clone().all(|following| following.started.is_some()) {
            return;
        }
        if open.next().is_none() {
            return;
        }
        self.has_printed_skew = true;
        let offsets = self.offsets.borrow();
        let known = self.parts.iter().zip(offsets.iter()).filter(|(following, _)| following.is_open);
        let starts: Vec<_> = known
            .filter_map(|(following, offset)| {
                let offset = (*offset)?;
                Some((&*following.part.name, offset.here(following.started?), offset.uncertainty))
            })
            .collect();
        let moments: Vec<_> = starts.iter().map(|(_, at, uncertainty)| (*at, *uncertainty)).collect();
        let (Some((distance, uncertainty)), [_, _, ..]) = (skew(&moments), &starts[..]) else { return };
        say(format_args!(
            "{}: started together within {} (clocks known to ±{})",
            self.name,
            milliseconds(distance),
            milliseconds(uncertainty)
        ));
        describe_starts(starts).into_iter().for_each(say);
    }
}

/// Describes when each agent started, in a line each. Of many agents, only the first and the last ones.
fn describe_starts(mut starts: Vec<(&str, u64, Duration)>) -> Vec<String> {
    let left_out = starts.len().saturating_sub(STARTS);
    if left_out > 0 {
        starts.sort_by_key(|(_, at, _)| *at);
    }
    let first = starts.iter().map(|(_, at, _)| *at).min().unwrap_or_default();
    let width = starts.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or_default();
    let line = |(name, at, uncertainty): &(&str, u64, Duration)| {
        let after = milliseconds(Duration::from_nanos(at - first));
        format!("  {name:width$}  +{after} ±{}", milliseconds(*uncertainty))
    };
    let (early, late) = starts.split_at(if left_out > 0 { STARTS / 2 } else { starts.len() });
    let between = (left_out > 0).then(|| format!("  … {left_out} more between these"));
    early.iter().map(line).chain(between).chain(late[left_out..].iter().map(line)).collect()
}

/// Formats a duration, for example `0.4 ms`.
fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    let digits = if milliseconds < 0.1 { 3 } else { 1 };
    format!("{milliseconds:.digits$} ms")
}

/// Prints the last lines of stderr of a failed load test.
pub fn print_stderr(name: &str, agent: &str, stderr: &str) {
    let lines: Vec<_> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return;
    }
    say(format_args!("{name}: last lines of the load test's stderr on {agent}:"));
    for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        say(format_args!("  {line}"));
    }
}

impl Delivery {
    /// Returns the plan, as the load tests have completed it.
    pub(super) fn plan(&self) -> &Plan {
        self.merged.plan()
    }

    /// Waits until each part has started or is over.
    ///
    /// # Errors
    ///
    /// Returns the reason if the run has died.
    pub(super) async fn wait_until_started(&mut self) -> Result<(), Failure> {
        let has_started = |following: &Following| following.started.is_some() || !following.is_open;
        while self.death().is_none() && !self.parts.iter().all(has_started) {
            self.receive_next().await;
        }
        self.death().map_or(Ok(()), |reason| Err(reason.into()))
    }

    /// Returns the reason why the run died, if it did.
    fn death(&self) -> Option<String> {
        let own = self.orders.borrow().run.died.clone();
        own.or_else(|| self.ordered_elsewhere.died.clone()).map(|death| death.reason)
    }

    async fn next_event(&mut self) -> Option<RunEvent> {
        loop {
            self.adjust_next();
            if let Some(event) = self.merged.next_event() {
                return Some(event);
            }
            if !self.parts.iter().any(|following| following.is_open) {
                return None;
            }
            if let Some(adjusted) = self.receive_next().await {
                return Some(adjusted);
            }
        }
    }

    /// Receives the next event of a part, or the answer to a change of the load, which it returns.
    async fn receive_next(&mut self) -> Option<RunEvent> {
        let event = tokio::select! {
            event = self.events.recv() => event,
            Some(answer) = self.adjusting.join_next() => return Some(self.adjusted(answer)),
        };
        match event {
            Some((index, event)) => self.receive(index, event),
            None => {
                for index in 0..self.parts.len() {
                    self.receive(index, MemberEvent::Lost("its records are not received any more".to_owned()));
                }
            }
        }
        None
    }
}

impl EngineHandle for Delivery {
    fn next(&mut self) -> NextEvent<'_> {
        Box::pin(self.next_event())
    }

    fn adjust(&mut self, level: Target) {
        self.levels.push_back(level);
        self.adjust_next();
    }

    fn stop(&mut self, reason: &StopReason) {
        let run = match reason {
            StopReason::Order(at) => {
                let elapsed = at.elapsed(self.started.map_or(Duration::ZERO, |start| start.elapsed()));
                RunEnd { stopped: Some(elapsed), ..RunEnd::default() }
            }
            StopReason::Threshold(lost) => RunEnd { aborted: Some(lost.clone()), ..RunEnd::default() },
        };
        self.order(Order::Stop, &run);
    }

    fn cut(&mut self) {
        self.order(Order::Cut, &RunEnd::default());
    }

    fn totals(&self) -> &Snapshot {
        self.merged.totals()
    }

    fn started(&self) -> Option<Instant> {
        self.started
    }

    fn has_drained(&mut self) -> bool {
        self.merged.is_over()
    }

    fn broken(&self) -> Option<String> {
        self.death()
    }

    fn add_end(&self, outcome: &mut RunOutcome) {
        let RunEnd { stopped, aborted, .. } = &self.ordered_elsewhere;
        if let (Some(elapsed), None) = (stopped, outcome.stopped) {
            // Of a stop, the agents only know the time. It is usually that of a signal.
            (outcome.stopped, outcome.is_interrupted) = (Some(Moment::Load(*elapsed)), true);
        }
        outcome.aborted = outcome.aborted.take().or_else(|| aborted.clone());
    }

    fn ended_early(&self) -> Option<String> {
        // If the leases of all jobs ran out, no agent is the cause. This is also what the records of the run say.
        let reasons: Option<Vec<_>> = self.parts.iter().map(|following| following.lease_over.clone()).collect();
        reasons?.into_iter().next()
    }

    fn finish(self: Box<Self>) -> Finished {
        self.merged.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_of_many_agents_are_those_of_the_first_and_the_last() {
        let names: Vec<_> = (0..13).map(|number| format!("load{number}")).collect();
        let starts = |number: usize| {
            let all = names.iter().take(number).enumerate().rev();
            let start = all.map(|(at, name)| (&**name, at as u64 * 1_000_000, Duration::from_micros(300)));
            describe_starts(start.collect())
        };
        assert_eq!(starts(2), ["  load1  +1.0 ms ±0.3 ms", "  load0  +0.000 ms ±0.3 ms"], "in their order");
        let many = starts(13);
        assert_eq!(many.len(), STARTS + 1);
        assert_eq!(many[0], "  load0   +0.000 ms ±0.3 ms");
        assert_eq!(many[STARTS / 2], "  … 3 more between these");
        assert_eq!(many[STARTS], "  load12  +12.0 ms ±0.3 ms");
    }

    #[test]
    fn durations_are_in_milliseconds() {
        let text = |nanos| milliseconds(Duration::from_nanos(nanos));
        assert_eq!(
            [text(0), text(12_345), text(412_345), text(12_000_000)],
            ["0.000 ms", "0.012 ms", "0.4 ms", "12.0 ms"]
        );
    }
}
