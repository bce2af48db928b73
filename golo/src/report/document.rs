//! Results of a run as data. The `summary=` file contains it, the HTML page contains it for its charts, and runs are
//! compared by it.
//!
//! Durations are whole nanoseconds. Times are nanoseconds since the start of the measured part, unless the name of a
//! key says otherwise. `golo/docs/summary.schema.json` describes each key.

#![allow(non_camel_case_types, reason = "`object!` names the type of a field as the field")]

/// Creates a value that serializes as an object with these keys.
macro_rules! object {
    ($($(#[$attribute:meta])* $key:ident: $value:expr),+ $(,)?) => {{
        #[derive(serde::Serialize)]
        struct Object<$($key),+> {
            $($(#[$attribute])* $key: $key),+
        }
        Object { $($key: $value),+ }
    }};
}

mod distribution;
mod load;
mod own;
mod requests;
mod timeline;

use std::io;

use serde::{Serialize, Serializer};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub use distribution::Distribution;

use super::outputs::{FileOutput, OutputKind, WriteReport};
use super::requests::Requests;
use super::summary::Headline;
use super::{Judged, RateTime, RunOutcome, facts};
use crate::engine::Finished;
use crate::engine::connections::Connections;
use crate::engine::plan::{Load, Model, Plan};
use crate::metrics::output::nanoseconds;

/// Version of the format. It is raised if readers of an older version would misread the file.
const VERSION: u32 = 1;
/// Version of golo.
pub(super) const GOLO: &str = env!("CARGO_PKG_VERSION");

pub(super) const KIND: OutputKind = OutputKind::file("summary", "summary=FILE.json", |path| {
    FileOutput::open("summary", [(path.into(), write as WriteReport)])
});

fn write(outcome: &RunOutcome, to: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, &Document::of(outcome))?;
    to.write_all(b"\n")
}

/// All results of a run. serde writes them as an object.
pub struct Document<'a> {
    pub(super) outcome: &'a RunOutcome,
    pub(super) headline: Headline,
    pub(super) requests: Requests,
    pub(super) rates: RateTime,
    /// Number of routes that are written with the buckets of their durations.
    pub(super) routes_with_buckets: usize,
}

impl<'a> Document<'a> {
    /// Returns the document of a run that has ended.
    #[must_use]
    pub fn of(outcome: &'a RunOutcome) -> Self {
        let requests = Requests::of(&outcome.finished.totals);
        Self {
            outcome,
            headline: Headline::of(outcome, &requests),
            requests,
            rates: RateTime::of(&outcome.finished),
            routes_with_buckets: usize::MAX,
        }
    }

    /// Returns the start time, in RFC 3339; `None` if the run did not start.
    pub(super) fn started_at(&self) -> Option<String> {
        self.outcome.finished.started_at.and_then(|at| OffsetDateTime::from(at).format(&Rfc3339).ok())
    }

    /// Describes the run: plan, time, seed.
    fn run(&self) -> impl Serialize {
        let Finished { plan, options, load_time, whole_time, .. } = &self.outcome.finished;
        let changes = self.outcome.changes.iter();
        object! {
            job: &options.job_name,
            plan: plan.to_string(),
            model: model(plan),
            started_at: self.started_at(),
            load_time: nanoseconds(*load_time),
            whole_time: nanoseconds(*whole_time),
            rate_time: nanoseconds(self.rates.time),
            rates_count_after_load: self.rates.counts_after_load,
            workers: options.workers,
            seed: options.seed,
            changes: changes
                .map(|change| object! { at: nanoseconds(change.at), load: &change.load })
                .collect::<Vec<_>>(),
        }
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let finished = &self.outcome.finished;
        let totals = &finished.totals;
        let checks = totals.checks.iter();
        let statuses = self.requests.statuses.iter();
        let errors = totals.errors.by_count().into_iter();
        let document = object! {
            version: VERSION,
            golo: GOLO,
            run: self.run(),
            verdict: object! {
                word: &self.headline.word,
                exit_code: self.outcome.exit() as u8,
                text: self.headline.text(),
            },
            thresholds: self.outcome.thresholds.iter().map(threshold).collect::<Vec<_>>(),
            load: load::load(finished),
            requests: requests::requests(self),
            steps: requests::steps(self),
            triggers: load::triggers(&totals.triggers),
            scenarios: load::scenarios(finished),
            journeys: requests::journeys(totals, &self.requests),
            tags: requests::tags(&totals.tags),
            request_tags: own::request_tags(totals),
            groups: own::groups(totals),
            metrics: own::metrics(totals, self.rates),
            checks: checks
                .map(|(name, check)| object! { name: name, passed: check.passed, failed: check.failed })
                .collect::<Vec<_>>(),
            statuses: statuses
                .map(|(&(status, failed), &count)| object! { status: status, failed: failed, count: count })
                .collect::<Vec<_>>(),
            errors: errors
                .map(|(kind, text, seen)| object! {
                    kind: kind.to_string(),
                    text: text,
                    count: seen.count,
                    first_seen: nanoseconds(seen.first),
                })
                .collect::<Vec<_>>(),
            generator: generator(finished),
            timeline: timeline::timeline(self.outcome),
        };
        document.serialize(serializer)
    }
}

/// Returns the word of a plan's load model, or `mixed` if its loads have different ones.
fn model(plan: &Plan) -> &'static str {
    let word = |load: &Load| match load.model() {
        Model::Open { .. } => "open",
        Model::Closed { pace: Some(_), .. } => "paced",
        Model::Closed { pace: None, .. } => "closed",
    };
    let mut words = plan.loads().iter().map(word);
    let first = words.next().unwrap_or_default();
    if words.all(|other| other == first) { first } else { "mixed" }
}

