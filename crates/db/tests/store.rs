//! What a store promises, each test named after its promise.

use std::path::Path;

use helve_db::{Batch, CommitError, OpenError, Options, ReadError, Statement, Store};

const SCHEMA: &[&str] = &["CREATE TABLE item (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, body BLOB) STRICT;"];

fn options() -> Options {
    Options {
        migrations: SCHEMA,
        application_id: 77,
        ..Options::default()
    }
}

fn open(dir: &Path) -> Store {
    Store::open(&dir.join("t.db"), &options()).unwrap()
}

fn insert(id: i64) -> Batch {
    let mut batch = Batch::new();
    batch.run_one(
        "INSERT INTO item (id, version, body) VALUES (?1, 1, ?2)",
        vec![id.into(), vec![7u8; 64].into()],
    );
    batch
}

fn bump(id: i64, from: i64) -> Statement {
    Statement::expecting(
        "UPDATE item SET version = version + 1 WHERE id = ?1 AND version = ?2",
        vec![id.into(), from.into()],
        1,
    )
}

async fn count(store: &Store) -> i64 {
    store
        .read(|db| Ok(db.query_row("SELECT count(*) FROM item", [], |row| row.get(0))?))
        .await
        .unwrap()
}

/// Keeps the writer busy for long enough that callers queue up behind it.
fn slow_batch() -> Batch {
    let mut batch = Batch::new();
    batch.run(
        "INSERT INTO item (id, version) WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1500000) \
         SELECT -max(x), 1 FROM n",
        vec![],
    );
    batch
}

#[tokio::test]
async fn callers_that_wait_together_share_one_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut calls = vec![tokio::spawn({
        let store = store.clone();
        async move { store.commit(slow_batch()).await }
    })];
    tokio::task::yield_now().await;
    for id in 0..500 {
        let store = store.clone();
        calls.push(tokio::spawn(async move { store.commit(insert(id)).await }));
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let stats = store.stats();
    assert_eq!(stats.batches, 501);
    assert!(stats.commits <= 10, "{} commits for 501 batches", stats.commits);
    assert!(stats.rows >= 501, "{} rows of 501 batches", stats.rows);
    assert!(stats.bytes >= 500 * 8, "{} bytes of 501 batches", stats.bytes);
    assert_eq!(count(&store).await, 501);
}

#[tokio::test]
async fn a_conflicting_batch_does_not_roll_back_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.commit(insert(1)).await.unwrap();
    let mut stale = insert(3);
    stale.push(bump(1, 9));
    let (slow, before, conflict, after) = tokio::join!(
        store.commit(slow_batch()),
        store.commit(insert(2)),
        store.commit(stale),
        store.commit(insert(4))
    );
    slow.unwrap();
    before.unwrap();
    assert_eq!(
        conflict.unwrap_err(),
        CommitError::Conflict {
            statement: 1,
            expected: 1,
            changed: 0
        }
    );
    after.unwrap();
    let ids: Vec<i64> = store
        .read(|db| {
            let mut query = db.prepare("SELECT id FROM item WHERE id > 0 ORDER BY id")?;
            let ids = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            Ok(ids)
        })
        .await
        .unwrap();
    assert_eq!(ids, [1, 2, 4], "item 3 went with its conflict");
}

#[tokio::test]
async fn a_statement_that_fails_fails_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut wrong = insert(1);
    wrong.run("INSERT INTO nowhere VALUES (1)", vec![]);
    let mut twice = insert(2);
    twice.run_one("INSERT INTO item (id, version) VALUES (?1, 1)", vec![2.into()]);
    let (slow, wrong, twice, good) = tokio::join!(
        store.commit(slow_batch()),
        store.commit(wrong),
        store.commit(twice),
        store.commit(insert(5))
    );
    slow.unwrap();
    assert!(
        matches!(wrong, Err(CommitError::Statement { statement: 1, .. })),
        "{wrong:?}"
    );
    assert!(
        matches!(twice, Err(CommitError::Statement { statement: 1, .. })),
        "{twice:?}"
    );
    good.unwrap();
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn a_full_disk_is_an_error_for_the_callers_and_the_store_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let limited = Options {
        max_file_bytes: Some(256 << 10),
        ..options()
    };
    let store = Store::open(&dir.path().join("t.db"), &limited).unwrap();
    store.commit(insert(1)).await.unwrap();
    let mut big = Batch::new();
    big.run(
        "INSERT INTO item (id, version, body) VALUES (2, 1, ?1)",
        vec![vec![1u8; 1 << 20].into()],
    );
    let error = store.commit(big).await.unwrap_err();
    assert!(matches!(error, CommitError::Full { .. }), "{error}");
    assert!(error.is_retryable());
    assert!(error.to_string().contains("free some space"));
    assert_eq!(count(&store).await, 1, "nothing of the failed write is there");

    store.commit(insert(3)).await.unwrap();
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn every_acknowledged_write_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for id in 0..20 {
        store.commit(insert(id)).await.unwrap();
    }
    // A copy of the files at this moment is what a crash would leave.
    let crashed = tempfile::tempdir().unwrap();
    for name in ["t.db", "t.db-wal"] {
        std::fs::copy(dir.path().join(name), crashed.path().join(name)).unwrap();
    }
    assert_eq!(count(&open(crashed.path())).await, 20);

    store.close().await;
    assert_eq!(store.commit(insert(99)).await, Err(CommitError::Closed));
    assert!(matches!(store.read(|_| Ok(())).await, Err(ReadError::Closed)));
    assert_eq!(count(&open(dir.path())).await, 20);
}

