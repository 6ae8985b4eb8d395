//! What operators do to activities, of workflows and standalone: pause, unpause, reset, change options.
//!
//! The older RPCs name activities of a workflow by id, type or all at once. The newer ones name one activity; without a
//! workflow id it is a standalone one.

use std::time::Duration;

use helve_history::{ActivityOperation, ActivitySelection, Input, OptionsUpdate, Reply, ResetOrder};
use temporalio_protos::temporal::api::{activity::v1::ActivityOptions, workflowservice::v1::*};
use tonic::{Request, Status};

use super::Frontend;
use crate::find::Target;

impl Frontend {
    pub(super) async fn pause_activity(
        &self,
        request: Request<PauseActivityRequest>,
    ) -> Result<PauseActivityResponse, Status> {
        use pause_activity_request::Activity;
        let request = request.into_inner();
        let target = self.target_of_operation(request.execution)?;
        let selection = match request.activity {
            Some(Activity::Id(id)) => ActivitySelection::Id(id),
            Some(Activity::Type(name)) => ActivitySelection::Type(name),
            None => return Err(nothing_selected()),
        };
        let operation = ActivityOperation::Pause {
            identity: request.identity,
            reason: request.reason,
            request_id: request.request_id,
        };
        self.operate(&request.namespace, target, selection, operation).await?;
        Ok(PauseActivityResponse::default())
    }

    pub(super) async fn unpause_activity(
        &self,
        request: Request<UnpauseActivityRequest>,
    ) -> Result<UnpauseActivityResponse, Status> {
        use unpause_activity_request::Activity;
        let request = request.into_inner();
        let target = self.target_of_operation(request.execution)?;
        let selection = match request.activity {
            Some(Activity::Id(id)) => ActivitySelection::Id(id),
            Some(Activity::Type(name)) => ActivitySelection::Type(name),
            Some(Activity::UnpauseAll(_)) => ActivitySelection::All,
            None => return Err(nothing_selected()),
        };
        let operation = ActivityOperation::Unpause {
            reset_attempts: request.reset_attempts,
            reset_heartbeat: request.reset_heartbeat,
            jitter: jitter(request.jitter)?,
            request_id: String::new(),
        };
        self.operate(&request.namespace, target, selection, operation).await?;
        Ok(UnpauseActivityResponse::default())
    }

    pub(super) async fn reset_activity(
        &self,
        request: Request<ResetActivityRequest>,
    ) -> Result<ResetActivityResponse, Status> {
        use reset_activity_request::Activity;
        let request = request.into_inner();
        let target = self.target_of_operation(request.execution)?;
        let selection = match request.activity {
            Some(Activity::Id(id)) => ActivitySelection::Id(id),
            Some(Activity::Type(name)) => ActivitySelection::Type(name),
            Some(Activity::MatchAll(_)) => ActivitySelection::All,
            None => return Err(nothing_selected()),
        };
        let operation = ActivityOperation::Reset(ResetOrder {
            reset_heartbeat: request.reset_heartbeat,
            keep_paused: request.keep_paused,
            restore_original_options: request.restore_original_options,
            jitter: jitter(request.jitter)?,
            request_id: String::new(),
        });
        self.operate(&request.namespace, target, selection, operation).await?;
        Ok(ResetActivityResponse::default())
    }

    pub(super) async fn update_activity_options(
        &self,
        request: Request<UpdateActivityOptionsRequest>,
    ) -> Result<UpdateActivityOptionsResponse, Status> {
        use update_activity_options_request::Activity;
        let request = request.into_inner();
        let target = self.target_of_operation(request.execution)?;
        let selection = match request.activity {
            Some(Activity::Id(id)) => ActivitySelection::Id(id),
            Some(Activity::Type(name)) => ActivitySelection::Type(name),
            Some(Activity::MatchAll(_)) => ActivitySelection::All,
            None => return Err(nothing_selected()),
        };
        let operation = ActivityOperation::UpdateOptions {
            update: options_update(
                request.restore_original,
                request.activity_options,
                request.update_mask.map(|mask| mask.paths),
            )?,
            request_id: String::new(),
        };
        let activity_options = self.operate(&request.namespace, target, selection, operation).await?;
        Ok(UpdateActivityOptionsResponse { activity_options })
    }

    pub(super) async fn pause_activity_execution(
        &self,
        request: Request<PauseActivityExecutionRequest>,
    ) -> Result<PauseActivityExecutionResponse, Status> {
        let request = request.into_inner();
        self.check_blob("reason", &request.reason)?;
        self.check_id("identity", &request.identity)?;
        let target = self.target_of_execution(request.workflow_id, &request.activity_id, request.run_id)?;
        let operation = ActivityOperation::Pause {
            identity: request.identity,
            reason: request.reason,
            request_id: self.request_id(request.request_id)?,
        };
        let selection = ActivitySelection::Id(request.activity_id);
        self.operate(&request.namespace, target, selection, operation).await?;
        Ok(PauseActivityExecutionResponse::default())
    }

