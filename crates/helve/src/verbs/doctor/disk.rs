//! The disk under the data directory: may it be written, is it quick, has it room?

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::Check;
use crate::recycling::Size;

/// Writes that are timed.
const WRITES: usize = 12;
/// A disk that takes longer than this for one small write makes every commit slow.
const SLOW: Duration = Duration::from_millis(20);
/// Less is too little for a run's target and reports.
const LITTLE: u64 = 200 << 20;
/// Less will be too little soon.
const SCARCE: u64 = 5 << 30;
/// How far the clock of the disk may be from that of the machine.
const APART: Duration = Duration::from_secs(2);

/// All about the disk. Blocking.
pub(super) fn checks(dir: &Path) -> Vec<Check> {
    let mut checks = Vec::new();
    match timed_writes(dir) {
        Ok(Written {
            typical,
            longest,
            written,
        }) => {
            checks.push(Check::ok("data directory", format!("{} can be written", dir.display())));
            checks.push(speed(typical, longest));
            checks.extend(clock(SystemTime::now(), written));
        }
        Err(error) => checks.push(cannot_write(dir, &error)),
    }
    checks.extend(room(dir));
    checks
}

struct Written {
    typical: Duration,
    longest: Duration,
    /// When the disk says that it was.
    written: Option<SystemTime>,
}

fn timed_writes(dir: &Path) -> std::io::Result<Written> {
    let mut file = tempfile::tempfile_in(dir)?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(Written {
        typical: times[WRITES / 2],
        longest: times[WRITES - 1],
        written: file.metadata().and_then(|metadata| metadata.modified()).ok(),
    })
}

fn cannot_write(dir: &Path, error: &std::io::Error) -> Check {
    let means = "nothing can be kept: no run can start or end";
    let fix = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on its disk, or use another --data-dir",
        ErrorKind::ReadOnlyFilesystem => "mount the file system for writing, or use another --data-dir",
        ErrorKind::PermissionDenied => "mend its owner and mode (it should be yours, 0700), or use another --data-dir",
        _ => "mend the disk, or use another --data-dir",
    };
    Check::fail(
        "data directory",
        format!("{} cannot be written: {error}", dir.display()),
        means,
        fix,
    )
}

fn speed(typical: Duration, longest: Duration) -> Check {
    let found = format!("a write that lasts takes {typical:.1?} (at most {longest:.1?} of {WRITES})");
    match typical > SLOW {
        false => Check::ok("fsync", found),
        true => Check::warn(
            "fsync",
            found,
            "every commit waits for it, so runs start and end slowly",
            "put the data directory on a local SSD",
        ),
    }
}

fn clock(now: SystemTime, written: Option<SystemTime>) -> Option<Check> {
    let released = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    if now < released {
        return Some(Check::fail(
            "clock",
            "the clock of this machine is years behind",
            "timers, schedules and tokens that expire go wrong",
            "set the clock, and keep it right with chrony or systemd-timesyncd",
        ));
    }
    let written = written?;
    let apart = now.duration_since(written).unwrap_or_else(|error| error.duration());
    Some(match apart > APART {
        false => Check::ok("clock", "the clocks of the machine and its disk agree"),
        true => Check::warn(
            "clock",
            format!("the disk's clock is {apart:.1?} from that of the machine"),
            "blobs may expire too early or too late",
            "keep the clocks of both machines right with chrony or systemd-timesyncd",
        ),
    })
}

#[cfg(target_os = "linux")]
fn room(dir: &Path) -> Vec<Check> {
    let Ok(disk) = rustix::fs::statvfs(dir) else {
        return vec![Check::warn(
            "free space",
            "it could not be found out",
            "a full disk stops all runs",
            "look with `df`",
        )];
    };
    let mut checks = vec![space(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)];
    // File systems without a bound of files say that there are none.
    if disk.f_files > 0 {
        checks.extend(files(disk.f_favail, disk.f_files));
    }
    checks
}

#[cfg(not(target_os = "linux"))]
fn room(_: &Path) -> Vec<Check> {
    Vec::new()
}

fn space(free: u64, all: u64) -> Check {
    let found = format!("{} of {} are free", Size(free), Size(all));
    let fix = "make room, or let blobs expire sooner (`helve targets expire`, and the --keep options of `helve up`)";
    match free {
        ..LITTLE => Check::fail(
            "free space",
            found,
            "runs fail when they store their target or report",
            fix,
        ),
        LITTLE..SCARCE => Check::warn("free space", found, "large targets will not fit", fix),
        _ => Check::ok("free space", found),
    }
}

fn files(free: u64, all: u64) -> Option<Check> {
    (free < all / 100).then(|| {
        Check::warn(
            "free files",
            format!("{free} of {all} files (inodes) are free"),
            "a disk without free inodes is full, whatever its space",
            "remove directories with many small files",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn little_space_is_a_warning_and_none_a_failure() {
        assert_eq!(space(100 << 30, 200 << 30).state, State::Ok);
        assert_eq!(space(1 << 30, 200 << 30).state, State::Warn);
        let full = space(0, 200 << 30);
        assert_eq!(full.state, State::Fail);
        assert!(full.fix.unwrap().contains("make room"));
    }

    #[test]
    fn a_slow_disk_is_told_with_its_time() {
        let slow = speed(Duration::from_millis(60), Duration::from_millis(90));
        assert_eq!(slow.state, State::Warn);
        assert!(slow.found.contains("60.0ms"), "{}", slow.found);
        assert_eq!(
            speed(Duration::from_millis(2), Duration::from_millis(90)).state,
            State::Ok
        );
    }

    #[test]
    fn a_clock_that_is_years_behind_or_not_that_of_the_disk_is_told() {
        let now = SystemTime::now();
        assert_eq!(clock(now, Some(now)).unwrap().state, State::Ok);
        assert_eq!(
            clock(now, Some(now + Duration::from_secs(60))).unwrap().state,
            State::Warn
        );
        assert_eq!(clock(SystemTime::UNIX_EPOCH, Some(now)).unwrap().state, State::Fail);
    }

    #[test]
    fn a_directory_that_is_not_there_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let checks = checks(&dir.path().join("gone"));
        assert_eq!(checks[0].state, State::Fail);
        assert_eq!(checks[0].name, "data directory");
    }

    #[test]
    fn a_good_directory_is_well_and_nothing_is_left_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let found = checks(dir.path());
        assert_eq!(found[0].state, State::Ok);
        assert!(found.iter().any(|check| check.name == "fsync"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
