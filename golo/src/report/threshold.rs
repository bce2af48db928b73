//! Thresholds: conditions that a run must meet, as `http_req_duration p(95)<200ms`.

mod error;
mod failures;
mod hidden;
mod judge;
mod limit;
mod metric;
mod operator;
mod own;
mod parse;
mod room;
mod samples;
mod scenario;
mod sliding;
mod tag;
#[cfg(test)]
mod tests;
mod trigger_tags;
mod watch;
mod window;

use std::{fmt, str::FromStr, time::Duration};

use crate::metrics::scope;

pub use error::ThresholdError;
pub(super) use failures::is_noteworthy;
pub use judge::{Actual, Judged};
use limit::Limit;
use metric::{Metric, Statistic};
use operator::Operator;
pub use room::Room;
pub use samples::{Measured, Users};
use tag::{Key, Tag};
pub use watch::Watch;
pub use window::WindowCounts;

use crate::engine::plan::Time;

/// A condition that a run must meet: `METRIC[{tag:value,…}] STATISTIC OPERATOR VALUE [over TIME]`.
///
/// [`Display`](fmt::Display) writes it in the shortest form, which parses to an equal threshold.
///
/// | metric | meaning | statistics | tags |
/// |---|---|---|---|
/// | `http_reqs` | requests that ended | `count`, `rate` (per second) | those of requests |
/// | `http_req_duration` | time from sending a request to the last byte of its body | `avg min max med p(N)` | those of requests |
/// | `http_req_blocked` | time inside golo, waiting for a connection or a stream | the same | the same |
/// | `http_req_dns` | time to look up the host name | the same | the same |
/// | `http_req_connecting` | time to make the TCP connection | the same | the same |
/// | `http_req_tls_handshaking` | time of the TLS handshake | the same | the same |
/// | `http_req_sending` | time to send the request | the same | the same |
/// | `http_req_waiting` | time from there to the first byte of the response | the same | the same |
/// | `http_req_receiving` | time from there to the last byte of the response | the same | the same |
/// | `http_req_failed` | requests that failed, of all that ended or were cut off | `rate` (a share), `count` | those of requests |
/// | `http_req_interrupted` | requests that the run cut off, of the same | `rate` (a share), `count` | those of requests |
/// | `data_sent`, `data_received` | bytes of bodies | `count`, `rate` (per second) | those of requests |
/// | `iterations` | triggers that ended, including failed ones | `count`, `rate` (per second) | |
/// | `iteration_duration` | duration of a trigger from its start, without think time | `avg min max med p(N)` | |
/// | `iteration_response` | duration of a trigger from its due time, without think time | the same | |
/// | `iteration_failed` | triggers that failed, of all that ended or were cut off | `rate` (a share), `count` | |
/// | `iteration_interrupted` | triggers that the run cut off, of the same | `rate` (a share), `count` | |
/// | `dropped_iterations` | starts that did not happen | `count`, `rate` (per second) | |
/// | `journey_duration` | duration of a journey, from its first request to the end of its last | the same | |
/// | `user_start_duration` | time that users took to start, for users that started | the same | |
/// | `steps` | steps that `golo::measure` timed | `count`, `rate` (per second) | `step`, `error`, `outcome` |
/// | `step_duration` | duration of a step | `avg min max med p(N)` | those of steps |
/// | `step_failed` | steps that failed, of all that ended or were cut off | `rate` (a share), `count` | those of steps |
/// | `checks` | checks that passed, of all that were made | `rate` (a share) | `check` |
/// | `tag{KEY}` | values of a tag of triggers' responses; all must be numbers | `avg min max med p(N) count` | `outcome` |
/// | `tag{KEY:VALUE}` | tags that have this value, of all tags of this key | `count`, `rate` (a share) | `outcome` |
/// | `vus` | users at the end of each second; in the open model, triggers in flight | `min max` | |
///
/// | `group_duration` | duration of a [`group`](crate::group()), without think time | `avg min max med p(N)` | `group`, and those that the load test sets |
/// | any other name | a metric of the load test's own | by its kind | those that the load test sets |
///
/// A metric of the load test's own has statistics by its kind: a [counter](crate::counter()) has `count` (its sum) and
/// `rate` (per second), a [gauge](crate::gauge()) has `value`, `min` and `max`, a [trend](crate::trend()) has
/// `avg min max med p(N) count`, and a [rate](crate::rate()) has `rate` (a share). Its kind is known when it is recorded,
/// so a wrong statistic, or a name that was not recorded, fails the threshold at the end of the run. A name that is like
/// one of golo's own is refused at once.
///
/// Metrics of requests, steps and groups and those of the load test's own also have the tags that the load test sets by
/// [`tag`](crate::tag()) and [`Request::tag`](crate::Request::tag): `http_req_duration{tenant:blue} p(95)<200ms`. If
/// nothing was recorded with the tag, the threshold fails. See
/// [Metrics, tags and groups](crate::metrics_tags_and_groups).
///
/// Requests have the tags `route`, `method`, `status`, `origin` (`http://127.0.0.1:8765`), `error` (the word of its
/// kind: `dns`, `timeout`, `status`, …) and `outcome` (`passed` or `failed`). A series must match all tags of the
/// threshold. A value ends before a comma or the closing brace. Braces in it must balance. A value in quotes (`"…"`)
/// may contain anything.
///
/// A tag of a trigger is a tag that the load test sets in its [`Response`](crate::Response): `tag{size} p(95)<20000`,
/// `tag{status:500} rate<1%`, `tag{cache:hit,outcome:passed} rate>90%`. If no trigger has the key, the threshold fails,
/// even with `count`. A key must be quoted if it contains anything but letters, digits, `_`, `-`, `.` and `/`. A value
/// of the key `status` that consists of three digits also selects values that begin with it, such as `500 Internal
/// Server Error`. A URL is compared as routes are: variable parts are `{id}`, and there is no query.
///
/// The number of series is limited. A route that a threshold selects has room of its own (1,000 series for all of
/// them), and so has a route that the load test names (1,000 routes with 4,000 series). All other routes share 1,000
/// series; further requests are counted as `other`. A threshold fails with an explanation if `other` contains requests
/// that it may select. For a threshold with a `route` this happens if the room of the selected routes is used up, and
/// for one with a `method` or an `origin` in any case.
///
/// Each request has one sample of each phase, which is 0 if the phase did not happen: a request on a reused connection
/// has an `http_req_connecting` of 0. If the load test sends requests with a client of its own, their phases are unknown;
/// only the time from sending to the headers is known, as `http_req_waiting`, if the whole response came.
///
/// Requests that the run cut off have no duration; only the shares count them. A step that `golo::measure` timed is not
/// a request: `{method:MEASURE}` on a metric of requests selects steps instead. Rates per second cover the time during
/// which triggers were started. No rate counts what ended later. See [`RateTime`](crate::report::RateTime). Data counts
/// bodies only: the body of a request if it got a response, and the part of a response's body that was received.
///
/// With `over 30s` the threshold must hold in each window of that length that ends at a whole second of the load, and
/// the worst window is reported. The length is whole seconds, from 1 s to 1 h. A window without samples of a
/// distribution or a share is not judged, and if no window has any, the threshold fails. A counter is 0 in it. With the
/// tag `scenario` the load is that of the scenario. If the load is shorter than one window, the whole run is judged.
///
/// A value is a number with a unit: `ns us µs ms s m h`, or milliseconds without a unit; for data `B kB MB GB KiB MiB
/// GiB`; for a share `%`, or a number from 0 to 1; otherwise no unit. The values of tags have no unit and may be
/// negative.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    metric: Metric,
    /// Name of a metric of the load test's own.
    own: Option<Box<str>>,
    /// Tags in the order of their keys. Each key occurs at most once.
    tags: Vec<Tag>,
    statistic: Statistic,
    operator: Operator,
    limit: Limit,
    /// Length of the sliding windows, if it is over windows.
    over: Option<Duration>,
}

