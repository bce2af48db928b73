//! Panics outside of triggers. They are kept here until the run takes them, because nothing else would report them.

use std::{cell::Cell, collections::BTreeMap, sync::Mutex, time::Instant};

use crate::{support::lock::lock, support::secrets::without_credentials};

/// Largest number of texts that are counted separately.
const TEXTS: usize = 20;

/// Panics by text that have not been taken yet. `None` until a run counts them.
static STRAY: Mutex<Option<BTreeMap<String, Stray>>> = Mutex::new(None);

thread_local! {
    /// True if the last panic of this thread was counted here.
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Panics with the same text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stray {
    pub(crate) count: u64,
    pub(crate) first: Instant,
}

/// Starts counting from 0.
pub(super) fn forget() {
    *lock(&STRAY) = Some(BTreeMap::new());
}

/// Counts a panic if a run counts them. `there` describes its place in the load test, and `place` is its location in
/// the code.
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

/// Returns true if the panic that unwinds this thread was counted, and resets that mark.
pub(crate) fn is_counted() -> bool {
    IS_COUNTED.try_with(|is_counted| is_counted.replace(false)).unwrap_or_default()
}

/// Takes the panics that were counted since the last call.
pub(crate) fn take() -> BTreeMap<String, Stray> {
    lock(&STRAY).as_mut().map(std::mem::take).unwrap_or_default()
}
