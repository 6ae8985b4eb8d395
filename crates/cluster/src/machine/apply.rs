//! Applying entries: the same on every node, whenever it happens.

use bytes::Bytes;
use helve_db::{Batch, CommitError};
use openraft::EntryPayload;

use super::{Machine, State};
use crate::codec;
use crate::types::{Command, Entry, Epoch, LogId, Membership, Outcome, Part, Schema};

const CLEAR_PARTS: &str = "DELETE FROM cluster_parts";
const KEEP_PART: &str =
    "INSERT INTO cluster_parts (part, bytes) VALUES (?1, ?2) ON CONFLICT (part) DO UPDATE SET bytes = excluded.bytes";
const READ_PARTS: &str = "SELECT bytes FROM cluster_parts WHERE part < ?1 ORDER BY part";
/// Batches of so many bytes from neighbouring entries are done in one transaction: a node that catches up is quick.
const TOGETHER_BYTES: usize = 8 << 20;

/// Groups for one database that follow each other.
#[derive(Default)]
struct Together {
    database: usize,
    batches: Vec<Batch>,
    /// How many of the batches are each entry's, and where its outcome goes.
    entries: Vec<(usize, usize)>,
    bytes: usize,
}

impl Machine {
    /// Applies entries in their order; says what became of each.
    pub(crate) async fn apply_entries(&self, entries: Vec<Entry>) -> Result<Vec<Outcome>, String> {
        self.run(move |state| {
            let applied = state.apply(entries);
            if let Err(reason) = &applied {
                state.broken = Some(reason.clone());
            }
            applied
        })
        .await
    }
}

impl State {
    fn apply(&mut self, entries: Vec<Entry>) -> Result<Vec<Outcome>, String> {
        let mut outcomes = vec![Outcome::Nothing; entries.len()];
        let mut together = Together::default();
        for (at, entry) in entries.into_iter().enumerate() {
            match entry.payload {
                EntryPayload::Normal(Command::Group(group)) => {
                    if !self.is_of_epoch(group.epoch, entry.log_id) {
                        outcomes[at] = Outcome::Fenced;
                        self.mark.applied = Some(entry.log_id);
                        continue;
                    }
                    self.mark.latest = self.mark.latest.max(group.at);
                    if self.lacks(group.database, entry.log_id)? {
                        let database = usize::from(group.database);
                        if database != together.database || together.bytes > TOGETHER_BYTES {
                            self.finish(&mut together, &mut outcomes)?;
                        }
                        let body = match group.parts {
                            0 => group.body,
                            parts => {
                                // They may be among what was gathered.
                                self.finish(&mut together, &mut outcomes)?;
                                self.whole(database, parts, &group.body)?
                            }
                        };
                        let batches = codec::decode(&body).map_err(|error| error.to_string())?;
                        together.database = database;
                        together.bytes += body.len();
                        together.entries.push((batches.len(), at));
                        together.batches.extend(batches);
                    }
                    self.mark.applied = Some(entry.log_id);
                }
                EntryPayload::Normal(Command::Part(part)) => {
                    if !self.is_of_epoch(part.epoch, entry.log_id) {
                        outcomes[at] = Outcome::Fenced;
                    } else if self.lacks(part.database, entry.log_id)? {
                        self.finish(&mut together, &mut outcomes)?;
                        self.mark.applied = Some(entry.log_id);
                        self.keep(&part)?;
                    }
                    self.mark.applied = Some(entry.log_id);
                }
                EntryPayload::Normal(Command::Open(schemas)) => {
                    self.finish(&mut together, &mut outcomes)?;
                    let versions = self.migrate(&schemas)?;
                    outcomes[at] = Outcome::Opened {
                        versions,
                        latest: self.mark.latest,
                    };
                    self.mark.epoch = Some(Epoch::opened_by(entry.log_id));
                    self.advance(entry.log_id)?;
                }
                EntryPayload::Membership(membership) => {
                    self.finish(&mut together, &mut outcomes)?;
                    self.mark.membership = Membership::new(Some(entry.log_id), membership);
                    self.advance(entry.log_id)?;
                }
                EntryPayload::Blank => self.mark.applied = Some(entry.log_id),
            }
        }
        self.finish(&mut together, &mut outcomes)?;
        Ok(outcomes)
    }

    /// Whether a group was proposed by the engine that leads now, as the same leader. What a former leader left in the log
    /// behind the opening of a newer epoch is nobody's any more.
    fn is_of_epoch(&self, opened: u64, log_id: LogId) -> bool {
        self.mark
            .epoch
            .is_some_and(|epoch| epoch.index == opened && epoch.is_by(log_id))
    }

    /// Whether a database does not have what is for it yet: after a crash one may be further than another.
    fn lacks(&self, database: u8, log_id: LogId) -> Result<bool, String> {
        match self.databases.get(usize::from(database)) {
            Some(follower) => Ok(follower.applied < Some(log_id)),
            None => Err(format!(
                "the log has a write for database {database}, which this version does not know: start a newer one"
            )),
        }
    }

