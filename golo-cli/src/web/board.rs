//! The state of one run as its page shows it, for a run that is going on and for a stored one.
//!
//! Seconds become rows of numbers. Tables are made of the latest measurements, only while somebody looks.

mod head;
mod points;
mod view;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use golo::engine::Progress;
use golo::engine::histogram::Histogram;
use golo::engine::plan::Plan;
use golo::report::{Point, RunOutcome, count, duration, per_second, percent};
use golo::run_loop::Order;
use tokio::sync::{mpsc, watch};

pub use head::{AgentRow, Names, State};
pub use view::Offer;

use head::Head;
use points::{COLUMNS, Ended, Points};
use view::{View, Views, samples};

/// The state of one run.
pub struct Board {
    names: Names,
    /// Receiver of the viewers' orders, if the run takes any.
    orders: Option<mpsc::Sender<Order>>,
    inner: Mutex<Inner>,
    viewers: AtomicUsize,
    changed: watch::Sender<u64>,
}

struct Inner {
    head: Head,
    /// Number of changes of the head.
    head_version: u64,
    plan: Option<Plan>,
    elapsed: Duration,
    points: Points,
    sums: Sums,
    views: Views,
}

/// Sums of the run so far.
#[derive(Default)]
struct Sums {
    ended: u64,
    failed: u64,
    durations: Histogram,
    /// The last second's number per second.
    rate: f64,
    users: u64,
}

/// Main figures of a run.
pub struct Figures {
    /// Description of the plan.
    pub plan: String,
    /// State, or the word of the verdict.
    pub state: String,
    /// Number of requests that ended; of measured steps if there are no requests.
    pub ended: u64,
    /// Number of them that failed.
    pub failed: u64,
    /// Number of them per second, in the last second.
    pub rate: f64,
    /// 95th percentile of their durations, in nanoseconds.
    pub p95: Option<u64>,
}

impl Inner {
    /// Records a change of the head.
    fn change(&mut self) {
        self.head_version += 1;
    }

    /// Returns the main figures so far as JSON: labels and texts.
    fn tiles(&self) -> String {
        let Sums { ended, failed, durations, rate, users } = &self.sums;
        let quantiles = durations.quantiles(&[0.5, 0.95, 0.99]).into_iter();
        let shown = |nanoseconds: Option<u64>| {
            nanoseconds.map_or_else(|| "-".to_owned(), |n| duration(Duration::from_nanos(n)))
        };
        let noun = if self.head.of_steps { "steps" } else { "requests" };
        let mut tiles = vec![
            (noun.to_owned(), count(*ended)),
            ("failed".to_owned(), percent(*failed, *ended)),
            (format!("{noun} a second"), per_second(*rate)),
        ];
        tiles.extend(["p50", "p95", "p99"].map(str::to_owned).into_iter().zip(quantiles.map(shown)));
        let load = if self.plan.as_ref().is_some_and(Plan::is_open) { "in flight" } else { "users" };
        tiles.push((load.to_owned(), count(*users)));
        serde_json::to_string(&tiles).unwrap_or_else(|_| "[]".to_owned())
    }

    fn head_json(&self) -> String {
        serde_json::to_string(&self.head).unwrap_or_else(|_| "null".to_owned())
    }
}

impl Board {
    /// Creates the board of a run. Viewers can steer the run if `orders` are given.
    #[must_use]
    pub fn new(names: Names, orders: Option<mpsc::Sender<Order>>) -> Arc<Self> {
        let inner = Inner {
            head: Head::new(names.clone(), orders.is_some()),
            head_version: 0,
            plan: None,
            elapsed: Duration::ZERO,
            points: Points::default(),
            sums: Sums::default(),
            views: Views::default(),
        };
        Arc::new(Self {
            names,
            orders,
            inner: Mutex::new(inner),
            viewers: AtomicUsize::new(0),
            changed: watch::Sender::new(0),
        })
    }