    pub(super) async fn unpause_activity_execution(
        &self,
        request: Request<UnpauseActivityExecutionRequest>,
    ) -> Result<UnpauseActivityExecutionResponse, Status> {
        let request = request.into_inner();
        self.check_id("identity", &request.identity)?;
        let target = self.target_of_execution(request.workflow_id, &request.activity_id, request.run_id)?;
        let operation = ActivityOperation::Unpause {
            reset_attempts: false,
            reset_heartbeat: false,
            jitter: jitter(request.jitter)?,
            request_id: self.request_id(request.request_id)?,
        };
        let selection = ActivitySelection::Id(request.activity_id);
        self.operate(&request.namespace, target, selection, operation).await?;
        Ok(UnpauseActivityExecutionResponse::default())
    }

    pub(super) async fn reset_activity_execution(
        &self,
        request: Request<ResetActivityExecutionRequest>,
    ) -> Result<ResetActivityExecutionResponse, Status> {
        let request = request.into_inner();
        self.check_id("identity", &request.identity)?;
        let target = self.target_of_execution(request.workflow_id, &request.activity_id, request.run_id)?;
        let operation = ActivityOperation::Reset(ResetOrder {
            reset_heartbeat: request.reset_heartbeat,
            keep_paused: request.keep_paused,
            restore_original_options: request.restore_original_options,
            jitter: jitter(request.jitter)?,
            request_id: self.request_id(request.request_id)?,
        });
        let selection = ActivitySelection::Id(request.activity_id);
        self.operate(&request.namespace, target, selection, operation).await?;
        Ok(ResetActivityExecutionResponse::default())
    }

    pub(super) async fn update_activity_execution_options(
        &self,
        request: Request<UpdateActivityExecutionOptionsRequest>,
    ) -> Result<UpdateActivityExecutionOptionsResponse, Status> {
        let request = request.into_inner();
        self.check_id("identity", &request.identity)?;
        let target = self.target_of_execution(request.workflow_id, &request.activity_id, request.run_id)?;
        let update = options_update(
            request.restore_original,
            request.activity_options,
            request.update_mask.map(|mask| mask.paths),
        )?;
        if matches!(&update, OptionsUpdate::Fields { paths, .. } if paths.is_empty()) {
            return Err(Status::invalid_argument("UpdateMask must specify at least one path"));
        }
        let operation = ActivityOperation::UpdateOptions {
            update,
            request_id: self.request_id(request.request_id)?,
        };
        let selection = ActivitySelection::Id(request.activity_id);
        let activity_options = self.operate(&request.namespace, target, selection, operation).await?;
        Ok(UpdateActivityExecutionOptionsResponse { activity_options })
    }

    /// Answers the options if they are what the operation changes.
    async fn operate(
        &self,
        namespace: &str,
        target: Target,
        selection: ActivitySelection,
        operation: ActivityOperation,
    ) -> Result<Option<ActivityOptions>, Status> {
        let namespace = self.namespace(namespace)?;
        let input = Input::OperateActivities { selection, operation };
        let reply = self
            .shell
            .apply_to(&namespace, &target, input, |_, reply| reply)
            .await?;
        Ok(match reply {
            Reply::ActivityOptions(options) => Some(*options),
            _ => None,
        })
    }

    fn target_of_operation(
        &self,
        execution: Option<temporalio_protos::temporal::api::common::v1::WorkflowExecution>,
    ) -> Result<Target, Status> {
        let execution = execution.unwrap_or_default();
        self.named(execution.workflow_id, execution.run_id)
    }

    fn target_of_execution(&self, workflow_id: String, activity_id: &str, run_id: String) -> Result<Target, Status> {
        let standalone = self.standalone(activity_id.to_owned(), run_id)?;
        if workflow_id.is_empty() {
            Ok(standalone)
        } else {
            self.named(workflow_id, standalone.run_id)
        }
    }
}

fn nothing_selected() -> Status {
    Status::invalid_argument("Either Activity.Id or Activity.Type should be set on request.")
}

fn jitter(given: Option<prost_types::Duration>) -> Result<Duration, Status> {
    let given = given.unwrap_or_default();
    // Asked first: the conversion cannot negate the least number that there is.
    if given.seconds < 0 || given.nanos < 0 {
        return Err(Status::invalid_argument("invalid jitter: negative duration"));
    }
    Duration::try_from(given).map_err(|_| Status::invalid_argument("invalid jitter: negative duration"))
}

fn options_update(
    restore: bool,
    options: Option<ActivityOptions>,
    paths: Option<Vec<String>>,
) -> Result<OptionsUpdate, Status> {
    if restore {
        return if paths.is_some_and(|paths| !paths.is_empty()) {
            Err(Status::invalid_argument(
                "Both UpdateMask and RestoreOriginal are provided",
            ))
        } else {
            Ok(OptionsUpdate::Restore)
        };
    }
    let options = options.ok_or_else(|| Status::invalid_argument("ActivityOptions are not provided"))?;
    let paths = paths.ok_or_else(|| Status::invalid_argument("UpdateMask is not provided"))?;
    Ok(OptionsUpdate::Fields {
        options: Box::new(options),
        paths,
    })
}
