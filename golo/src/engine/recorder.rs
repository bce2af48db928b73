//! Recorders: one per worker thread without a lock, and one behind a lock for all other threads.

use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use super::connections::Open;
use super::errors::ErrorKind;
use super::failures::{Masks, Sampler};
use super::histogram::Histogram;
use super::metrics::{self, Recorded};
use super::phases::MeasuredPhases;
use super::room::Selected;
use super::series::{Found, Index, Outcome, Series};
use super::snapshot::{Generator, Measure, Redirects, Snapshot, Triggers};
use super::tags::TagRequests;
use crate::metrics::check::{self, Check};
use crate::metrics::custom::MetricSample;
use crate::metrics::group::{self, GroupSample};
use crate::metrics::journey::{Journey, Step};
use crate::metrics::output::nanoseconds;
use crate::metrics::{scope, tag_set};
use crate::request::measure;
use crate::support::clock;
use crate::support::lock::lock;
use crate::{ConnectionEvent, OutputRef, Response, Sink};

/// Maximum number of histograms kept for reuse. A load test with more series needs the memory for other things.
const SPARE: usize = 128;
/// Maximum number of phases kept for reuse. Each has several histograms.
const SPARE_PHASES: usize = 32;

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
}

/// Phases that have been read, for reuse. A measure takes a box as it is.
type SparePhases = Vec<Box<MeasuredPhases>>;

/// Installs a recorder for this thread.
pub fn install(recorder: Recorder) {
    RECORDER.set(Some(recorder));
}

/// Calls `use_it` with this thread's recorder. Returns `None` if there is none.
pub fn with<T>(use_it: impl FnOnce(&mut Recorder) -> T) -> Option<T> {
    // A thread that is ending has no recorder any more. The borrow cannot fail, since nothing in here calls user code.
    RECORDER.try_with(|recorder| recorder.try_borrow_mut().ok()?.as_mut().map(use_it)).ok().flatten()
}

/// Records measurements. Contains everything since the last [`take`](Recorder::take).
#[derive(Default)]
pub struct Recorder {
    index: Index,
    /// Measurements of each series, with the number of its label and the outcome of its requests.
    requests: Vec<(u32, Outcome, Measure)>,
    /// Triggers of each scenario.
    scenarios: Vec<(Arc<str>, Triggers)>,
    /// Everything but the requests.
    rest: Snapshot,
    /// Histograms that have been read, for reuse.
    spare: Vec<Histogram>,
    /// Phases that have been read, for reuse.
    spare_phases: SparePhases,
    /// Connections that are open, including unmeasured ones.
    open: Open,
    /// Start of the measured part. Errors before it, for example of a user that could not start, get the time zero.
    started: Option<Instant>,
    over: Option<Over>,
    /// Number of loads that are cutting off their triggers.
    cuts: u32,
    metrics: Recorded,
    /// True once anything has ended after the load.
    is_after_load: bool,
    /// Takes samples of failed requests, if they are wanted.
    sampler: Option<Box<Sampler>>,
}

/// Time at which the load is over. Requests that end later are left out of rates.
#[derive(Clone, Copy)]
struct Over {
    at: Instant,
    /// The same time by the system clock, for requests made by another process.
    wall: SystemTime,
}

impl Over {
    fn at(at: Instant) -> Self {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let shown = match at.checked_duration_since(now) {
            Some(left) => wall.checked_add(left),
            None => wall.checked_sub(now - at),
        };
        Self { at, wall: shown.unwrap_or(wall) }
    }

    fn is_before(&self, output: &OutputRef<'_>) -> bool {
        output.ended.map_or_else(|| output.timestamp > self.wall, |ended| ended > self.at)
    }
}

impl Recorder {
    /// Creates a recorder that keeps room for the selected routes.
    #[must_use]
    pub fn selecting(selected: Selected) -> Self {
        Self { index: Index::selecting(selected), ..Self::default() }
    }

