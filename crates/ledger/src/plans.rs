//! How SQLite goes about every statement that this crate has: by a key or an index, never through a whole table.

#![cfg(test)]

use std::collections::BTreeSet;
use std::path::Path;

use helve_db::plans::{literals_below, plan};
use helve_db::rusqlite::Connection;

use crate::schema::MIGRATIONS;

/// Steps that are meant to see all of something, by what is read and why that is little or wanted.
const WHOLE: &[&str] = &[
    // At the start, to have them in memory; and, now and then, those that are over for long, of one certificate, or opened
    // with one token. Bounded.
    "SCAN tokens",
    "SCAN sessions",
    "SCAN webhooks",
    "SCAN mesh_tickets",
    "SCAN mesh_peers",
    // Valid for an hour at most.
    "SCAN login_codes",
    // Of this index, which holds only what is being done.
    "SCAN answers USING INDEX answers_unanswered",
    // The full-text index, asked with MATCH or for a row.
    "SCAN words VIRTUAL TABLE INDEX",
    "SCAN CONSTANT ROW",
];

/// Every statement in the sources; of one that is put together, what follows its columns.
fn statements() -> BTreeSet<String> {
    let mut statements = BTreeSet::new();
    for sql in literals_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        // The beginnings of statements that are put together.
        if sql == "SELECT" || sql.ends_with('(') {
            continue;
        }
        if ["SELECT ", "INSERT ", "UPDATE ", "DELETE "]
            .iter()
            .any(|verb| sql.starts_with(verb))
        {
            statements.insert(sql);
        } else if sql.starts_with("FROM ") {
            statements.insert(format!("SELECT 1 {sql}"));
        }
    }
    statements
}

#[test]
fn no_statement_reads_or_sorts_a_whole_table() {
    let db = Connection::open_in_memory().unwrap();
    for script in MIGRATIONS {
        db.execute_batch(script).unwrap();
    }
    let statements = statements();
    for known in [
        "FROM audit INDEXED BY audit_actor",
        "SELECT 1 FROM findings INDEXED BY findings_by_path",
        "UPDATE deliveries SET state",
    ] {
        assert!(
            statements.iter().any(|sql| sql.contains(known)),
            "{known} is not found any more"
        );
    }
    let mut wrong = Vec::new();
    for sql in &statements {
        for detail in plan(&db, sql).unwrap_or_else(|error| panic!("{sql}: {error}")) {
            let is_meant = WHOLE.iter().any(|whole| detail.starts_with(whole));
            let is_sort = detail.contains("TEMP B-TREE");
            if (detail.starts_with("SCAN") && !is_meant) || is_sort {
                wrong.push(format!("{sql}: {detail}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