    /// Keeps a part of a batch in its database until the rest comes.
    fn keep(&mut self, part: &Part) -> Result<(), String> {
        let mut batch = self.mark.batch();
        if part.number == 0 {
            batch.run(CLEAR_PARTS, Vec::new());
        }
        batch.run(KEEP_PART, vec![i64::from(part.number).into(), part.body.clone().into()]);
        let follower = &mut self.databases[usize::from(part.database)];
        follower
            .applier
            .apply(&[], &batch)
            .map_err(|error| cannot_apply(&error))?;
        follower.applied = self.mark.applied;
        Ok(())
    }

    /// The body of a group whose parts came before it. They stay until the next batch in parts comes: a crash may take this one
    /// back.
    fn whole(&self, database: usize, parts: u32, end: &[u8]) -> Result<Bytes, String> {
        let read = || -> Result<Vec<u8>, helve_db::rusqlite::Error> {
            let connection = self.databases[database].applier.connection();
            let mut query = connection.prepare(READ_PARTS)?;
            let mut rows = query.query([parts])?;
            let mut whole = Vec::new();
            while let Some(row) = rows.next()? {
                whole.extend_from_slice(row.get_ref(0)?.as_blob()?);
            }
            whole.extend_from_slice(end);
            Ok(whole)
        };
        read()
            .map(Bytes::from)
            .map_err(|error| format!("the parts of a batch cannot be read: {error}"))
    }

    /// Writes what was gathered, up to the present mark.
    fn finish(&mut self, together: &mut Together, outcomes: &mut [Outcome]) -> Result<(), String> {
        let Together {
            database,
            batches,
            entries,
            ..
        } = std::mem::take(together);
        if entries.is_empty() {
            return Ok(());
        }
        let follower = &mut self.databases[database];
        let mark = self.mark.batch();
        let mut results = follower
            .applier
            .apply(&batches, &mark)
            .map_err(|error| cannot_apply(&error))?
            .into_iter();
        follower.applied = self.mark.applied;
        for (count, at) in entries {
            outcomes[at] = Outcome::Applied(results.by_ref().take(count).collect());
        }
        Ok(())
    }

    /// All databases note this entry.
    fn advance(&mut self, log_id: LogId) -> Result<(), String> {
        self.mark.applied = Some(log_id);
        let batch = self.mark.batch();
        for follower in &mut self.databases {
            if follower.applied < Some(log_id) {
                follower
                    .applier
                    .apply(&[], &batch)
                    .map_err(|error| cannot_apply(&error))?;
                follower.applied = Some(log_id);
            }
        }
        Ok(())
    }

    fn migrate(&mut self, schemas: &[Schema]) -> Result<Vec<u32>, String> {
        self.databases
            .iter_mut()
            .zip(schemas)
            .map(|(follower, schema)| {
                follower
                    .applier
                    .migrate(schema.application_id, &schema.scripts)
                    .map_err(|error| error.to_string())
            })
            .collect()
    }
}

fn cannot_apply(error: &CommitError) -> String {
    format!("this node cannot follow the log any more: {error}. Mend that and start it again; nothing is lost")
}

#[cfg(test)]
mod tests {
    use helve_db::{Options, Statement};
    use openraft::CommittedLeaderId;

    use super::*;
    use crate::machine::Database;
    use crate::types::Group;

    fn machine(dir: &std::path::Path) -> Machine {
        let database = Database {
            name: "test.db",
            options: Options::default(),
        };
        Machine::open(dir, &[database]).unwrap()
    }

    fn entry(term: u64, node: u64, index: u64, command: Command) -> Entry {
        Entry {
            log_id: LogId::new(CommittedLeaderId::new(term, node), index),
            payload: EntryPayload::Normal(command),
        }
    }

    fn open(script: &str) -> Command {
        Command::Open(vec![Schema {
            application_id: 1,
            scripts: vec![script.to_owned()],
        }])
    }

    fn write(epoch: u64, id: i64) -> Command {
        let mut batch = Batch::new();
        batch.push(Statement::new("INSERT INTO rows VALUES (?1)", vec![id.into()]));
        Command::Group(Group {
            epoch,
            at: 1_000 + u64::try_from(id).unwrap(),
            database: 0,
            parts: 0,
            body: codec::encode([&batch].into_iter()),
        })
    }