    /// Returns the names of the run.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Returns the receiver of orders, if the run takes any.
    #[must_use]
    pub fn orders(&self) -> Option<&mpsc::Sender<Order>> {
        self.orders.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.send_modify(|number| *number = number.wrapping_add(1));
        changed
    }

    /// Shows the plan of the run.
    pub fn set_plan(&self, plan: &Plan) {
        self.update(|inner| {
            let elapsed = inner.elapsed;
            inner.head.set_plan(plan, elapsed);
            inner.plan = Some(plan.clone());
            inner.change();
        });
    }

    /// Shows a state of the run. A run that has ended stays so.
    pub fn set_state(&self, state: State) {
        self.update(|inner| {
            if !inner.head.is_over {
                inner.head.set_state(state);
                inner.change();
            }
        });
    }

    /// Shows that the measured part has begun.
    pub fn set_started(&self, at: SystemTime) {
        self.update(|inner| {
            inner.head.set_started(at);
            inner.change();
        });
    }

    /// Shows the answer to a change of the load. `at` is the time from the start of the measured part to it, if it is
    /// known; otherwise it is that of the last second.
    pub fn add_change(&self, adjusted: &Result<Plan, String>, at: Option<Duration>) {
        self.update(|inner| {
            let at = at.unwrap_or(inner.elapsed);
            inner.head.add_change(adjusted, at);
            if let Ok(plan) = adjusted {
                inner.plan = Some(plan.clone());
            }
            inner.change();
        });
    }

    /// Shows the agents of a run that several share.
    pub fn set_agents(&self, agents: Vec<AgentRow>) {
        self.update(|inner| {
            if !inner.head.is_over && inner.head.set_agents(agents) {
                inner.change();
            }
        });
    }

    /// Adds a second that has ended.
    pub fn add_second(&self, progress: &Progress) {
        let point = Point::of(&progress.second, Duration::ZERO, progress.users);
        self.update(|inner| {
            // Steps count only as long as there is no request.
            if inner.sums.ended == 0 || (inner.head.of_steps && !point.durations.is_empty()) {
                let of_steps = point.durations.is_empty() && !point.steps.is_empty();
                if of_steps != inner.head.of_steps {
                    inner.head.of_steps = of_steps;
                    inner.sums = Sums::default();
                    inner.change();
                }
            }
            let ended = Ended::of(&point, inner.head.of_steps);
            let length = progress.elapsed.saturating_sub(inner.elapsed).as_secs_f64();
            let Inner { sums, points, plan, .. } = inner;
            sums.ended += ended.count;
            sums.failed += ended.failed;
            sums.durations.merge(ended.durations);
            sums.rate = if length > 0.0 { ended.count as f64 / length } else { 0.0 };
            sums.users = progress.users;
            points.push(progress, &ended, point.dropped, plan.as_ref());
            inner.elapsed = progress.elapsed;
        });
    }

    /// Takes measurements for the next view. Calls `offer` only if somebody looks and the view is due.
    pub fn offer(&self, offer: impl FnOnce() -> Offer) {
        if self.is_watched() && self.lock().views.is_due() {
            let offer = offer();
            self.update(|inner| inner.views.put(offer));
        }
    }

    /// Shows the end of the run.
    pub fn end(&self, outcome: RunOutcome) {
        let view = View::of(&outcome);
        // The process of a run that can be steered soon ends.
        let samples = (self.orders.is_some() && self.is_watched()).then(|| samples(&outcome.finished.totals));
        self.update(|inner| {
            inner.head.end(&outcome, &view.verdict);
            inner.views.last_samples = samples;
            inner.views.set(view, outcome.finished.totals.into_failures());
            inner.change();
        });
    }

    /// True if a second has been added.
    #[must_use]
    pub fn has_seconds(&self) -> bool {
        self.lock().points.len() > 0
    }

