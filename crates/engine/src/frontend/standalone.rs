//! Standalone activities: start, describe, wait for, cancel, terminate, delete. Lists are in `list`.

use helve_history::{Input, RunKind, StandaloneRequest, StartRun};
use prost::Message;
use temporalio_protos::temporal::api::{
    common::v1::{Link, link},
    enums::v1::{ActivityIdConflictPolicy, ActivityIdReusePolicy, WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    workflowservice::v1::*,
};
use tonic::{Request, Status};

use super::Frontend;
use crate::{
    error::{Failed, Fault},
    find::Target,
    start::Policies,
};

/// What a client saw of an activity: it may wait until there is more to see. Opaque to clients.
#[derive(Clone, PartialEq, Eq, Message)]
struct SeenToken {
    #[prost(string, tag = "1")]
    run_id: String,
    #[prost(int64, tag = "2")]
    transitions: i64,
}

impl Frontend {
    pub(super) async fn start_activity_execution(
        &self,
        request: Request<StartActivityExecutionRequest>,
    ) -> Result<StartActivityExecutionResponse, Status> {
        let mut request = request.into_inner();
        let namespace = self.namespace_for_starts(&request.namespace)?;
        if !request.completion_callbacks.is_empty() {
            return Err(Status::invalid_argument(
                "completion callbacks are not supported by this version of Helve",
            ));
        }
        check_on_conflict(&request)?;
        request.request_id = self.request_id(request.request_id)?;
        let policies = policies(&request)?;
        let attached = request
            .on_conflict_options
            .is_some_and(|options| options.attach_links)
            .then(|| StandaloneRequest::AttachLinks {
                links: request.links.clone(),
                request_id: request.request_id.clone(),
            });
        let (name, activity_id) = (request.namespace.clone(), request.activity_id.clone());
        let started = self
            .shell
            .start(&namespace, policies, |run_id, env| {
                StartRun::activity(request, run_id, env)
            })
            .await?;
        if let Some(attached) = attached.filter(|_| !started.is_new) {
            let target = self.standalone(activity_id.clone(), started.run_id.clone())?;
            self.shell
                .apply_to(&namespace, &target, Input::Standalone(attached), |_, _| ())
                .await?;
        }
        let link = link::Activity {
            namespace: name,
            activity_id,
            run_id: started.run_id.clone(),
        };
        Ok(StartActivityExecutionResponse {
            run_id: started.run_id,
            started: started.is_new,
            link: Some(Link {
                variant: Some(link::Variant::Activity(link)),
            }),
        })
    }

    pub(super) async fn describe_activity_execution(
        &self,
        request: Request<DescribeActivityExecutionRequest>,
    ) -> Result<DescribeActivityExecutionResponse, Status> {
        let deadline = self.shell.now() + self.patience(request.metadata(), self.shell.options.history_wait);
        let mut request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let target = self.standalone(request.activity_id.clone(), std::mem::take(&mut request.run_id))?;
        let seen = match request.long_poll_token.as_slice() {
            [] => None,
            _ if target.run_id.is_empty() => {
                return Err(Status::invalid_argument(
                    "run id is required when long poll token is provided",
                ));
            }
            token => Some(SeenToken::decode(token).map_err(|_| Status::invalid_argument("invalid long poll token"))?),
        };
        let slot = self.shell.find(&namespace, &target).await?;
        if let Some(seen) = seen {
            if seen.run_id != slot.key.run_id {
                return Err(Status::invalid_argument("long poll token does not match execution"));
            }
            let is_news =
                |progress: &crate::run::Progress| progress.transitions != seen.transitions || !progress.is_running();
            if !self.wait_until(&slot, deadline, is_news).await {
                // An invitation to ask again.
                return Ok(DescribeActivityExecutionResponse::default());
            }
        }
        let mut guard = self.shell.lock(&slot).await?;
        let state = &guard.loaded().ok_or(Failed::Fault(Fault::Conflict))?.state;
        let token = SeenToken {
            run_id: slot.key.run_id.clone(),
            transitions: state.transition_count(),
        };
        let mut described = state.describe_activity(&request).ok_or_else(not_an_activity)?;
        drop(guard);
        if let Some(set) = described.info.as_mut().and_then(|info| info.search_attributes.as_mut()) {
            set.indexed_fields = namespace.settings().attributes.shown(&set.indexed_fields);
        }
        described.long_poll_token = token.encode_to_vec();
        Ok(described)
    }

    pub(super) async fn poll_activity_execution(
        &self,
        request: Request<PollActivityExecutionRequest>,
    ) -> Result<PollActivityExecutionResponse, Status> {
        let deadline = self.shell.now() + self.patience(request.metadata(), self.shell.options.history_wait);
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let target = self.standalone(request.activity_id, request.run_id)?;
        let slot = self.shell.find(&namespace, &target).await?;
        if !self
            .wait_until(&slot, deadline, |progress| !progress.is_running())
            .await
        {
            // An invitation to ask again.
            return Ok(PollActivityExecutionResponse::default());
        }
        let mut guard = self.shell.lock(&slot).await?;
        let state = &guard.loaded().ok_or(Failed::Fault(Fault::Conflict))?.state;
        Ok(PollActivityExecutionResponse {
            run_id: slot.key.run_id.clone(),
            outcome: state.activity_outcome(),
        })
    }

    pub(super) async fn request_cancel_activity_execution(
        &self,
        request: Request<RequestCancelActivityExecutionRequest>,
    ) -> Result<RequestCancelActivityExecutionResponse, Status> {
        let request = request.into_inner();
        let target = self.standalone(request.activity_id, request.run_id)?;
        self.check_id("identity", &request.identity)?;
        self.check_blob("reason", &request.reason)?;
        let input = StandaloneRequest::Cancel {
            reason: request.reason,
            identity: request.identity,
            request_id: self.request_id(request.request_id)?,
        };
        self.ask_standalone(&request.namespace, &target, input).await?;
        Ok(RequestCancelActivityExecutionResponse::default())
    }

    pub(super) async fn terminate_activity_execution(
        &self,
        request: Request<TerminateActivityExecutionRequest>,
    ) -> Result<TerminateActivityExecutionResponse, Status> {
        let request = request.into_inner();
        let target = self.standalone(request.activity_id, request.run_id)?;
        self.check_id("identity", &request.identity)?;
        self.check_blob("reason", &request.reason)?;
        let input = StandaloneRequest::Terminate {
            reason: request.reason,
            identity: request.identity,
            request_id: self.request_id(request.request_id)?,
        };
        self.ask_standalone(&request.namespace, &target, input).await?;
        Ok(TerminateActivityExecutionResponse::default())
    }

    pub(super) async fn delete_activity_execution(
        &self,
        request: Request<DeleteActivityExecutionRequest>,
    ) -> Result<DeleteActivityExecutionResponse, Status> {
        let request = request.into_inner();
        let target = self.standalone(request.activity_id, request.run_id)?;
        let namespace = self.namespace(&request.namespace)?;
        let slot = self.shell.find(&namespace, &target).await?;
        self.shell.request_deletion(&slot).await?;
        Ok(DeleteActivityExecutionResponse::default())
    }

    async fn ask_standalone(&self, namespace: &str, target: &Target, input: StandaloneRequest) -> Result<(), Status> {
        let namespace = self.namespace(namespace)?;
        Ok(self
            .shell
            .apply_to(&namespace, target, Input::Standalone(input), |_, _| ())
            .await?)
    }

    /// The standalone activity that a request names.
    pub(super) fn standalone(&self, activity_id: String, run_id: String) -> Result<Target, Status> {
        if activity_id.is_empty() {
            return Err(Status::invalid_argument("activity ID is required"));
        }
        self.check_id("activity ID", &activity_id)?;
        if !run_id.is_empty() && uuid::Uuid::parse_str(&run_id).is_err() {
            return Err(Status::invalid_argument("invalid run id: must be a valid UUID"));
        }
        Ok(Target {
            kind: RunKind::Activity,
            workflow_id: activity_id,
            run_id,
        })
    }

    /// The id of a request, for deduplication; one that has none gets one that nobody repeats.
    pub(super) fn request_id(&self, given: String) -> Result<String, Status> {
        if given.is_empty() {
            return Ok(self.shell.fresh_id());
        }
        self.check_id("request ID", &given)?;
        Ok(given)
    }

    pub(super) fn check_blob(&self, field: &str, text: &str) -> Result<(), Status> {
        if text.len() > self.shell.options.limits.blob_size_max {
            return Err(Status::invalid_argument(format!("{field} exceeds length limit")));
        }
        Ok(())
    }

    pub(super) fn check_id(&self, field: &str, value: &str) -> Result<(), Status> {
        let (length, limit) = (value.len(), self.shell.options.limits.id_length_max);
        if length > limit {
            return Err(Status::invalid_argument(format!(
                "{field} exceeds length limit. Length={length} Limit={limit}"
            )));
        }
        Ok(())
    }
}

fn policies(request: &StartActivityExecutionRequest) -> Result<Policies, Status> {
    let reuse = match ActivityIdReusePolicy::try_from(request.id_reuse_policy) {
        Ok(ActivityIdReusePolicy::Unspecified | ActivityIdReusePolicy::AllowDuplicate) => {
            WorkflowIdReusePolicy::AllowDuplicate
        }
        Ok(ActivityIdReusePolicy::AllowDuplicateFailedOnly) => WorkflowIdReusePolicy::AllowDuplicateFailedOnly,
        Ok(ActivityIdReusePolicy::RejectDuplicate) => WorkflowIdReusePolicy::RejectDuplicate,
        Err(_) => {
            let given = request.id_reuse_policy;
            return Err(Status::invalid_argument(format!(
                "unsupported ID reuse policy: {given}"
            )));
        }
    };
    let conflict = match ActivityIdConflictPolicy::try_from(request.id_conflict_policy) {
        Ok(ActivityIdConflictPolicy::Unspecified | ActivityIdConflictPolicy::Fail) => WorkflowIdConflictPolicy::Fail,
        Ok(ActivityIdConflictPolicy::UseExisting) => WorkflowIdConflictPolicy::UseExisting,
        Err(_) => {
            let given = request.id_conflict_policy;
            return Err(Status::invalid_argument(format!(
                "unsupported ID conflict policy: {given}"
            )));
        }
    };
    Ok(Policies { reuse, conflict })
}

fn check_on_conflict(request: &StartActivityExecutionRequest) -> Result<(), Status> {
    let Some(options) = &request.on_conflict_options else {
        return Ok(());
    };
    if options.attach_completion_callbacks && !options.attach_request_id {
        return Err(Status::invalid_argument(
            "on_conflict_options: attach_completion_callbacks requires attach_request_id to be set",
        ));
    }
    if options.attach_request_id && request.links.is_empty() {
        return Err(Status::invalid_argument(
            "on_conflict_options: attach_request_id requires at least one completion callback or link",
        ));
    }
    Ok(())
}

fn not_an_activity() -> Status {
    Failed::Fault(Fault::Bug("an execution of kind activity has no activity".to_owned())).into()
}
