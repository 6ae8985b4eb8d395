//! A ledger that an earlier version wrote.
//!
//! Its database is made with the scripts of that version, and holds what this version writes as far as that version had
//! tables and columns for it: a later script only ever adds.

use std::path::Path;

use helve_db::rusqlite::Connection;
use helve_ledger::{
    AuditFilter, Error, EventKind, FindingFilter, FindingOrder, NewToken, NewWebhook, PageRequest, Role, Scope, Triage,
    TriageChange,
};

use crate::{
    reports::{SPACE, id, list, numbers, run},
    support::{Desk, alice, root},
};

/// All scripts, in order.
fn scripts() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |n: usize| std::fs::read_to_string(dir.join(format!("schema_{n}.sql")));
    (1..).map_while(|n| read(n).ok()).collect()
}

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
    db.pragma_update(None, "application_id", 0x484c_564c).unwrap();
    db.pragma_update(None, "user_version", scripts.len() as i64).unwrap();
    db.execute("ATTACH ?1 AS now", [now.to_str().unwrap()]).unwrap();
    // Of the full-text index, the tables that it consists of.
    let tables = names(
        &db,
        "SELECT name FROM main.sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE 'CREATE VIRTUAL%'",
    );
    assert!(tables.iter().any(|table| table == "tokens"));
    for table in tables {
        let columns = names(&db, &format!("SELECT name FROM pragma_table_info('{table}', 'main')"));
        let columns: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let columns = columns.join(", ");
        db.execute_batch(&format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}"
        ))
        .unwrap();
    }
}

fn version(path: &Path) -> i64 {
    let db = Connection::open(path).unwrap();
    db.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn a_ledger_of_every_earlier_version_is_opened_and_means_the_same() {
    let desk = Desk::open().await;
    let token = NewToken {
        name: "ci".to_owned(),
        role: Role::Analyst,
        scope: Scope::all(),
        expires_at: None,
    };
    let token = desk.ledger.create_token(&root(), token).await.unwrap();
    desk.ledger.ingest(&alice(), run("a", 1, &[1, 2, 3])).await.unwrap();
    let change = TriageChange {
        state: Some(Triage::FalsePositive),
        ..TriageChange::default()
    };
    let second = id(&desk.ledger, 2).await;
    desk.ledger
        .triage(&alice(), SPACE, &second, None, change)
        .await
        .unwrap();
    let search = || FindingFilter {
        text: Some("number3".to_owned()),
        ..FindingFilter::default()
    };
    let all = list(&desk.ledger, FindingFilter::default(), FindingOrder::Newest, 500).await;
    desk.ledger.close().await.unwrap();
    let scripts = scripts();
    assert_eq!(version(&desk.path()), scripts.len() as i64);

    for version_then in 1..=scripts.len() {
        let mut old = Desk::open().await;
        old.ledger.close().await.unwrap();
        std::fs::remove_file(old.path()).unwrap();
        as_version(&scripts[..version_then], &desk.path(), &old.path());
        old.reopen_closed().await;
        let ledger = &old.ledger;
        let who = ledger.verify_token(token.secret.reveal()).unwrap();
        assert_eq!(
            (who.role, who.actor.name.as_str()),
            (Role::Analyst, "ci"),
            "version {version_then}"
        );
        let audit = ledger
            .list_audit(AuditFilter::default(), PageRequest::default())
            .await
            .unwrap();
        assert!(audit.items.iter().any(|entry| entry.action == "finding.triage"));
        let listed = list(ledger, FindingFilter::default(), FindingOrder::Newest, 500).await;
        match version_then {
            // Before findings.
            1 => assert!(listed.is_empty()),
            _ => {
                assert_eq!(listed, all, "version {version_then}");
                let found = list(ledger, search(), FindingOrder::Newest, 500).await;
                assert_eq!(numbers(&found), [3], "version {version_then}");
            }
        }
        // What came later works on it: findings of before are known, new ones are told.
        let hook = NewWebhook {
            namespace: SPACE.to_owned(),
            url: "https://hooks.example".to_owned(),
            events: EventKind::ALL.to_vec(),
            secret: None,
        };
        ledger.create_webhook(&alice(), hook).await.unwrap();
        let next = ledger.ingest(&alice(), run("b", 2, &[1, 2, 3, 4])).await.unwrap();
        let new = match version_then {
            1 => 4,
            _ => 1,
        };
        assert_eq!(next.counts.new, new, "version {version_then}");
        assert!(ledger.next_delivery().await.unwrap().is_some());
        ledger.close().await.unwrap();
        assert_eq!(version(&old.path()), scripts.len() as i64);
    }
}

#[tokio::test]
async fn a_ledger_of_a_newer_version_is_refused_and_left_as_it_is() {
    let desk = Desk::open().await;
    desk.ledger.close().await.unwrap();
    Connection::open(desk.path())
        .unwrap()
        .pragma_update(None, "user_version", scripts().len() as i64 + 1)
        .unwrap();
    let before = std::fs::read(desk.path()).unwrap();
    let refused = helve_ledger::Ledger::open(&desk.path(), helve_ledger::Options::default()).await;
    let Err(Error::Open(error)) = refused else {
        panic!("it was opened");
    };
    assert!(error.to_string().contains("start the newer version again"), "{error}");
    assert_eq!(std::fs::read(desk.path()).unwrap(), before);
}