    /// Takes samples of failed requests, if there are masks. `knows_journeys` is true if the journeys of its requests
    /// have labels of this recorder.
    pub(super) fn sampling(mut self, masks: Option<Masks>, knows_journeys: bool) -> Self {
        self.sampler = masks.map(|masks| Box::new(Sampler::new(masks, knows_journeys)));
        self
    }

    /// Sets the start of the measured part.
    pub fn start(&mut self, started: Instant) {
        self.started = Some(started);
    }

    /// Sets the time at which the load is over, unless an earlier time is set already.
    pub fn end_load(&mut self, over: Instant) {
        let over = self.over.map_or(over, |known| known.at.min(over));
        self.over = Some(Over::at(over));
    }

    /// Returns true if `ended` is after the load.
    pub(super) fn is_after_load(&mut self, ended: Instant) -> bool {
        let is_after_load = self.over.is_some_and(|over| ended > over.at);
        self.is_after_load |= is_after_load;
        is_after_load
    }

    /// Changes the counts of triggers of a scenario, or of no scenario. [`take`](Self::take) adds them all up.
    pub(super) fn triggers(&mut self, scenario: Option<&Arc<str>>, change: impl FnOnce(&mut Triggers)) {
        let Some(scenario) = scenario else { return change(&mut self.rest.triggers) };
        // There are few scenarios.
        let known = self.scenarios.iter().position(|(known, _)| Arc::ptr_eq(known, scenario) || known == scenario);
        let number = known.unwrap_or_else(|| {
            self.scenarios.push((Arc::clone(scenario), Triggers::default()));
            self.scenarios.len() - 1
        });
        change(&mut self.scenarios[number].1);
    }

