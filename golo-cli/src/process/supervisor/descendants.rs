//! Descendants of this process. Only Linux can list them reliably.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub(super) use linux::{group_lives, kill_children, kill_marked, resident};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{group_lives, kill_children, kill_marked, resident};

#[cfg(not(target_os = "linux"))]
mod other {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process_group};

    /// True if the process group contains a process, including dead ones that have not been waited for.
    pub(crate) fn group_lives(group: Pid) -> bool {
        test_kill_process_group(group) != Err(Errno::SRCH)
    }

    /// Does nothing: only the group is known here.
    pub(crate) fn kill_children() {}

    /// Returns false: the environment of other processes is not readable here.
    pub(crate) fn kill_marked(_: &str) -> bool {
        false
    }

    /// Returns 0: memory is not measured here, so limits never apply.
    pub(crate) fn resident() -> u64 {
        0
    }
}
