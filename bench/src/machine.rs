//! What the machine and a process on it used: processor time, memory, bytes written. From /proc, so on Linux; elsewhere
//! the figures are missing, not wrong.

use std::fs;
use std::path::Path;

/// Linux counts processor time in hundredths of a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Seconds of processor time that a process used so far, all its threads together.
pub(crate) fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the command comes second and may hold spaces and brackets.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Seconds of processor time that the whole machine used so far, all cores together.
pub(crate) fn machine_cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks: Vec<f64> = stat
        .lines()
        .next()?
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user, nice, system, then idle and waiting for the disk, then interrupts and what the host took away.
    let busy = ticks.iter().take(3).sum::<f64>() + ticks.iter().skip(5).take(3).sum::<f64>();
    Some(busy / TICKS_PER_SECOND)
}

/// Bytes of memory that a process has for itself; file pages that it maps count as far as they are in memory.
pub(crate) fn memory(pid: u32) -> Option<u64> {
    memory_of(pid, "VmRSS:")
}

/// The part of [`memory`] that is pages of files, most of them its program: the system takes them back when it needs them.
pub(crate) fn file_memory(pid: u32) -> Option<u64> {
    memory_of(pid, "RssFile:")
}

/// The most memory that a process ever had for itself, or since [`forget_peak`].
pub(crate) fn peak_memory(pid: u32) -> Option<u64> {
    memory_of(pid, "VmHWM:")
}

/// Makes the present memory of a process its peak.
pub(crate) fn forget_peak(pid: u32) -> Option<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").ok()
}

fn memory_of(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with(field))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Bytes that a process sent to the disk so far.
pub(crate) fn written(pid: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    let line = io.lines().find(|line| line.starts_with("write_bytes:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// How many processes wanted a core during the last minute, on average.
pub(crate) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg")
        .ok()?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// Bytes of the files under a folder.
pub(crate) fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_the_machine_more_time_than_it() {
        let pid = std::process::id();
        // Linux counts pages in batches for each core, so only what is larger than a few of them is sure to be seen.
        let own = std::hint::black_box(vec![1u8; 64 << 20]);
        let of_files = file_memory(pid).unwrap();
        assert!(memory(pid).unwrap() > of_files + own.len() as u64 / 2);
        assert!(written(pid).is_some());
        assert!(machine_cpu_seconds().unwrap() >= cpu_seconds(pid).unwrap());
        assert!(load().unwrap() >= 0.0);
    }
}