    fn elapsed(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| Instant::now().saturating_duration_since(started))
    }

    /// Records a request and returns the number of its label.
    pub fn output(&mut self, output: &OutputRef<'_>) -> u32 {
        let label = self.index.label(output);
        let is_cut = self.cuts > 0 && output.error.as_deref() == Some("cancelled");
        let series = match self.index.series(label, output, is_cut, self.requests.len() as u32) {
            Found::Known(series) => series,
            Found::New { label, outcome } => {
                self.requests.push((label, outcome, Measure::default()));
                self.requests.len() as u32 - 1
            }
        };
        let (_, outcome, measure) = &mut self.requests[series as usize];
        measure.durations.record(nanoseconds(output.duration));
        let received = u64::try_from(output.size).unwrap_or_default();
        measure.received += received;
        measure.sent += output.sent;
        if self.over.is_some_and(|over| over.is_before(output)) {
            measure.after_load.count += 1;
            measure.after_load.received += received;
            measure.after_load.sent += output.sent;
            self.is_after_load = true;
        }
        match (&output.phases, output.waiting) {
            (Some(phases), _) => phases_of(measure, &mut self.spare_phases).record(phases),
            (None, Some(waiting)) => phases_of(measure, &mut self.spare_phases).record_waiting(waiting),
            (None, None) => {}
        }
        if output.redirects > 0 {
            let redirects = Redirects::of(output);
            self.rest.redirect(&self.index.text(label), redirects);
        }
        if outcome.is_failed() {
            let outcome = *outcome;
            self.failure(output, outcome, label);
        }
        label
    }

    /// Records a request described by the tags of a trigger. If the trigger failed, only the trigger's own error is
    /// recorded.
    pub(super) fn of_tags(&mut self, output: &OutputRef<'_>, trigger_failed: bool) {
        let errors = trigger_failed.then(|| std::mem::take(&mut self.rest.errors));
        self.output(output);
        if let Some(errors) = errors {
            self.rest.errors = errors;
        }
        self.rest.requests_from_tags += 1;
    }

    #[cold]
    fn failure(&mut self, output: &OutputRef<'_>, outcome: Outcome, label: u32) {
        let at = self.elapsed();
        let errors = &mut self.rest.errors;
        let status;
        let (kind, text) = match (outcome, output.error.as_deref()) {
            (Outcome::Failed(kind), Some(error)) => {
                let generator = &mut self.rest.generator;
                match exhausted(kind, error) {
                    Some(Exhausted::Descriptors) => generator.without_descriptor += 1,
                    Some(Exhausted::Ports) => generator.without_port += 1,
                    None => {}
                }
                (kind, error.split_once(": ").map_or(error, |(_, text)| text))
            }
            (Outcome::Content { .. }, Some(error)) => {
                (ErrorKind::Content, error.split_once(": ").map_or(error, |(_, reason)| reason))
            }
            _ => {
                status = format!("status {}", output.status);
                (ErrorKind::Status, &*status)
            }
        };
        errors.add(kind, text, at);
        if let Some(sampler) = &mut self.sampler {
            let index = &self.index;
            if let Some(sample) = sampler.take(output, (kind, text), label, |label| index.text(label)) {
                self.rest.failures.push(sample);
            }
        }
    }

    /// Records an error that does not belong to a request.
    pub fn error(&mut self, kind: ErrorKind, text: &str) {
        let at = self.elapsed();
        self.rest.errors.add(kind, text, at);
    }

    /// Records a new connection.
    pub fn connected(&mut self, duration: Duration) {
        self.rest.connects.record(nanoseconds(duration));
    }

    /// Records an event of a connection. `is_measured` is false before the measured part, and while users start and
    /// stop.
    pub fn connection(&mut self, event: ConnectionEvent, is_measured: bool) {
        self.open.count(event);
        self.rest.connections.count(event, is_measured);
    }

    /// Returns the most connections that were open at once since the last call.
    pub(super) fn take_most_open(&mut self) -> u64 {
        self.open.take_most()
    }

    /// Records a check.
    pub fn check(&mut self, name: &str, passed: bool) {
        check::add(&mut self.rest.checks, name, Check::once(passed));
    }

    /// Records a value of a metric.
    pub fn metric(&mut self, sample: &MetricSample) {
        self.metrics.record(sample, self.is_after_load, &mut self.spare);
    }

    /// Records a group, and returns the number of the label of its step in journeys.
    pub fn group(&mut self, sample: &GroupSample) -> u32 {
        let label = self.metrics.group(sample, self.cuts > 0, &mut self.spare);
        *label.get_or_insert_with(|| self.index.group(sample))
    }

    /// Records the journeys of a trigger that has ended.
    pub fn journeys(&mut self, journeys: Vec<Journey<u32>>) {
        for journey in journeys {
            let duration = journey.duration();
            self.rest.journeys.record(nanoseconds(duration));
            if self.rest.slowest.wants(duration) {
                let index = &self.index;
                self.rest.slowest.add(journey.relabel(|label| index.text(label)));
            }
        }
    }

    /// Returns everything that is measured besides requests.
    pub fn rest(&mut self) -> &mut Snapshot {
        &mut self.rest
    }

    /// From now on, counts cancelled requests as cut off by the run.
    pub fn cut(&mut self) {
        self.cuts += 1;
    }

    /// Ends what the last [`cut`](Self::cut) began, because another load goes on.
    pub(super) fn end_cut(&mut self) {
        self.cuts = self.cuts.saturating_sub(1);
    }

    /// Returns everything measured since the last call.
    pub fn take(&mut self) -> Snapshot {
        // The system clock may have been set since.
        self.over = self.over.map(|over| Over::at(over.at));
        self.is_after_load |= self.over.is_some_and(|over| Instant::now() > over.at);
        let mut taken = std::mem::take(&mut self.rest);
        let measured = self.scenarios.iter_mut().filter(|(_, triggers)| *triggers != Triggers::default());
        taken.scenarios = measured.map(|(name, triggers)| (Arc::clone(name), std::mem::take(triggers))).collect();
        taken.scenarios.iter().for_each(|(_, triggers)| taken.triggers.merge(triggers));
        taken.metrics = self.metrics.take();
        let (spare, index) = (&mut self.spare, &self.index);
        let requests = self.requests.iter_mut().filter(|(_, _, measure)| !measure.durations.is_empty());
        taken.requests = requests
            .map(|(label, outcome, measure)| {
                let empty = Measure { durations: spare.pop().unwrap_or_default(), ..Measure::default() };
                (Series { label: index.text(*label), outcome: *outcome }, std::mem::replace(measure, empty))
            })
            .collect::<HashMap<_, _>>();
        taken
    }

    /// Reuses the memory of a snapshot that has been read.
    pub fn recycle(&mut self, snapshot: Snapshot) {
        for mut histogram in metrics::histograms(snapshot.metrics) {
            if self.spare.len() < SPARE {
                histogram.clear();
                self.spare.push(histogram);
            }
        }
        for mut measure in snapshot.requests.into_values() {
            if let Some(mut phases) = measure.phases.filter(|_| self.spare_phases.len() < SPARE_PHASES) {
                phases.clear();
                self.spare_phases.push(phases);
            }
            if self.spare.len() < self.requests.len().min(SPARE) {
                measure.durations.clear();
                self.spare.push(measure.durations);
            }
        }
    }
}

