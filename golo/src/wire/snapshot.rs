//! Snapshots: everything that was measured in a period of time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::histogram::{read, write};
use super::{WireError, moment, steps, unix_nanoseconds};
use crate::engine::connections::Connections;
use crate::engine::errors::{ErrorKind, Errors, Seen};
use crate::engine::failures::SAMPLES;
use crate::engine::phases::{MeasuredPhases, Phase};
use crate::engine::plan::LONGEST_NAME;
use crate::engine::room::Priority;
use crate::engine::route;
use crate::engine::series::{Label, Outcome, Series};
use crate::engine::slowest::{Journey, Slowest};
use crate::engine::snapshot::{AfterLoad, Check, Generator, Measure, Redirects, SCENARIOS, Snapshot, Triggers};
use crate::engine::spent::Spent;
use crate::metrics::output::nanoseconds;
use crate::pb::engine as pb;
use crate::pb::engine::series::Outcome as Ended;
use crate::support::cut;

/// Maximum length of the name of a scenario in bytes: [`LONGEST_NAME`] of the longest characters.
const LONGEST_SCENARIO: usize = 4 * LONGEST_NAME;

/// Kinds of error with their counterparts in the protocol.
const KINDS: [(ErrorKind, pb::ErrorKind); 15] = [
    (ErrorKind::Other, pb::ErrorKind::Other),
    (ErrorKind::Dns, pb::ErrorKind::Dns),
    (ErrorKind::Connect, pb::ErrorKind::Connect),
    (ErrorKind::Tls, pb::ErrorKind::Tls),
    (ErrorKind::Timeout, pb::ErrorKind::Timeout),
    (ErrorKind::Reset, pb::ErrorKind::Reset),
    (ErrorKind::Body, pb::ErrorKind::Body),
    (ErrorKind::Status, pb::ErrorKind::Status),
    (ErrorKind::Panic, pb::ErrorKind::Panic),
    (ErrorKind::Returned, pb::ErrorKind::Returned),
    (ErrorKind::Start, pb::ErrorKind::Start),
    (ErrorKind::Cancelled, pb::ErrorKind::Cancelled),
    (ErrorKind::Redirect, pb::ErrorKind::Redirect),
    (ErrorKind::StrayPanic, pb::ErrorKind::StrayPanic),
    (ErrorKind::Content, pb::ErrorKind::Content),
];

impl From<ErrorKind> for pb::ErrorKind {
    fn from(kind: ErrorKind) -> Self {
        KINDS.iter().find(|(known, _)| *known == kind).map_or(Self::Other, |(_, written)| *written)
    }
}

/// Returns the kind of error. An unknown one is treated as `Other`.
pub(super) fn kind(written: i32) -> ErrorKind {
    let kind = KINDS.iter().find(|(_, known)| *known as i32 == written);
    kind.map_or(ErrorKind::Other, |(kind, _)| *kind)
}

impl From<&Label> for pb::Label {
    fn from(Label { origin, route, method, tags, priority }: &Label) -> Self {
        let priority = pb::Priority::from(*priority).into();
        let tags = super::pairs::write(tags);
        Self { origin: origin.to_string(), route: route.to_string(), method: method.to_string(), priority, tags }
    }
}

impl From<Priority> for pb::Priority {
    fn from(priority: Priority) -> Self {
        match priority {
            Priority::Ordinary => Self::Ordinary,
            Priority::Named => Self::Named,
            Priority::Selected => Self::Selected,
        }
    }
}

/// Returns the priority. If it is missing or unknown, the sender may have put requests of any priority into `other`.
fn priority(written: i32, is_other: bool) -> Priority {
    match pb::Priority::try_from(written) {
        Ok(pb::Priority::Ordinary) => Priority::Ordinary,
        Ok(pb::Priority::Named) => Priority::Named,
        Ok(pb::Priority::Selected) => Priority::Selected,
        Ok(pb::Priority::Unknown) | Err(_) if is_other => Priority::Selected,
        Ok(pb::Priority::Unknown) | Err(_) => Priority::Ordinary,
    }
}

