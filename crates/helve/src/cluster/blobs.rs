//! Blobs that all nodes have: in pieces in a database that is replicated like the others.
//!
//! For targets and reports of the usual size, without anything beside the nodes. Larger ones are for a bucket.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use helve_blobs::{BlobId, BlobInfo, BlobRef, Control, Progress, StoreError, TargetManifest, Upstream};
use helve_db::rusqlite::{Connection, OptionalExtension, params};
use helve_db::{Batch, CommitError, ReadError, Store};
use tokio::runtime::Handle;

/// Bytes of the largest blob. It goes through the log and is on the disk of every node.
const MAX_BLOB: u64 = 512 << 20;
/// Bytes of a piece: small enough that a write of somebody else never waits long behind it.
const PIECE: usize = 1 << 20;
/// That something is used is written down this often at most.
const TOUCH_EVERY: Duration = Duration::from_secs(60);

/// The schema of the database.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE blobs (
        id TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        used INTEGER NOT NULL,
        target TEXT
    ) WITHOUT ROWID;
    CREATE TABLE pieces (
        blob TEXT NOT NULL,
        piece INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (blob, piece)
    );
    CREATE TABLE vouched (blob TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE notes (name TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
"];

/// How the database is to be opened.
pub(super) fn options() -> helve_db::Options {
    helve_db::Options {
        migrations: MIGRATIONS,
        // "HlvB"
        application_id: 0x486c_7642,
        ..helve_db::Options::default()
    }
}

/// Runs what waits for the database on the runtime, while this thread waits.
#[derive(Clone)]
pub(super) struct Blocking {
    store: Store,
    runtime: Handle,
}

impl Blocking {
    /// To be made inside a runtime.
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            runtime: Handle::current(),
        }
    }

    fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (sender, receiver) = sync_channel(1);
        self.runtime.spawn(async move {
            let _ = sender.send(work.await);
        });
        // The runtime may be shutting down.
        receiver.recv().ok()
    }

    pub(super) fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        let store = self.store.clone();
        let committed = self.run(async move { store.commit(batch).await });
        committed.unwrap_or(Err(CommitError::Closed))
    }

    pub(super) fn read<T, F>(&self, read: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        let store = self.store.clone();
        let read = self.run(async move { store.read(read).await });
        read.unwrap_or(Err(ReadError::Closed))
    }
}

/// The blobs of a cluster, at the node that leads.
pub(super) struct Replicated {
    database: Blocking,
    /// What is coming now: its pieces belong to no blob yet.
    coming: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Replicated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replicated")
    }
}

const NAME: &str = "all nodes of the cluster";

