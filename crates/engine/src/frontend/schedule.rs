//! Schedules.

use std::sync::Arc;

use helve_history::StartRun;
use helve_schedule::{Input, canonical_spec, start_request};
use helve_visibility::{Param, Query, schedules};
use temporalio_protos::temporal::api::{
    common::v1::{Memo, SearchAttributes},
    enums::v1::WorkflowIdReusePolicy,
    schedule::v1::{Schedule, ScheduleListEntry, SchedulePatch, schedule_action::Action},
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::*,
};
use tonic::{Request, Status};

use super::{
    Frontend,
    list::{self, page_size},
};
use crate::{
    error::{Failed, Fault},
    namespaces::Namespace,
    schedules::{Attachments, NewSchedule, ScheduleSlot, schedule_not_found},
    visibility,
};

/// Bytes of the notes that pausing or unpausing leaves.
const MAX_NOTES: usize = 1000;
/// Stands for the time at the end of a workflow id.
const TIME_IN_ID: &str = "-2009-11-10T23:00:00Z";

impl Frontend {
    pub(super) async fn create_schedule(
        &self,
        request: Request<CreateScheduleRequest>,
    ) -> Result<CreateScheduleResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace_for_starts(&request.namespace)?;
        if request.schedule_id.is_empty() {
            return Err(Status::invalid_argument("ScheduleId is not set on request."));
        }
        self.check_length("ScheduleId", &request.schedule_id)?;
        if request.request_id.is_empty() {
            return Err(Status::invalid_argument("RequestId is not set on request."));
        }
        self.check_length("RequestId", &request.request_id)?;
        let schedule = self.checked_schedule(&namespace, request.schedule)?;
        let memo = request.memo.unwrap_or_default();
        let search_attributes = request.search_attributes.unwrap_or_default();
        self.check_attachments(&namespace, &memo, &search_attributes)?;
        let new = NewSchedule {
            id: request.schedule_id,
            request_id: request.request_id,
            schedule,
            patch: request.initial_patch.map(checked_patch).transpose()?,
            memo,
            search_attributes,
        };
        let token = self.shell.create_schedule(namespace, new).await?;
        Ok(CreateScheduleResponse {
            conflict_token: token.to_be_bytes().to_vec(),
        })
    }

    pub(super) async fn describe_schedule(
        &self,
        request: Request<DescribeScheduleRequest>,
    ) -> Result<DescribeScheduleResponse, Status> {
        let request = request.into_inner();
        let slot = self.schedule(&request.namespace, &request.schedule_id)?;
        let settings = slot.namespace.settings();
        let shown = |attributes: &SearchAttributes| SearchAttributes {
            indexed_fields: settings.attributes.shown(&attributes.indexed_fields),
        };
        self.shell.settle_schedule(&slot).await;
        let now = self.shell.now().into();
        let answer = slot
            .look(|kept| {
                let mut schedule = kept.state.describe();
                if let Some(workflow) = workflow_mut(&mut schedule) {
                    workflow.search_attributes = workflow.search_attributes.as_ref().map(shown);
                }
                DescribeScheduleResponse {
                    schedule: Some(schedule),
                    info: Some(kept.state.info(now)),
                    memo: some_memo(&kept.memo),
                    search_attributes: some_attributes(shown(&kept.search_attributes)),
                    conflict_token: kept.state.conflict_token().to_be_bytes().to_vec(),
                }
            })
            .await;
        Ok(answer.ok_or_else(schedule_not_found)?)
    }

    pub(super) async fn update_schedule(
        &self,
        request: Request<UpdateScheduleRequest>,
    ) -> Result<UpdateScheduleResponse, Status> {
        let request = request.into_inner();
        self.check_length("RequestId", &request.request_id)?;
        let slot = self.schedule(&request.namespace, &request.schedule_id)?;
        let mut schedule = self.checked_schedule(&slot.namespace, request.schedule)?;
        if workflow_mut(&mut schedule).is_none() {
            return Err(Status::invalid_argument(
                "Only StartWorkflow action is supported for schedules",
            ));
        }
        self.check_attachments(
            &slot.namespace,
            request.memo.as_ref().unwrap_or(&Memo::default()),
            request
                .search_attributes
                .as_ref()
                .unwrap_or(&SearchAttributes::default()),
        )?;
        let conflict_token = match <[u8; 8]>::try_from(request.conflict_token.as_slice()) {
            Ok(token) => Some(i64::from_be_bytes(token)),
            Err(_) if request.conflict_token.is_empty() => None,
            Err(_) => return Err(Status::invalid_argument("Invalid ConflictToken.")),
        };
        let update = Input::Update {
            schedule: Box::new(schedule),
            conflict_token,
            request_id: request.request_id,
        };
        let attachments = Attachments {
            memo: request.memo,
            search_attributes: request.search_attributes,
        };
        self.shell.apply_to_schedule(&slot, update, attachments).await?;
        Ok(UpdateScheduleResponse {})
    }

    pub(super) async fn patch_schedule(
        &self,
        request: Request<PatchScheduleRequest>,
    ) -> Result<PatchScheduleResponse, Status> {
        let request = request.into_inner();
        let patch = request
            .patch
            .ok_or_else(|| Status::invalid_argument("Patch is not set on request."))?;
        self.check_length("RequestId", &request.request_id)?;
        let input = Input::Patch {
            patch: Box::new(checked_patch(patch)?),
            request_id: request.request_id,
        };
        let slot = self.schedule(&request.namespace, &request.schedule_id)?;
        self.shell
            .apply_to_schedule(&slot, input, Attachments::default())
            .await?;
        Ok(PatchScheduleResponse {})
    }

    pub(super) async fn list_schedule_matching_times(
        &self,
        request: Request<ListScheduleMatchingTimesRequest>,
    ) -> Result<ListScheduleMatchingTimesResponse, Status> {
        let request = request.into_inner();
        let slot = self.schedule(&request.namespace, &request.schedule_id)?;
        let (Some(start), Some(end)) = (request.start_time, request.end_time) else {
            return Err(Status::invalid_argument("missing or invalid query"));
        };
        let time = |time| helve_history::Timestamp::from(time).into();
        let times = slot
            .look(|kept| kept.state.matching_times(time(start), time(end)))
            .await
            .ok_or_else(schedule_not_found)?
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(ListScheduleMatchingTimesResponse { start_time: times })
    }

    pub(super) async fn delete_schedule(
        &self,
        request: Request<DeleteScheduleRequest>,
    ) -> Result<DeleteScheduleResponse, Status> {
        let request = request.into_inner();
        let slot = self.schedule(&request.namespace, &request.schedule_id)?;
        self.shell.delete_schedule(&slot).await?;
        Ok(DeleteScheduleResponse {})
    }

    pub(super) async fn list_schedules(
        &self,
        request: Request<ListSchedulesRequest>,
    ) -> Result<ListSchedulesResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let query = compile(&request.query, &namespace)?;
        let after = query
            .token(&request.next_page_token)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let (scope, size) = (scope(&namespace), page_size(request.maximum_page_size));
        let page = self
            .shell
            .store
            .read(move |db| {
                let id = "schedules.schedule_id";
                visibility::list(db, &query, id, &scope, after.as_ref(), size, |row| {
                    Ok(row.get::<_, String>(0)?)
                })
            })
            .await
            .map_err(|error| Failed::Fault(Fault::from(error)))?;
        let mut entries = Vec::with_capacity(page.rows.len());
        for id in page.rows {
            // One that was deleted meanwhile is left out.
            if let Some(slot) = self.shell.schedules.get(namespace.id, &id) {
                entries.extend(self.entry(&slot).await);
            }
        }
        Ok(ListSchedulesResponse {
            schedules: entries,
            next_page_token: page.next,
        })
    }

    pub(super) async fn count_schedules(
        &self,
        request: Request<CountSchedulesRequest>,
    ) -> Result<CountSchedulesResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let query = compile(&request.query, &namespace)?;
        let scope = scope(&namespace);
        let counts = self
            .shell
            .store
            .read(move |db| visibility::count(db, &query, &scope))
            .await
            .map_err(|error| Failed::Fault(Fault::from(error)))?;
        Ok(CountSchedulesResponse {
            count: counts.iter().map(|(_, count)| count).sum(),
            groups: Vec::new(),
        })
    }

    async fn entry(&self, slot: &ScheduleSlot) -> Option<ScheduleListEntry> {
        let now = self.shell.now().into();
        let settings = slot.namespace.settings();
        slot.look(|kept| ScheduleListEntry {
            schedule_id: slot.id.clone(),
            memo: some_memo(&kept.memo),
            search_attributes: some_attributes(SearchAttributes {
                indexed_fields: settings.attributes.shown(&kept.search_attributes.indexed_fields),
            }),
            info: Some(kept.state.list_info(now)),
        })
        .await
    }

    fn schedule(&self, namespace: &str, id: &str) -> Result<Arc<ScheduleSlot>, Status> {
        let namespace = self.namespace(namespace)?;
        if id.is_empty() {
            return Err(Status::invalid_argument("ScheduleId is not set on request."));
        }
        let slot = self.shell.schedules.get(namespace.id, id);
        Ok(slot.ok_or_else(schedule_not_found)?)
    }

    /// A schedule whose spec is in its one form and whose workflow could be started.
    fn checked_schedule(&self, namespace: &Namespace, schedule: Option<Schedule>) -> Result<Schedule, Status> {
        let mut schedule = schedule.unwrap_or_default();
        let spec = canonical_spec(schedule.spec.take().unwrap_or_default());
        schedule.spec = Some(spec.map_err(|error| Status::invalid_argument(error.to_string()))?);
        let limit = self.shell.options.limits.blob_size_max;
        let size = prost::Message::encoded_len(&schedule);
        if size > limit {
            return Err(Status::invalid_argument(format!(
                "the schedule has {size} bytes, {limit} are allowed"
            )));
        }
        if let Some(workflow) = workflow_mut(&mut schedule) {
            if !workflow.cron_schedule.is_empty() {
                return Err(Status::invalid_argument(
                    "Scheduled workflow must not contain CronSchedule",
                ));
            }
            let reuse = WorkflowIdReusePolicy::try_from(workflow.workflow_id_reuse_policy);
            if !matches!(
                reuse,
                Ok(WorkflowIdReusePolicy::Unspecified | WorkflowIdReusePolicy::AllowDuplicate)
            ) {
                return Err(Status::invalid_argument(
                    "Scheduled workflow must not contain WorkflowIDReusePolicy",
                ));
            }
            // As it would be started, but for what only a time adds.
            let workflow_id = format!("{}{TIME_IN_ID}", workflow.workflow_id);
            let trial = StartWorkflowExecutionRequest {
                namespace: namespace.name.to_string(),
                ..start_request(workflow.clone(), workflow_id)
            };
            self.shell
                .with_env(namespace, |env| StartRun::from_request(trial, env.fresh_run_id, env))
                .map_err(Failed::Rejected)?;
        }
        Ok(schedule)
    }

    fn check_attachments(
        &self,
        namespace: &Namespace,
        memo: &Memo,
        search_attributes: &SearchAttributes,
    ) -> Result<(), Status> {
        let limit = self.shell.options.limits.memo_size_max;
        let size = prost::Message::encoded_len(memo);
        if size > limit {
            return Err(Status::invalid_argument(format!(
                "the memo has {size} bytes, {limit} are allowed"
            )));
        }
        let settings = namespace.settings();
        settings
            .attributes
            .check(&search_attributes.indexed_fields, &namespace.name)
            .map_err(Status::invalid_argument)
    }
}

