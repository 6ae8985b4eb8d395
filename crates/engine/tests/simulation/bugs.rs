//! Mistakes that are made on purpose, to see whether they are found.

use std::path::Path;

use helve_db::rusqlite::{Connection, params};
use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::ResetReapplyExcludeType,
    workflowservice::v1::{PatchScheduleRequest, ResetWorkflowExecutionRequest},
};

use crate::plan::Features;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// What was promised, and published, is not on disk yet.
    AnswersBeforeCommit,
    /// A restart forgets what closed runs owe to others.
    ForgetsMessages,
    /// A restart forgets events that wait for the end of a workflow task.
    ForgetsBufferedEvents,
    /// A restart forgets how often activities were tried.
    ForgetsAttempts,
    /// A restart changes what updates and activities were answered.
    ChangesOutcomes,
    /// A restart believes that batch operations are done.
    SkipsRestOfBatches,
    /// A restart forgets closed runs that a schedule started.
    ForgetsActions,
    /// A restart loses runs that follow others.
    LosesSuccessors,
    /// A reset does not let signals happen again.
    ResetsWithoutSignals,
    /// A schedule acts twice when it is triggered.
    TriggersTwice,
    /// An RPC is acknowledged, and nothing happens.
    Ignores(&'static str),
}

impl Bug {
    /// Whether there is occasion for it.
    pub(crate) fn can_be_made(self, features: &Features) -> bool {
        match self {
            Bug::ChangesOutcomes => features.updates,
            Bug::SkipsRestOfBatches => features.batches > 0,
            Bug::ForgetsActions | Bug::TriggersTwice => features.schedules > 0,
            Bug::ResetsWithoutSignals => features.resets,
            Bug::Ignores("PauseActivity") => features.operations,
            Bug::Ignores("TerminateActivityExecution") => features.activities > 0,
            Bug::Ignores("DeleteWorkflowExecution") => features.deletions,
            Bug::Ignores("UpdateNamespace") => features.retention,
            _ => true,
        }
    }

    /// What a restart does to the disk.
    pub(crate) fn before_opening(self, database: &Path) {
        if !database.exists() {
            return;
        }
        let forget = match self {
            Bug::ForgetsMessages => "UPDATE runs SET owes = 0, settled = (status <> 1)",
            Bug::ForgetsBufferedEvents => "DELETE FROM buffered",
            Bug::ForgetsAttempts => "DELETE FROM activities",
            Bug::SkipsRestOfBatches => "UPDATE batches SET done = total WHERE state = 1",
            Bug::ForgetsActions => "DELETE FROM runs WHERE workflow_id GLOB 's[0-9]-*' AND settled = 1",
            // Of those that have a successor, and of the successors, only the latter are closed as something else.
            Bug::LosesSuccessors => {
                "DELETE FROM runs WHERE settled = 1 AND status <> 6 AND EXISTS (
                    SELECT 1 FROM runs AS before WHERE before.workflow_id = runs.workflow_id AND before.id < runs.id
                    AND before.status = 6)"
            }
            Bug::ChangesOutcomes => return change_outcomes(&Connection::open(database).unwrap()),
            _ => return,
        };
        Connection::open(database).unwrap().execute(forget, []).unwrap();
    }

    /// What is done with a request instead of what it asks for: `None` for nothing at all.
    pub(crate) fn instead_of(self, rpc: &str, message: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Bug::Ignores(ignored) if ignored == rpc => None,
            Bug::ResetsWithoutSignals if rpc == "ResetWorkflowExecution" => {
                let mut request = ResetWorkflowExecutionRequest::decode(message.as_slice()).unwrap();
                request.reset_reapply_exclude_types = vec![ResetReapplyExcludeType::Signal.into()];
                Some(request.encode_to_vec())
            }
            _ => Some(message),
        }
    }

    /// What is done a second time.
    pub(crate) fn again(self, rpc: &str, message: &[u8]) -> Option<Vec<u8>> {
        if self != Bug::TriggersTwice || rpc != "PatchSchedule" {
            return None;
        }
        let mut request = PatchScheduleRequest::decode(message).unwrap();
        request.request_id += " again";
        let is_trigger = request.patch.as_ref()?.trigger_immediately.is_some();
        is_trigger.then(|| request.encode_to_vec())
    }
}

/// Every outcome that a worker sent is spelt in another way, of the same length.
fn change_outcomes(database: &Connection) {
    const WORD: &[u8] = b"outcome of";
    let mut rows = database.prepare("SELECT at, events FROM history").unwrap();
    let rows: Vec<(i64, Vec<u8>)> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for (at, mut events) in rows {
        let places: Vec<_> = (0..events.len().saturating_sub(WORD.len()))
            .filter(|place| events[*place..].starts_with(WORD))
            .collect();
        for place in places {
            events[place..place + WORD.len()].copy_from_slice(b"OUTCOME OF");
        }
        database
            .execute("UPDATE history SET events = ?2 WHERE at = ?1", params![at, events])
            .unwrap();
    }
}