fn failed(action: &'static str, reason: impl ToString) -> StoreError {
    StoreError::Remote {
        action,
        place: NAME.to_owned(),
        reason: reason.to_string(),
    }
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn time(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

/// A row of a blob.
struct Row {
    size: u64,
    used: SystemTime,
    target: Option<String>,
}

impl Replicated {
    pub(super) fn new(database: Blocking) -> Self {
        Self {
            database,
            coming: Mutex::default(),
        }
    }

    fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ReadError> + Send + 'static,
    {
        self.database.read(read).map_err(|error| failed("read from", error))
    }

    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        self.database.commit(batch).map_err(|error| failed("write to", error))
    }

    fn row(&self, id: &BlobId) -> Result<Option<Row>, StoreError> {
        let id = id.to_hex();
        self.read(move |db| {
            let mut query = db.prepare_cached("SELECT size, used, target FROM blobs WHERE id = ?1")?;
            let row = query.query_row([id], |row| {
                Ok(Row {
                    size: row.get::<_, i64>(0)?.cast_unsigned(),
                    used: time(row.get(1)?),
                    target: row.get(2)?,
                })
            });
            Ok(row.optional()?)
        })
    }

    fn piece(&self, id: &BlobId, piece: i64) -> Result<Option<Vec<u8>>, StoreError> {
        let id = id.to_hex();
        self.read(move |db| {
            let mut query = db.prepare_cached("SELECT bytes FROM pieces WHERE blob = ?1 AND piece = ?2")?;
            Ok(query.query_row(params![id, piece], |row| row.get(0)).optional()?)
        })
    }

    /// Sends the pieces of a file, and then says that the blob is there.
    fn send(&self, blob: &BlobRef, file: &mut File, control: &Control<'_>) -> Result<(), StoreError> {
        let id = blob.id.to_hex();
        let unreadable = |error: std::io::Error| failed("send to", error);
        file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
        let (mut piece, mut transferred) = (0i64, 0u64);
        loop {
            let mut bytes = Vec::with_capacity(PIECE);
            file.take(PIECE as u64).read_to_end(&mut bytes).map_err(unreadable)?;
            if bytes.is_empty() {
                break;
            }
            if control.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            transferred += bytes.len() as u64;
            let mut batch = Batch::new();
            batch.run(
                "INSERT INTO pieces (blob, piece, bytes) VALUES (?1, ?2, ?3)
                 ON CONFLICT (blob, piece) DO UPDATE SET bytes = excluded.bytes",
                vec![id.clone().into(), piece.into(), bytes.into()],
            );
            self.write(batch)?;
            piece += 1;
            control.report(Progress {
                transferred,
                ..Progress::default()
            });
        }
        if transferred != blob.size {
            return Err(failed(
                "send to",
                format!("blob {} is damaged on this machine", blob.id),
            ));
        }
        let mut batch = Batch::new();
        batch.run(
            "INSERT INTO blobs (id, size, used) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET used = max(used, excluded.used)",
            vec![
                id.into(),
                blob.size.cast_signed().into(),
                millis(SystemTime::now()).into(),
            ],
        );
        self.write(batch)
    }
}

impl Upstream for Replicated {
    fn name(&self) -> &str {
        NAME
    }

    fn size(&self, id: &BlobId) -> Result<Option<u64>, StoreError> {
        Ok(self.row(id)?.map(|row| row.size))
    }

    fn download(&self, id: &BlobId, file: &mut File, path: &Path, control: &Control<'_>) -> Result<(), StoreError> {
        let missing = || StoreError::Missing {
            id: *id,
            store: NAME.to_owned(),
        };
        let unusable = |error: std::io::Error| StoreError::Remote {
            action: "write to",
            place: path.display().to_string(),
            reason: error.to_string(),
        };
        let size = self.row(id)?.ok_or_else(missing)?.size;
        file.set_len(0).map_err(unusable)?;
        file.seek(SeekFrom::Start(0)).map_err(unusable)?;
        let (mut hash, mut transferred) = (blake3::Hasher::new(), 0);
        for piece in 0.. {
            if transferred >= size {
                break;
            }
            if control.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let bytes = self.piece(id, piece)?.ok_or_else(missing)?;
            hash.update(&bytes);
            file.write_all(&bytes).map_err(unusable)?;
            transferred += bytes.len() as u64;
            control.report(Progress {
                transferred,
                ..Progress::default()
            });
        }
        match hash.finalize().to_hex().as_str() == id.to_hex() {
            true => Ok(()),
            false => {
                // Whoever has it stores it anew.
                self.remove(id)?;
                Err(StoreError::CorruptObject {
                    id: *id,
                    place: NAME.to_owned(),
                })
            }
        }
    }

    fn ensure(&self, blob: &BlobRef, file: &mut File, _: &Path, control: &Control<'_>) -> Result<bool, StoreError> {
        if self.touch(&blob.id, Some(blob.size))? {
            return Ok(false);
        }
        if blob.size > MAX_BLOB {
            return Err(failed(
                "write to",
                format!(
                    "blob {} has {} MiB, and the nodes of a cluster replicate {} MiB at most; with --blobs s3://BUCKET/PREFIX blobs \
                     are in a bucket, and may be of any size",
                    blob.id,
                    blob.size >> 20,
                    MAX_BLOB >> 20
                ),
            ));
        }
        let id = blob.id.to_hex();
        self.coming().insert(id.clone());
        let sent = self.send(blob, file, control);
        self.coming().remove(&id);
        sent.map(|()| true)
    }

    fn touch(&self, id: &BlobId, size: Option<u64>) -> Result<bool, StoreError> {
        let Some(row) = self.row(id)? else { return Ok(false) };
        if size.is_some_and(|size| size != row.size) {
            return Ok(false);
        }
        let now = SystemTime::now();
        let is_new = |age: Duration| age < TOUCH_EVERY;
        if now.duration_since(row.used).is_ok_and(is_new) {
            return Ok(true);
        }
        let mut batch = Batch::new();
        batch.run_one(
            "UPDATE blobs SET used = ?2 WHERE id = ?1",
            vec![id.to_hex().into(), millis(now).into()],
        );
        match self.database.commit(batch) {
            Ok(()) => Ok(true),
            // It was removed meanwhile.
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(failed("write to", error)),
        }
    }

    fn target(&self, id: &BlobId) -> Option<TargetManifest> {
        let text = self.row(id).ok().flatten()?.target?;
        serde_json::from_str(&text).ok()
    }

    fn is_vouched(&self, id: &BlobId) -> Result<bool, StoreError> {
        let id = id.to_hex();
        self.read(move |db| {
            let mut query = db.prepare_cached("SELECT 1 FROM vouched WHERE blob = ?1")?;
            Ok(query.exists([id])?)
        })
    }

    fn record_target(&self, manifest: &TargetManifest) -> Result<(), StoreError> {
        let text = serde_json::to_string(manifest).map_err(|error| failed("write to", error))?;
        let mut batch = Batch::new();
        batch.run(
            "UPDATE blobs SET target = ?2 WHERE id = ?1",
            vec![manifest.id.to_hex().into(), text.into()],
        );
        self.write(batch)
    }

    fn vouch(&self, id: &BlobId) -> Result<(), StoreError> {
        if self.is_vouched(id)? {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.run(
            "INSERT INTO vouched (blob) VALUES (?1) ON CONFLICT DO NOTHING",
            vec![id.to_hex().into()],
        );
        self.write(batch)
    }

    fn list(&self) -> Result<Vec<BlobInfo>, StoreError> {
        self.read(|db| {
            let mut query = db.prepare_cached("SELECT id, size, used, target IS NOT NULL FROM blobs ORDER BY id")?;
            let rows = query.query_map([], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get(2)?,
                    row.get(3)?,
                ))
            })?;
            let mut found = Vec::new();
            for row in rows {
                let (id, size, used, is_target) = row?;
                let id = id
                    .parse()
                    .map_err(|_| ReadError::Corrupt(format!("`{id}` is no id of a blob")))?;
                found.push(BlobInfo {
                    id,
                    size: size.cast_unsigned(),
                    used: time(used),
                    is_target,
                });
            }
            Ok(found)
        })
    }

    fn remove(&self, id: &BlobId) -> Result<(), StoreError> {
        let id = id.to_hex();
        let mut batch = Batch::new();
        batch.run("DELETE FROM blobs WHERE id = ?1", vec![id.clone().into()]);
        batch.run("DELETE FROM pieces WHERE blob = ?1", vec![id.into()]);
        self.write(batch)
    }

    fn remove_unless(&self, id: &BlobId, keeps: &dyn Fn(SystemTime) -> bool) -> Result<bool, StoreError> {
        let Some(row) = self.row(id)? else { return Ok(false) };
        if keeps(row.used) {
            return Ok(false);
        }
        let id = id.to_hex();
        let mut batch = Batch::new();
        // Whoever has said meanwhile that it is used has another time there.
        batch.run_one(
            "DELETE FROM blobs WHERE id = ?1 AND used = ?2",
            vec![id.clone().into(), millis(row.used).into()],
        );
        batch.run("DELETE FROM pieces WHERE blob = ?1", vec![id.into()]);
        match self.database.commit(batch) {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict { .. }) => Ok(false),
            Err(error) => Err(failed("remove from", error)),
        }
    }

    fn tidy(&self, _: &[BlobInfo]) -> Result<(), StoreError> {
        let unfinished = self.read(|db| {
            let mut query =
                db.prepare_cached("SELECT DISTINCT blob FROM pieces WHERE blob NOT IN (SELECT id FROM blobs)")?;
            let rows = query.query_map([], |row| row.get::<_, String>(0))?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?)
        })?;
        for id in unfinished {
            // Whoever sends it now says so before the first piece.
            if self.coming().contains(&id) {
                continue;
            }
            let mut batch = Batch::new();
            batch.run(
                "DELETE FROM pieces WHERE blob = ?1 AND blob NOT IN (SELECT id FROM blobs)",
                vec![id.into()],
            );
            self.write(batch)?;
        }
        Ok(())
    }
}

