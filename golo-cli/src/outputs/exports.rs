//! The receivers of a run's metrics as one metrics output.
//!
//! The run loop hands each second to a thread of its own, which adds it to the totals, encodes it for every receiver, and
//! sends it. Nothing here delays the run: a receiver that is slow or away has a [queue](super::delivery::Queue).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use golo::cli::{is_in_hurry, say};
use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, Progress, RunEvent};
use golo::report::{MetricsOutput, RunOutcome, Written};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::delivery::{Courier, Parcel, Queue, deliver};
use super::frame::{Frame, Made, RunLabels};
use super::scrape::{Endpoint, EndpointOptions};
use crate::support::failure::Failure;

/// Longest time after a run until a receiver that has accepted something before has everything.
const REST: Duration = Duration::from_secs(10);
/// Longest such time for a receiver that has accepted nothing.
const NEVER_SEEN: Duration = Duration::from_secs(2);
/// Time of waiting after which it is said.
const SILENCE: Duration = Duration::from_secs(1);
/// Interval at which the end is checked.
const CHECK: Duration = Duration::from_millis(20);
/// Number of seconds that the thread may be behind. Further ones are merged.
const BEHIND: usize = 8;

/// Ends the waiting for receivers after a run.
#[derive(Clone)]
pub struct Hurry {
    /// Returns true if nothing waits any more.
    is_in: Arc<dyn Fn() -> bool + Send + Sync>,
    /// What a user does to end the waiting, for messages.
    how: &'static str,
}

impl Hurry {
    /// A signal ends the waiting.
    #[must_use]
    pub fn by_signal() -> Self {
        Self { is_in: Arc::new(is_in_hurry), how: "Ctrl-C ends that" }
    }

    /// The waiting ends once `is_stopped` returns true for a job.
    #[must_use]
    pub fn of_job(is_stopped: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { is_in: Arc::new(is_stopped), how: "stopping the job ends that" }
    }

    /// Waits until `deadline`, or until something ends the waiting.
    pub(super) async fn patience(&self, deadline: Instant) {
        while !(self.is_in)() && Instant::now() < deadline {
            sleep_until(deadline.min(Instant::now() + CHECK)).await;
        }
    }

    /// Says what is waited for.
    pub(super) fn say(&self, most: u64, what: &str) {
        say(format_args!("golo: waiting at most {most} s for {what}; {}", self.how));
    }
}

/// Encodes seconds for one receiver.
pub trait Encoder: Send {
    /// Returns the requests for a frame, in the order in which they are sent.
    fn encode(&mut self, frame: &Frame<'_>) -> Vec<Parcel>;
}

/// A receiver of metrics that is open.
pub enum Receiver {
    /// Gets each second as a request.
    Pushed {
        /// Kind of the output, such as `influxdb`.
        kind: &'static str,
        /// Address without secrets.
        place: String,
        /// Encodes the seconds.
        encoder: Box<dyn Encoder>,
        /// Sends the requests.
        courier: Box<dyn Courier>,
    },
    /// Fetches the totals when it wants to.
    Scraped(EndpointOptions),
}

/// Sends the metrics of a run to receivers.
pub struct Exports {
    messages: mpsc::UnboundedSender<Message>,
    /// Number of messages that the thread has not handled.
    backlog: Arc<AtomicUsize>,
    /// Second that waits because the thread is behind.
    pending: Option<Second>,
    written: blocking::Receiver<Vec<Written>>,
}

enum Message {
    Started(SystemTime),
    Second(Box<Second>),
    /// All measurements of the run, and the part since the last second.
    Measured(Box<(Snapshot, Second)>),
    /// The run has ended.
    Ended,
}

/// A second of a run.
#[derive(Debug, Default)]
struct Second {
    elapsed: Duration,
    snapshot: Snapshot,
    users: u64,
    connections: u64,
}

impl Exports {
    /// Starts the thread that serves these receivers.
    ///
    /// # Errors
    ///
    /// Returns an error if no thread or runtime can be started, or if an endpoint cannot listen.
    pub fn start(labels: RunLabels, receivers: Vec<Receiver>, hurry: Hurry) -> Result<Self, Failure> {
        let (messages, incoming) = mpsc::unbounded_channel();
        let (done, written) = blocking::channel();
        let (tell, is_ready) = blocking::channel();
        let backlog = Arc::<AtomicUsize>::default();
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::from(format!("cannot start a runtime: {error}")))?;
        let handled = Arc::clone(&backlog);
        let serving = move || {
            runtime.block_on(async {
                let open = match Open::receivers(receivers).await {
                    Ok(open) => open,
                    Err(failure) => {
                        _ = tell.send(Err(failure));
                        return;
                    }
                };
                _ = tell.send(Ok(()));
                let written = serve(labels, open, incoming, &handled, &hurry).await;
                // The run loop may have given up.
                _ = done.send(written);
            });
        };
        let thread = thread::Builder::new().name("golo-exports".to_owned()).spawn(serving);
        thread.map_err(|error| Failure::from(format!("cannot start a thread: {error}")))?;
        is_ready.recv().unwrap_or_else(|_| Err("the thread of the metrics outputs has failed".into()))?;
        Ok(Self { messages, backlog, pending: None, written })
    }