pub(super) fn label(written: Option<&pb::Label>) -> Result<Arc<Label>, WireError> {
    let pb::Label { origin, route, method, .. } = written.ok_or_else(|| WireError::missing("label"))?;
    let label = Label::new(&*route::bounded(origin), route::name(route), &*route::bounded(method));
    let label = label.with_tags(super::pairs::read(written.map_or(&[], |written| &written.tags)));
    let priority = priority(written.map_or(0, |written| written.priority), label.is_other());
    Ok(Arc::new(label.with_priority(priority)))
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Answered { status, failed: false } => Self::Answered(status.into()),
            Outcome::Answered { status, failed: true } | Outcome::Content { status } => Self::Unexpected(status.into()),
            Outcome::Failed(kind) => Self::Failed(pb::ErrorKind::from(kind).into()),
            Outcome::Interrupted => Self::Interrupted(true),
        }
    }
}

fn outcome(written: Option<&Ended>) -> Result<Outcome, WireError> {
    let (status, failed) = match written.ok_or_else(|| WireError::missing("outcome of a series"))? {
        Ended::Answered(status) => (status, false),
        Ended::Unexpected(status) => (status, true),
        Ended::Failed(written) => return Ok(Outcome::Failed(kind(*written))),
        Ended::Interrupted(_) => return Ok(Outcome::Interrupted),
    };
    Ok(Outcome::Answered { status: self::status(*status)?, failed })
}

pub(super) fn status(written: u32) -> Result<u16, WireError> {
    u16::try_from(written).map_err(|_| WireError::new(format!("the status {written}")))
}

/// Returns the series of a message.
///
/// # Errors
///
/// Returns an error if the label or the outcome is missing or invalid.
pub(crate) fn series(written: &pb::Series) -> Result<Series, WireError> {
    let label = label(written.label.as_ref())?;
    let outcome = match outcome(written.outcome.as_ref())? {
        Outcome::Answered { status, failed: true } if written.is_content => Outcome::Content { status },
        outcome => outcome,
    };
    Ok(Series { label, outcome })
}

/// Returns true if the series is of measured steps. These are not requests.
#[must_use]
pub fn is_step(written: &pb::Series) -> bool {
    series(written).is_ok_and(|series| series.is_step())
}

impl From<&Journey<Arc<Label>>> for pb::Journey {
    fn from(journey: &Journey<Arc<Label>>) -> Self {
        Self {
            sequence_id: journey.sequence_id.to_string(),
            steps: journey.steps.iter().map(|step| steps::write(step, &journey.sequence_id)).collect(),
            further: journey.further,
            started: unix_nanoseconds(journey.started()),
            ended: unix_nanoseconds(journey.ended()),
            thought: nanoseconds(journey.thought()),
        }
    }
}

fn journey(written: &pb::Journey) -> Result<Journey<Arc<Label>>, WireError> {
    let steps = written.steps.iter().map(|step| steps::read(step, &written.sequence_id)).collect::<Result<_, _>>()?;
    let (started, ended) = (moment(written.started), moment(written.ended));
    let thought = Duration::from_nanos(written.thought);
    Ok(Journey::restored(&written.sequence_id, steps, written.further, started, ended, thought))
}

