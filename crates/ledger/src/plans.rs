//! How SQLite goes about every statement that this crate has: by a key or an index, never through a whole table.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use helve_db::rusqlite::Connection;

use crate::schema::MIGRATIONS;

/// Steps that are meant to see all of something, by what is read and why that is little or wanted.
const WHOLE: &[&str] = &[
    // At the start, to have them in memory; and, now and then, those that are over for long. Bounded.
    "SCAN tokens",
    "SCAN sessions",
    "SCAN webhooks",
    // Valid for an hour at most.
    "SCAN login_codes",
    // Of this index, which holds only what is being done.
    "SCAN answers USING INDEX answers_unanswered",
    // The full-text index, asked with MATCH or for a row.
    "SCAN words VIRTUAL TABLE INDEX",
    "SCAN CONSTANT ROW",
];

fn sources(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The string literals of a source file, as far as they have no raw strings in them.
fn literals(source: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = source;
    while let Some(start) = rest.find('"') {
        let mut literal = String::new();
        let mut chars = rest[start + 1..].char_indices();
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    end = start + 1 + at + 1;
                    break;
                }
                '\\' => match chars.next() {
                    // A line that goes on.
                    Some((_, '\n')) => literal.push(' '),
                    Some((_, escaped)) => literal.push(escaped),
                    None => {}
                },
                c => literal.push(c),
            }
        }
        literals.push(literal);
        rest = &rest[end..];
    }
    literals
}

/// Every statement in the sources; of one that is put together, what follows its columns.
fn statements() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut statements = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let code: String = source
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        for literal in literals(&code.replace("'\"'", "' '")) {
            let sql = literal.split_whitespace().collect::<Vec<_>>().join(" ");
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
        let mut query = db
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        let mut steps = query.raw_query();
        while let Some(step) = steps.next().unwrap() {
            let detail: String = step.get(3).unwrap();
            let is_meant = WHOLE.iter().any(|whole| detail.starts_with(whole));
            let is_sort = detail.contains("TEMP B-TREE");
            if (detail.starts_with("SCAN") && !is_meant) || is_sort {
                wrong.push(format!("{sql}: {detail}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
