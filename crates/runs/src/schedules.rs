//! Schedules: runs that the engine starts by itself, at times that a calendar or an interval names.
//!
//! A schedule's run has no pinned plan: it asks for the workflow as it is that night. What a schedule was made from stands in its
//! memo, since engines keep times in a form of their own.

use std::time::Duration;

use helve_toolbox::run::{MEMO_TARGET, RunInput, TargetRef, WORKFLOW_QUEUE};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{IntoRequest, Status};
use temporalio_protos::temporal::api::common::v1::{Memo, Payloads, WorkflowType};
use temporalio_protos::temporal::api::enums::v1::{ScheduleOverlapPolicy, TaskQueueKind};
use temporalio_protos::temporal::api::schedule::v1 as schedule;
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_protos::temporal::api::workflow::v1::NewWorkflowExecutionInfo;
use temporalio_protos::temporal::api::workflowservice::v1 as service;

use crate::client::{Client, from_payload, json_payload};
use crate::history::timestamp;
use crate::result::{MEMO_TARGET_FACTS, TargetFacts};

/// Memo key: what a schedule was made from.
const MEMO_ORDER: &str = "helve.schedule";
/// A run that was missed while the engine was down is made up for within this time.
const CATCH_UP: i64 = 24 * 60 * 60;
/// Temporal counts in seconds.
const SECOND: Duration = Duration::from_secs(1);

/// What is run, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleOrder {
    /// Name of the workflow.
    pub workflow: String,
    /// What is scanned.
    pub target: Option<TargetFacts>,
    /// Parameters as they were given; defaults are those of the night.
    pub parameters: Map<String, Value>,
    /// Cron expressions of five fields.
    pub cron: Vec<String>,
    /// Or every so many seconds.
    pub every_seconds: Option<u64>,
    /// Name of the time zone of the cron expressions.
    pub time_zone: String,
    /// Who made it.
    pub created_by: String,
}

/// A schedule as the engine knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleView {
    /// Names it.
    pub id: String,
    /// What it was made from, if Helve made it.
    pub order: Option<ScheduleOrder>,
    /// It starts nothing.
    pub paused: bool,
    /// Why it is paused, or not.
    pub note: String,
    /// The next times.
    pub next: Vec<Timestamp>,
    /// The latest runs: when, and which.
    pub recent: Vec<(Option<Timestamp>, String)>,
}

/// What can be done with a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patch {
    /// Start nothing from now on; for the reason given.
    Pause(String),
    /// Go on; for the reason given.
    Resume(String),
    /// Start a run now.
    Trigger,
}

impl ScheduleOrder {
    fn schedule(&self, paused: bool) -> schedule::Schedule {
        let every = self
            .every_seconds
            .map(|seconds| SECOND * u32::try_from(seconds).unwrap_or(u32::MAX));
        schedule::Schedule {
            spec: Some(schedule::ScheduleSpec {
                cron_string: self.cron.clone(),
                interval: every
                    .map(|every| schedule::IntervalSpec {
                        interval: every.try_into().ok(),
                        phase: None,
                    })
                    .into_iter()
                    .collect(),
                timezone_name: self.time_zone.clone(),
                ..Default::default()
            }),
            action: Some(schedule::ScheduleAction {
                action: Some(schedule::schedule_action::Action::StartWorkflow(self.run())),
            }),
            policies: Some(schedule::SchedulePolicies {
                // A scan that is not done is not started again beside itself.
                overlap_policy: ScheduleOverlapPolicy::Skip.into(),
                catchup_window: Some(prost_types::Duration {
                    seconds: CATCH_UP,
                    nanos: 0,
                }),
                ..Default::default()
            }),
            state: Some(schedule::ScheduleState {
                paused,
                ..Default::default()
            }),
        }
    }

    fn run(&self) -> NewWorkflowExecutionInfo {
        let input = RunInput {
            target: self.target.as_ref().map(|facts| TargetRef {
                id: facts.id.clone(),
                name: facts.name.clone(),
            }),
            parameters: self.parameters.clone(),
            plan: None,
        };
        let memo = self.target.iter().flat_map(|facts| {
            [
                (MEMO_TARGET.to_owned(), json_payload(&facts.name)),
                (MEMO_TARGET_FACTS.to_owned(), json_payload(facts)),
            ]
        });
        NewWorkflowExecutionInfo {
            workflow_id: self.workflow.clone(),
            workflow_type: Some(WorkflowType {
                name: self.workflow.clone(),
            }),
            task_queue: Some(TaskQueue {
                name: WORKFLOW_QUEUE.to_owned(),
                kind: TaskQueueKind::Normal.into(),
                ..Default::default()
            }),
            input: Some(Payloads {
                payloads: vec![json_payload(&input)],
            }),
            memo: Some(Memo { fields: memo.collect() }),
            ..Default::default()
        }
    }
}