/// Returns the phases of a measure, creating them from the spare ones if there are none.
#[inline]
fn phases_of<'a>(measure: &'a mut Measure, spare: &mut SparePhases) -> &'a mut MeasuredPhases {
    measure.phases.get_or_insert_with(|| spare.pop().unwrap_or_default())
}

/// Resource that the load generator ran out of.
enum Exhausted {
    Descriptors,
    Ports,
}

/// Detects exhausted resources by the error text, since the outputs of other programs contain nothing else. Only errors
/// of opening a socket count, since a target may report the same about itself.
fn exhausted(kind: ErrorKind, error: &str) -> Option<Exhausted> {
    if !matches!(kind, ErrorKind::Connect | ErrorKind::Dns) {
        return None;
    }
    let error = error.to_ascii_lowercase();
    if error.contains("too many open files") {
        Some(Exhausted::Descriptors)
    } else if error.contains("assign requested address") {
        Some(Exhausted::Ports)
    } else {
        None
    }
}

/// The sink of a run: passes everything to the recorder of the current thread.
pub struct RecorderSink {
    foreign: Mutex<Recorder>,
    of_tags: TagRequests,
    selected: Selected,
    /// Further names of secrets, if requests that fail are sampled.
    masks: Option<Masks>,
    /// Sinks that also receive all outputs and checks.
    beside: Vec<Arc<dyn Sink>>,
}

impl RecorderSink {
    /// Creates the sink of a run. Every output and check also goes to each sink of `beside`.
    #[must_use]
    pub fn new(beside: Vec<Arc<dyn Sink>>) -> Self {
        Self::selecting(Selected::default(), None, beside)
    }

    /// Creates the sink of a run whose thresholds select the routes in `selected`. Requests that fail are sampled if
    /// there are masks.
    #[must_use]
    pub fn selecting(selected: Selected, masks: Option<Masks>, beside: Vec<Arc<dyn Sink>>) -> Self {
        let foreign = Mutex::new(Recorder::selecting(selected.clone()).sampling(masks.clone(), false));
        let of_tags = TagRequests::selecting(selected.clone());
        tag_set::keep(selected.tags());
        Self { foreign, of_tags, selected, masks, beside }
    }

    /// Returns a recorder for a worker.
    pub(super) fn recorder(&self) -> Recorder {
        Recorder::selecting(self.selected.clone()).sampling(self.masks.clone(), true)
    }

    /// Returns the further names of secrets, if requests that fail are sampled.
    #[must_use]
    pub fn masks(&self) -> Option<&Masks> {
        self.masks.as_ref()
    }

