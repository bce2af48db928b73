//! The table of the process that numbers metrics by their names. It only grows, up to a limit.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard};

use rustc_hash::FxHasher;

use super::MetricKind;
use crate::support::cut;
use crate::support::secrets::without_secrets;

/// Maximum number of names. Metrics past it are recorded as one metric of each kind.
const NAMES: usize = 1000;
/// Maximum number of refused names that are told apart.
const REFUSED: usize = 100;
/// Maximum length of a name in bytes.
const LONGEST: usize = 128;
/// End of a name that was cut.
const CUT_NAME: &str = "_cut";
/// Maximum length of a unit in characters.
const LONGEST_UNIT: usize = 32;
/// Length in bytes of the beginning of a unit that a thread remembers.
const REMEMBERED_UNIT: usize = 512;
/// Number of names that a thread remembers. It forgets all of them when there are more.
const REMEMBERED: usize = 4096;
/// Names of metrics past the limit, with their kinds.
pub(crate) const OTHERS: [(&str, MetricKind); 4] = [
    ("other_counters", MetricKind::Counter),
    ("other_gauges", MetricKind::Gauge),
    ("other_trends", MetricKind::Trend),
    ("other_rates", MetricKind::Rate),
];
/// Metric of the durations of groups.
pub(crate) const GROUP_DURATION: MetricId = MetricId(0);
/// Beginning of names that are golo's own.
const PREFIX: &str = "http_req";
/// Names of golo's own metrics that do not begin with [`PREFIX`].
const BUILT_IN: [&str; 17] = [
    "group_duration",
    "data_sent",
    "data_received",
    "iterations",
    "iteration_duration",
    "iteration_response",
    "iteration_failed",
    "iteration_interrupted",
    "dropped_iterations",
    "journey_duration",
    "user_start_duration",
    "steps",
    "step_duration",
    "step_failed",
    "checks",
    "tag",
    "vus",
];

type Hasher = BuildHasherDefault<FxHasher>;

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(|| RwLock::new(Table::new()));

thread_local! {
    static THREAD: RefCell<Thread> = RefCell::default();
}

/// Number of a metric. It is valid in this process only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MetricId(u32);

/// Name, kind and unit of a metric.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) name: Box<str>,
    pub(crate) kind: MetricKind,
    pub(crate) unit: Option<Box<str>>,
    /// Reason why its values are not recorded.
    pub(crate) refusal: Option<Refusal>,
}

/// Reason why a value is not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The name is that of a metric of golo's own.
    BuiltIn,
    /// Another kind of metric has the name.
    OtherKind,
    /// The value is not a number, infinite or too large, or it is negative and for a counter.
    Value,
}

#[derive(Default)]
struct Thread {
    /// Names by their hash.
    names: HashMap<u64, (Box<str>, MetricKind, MetricId), Hasher>,
    /// Units that this thread has set.
    units: HashMap<MetricId, Box<str>, Hasher>,
}

struct Table {
    metrics: Vec<Arc<Named>>,
    /// The metric that was the first with its name.
    first: HashMap<Box<str>, MetricId, Hasher>,
    refused: HashMap<(Box<str>, MetricKind), MetricId, Hasher>,
    others: Vec<MetricId>,
}

impl Table {
    fn new() -> Self {
        let mut table =
            Self { metrics: Vec::new(), first: HashMap::default(), refused: HashMap::default(), others: Vec::new() };
        table.push("group_duration", MetricKind::Group, None);
        for (name, kind) in OTHERS {
            let id = table.push(name, kind, None);
            table.first.insert(name.into(), id);
            table.others.push(id);
        }
        table
    }

    fn push(&mut self, name: &str, kind: MetricKind, refusal: Option<Refusal>) -> MetricId {
        let id = MetricId(self.metrics.len() as u32);
        self.metrics.push(Arc::new(Named { name: name.into(), kind, unit: None, refusal }));
        id
    }

    fn id(&mut self, name: &str, kind: MetricKind) -> MetricId {
        if is_built_in(name) {
            return self.refuse(name, kind, Refusal::BuiltIn);
        }
        if let Some(&first) = self.first.get(name) {
            return match self.metrics[first.0 as usize].kind == kind {
                true => first,
                false => self.refuse(name, kind, Refusal::OtherKind),
            };
        }
        if self.first.len() >= NAMES + OTHERS.len() {
            let other = OTHERS.iter().position(|(_, of)| *of == kind).unwrap_or_default();
            return self.others[other];
        }
        let id = self.push(name, kind, None);
        self.first.insert(name.into(), id);
        id
    }

    fn refuse(&mut self, name: &str, kind: MetricKind, refusal: Refusal) -> MetricId {
        let name = if self.refused.len() < REFUSED { name } else { "other" };
        if let Some(known) = self.refused.get(&(name.into(), kind)) {
            return *known;
        }
        let id = self.push(name, kind, Some(refusal));
        self.refused.insert((name.into(), kind), id);
        id
    }
}

