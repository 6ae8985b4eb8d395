//! How SQLite goes about every statement that this crate has: by a key or an index, never through a whole table.

#![cfg(test)]

use std::collections::BTreeSet;
use std::path::Path;

use helve_db::plans::{literals_below, plan};
use helve_db::rusqlite::Connection;

use super::MIGRATIONS;

/// Reads that are meant to see all of something: steps of their plans, by what is read and why that is little or wanted.
const WHOLE: &[&str] = &[
    // At the start, to have it in memory.
    "SCAN namespaces",
    "SCAN task_queue_configs",
    "SCAN schedules",
    // Of these indices, which hold only what is under way.
    "SCAN runs USING INDEX runs_unsettled",
    "SCAN batches USING INDEX batches_running",
    // Requests to delete that are not done yet.
    "SCAN deletions",
    // One row, or the rows of a list of values in the statement itself.
    "SCAN CONSTANT ROW",
    // Attributes that somebody made: tens.
    "SCAN search_attributes",
];

/// Every statement in the sources, whole or put together. (Those that lists make of queries have a test of their own, in
/// `visibility`.)
fn statements() -> BTreeSet<String> {
    let mut statements = BTreeSet::new();
    let mut pieces = BTreeSet::new();
    let mut pieced = BTreeSet::new();
    for sql in literals_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let is_statement = ["SELECT ", "INSERT ", "UPDATE ", "DELETE "]
            .iter()
            .any(|verb| sql.starts_with(verb));
        let sql = sql.replace("{COLUMNS}", "*");
        if is_statement && sql.contains('{') {
            pieced.insert(sql);
        } else if is_statement {
            statements.insert(sql);
        } else if sql.starts_with("FROM ") {
            pieces.insert(sql);
        }
    }
    // What is put together in the sources is put together here, in every way.
    for sql in pieced {
        let head = sql.strip_suffix("{from}");
        let head = head.unwrap_or_else(|| panic!("this test does not know what is put into `{sql}`"));
        statements.extend(pieces.iter().map(|piece| format!("{head}{piece}")));
    }
    statements.extend(pieces.iter().map(|piece| format!("SELECT 1 {piece}")));
    statements
}

#[test]
fn no_statement_reads_a_whole_table() {
    let db = Connection::open_in_memory().unwrap();
    for script in MIGRATIONS {
        db.execute_batch(script).unwrap();
    }
    let statements = statements();
    for known in [
        "UPDATE runs SET version",
        "FROM activities WHERE at BETWEEN",
        "INSERT INTO history",
    ] {
        assert!(
            statements.iter().any(|sql| sql.contains(known)),
            "{known} is not found any more"
        );
    }
    let mut scans = Vec::new();
    for sql in &statements {
        for detail in plan(&db, sql).unwrap_or_else(|error| panic!("{sql}: {error}")) {
            let is_meant = WHOLE.iter().any(|whole| detail.starts_with(whole));
            if detail.starts_with("SCAN") && !is_meant {
                scans.push(format!("{sql}: {detail}"));
            }
        }
    }
    assert!(scans.is_empty(), "{}", scans.join("\n"));
}
