//! A data directory that an earlier version wrote.
//!
//! Its database is made with the scripts of that version, and holds what this version writes as far as that version had
//! columns for it: a later script only ever adds.

use std::path::Path;

use helve_db::rusqlite::Connection;
use helve_engine::{Engine, OpenError};
use temporalio_protos::temporal::api::enums::v1::WorkflowExecutionStatus;

use crate::client::*;

/// All scripts, in order.
fn scripts() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/storage");
    let read = |n: usize| std::fs::read_to_string(dir.join(format!("schema_{n}.sql")));
    (1..).map_while(|n| read(n).ok()).collect()
}

/// Names in the first column.
fn names(db: &Connection, sql: &str) -> Vec<String> {
    let mut query = db.prepare(sql).unwrap();
    let names = query.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

/// Writes the rows of `now` into a database as the version had it that knew these scripts.
fn as_version(scripts: &[String], now: &Path, old: &Path) {
    let db = Connection::open(old).unwrap();
    for script in scripts {
        db.execute_batch(script).unwrap();
    }
    db.execute_batch("CREATE TABLE committed_batches (seq INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE);")
        .unwrap();
    db.pragma_update(None, "application_id", 0x484c_5645).unwrap();
    db.pragma_update(None, "user_version", scripts.len() as i64).unwrap();
    db.execute("ATTACH ?1 AS now", [now.to_str().unwrap()]).unwrap();
    let tables = names(
        &db,
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    );
    assert!(tables.iter().any(|table| table == "runs"));
    for table in tables {
        // Without generated ones.
        let columns = names(&db, &format!("SELECT name FROM pragma_table_info('{table}', 'main')")).join(", ");
        db.execute_batch(&format!(
            "INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}"
        ))
        .unwrap();
    }
}

fn version(path: &Path) -> i64 {
    let db = Connection::open(path).unwrap();
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_every_earlier_version_is_opened_and_its_runs_go_on() {
    let world = World::new().await;
    world.client.start("closed").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![complete_workflow("done")]).await;
    let open = world.client.start("open").await;
    let task = world.client.poll().await;
    world.client.complete(&task, vec![schedule_activity("a")]).await;
    world.client.start("waits").await;
    let before = [
        world.client.event_types("closed").await,
        world.client.event_types("open").await,
        world.client.event_types("waits").await,
    ];
    world.engine.shutdown().await;
    let now = world.dir.path().join("engine.db");
    let scripts = scripts();
    assert_eq!(version(&now), scripts.len() as i64);

    for version_then in 1..=scripts.len() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("engine.db");
        as_version(&scripts[..version_then], &now, &database);
        let engine = Engine::open(options(dir.path(), &world.clock))
            .await
            .unwrap_or_else(|error| panic!("version {version_then}: {error}"));
        let client = Client {
            call: engine.in_process(),
        };
        let after = [
            client.event_types("closed").await,
            client.event_types("open").await,
            client.event_types("waits").await,
        ];
        assert_eq!(after, before, "version {version_then}");
        assert_eq!(client.status("closed").await, WorkflowExecutionStatus::Completed);
        let listed = client.list("").await.unwrap();
        assert_eq!(listed.executions.len(), 3, "version {version_then}");
        // What was under way goes on: the activity is still to be done, the first task of the other is still to be had.
        let activity = client.poll_activity().await;
        client.complete_activity(&activity, "result").await;
        for _ in 0..2 {
            let task = client.poll().await;
            client.complete(&task, vec![complete_workflow("done")]).await;
        }
        for id in ["open", "waits"] {
            assert_eq!(
                client.status(id).await,
                WorkflowExecutionStatus::Completed,
                "version {version_then}, {id}"
            );
        }
        // What is new in this version works on it.
        assert_ne!(client.start("another").await, open);
        drop(client);
        engine.shutdown().await;
        assert_eq!(version(&database), scripts.len() as i64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_a_newer_version_is_refused_and_left_as_it_is() {
    let world = World::new().await;
    world.engine.shutdown().await;
    let database = world.dir.path().join("engine.db");
    Connection::open(&database)
        .unwrap()
        .pragma_update(None, "user_version", scripts().len() as i64 + 1)
        .unwrap();
    let before = std::fs::read(&database).unwrap();
    let Err(error) = Engine::open(options(world.dir.path(), &world.clock)).await else {
        panic!("it was opened");
    };
    assert!(matches!(error, OpenError::NewerSchema(_)), "{error}");
    assert_eq!(std::fs::read(&database).unwrap(), before);
}
