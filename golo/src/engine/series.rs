//! Series: what a measurement is filed under, and finding the right one fast.

use std::{
    cmp::Ordering,
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hash},
    sync::Arc,
};

use rustc_hash::FxHasher;

use super::{
    errors::ErrorKind,
    room::{Priority, Room, Selected},
    route,
};
use crate::{OutputRef, request::measure};

/// Outputs whose series are remembered by their text; a power of two.
const REMEMBERED: usize = 1 << REMEMBERED_BITS;
const REMEMBERED_BITS: u32 = 8;

type Hasher = BuildHasherDefault<FxHasher>;

/// What was requested: a method, and a URL with what varies taken out.
///
/// Two labels of different priorities are the same label.
#[derive(Debug, Clone)]
pub struct Label {
    /// The scheme, host and port; empty for what is no HTTP.
    pub origin: Box<str>,
    /// The name that the load test gave, or the path with what varies as `{id}`.
    pub route: Box<str>,
    /// The method, or `MEASURE` for a measured step.
    pub method: Box<str>,
    /// Which series are kept apart first when there are too many. Of `other`: the highest priority of what is in it.
    pub priority: Priority,
}

impl Label {
    /// A label of ordinary priority.
    #[must_use]
    pub fn new(origin: impl Into<Box<str>>, route: impl Into<Box<str>>, method: impl Into<Box<str>>) -> Self {
        Self { origin: origin.into(), route: route.into(), method: method.into(), priority: Priority::Ordinary }
    }

    /// The same label with this priority.
    #[must_use]
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// The label of all requests past the limits, or of all measured steps; `priority` is the highest of those.
    pub(super) fn other(priority: Priority, is_step: bool) -> Self {
        let (route, method) = if is_step { ("", measure::METHOD) } else { ("other", "") };
        Self::new("", route, method).with_priority(priority)
    }

    /// Whether it stands for all series past the limits.
    #[must_use]
    pub fn is_other(&self) -> bool {
        self.method.is_empty() || (self.route.is_empty() && self.is_step())
    }

    /// Whether it is of measured steps, which are no requests.
    #[must_use]
    pub fn is_step(&self) -> bool {
        *self.method == *measure::METHOD
    }

    fn identity(&self) -> (&str, &str, &str) {
        (&self.origin, &self.route, &self.method)
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

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A whole response came, with this status; a measured step that succeeded has 0.
    Answered {
        /// The HTTP status.
        status: u16,
        /// Whether the load test expected another.
        failed: bool,
    },
    /// A whole response came, with this status, and the load test does not accept its content.
    Content {
        /// The HTTP status.
        status: u16,
    },
    /// No whole response came, for a reason of this kind.
    Failed(ErrorKind),
    /// The run cut it off.
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

    /// The status of the whole response; none if none came, and of a measured step.
    #[must_use]
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Answered { status, .. } | Self::Content { status } => Some(status).filter(|status| *status > 0),
            Self::Failed(_) | Self::Interrupted => None,
        }
    }

    /// Whether it counts as failed. One that the run cut off counts as neither.
    #[must_use]
    pub fn is_failed(self) -> bool {
        matches!(self, Self::Failed(_) | Self::Content { .. } | Self::Answered { failed: true, .. })
    }
}

/// One line of measurement: what was requested, and how that ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    /// What was requested.
    pub label: Arc<Label>,
    /// How it ended.
    pub outcome: Outcome,
}

impl Series {
    /// The series that counts for `self` if it is past the limits: requests and measured steps have one each.
    #[must_use]
    pub fn beyond(&self) -> Self {
        Self { label: Arc::new(Label::other(self.label.priority, self.is_step())), outcome: self.outcome }
    }

    /// Whether it is of measured steps, which are no requests.
    ///
    /// Up to golo 0.1, steps past the limit went where requests did. Of these only steps that succeeded can be told: they
    /// have no status.
    #[must_use]
    pub fn is_step(&self) -> bool {
        let is_answered = matches!(self.outcome, Outcome::Answered { status: 0, .. });
        self.label.is_step() || (self.label.is_other() && is_answered)
    }
}

