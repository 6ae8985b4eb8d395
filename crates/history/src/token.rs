//! Task tokens: what a worker hands back to prove that it answers the task it was given. [trap 9]

use prost::Message;

use crate::{EventId, Rejection, RunKey, RunKind, Timestamp};

/// Names one started attempt of a workflow task.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct WorkflowTaskToken {
    /// Namespace of the run.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Workflow id of the run.
    #[prost(string, tag = "2")]
    pub workflow_id: String,
    /// Run id.
    #[prost(string, tag = "3")]
    pub run_id: String,
    /// Id (maybe virtual) of the task's Scheduled event.
    #[prost(int64, tag = "4")]
    pub scheduled_event_id: EventId,
    /// Id (maybe virtual) of the task's Started event.
    #[prost(int64, tag = "5")]
    pub started_event_id: EventId,
    /// The task's attempt, from 1.
    #[prost(uint32, tag = "6")]
    pub attempt: u32,
    /// When the attempt was started, in nanoseconds since the epoch: tells apart tasks that reuse virtual ids.
    #[prost(int64, tag = "7")]
    pub started_time_nanos: i64,
}

/// Names one started attempt of an activity.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ActivityToken {
    /// Namespace of the run.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Workflow id of the run.
    #[prost(string, tag = "2")]
    pub workflow_id: String,
    /// Run id.
    #[prost(string, tag = "3")]
    pub run_id: String,
    /// The run is a standalone activity, and not a workflow that asked for the activity.
    #[prost(bool, tag = "8")]
    pub standalone: bool,
    /// Id of the ActivityTaskScheduled event.
    #[prost(int64, tag = "4")]
    pub scheduled_event_id: EventId,
    /// The id workflow code gave the activity.
    #[prost(string, tag = "5")]
    pub activity_id: String,
    /// The attempt, from 1.
    #[prost(uint32, tag = "6")]
    pub attempt: u32,
    /// When the attempt was started, in nanoseconds since the epoch.
    #[prost(int64, tag = "7")]
    pub started_time_nanos: i64,
}

impl WorkflowTaskToken {
    /// Reads a token as a worker sent it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Rejection> {
        parse(bytes)
            .filter(|token: &Self| token.scheduled_event_id > 0)
            .ok_or_else(bad_token)
    }

    /// The run it belongs to.
    pub fn run_key(&self) -> RunKey {
        run_key(&self.namespace, &self.workflow_id, &self.run_id)
    }

    /// When the attempt was started.
    pub fn started_time(&self) -> Timestamp {
        Timestamp::from_nanos(self.started_time_nanos)
    }
}

impl ActivityToken {
    /// Reads a token as a worker sent it.
    pub fn parse(bytes: &[u8]) -> Result<Self, Rejection> {
        parse(bytes)
            .filter(|token: &Self| token.scheduled_event_id > 0)
            .ok_or_else(bad_token)
    }

    /// The run it belongs to.
    pub fn run_key(&self) -> RunKey {
        RunKey {
            kind: if self.standalone {
                RunKind::Activity
            } else {
                RunKind::Workflow
            },
            ..run_key(&self.namespace, &self.workflow_id, &self.run_id)
        }
    }

    /// When the attempt was started.
    pub fn started_time(&self) -> Timestamp {
        Timestamp::from_nanos(self.started_time_nanos)
    }
}

fn parse<T: Message + Default>(bytes: &[u8]) -> Option<T> {
    (!bytes.is_empty()).then(|| T::decode(bytes).ok()).flatten()
}

fn bad_token() -> Rejection {
    Rejection::invalid("Error deserializing task token. Send back the token of the task exactly as it was received.")
}

fn run_key(namespace: &str, workflow_id: &str, run_id: &str) -> RunKey {
    RunKey {
        namespace: namespace.to_owned(),
        kind: RunKind::Workflow,
        workflow_id: workflow_id.to_owned(),
        run_id: run_id.to_owned(),
    }
}