impl From<&Snapshot> for pb::Snapshot {
    fn from(snapshot: &Snapshot) -> Self {
        let Snapshot {
            requests,
            triggers,
            scenarios,
            journeys,
            slowest,
            waiting,
            connects,
            checks,
            errors,
            generator,
            connections,
            tags,
            requests_from_tags,
            user_starts,
            start_waits,
            redirects,
            metrics,
            tags_beyond,
            failures,
        } = snapshot;
        let series = |(series, measure): (&Series, &Measure)| pb::Series {
            label: Some((&*series.label).into()),
            outcome: Some(series.outcome.into()),
            durations: write(&measure.durations),
            received: measure.received,
            sent: measure.sent,
            is_content: matches!(series.outcome, Outcome::Content { .. }),
        };
        let redirected = |(label, redirects): (&Arc<Label>, &Redirects)| pb::Redirects {
            label: Some((&**label).into()),
            followed: redirects.followed,
            at_least: redirects.at_least,
        };
        let after_load = |(series, measure): (&Series, &Measure)| pb::AfterLoad {
            series: Some(bare(series)),
            count: measure.after_load.count,
            received: measure.after_load.received,
            sent: measure.after_load.sent,
        };
        let ended_after = requests.iter().filter(|(_, measure)| measure.after_load.count > 0);
        let error = |(kind, text, seen): (ErrorKind, &str, Seen)| pb::Error {
            kind: pb::ErrorKind::from(kind).into(),
            text: text.to_owned(),
            count: seen.count,
            first: nanoseconds(seen.first),
        };
        Self {
            requests: requests.iter().map(series).collect(),
            triggers: Some(triggers.into()),
            scenarios: scenarios.iter().map(of_scenario).collect(),
            journeys: write(journeys),
            slowest: slowest.iter().map(Into::into).collect(),
            waiting: write(waiting),
            connects: write(connects),
            checks: checks
                .iter()
                .map(|(name, check)| pb::Check { name: name.to_string(), passed: check.passed, failed: check.failed })
                .collect(),
            errors: errors.by_count().into_iter().map(error).collect(),
            redirects: redirects.iter().map(redirected).collect(),
            generator: Some(generator.into()),
            user_starts: write(user_starts),
            start_waits: write(start_waits),
            tags: tags.iter().map(super::tags::write).collect(),
            tags_beyond: tags.beyond(),
            requests_from_tags: *requests_from_tags,
            after_load: ended_after.map(after_load).collect(),
            phases: requests.iter().filter_map(phases).collect(),
            connections: (*connections != Connections::default()).then(|| connections.into()),
            metrics: super::metrics::write(metrics),
            refused_values: super::metrics::write_refused(metrics),
            tag_values_beyond: *tags_beyond,
            failures: failures.iter().map(super::failures::write).collect(),
            piece: pb::Piece::Whole.into(),
        }
    }
}

/// Returns a series with only its label and outcome.
fn bare(series: &Series) -> pb::Series {
    pb::Series {
        label: Some((&*series.label).into()),
        outcome: Some(series.outcome.into()),
        is_content: matches!(series.outcome, Outcome::Content { .. }),
        ..pb::Series::default()
    }
}

/// Returns the phases of a series, if anything is known of them.
fn phases((series, measure): (&Series, &Measure)) -> Option<pb::Phases> {
    let phases = measure.phases.as_ref()?;
    let [blocked, dns, connecting, tls_handshaking, sending, waiting, receiving] =
        Phase::ALL.map(|phase| write(phases.recorded(phase)));
    Some(pb::Phases {
        series: Some(bare(series)),
        requests: phases.count(),
        only_waiting: phases.only_waiting(),
        blocked,
        dns,
        connecting,
        tls_handshaking,
        sending,
        waiting,
        receiving,
    })
}

/// Returns the phases by series.
fn phases_by_series(written: &[pb::Phases]) -> Result<HashMap<Series, Box<MeasuredPhases>>, WireError> {
    let one = |written: &pb::Phases| {
        let of = written.series.as_ref().ok_or_else(|| WireError::missing("series of phases"))?;
        let pb::Phases { blocked, dns, connecting, tls_handshaking, sending, waiting, receiving, .. } = written;
        let recorded = [
            read(blocked.as_ref())?,
            read(dns.as_ref())?,
            read(connecting.as_ref())?,
            read(tls_handshaking.as_ref())?,
            read(sending.as_ref())?,
            read(waiting.as_ref())?,
            read(receiving.as_ref())?,
        ];
        let phases = MeasuredPhases::restored(written.requests, written.only_waiting, recorded);
        Ok((series(of)?, Box::new(phases)))
    };
    written.iter().map(one).collect()
}