    /// Returns the routes that thresholds select.
    #[must_use]
    pub fn selected(&self) -> &Selected {
        &self.selected
    }

    /// Sets the time at which the load is over, unless an earlier time is set already.
    pub(super) fn end_load(&self, over: Instant) {
        self.foreign().end_load(over);
        self.of_tags.end_load(over);
    }

    /// Records an output of another process and returns the number of its label for [`journeys`](Self::journeys).
    pub fn read(&self, output: &OutputRef<'_>) -> u32 {
        let label = self.foreign().output(output);
        self.pass_on(output);
        label
    }

    /// Counts an output of another process that belongs to the warm-up.
    pub fn read_of_warm_up(&self, output: &OutputRef<'_>) {
        self.foreign().rest.generator.warm_up_requests += requests_of(output);
    }

    /// Returns true if another sink receives each output.
    #[must_use]
    pub fn passes_on(&self) -> bool {
        !self.beside.is_empty()
    }

    /// Passes an output on to the other sinks without recording it, since the process that made it has done so.
    pub fn pass_on(&self, output: &OutputRef<'_>) {
        for beside in &self.beside {
            beside.output(output);
        }
    }

    /// Handles the response of a trigger in another process, which took `took`. If the load test prints no `Output`,
    /// the request is recorded from the response's tags.
    pub fn answered(&self, response: &Response, took: Duration) {
        self.of_tags.answered(response, took);
    }

    /// Handles an `Output` of another process, for a request that ended at `at`. Returns true if the request was
    /// already counted from its trigger's tags.
    pub fn output_came(&self, at: SystemTime) -> bool {
        self.of_tags.output_came(at)
    }

    /// Sets the start of the measured part.
    pub(super) fn start(&self, start: Instant) {
        self.foreign().start(start);
        self.of_tags.start(start);
    }

    /// Returns everything that other threads and processes have measured since the last call.
    pub(super) fn take(&self, is_over: bool) -> Snapshot {
        let mut taken = self.foreign().take();
        if let Some(of_tags) = self.of_tags.take(is_over) {
            taken.merge(&of_tags);
        }
        taken
    }

    /// Records journeys of outputs that were [read](Self::read).
    pub fn journeys(&self, journeys: Vec<Journey<u32>>) {
        self.foreign().journeys(journeys);
    }

    /// Returns the recorder shared by all threads without their own.
    pub(super) fn foreign(&self) -> MutexGuard<'_, Recorder> {
        lock(&self.foreign)
    }

    /// Calls `record` with the recorder of this thread, or with the shared one if it has none.
    fn record<T>(&self, record: impl Fn(&mut Recorder) -> T) -> T {
        with(&record).unwrap_or_else(|| record(&mut self.foreign()))
    }
}

impl Sink for RecorderSink {
    fn output(&self, output: &OutputRef<'_>) {
        match with(|recorder| recorder.output(output)) {
            Some(label) => note_step(label, output),
            None => {
                let mut recorder = self.foreign();
                recorder.output(output);
                recorder.rest.generator.foreign += 1;
            }
        }
        for beside in &self.beside {
            beside.output(output);
        }
    }

    fn check(&self, name: &str, passed: bool) {
        self.record(|recorder| recorder.check(name, passed));
        for beside in &self.beside {
            beside.check(name, passed);
        }
    }

    fn metric(&self, sample: &MetricSample) {
        self.record(|recorder| recorder.metric(sample));
        for beside in &self.beside {
            beside.metric(sample);
        }
    }

    fn group(&self, sample: &GroupSample) {
        let label = self.record(|recorder| recorder.group(sample));
        note_group(label, sample);
        for beside in &self.beside {
            beside.group(sample);
        }
    }

    fn connected(&self, duration: Duration) {
        self.record(|recorder| recorder.connected(duration));
    }