fn threshold(judged: &Judged) -> impl Serialize {
    object! {
        threshold: judged.threshold.to_string(),
        metric: judged.metric(),
        #[serde(flatten)]
        actual: judged.actual,
        shown: judged.shown(),
        passed: judged.passed,
        reason: &judged.reason,
        note: &judged.note,
        windows: judged.windows.map(|windows| object! {
            length: nanoseconds(windows.length),
            judged: windows.judged,
            failed: windows.failed,
            empty: windows.empty,
            worst_from: windows.worst_from.map(nanoseconds),
        }),
    }
}

/// Returns the state of the load generator during the run.
fn generator(finished: &Finished) -> impl Serialize {
    let (generator, health) = (&finished.totals.generator, &finished.health);
    let lost_agents = health.lost_agents.iter();
    object! {
        busy_share: generator.busy_share(),
        lag: Distribution::from(&generator.lag),
        lost: &health.lost,
        lost_agents: lost_agents
            .map(|lost| object! { agent: &lost.name, from: nanoseconds(lost.from), reason: &lost.reason })
            .collect::<Vec<_>>(),
        descriptors: health.descriptors.open,
        descriptors_limit: health.descriptors.limit,
        requests_without_descriptor: generator.without_descriptor,
        requests_without_port: generator.without_port,
        requests_from_other_threads: generator.foreign,
        users_started: generator.users_started,
        users_failed: generator.users_failed,
        unoptimised: health.is_unoptimised,
        stops_cut_off: generator.stops_cut_off,
        stray_panics: generator.stray_panics,
        user_requests: generator.user_requests,
        user_connections: generator.user_connections,
        transport: facts::transport(&finished.totals),
        connections: connections(finished),
        proxies: &finished.proxies,
        warning: facts::warning(finished),
    }
}

/// Returns the connections of golo's transport.
fn connections(finished: &Finished) -> impl Serialize {
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
    } = finished.totals.connections;
    object! {
        opened: finished.totals.connections.opened(),
        http1: http1,
        http2: http2,
        http3: http3,
        handshakes_full: handshakes_full,
        handshakes_resumed: handshakes_resumed,
        used: used,
        reused: reused,
        closed_by_server: closed_by_server,
        resent: resent,
        most_open: finished.most_connections,
    }
}