    /// Ends the thread and waits until nothing listens any more.
    pub fn close(self) {
        self.tell(Message::Ended);
        _ = self.written.recv();
    }

    fn tell(&self, message: Message) {
        self.backlog.fetch_add(1, Relaxed);
        // The thread ends only after the last message.
        _ = self.messages.send(message);
    }

    fn second(&mut self, mut second: Second) {
        // No receiver gets the distributions of phases, and those of the whole run are large.
        second.snapshot.keep_sums_of_phases();
        let second = match self.pending.take() {
            Some(mut pending) => {
                pending.snapshot.merge(&second.snapshot);
                Second { snapshot: pending.snapshot, ..second }
            }
            None => second,
        };
        if self.backlog.load(Relaxed) < BEHIND {
            self.tell(Message::Second(Box::new(second)));
        } else {
            self.pending = Some(second);
        }
    }
}

impl MetricsOutput for Exports {
    fn event(&mut self, event: &RunEvent, totals: &Snapshot) {
        match event {
            RunEvent::Started { at } => self.tell(Message::Started(*at)),
            RunEvent::Second(second) => self.snapshot(second, totals),
            RunEvent::Planned { .. } | RunEvent::Ready { .. } | RunEvent::Adjusted(_) => {}
        }
    }

    fn snapshot(&mut self, second: &Progress, _: &Snapshot) {
        let &Progress { elapsed, ref second, users, connections } = second;
        self.second(Second { elapsed, snapshot: second.clone(), users, connections });
    }

    fn measured(&mut self, finished: &Finished) {
        let (mut totals, mut rest) = (finished.totals.clone(), finished.rest.clone());
        totals.keep_sums_of_phases();
        rest.keep_sums_of_phases();
        if let Some(pending) = self.pending.take() {
            rest.merge(&pending.snapshot);
        }
        let rest = Second { elapsed: finished.whole_time, snapshot: rest, users: 0, connections: 0 };
        self.tell(Message::Measured(Box::new((totals, rest))));
    }

    fn finish(&mut self, _: &RunOutcome) -> Vec<Written> {
        self.tell(Message::Ended);
        // The thread limits its own time.
        self.written.recv().unwrap_or_default()
    }
}

/// The run so far.
#[derive(Debug)]
pub(super) struct Totals {
    labels: RunLabels,
    started: SystemTime,
    since: SystemTime,
    at: SystemTime,
    second: Second,
    totals: Snapshot,
    is_last: bool,
}

impl Totals {
    fn new(labels: RunLabels) -> Self {
        Self {
            labels,
            started: UNIX_EPOCH,
            since: UNIX_EPOCH,
            at: UNIX_EPOCH,
            second: Second::default(),
            totals: Snapshot::default(),
            is_last: false,
        }
    }

    /// Returns the latest second, once the measured part has started.
    pub(super) fn frame(&self) -> Option<Frame<'_>> {
        let Self { labels, started, since, at, second, totals, is_last } = self;
        (*started > UNIX_EPOCH).then(|| Frame {
            labels,
            started: *started,
            since: *since,
            at: *at,
            second: &second.snapshot,
            totals,
            users: second.users,
            connections: second.connections,
            is_last: *is_last,
            made: Made::default(),
        })
    }

    fn start(&mut self, at: SystemTime) {
        let at = whole_milliseconds(at);
        (self.started, self.since, self.at) = (at, at, at);
    }

    fn add(&mut self, second: Second) {
        self.since = self.at;
        // Two points in time are never equal, or one would replace the other.
        let least = self.since + Duration::from_millis(1);
        self.at = whole_milliseconds(self.started + second.elapsed).max(least);
        self.second = second;
    }
}