/// The labels and series of one recorder, each with a number of its own.
#[derive(Default)]
pub struct Index {
    labels: Vec<Arc<Label>>,
    by_label: HashMap<Arc<Label>, u32, Hasher>,
    /// The series of each label: few, so looked through in order.
    outcomes: Vec<Vec<(Outcome, u32)>>,
    /// Room for further series.
    room: Room,
    /// Routes that thresholds select.
    selected: Selected,
    remembered: Vec<Option<Remembered>>,
}

/// An output that came before, by what its label was made of.
struct Remembered {
    label: u32,
    is_named: bool,
    method: Box<str>,
    /// The origin where the load test named the route, else the whole URL.
    url: Box<str>,
    /// The route where the load test named it.
    name: Box<str>,
}

/// A series of an [`Index`].
pub enum Found {
    /// The number of a series that was there before.
    Known(u32),
    /// A series that is there from now on. Its number is the next one.
    New {
        /// The number of its label.
        label: u32,
        /// How its requests ended.
        outcome: Outcome,
    },
}

impl Index {
    /// An empty index that always has room for the selected routes.
    pub fn selecting(selected: Selected) -> Self {
        Self { selected, ..Self::default() }
    }

    /// The number of the label that `output` belongs to.
    pub fn label(&mut self, output: &OutputRef<'_>) -> u32 {
        let is_named = output.route.is_some();
        let name = output.route.as_deref().unwrap_or_default();
        let url = if is_named { route::split(&output.url).0 } else { &*output.url };
        // The method changes least, and a wrong guess costs a comparison.
        let hash = Hasher::default().hash_one((url, name));
        let slot = (hash >> (u64::BITS - REMEMBERED_BITS)) as usize;
        if let Some(Some(known)) = self.remembered.get(slot)
            && known.is_named == is_named
            && *known.url == *url
            && *known.name == *name
            && *known.method == *output.method
        {
            return known.label;
        }
        let label = self.look_up(output);
        if self.remembered.is_empty() {
            self.remembered.resize_with(REMEMBERED, || None);
        }
        self.remembered[slot] =
            Some(Remembered { label, is_named, method: (&*output.method).into(), url: url.into(), name: name.into() });
        label
    }

    fn look_up(&mut self, output: &OutputRef<'_>) -> u32 {
        let (origin, path) = route::split(&output.url);
        let route = match &output.route {
            Some(name) => route::name(name),
            None => route::template(path),
        };
        let priority = match &output.route {
            _ if self.selected.has(&route) => Priority::Selected,
            Some(_) => Priority::Named,
            None => Priority::Ordinary,
        };
        let origin = if output.route.as_deref() == Some(&*output.url) { "".into() } else { route::bounded(origin) };
        let label = Label::new(&*origin, &*route, &*route::bounded(&output.method)).with_priority(priority);
        match self.by_label.get(&label) {
            Some(&known) => {
                self.raise(known, priority);
                known
            }
            None if self.room.has_room(&label) => self.add(label),
            None => self.other(priority, label.is_step()),
        }
    }

    /// Returns the number of the label of all requests, or steps, past the limits, now that one of this priority goes there.
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

    /// Raises the priority of a label, if it was lower.
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

    /// The series of a label that `output` belongs to; `next` is the number of a new one.
    pub fn series(&mut self, label: u32, output: &OutputRef<'_>, is_cut: bool, next: u32) -> Found {
        let outcome = if is_cut { Outcome::Interrupted } else { Outcome::of(output) };
        match self.known(label, outcome) {
            Some(series) => Found::Known(series),
            None if self.room.take(&self.labels[label as usize]) => self.new_series(label, outcome, next),
            None => {
                let label = &self.labels[label as usize];
                let (priority, is_step) = (label.priority, label.is_step());
                let other = self.other(priority, is_step);
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

    /// Returns the label behind a number, or `other` if the number is of another index.
    #[must_use]
    pub fn text(&self, label: u32) -> Arc<Label> {
        let unknown = || Arc::new(Label::other(Priority::Ordinary, false));
        self.labels.get(label as usize).map_or_else(unknown, Arc::clone)
    }
}
