//! How many rows per second plain SQLite makes permanent when they are those of an engine that ran: the same tables and
//! indexes, the same histories in the same order of growth, as many runs open at once. One connection writes them from
//! memory and does nothing else: no calls, no decisions, nobody who waits. No group commit of such rows can be better.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Transaction, params_from_iter};

/// Runs that are open at the same time.
const OPEN: usize = 200;
/// Runs that are read into memory at most.
const MOST: i64 = 10_000;
/// Bytes that are noted of an activity while it is under way: they are gone from the database of a run that has ended.
const ACTIVITY: usize = 64;
/// Columns that have other values while a run is open, with these.
const WHILE_OPEN: [(&str, Value); 3] = [
    ("settled", Value::Integer(0)),
    ("status", Value::Integer(1)),
    ("close_time", Value::Null),
];
/// Columns that every step of a run changes.
const CHANGING: [&str; 6] = ["facts", "history_length", "history_size", "transitions", "due", "owes"];

/// Writes the closed runs of an engine's database into another one, `group` rows in a transaction, for at most `time`.
pub(crate) fn per_second(database: &Path, folder: &Path, group: usize, time: Duration) -> Result<f64> {
    let recorded = Recorded::read(database).with_context(|| format!("reading {}", database.display()))?;
    ensure!(recorded.runs.len() >= OPEN, "fewer than {OPEN} runs to write again");
    let mut connection = Connection::open(folder.join("same-rows.db"))?;
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4096")?;
    connection.execute_batch(&recorded.schema)?;
    let mut waiting = recorded.runs.iter();
    let mut open: Vec<(&Run, usize)> = waiting.by_ref().take(OPEN).map(|run| (run, 0)).collect();
    let began = Instant::now();
    let mut turn = 0;
    while began.elapsed() < time && !open.is_empty() {
        let enough = connection.total_changes() + group as u64;
        let transaction = connection.transaction()?;
        while transaction.total_changes() < enough && !open.is_empty() {
            turn = (turn + 1) % open.len();
            let (run, step) = open[turn];
            recorded.write(&transaction, run, step)?;
            if step + 1 < run.batches.len() {
                open[turn].1 += 1;
            } else if let Some(next) = waiting.next() {
                open[turn] = (next, 0);
            } else {
                open.swap_remove(turn);
            }
        }
        transaction.commit()?;
    }
    Ok(connection.total_changes() as f64 / began.elapsed().as_secs_f64())
}

/// A closed run as the engine left it.
struct Run {
    id: i64,
    /// The values of [`Recorded::columns`].
    row: Vec<Value>,
    /// The row of each of its batches of events.
    batches: Vec<[Value; 3]>,
}

/// What an engine wrote, and the statements that write it again.
struct Recorded {
    schema: String,
    columns: Vec<String>,
    runs: Vec<Run>,
    begin: String,
    go_on: String,
    end: String,
}

impl Recorded {
    fn read(database: &Path) -> Result<Self> {
        let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let made =
            "SELECT group_concat(sql, ';') FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'";
        let schema = connection.query_row(made, [], |row| row.get(0))?;
        // Generated columns are not in this list.
        let columns = connection
            .prepare("SELECT name FROM pragma_table_info('runs')")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<Vec<String>, _>>()?;
        let names = columns.join(", ");
        let mut runs = connection
            .prepare(&format!(
                "SELECT id, {names} FROM runs WHERE settled = 1 ORDER BY id DESC LIMIT {MOST}"
            ))?
            .query_map([], |row| {
                Ok(Run {
                    id: row.get(0)?,
                    row: (1..=columns.len())
                        .map(|column| row.get(column))
                        .collect::<Result<_, _>>()?,
                    batches: Vec::new(),
                })
            })?
            .collect::<Result<Vec<Run>, _>>()?;
        runs.reverse();
        let mut history = connection.prepare(
            "SELECT at, last_event_id, events FROM history WHERE at BETWEEN ?1 << 20 AND (?1 << 20) + 0xfffff",
        )?;
        for run in &mut runs {
            run.batches = history
                .query_map([run.id], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?
                .collect::<Result<_, _>>()?;
        }
        runs.retain(|run| !run.batches.is_empty());
        let set = |of: &mut dyn Iterator<Item = &str>| {
            let set: Vec<String> = of
                .enumerate()
                .map(|(at, name)| format!("{name} = ?{}", at + 2))
                .collect();
            format!(
                "UPDATE runs SET version = version + 1, {} WHERE id = ?1",
                set.join(", ")
            )
        };
        let values: Vec<String> = (1..=columns.len()).map(|at| format!("?{at}")).collect();
        Ok(Self {
            begin: format!("INSERT INTO runs ({names}) VALUES ({})", values.join(", ")),
            go_on: set(&mut CHANGING.into_iter()),
            end: set(&mut CHANGING.into_iter().chain(WHILE_OPEN.iter().map(|(name, _)| *name))),
            schema,
            columns,
            runs,
        })
    }

    /// One transition: a batch of events, the run's row, and an activity that begins or ends.
    fn write(&self, transaction: &Transaction<'_>, run: &Run, step: usize) -> Result<()> {
        let does = |sql: &str, values: &mut dyn Iterator<Item = &Value>| -> rusqlite::Result<usize> {
            transaction.prepare_cached(sql)?.execute(params_from_iter(values))
        };
        let is_last = step + 1 == run.batches.len();
        let of_run = Value::Integer(run.id);
        let value = |name: &str| {
            self.columns
                .iter()
                .position(|known| known == name)
                .map(|at| &run.row[at])
        };
        let changing = CHANGING.into_iter().filter_map(value);
        match step {
            0 => {
                let open = |name: &String| {
                    WHILE_OPEN
                        .iter()
                        .find(|(known, _)| known == name)
                        .map(|(_, value)| value)
                };
                let row = self.columns.iter().zip(&run.row);
                does(&self.begin, &mut row.map(|(name, value)| open(name).unwrap_or(value)))?
            }
            _ if is_last => {
                let closed = WHILE_OPEN.iter().filter_map(|(name, _)| value(name));
                does(&self.end, &mut std::iter::once(&of_run).chain(changing).chain(closed))?
            }
            _ => does(&self.go_on, &mut std::iter::once(&of_run).chain(changing))?,
        };
        let history = "INSERT INTO history (at, last_event_id, events) VALUES (?1, ?2, ?3)";
        does(history, &mut run.batches[step].iter())?;
        if step > 0 && !is_last {
            let at = Value::Integer(run.id << 20);
            match step % 2 {
                1 => {
                    let facts = Value::Blob(vec![7; ACTIVITY]);
                    does(
                        "INSERT INTO activities (at, facts) VALUES (?1, ?2)",
                        &mut [at, facts].iter(),
                    )?
                }
                _ => does("DELETE FROM activities WHERE at = ?1", &mut [at].iter())?,
            };
        }
        Ok(())
    }
}