/// Returns the measurements after the load, by series.
fn after_load(written: &[pb::AfterLoad]) -> Result<HashMap<Series, AfterLoad>, WireError> {
    let one = |written: &pb::AfterLoad| {
        let of = written.series.as_ref().ok_or_else(|| WireError::missing("series of what ended after the load"))?;
        let pb::AfterLoad { count, received, sent, .. } = *written;
        Ok((series(of)?, AfterLoad { count, received, sent }))
    };
    written.iter().map(one).collect()
}

impl TryFrom<&pb::Snapshot> for Snapshot {
    type Error = WireError;

    fn try_from(written: &pb::Snapshot) -> Result<Self, WireError> {
        let mut snapshot = Self {
            triggers: written.triggers.as_ref().map_or_else(|| Ok(Triggers::default()), Triggers::try_from)?,
            scenarios: scenarios(&written.scenarios)?,
            journeys: read(written.journeys.as_ref())?,
            waiting: read(written.waiting.as_ref())?,
            connects: read(written.connects.as_ref())?,
            user_starts: read(written.user_starts.as_ref())?,
            start_waits: read(written.start_waits.as_ref())?,
            generator: written.generator.as_ref().map_or_else(|| Ok(Generator::default()), Generator::try_from)?,
            connections: written.connections.as_ref().map(Connections::from).unwrap_or_default(),
            tags: super::tags::read(&written.tags, written.tags_beyond)?,
            requests_from_tags: written.requests_from_tags,
            metrics: super::metrics::read(&written.metrics, &written.refused_values)?,
            tags_beyond: written.tag_values_beyond,
            ..Self::default()
        };
        let mut after_load = after_load(&written.after_load)?;
        let mut phases = phases_by_series(&written.phases)?;
        let requests = written.requests.iter().map(|written| {
            let series = series(written)?;
            let pb::Series { durations, received, sent, .. } = written;
            let measure = Measure {
                durations: read(durations.as_ref())?,
                received: *received,
                sent: *sent,
                after_load: after_load.remove(&series).unwrap_or_default(),
                phases: phases.remove(&series),
            };
            Ok((series, measure))
        });
        let requests = requests.collect::<Result<Vec<_>, WireError>>()?;
        snapshot.measure(requests.iter().map(|(series, measure)| (series, measure)));
        let mut slowest = Slowest::default();
        for written in &written.slowest {
            slowest.add(journey(written)?);
        }
        snapshot.slowest = slowest;
        for pb::Check { name, passed, failed } in &written.checks {
            snapshot.check(name, Check { passed: *passed, failed: *failed });
        }
        let mut errors = Errors::default();
        for pb::Error { kind: written, text, count, first } in &written.errors {
            errors.add_seen(kind(*written), text, Seen { count: *count, first: Duration::from_nanos(*first) });
        }
        snapshot.errors = errors;
        let failures = written.failures.iter().take(SAMPLES).map(super::failures::read);
        snapshot.failures.extend(failures.collect::<Result<Vec<_>, _>>()?);
        for pb::Redirects { label: written, followed, at_least } in &written.redirects {
            let redirects = Redirects { followed: *followed, at_least: *at_least };
            snapshot.redirect(&label(written.as_ref())?, redirects);
        }
        Ok(snapshot)
    }
}

impl From<&Connections> for pb::Connections {
    fn from(connections: &Connections) -> Self {
        let Connections {
            http1,
            http2,
            http3,
            handshakes_full,
            handshakes_resumed,
            used,
            reused,
            closed_by_server,
            resent,
        } = *connections;
        Self { http1, http2, http3, handshakes_full, handshakes_resumed, used, reused, closed_by_server, resent }
    }
}

