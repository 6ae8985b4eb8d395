//! What workers say about activities, by token or by id: each pair of RPCs is the same but for that.

use std::sync::Arc;

use helve_history::{ActivityRef, ActivityToken, Input, Reply, RunKind};
use temporalio_protos::temporal::api::{common::v1::Payloads, failure::v1::Failure, workflowservice::v1::*};
use tonic::{Request, Status};

use super::{Frontend, check_token_namespace};
use crate::{
    access::{self, Called},
    error::Failed,
    find::Target,
    run::Slot,
};

/// How a request names its activity.
enum Name {
    /// With the namespace the request names.
    Token(Vec<u8>, String),
    /// Without a workflow id it names a standalone activity.
    Id {
        namespace: String,
        workflow_id: String,
        run_id: String,
        activity_id: String,
    },
}

/// The same, and who names it, if they may not answer for all.
struct Named {
    name: Name,
    called: Option<Called>,
}

impl Name {
    fn of(self, called: Option<Called>) -> Named {
        Named { name: self, called }
    }
}

/// The name in a `...ById` request, whose types have nothing else in common.
macro_rules! by_id {
    ($request:ident) => {
        Name::Id {
            namespace: $request.namespace,
            workflow_id: $request.workflow_id,
            run_id: $request.run_id,
            activity_id: $request.activity_id,
        }
    };
}

/// What an activity learns by its heartbeat.
struct News {
    cancel_requested: bool,
    activity_paused: bool,
    activity_reset: bool,
}

