//! Series: the key of each measurement, and a fast lookup of the series of an output.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash};
use std::sync::Arc;

use rustc_hash::FxHasher;

use super::errors::ErrorKind;
use super::room::{Priority, Room, Selected};
use super::route;
use crate::OutputRef;
use crate::metrics::group::{self, GroupSample};
pub use crate::metrics::tag_set::TagPairs;
use crate::metrics::tag_set::{GROUP, OTHER, RequestTags};
use crate::request::measure;

/// Key and value of the only tag of requests whose own tags are past the limits.
const UNTAGGED: [(&str, &str); 1] = [("tags", OTHER)];

/// Number of outputs remembered by their text. A power of two.
const REMEMBERED: usize = 1 << REMEMBERED_BITS;
const REMEMBERED_BITS: u32 = 8;
/// Length in bytes of a URL, a name and a method that are remembered. Longer ones are rare, and would take much memory.
const LONGEST_REMEMBERED: usize = 2048;

type Hasher = BuildHasherDefault<FxHasher>;

/// The target of a request: a method, and a URL with its variable parts replaced. Also the tags of the request.
///
/// Labels that differ only in priority are equal. Reports by route merge labels that differ in tags, see
/// [`Label::target`].
#[derive(Debug, Clone)]
pub struct Label {
    /// Scheme, host and port. Empty if it is not HTTP.
    pub origin: Box<str>,
    /// Route name set by the load test, or the path with `{id}` in place of its variable parts.
    pub route: Box<str>,
    /// HTTP method, or `MEASURE` for a measured step.
    pub method: Box<str>,
    /// Tags of the requests.
    pub tags: TagPairs,
    /// Priority when there are too many series to keep them all. For `other`: the highest priority of the series in it.
    pub priority: Priority,
}

impl Label {
    /// Creates a label of ordinary priority, without tags.
    #[must_use]
    pub fn new(origin: impl Into<Box<str>>, route: impl Into<Box<str>>, method: impl Into<Box<str>>) -> Self {
        let (origin, route, method) = (origin.into(), route.into(), method.into());
        Self { origin, route, method, tags: TagPairs::default(), priority: Priority::Ordinary }
    }

    /// Returns the memory of the texts, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        self.origin.len() + self.route.len() + self.method.len() + tags
    }

    /// Returns the same label with these tags.
    #[must_use]
    pub fn with_tags(self, tags: TagPairs) -> Self {
        Self { tags, ..self }
    }

    /// Returns the same label with this priority.
    #[must_use]
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// Returns the label of all requests past the limits, or of all such measured steps. `priority` is the highest of
    /// theirs.
    pub(super) fn other(priority: Priority, is_step: bool) -> Self {
        let (route, method) = if is_step { ("", measure::METHOD) } else { ("other", "") };
        Self::new("", route, method).with_priority(priority)
    }

    /// Returns true if the label stands for all series past the limits.
    #[must_use]
    pub fn is_other(&self) -> bool {
        self.method.is_empty() || (self.route.is_empty() && self.is_step())
    }

    /// Returns the label that counts instead of `self` if its tags are past the limits: that of the same target with the
    /// tag `tags:other` alone. `None` if it has no other tags.
    pub(super) fn untagged(&self) -> Option<Self> {
        let has_tags = !self.tags.is_empty() && !self.is_untagged();
        has_tags.then(|| self.clone().with_tags(UNTAGGED.into_iter().collect()))
    }

    /// Returns true if the label stands for all tags past the limits of its target.
    #[must_use]
    pub fn is_untagged(&self) -> bool {
        self.tags.iter().eq(UNTAGGED)
    }

    /// Returns true if the label is of measured steps, which are not requests.
    #[must_use]
    pub fn is_step(&self) -> bool {
        *self.method == *measure::METHOD
    }

    /// Returns origin, route and method: what reports by route show in one row.
    #[must_use]
    pub fn target(&self) -> (&str, &str, &str) {
        (&self.origin, &self.route, &self.method)
    }

    fn identity(&self) -> ((&str, &str, &str), &TagPairs) {
        (self.target(), &self.tags)
    }
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

/// Outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The whole response arrived, with this status. A measured step that succeeded has status 0.
    Answered {
        /// HTTP status.
        status: u16,
        /// True if the load test does not expect this status, or expects none in particular and it is 400 or more.
        failed: bool,
    },
    /// The whole response arrived with this status, but the load test does not accept its content.
    Content {
        /// HTTP status.
        status: u16,
    },
    /// The whole response did not arrive, due to an error of this kind.
    Failed(ErrorKind),
    /// The request was cut off by the run.
    Interrupted,
}

