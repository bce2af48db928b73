//! Process tree from `/proc`. Each process names its parent, and the kernel makes the supervisor the parent of orphans.

mod memory;

use std::collections::{BTreeSet, HashMap};
use std::{fs, io};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open, pidfd_send_signal, set_child_subreaper,
    test_kill_process_group, waitpid,
};

/// Fields of `/proc/ID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    id: i32,
    parent: i32,
    group: i32,
    /// True if it is dead and has not been waited for.
    dead: bool,
    /// Start time, in clock ticks since the machine was started.
    started: u64,
}

/// Makes this process the parent of orphaned descendants.
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// Returns the start time of a process in clock ticks. No process is as young as one that has ended.
pub(crate) fn started(id: i32) -> u64 {
    process(id).map_or(u64::MAX, |process| process.started)
}

/// Kills and waits for every child of this process that was started at `since` or later, except `own`. Their children
/// become children of this process, for the next call. Returns whether there was one.
pub(crate) fn kill_adopted(since: u64, own: &BTreeSet<i32>) -> bool {
    let this = getpid().as_raw_pid();
    let mut found = false;
    for child in all().filter(|process| process.parent == this && process.started >= since) {
        let Some(id) = Pid::from_raw(child.id).filter(|_| !own.contains(&child.id)) else { continue };
        found = true;
        _ = kill_process(id, Signal::KILL);
        // By its ID, because others wait for the children that this process has started.
        _ = waitpid(Some(id), WaitOptions::NOHANG);
    }
    found
}

/// Kills every child of this process. Their children become children of this process, for the next call.
///
/// A child keeps its ID until this process has waited for it, so no other process can be hit.
pub(crate) fn kill_children() {
    let own = getpid().as_raw_pid();
    for child in all().filter(|process| process.parent == own) {
        if let Some(id) = Pid::from_raw(child.id) {
            _ = kill_process(id, Signal::KILL);
        }
    }
}

/// True if the process group contains a living process. Dead processes do not count, because their parent may never
/// wait for them.
pub(crate) fn group_lives(group: Pid) -> bool {
    let lives = |process: Process| process.group == group.as_raw_pid() && !process.dead;
    // Usually the load test itself is alive, which saves reading all processes.
    test_kill_process_group(group) != Err(Errno::SRCH)
        && (process(group.as_raw_pid()).is_some_and(lives) || all().any(lives))
}

/// Returns the memory of all descendants in bytes, or less if it is not above `limit`. See [`memory::used`].
pub(crate) fn memory(limit: u64) -> u64 {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for process in all() {
        children.entry(process.parent).or_default().push(process.id);
    }
    let mut found = vec![getpid().as_raw_pid()];
    let mut next = 0;
    while let Some(parent) = found.get(next) {
        // Removed from the map because IDs are not read at one moment, and a cycle would never end.
        found.extend(children.remove(parent).unwrap_or_default());
        next += 1;
    }
    memory::used(&found[1..], limit)
}

/// Kills every process with `mark`, a complete `KEY=VALUE`, in its environment. Returns whether there was one.
pub(crate) fn kill_marked(mark: &str) -> bool {
    let mut found = false;
    for id in ids().filter_map(Pid::from_raw) {
        // The handle is opened before reading, so that both refer to the same process even if the ID is reused.
        let Ok(handle) = pidfd_open(id, PidfdFlags::empty()) else { continue };
        if has_mark(id, mark) {
            found = true;
            _ = pidfd_send_signal(&handle, Signal::KILL);
        }
    }
    found
}

/// True if the process has the mark. A dead process has no environment any more.
fn has_mark(id: Pid, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
}

fn all() -> impl Iterator<Item = Process> {
    ids().filter_map(process)
}

fn process(id: i32) -> Option<Process> {
    read(id, &fs::read(format!("/proc/{id}/stat")).ok()?)
}

fn ids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Parses `12 (a (name)) S 1 12 …`. The fields are counted from behind the name, which may contain any bytes.
fn read(id: i32, stat: &[u8]) -> Option<Process> {
    let stat = String::from_utf8_lossy(stat);
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let dead = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // Field 22 of the file.
    let started = fields.nth(16)?.parse().ok()?;
    Some(Process { id, parent, group, dead, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_name_may_contain_any_bytes() {
        let stat =
            b"7 (\xff a) S 1 (b)) S 3 8 9 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 99 1000 42 18446744073709551615 1\n";
        assert_eq!(read(7, stat), Some(Process { id: 7, parent: 3, group: 8, dead: false, started: 99 }));
        assert_eq!(read(7, b"7 (a"), None);
        assert_eq!(read(7, b"7 (a) S 1"), None);
    }

    #[test]
    fn own_process_is_listed() {
        let own = getpid().as_raw_pid();
        let found = all().find(|process| process.id == own).unwrap();
        assert!(found.parent > 0 && found.group > 0 && !found.dead);
        assert!(group_lives(rustix::process::getpgrp()));
    }
}
