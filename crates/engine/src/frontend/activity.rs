//! What workers say about activities, by token or by id.

use std::sync::Arc;

use helve_history::{ActivityRef, ActivityToken, Input, Reply};
use temporalio_protos::temporal::api::workflowservice::v1::*;
use tonic::{Request, Status};

use super::{Frontend, check_token_namespace};
use crate::{error::Failed, find::Target, run::Slot};

/// The activity a request is about, and its run.
struct Named {
    slot: Arc<Slot>,
    activity: ActivityRef,
}

impl Frontend {
    pub(super) async fn record_activity_task_heartbeat(
        &self,
        request: Request<RecordActivityTaskHeartbeatRequest>,
    ) -> Result<RecordActivityTaskHeartbeatResponse, Status> {
        let request = request.into_inner();
        let Named { slot, activity } = self.activity_by_token(&request.task_token, &request.namespace).await?;
        let input = Input::Heartbeat {
            activity,
            details: request.details,
            identity: request.identity,
        };
        let cancel_requested = self
            .shell
            .apply(&slot, input, |_, reply| asks_to_cancel(&reply))
            .await?;
        Ok(RecordActivityTaskHeartbeatResponse {
            cancel_requested,
            ..Default::default()
        })
    }

    pub(super) async fn record_activity_task_heartbeat_by_id(
        &self,
        request: Request<RecordActivityTaskHeartbeatByIdRequest>,
    ) -> Result<RecordActivityTaskHeartbeatByIdResponse, Status> {
        let request = request.into_inner();
        let Named { slot, activity } = self
            .activity_by_id(
                &request.namespace,
                request.workflow_id,
                request.run_id,
                request.activity_id,
            )
            .await?;
        let input = Input::Heartbeat {
            activity,
            details: request.details,
            identity: request.identity,
        };
        let cancel_requested = self
            .shell
            .apply(&slot, input, |_, reply| asks_to_cancel(&reply))
            .await?;
        Ok(RecordActivityTaskHeartbeatByIdResponse {
            cancel_requested,
            ..Default::default()
        })
    }

    pub(super) async fn respond_activity_task_completed(
        &self,
        request: Request<RespondActivityTaskCompletedRequest>,
    ) -> Result<RespondActivityTaskCompletedResponse, Status> {
        let request = request.into_inner();
        let Named { slot, activity } = self.activity_by_token(&request.task_token, &request.namespace).await?;
        self.end(
            &slot,
            Input::CompleteActivity {
                activity,
                result: request.result,
                identity: request.identity,
            },
        )
        .await?;
        Ok(RespondActivityTaskCompletedResponse::default())
    }

    pub(super) async fn respond_activity_task_completed_by_id(
        &self,
        request: Request<RespondActivityTaskCompletedByIdRequest>,
    ) -> Result<RespondActivityTaskCompletedByIdResponse, Status> {
        let request = request.into_inner();
        let Named { slot, activity } = self
            .activity_by_id(
                &request.namespace,
                request.workflow_id,
                request.run_id,
                request.activity_id,
            )
            .await?;
        self.end(
            &slot,
            Input::CompleteActivity {
                activity,
                result: request.result,
                identity: request.identity,
            },
        )
        .await?;
        Ok(RespondActivityTaskCompletedByIdResponse::default())
    }

    pub(super) async fn respond_activity_task_failed(
        &self,
        request: Request<RespondActivityTaskFailedRequest>,
    ) -> Result<RespondActivityTaskFailedResponse, Status> {
        let request = request.into_inner();
        let Named { slot, activity } = self.activity_by_token(&request.task_token, &request.namespace).await?;
        let input = Input::FailActivity {
            activity,
            failure: request.failure.map(Box::new),
            last_heartbeat_details: request.last_heartbeat_details,
            identity: request.identity,
        };
        self.end(&slot, input).await?;
        Ok(RespondActivityTaskFailedResponse::default())
    }

    pub(super) async fn respond_activity_task_failed_by_id(
        &self,
        request: Request<RespondActivityTaskFailedByIdRequest>,
    ) -> Result<RespondActivityTaskFailedByIdResponse, Status> {
        let request = request.into_inner();
        let Named { slot, activity } = self
            .activity_by_id(
                &request.namespace,
                request.workflow_id,
                request.run_id,
                request.activity_id,
            )
            .await?;
        let input = Input::FailActivity {
            activity,
            failure: request.failure.map(Box::new),
            last_heartbeat_details: request.last_heartbeat_details,
            identity: request.identity,
        };
        self.end(&slot, input).await?;
        Ok(RespondActivityTaskFailedByIdResponse::default())
    }

    pub(super) async fn respond_activity_task_canceled(
        &self,
        request: Request<RespondActivityTaskCanceledRequest>,
    ) -> Result<RespondActivityTaskCanceledResponse, Status> {
        let request = request.into_inner();
        let Named { slot, activity } = self.activity_by_token(&request.task_token, &request.namespace).await?;
        self.end(
            &slot,
            Input::CancelActivity {
                activity,
                details: request.details,
                identity: request.identity,
            },
        )
        .await?;
        Ok(RespondActivityTaskCanceledResponse::default())
    }

    pub(super) async fn respond_activity_task_canceled_by_id(
        &self,
        request: Request<RespondActivityTaskCanceledByIdRequest>,
    ) -> Result<RespondActivityTaskCanceledByIdResponse, Status> {
        let request = request.into_inner();
        let Named { slot, activity } = self
            .activity_by_id(
                &request.namespace,
                request.workflow_id,
                request.run_id,
                request.activity_id,
            )
            .await?;
        self.end(
            &slot,
            Input::CancelActivity {
                activity,
                details: request.details,
                identity: request.identity,
            },
        )
        .await?;
        Ok(RespondActivityTaskCanceledByIdResponse::default())
    }

    async fn end(&self, slot: &Arc<Slot>, input: Input) -> Result<(), Status> {
        Ok(self.shell.apply(slot, input, |_, _| ()).await?)
    }

    async fn activity_by_token(&self, token: &[u8], namespace: &str) -> Result<Named, Status> {
        let token = ActivityToken::parse(token).map_err(Failed::from)?;
        check_token_namespace(&token.namespace, namespace)?;
        let namespace = self.namespace(&token.namespace)?;
        let target = Target::run(token.run_key());
        let slot = self.shell.find(&namespace, &target).await?;
        Ok(Named {
            slot,
            activity: ActivityRef::Token(token),
        })
    }

    async fn activity_by_id(
        &self,
        namespace: &str,
        workflow_id: String,
        run_id: String,
        activity_id: String,
    ) -> Result<Named, Status> {
        let namespace = self.namespace(namespace)?;
        if activity_id.is_empty() {
            return Err(Status::invalid_argument("ActivityId is not set on request."));
        }
        let target = self.named(workflow_id, run_id)?;
        let slot = self.shell.find(&namespace, &target).await?;
        Ok(Named {
            slot,
            activity: ActivityRef::ById(activity_id),
        })
    }
}

fn asks_to_cancel(reply: &Reply) -> bool {
    matches!(reply, Reply::Heartbeat { cancel_requested: true })
}