    fn connection(&self, event: ConnectionEvent) {
        self.record(|recorder| recorder.connection(event, true));
    }

    fn backpressure(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        self.beside.iter().find_map(|beside| beside.backpressure())
    }
}

/// The sink of load that is not measured: only counts the requests and connections that the target received.
pub struct Uncounted {
    sink: Arc<RecorderSink>,
    count: fn(&mut Generator, Unmeasured),
}

/// An item counted by [`Uncounted`].
enum Unmeasured {
    /// Number of requests. Each redirect is another request to the target.
    Requests(u64),
    Connection,
}

impl Uncounted {
    /// Creates the sink for triggers of the warm-up.
    #[must_use]
    pub fn warm_up(sink: Arc<RecorderSink>) -> Self {
        let count = |generator: &mut Generator, what| match what {
            Unmeasured::Requests(number) => generator.warm_up_requests += number,
            Unmeasured::Connection => generator.warm_up_connections += 1,
        };
        Self { sink, count }
    }

    /// Creates the sink for users that start and stop.
    #[must_use]
    pub fn users(sink: Arc<RecorderSink>) -> Self {
        let count = |generator: &mut Generator, what| match what {
            Unmeasured::Requests(number) => generator.user_requests += number,
            Unmeasured::Connection => generator.user_connections += 1,
        };
        Self { sink, count }
    }
}

impl Sink for Uncounted {
    fn output(&self, output: &OutputRef<'_>) {
        let requests = requests_of(output);
        self.sink.record(|recorder| (self.count)(&mut recorder.rest.generator, Unmeasured::Requests(requests)));
    }

    fn connected(&self, _: Duration) {
        self.sink.record(|recorder| (self.count)(&mut recorder.rest.generator, Unmeasured::Connection));
    }

    fn connection(&self, event: ConnectionEvent) {
        self.sink.record(|recorder| recorder.connection(event, false));
    }
}

/// Returns the number of requests that the target received for an output. Each redirect is one more; a measured step is
/// none.
fn requests_of(output: &OutputRef<'_>) -> u64 {
    if *output.method == *measure::METHOD { 0 } else { u64::from(output.redirects) + 1 }
}

/// The sink for requests outside of triggers, for example in tasks that user code spawns. Counts them once the measured
/// part has started.
pub struct Outside {
    sink: Arc<RecorderSink>,
    /// Start of the measured part, once known.
    start: OnceLock<Instant>,
}

impl Outside {
    /// Creates a sink that passes everything to `sink`.
    #[must_use]
    pub fn new(sink: Arc<RecorderSink>) -> Self {
        Self { sink, start: OnceLock::new() }
    }

    /// Sets the time from which requests count.
    pub fn measure_from(&self, start: Instant) {
        let _ = self.start.set(start);
    }

    /// Returns the start of the measured part, once known.
    #[must_use]
    pub fn measured_from(&self) -> Option<Instant> {
        self.start.get().copied()
    }

    fn counting(&self) -> Option<&RecorderSink> {
        self.start.get().filter(|start| Instant::now() >= **start).map(|_| &*self.sink)
    }
}

impl Sink for Outside {
    fn output(&self, output: &OutputRef<'_>) {
        self.counting().inspect(|sink| sink.output(output));
    }

    fn check(&self, name: &str, passed: bool) {
        self.counting().inspect(|sink| sink.check(name, passed));
    }

    fn metric(&self, sample: &MetricSample) {
        self.counting().inspect(|sink| sink.metric(sample));
    }

    fn group(&self, sample: &GroupSample) {
        self.counting().inspect(|sink| sink.group(sample));
    }

    fn connected(&self, duration: Duration) {
        self.counting().inspect(|sink| sink.connected(duration));
    }

    fn connection(&self, event: ConnectionEvent) {
        match self.counting() {
            Some(sink) => sink.connection(event),
            None => self.sink.record(|recorder| recorder.connection(event, false)),
        }
    }