impl Replicated {
    fn coming(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use helve_blobs::BlobStore;

    fn store(dir: &Path) -> (BlobStore, Replicated) {
        let database = Store::open(&dir.join("blobs.db"), &options()).unwrap();
        let upstream = || Replicated::new(Blocking::new(database.clone()));
        let blobs = BlobStore::over(upstream(), &dir.join("cache"), 1 << 30).unwrap();
        (blobs, upstream())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_stored_is_there_without_the_cache_and_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let (blobs, upstream) = store(dir.path());
        let bytes: Vec<u8> = (0..3 * PIECE + 7).map(|n| n as u8).collect();
        tokio::task::block_in_place(|| {
            let blob = blobs.put_bytes(&bytes).unwrap();
            blobs.vouch(&blob.id).unwrap();
            std::fs::remove_dir_all(dir.path().join("cache")).unwrap();
            let (again, _) = (
                BlobStore::over(
                    Replicated::new(upstream.database.clone()),
                    &dir.path().join("cache"),
                    1 << 30,
                ),
                (),
            );
            let again = again.unwrap();
            assert_eq!(again.get(&blob.id).unwrap(), bytes);
            assert!(again.is_vouched(&blob.id).unwrap());
            assert_eq!(again.list().unwrap().len(), 1);
            again.remove(&blob.id).unwrap();
            assert!(!again.contains(&blob.id).unwrap());
        });
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn pieces_that_belong_to_nothing_go_and_what_is_used_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (blobs, upstream) = store(dir.path());
        tokio::task::block_in_place(|| {
            let blob = blobs.put_bytes(b"used").unwrap();
            let mut lost = Batch::new();
            let sql = "INSERT INTO pieces (blob, piece, bytes) VALUES ('lost', 0, x'00')";
            lost.run(sql, Vec::new());
            upstream.database.commit(lost).unwrap();
            upstream.tidy(&[]).unwrap();
            let left: i64 = upstream
                .read(|db| Ok(db.query_row("SELECT count(*) FROM pieces", [], |row| row.get(0))?))
                .unwrap();
            assert_eq!(left, 1);
            assert!(!upstream.remove_unless(&blob.id, &|_| true).unwrap());
            assert!(upstream.remove_unless(&blob.id, &|_| false).unwrap());
        });
    }
}
