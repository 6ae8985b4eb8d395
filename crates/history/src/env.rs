//! What a decision may depend on besides state and input: time, limits, and ids that somebody else made.

use std::{collections::HashMap, fmt, time::Duration};

use crate::{Timestamp, proto::Payload};

/// All nondeterminism of a decision, handed in by the shell.
#[derive(Clone, Copy, Debug)]
pub struct Env<'a> {
    /// The current time. The core never lets time run backwards within a run: an earlier `now` counts as the last one.
    pub now: Timestamp,
    /// The limits in force.
    pub limits: &'a Limits,
    /// The id of the run's namespace, written into events about other runs.
    pub namespace_id: &'a str,
    /// A run id nobody uses yet: taken by the successor if the decision starts one (continue-as-new, retry, cron).
    pub fresh_run_id: &'a str,
    /// Which search attributes the run's namespace has.
    pub search_attributes: SearchAttributeCheck<'a>,
}

/// Whether search attributes may be set: the namespace must have each, and values must be of their types.
#[derive(Clone, Copy)]
pub struct SearchAttributeCheck<'a>(&'a Check<'a>);

/// Whether search attributes may be set, or why not.
type Check<'a> = dyn Fn(&HashMap<String, Payload>) -> Result<(), String> + 'a;

impl<'a> SearchAttributeCheck<'a> {
    /// `check` answers with what is wrong, in words for whoever sets them.
    pub fn new(check: &'a Check<'a>) -> Self {
        Self(check)
    }

    /// Asks it; nothing set is fine.
    pub(crate) fn check(&self, fields: Option<&HashMap<String, Payload>>) -> Result<(), String> {
        fields.map_or(Ok(()), self.0)
    }
}

/// Lets everything pass.
impl Default for SearchAttributeCheck<'_> {
    fn default() -> Self {
        Self(&|_| Ok(()))
    }
}

impl fmt::Debug for SearchAttributeCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SearchAttributeCheck")
    }
}

