//! Memory of the descendants, from `/proc`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{major, minor, statfs};

/// Type of the file system that keeps its files in memory. Anonymous files (`memfd_create`) are on one too.
const TMPFS: u64 = 0x0102_1994;
/// Bytes of a block that a file reports, whatever its file system uses.
const BLOCK: u64 = 512;

/// Returns the memory of these processes in bytes, or less if it is not above `limit`. Memory that they share counts
/// once. Files in memory that they hold open count, also if they are not mapped. If one process had more than `limit` at
/// any time, that counts.
pub(super) fn used(processes: &[i32], limit: u64) -> u64 {
    let (mut peak, mut resident) = (0, 0);
    for id in processes {
        let status = read(&format!("/proc/{id}/status"));
        peak = peak.max(kibibytes(&status, "VmHWM:"));
        resident += kibibytes(&status, "VmRSS:");
    }
    // Not less than the exact value, which takes longer: the files in memory are among those of the machine.
    let machine = kibibytes(&read("/proc/meminfo"), "Shmem:");
    let used = if resident + machine > limit { exactly(processes, limit, resident) } else { resident };
    if peak > limit { used.max(peak) } else { used }
}

fn exactly(processes: &[i32], limit: u64, resident: u64) -> u64 {
    let files: HashMap<_, _> = processes.iter().flat_map(|id| files_in_memory(*id)).collect();
    let in_files: u64 = files.values().sum();
    if resident + in_files <= limit {
        return resident;
    }
    let shares: u64 = processes.iter().map(|id| share(*id)).sum();
    let mut mapped: HashMap<File, u64> = HashMap::new();
    for id in processes.iter().filter(|_| in_files > 0) {
        for (file, bytes) in mapped_files(*id).into_iter().filter(|(file, _)| files.contains_key(file)) {
            *mapped.entry(file).or_default() += bytes;
        }
    }
    let rest = files.iter().map(|(file, bytes)| bytes.saturating_sub(mapped.get(file).copied().unwrap_or_default()));
    shares + rest.sum::<u64>()
}

/// A file: its device (major, minor) and its inode.
type File = (u32, u32, u64);

/// Returns the files in memory that a process holds open, with the bytes that they take.
fn files_in_memory(id: i32) -> Vec<(File, u64)> {
    let descriptors = fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
    let files = descriptors.map(|descriptor| descriptor.path()).filter(|path| {
        // Sockets and pipes have no path.
        fs::read_link(path).is_ok_and(|link| link.is_absolute())
            && statfs(path).is_ok_and(|system| u64::try_from(system.f_type) == Ok(TMPFS))
    });
    let files = files.filter_map(|path| path.metadata().ok()).filter(|file| file.is_file());
    files.map(|file| ((major(file.dev()), minor(file.dev()), file.ino()), file.blocks() * BLOCK)).collect()
}

/// Returns the memory of a process in bytes. Of a page that several processes share, only its part counts.
fn share(id: i32) -> u64 {
    let rollup = read(&format!("/proc/{id}/smaps_rollup"));
    if rollup.is_empty() {
        // It has ended, or runs as another user.
        return kibibytes(&read(&format!("/proc/{id}/status")), "VmRSS:");
    }
    kibibytes(&rollup, "Pss:")
}

/// Returns the files that a process has mapped, with the bytes of its part of their pages.
fn mapped_files(id: i32) -> Vec<(File, u64)> {
    let maps = read(&format!("/proc/{id}/smaps"));
    let mut files = Vec::new();
    let mut file = None;
    for line in maps.lines() {
        if let Some(size) = line.strip_prefix("Pss:") {
            files.extend(file.map(|file| (file, in_kibibytes(size))));
        } else if line.starts_with(|c: char| c.is_ascii_digit() || matches!(c, 'a'..='f')) {
            file = mapped_file(line);
        }
    }
    files
}

/// Parses `7f5559c91000-7f555ba91000 rw-s 00000000 00:01 343131   /memfd:a (deleted)`.
fn mapped_file(line: &str) -> Option<File> {
    let mut fields = line.split_ascii_whitespace().skip(3);
    let (major, minor) = fields.next()?.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some((number(major)?, number(minor)?, fields.next()?.parse().ok()?))
}

/// Reads a file of `/proc`; empty if it cannot be read.
fn read(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Returns the value of the line that begins with `key`, in bytes.
fn kibibytes(text: &str, key: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(key)).map_or(0, in_kibibytes)
}

/// Parses `  12 kB`.
fn in_kibibytes(size: &str) -> u64 {
    size.trim().trim_end_matches(" kB").parse().map_or(0, |kibibytes: u64| kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use rustix::process::getpid;

    use super::*;

    #[test]
    fn file_in_memory_counts_also_if_it_is_not_mapped() {
        let own = getpid().as_raw_pid();
        let mut file = fs::File::from(rustix::fs::memfd_create("a (b) c", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        file.write_all(&[1; 1 << 20]).unwrap();
        let about = file.metadata().unwrap();
        let expected = ((major(about.dev()), minor(about.dev()), about.ino()), 1 << 20);
        // A second descriptor of the same file.
        let second = file.try_clone().unwrap();
        let found: Vec<_> = files_in_memory(own).into_iter().filter(|file| *file == expected).collect();
        assert_eq!(found.len(), 2);
        // The memory of this process changes while other tests run in it, that of another one does not.
        let mut other = std::process::Command::new("sleep").arg("60").stdin(second).spawn().unwrap();
        let id = i32::try_from(other.id()).unwrap();
        let (exact, share) = (exactly(&[id], 0, 0), share(id));
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(exact > share, "{exact} {share}");
    }

    #[test]
    fn mapped_file_is_read() {
        let line = "7f5559c91000-7f555ba91000 rw-s 00000000 fd:1a 343131                     /memfd:a (deleted)";
        assert_eq!(mapped_file(line), Some((0xfd, 0x1a, 343_131)));
        assert_eq!(mapped_file("Pss: 3 kB"), None);
        assert!(!mapped_files(getpid().as_raw_pid()).is_empty());
    }

    #[test]
    fn memory_is_exact_only_near_the_limit() {
        let own = getpid().as_raw_pid();
        let exact = used(&[own], 1);
        assert!(exact > 1 && used(&[own], u64::MAX) > 1, "{exact}");
        assert_eq!(used(&[], 1), 0);
    }
}