    fn rows(machine: &Machine) -> Vec<i64> {
        let state = machine.state();
        let db = state.databases[0].applier.connection();
        let mut query = db.prepare("SELECT id FROM rows ORDER BY id").unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    const ROWS: &str = "CREATE TABLE rows (id INTEGER PRIMARY KEY)";

    #[tokio::test]
    async fn an_epoch_that_is_over_never_commits_even_if_its_node_leads_again() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(dir.path());
        let log = vec![
            entry(1, 1, 1, write(0, 1)),
            entry(1, 1, 2, open(ROWS)),
            entry(1, 1, 3, write(2, 3)),
            // The same node leads again: nobody opened an epoch yet, but the old one is over.
            entry(3, 1, 4, write(2, 4)),
            // Another one, in the same term as the first.
            entry(1, 2, 5, write(2, 5)),
            entry(3, 1, 6, open(ROWS)),
            entry(3, 1, 7, write(2, 7)),
            entry(3, 1, 8, write(6, 8)),
        ];
        let outcomes = machine.apply_entries(log).await.unwrap();
        let done = Outcome::Applied(vec![Ok(())]);
        // What was fenced off tells no time either.
        let opened = |latest| Outcome::Opened {
            versions: vec![1],
            latest,
        };
        assert_eq!(
            outcomes,
            [
                Outcome::Fenced,
                opened(0),
                done.clone(),
                Outcome::Fenced,
                Outcome::Fenced,
                opened(1_003),
                Outcome::Fenced,
                done,
            ]
        );
        assert_eq!(rows(&machine), [3, 8]);
    }

    #[tokio::test]
    async fn entries_that_a_database_has_are_not_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let log = || {
            vec![
                entry(1, 1, 1, open(ROWS)),
                entry(1, 1, 2, write(1, 2)),
                entry(1, 1, 3, write(1, 3)),
            ]
        };
        let before = machine(dir.path());
        before.apply_entries(log()).await.unwrap();
        before.close();
        let after = machine(dir.path());
        assert_eq!(after.state().mark().applied.map(|log_id| log_id.index), Some(3));
        after.apply_entries(log()).await.unwrap();
        assert_eq!(rows(&after), [2, 3]);
    }

    #[tokio::test]
    async fn a_schema_of_a_newer_version_is_kept_when_an_older_one_leads() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(dir.path());
        let newer = Command::Open(vec![Schema {
            application_id: 1,
            scripts: vec![ROWS.to_owned(), "ALTER TABLE rows ADD COLUMN more".to_owned()],
        }]);
        let log = vec![entry(1, 1, 1, newer), entry(2, 2, 2, open(ROWS))];
        let outcomes = machine.apply_entries(log).await.unwrap();
        // The older one hears of it, and gives the lead away.
        let opened = Outcome::Opened {
            versions: vec![2],
            latest: 0,
        };
        assert_eq!(outcomes, [opened.clone(), opened]);
    }

    /// A write in three parts, of which the last is the group.
    fn in_parts(epoch: u64, ids: std::ops::Range<i64>) -> [Command; 3] {
        let mut batch = Batch::new();
        for id in ids {
            batch.push(Statement::new("INSERT INTO rows VALUES (?1)", vec![id.into()]));
        }
        let body = codec::encode([&batch].into_iter());
        let third = body.len() / 3;
        let part = |number: u32, range| {
            Command::Part(Part {
                epoch,
                database: 0,
                number,
                body: body.slice(range),
            })
        };
        let group = Command::Group(Group {
            epoch,
            at: 0,
            database: 0,
            parts: 2,
            body: body.slice(2 * third..),
        });
        [part(0, 0..third), part(1, third..2 * third), group]
    }

    #[tokio::test]
    async fn a_batch_in_parts_is_done_as_a_whole_after_a_crash_between_them_too() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second, group] = in_parts(1, 10..20);
        // What a leader left that did not come to the end of its batch is in nobody's way.
        let [lost, ..] = in_parts(1, 90..99);
        let before = machine(dir.path());
        let log = vec![
            entry(1, 1, 1, open(ROWS)),
            entry(1, 1, 2, lost),
            entry(1, 1, 3, first),
            entry(1, 1, 4, second),
        ];
        let outcomes = before.apply_entries(log).await.unwrap();
        assert_eq!(outcomes[1..], [Outcome::Nothing, Outcome::Nothing, Outcome::Nothing]);
        assert_eq!(rows(&before), [] as [i64; 0]);
        before.close();
        let after = machine(dir.path());
        let outcomes = after
            .apply_entries(vec![entry(1, 1, 5, group.clone()), entry(1, 1, 6, write(1, 20))])
            .await
            .unwrap();
        let done = Outcome::Applied(vec![Ok(())]);
        assert_eq!(outcomes, [done.clone(), done]);
        assert_eq!(rows(&after), (10..=20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn parts_of_an_epoch_that_is_over_are_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(dir.path());
        let [first, second, group] = in_parts(1, 10..20);
        let log = vec![
            entry(1, 1, 1, open(ROWS)),
            entry(1, 1, 2, first),
            entry(2, 2, 3, open(ROWS)),
            entry(1, 1, 4, second),
            entry(1, 1, 5, group),
        ];
        let outcomes = machine.apply_entries(log).await.unwrap();
        assert_eq!(outcomes[3..], [Outcome::Fenced, Outcome::Fenced]);
        assert_eq!(rows(&machine), [] as [i64; 0]);
    }
}