fn table() -> RwLockReadGuard<'static, Table> {
    TABLE.read().unwrap_or_else(PoisonError::into_inner)
}

impl MetricId {
    /// Returns the number of the metric with this name and kind.
    pub(super) fn of(name: &str, kind: MetricKind) -> Self {
        let hash = Hasher::default().hash_one((name, kind));
        let known = THREAD.with_borrow(|thread| {
            let (known, of, id) = thread.names.get(&hash)?;
            (**known == *name && *of == kind).then_some(*id)
        });
        known.unwrap_or_else(|| Self::look_up(name, kind, hash))
    }

    #[cold]
    fn look_up(name: &str, kind: MetricKind, hash: u64) -> Self {
        let id = TABLE.write().unwrap_or_else(PoisonError::into_inner).id(&valid(name), kind);
        if name.len() <= LONGEST {
            THREAD.with_borrow_mut(|thread| {
                if thread.names.len() >= REMEMBERED {
                    thread.names.clear();
                }
                thread.names.insert(hash, (name.into(), kind, id));
            });
        }
        id
    }

    /// Sets the unit of the metric, if it has none.
    pub(super) fn set_unit(self, unit: &str) {
        let unit = cut::to_bytes(unit, REMEMBERED_UNIT);
        let is_set = THREAD.with_borrow(|thread| thread.units.get(&self).is_some_and(|known| **known == *unit));
        if !is_set {
            self.set_first_unit(unit);
        }
    }

    #[cold]
    fn set_first_unit(self, unit: &str) {
        THREAD.with_borrow_mut(|thread| _ = thread.units.insert(self, unit.into()));
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(named) = table.metrics.get_mut(self.0 as usize)
            && named.unit.is_none()
        {
            let unit = Some((*cut_unit(&without_secrets(unit))).into());
            *named = Arc::new(Named { unit, ..Named::clone(named) });
        }
    }

    /// Returns name, kind and unit of the metric.
    pub(crate) fn named(self) -> Arc<Named> {
        let table = table();
        Arc::clone(&table.metrics[(self.0 as usize).min(table.metrics.len() - 1)])
    }
}

/// Returns true if the name is one of golo's own metrics.
pub(crate) fn is_built_in(name: &str) -> bool {
    name.starts_with(PREFIX) || BUILT_IN.contains(&name)
}

/// Returns a name in its valid form: letters, digits and `_`, and no digit at the beginning. A name that is too long ends
/// in `_cut`.
pub(crate) fn valid(name: &str) -> String {
    let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut valid: String = name.chars().take(LONGEST + 1).map(|c| if is_valid(c) { c } else { '_' }).collect();
    if valid.is_empty() || valid.starts_with(|c: char| c.is_ascii_digit()) {
        valid.insert(0, '_');
    }
    if valid.len() > LONGEST {
        valid.truncate(LONGEST - CUT_NAME.len());
        valid.push_str(CUT_NAME);
    }
    valid
}

/// Returns a unit cut to the limit; `…` stands for the rest.
pub(crate) fn cut_unit(unit: &str) -> Cow<'_, str> {
    match cut::to_characters(unit, LONGEST_UNIT) {
        whole if whole.len() == unit.len() => whole.into(),
        _ => [cut::to_characters(unit, LONGEST_UNIT - 1), "…"].concat().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_becomes_valid() {
        for (name, expected) in
            [("cart_value", "cart_value"), ("cart value (€)", "cart_value____"), ("2nd", "_2nd"), ("", "_")]
        {
            assert_eq!(valid(name), expected);
        }
        for (length, character, cut) in [(128, "x", false), (129, "x", true), (127, "9", false), (128, "9", true)] {
            let name = valid(&character.repeat(length));
            assert_eq!((name.len(), name.ends_with("_cut")), (LONGEST, cut), "{length} of {character}");
        }
        assert_eq!(
            (cut_unit(&"€".repeat(32)), cut_unit(&"€".repeat(33))),
            ("€".repeat(32).into(), ("€".repeat(31) + "…").into())
        );
    }

    #[test]
    fn first_kind_and_unit_of_a_name_count() {
        let id = MetricId::of("names_first", MetricKind::Trend);
        id.set_unit("EUR");
        id.set_unit("USD");
        assert_eq!(MetricId::of("names_first", MetricKind::Trend), id);
        assert_eq!((id.named().unit.as_deref(), id.named().refusal), (Some("EUR"), None));
        let other = MetricId::of("names_first", MetricKind::Gauge);
        assert_eq!((other.named().refusal, &*other.named().name), (Some(Refusal::OtherKind), "names_first"));
        for built_in in ["http_req_duration", "http_req_of_mine", "vus"] {
            let refused = MetricId::of(built_in, MetricKind::Trend);
            assert_eq!(refused.named().refusal, Some(Refusal::BuiltIn), "{built_in}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_becomes_valid(name in ".{0,200}") {
            let once = valid(&name);
            proptest::prop_assert!(once.len() <= LONGEST && !once.is_empty());
            proptest::prop_assert_eq!(valid(&once), once);
        }
    }
}