    /// True if the run has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.lock().head.is_over
    }

    /// True if somebody looks.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.viewers.load(Relaxed) > 0
    }

    /// Returns the memory of the charts' data, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().points.bytes()
    }

    /// Returns the main figures of the run so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let inner = self.lock();
        let Sums { ended, failed, durations, rate, .. } = &inner.sums;
        let (plan, state) = (inner.head.plan().to_owned(), inner.head.state().to_owned());
        Figures { plan, state, ended: *ended, failed: *failed, rate: *rate, p95: durations.quantile(0.95) }
    }

    /// True if there are measurements for the next view.
    pub(super) fn has_offer(&self) -> bool {
        self.lock().views.has_offer()
    }

    /// Makes the next view, if there are measurements for it.
    pub fn make_view(&self) {
        let offer = self.lock().views.take();
        if let Some(offer) = offer {
            let (view, failures) = View::of_offer(offer);
            let mut inner = self.lock();
            // The view of the end is final.
            if !inner.head.is_over {
                inner.views.set(view, failures);
            }
        }
    }

    /// Returns the samples of failed requests as JSON, if there is a view.
    #[must_use]
    pub fn samples(&self) -> Option<String> {
        let failures = self.lock().views.failures();
        failures.map(|failures| samples(&failures))
    }

    /// Adds a viewer.
    #[must_use]
    pub fn viewer(self: &Arc<Self>) -> Viewer {
        self.viewers.fetch_add(1, Relaxed);
        Viewer { board: Arc::clone(self), changed: self.changed.subscribe(), seen: None }
    }
}

/// Somebody who looks at a board.
pub struct Viewer {
    board: Arc<Board>,
    changed: watch::Receiver<u64>,
    seen: Option<Seen>,
}

/// What a viewer has received.
#[derive(Clone, Copy)]
struct Seen {
    halvings: u32,
    points: usize,
    head: u64,
    view: u64,
}

/// An event for a viewer.
pub struct News {
    /// Name of the event: `state` with everything, `second` with what has changed since, or `end` with everything.
    pub name: &'static str,
    /// The event as JSON.
    pub json: Bytes,
}

impl Viewer {
    /// Waits for a change of the board.
    pub async fn changed(&mut self) {
        // The board outlives its viewers, so the channel is open.
        _ = self.changed.changed().await;
    }

    /// Returns what the viewer has not received yet. If it is slow, that is more than one second.
    pub fn news(&mut self) -> Option<News> {
        self.changed.mark_unchanged();
        let inner = self.board.lock();
        let now = Seen {
            halvings: inner.points.halvings,
            points: inner.points.len(),
            head: inner.head_version,
            view: inner.views.version,
        };
        let before = self.seen.replace(now);
        let whole = |name| {
            let (points, step) = inner.points.all_json();
            let (head, tiles) = (inner.head_json(), inner.tiles());
            let view = inner.views.text.as_deref().unwrap_or("null");
            let columns = serde_json::to_string(&COLUMNS).unwrap_or_default();
            let samples = inner.views.last_samples.as_deref().unwrap_or("null");
            let json = format!(
                r#"{{"columns":{columns},"step":{step},"points":{points},"tiles":{tiles},"head":{head},"view":{view},"samples":{samples}}}"#
            );
            News { name, json: json.into() }
        };
        if inner.head.is_over {
            return Some(whole("end"));
        }
        let Some(before) = before.filter(|before| before.halvings == now.halvings) else {
            return Some(whole("state"));
        };
        let mut parts = Vec::new();
        if before.points < now.points {
            parts.push(format!(r#""points":{},"tiles":{}"#, inner.points.json(before.points), inner.tiles()));
        }
        if before.head != now.head {
            parts.push(format!(r#""head":{}"#, inner.head_json()));
        }
        if let Some(view) = inner.views.text.as_deref().filter(|_| before.view != now.view) {
            parts.push(format!(r#""view":{view}"#));
        }
        (!parts.is_empty()).then(|| News { name: "second", json: format!("{{{}}}", parts.join(",")).into() })
    }

    /// Returns the board.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.board.viewers.fetch_sub(1, Relaxed);
    }
}