impl Outcome {
    fn of(output: &OutputRef<'_>) -> Self {
        match &output.error {
            None => Self::Answered { status: output.status, failed: output.is_failed() },
            Some(error) => match (ErrorKind::of(error), output.status) {
                (ErrorKind::Content, status @ 1..) => Self::Content { status },
                (kind, _) => Self::Failed(kind),
            },
        }
    }

    /// Returns the status of the response, or `None` if no whole response arrived. `None` for a measured step.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } | Self::Content { status } => Some(status).filter(|status| *status > 0),
            Self::Failed(_) | Self::Interrupted => None,
        }
    }

    /// Returns true if the request counts as failed. A request cut off by the run counts neither as failed nor as
    /// passed.
    #[must_use]
    pub fn is_failed(self) -> bool {
        matches!(self, Self::Failed(_) | Self::Content { .. } | Self::Answered { failed: true, .. })
    }
}

/// A series: one line of measurement, by label and outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    /// Target of the requests.
    pub label: Arc<Label>,
    /// Outcome of the requests.
    pub outcome: Outcome,
}

impl Series {
    /// Returns the series that counts instead of `self` if it is past the limits. Requests and measured steps have one
    /// each.
    #[must_use]
    pub fn beyond(&self) -> Self {
        Self { label: Arc::new(Label::other(self.label.priority, self.is_step())), outcome: self.outcome }
    }

    /// Returns the series of the same target without its tags, which counts instead of `self` if there is room for it.
    pub(super) fn untagged(&self) -> Option<Self> {
        self.label.untagged().map(|label| Self { label: Arc::new(label), outcome: self.outcome })
    }

    /// Returns true if the series is of measured steps, which are not requests.
    ///
    /// Up to golo 0.1, steps past the limit were counted in the same series as requests. Of these, only steps that
    /// succeeded can be recognised, since they have no status.
    #[must_use]
    pub fn is_step(&self) -> bool {
        let is_answered = matches!(self.outcome, Outcome::Answered { status: 0, .. });
        self.label.is_step() || (self.label.is_other() && is_answered)
    }
}

/// Labels and series of one recorder, each with its own number.
#[derive(Default)]
pub struct Index {
    labels: Vec<Arc<Label>>,
    by_label: HashMap<Arc<Label>, u32, Hasher>,
    /// Series of each label. Few, so a linear search is enough.
    outcomes: Vec<Vec<(Outcome, u32)>>,
    /// Counts of series, to tell if there is room for more.
    room: Room,
    /// Routes and tags that thresholds select.
    selected: Selected,
    remembered: Vec<Option<Remembered>>,
}

/// An output seen before, by the text that its label was made of.
struct Remembered {
    label: u32,
    is_named: bool,
    method: Box<str>,
    /// The origin if the load test named the route, else the whole URL.
    url: Box<str>,
    /// The route if the load test named it, else empty.
    name: Box<str>,
    tags: RequestTags,
}

/// A series of an [`Index`].
pub enum Found {
    /// Number of a series that existed before.
    Known(u32),
    /// A new series. Its number is the next one.
    New {
        /// Number of its label.
        label: u32,
        /// Outcome of its requests.
        outcome: Outcome,
    },
}

impl Index {
    /// Creates an empty index that keeps room for the selected routes.
    pub fn selecting(selected: Selected) -> Self {
        Self { selected, ..Self::default() }
    }

    /// Returns the number of the label of `output`.
    pub fn label(&mut self, output: &OutputRef<'_>) -> u32 {
        let is_named = output.route.is_some();
        let name = output.route.as_deref().unwrap_or_default();
        let url = if is_named { route::split(&output.url).0 } else { &*output.url };
        // The method is left out of the hash because it varies least. A wrong guess costs one comparison.
        let hash = Hasher::default().hash_one((url, name, output.tags.number()));
        let slot = (hash >> (u64::BITS - REMEMBERED_BITS)) as usize;
        if let Some(Some(known)) = self.remembered.get(slot)
            && known.is_named == is_named
            && *known.url == *url
            && *known.name == *name
            && *known.method == *output.method
            && known.tags.is_identical(&output.tags)
        {
            return known.label;
        }
        let label = self.look_up(output);
        if url.len().max(name.len()).max(output.method.len()) > LONGEST_REMEMBERED {
            return label;
        }
        if self.remembered.is_empty() {
            self.remembered.resize_with(REMEMBERED, || None);
        }
        self.remembered[slot] = Some(Remembered {
            label,
            is_named,
            method: (&*output.method).into(),
            url: url.into(),
            name: name.into(),
            tags: output.tags.clone(),
        });
        label
    }

