//! Small helpers that every other folder may use.

pub(crate) mod clock;
pub(crate) mod cut;
pub(crate) mod lock;
pub(crate) mod message;
pub(crate) mod nearest;
pub(crate) mod panic;
pub(crate) mod secrets;
pub(crate) mod setting_error;
pub(crate) mod threads;
pub(crate) mod until;

/// Number of threads that can run at the same time.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
