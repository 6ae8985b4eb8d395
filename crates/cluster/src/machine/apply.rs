//! Applying entries: the same on every node, whenever it happens.

use helve_db::{Batch, CommitError};
use openraft::EntryPayload;

use super::{Machine, State};
use crate::codec;
use crate::types::{Command, Entry, Epoch, Group, LogId, Membership, Outcome, Schema};

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
                    if !self.is_of_epoch(&group, entry.log_id) {
                        outcomes[at] = Outcome::Fenced;
                    } else if self.lacks(&group, entry.log_id)? {
                        let database = usize::from(group.database);
                        if database != together.database || together.bytes > TOGETHER_BYTES {
                            self.finish(&mut together, &mut outcomes)?;
                        }
                        let batches = codec::decode(&group.body).map_err(|error| error.to_string())?;
                        together.database = database;
                        together.bytes += group.body.len();
                        together.entries.push((batches.len(), at));
                        together.batches.extend(batches);
                    }
                    self.mark.applied = Some(entry.log_id);
                }
                EntryPayload::Normal(Command::Open(schemas)) => {
                    self.finish(&mut together, &mut outcomes)?;
                    let versions = self.migrate(&schemas)?;
                    outcomes[at] = Outcome::Opened(versions);
                    self.mark.epoch = Some(Epoch {
                        term: entry.log_id.leader_id.term,
                        index: entry.log_id.index,
                    });
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
    fn is_of_epoch(&self, group: &Group, log_id: LogId) -> bool {
        self.mark
            .epoch
            .is_some_and(|epoch| epoch.index == group.epoch && epoch.term == log_id.leader_id.term)
    }

    /// Whether the database of a group does not have it yet: after a crash one may be further than another.
    fn lacks(&self, group: &Group, log_id: LogId) -> Result<bool, String> {
        match self.databases.get(usize::from(group.database)) {
            Some(follower) => Ok(follower.applied < Some(log_id)),
            None => Err(format!(
                "the log has a write for database {}, which this version does not know: start a newer one",
                group.database
            )),
        }
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