    fn backpressure(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        self.sink.backpressure()
    }
}

/// Adds a request as a step to the current trigger, if there is one.
fn note_step(label: u32, output: &OutputRef<'_>) {
    scope::with_current(|scope| {
        let step = Step::of(label, output.timestamp - output.duration, output);
        let failed = step.failed;
        let journey = scope.note_step(&output.sequence_id, step);
        group::note_request(journey, failed);
    });
}

/// Adds a group as a step to the current trigger, if its requests belong to a journey.
fn note_group(label: u32, sample: &GroupSample) {
    scope::with_current(|scope| {
        if let Some(journey) = sample.journey {
            let now = Instant::now();
            let started = clock::wall(now) - (now - sample.started);
            let GroupSample { duration, failed, .. } = *sample;
            scope.note_group(journey, Step::plain(label, started, duration, failed));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::phases::Phase;
    use crate::{HttpVersion, Phases};

    #[test]
    fn phases_and_bytes_are_per_series() {
        let line = r#"{"sequenceID":"","url":"http://a/","method":"PUT","status":200,"size":12,"timestamp":"2026-11-22T10:05:13Z","duration":30,"error":null}"#;
        let mut output = OutputRef::parse(line).unwrap();
        let mut recorder = Recorder::default();
        recorder.output(&output);
        (output.waiting, output.sent) = (Some(Duration::from_nanos(20)), 5);
        recorder.output(&output);
        output.url = "http://b/".into();
        recorder.output(&output);

        let mut totals = recorder.take();
        let mut bytes: Vec<_> = totals.requests.values().map(|measure| (measure.sent, measure.received)).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, [(5, 12), (5, 24)]);
        assert_eq!((totals.waits().count(), totals.waits().max()), (2, Some(20)));
        recorder.output(&output);
        totals.merge(&recorder.take());
        assert_eq!(totals.requests.values().map(|measure| measure.sent).sum::<u64>(), 15);
        assert_eq!((totals.waits().count(), recorder.take()), (3, Snapshot::default()));

        let blocked = Duration::from_nanos(30);
        output.phases = Some(Phases { blocked, ..Phases::default() });
        recorder.output(&output);
        let phases = recorder.take().phases();
        assert_eq!((phases.count(), phases.only_waiting()), (1, 0), "the phases say how long it waited");
        assert_eq!(phases.distribution(Phase::Blocked).max(), Some(30));
    }

    #[test]
    fn requests_cut_off_by_the_run_have_no_phases() {
        let line = r#"{"sequenceID":"","url":"http://a/","method":"PUT","status":0,"size":0,"timestamp":"2026-11-22T10:05:13Z","duration":30,"error":"cancelled"}"#;
        let output = OutputRef { phases: Some(Phases::default()), ..OutputRef::parse(line).unwrap() };
        let mut recorder = Recorder::default();
        recorder.output(&output);
        recorder.cut();
        recorder.output(&output);
        assert_eq!(recorder.take().phases().count(), 1);
    }

    #[test]
    fn connections_of_the_warm_up_are_open_in_the_measured_part() {
        let sink = Arc::new(RecorderSink::new(Vec::new()));
        let outside = Outside::new(Arc::clone(&sink));
        let (version, handshake) = (HttpVersion::Http1, None);
        let opened = ConnectionEvent::Opened { version, handshake };
        outside.connection(opened);
        Uncounted::warm_up(Arc::clone(&sink)).connection(opened);
        Uncounted::users(Arc::clone(&sink)).connection(opened);
        let most_open = || sink.foreign().take_most_open();
        assert_eq!(most_open(), 3);
        sink.connection(ConnectionEvent::Closed { by_server: true });
        assert_eq!((most_open(), most_open()), (3, 2));
        let connections = sink.take(true).connections;
        assert_eq!((connections.opened(), connections.closed_by_server), (3, 1));
    }
}
