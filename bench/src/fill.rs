//! Databases full of closed executions, made quickly: one execution runs for real, and its rows are copied under new ids.
//! A million real ones would take longer than all loads together, and would leave the same rows.

use std::path::Path;

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags};

use crate::loads::{complete_at_once, fresh_queue, workflow};
use crate::raw::{Pollers, Server, Workers};
use crate::servers::{Host, Kind};

/// The type of the executions.
pub(crate) const KIND: &str = "filler";
/// Copies in one transaction.
const CHUNK: usize = 50_000;

/// Makes so many closed executions, and starts the server again on them.
pub(crate) async fn closed_executions(host: &mut Host, count: usize) -> Result<()> {
    let copy = match host.kind() {
        Kind::Helve(_) | Kind::HelveWithWorker(_) | Kind::Serve(_) => copy_runs,
        Kind::TemporalFile(_) => copy_visibility,
        Kind::TemporalMemory(_) => bail!("its database is no file that could be filled"),
        Kind::At(..) => bail!("the database of somebody else's server is left alone"),
    };
    one_for_real(host).await?;
    host.stop().await.context("stopping the server")?;
    let data = host.data().to_path_buf();
    tokio::task::spawn_blocking(move || copy(&data, count))
        .await?
        .context("filling the database")?;
    host.run().await.context("starting the server on the full database")?;
    Ok(())
}

async fn one_for_real(host: &Host) -> Result<()> {
    let server = Server::connect(host.address(), false).await?;
    let queue = fresh_queue();
    let pollers = Pollers {
        workflow: 2,
        activity: 0,
        sticky: false,
    };
    let id = format!("{queue}-template");
    let load = workflow(server.clone(), KIND, queue.clone(), id);
    Workers::start(&server, &queue, complete_at_once, pollers)
        .during(load)
        .await
}

fn open(path: &Path) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144; PRAGMA temp_store = MEMORY")?;
    Ok(connection)
}

/// Copies the newest run of Helve's engine with its history.
fn copy_runs(data: &Path, count: usize) -> Result<()> {
    let connection = open(&data.join("engine.db"))?;
    let template: i64 = connection.query_row(
        "SELECT max(id) FROM runs WHERE type = ?1 AND settled = 1",
        [KIND],
        |row| row.get(0),
    )?;
    let last: i64 = connection.query_row("SELECT max(id) FROM runs", [], |row| row.get(0))?;
    let runs = insert_copies(&connection, "runs", "t.id = ?1", |column| match column {
        "id" => Some("?2 + n.value".to_owned()),
        "workflow_id" => Some("'filler-' || (?2 + n.value)".to_owned()),
        "run_id" => Some(UUID.to_owned()),
        // A millisecond apart, so that an order by time is one.
        "start_time" | "execution_time" | "close_time" => Some(format!("t.{column} - n.value * 1000000")),
        _ => None,
    })?;
    let history = insert_copies(
        &connection,
        "history",
        "t.at BETWEEN ?1 << 20 AND (?1 << 20) + 0xfffff",
        |column| (column == "at").then(|| "((?2 + n.value) << 20) | (t.at & 0xfffff)".to_owned()),
    )?;
    let values = insert_copies(&connection, "search_attribute_values", "t.owner = ?1", |column| {
        (column == "owner").then(|| "?2 + n.value".to_owned())
    })?;
    for done in (0..count).step_by(CHUNK) {
        let many = CHUNK.min(count - done);
        let transaction = connection.unchecked_transaction()?;
        for statement in [&runs, &history, &values] {
            transaction.execute(statement, (template, last + done as i64, many as i64))?;
        }
        transaction.commit()?;
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// Copies what the real server lists of its newest closed execution; of the execution itself there is only one.
fn copy_visibility(data: &Path, count: usize) -> Result<()> {
    let connection = open(&data.join("temporal.db"))?;
    let template: i64 = connection.query_row(
        "SELECT max(rowid) FROM executions_visibility WHERE workflow_type_name = ?1 AND close_time IS NOT NULL",
        [KIND],
        |row| row.get(0),
    )?;
    let rows = insert_copies(
        &connection,
        "executions_visibility",
        "t.rowid = ?1",
        |column| match column {
            "workflow_id" => Some("'filler-' || (?2 + n.value)".to_owned()),
            "run_id" => Some(UUID.to_owned()),
            _ => None,
        },
    )?;
    for done in (0..count).step_by(CHUNK) {
        let many = CHUNK.min(count - done);
        let transaction = connection.unchecked_transaction()?;
        transaction.execute(&rows, (template, done as i64, many as i64))?;
        transaction.commit()?;
    }
    Ok(())
}

/// A random UUID of version 4.
const UUID: &str = "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) \
    || '-a' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))";

/// A statement that inserts ?3 copies of the rows of a table that `which` selects (aliased `t`), numbered from 1
/// (`n.value`); `new` says which columns differ, and how.
fn insert_copies(
    connection: &Connection,
    table: &str,
    which: &str,
    new: impl Fn(&str) -> Option<String>,
) -> Result<String> {
    // Generated columns are hidden from inserts.
    let mut statement = connection.prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0")?;
    let columns: Vec<String> = statement
        .query_map([table], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let values = columns
        .iter()
        .map(|column| new(column).unwrap_or_else(|| format!("t.{column}")));
    Ok(format!(
        "WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < ?3)
         INSERT INTO {table} ({}) SELECT {} FROM n CROSS JOIN {table} AS t WHERE {which} AND ?2 >= 0",
        columns.join(", "),
        values.collect::<Vec<_>>().join(", "),
    ))
}

/// How many rows Helve's engine wrote per run: one of the run itself per transition, and one per batch of events. Rows of
/// activities, which come and go, are not counted.
pub(crate) fn rows_per_run(data: &Path) -> Option<f64> {
    let path = data.join("engine.db");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    let rows = "SELECT (total(version) + (SELECT count(*) FROM history)) / count(*) FROM runs";
    connection.query_row(rows, [], |row| row.get(0)).ok()
}

/// Runs in a database of Helve's engine.
pub(crate) fn runs(database: &Path) -> Option<f64> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    connection
        .query_row("SELECT total(1) FROM runs", [], |row| row.get(0))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_have_new_ids_and_the_rest_of_the_row() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "CREATE TABLE things (id INTEGER PRIMARY KEY, run_id TEXT UNIQUE, colour TEXT, twice INTEGER AS (id * 2));
                 INSERT INTO things (id, run_id, colour) VALUES (1, 'x', 'red'), (2, 'y', 'blue')",
            )
            .unwrap();
        let statement = insert_copies(&connection, "things", "t.id = ?1", |column| match column {
            "id" => Some("?2 + n.value".to_owned()),
            "run_id" => Some(UUID.to_owned()),
            _ => None,
        });
        assert_eq!(connection.execute(&statement.unwrap(), (2, 2, 100)).unwrap(), 100);
        let sql = "SELECT count(*), max(id), max(length(run_id)) FROM things WHERE colour = 'blue'";
        let found: (i64, i64, i64) = connection
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .unwrap();
        assert_eq!(found, (101, 102, 36));
    }
}
