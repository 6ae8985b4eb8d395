//! The databases as Raft sees them.

use openraft::storage::{RaftStateMachine, Snapshot};
use openraft::{AnyError, OptionalSend, RaftSnapshotBuilder, StorageIOError};

use super::{Machine, SnapshotData};
use crate::types::{Entry, LogId, Membership, Outcome, SnapshotMeta, StorageError, Types};

/// Makes everything that was applied by now durable, so that the log up to there can go. That is all there is to build.
pub(crate) struct Builder {
    machine: Machine,
    noted: Result<Option<SnapshotMeta>, String>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        let noted = std::mem::replace(&mut self.noted, Ok(None));
        let meta = noted
            .map_err(failed)?
            .ok_or_else(|| failed("nothing was applied yet".to_owned()))?;
        self.machine.sync().await.map_err(failed)?;
        Ok(Snapshot {
            meta,
            snapshot: Box::new(SnapshotData::Outgoing(Vec::new())),
        })
    }
}

fn failed(reason: String) -> StorageError {
    StorageIOError::write_state_machine(AnyError::error(reason)).into()
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        let state = self.state();
        Ok((state.mark().applied, state.mark().membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.apply_entries(entries.into_iter().collect()).await.map_err(failed)
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let noted = self.note().await;
        Builder {
            machine: self.clone(),
            noted,
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotData>, StorageError> {
        // Only asked for by who receives snapshots through Raft's own chunks.
        Ok(Box::new(SnapshotData::Outgoing(Vec::new())))
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Box<SnapshotData>) -> Result<(), StorageError> {
        match *snapshot {
            SnapshotData::Incoming(incoming) => self.install(meta.clone(), incoming).await.map_err(failed),
            SnapshotData::Outgoing(_) => Err(failed(
                "a snapshot was to be installed that came from nowhere".to_owned(),
            )),
        }
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let frozen = self.freeze().await.map_err(failed)?;
        Ok(frozen.map(|(meta, data)| Snapshot {
            meta,
            snapshot: Box::new(data),
        }))
    }
}
