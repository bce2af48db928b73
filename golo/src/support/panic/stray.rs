//! Panics outside of triggers, until the run takes them: nothing else would tell of them.

use std::{cell::Cell, collections::BTreeMap, sync::Mutex, time::Instant};

use crate::{support::lock::lock, support::secrets::without_credentials};

/// Most texts that are told apart.
const TEXTS: usize = 20;

/// Those that nothing has taken yet, by their text; `None` until a run counts them.
static STRAY: Mutex<Option<BTreeMap<String, Stray>>> = Mutex::new(None);

thread_local! {
    /// Whether the last panic of this thread was counted here.
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Panics with the same text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stray {
    pub(crate) count: u64,
    pub(crate) first: Instant,
}

/// Counts from here on, and from 0.
pub(super) fn forget() {
    *lock(&STRAY) = Some(BTreeMap::new());
}

/// Counts one if a run counts them: it was `there`, at this place of the code.
pub(crate) fn count(there: &str, place: Option<&str>, panicked: &str) {
    let Some(stray) = &mut *lock(&STRAY) else { return };
    let _ = IS_COUNTED.try_with(|is_counted| is_counted.set(true));
    let reason = panicked.strip_prefix("panicked: ").unwrap_or(panicked);
    let at = place.map_or_else(String::new, |place| format!(" at {place}"));
    let mut text = without_credentials(&format!("{there}{at}: {reason}")).into_owned();
    if stray.len() >= TEXTS && !stray.contains_key(&text) {
        text = format!("{there} (other texts)");
    }
    let now = Instant::now();
    stray.entry(text).or_insert(Stray { count: 0, first: now }).count += 1;
}

/// Whether the panic that unwinds this thread was counted.
pub(crate) fn is_counted() -> bool {
    IS_COUNTED.try_with(|is_counted| is_counted.replace(false)).unwrap_or_default()
}

/// Takes what was counted since the last time.
pub(crate) fn take() -> BTreeMap<String, Stray> {
    lock(&STRAY).as_mut().map(std::mem::take).unwrap_or_default()
}
