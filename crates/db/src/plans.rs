//! For tests of crates that keep their rows here: which statements their sources hold, and how SQLite goes about them.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::Connection;

/// The string literals in the code of all Rust files below a directory, with one space for each stretch of white space.
/// Comments, and what follows `#[cfg(test)]` or `#![cfg(test)]`, are left out. It does not know raw strings.
///
/// # Errors
///
/// When something there cannot be read.
pub fn literals_below(dir: &Path) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(literals_below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(literals(&fs::read_to_string(&path)?));
        }
    }
    Ok(found)
}

/// The steps of SQLite's plan for a statement, in its words: `SEARCH runs USING INDEX ...`.
///
/// # Errors
///
/// When it is no statement of this database.
pub fn plan(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut query = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let mut steps = query.raw_query();
    let mut details = Vec::new();
    while let Some(step) = steps.next()? {
        details.push(step.get(3)?);
    }
    Ok(details)
}

fn literals(source: &str) -> Vec<String> {
    // Comments may quote anything; tests ask what they like.
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let code = code
        .split("[cfg(test)]")
        .next()
        .unwrap_or_default()
        .replace("'\"'", "' '");
    let mut literals = Vec::new();
    let mut rest = code.as_str();
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
        literals.push(literal.split_whitespace().collect::<Vec<_>>().join(" "));
        rest = &rest[end..];
    }
    literals
}