/// Returns a point in time without the part below a millisecond.
fn whole_milliseconds(at: SystemTime) -> SystemTime {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    at - Duration::from_nanos((since.subsec_nanos() % 1_000_000).into())
}

/// A receiver with its queue.
struct Pushed {
    kind: &'static str,
    place: String,
    encoder: Box<dyn Encoder>,
    queue: Arc<Queue>,
}

/// Receivers that listen or get requests.
struct Open {
    pushed: Vec<Pushed>,
    deliveries: JoinSet<()>,
    endpoints: Vec<Endpoint>,
}

impl Open {
    async fn receivers(receivers: Vec<Receiver>) -> Result<Self, Failure> {
        let mut open = Self { pushed: Vec::new(), deliveries: JoinSet::new(), endpoints: Vec::new() };
        for receiver in receivers {
            match receiver {
                Receiver::Pushed { kind, place, encoder, courier } => {
                    let queue = Arc::<Queue>::default();
                    open.deliveries.spawn(deliver(Arc::clone(&queue), courier));
                    open.pushed.push(Pushed { kind, place, encoder, queue });
                }
                Receiver::Scraped(options) => open.endpoints.push(Endpoint::bind(options).await?),
            }
        }
        Ok(open)
    }
}

async fn serve(
    labels: RunLabels,
    open: Open,
    mut messages: mpsc::UnboundedReceiver<Message>,
    backlog: &AtomicUsize,
    hurry: &Hurry,
) -> Vec<Written> {
    let Open { mut pushed, mut deliveries, endpoints } = open;
    let totals = Arc::new(Mutex::new(Totals::new(labels)));
    let serving: Vec<_> = endpoints.into_iter().map(|endpoint| endpoint.serve(Arc::clone(&totals))).collect();
    while let Some(message) = messages.recv().await {
        let mut totals = totals.lock().unwrap_or_else(PoisonError::into_inner);
        backlog.fetch_sub(1, Relaxed);
        match message {
            Message::Started(at) => {
                totals.start(at);
                continue;
            }
            Message::Second(second) => {
                totals.totals.merge(&second.snapshot);
                totals.add(*second);
            }
            Message::Measured(measured) => {
                let (all, rest) = *measured;
                totals.add(rest);
                (totals.totals, totals.is_last) = (all, true);
            }
            Message::Ended => break,
        }
        let Some(frame) = totals.frame() else { continue };
        for Pushed { encoder, queue, .. } in &mut pushed {
            queue.push(encoder.encode(&frame));
        }
    }
    let has_measured = totals.lock().unwrap_or_else(PoisonError::into_inner).is_last;
    pushed.iter().for_each(|pushed| pushed.queue.close());
    settle(&pushed, hurry).await;
    deliveries.shutdown().await;
    let mut written: Vec<_> =
        pushed.iter().filter_map(|Pushed { kind, place, queue, .. }| queue.written(kind, place)).collect();
    for endpoint in serving {
        written.push(endpoint.finish(has_measured, hurry).await);
    }
    written
}

/// Waits until everything has arrived. A receiver that has never accepted anything gets less time than the others.
async fn settle(pushed: &[Pushed], hurry: &Hurry) {
    let start = Instant::now();
    let is_due = |queue: &Queue| {
        let limit = if queue.has_sent() { REST } else { NEVER_SEEN };
        !queue.is_empty() && start.elapsed() < limit
    };
    let mut is_said = false;
    while !(hurry.is_in)() && pushed.iter().any(|pushed| is_due(&pushed.queue)) {
        sleep(CHECK).await;
        if !is_said && start.elapsed() > SILENCE {
            is_said = true;
            let waiting = pushed.iter().filter(|pushed| is_due(&pushed.queue)).map(|pushed| &*pushed.place);
            hurry.say(REST.as_secs(), &waiting.collect::<Vec<_>>().join(", "));
        }
    }
}
