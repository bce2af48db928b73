//! Descendants of this process. Only Linux can list them reliably.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub(super) use linux::{become_subreaper, group_lives, kill_adopted, kill_children, kill_marked, memory, started};
#[cfg(not(target_os = "linux"))]
pub(super) use other::{become_subreaper, group_lives, kill_adopted, kill_children, kill_marked, memory, started};

#[cfg(not(target_os = "linux"))]
mod other {
    use std::{collections::BTreeSet, io};

    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process_group};

    /// Does nothing: orphans cannot be adopted here.
    #[allow(clippy::unnecessary_wraps, reason = "it fails on Linux")]
    pub(crate) fn become_subreaper() -> io::Result<()> {
        Ok(())
    }

    /// Returns 0: start times are not read here.
    pub(crate) fn started(_: i32) -> u64 {
        0
    }

    /// Returns false: there are no adopted processes here.
    pub(crate) fn kill_adopted(_: u64, _: &BTreeSet<i32>) -> bool {
        false
    }

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
    pub(crate) fn memory(_: u64) -> u64 {
        0
    }
}
