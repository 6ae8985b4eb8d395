//! The databases as they are at one moment, for a node that was away for longer than the log is kept.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use helve_db::Frozen;

use super::{Machine, Mark, State, open_all};
use crate::log::sync_dir;
use crate::types::SnapshotMeta;

/// What Raft hands around.
pub(crate) enum SnapshotData {
    /// Databases that are held as they were. Nothing is copied before somebody wants it.
    Outgoing(Vec<(&'static str, Frozen)>),
    /// Whole databases that came from another node.
    Incoming(Incoming),
}

/// A directory with databases, synced.
pub(crate) struct Incoming {
    pub(crate) dir: PathBuf,
}

/// A directory with copies that go when they were sent.
pub(crate) struct Outgoing(PathBuf);

impl Outgoing {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // What stays behind is removed at the next start.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Copies of all databases, of one moment. Dropping it removes them.
pub(crate) struct Copied {
    pub(crate) dir: Outgoing,
    /// Their names and lengths.
    pub(crate) files: Vec<(String, u64)>,
}

impl Copied {
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Machine {
    /// Copies the databases as they are now.
    pub(crate) async fn copy(&self) -> std::io::Result<Copied> {
        let frozen = self.freeze().await.map_err(std::io::Error::other)?;
        match frozen {
            Some((_, SnapshotData::Outgoing(frozen))) => self.copy_of(frozen).await,
            _ => Err(std::io::Error::other("this node has nothing yet")),
        }
    }

    /// Copies databases that are held.
    pub(crate) async fn copy_of(&self, frozen: Vec<(&'static str, Frozen)>) -> std::io::Result<Copied> {
        let dir = self.outgoing()?;
        let copies = dir.path().to_owned();
        let copying = tokio::task::spawn_blocking(move || {
            let copied = frozen.into_iter().map(|(name, frozen)| {
                let path = copies.join(name);
                frozen.copy(&path).map_err(std::io::Error::other)?;
                Ok((name.to_owned(), std::fs::metadata(path)?.len()))
            });
            copied.collect::<std::io::Result<Vec<_>>>()
        });
        let files = copying.await.map_err(std::io::Error::other)??;
        Ok(Copied { dir, files })
    }

    /// Holds the databases as they are now, in a state that this node cannot lose any more. `None` if nothing was ever
    /// applied.
    pub(crate) async fn freeze(&self) -> Result<Option<(SnapshotMeta, SnapshotData)>, String> {
        let frozen = self.run(State::freeze).await?;
        if frozen.is_some() {
            self.sync().await?;
        }
        Ok(frozen)
    }

    /// All databases note where they are; says where that is.
    pub(crate) async fn note(&self) -> Result<Option<SnapshotMeta>, String> {
        self.run(|state| {
            state.note().map_err(|error| error.to_string())?;
            Ok(state.mark.applied.map(|_| state.meta()))
        })
        .await
    }

    /// Waits until everything that was applied before is on disk. Nobody waits for this meanwhile.
    pub(crate) async fn sync(&self) -> Result<(), String> {
        let dir = self.state().files.current();
        let names: Vec<_> = self.state().specs.iter().map(|spec| spec.name).collect();
        let sync = move || -> std::io::Result<()> {
            for name in names {
                // What was copied from the WAL into the database was synced by who copied it. To open the database itself
                // here, and to close it, would drop SQLite's locks.
                match File::open(dir.join(format!("{name}-wal"))) {
                    Ok(log) => log.sync_all()?,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            sync_dir(&dir)
        };
        tokio::task::spawn_blocking(sync)
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())
    }

    /// An empty directory for databases that come from another node.
    pub(crate) fn incoming(&self) -> std::io::Result<PathBuf> {
        self.state().files.beside("incoming")
    }

    /// A directory for copies that are sent to another node, of its own for each time: one that was given up may still be
    /// written to.
    pub(crate) fn outgoing(&self) -> std::io::Result<Outgoing> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        self.state().files.beside(&format!("outgoing-{number}")).map(Outgoing)
    }

    /// Goes on with databases that came from another node.
    pub(crate) async fn install(&self, meta: SnapshotMeta, incoming: Incoming) -> Result<(), String> {
        self.run(move |state| {
            let installed = state.install(&meta, &incoming.dir);
            if let Err(reason) = &installed {
                state.broken = Some(reason.clone());
            }
            installed
        })
        .await
    }
}

impl State {
    fn freeze(&mut self) -> Result<Option<(SnapshotMeta, SnapshotData)>, String> {
        if self.mark.applied.is_none() {
            return Ok(None);
        }
        self.note().map_err(|error| error.to_string())?;
        let dir = self.files.current();
        let frozen = self
            .specs
            .iter()
            .map(|spec| Frozen::new(&dir.join(spec.name)).map(|frozen| (spec.name, frozen)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| error.to_string())?;
        Ok(Some((self.meta(), SnapshotData::Outgoing(frozen))))
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: self.mark.applied,
            last_membership: self.mark.membership.clone(),
            snapshot_id: self.mark.applied.map(|applied| applied.to_string()).unwrap_or_default(),
        }
    }

    fn install(&mut self, meta: &SnapshotMeta, dir: &Path) -> Result<(), String> {
        // They are looked at before they replace anything.
        let opened = open_all(dir, &self.specs).map_err(|error| error.to_string())?;
        let mark = check_marks(opened.iter().map(|(_, mark)| mark), meta)?;
        for (follower, _) in opened {
            follower.applier.close();
        }
        for follower in std::mem::take(&mut self.databases) {
            follower.applier.close();
        }
        self.files.replace(dir).map_err(|error| error.to_string())?;
        let opened = open_all(&self.files.current(), &self.specs).map_err(|error| error.to_string())?;
        self.databases = opened.into_iter().map(|(follower, _)| follower).collect();
        self.mark = mark;
        Ok(())
    }
}

/// All databases of a snapshot must be of one moment, the one that it is said to be of.
fn check_marks<'a>(mut marks: impl Iterator<Item = &'a Mark>, meta: &SnapshotMeta) -> Result<Mark, String> {
    let first = marks.next().cloned().unwrap_or_default();
    if first.applied != meta.last_log_id || marks.any(|mark| *mark != first) {
        return Err("databases that came from another node do not fit together: they were not taken".to_owned());
    }
    Ok(first)
}
