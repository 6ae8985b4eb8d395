//! What a store promises when the disk below it fails: every operation of a small workload fails once.

mod vfs;

use std::path::Path;

use helve_db::{Batch, CommitError, Options, Store};
use vfs::{Fault, FaultyDisk};

const SCHEMA: &[&str] = &["
    CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE twin (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
"];
/// Writes in a workload.
const WRITES: i64 = 6;

fn open(dir: &Path) -> Store {
    let options = Options {
        migrations: SCHEMA,
        readers: 1,
        ..Options::default()
    };
    Store::open(&dir.join("t.db"), &options).unwrap()
}

/// A write of two rows and several pages: half of it would be noticed.
fn write(id: i64) -> Batch {
    let mut batch = Batch::new();
    let body = vec![id as u8; 3000 + 2000 * id as usize];
    batch.run_one(
        "INSERT INTO item (id, body) VALUES (?1, ?2)",
        vec![id.into(), body.clone().into()],
    );
    batch.run_one(
        "INSERT INTO twin (id, body) VALUES (?1, ?2)",
        vec![id.into(), body.into()],
    );
    batch
}

/// The ids of the whole writes; half a write is an error.
async fn whole_writes(store: &Store) -> Vec<i64> {
    let ids = store.read(|db| {
        let halves: i64 = db.query_row(
            "SELECT count(*) FROM item FULL JOIN twin USING (id, body) WHERE item.id IS NULL OR twin.id IS NULL",
            [],
            |row| row.get(0),
        )?;
        assert_eq!(halves, 0, "half a write is there");
        let mut query = db.prepare("SELECT id FROM item ORDER BY id")?;
        let ids = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(ids)
    });
    ids.await.unwrap()
}

async fn operations_of_a_workload() -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::under(dir.path());
    let store = open(dir.path());
    let before = disk.operations();
    for id in 0..WRITES {
        store.commit(write(id)).await.unwrap();
    }
    store.close().await;
    disk.operations() - before
}

#[tokio::test]
async fn a_failed_operation_fails_its_write_and_nothing_else() {
    let operations = operations_of_a_workload().await;
    assert!(operations > 30, "{operations} operations are no workload");
    for at in 0..operations {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::under(dir.path());
        let store = open(dir.path());
        disk.fail_after(at, Fault::Io);
        let mut acknowledged = Vec::new();
        for id in 0..WRITES {
            match store.commit(write(id)).await {
                Ok(()) => acknowledged.push(id),
                Err(CommitError::Io { .. }) => {}
                Err(error) => panic!("operation {at}: {error}"),
            }
            assert_eq!(whole_writes(&store).await, acknowledged, "operation {at}, write {id}");
        }
        assert!(
            acknowledged.len() as i64 >= WRITES - 1,
            "operation {at}: one failure, one write"
        );
        // Otherwise it is the closing that fails.
        if disk.has_failed() {
            store.commit(write(WRITES)).await.unwrap();
            acknowledged.push(WRITES);
        }
        store.close().await;
        assert_eq!(
            whole_writes(&open(dir.path())).await,
            acknowledged,
            "operation {at}, reopened"
        );
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_space() {
    for at in 0..operations_of_a_workload().await {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::under(dir.path());
        let store = open(dir.path());
        disk.fail_after(at, Fault::Full);
        let mut acknowledged = Vec::new();
        for id in 0..WRITES {
            match store.commit(write(id)).await {
                Ok(()) => acknowledged.push(id),
                Err(CommitError::Full { .. }) => {}
                Err(error) => panic!("operation {at}: {error}"),
            }
            assert_eq!(whole_writes(&store).await, acknowledged, "operation {at}, write {id}");
        }
        disk.repair();
        store.commit(write(WRITES)).await.unwrap();
        acknowledged.push(WRITES);
        store.close().await;
        assert_eq!(
            whole_writes(&open(dir.path())).await,
            acknowledged,
            "operation {at}, reopened"
        );
    }
}

#[tokio::test]
async fn a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    for at in 0..operations_of_a_workload().await {
        let dir = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::under(dir.path());
        let store = open(dir.path());
        disk.fail_after(at, Fault::PowerCut);
        let mut acknowledged = Vec::new();
        for id in 0..WRITES {
            if store.commit(write(id)).await.is_ok() {
                acknowledged.push(id);
            }
        }
        store.close().await;
        assert!(disk.has_failed());
        // What is left depends on what the disk did on its own: several outcomes are tried.
        for outcome in 0..8u64 {
            let mut state = at * 8 + outcome;
            let chance = |below: usize| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize % below.max(1)
            };
            let left = tempfile::tempdir().unwrap();
            disk.after_power_cut(left.path(), chance);
            let found = whole_writes(&open(left.path())).await;
            assert!(
                found.starts_with(&acknowledged) && found.len() <= acknowledged.len() + 1,
                "operation {at}, outcome {outcome}: {acknowledged:?} were acknowledged, {found:?} are there"
            );
        }
    }
}