impl From<&pb::Connections> for Connections {
    fn from(written: &pb::Connections) -> Self {
        let pb::Connections {
            http1,
            http2,
            http3,
            handshakes_full,
            handshakes_resumed,
            used,
            reused,
            closed_by_server,
            resent,
        } = *written;
        Self { http1, http2, http3, handshakes_full, handshakes_resumed, used, reused, closed_by_server, resent }
    }
}

fn of_scenario((scenario, triggers): (&Arc<str>, &Triggers)) -> pb::ScenarioTriggers {
    pb::ScenarioTriggers { scenario: scenario.to_string(), triggers: Some(triggers.into()) }
}

fn scenarios(written: &[pb::ScenarioTriggers]) -> Result<BTreeMap<Arc<str>, Triggers>, WireError> {
    let mut scenarios = BTreeMap::<_, Triggers>::new();
    for written in written.iter().take(SCENARIOS) {
        let triggers = written.triggers.as_ref().map_or_else(|| Ok(Triggers::default()), Triggers::try_from)?;
        // No name of a plan is that long.
        let name = cut::marked_to_bytes(written.scenario.as_str().into(), LONGEST_SCENARIO);
        scenarios.entry(name.into()).or_default().merge(&triggers);
    }
    Ok(scenarios)
}

impl From<&Triggers> for pb::Triggers {
    fn from(triggers: &Triggers) -> Self {
        Self {
            due: triggers.due,
            done: triggers.done,
            failed: triggers.failed,
            panicked: triggers.panicked,
            interrupted: triggers.interrupted,
            dropped_busy: triggers.dropped_busy,
            dropped_unready: triggers.dropped_unready,
            dropped_stopped: triggers.dropped_stopped,
            service: write(&triggers.service),
            response: write(&triggers.response),
            requesting: nanoseconds(triggers.spent.requesting),
            thinking: nanoseconds(triggers.spent.thinking),
            working: nanoseconds(triggers.spent.working),
            dropped_pausing: triggers.dropped_pausing,
            done_after_load: triggers.done_after_load,
        }
    }
}

impl TryFrom<&pb::Triggers> for Triggers {
    type Error = WireError;

    fn try_from(written: &pb::Triggers) -> Result<Self, WireError> {
        Ok(Self {
            due: written.due,
            done: written.done,
            failed: written.failed,
            panicked: written.panicked,
            interrupted: written.interrupted,
            dropped_busy: written.dropped_busy,
            dropped_unready: written.dropped_unready,
            dropped_stopped: written.dropped_stopped,
            service: read(written.service.as_ref())?,
            response: read(written.response.as_ref())?,
            spent: Spent {
                requesting: Duration::from_nanos(written.requesting),
                thinking: Duration::from_nanos(written.thinking),
                working: Duration::from_nanos(written.working),
            },
            dropped_pausing: written.dropped_pausing,
            done_after_load: written.done_after_load,
        })
    }
}

impl From<&Generator> for pb::Generator {
    fn from(generator: &Generator) -> Self {
        Self {
            lag: write(&generator.lag),
            busy: nanoseconds(generator.busy),
            time: nanoseconds(generator.time),
            foreign: generator.foreign,
            without_descriptor: generator.without_descriptor,
            without_port: generator.without_port,
            users_failed: generator.users_failed,
            users_started: generator.users_started,
            stray_panics: generator.stray_panics,
            stops_cut_off: generator.stops_cut_off,
            overdue: generator.overdue,
            warm_up_triggers: generator.warm_up_triggers,
            warm_up_requests: generator.warm_up_requests,
            warm_up_connections: generator.warm_up_connections,
            user_requests: generator.user_requests,
            user_connections: generator.user_connections,
        }
    }
}

impl TryFrom<&pb::Generator> for Generator {
    type Error = WireError;