/// Every bound the core enforces, with Temporal's defaults. [trap 16]
///
/// Where a client exceeds one, its call is refused. Where a workflow's commands do, its task fails and says why; if they
/// carry too much data, the run is terminated as well, since running the code again would only do the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// From this many events on, workers are advised to continue as new.
    pub history_count_suggest: i64,
    /// From this many bytes of history on, workers are advised to continue as new.
    pub history_size_suggest: u64,
    /// Above this many events the run is terminated.
    pub history_count_max: i64,
    /// Above this many bytes of history the run is terminated.
    pub history_size_max: u64,
    /// Largest payload set of one call, signal or command.
    pub blob_size_max: usize,
    /// Largest memo of a run, in bytes.
    pub memo_size_max: usize,
    /// Largest set of search attributes of a run, in bytes.
    pub search_attributes_size_max: usize,
    /// Largest value of one search attribute, in bytes.
    pub search_attribute_value_max: usize,
    /// Links that one request may carry.
    pub links_max: usize,
    /// Largest link, in bytes.
    pub link_size_max: usize,
    /// Largest summary of a standalone activity, in bytes.
    pub summary_size_max: usize,
    /// Largest details of a standalone activity, in bytes.
    pub details_size_max: usize,
    /// Longest identifier: workflow id, workflow type, task queue, signal name, activity id, timer id, request id.
    pub id_length_max: usize,
    /// Pending activities of a run; one more fails the workflow task.
    pub pending_activities_max: usize,
    /// Pending children of a run; one more fails the workflow task.
    pub pending_children_max: usize,
    /// Signals to other runs under way; one more fails the workflow task.
    pub pending_external_signals_max: usize,
    /// Cancel requests to other runs under way; one more fails the workflow task.
    pub pending_external_cancels_max: usize,
    /// Signals a run takes in its life; one more is refused.
    pub signals_max: u64,
    /// Updates of a run that are not completed; one more is refused.
    pub updates_in_flight_max: usize,
    /// Bytes of the requests of updates that wait for an answer; more are refused.
    pub updates_in_flight_size_max: usize,
    /// Updates a run takes in its life, rejected ones not counted; one more is refused.
    pub updates_max: usize,
    /// From this many updates on, workers are advised to continue as new.
    pub updates_suggest: usize,
    /// Events that a vanished workflow task may have shown to its worker, who is shown them again with the next one. More
    /// make it real. [trap 10]
    pub speculative_events_max: i64,
    /// Buffered events while a workflow task is in flight; one more fails that task. [trap 2]
    pub buffered_events_max: usize,
    /// Bytes of buffered events; more fail the task in flight.
    pub buffered_size_max: usize,
    /// Workflow task timeout when a start names none.
    pub workflow_task_timeout_default: Duration,
    /// Longest workflow task timeout a start may ask for; longer ones are capped.
    pub workflow_task_timeout_max: Duration,
    /// How long a worker may keep a workflow task alive by heartbeats without progress. [trap 13]
    pub workflow_task_heartbeat_max: Duration,
    /// Workflow task attempts from which on its timeout grows. [trap 6]
    pub workflow_task_backoff_after: u32,
    /// First extension of a failing workflow task's timeout.
    pub workflow_task_backoff_initial: Duration,
    /// Longest timeout of a failing workflow task.
    pub workflow_task_backoff_max: Duration,
    /// Workflow tasks that fail one after the other until the run shows why in its search attributes.
    pub failed_tasks_reported: u32,
    /// Workflow task attempts from which on queries fail at once. [trap 17]
    pub query_failing_attempts: u32,
    /// Stored bytes of a retried activity's last failure; longer ones are cut. [trap 8]
    pub activity_failure_size_max: usize,
    /// Bytes of a failure that ends a workflow or an activity for good; longer ones are cut.
    pub failure_size_max: usize,
    /// Retry policy of an activity that names none: first interval.
    pub retry_initial_interval: Duration,
    /// Retry policy default: the longest interval is this many times the first one.
    pub retry_maximum_interval_factor: u32,
    /// Retry policy default: backoff coefficient.
    pub retry_backoff_coefficient: f64,
    /// Least time between the start of a run and that of its continue-as-new successor, against tight loops.
    pub continue_as_new_min_interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            history_count_suggest: 4 * 1024,
            history_size_suggest: 4 * MIB as u64,
            history_count_max: 50 * 1024,
            history_size_max: 50 * MIB as u64,
            blob_size_max: 2 * MIB,
            memo_size_max: 2 * MIB,
            search_attributes_size_max: 40 * 1024,
            search_attribute_value_max: 2 * 1024,
            links_max: 10,
            link_size_max: 4_000,
            summary_size_max: 400,
            details_size_max: 20_000,
            id_length_max: 1000,
            pending_activities_max: 2_000,
            pending_children_max: 2_000,
            pending_external_signals_max: 2_000,
            pending_external_cancels_max: 2_000,
            signals_max: 10_000,
            updates_in_flight_max: 10,
            updates_in_flight_size_max: 20 * MIB,
            updates_max: 2_000,
            updates_suggest: 1_800,
            speculative_events_max: 10,
            buffered_events_max: 100,
            buffered_size_max: 2 * MIB,
            workflow_task_timeout_default: Duration::from_secs(10),
            workflow_task_timeout_max: Duration::from_secs(120),
            workflow_task_heartbeat_max: Duration::from_secs(30 * 60),
            workflow_task_backoff_after: 3,
            workflow_task_backoff_initial: Duration::from_secs(5),
            workflow_task_backoff_max: Duration::from_secs(10 * 60),
            failed_tasks_reported: 5,
            query_failing_attempts: 3,
            activity_failure_size_max: 4 * 1024,
            failure_size_max: 2 * MIB,
            retry_initial_interval: Duration::from_secs(1),
            retry_maximum_interval_factor: 100,
            retry_backoff_coefficient: 2.0,
            continue_as_new_min_interval: Duration::from_secs(1),
        }
    }
}
