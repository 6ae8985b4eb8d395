//! Polls for tasks.

use std::time::Duration;

use helve_history::Sdk;
use helve_protocol::WithHistory;
use temporalio_protos::temporal::api::{
    common::v1::WorkerVersionCapabilities,
    deployment::v1::WorkerDeploymentOptions,
    enums::v1::{TaskQueueKind, WorkerVersioningMode},
    taskqueue::v1::TaskQueue,
    workflowservice::v1::*,
};
use tonic::{Request, Status, metadata::MetadataMap};

use super::{Frontend, convert};
use crate::{
    matching::{Kind, Poller, QueueId, instance_of},
    namespaces::Namespace,
    tasks::{Handout, Patience},
};

/// How long a poll waits for a task, in milliseconds, if that is shorter than its client waits for the answer.
const WAIT_HEADER: &str = "helve-wait-ms";

impl Frontend {
    pub(super) async fn poll_workflow_task_queue(
        &self,
        request: Request<PollWorkflowTaskQueueRequest>,
    ) -> Result<WithHistory<PollWorkflowTaskQueueResponse>, Status> {
        let patience = self.poll_patience(request.metadata());
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        #[expect(deprecated, reason = "how workers said it before deployments")]
        check_unversioned(
            request.worker_version_capabilities.as_ref(),
            request.deployment_options.as_ref(),
        )?;
        let is_sticky = request
            .task_queue
            .as_ref()
            .is_some_and(|queue| queue.kind() == TaskQueueKind::Sticky);
        let queue = self.queue(&namespace, request.task_queue, Kind::Workflow)?;
        let poller = Poller {
            is_sticky,
            ..self.poller(&namespace, request.identity, &request.worker_instance_key, None)?
        };
        Ok(match self.shell.poll(queue, poller, patience).await? {
            Some(Handout::WorkflowTask(task)) => convert::workflow_task(*task),
            Some(Handout::Query(query)) => convert::query_task(*query),
            // Exactly the default: a client takes anything else for a task.
            Some(Handout::Activity(_)) | None => WithHistory::default(),
        })
    }

    pub(super) async fn poll_activity_task_queue(
        &self,
        request: Request<PollActivityTaskQueueRequest>,
    ) -> Result<PollActivityTaskQueueResponse, Status> {
        let patience = self.poll_patience(request.metadata());
        let sdk = sdk(request.metadata());
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        #[expect(deprecated, reason = "how workers said it before deployments")]
        check_unversioned(
            request.worker_version_capabilities.as_ref(),
            request.deployment_options.as_ref(),
        )?;
        let is_sticky = |queue: &TaskQueue| queue.kind() == TaskQueueKind::Sticky;
        if request.task_queue.as_ref().is_some_and(is_sticky) {
            return Err(Status::invalid_argument("only workflow tasks come from sticky queues"));
        }
        let queue = self.queue(&namespace, request.task_queue, Kind::Activity)?;
        let rate = request
            .task_queue_metadata
            .and_then(|metadata| metadata.max_tasks_per_second);
        let poller = Poller {
            sdk,
            ..self.poller(&namespace, request.identity, &request.worker_instance_key, rate)?
        };
        Ok(match self.shell.poll(queue, poller, patience).await? {
            Some(Handout::Activity(activity)) => convert::activity(*activity),
            _ => PollActivityTaskQueueResponse::default(),
        })
    }

    /// A client that wants what is there, and not what will be, says so by a header of Helve's own: by a short timeout alone it
    /// would also give up what is just being handed over.
    fn poll_patience(&self, metadata: &MetadataMap) -> Patience {
        let whole = self.patience(metadata, self.shell.options.poll_timeout);
        let wait = metadata
            .get(WAIT_HEADER)
            .and_then(|text| text.to_str().ok()?.parse().ok());
        Patience {
            wait: wait.map_or(whole, |millis| whole.min(Duration::from_millis(millis))),
            whole,
        }
    }

    fn poller(
        &self,
        namespace: &Namespace,
        identity: String,
        instance: &str,
        max_tasks_per_second: Option<f64>,
    ) -> Result<Poller, Status> {
        self.check_length("Identity", &identity)?;
        self.check_length("WorkerInstanceKey", instance)?;
        Ok(Poller {
            identity,
            instance: instance_of(&namespace.name, instance),
            is_sticky: false,
            max_tasks_per_second,
            sdk: None,
        })
    }

    /// The queue that a request names.
    pub(super) fn queue(&self, namespace: &Namespace, queue: Option<TaskQueue>, kind: Kind) -> Result<QueueId, Status> {
        let queue = queue.ok_or_else(|| Status::invalid_argument("TaskQueue is not set on request."))?;
        if queue.name.is_empty() {
            return Err(Status::invalid_argument("TaskQueue is not set on request."));
        }
        self.check_length("TaskQueue", &queue.name)?;
        if queue.kind() != TaskQueueKind::Sticky && !queue.normal_name.is_empty() {
            return Err(Status::invalid_argument(format!(
                "only sticky queues can have normal name. tq: {}",
                queue.name
            )));
        }
        self.check_length("TaskQueue", &queue.normal_name)?;
        let namespace = namespace.name.clone();
        Ok(match (kind, queue.kind()) {
            (Kind::Workflow, TaskQueueKind::Sticky) => QueueId::sticky(namespace, &queue.name, &queue.normal_name),
            (kind, _) => QueueId {
                namespace,
                kind,
                name: queue.name.into(),
            },
        })
    }
}

/// What a client is made with, by its headers.
fn sdk(metadata: &MetadataMap) -> Option<Sdk> {
    let header = |name| Some(metadata.get(name)?.to_str().ok()?.to_owned());
    Some(Sdk {
        name: header("client-name")?,
        version: header("client-version").unwrap_or_default(),
    })
}

/// A worker that wants only tasks of its version would get all of them: it is refused instead.
fn check_unversioned(
    capabilities: Option<&WorkerVersionCapabilities>,
    deployment: Option<&WorkerDeploymentOptions>,
) -> Result<(), Status> {
    let by_build_id = capabilities.is_some_and(|capabilities| capabilities.use_versioning);
    let by_deployment =
        deployment.is_some_and(|options| options.worker_versioning_mode() == WorkerVersioningMode::Versioned);
    if by_build_id || by_deployment {
        return Err(Status::unimplemented(
            "this server does not support worker versioning: poll as an unversioned worker",
        ));
    }
    Ok(())
}
