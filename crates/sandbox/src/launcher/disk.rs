//! How much the tool has written, by walking what it may write to.
//!
//! Counted are files that changed since the tool began: that needs no walk before it begins. The tool cannot set the time
//! that is looked at. What it hides from the walk (a directory that cannot be read, a path that is too long) counts as
//! too much.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::Access;
use crate::wire::Plan;

/// At most one part in so many of the time is spent walking.
const SHARE: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

pub(super) struct Disk {
    roots: Vec<PathBuf>,
    since: SystemTime,
    next: Instant,
}

impl Disk {
    pub(super) fn new(plan: &Plan) -> Self {
        let grants = plan
            .spec
            .grants
            .iter()
            .filter(|grant| grant.access == Access::Write)
            .map(|grant| &grant.path);
        let mut roots: Vec<PathBuf> = grants.chain([&plan.scratch]).cloned().collect();
        roots.sort();
        // What is below another one is walked with it.
        roots.dedup_by(|below, above| below.starts_with(&*above));
        // File systems keep time by ticks of some milliseconds.
        let since = SystemTime::now()
            .checked_sub(Duration::from_millis(20))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        Disk {
            roots,
            since,
            next: Instant::now() + PAUSE,
        }
    }

    /// Whether more than `limit` bytes were written; looks only now and then.
    pub(super) fn is_exceeded(&mut self, limit: u64) -> bool {
        let began = Instant::now();
        if began < self.next {
            return false;
        }
        let exceeded = self.written(limit).is_none();
        self.next = Instant::now() + PAUSE.max(began.elapsed() * SHARE);
        exceeded
    }

    /// `None` when it is more than `limit`.
    fn written(&self, limit: u64) -> Option<u64> {
        let mut total = 0;
        let mut open = self.roots.clone();
        while let Some(dir) = open.pop() {
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(_) if self.changed(&dir) => return None,
                Err(_) => continue,
            };
            for entry in entries.flatten() {
                match entry.metadata() {
                    Ok(metadata) => {
                        if is_since(&metadata, self.since) {
                            total += metadata.blocks() * 512;
                        }
                        if metadata.is_dir() {
                            open.push(entry.path());
                        }
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::InvalidFilename => return None,
                    Err(_) => {} // removed meanwhile
                }
            }
            if total > limit {
                return None;
            }
        }
        Some(total)
    }

    fn changed(&self, path: &std::path::Path) -> bool {
        fs::symlink_metadata(path).map_or_else(
            |e| e.kind() != std::io::ErrorKind::NotFound,
            |metadata| metadata.is_dir() && is_since(&metadata, self.since),
        )
    }
}

fn is_since(metadata: &fs::Metadata, since: SystemTime) -> bool {
    let changed = Duration::new(
        u64::try_from(metadata.ctime()).unwrap_or_default(),
        u32::try_from(metadata.ctime_nsec()).unwrap_or_default(),
    );
    SystemTime::UNIX_EPOCH + changed >= since
}
