//! The process group that listens on a port. A load test that ignores `GOLO_ADDR` is found by its port, and another
//! process there must not be mistaken for it.

#[cfg(target_os = "linux")]
use std::{collections::HashSet, fs, net::SocketAddr};

/// True if a process of the group `group` listens on `address`, also if the system does not tell.
#[must_use]
#[cfg(target_os = "linux")]
pub fn listens(group: u32, address: &SocketAddr) -> bool {
    let inodes = listening(address);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter(|id| group_of(*id) == Some(group)).any(|id| has_any(id, &inodes))
}

/// True if a process of the group `group` listens on `address`, also if the system does not tell.
#[must_use]
#[cfg(not(target_os = "linux"))]
pub fn listens(_group: u32, _address: &std::net::SocketAddr) -> bool {
    true
}

/// Returns the inodes of the sockets that listen on this port, on any address. The format is described in proc(5).
#[cfg(target_os = "linux")]
fn listening(address: &SocketAddr) -> HashSet<String> {
    const LISTEN: &str = "0A";
    let port = format!(":{:04X}", address.port());
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    rows.filter_map(|row| {
        let cells: Vec<_> = row.split_whitespace().collect();
        let is_there = cells.get(1)?.ends_with(&port) && *cells.get(3)? == LISTEN;
        is_there.then(|| format!("socket:[{}]", cells.get(9).copied().unwrap_or_default()))
    })
    .collect()
}

/// Returns the process group: the third field after the name, which is in parentheses and may contain anything.
#[cfg(target_os = "linux")]
fn group_of(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(target_os = "linux")]
fn has_any(id: u32, inodes: &HashSet<String>) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    let mut links = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.any(|link| link.to_str().is_some_and(|link| inodes.contains(link)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn listener_is_found_only_in_its_own_group() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let group = group_of(std::process::id()).unwrap();
        assert!(listens(group, &address));
        assert!(!listens(group + 1_000_000, &address));
        drop(listener);
        assert!(!listens(group, &address));
    }
}