    fn look_up(&mut self, output: &OutputRef<'_>) -> u32 {
        let (origin, path) = route::split(&output.url);
        let route = match &output.route {
            Some(name) => route::name(name),
            None => route::template(path),
        };
        let tags = output.tags.with_pairs(TagPairs::clone);
        let priority = match &output.route {
            _ if self.selected.has(&route) || self.selected.has_tag_of(&tags) => Priority::Selected,
            Some(_) => Priority::Named,
            None => Priority::Ordinary,
        };
        let origin = if output.route.as_deref() == Some(&*output.url) { "".into() } else { route::bounded(origin) };
        let label = Label::new(&*origin, &*route, &*route::bounded(&output.method));
        let label = label.with_tags(tags).with_priority(priority);
        self.number(&label).unwrap_or_else(|| {
            let untagged = label.untagged().and_then(|untagged| self.number(&untagged));
            untagged.unwrap_or_else(|| self.other(priority, label.is_step()))
        })
    }

    /// Returns the number of a label after raising its priority, or `None` if it is new and there is no room for it.
    fn number(&mut self, label: &Label) -> Option<u32> {
        match self.by_label.get(label) {
            Some(&known) => {
                self.raise(known, label.priority);
                Some(known)
            }
            None => self.room.has_room(label).then(|| self.add(label.clone())),
        }
    }

    /// Returns the number of the label of a group's step in journeys.
    pub fn group(&mut self, sample: &GroupSample) -> u32 {
        let tags = sample.tags.with_pairs(TagPairs::clone);
        let name: Box<str> = tags.get(GROUP).unwrap_or_default().into();
        let label = Label::new("", name, group::METHOD).with_tags(tags);
        self.by_label.get(&label).copied().unwrap_or_else(|| self.add(label))
    }

    /// Returns the number of the label of all requests, or steps, past the limits, after raising its priority.
    fn other(&mut self, priority: Priority, is_step: bool) -> u32 {
        let other = Label::other(priority, is_step);
        match self.by_label.get(&other) {
            Some(&known) => {
                self.raise(known, priority);
                known
            }
            None => self.add(other),
        }
    }

    /// Raises the priority of a label if it was lower.
    fn raise(&mut self, label: u32, priority: Priority) {
        let number = label as usize;
        let known = &self.labels[number];
        if known.priority < priority {
            let raised = Arc::new(Label::clone(known).with_priority(priority));
            self.room.raise(&raised, known.priority, self.outcomes[number].len());
            self.labels[number] = raised;
        }
    }

    fn add(&mut self, label: Label) -> u32 {
        let number = self.labels.len() as u32;
        let label = Arc::new(label);
        self.labels.push(Arc::clone(&label));
        self.by_label.insert(label, number);
        self.outcomes.push(Vec::new());
        number
    }

    /// Returns the series of `output` under this label. `next` is the number of a new series.
    pub fn series(&mut self, label: u32, output: &OutputRef<'_>, is_cut: bool, next: u32) -> Found {
        let outcome = if is_cut { Outcome::Interrupted } else { Outcome::of(output) };
        match self.known(label, outcome) {
            Some(series) => Found::Known(series),
            None if self.room.take(&self.labels[label as usize]) => self.new_series(label, outcome, next),
            None => {
                let label = Arc::clone(&self.labels[label as usize]);
                if let Some(untagged) = label.untagged().and_then(|untagged| self.number(&untagged)) {
                    match self.known(untagged, outcome) {
                        Some(series) => return Found::Known(series),
                        None if self.room.take(&self.labels[untagged as usize]) => {
                            return self.new_series(untagged, outcome, next);
                        }
                        None => {}
                    }
                }
                let other = self.other(label.priority, label.is_step());
                self.known(other, outcome).map_or_else(|| self.new_series(other, outcome, next), Found::Known)
            }
        }
    }

    fn known(&self, label: u32, outcome: Outcome) -> Option<u32> {
        self.outcomes[label as usize].iter().find(|(known, _)| *known == outcome).map(|&(_, series)| series)
    }

    fn new_series(&mut self, label: u32, outcome: Outcome, next: u32) -> Found {
        self.outcomes[label as usize].push((outcome, next));
        Found::New { label, outcome }
    }

