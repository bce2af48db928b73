//! What descends from this process. Only Linux lets that be known for certain.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub(super) use linux::{group_lives, kill_children, kill_marked, resident};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{group_lives, kill_children, kill_marked, resident};

#[cfg(not(target_os = "linux"))]
mod other {
    use rustix::{
        io::Errno,
        process::{Pid, test_kill_process_group},
    };

    /// Whether anything is in this process group: one that is dead and not yet waited for is.
    pub(crate) fn group_lives(group: Pid) -> bool {
        test_kill_process_group(group) != Err(Errno::SRCH)
    }

    /// Kills nobody: the group is all that is known.
    pub(crate) fn kill_children() {}

    /// Finds nobody: what is in another's environment is not to be seen.
    pub(crate) fn kill_marked(_: &str) -> bool {
        false
    }

    /// No memory is known, so that no limit is reached.
    pub(crate) fn resident() -> u64 {
        0
    }
}
