//! Series: what a measurement is filed under, and finding the right one fast.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault},
    sync::Arc,
};

use rustc_hash::FxHasher;

use super::{errors::ErrorKind, route};
use crate::OutputRef;

/// Most series that are told apart; what comes later counts as [`Series::other`].
pub const SERIES: usize = 1000;
/// Outputs whose series are remembered by their text; a power of two.
const REMEMBERED: usize = 1 << REMEMBERED_BITS;
const REMEMBERED_BITS: u32 = 8;

type Hasher = BuildHasherDefault<FxHasher>;

/// What was requested: a method, and a URL with what varies taken out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// The scheme, host and port; empty for what is no HTTP.
    pub origin: Box<str>,
    /// The name that the load test gave, or the path with what varies as `{id}`.
    pub route: Box<str>,
    /// The method, or `MEASURE` for a measured step.
    pub method: Box<str>,
}

impl Label {
    /// What is left over where there are too many.
    fn other() -> Self {
        Self { origin: "".into(), route: "other".into(), method: "".into() }
    }

    /// Whether it stands for all that came after [`SERIES`] others.
    #[must_use]
    pub fn is_other(&self) -> bool {
        self.method.is_empty()
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
    /// No whole response came, for a reason of this kind.
    Failed(ErrorKind),
    /// The run cut it off.
    Interrupted,
}

impl Outcome {
    fn of(output: &OutputRef<'_>) -> Self {
        match &output.error {
            None => Self::Answered { status: output.status, failed: output.is_failed() },
            Some(error) => Self::Failed(ErrorKind::of(error)),
        }
    }

    /// Whether it counts as failed. One that the run cut off counts as neither.
    #[must_use]
    pub fn is_failed(self) -> bool {
        matches!(self, Self::Failed(_) | Self::Answered { failed: true, .. })
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
    /// Where a series goes that is one too many.
    #[must_use]
    pub fn other(outcome: Outcome) -> Self {
        Self { label: Arc::new(Label::other()), outcome }
    }
}

/// The labels and series of one recorder, each with a number of its own.
#[derive(Default)]
pub struct Index {
    labels: Vec<Arc<Label>>,
    by_label: HashMap<Arc<Label>, u32, Hasher>,
    /// The series of each label: few, so looked through in order.
    outcomes: Vec<Vec<(Outcome, u32)>>,
    /// Series told apart so far, those of `other` beside.
    series: usize,
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
    /// One that was there.
    Known(u32),
    /// One that is there from now on, under the number that was the next.
    New(Series),
}

impl Index {
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
            Some(name) => route::bounded(name),
            None => route::template(path),
        };
        let origin = if *output.url == *route { "".into() } else { route::bounded(origin) };
        let label =
            Label { origin: (*origin).into(), route: (*route).into(), method: route::bounded(&output.method).into() };
        match self.by_label.get(&label) {
            Some(&known) => known,
            None if self.series < SERIES => self.add(label),
            None => self.other(),
        }
    }

    /// The number of the label for what is one too many.
    fn other(&mut self) -> u32 {
        let other = Label::other();
        self.by_label.get(&other).copied().unwrap_or_else(|| self.add(other))
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
            None if self.series < SERIES => self.new_series(label, outcome, next),
            None => {
                let other = self.other();
                self.known(other, outcome).map_or_else(|| self.new_series(other, outcome, next), Found::Known)
            }
        }
    }

    fn known(&self, label: u32, outcome: Outcome) -> Option<u32> {
        self.outcomes[label as usize].iter().find(|(known, _)| *known == outcome).map(|&(_, series)| series)
    }

    fn new_series(&mut self, label: u32, outcome: Outcome, next: u32) -> Found {
        self.outcomes[label as usize].push((outcome, next));
        self.series += 1;
        Found::New(Series { label: self.text(label), outcome })
    }

    /// The label behind a number; `other` where it is another index's.
    #[must_use]
    pub fn text(&self, label: u32) -> Arc<Label> {
        self.labels.get(label as usize).map_or_else(|| Arc::new(Label::other()), Arc::clone)
    }
}