impl Frontend {
    pub(super) async fn record_activity_task_heartbeat(
        &self,
        request: Request<RecordActivityTaskHeartbeatRequest>,
    ) -> Result<RecordActivityTaskHeartbeatResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        let News {
            cancel_requested,
            activity_paused,
            activity_reset,
        } = self
            .heartbeat(
                Name::Token(request.task_token, request.namespace).of(called),
                request.details,
                request.identity,
            )
            .await?;
        Ok(RecordActivityTaskHeartbeatResponse {
            cancel_requested,
            activity_paused,
            activity_reset,
        })
    }

    pub(super) async fn record_activity_task_heartbeat_by_id(
        &self,
        request: Request<RecordActivityTaskHeartbeatByIdRequest>,
    ) -> Result<RecordActivityTaskHeartbeatByIdResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        let News {
            cancel_requested,
            activity_paused,
            activity_reset,
        } = self
            .heartbeat(by_id!(request).of(called), request.details, request.identity)
            .await?;
        Ok(RecordActivityTaskHeartbeatByIdResponse {
            cancel_requested,
            activity_paused,
            activity_reset,
        })
    }

    pub(super) async fn respond_activity_task_completed(
        &self,
        request: Request<RespondActivityTaskCompletedRequest>,
    ) -> Result<RespondActivityTaskCompletedResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        self.complete(
            Name::Token(request.task_token, request.namespace).of(called),
            request.result,
            request.identity,
        )
        .await?;
        Ok(RespondActivityTaskCompletedResponse::default())
    }

    pub(super) async fn respond_activity_task_completed_by_id(
        &self,
        request: Request<RespondActivityTaskCompletedByIdRequest>,
    ) -> Result<RespondActivityTaskCompletedByIdResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        self.complete(by_id!(request).of(called), request.result, request.identity)
            .await?;
        Ok(RespondActivityTaskCompletedByIdResponse::default())
    }

    pub(super) async fn respond_activity_task_failed(
        &self,
        request: Request<RespondActivityTaskFailedRequest>,
    ) -> Result<RespondActivityTaskFailedResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        let name = Name::Token(request.task_token, request.namespace).of(called);
        let failures = self
            .fail(name, request.failure, request.last_heartbeat_details, request.identity)
            .await?;
        Ok(RespondActivityTaskFailedResponse { failures })
    }

    pub(super) async fn respond_activity_task_failed_by_id(
        &self,
        request: Request<RespondActivityTaskFailedByIdRequest>,
    ) -> Result<RespondActivityTaskFailedByIdResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        let name = by_id!(request).of(called);
        let failures = self
            .fail(name, request.failure, request.last_heartbeat_details, request.identity)
            .await?;
        Ok(RespondActivityTaskFailedByIdResponse { failures })
    }

    pub(super) async fn respond_activity_task_canceled(
        &self,
        request: Request<RespondActivityTaskCanceledRequest>,
    ) -> Result<RespondActivityTaskCanceledResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        self.cancel(
            Name::Token(request.task_token, request.namespace).of(called),
            request.details,
            request.identity,
        )
        .await?;
        Ok(RespondActivityTaskCanceledResponse::default())
    }

    pub(super) async fn respond_activity_task_canceled_by_id(
        &self,
        request: Request<RespondActivityTaskCanceledByIdRequest>,
    ) -> Result<RespondActivityTaskCanceledByIdResponse, Status> {
        let called = access::limited(&request);
        let request = request.into_inner();
        self.cancel(by_id!(request).of(called), request.details, request.identity)
            .await?;
        Ok(RespondActivityTaskCanceledByIdResponse::default())
    }

    async fn heartbeat(&self, name: Named, details: Option<Payloads>, identity: String) -> Result<News, Status> {
        let (slot, activity) = self.named_activity(name).await?;
        let input = Input::Heartbeat {
            activity,
            details,
            identity,
        };
        let reply = self.shell.apply(&slot, input, |_, reply| reply).await?;
        let (cancel_requested, activity_paused, activity_reset) = match reply {
            Reply::Heartbeat {
                cancel_requested,
                paused,
                reset,
            } => (cancel_requested, paused, reset),
            _ => (false, false, false),
        };
        Ok(News {
            cancel_requested,
            activity_paused,
            activity_reset,
        })
    }

    async fn complete(&self, name: Named, result: Option<Payloads>, identity: String) -> Result<(), Status> {
        self.check_length("Identity", &identity)?;
        let (slot, activity) = self.named_activity(name).await?;
        let input = Input::CompleteActivity {
            activity,
            result,
            identity,
        };
        Ok(self.shell.apply(&slot, input, |_, _| ()).await?)
    }

    /// Answers what of it was too large to be taken.
    async fn fail(
        &self,
        name: Named,
        failure: Option<Failure>,
        last_heartbeat_details: Option<Payloads>,
        identity: String,
    ) -> Result<Vec<Failure>, Status> {
        self.check_length("Identity", &identity)?;
        let (slot, activity) = self.named_activity(name).await?;
        let input = Input::FailActivity {
            activity,
            failure: failure.map(Box::new),
            last_heartbeat_details,
            identity,
        };
        Ok(match self.shell.apply(&slot, input, |_, reply| reply).await? {
            Reply::TooLarge(failures) => failures,
            _ => Vec::new(),
        })
    }

    async fn cancel(&self, name: Named, details: Option<Payloads>, identity: String) -> Result<(), Status> {
        self.check_length("Identity", &identity)?;
        let (slot, activity) = self.named_activity(name).await?;
        let input = Input::CancelActivity {
            activity,
            details,
            identity,
        };
        Ok(self.shell.apply(&slot, input, |_, _| ()).await?)
    }

    /// The activity a request is about, and its run.
    async fn named_activity(&self, name: Named) -> Result<(Arc<Slot>, ActivityRef), Status> {
        let Named { name, called } = name;
        let (namespace, target, activity) = match name {
            Name::Token(token, namespace) => {
                let token = ActivityToken::parse(&token).map_err(Failed::from)?;
                check_token_namespace(&token.namespace, &namespace)?;
                let target = Target::run(token.run_key());
                (token.namespace.clone(), target, ActivityRef::Token(token))
            }
            Name::Id {
                namespace,
                workflow_id,
                run_id,
                activity_id,
            } => {
                if activity_id.is_empty() {
                    return Err(Status::invalid_argument("ActivityId is not set on request."));
                }
                let target = if workflow_id.is_empty() {
                    Target {
                        kind: RunKind::Activity,
                        ..self.named(activity_id.clone(), run_id)?
                    }
                } else {
                    self.named(workflow_id, run_id)?
                };
                (namespace, target, ActivityRef::ById(activity_id))
            }
        };
        let slot = self.shell.find(&*self.namespace(&namespace)?, &target).await?;
        self.check_answer(called, &slot, Some(&activity)).await?;
        Ok((slot, activity))
    }
}