impl Threshold {
    /// Returns the route or the measured step that the threshold selects, if it has that tag.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        self.tags.iter().find_map(|tag| match tag {
            Tag::Name(Key::Route | Key::Step, name) => Some(&**name),
            _ => None,
        })
    }

    /// Returns the scenario whose triggers the threshold selects, if it has that tag.
    #[must_use]
    pub(super) fn scenario(&self) -> Option<&str> {
        self.tags.iter().find_map(|tag| match tag {
            Tag::Name(Key::Scenario, name) => Some(&**name),
            _ => None,
        })
    }

    /// Parses a threshold for one scenario only.
    ///
    /// # Errors
    ///
    /// Returns the mistake, or the reason if its metric is not measured for each scenario.
    pub fn of_scenario_text(scenario: &str, text: &str) -> Result<Self, String> {
        let threshold = text.parse::<Self>().map_err(|error| error.to_string())?;
        threshold.of_scenario(scenario)
    }

    /// Returns the threshold for one scenario only.
    ///
    /// # Errors
    ///
    /// Returns the reason if its metric is not measured for each scenario.
    pub(crate) fn of_scenario(mut self, name: &str) -> Result<Self, String> {
        let tag = if self.metric.keys().contains(&Key::Scenario) {
            Tag::Name(Key::Scenario, name.into())
        } else if self.metric.has_own_tags() {
            Tag::own(scope::SCENARIO, name)
        } else {
            return Err(format!("`{}` is not measured for each scenario", self.name()));
        };
        self.tags.retain(|other| other.name() != tag.name());
        self.tags.push(tag);
        self.tags.sort_by(|one, other| (one.key(), one.name()).cmp(&(other.key(), other.name())));
        Ok(self)
    }

    /// Returns the tags of requests that the threshold selects, of those that the load test sets.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags.iter().filter_map(|tag| match tag {
            Tag::Own { key, value } => Some((&**key, &**value)),
            _ => None,
        })
    }

    /// Returns the name of the metric.
    fn name(&self) -> &str {
        self.own.as_deref().unwrap_or(self.metric.name())
    }

    /// Returns the length of the sliding windows in which the threshold must hold, if it is over windows.
    #[must_use]
    pub fn over(&self) -> Option<Duration> {
        self.over
    }

    /// Returns true if `value` meets the threshold.
    fn holds(&self, value: f64) -> bool {
        self.operator.holds(value, self.limit.value())
    }

    /// Returns the metric with its tags, as written in a threshold.
    fn subject(&self) -> String {
        let tags: Vec<_> = self.tags.iter().map(Tag::to_string).collect();
        let name = self.name();
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
        write!(f, "{} {}{}{}", self.subject(), self.statistic, self.operator, self.limit)?;
        self.over.map_or(Ok(()), |length| write!(f, " over {}", Time(length)))
    }
}