impl Client {
    /// Makes a schedule. An id that is in use is refused.
    pub async fn create_schedule(&self, id: &str, order: &ScheduleOrder, paused: bool) -> Result<(), Status> {
        let request = service::CreateScheduleRequest {
            namespace: self.namespace.clone(),
            schedule_id: id.to_owned(),
            schedule: Some(order.schedule(paused)),
            identity: self.connection.identity().to_owned(),
            request_id: uuid::Uuid::new_v4().to_string(),
            memo: Some(Memo {
                fields: [(MEMO_ORDER.to_owned(), json_payload(&json!(order)))].into(),
            }),
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        connection.create_schedule(request.into_request()).await.map(drop)
    }

    /// One schedule.
    pub async fn schedule(&self, id: &str) -> Result<ScheduleView, Status> {
        let request = service::DescribeScheduleRequest {
            namespace: self.namespace.clone(),
            schedule_id: id.to_owned(),
        };
        let mut connection = self.connection.clone();
        let described = connection.describe_schedule(request.into_request()).await?.into_inner();
        let state = described
            .schedule
            .and_then(|schedule| schedule.state)
            .unwrap_or_default();
        let info = described.info.unwrap_or_default();
        Ok(ScheduleView {
            id: id.to_owned(),
            order: order_in(described.memo.as_ref()),
            paused: state.paused,
            note: state.notes,
            next: info.future_action_times.iter().filter_map(timestamp).collect(),
            recent: recent(&info.recent_actions),
        })
    }

    /// One page of schedules, and the token of the next one; an empty one means that this is all.
    pub async fn schedules(&self, size: i32, token: Vec<u8>) -> Result<(Vec<ScheduleView>, Vec<u8>), Status> {
        let request = service::ListSchedulesRequest {
            namespace: self.namespace.clone(),
            maximum_page_size: size,
            next_page_token: token,
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        let page = connection.list_schedules(request.into_request()).await?.into_inner();
        let views = page.schedules.into_iter().map(|entry| {
            let info = entry.info.unwrap_or_default();
            ScheduleView {
                id: entry.schedule_id,
                order: order_in(entry.memo.as_ref()),
                paused: info.paused,
                note: info.notes,
                next: info.future_action_times.iter().filter_map(timestamp).collect(),
                recent: recent(&info.recent_actions),
            }
        });
        Ok((views.collect(), page.next_page_token))
    }

    /// Pauses, resumes or triggers a schedule.
    pub async fn patch_schedule(&self, id: &str, patch: Patch) -> Result<(), Status> {
        let patch = match patch {
            Patch::Pause(note) => schedule::SchedulePatch {
                pause: note,
                ..Default::default()
            },
            Patch::Resume(note) => schedule::SchedulePatch {
                unpause: note,
                ..Default::default()
            },
            Patch::Trigger => schedule::SchedulePatch {
                trigger_immediately: Some(schedule::TriggerImmediatelyRequest {
                    overlap_policy: ScheduleOverlapPolicy::AllowAll.into(),
                    ..Default::default()
                }),
                ..Default::default()
            },
        };
        let request = service::PatchScheduleRequest {
            namespace: self.namespace.clone(),
            schedule_id: id.to_owned(),
            patch: Some(patch),
            identity: self.connection.identity().to_owned(),
            request_id: uuid::Uuid::new_v4().to_string(),
        };
        let mut connection = self.connection.clone();
        connection.patch_schedule(request.into_request()).await.map(drop)
    }

    /// Removes a schedule. Runs that it has started go on.
    pub async fn delete_schedule(&self, id: &str) -> Result<(), Status> {
        let request = service::DeleteScheduleRequest {
            namespace: self.namespace.clone(),
            schedule_id: id.to_owned(),
            identity: self.connection.identity().to_owned(),
        };
        let mut connection = self.connection.clone();
        connection.delete_schedule(request.into_request()).await.map(drop)
    }
}

fn order_in(memo: Option<&Memo>) -> Option<ScheduleOrder> {
    from_payload(memo?.fields.get(MEMO_ORDER)?)
}

fn recent(actions: &[schedule::ScheduleActionResult]) -> Vec<(Option<Timestamp>, String)> {
    let started = actions.iter().filter_map(|action| {
        let run = action.start_workflow_result.as_ref()?;
        Some((action.actual_time.as_ref().and_then(timestamp), run.workflow_id.clone()))
    });
    started.collect()
}
