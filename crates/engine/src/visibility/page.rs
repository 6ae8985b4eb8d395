//! Pages and counts of any relation that can be listed.

use helve_db::{
    ReadError,
    rusqlite::{Connection, Row, params_from_iter},
};
use helve_visibility::{PageToken, Param, Query, Statement};

use crate::storage::{param, value};

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) rows: Vec<T>,
    /// Empty after the last one.
    pub(crate) next: Vec<u8>,
}

/// A page of the rows that a query finds among those with the values in `scope`. `read` makes something of `columns`.
pub(crate) fn list<T>(
    db: &Connection,
    query: &Query,
    columns: &str,
    scope: &[(&'static str, Param)],
    after: Option<&PageToken>,
    size: usize,
    mut read: impl FnMut(&Row<'_>) -> Result<T, ReadError>,
) -> Result<Page<T>, ReadError> {
    // One more than asked for tells whether there is another page.
    let Statement { sql, params, keys } = query.page(columns, scope, after, size.saturating_add(1));
    let mut statement = db.prepare_cached(&sql)?;
    let first_key = statement.column_count() - keys;
    let mut found = statement.query(params_from_iter(params.into_iter().map(value)))?;
    let mut page = Page {
        rows: Vec::new(),
        next: Vec::new(),
    };
    let mut last = Vec::new();
    while let Some(row) = found.next()? {
        if page.rows.len() == size {
            page.next = PageToken::after(last).encode();
            break;
        }
        page.rows.push(read(row)?);
        last = (first_key..first_key + keys)
            .map(|column| param(row, column))
            .collect::<Result<_, _>>()?;
    }
    Ok(page)
}

/// How many rows a query finds, by group; one nameless group if it names none.
pub(crate) fn count(
    db: &Connection,
    query: &Query,
    scope: &[(&'static str, Param)],
) -> Result<Vec<(String, i64)>, ReadError> {
    let Statement { sql, params, .. } = query.count(scope);
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(params.into_iter().map(value)))?;
    let mut counts = Vec::new();
    while let Some(row) = found.next()? {
        counts.push(match &query.group {
            None => (String::new(), row.get(0)?),
            Some(group) => (group.label(&param(row, 0)?), row.get(1)?),
        });
    }
    Ok(counts)
}