    /// Returns the label with this number, or `other` if the number belongs to another index.
    #[must_use]
    pub fn text(&self, label: u32) -> Arc<Label> {
        let unknown = || Arc::new(Label::other(Priority::Ordinary, false));
        self.labels.get(label as usize).map_or_else(unknown, Arc::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::recorder::Recorder;
    use crate::engine::room::{NAMED_ROUTES, NAMED_SERIES, SELECTED_SERIES, SERIES, UNTAGGED_SERIES};
    use crate::engine::snapshot::Snapshot;

    const LINE: &str = r#"{"sequenceID":"","url":"http://a/","method":"GET","status":200,"size":12,"timestamp":"2026-11-22T10:05:13Z","duration":30,"error":null}"#;

    /// Records a request of each of `users` users to a route, which the load test names if `is_named`.
    fn requests(recorder: &mut Recorder, route: &str, is_named: bool, users: usize) {
        for user in 0..users {
            let mut output = OutputRef::parse(LINE).unwrap();
            output.url = format!("http://a/{route}").into();
            output.route = is_named.then(|| route.to_owned().into());
            output.tags = [("user", user.to_string())].into_iter().collect();
            recorder.output(&output);
        }
    }

    /// Returns the number of requests in `other`, of those whose tags are past the limit, and of all.
    fn counts(totals: &Snapshot) -> [u64; 3] {
        let of = |is_wanted: fn(&Label) -> bool| {
            let wanted = totals.requests.iter().filter(|(series, _)| is_wanted(&series.label));
            wanted.map(|(_, measure)| measure.durations.count()).sum()
        };
        [of(Label::is_other), of(Label::is_untagged), of(|_| true)]
    }

    #[test]
    fn route_stays_known_when_its_tags_are_past_the_limit() {
        let mut recorder = Recorder::default();
        requests(&mut recorder, "ordinary", false, SERIES + 50);
        requests(&mut recorder, "late", false, 3);
        requests(&mut recorder, "named", true, NAMED_SERIES + 70);
        let totals = recorder.take();
        assert_eq!(counts(&totals), [0, 50 + 3 + 70, (SERIES + NAMED_SERIES + 123) as u64]);
        // The next second has its own limits, and the whole run has them again.
        requests(&mut recorder, "next", false, 5);
        let mut run = totals.clone();
        run.merge(&recorder.take());
        run.merge(&totals);
        assert_eq!(counts(&run), [0, 2 * 123 + 5, 2 * (SERIES + NAMED_SERIES + 123) as u64 + 5]);
        assert!(run.requests.len() <= SERIES + NAMED_SERIES + 4);
    }

    #[test]
    fn named_routes_are_counted_without_their_tags() {
        let mut recorder = Recorder::default();
        for route in 0..NAMED_ROUTES {
            requests(&mut recorder, &format!("r{route}"), true, 3);
        }
        assert_eq!(counts(&recorder.take()), [0, 0, 3 * NAMED_ROUTES as u64]);
        requests(&mut recorder, "further", true, 1);
        assert_eq!(counts(&recorder.take()), [0, 1, 1]);
    }

    #[test]
    fn selected_tags_past_the_limit_have_the_priority_of_selected_ones() {
        let selected =
            Selected::default().with_tags((0..2 * SELECTED_SERIES).map(|n| ("user".to_owned(), n.to_string())));
        let mut recorder = Recorder::selecting(selected);
        requests(&mut recorder, "route", true, SELECTED_SERIES + 1);
        let totals = recorder.take();
        assert_eq!(counts(&totals), [0, 1, SELECTED_SERIES as u64 + 1]);
        let priorities = totals.requests.keys().filter(|series| series.label.is_untagged());
        assert!(priorities.map(|series| series.label.priority).eq([Priority::Selected]));
    }

    #[test]
    fn number_of_routes_without_their_tags_is_limited_too() {
        let mut recorder = Recorder::default();
        requests(&mut recorder, "first", false, SERIES);
        for route in 0..UNTAGGED_SERIES + 20 {
            let letters = route.to_string().bytes().map(|digit| char::from(digit + b'a' - b'0')).collect::<String>();
            requests(&mut recorder, &format!("of-{letters}"), false, 1);
        }
        assert_eq!(counts(&recorder.take()), [20, UNTAGGED_SERIES as u64, (SERIES + UNTAGGED_SERIES) as u64 + 20]);
    }
}
