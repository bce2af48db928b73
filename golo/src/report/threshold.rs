//! Thresholds: what a run must keep to, as `http_req_duration p(95)<200ms`.

mod error;
mod failures;
mod hidden;
mod judge;
mod limit;
mod metric;
mod operator;
mod parse;
mod room;
mod samples;
mod tag;
#[cfg(test)]
mod tests;
mod trigger_tags;
mod watch;

use std::{fmt, str::FromStr};

pub use error::ThresholdError;
pub(super) use failures::is_noteworthy;
pub use judge::{Actual, Judged};
use limit::Limit;
use metric::{Metric, Statistic};
use operator::Operator;
pub use room::Room;
pub use samples::{Measured, Users};
use tag::Tag;
pub use watch::Watch;

/// What a run must keep to: `METRIC[{tag:value,…}] STATISTIC OPERATOR VALUE`, with or without spaces.
///
/// [`Display`](fmt::Display) gives it back in the one way that is shortest to read, which reads as the same.
///
/// | metric | what it is | statistics | tags |
/// |---|---|---|---|
/// | `http_reqs` | requests that ended | `count`, `rate` (per second) | those of requests |
/// | `http_req_duration` | from sending a request to the last byte of its body | `avg min max med p(N)` | those of requests |
/// | `http_req_waiting` | to its response's headers, where a whole response came | the same | |
/// | `http_req_connecting` | making a connection: lookup, TCP and TLS | the same | |
/// | `http_req_failed` | requests that failed, of all that ended or were cut off | `rate` (a share), `count` | those of requests |
/// | `http_req_interrupted` | requests that the run cut off, of the same | `rate` (a share), `count` | those of requests |
/// | `data_sent`, `data_received` | bytes of bodies | `count`, `rate` (per second) | those of requests |
/// | `iterations` | triggers that ended, failed ones among them | `count`, `rate` (per second) | |
/// | `iteration_duration` | of a trigger, from its start, without think time | `avg min max med p(N)` | |
/// | `iteration_response` | the same from when it was due | the same | |
/// | `iteration_failed` | triggers that failed, of all that ended or were cut off | `rate` (a share), `count` | |
/// | `iteration_interrupted` | triggers that the run cut off, of the same | `rate` (a share), `count` | |
/// | `dropped_iterations` | starts that did not happen | `count`, `rate` (per second) | |
/// | `journey_duration` | of a journey, from its first request to the end of its last | the same | |
/// | `user_start_duration` | how long users took to start, of those that did | the same | |
/// | `steps` | steps that `golo::measure` timed | `count`, `rate` (per second) | `step`, `error`, `outcome` |
/// | `step_duration` | of a step | `avg min max med p(N)` | those of steps |
/// | `step_failed` | steps that failed, of all that ended or were cut off | `rate` (a share), `count` | those of steps |
/// | `checks` | checks that passed, of all that were made | `rate` (a share) | `check` |
/// | `tag{KEY}` | the values of a tag of triggers' responses, all of which must be numbers | `avg min max med p(N) count` | `outcome` |
/// | `tag{KEY:VALUE}` | tags that have this value, of all tags of this key | `count`, `rate` (a share) | `outcome` |
/// | `vus` | users at the end of each second; in the open model, triggers in flight | `min max` | |
///
/// Requests have the tags `route`, `method`, `status`, `origin` (`http://127.0.0.1:8765`), `error` (the word of its
/// kind: `dns`, `timeout`, `status`, …) and `outcome` (`passed` or `failed`). A series must match all that are given. A
/// value ends before a comma or the closing brace; braces in it balance, and `"…"` round it keeps anything.
///
/// A tag of a trigger is what the load test says of it in its [`Response`](crate::Response): `tag{size} p(95)<20000`,
/// `tag{status:500} rate<1%`, `tag{cache:hit,outcome:passed} rate>90%`. A key that no trigger has fails, also for `count`. A
/// key that is more than letters, digits, `_`, `-`, `.` and `/` stands in quotes. A value of the key `status` that is three
/// digits selects also those that begin with it, as `500 Internal Server Error`. A URL is compared as routes are: what varies
/// is `{id}`, and there is no query.
///
/// Series are limited in number. A route that a threshold selects has room of its own (1,000 series for all of them), and so
/// has one that the load test names (1,000 routes with 4,000 series). Of all other routes 1,000 series are told apart;
/// further requests are in `other`. A threshold fails, and says why, if requests that it may be about are there: one with a
/// `route` if the room of the selected routes is used up, and one with a `method` or an `origin` in any case.
///
/// Requests that the run cut off have no duration, and are in the shares alone. A step that `golo::measure` timed is no
/// request: `{method:MEASURE}` on a metric of requests selects steps instead. Rates per second are over the time in which
/// starts were made; what ended later is in no rate. See [`RateTime`](crate::report::RateTime). Of data, bodies alone count: of a request where it was responded to, of a response what has come.
///
/// A value is a number with a unit: `ns us µs ms s m h`, milliseconds without; for data `B kB MB GB KiB MiB GiB`; for a
/// share `%`, or a number from 0 to 1; else none. The values of tags have no unit, and may be below 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    metric: Metric,
    /// In the order of their keys, each at most once.
    tags: Vec<Tag>,
    statistic: Statistic,
    operator: Operator,
    limit: Limit,
}

impl Threshold {
    /// Returns the route, or the measured step, that it selects, if it has that tag.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        self.tags.iter().find_map(|tag| match tag {
            Tag::Route(name) | Tag::Step(name) => Some(&**name),
            _ => None,
        })
    }

    /// Whether a value that the statistic may have is within the threshold.
    fn holds(&self, value: f64) -> bool {
        self.operator.holds(value, self.limit.value())
    }

    /// The metric with its tags, as it is written.
    fn subject(&self) -> String {
        let tags: Vec<_> = self.tags.iter().map(Tag::to_string).collect();
        let name = self.metric.name();
        if tags.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", tags.join(",")) }
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse::threshold(text).map_err(|wrong| wrong.of(text))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}{}", self.subject(), self.statistic, self.operator, self.limit)
    }
}