#[tokio::test]
async fn a_batch_with_a_known_key_is_acknowledged_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.commit(insert(1).with_key([1; 16])).await.unwrap();
    store.commit(insert(1).with_key([1; 16])).await.unwrap();
    assert!(store.commit(insert(1).with_key([2; 16])).await.is_err());
    // The failed batch did not use up its key.
    store.commit(insert(2).with_key([2; 16])).await.unwrap();
    assert_eq!(count(&store).await, 2);
}

#[tokio::test]
async fn a_batch_over_the_limit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(
        &dir.path().join("t.db"),
        &Options {
            max_batch_bytes: 1000,
            ..options()
        },
    )
    .unwrap();
    let mut batch = Batch::new();
    batch.run(
        "INSERT INTO item (id, version, body) VALUES (1, 1, ?1)",
        vec![vec![0_u8; 2000].into()],
    );
    assert!(matches!(
        store.commit(batch).await,
        Err(CommitError::TooLarge { limit: 1000, .. })
    ));
}

#[tokio::test]
async fn a_read_that_panics_gives_its_connection_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(
        &dir.path().join("t.db"),
        &Options {
            readers: 1,
            ..options()
        },
    )
    .unwrap();
    let panicked = store.read(|_| -> Result<(), ReadError> { panic!("in a read") }).await;
    assert!(panicked.is_err());
    assert_eq!(count(&store).await, 0);
}

#[tokio::test]
async fn readers_cannot_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let written = store
        .read(|db| Ok(db.execute("INSERT INTO item (id, version) VALUES (1, 1)", [])?))
        .await;
    assert!(written.is_err());
}

fn open_error(path: &Path) -> OpenError {
    match Store::open(path, &options()) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    for content in [&b"hello"[..], &[0xff; 5000]] {
        std::fs::write(&path, content).unwrap();
        let error = open_error(&path);
        assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("restore it from a backup"));
        assert_eq!(std::fs::read(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn a_damaged_page_is_found_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let store = open(dir.path());
    for id in 0..200 {
        store.commit(insert(id)).await.unwrap();
    }
    store.close().await;
    let mut bytes = std::fs::read(&path).unwrap();
    let page = bytes.len() - 4096;
    bytes[page..page + 200].fill(0xee);
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(open_error(&path), OpenError::Corrupt { .. }));

    std::fs::write(&path, &bytes[..5000]).unwrap();
    assert!(
        matches!(open_error(&path), OpenError::Corrupt { .. }),
        "a truncated file"
    );
}

#[tokio::test]
async fn a_newer_schema_and_a_foreign_database_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    open(dir.path()).close().await;
    {
        let raw = helve_db::rusqlite::Connection::open(&path).unwrap();
        raw.pragma_update(None, "user_version", 2).unwrap();
    }
    assert!(matches!(
        open_error(&path),
        OpenError::NewerSchema { found: 2, known: 1, .. }
    ));
    let other = Options {
        application_id: 78,
        ..options()
    };
    assert!(matches!(Store::open(&path, &other), Err(OpenError::Foreign { .. })));
}

#[tokio::test]
async fn a_new_migration_runs_once_on_the_old_data() {
    const NEXT: &[&str] = &[SCHEMA[0], "ALTER TABLE item ADD COLUMN note TEXT DEFAULT 'none';"];
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.commit(insert(1)).await.unwrap();
    store.close().await;
    for _ in 0..2 {
        let next = Options {
            migrations: NEXT,
            ..options()
        };
        let store = Store::open(&dir.path().join("t.db"), &next).unwrap();
        let note: String = store
            .read(|db| Ok(db.query_row("SELECT note FROM item", [], |row| row.get(0))?))
            .await
            .unwrap();
        assert_eq!(note, "none");
        store.close().await;
    }
}

#[tokio::test]
async fn space_that_is_free_can_be_given_back_step_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let store = open(dir.path());
    for id in 0..64 {
        let mut batch = Batch::new();
        batch.run(
            "INSERT INTO item (id, version, body) VALUES (?1, 1, zeroblob(65536))",
            vec![id.into()],
        );
        store.commit(batch).await.unwrap();
    }
    let mut batch = Batch::new();
    batch.run("DELETE FROM item WHERE id <> 7", vec![]);
    store.commit(batch).await.unwrap();
    let free = async || {
        let pages: i64 = store
            .read(|db| Ok(db.query_row("PRAGMA freelist_count", [], |row| row.get(0))?))
            .await
            .unwrap();
        pages
    };
    let before = free().await;
    assert!(before > 900, "{before}");
    let mut batch = insert(100);
    batch.give_back(100);
    store.commit(batch).await.unwrap();
    let after = free().await;
    assert!((before - 110..=before - 90).contains(&after), "{before} to {after}");
    while free().await > 0 {
        let mut batch = Batch::new();
        batch.give_back(500);
        store.commit(batch).await.unwrap();
    }
    assert_eq!(count(&store).await, 2, "what is in use stays");
    store.close().await;
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 256 << 10, "{size} bytes are left");
    assert_eq!(count(&open(dir.path())).await, 2);
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_is_its_owners_alone_also_one_that_was_not() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let modes = || {
        let files = std::fs::read_dir(dir.path()).unwrap();
        let mode = |file: std::fs::DirEntry| file.metadata().unwrap().permissions().mode() & 0o777;
        files.map(|file| mode(file.unwrap())).collect::<Vec<_>>()
    };
    std::fs::write(dir.path().join("t.db"), "").unwrap();
    std::fs::set_permissions(dir.path().join("t.db"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(dir.path());
    store.commit(insert(1)).await.unwrap();
    assert!(modes().iter().all(|mode| *mode == 0o600), "{:?}", modes());
    store.close().await;
}
