//! Generated runs, with the measurements that the engine would have made.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use golo::Phases;
use golo::engine::errors::ErrorKind;
use golo::engine::plan::{Asked, Plan};
use golo::engine::series::{Label, Outcome, Series};
use golo::engine::share::Share;
use golo::engine::snapshot::Snapshot;
use golo::engine::{Finished, Options, Progress};
use golo::report::{self, RunOutcome, Timeline};

/// Measurements per second.
pub(crate) struct Load {
    pub(crate) seconds: u64,
    pub(crate) routes: usize,
    /// Requests per route and second.
    pub(crate) requests: u64,
    /// Shortest and longest duration of a request, in nanoseconds.
    pub(crate) durations: (f64, f64),
    /// One in this many requests fails; 0 if none fails.
    pub(crate) failing: u64,
}

/// A run that has ended.
pub(crate) struct Made {
    pub(crate) finished: Finished,
    pub(crate) timeline: Timeline,
}

impl Made {
    pub(crate) fn of(asked: Asked, load: &Load) -> Self {
        let plan = Plan::new(asked).unwrap();
        let options = Options { job_name: "made".to_owned(), workers: 4, seed: 11, share: Share::WHOLE, max_lag: None };
        let mut finished = Finished::not_started(plan, options, None);
        let time = Duration::from_secs(load.seconds);
        (finished.load_time, finished.whole_time) = (time, time);
        finished.started_at = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_600_000));
        finished.most_users = 40;
        let mut timeline = Timeline::default();
        let labels: Vec<_> = (0..load.routes).map(label).collect();
        for number in 1..=load.seconds {
            let second = second(load, &labels, number);
            finished.totals.merge(&second);
            timeline.add(&Progress {
                elapsed: Duration::from_secs(number),
                second,
                users: 30 + number % 10,
                connections: 0,
            });
        }
        timeline.finish(&finished);
        Self { finished, timeline }
    }

    pub(crate) fn page(&self, to: &mut dyn std::io::Write) {
        let outcome = RunOutcome { timeline: self.timeline.clone(), ..self.finished.clone().into() };
        report::html(&outcome, to).unwrap();
    }

    pub(crate) fn text(&self) -> String {
        let mut page = Vec::new();
        self.page(&mut page);
        String::from_utf8(page).unwrap()
    }
}

fn label(number: usize) -> Arc<Label> {
    let route = format!("/shop/{number}/items/{{id}}");
    Arc::new(Label::new("http://127.0.0.1:80", route, "GET"))
}

/// Returns a second with durations that are spread evenly over their magnitudes, and become longer during the run.
fn second(load: &Load, labels: &[Arc<Label>], number: u64) -> Snapshot {
    let mut second = Snapshot::default();
    let (shortest, longest) = load.durations;
    let drift = 0.5 + number as f64 / (2.0 * load.seconds as f64);
    let mut random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for label in labels {
        for request in 0..load.requests {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // The sum of four random values is roughly bell-shaped.
            let share = (0..4).map(|part| (random >> (part * 16) & 0xffff) as f64).sum::<f64>() / 4.0 / 65_536.0;
            let nanos = (shortest * (longest / shortest).powf(share * drift)) as u64;
            let outcome = match request.checked_rem(load.failing) {
                Some(0) if number.is_multiple_of(2) => Outcome::Failed(ErrorKind::Timeout),
                Some(0) => Outcome::Answered { status: 503, failed: true },
                _ => Outcome::Answered { status: 200, failed: false },
            };
            let measure = second.requests.entry(Series { label: Arc::clone(label), outcome }).or_default();
            measure.durations.record(nanos);
            measure.received += 900;
            let mut phases = Phases::default();
            (phases.waiting, phases.receiving) = (Duration::from_nanos(nanos / 2), Duration::from_nanos(nanos / 3));
            measure.phases.get_or_insert_default().record(&phases);
            let triggers = &mut second.triggers;
            triggers.due += 1;
            triggers.done += 1;
            triggers.failed += u64::from(outcome.is_failed());
            triggers.service.record(nanos);
            triggers.response.record(nanos + nanos / 3);
            second.generator.lag.record(60_000);
        }
    }
    second.generator.busy = Duration::from_millis(400);
    second.generator.time = Duration::from_secs(4);
    second.errors.add(ErrorKind::Timeout, "no response within 1s", Duration::from_secs(number));
    second
}