fn checked_patch(patch: SchedulePatch) -> Result<SchedulePatch, Status> {
    if patch.pause.len() > MAX_NOTES || patch.unpause.len() > MAX_NOTES {
        return Err(Status::invalid_argument("Schedule notes exceeds limit."));
    }
    Ok(patch)
}

fn workflow_mut(schedule: &mut Schedule) -> Option<&mut NewWorkflowExecutionInfo> {
    match schedule.action.as_mut()?.action.as_mut()? {
        Action::StartWorkflow(workflow) => Some(workflow),
    }
}

fn some_memo(memo: &Memo) -> Option<Memo> {
    (!memo.fields.is_empty()).then(|| memo.clone())
}

fn some_attributes(attributes: SearchAttributes) -> Option<SearchAttributes> {
    (!attributes.indexed_fields.is_empty()).then_some(attributes)
}

fn compile(query: &str, namespace: &Namespace) -> Result<Query, Status> {
    let query = list::compile(&schedules::RELATION, query, namespace)?;
    if query.group.is_some() {
        return Err(Status::invalid_argument(
            "invalid query: GROUP BY is not supported for schedules",
        ));
    }
    Ok(query)
}

fn scope(namespace: &Namespace) -> [(&'static str, Param); 1] {
    [("namespace", Param::Integer(namespace.id))]
}
