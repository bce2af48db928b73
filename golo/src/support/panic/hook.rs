//! Panic hook. It prints only a limited number of panics, and counts those that nothing catches.

use std::cell::{Cell, RefCell};
use std::panic::PanicHookInfo;
use std::sync::Once;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use super::{message, stray};
use crate::support::message::{above, say};

/// Number of panics that may still be printed.
static LEFT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Number of callers on this thread's stack that catch and report panics themselves.
    static CATCHERS: Cell<usize> = const { Cell::new(0) };
    /// Location of the last caught panic, and whether the hook has seen one since the last catcher began.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
    static HAS_PLACE: Cell<bool> = const { Cell::new(false) };
    /// True while a hook of golo handles a panic.
    static IS_NOTED: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as one that catches panics, until this is dropped.
pub(super) struct Catching(());

impl Catching {
    pub(super) fn begin() -> Self {
        let _ = CATCHERS.try_with(|catchers| catchers.set(catchers.get() + 1));
        // Clears the location of a panic that the load test caught itself.
        drop(take_place());
        Self(())
    }
}

impl Drop for Catching {
    fn drop(&mut self) {
        let _ = CATCHERS.try_with(|catchers| catchers.set(catchers.get().saturating_sub(1)));
    }
}

/// Takes the location of the last caught panic on this thread, if the hook has seen it.
pub(super) fn take_place() -> Option<String> {
    let has_place = HAS_PLACE.try_with(|has_place| has_place.replace(false)).unwrap_or_default();
    if !has_place {
        return None;
    }
    PLACE.try_with(|place| place.borrow_mut().take()).ok().flatten()
}

/// Prints only the first `most` panics from now on, and counts those outside of triggers.
pub(crate) fn print_at_most(most: usize) {
    static INSTALLED: Once = Once::new();
    LEFT.store(most, Relaxed);
    INSTALLED.call_once(|| install(|panic, print| limited(|| print(panic))));
    stray::forget();
}

/// Counts panics outside of triggers even if the load test has installed a hook of its own, for example in its `setup`.
/// That hook is still called for each panic.
pub(crate) fn watch() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| install(|panic, before| before(panic)));
}

/// Installs a hook in front of the current one.
fn install(call: impl Fn(&PanicHookInfo<'_>, &dyn Fn(&PanicHookInfo<'_>)) + Send + Sync + 'static) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_outermost = IS_NOTED.try_with(|is_noted| !is_noted.replace(true)).unwrap_or(true);
        if is_outermost {
            note(panic);
        }
        call(panic, &*before);
        if is_outermost {
            let _ = IS_NOTED.try_with(|is_noted| is_noted.set(false));
        }
    }));
}

fn limited(print: impl FnOnce()) {
    if let Ok(before) = LEFT.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
        above(print);
        if before == 1 {
            say("golo: further panics are counted but not printed");
        }
    }
}

fn note(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(|place| format!("{}:{}:{}", place.file(), place.line(), place.column()));
    if CATCHERS.try_with(Cell::get).unwrap_or_default() > 0 {
        let _ = PLACE.try_with(|known| known.replace(place));
        let _ = HAS_PLACE.try_with(|has_place| has_place.set(true));
        return;
    }
    let thread = std::thread::current();
    let there = match thread.name() {
        // The names of runtime and worker threads mean nothing to the user.
        Some(name) if name.starts_with("golo-worker-") || name.starts_with("tokio-") => "in a task".to_owned(),
        Some(name) => format!("in the thread `{name}`"),
        None => "in a thread".to_owned(),
    };
    stray::count(&there, place.as_deref(), &message(panic.payload()));
}