    fn try_from(written: &pb::Generator) -> Result<Self, WireError> {
        Ok(Self {
            lag: read(written.lag.as_ref())?,
            busy: Duration::from_nanos(written.busy),
            time: Duration::from_nanos(written.time),
            foreign: written.foreign,
            without_descriptor: written.without_descriptor,
            without_port: written.without_port,
            users_failed: written.users_failed,
            users_started: written.users_started,
            stray_panics: written.stray_panics,
            stops_cut_off: written.stops_cut_off,
            overdue: written.overdue,
            warm_up_triggers: written.warm_up_triggers,
            warm_up_requests: written.warm_up_requests,
            warm_up_connections: written.warm_up_connections,
            user_requests: written.user_requests,
            user_connections: written.user_connections,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::histogram::Histogram;
    use crate::engine::recorder::Recorder;
    use crate::engine::slowest::{SpanId, Step, TraceContext, TraceId};
    use crate::metrics::journey::Journeys;
    use crate::{ConnectionEvent, Handshake, HttpVersion, OutputRef, Phases};

    /// Returns a snapshot with values in all fields.
    fn measured() -> Snapshot {
        let mut recorder = Recorder::default();
        let mut journeys = Journeys::default();
        let (trace_id, span_id) = (TraceId::new([1; 16]).unwrap(), SpanId::new([2; 8]).unwrap());
        let trace = TraceContext { trace_id, span_id };
        for (url, status, error) in [
            ("http://a/items/7?q=1", 200, "null"),
            ("http://a/items/8", 404, "null"),
            ("http://a/items/9", 200, r#""content: out of stock""#),
            ("http://b/", 0, r#""connect: refused""#),
            ("http://b/", 0, r#""Get \"http://b/\": EOF""#),
        ] {
            let line = format!(
                r#"{{"sequenceID":"x","url":"{url}","method":"PUT","status":{status},"size":12,"timestamp":"2026-11-22T10:05:13Z","duration":30,"error":{error}}}"#
            );
            let mut output = OutputRef::parse(&line).unwrap();
            (output.waiting, output.sent) = (Some(Duration::from_nanos(20)), 5);
            output.phases =
                (status != 0).then(|| Phases { blocked: Duration::from_nanos(u64::from(status)), ..Phases::default() });
            (output.redirects, output.redirects_are_hidden) = (status / 100, status == 404);
            if url == "http://b/" {
                recorder.end_load(std::time::Instant::now());
                output.timestamp = std::time::SystemTime::now() + Duration::from_secs(1);
            }
            output.trace = (status == 404).then_some(&trace);
            let label = recorder.output(&output);
            let step = Step::of(label, output.timestamp - output.duration, &output);
            journeys.add("x", step, Duration::ZERO);
        }
        recorder.journeys(journeys.into_vec());
        recorder.check("is complete", true);
        recorder.check("is complete", false);
        recorder.connected(Duration::from_millis(1));
        let (version, handshake) = (HttpVersion::Http3, Some(Handshake::Full));
        for event in [ConnectionEvent::Opened { version, handshake }, ConnectionEvent::Reused] {
            recorder.connection(event, true);
        }
        recorder.error(ErrorKind::Panic, "panicked: no");
        for number in 0..120 {
            let tags = crate::tagify([("size", number - 60), ("status", 200 + number % 3)]);
            recorder.rest().tags.record(&tags, number % 2 == 0);
            recorder.rest().tags.record(&crate::tagify([(format!("key{number}"), "none")]), false);
        }
        let mut snapshot = recorder.take();
        let triggers = &mut snapshot.triggers;
        for n in 0..1000 {
            triggers.service.record(n * n);
            triggers.response.record(n * n + 1);
        }
        (triggers.due, triggers.done, triggers.failed, triggers.panicked) = (1, 2, 3, 4);
        (triggers.interrupted, triggers.dropped_busy) = (5, 6);
        (triggers.dropped_unready, triggers.dropped_stopped, triggers.dropped_pausing) = (7, 8, 9);
        triggers.done_after_load = 2;
        let nanos = Duration::from_nanos;
        triggers.spent = Spent { requesting: nanos(10), thinking: nanos(11), working: nanos(12) };
        snapshot.user_starts.record(13);
        snapshot.start_waits.record(14);
        snapshot.requests_from_tags = 10;
        let generator = &mut snapshot.generator;
        generator.lag.record(9);
        (generator.busy, generator.time, generator.foreign) = (Duration::from_nanos(1), Duration::from_nanos(2), 3);
        (generator.without_descriptor, generator.without_port) = (4, 5);
        (generator.users_failed, generator.users_started) = (6, 7);
        (generator.stray_panics, generator.stops_cut_off, generator.overdue) = (8, 9, 10);
        (generator.warm_up_triggers, generator.warm_up_requests, generator.warm_up_connections) = (18, 19, 20);
        (generator.user_requests, generator.user_connections) = (11, 12);
        snapshot
    }

    #[test]
    fn written_snapshot_reads_as_equal() {
        let snapshot = measured();
        assert_eq!(Snapshot::try_from(&pb::Snapshot::from(&snapshot)), Ok(snapshot));
        assert_eq!(Snapshot::try_from(&pb::Snapshot::from(&Snapshot::default())), Ok(Snapshot::default()));
    }

    #[test]
    fn requests_after_the_load_are_sent_and_absent_from_older_senders() {
        let snapshot = measured();
        let after =
            |snapshot: &Snapshot| snapshot.requests.values().map(|measure| measure.after_load.count).sum::<u64>();
        assert_eq!((after(&snapshot), snapshot.requests_done()), (2, 5));
        let mut written = pb::Snapshot::from(&snapshot);
        written.after_load.clear();
        let read = Snapshot::try_from(&written).unwrap();
        assert_eq!((after(&read), read.requests_done()), (0, 5));
        written.after_load.push(pb::AfterLoad::default());
        let wrong = Snapshot::try_from(&written).unwrap_err();
        assert_eq!(wrong.to_string(), "no series of what ended after the load");
    }

    #[test]
    fn phases_are_sent_by_series_and_waiting_of_older_senders_is_read() {
        let snapshot = measured();
        let mut written = pb::Snapshot::from(&snapshot);
        assert_eq!((written.waiting.is_none(), written.phases.len()), (true, 5));
        let blocked = Snapshot::try_from(&written).unwrap().phases().distribution(Phase::Blocked);
        assert_eq!((blocked.count(), blocked.max()), (3, Some(404)));
        assert_eq!(snapshot.waits().count(), 5, "two requests have a waiting time only");

        written.phases.clear();
        let mut waiting = Histogram::new();
        waiting.record_n(20, 5);
        written.waiting = Some((&waiting).into());
        let read = Snapshot::try_from(&written).unwrap();
        assert_eq!((read.phases().is_empty(), read.waits()), (true, waiting));
        written.phases.push(pb::Phases::default());
        assert_eq!(Snapshot::try_from(&written).unwrap_err().to_string(), "no series of phases");
    }

    #[test]
    fn every_kind_of_error_is_distinct() {
        for (kind, _) in KINDS {
            assert_eq!(super::kind(pb::ErrorKind::from(kind).into()), kind);
        }
        assert_eq!(super::kind(99), ErrorKind::Other, "one of a later version");
    }

    #[test]
    fn invalid_series_is_an_error() {
        let wrong = |series| Snapshot::try_from(&pb::Snapshot { requests: vec![series], ..pb::Snapshot::default() });
        let label = Some(pb::Label::default());
        let no_outcome = pb::Series { label: label.clone(), ..pb::Series::default() };
        let odd = pb::Series { label, outcome: Some(Ended::Answered(70_000)), ..pb::Series::default() };
        for (series, expected) in
            [(pb::Series::default(), "no label"), (no_outcome, "no outcome of a series"), (odd, "the status 70000")]
        {
            assert_eq!(wrong(series).unwrap_err().to_string(), expected);
        }
    }
}
