//! Polls for tasks.

use helve_history::Timestamp;
use temporalio_protos::temporal::api::{
    enums::v1::TaskQueueType,
    taskqueue::v1::{PollerInfo, TaskQueue, TaskQueueStatus},
    workflowservice::v1::*,
};
use tonic::{Request, Status};

use super::{Frontend, convert};
use crate::{
    matching::{Kind, Poller, QueueId},
    namespaces::Namespace,
    tasks::Handout,
};

impl Frontend {
    pub(super) async fn poll_workflow_task_queue(
        &self,
        request: Request<PollWorkflowTaskQueueRequest>,
    ) -> Result<PollWorkflowTaskQueueResponse, Status> {
        let patience = self.patience(request.metadata(), self.shell.options.poll_timeout);
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let queue = self.queue(namespace, request.task_queue, Kind::Workflow)?;
        let poller = Poller {
            identity: request.identity,
            instance: request.worker_instance_key,
        };
        Ok(match self.shell.poll(queue, poller, patience).await? {
            Some(Handout::WorkflowTask(task)) => convert::workflow_task(*task),
            Some(Handout::Query(query)) => convert::query_task(*query),
            // Exactly the default: a client takes anything else for a task.
            Some(Handout::Activity(_)) | None => PollWorkflowTaskQueueResponse::default(),
        })
    }

    pub(super) async fn poll_activity_task_queue(
        &self,
        request: Request<PollActivityTaskQueueRequest>,
    ) -> Result<PollActivityTaskQueueResponse, Status> {
        let patience = self.patience(request.metadata(), self.shell.options.poll_timeout);
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let queue = self.queue(namespace, request.task_queue, Kind::Activity)?;
        let poller = Poller {
            identity: request.identity,
            instance: request.worker_instance_key,
        };
        Ok(match self.shell.poll(queue, poller, patience).await? {
            Some(Handout::Activity(activity)) => convert::activity(*activity),
            _ => PollActivityTaskQueueResponse::default(),
        })
    }

    pub(super) async fn describe_task_queue(
        &self,
        request: Request<DescribeTaskQueueRequest>,
    ) -> Result<DescribeTaskQueueResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let kind = match request.task_queue_type() {
            TaskQueueType::Activity => Kind::Activity,
            _ => Kind::Workflow,
        };
        let queue = self.queue(namespace, request.task_queue, kind)?;
        let (backlog, pollers) = self.shell.matching.describe(&queue);
        let poller = |(identity, seen): (String, Timestamp)| PollerInfo {
            identity,
            last_access_time: Some(seen.into()),
            ..Default::default()
        };
        #[allow(deprecated)] // The answer that every version of the command line understands.
        Ok(DescribeTaskQueueResponse {
            pollers: pollers.into_iter().map(poller).collect(),
            task_queue_status: request.include_task_queue_status.then(|| TaskQueueStatus {
                backlog_count_hint: backlog as i64,
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    fn queue(&self, namespace: &Namespace, queue: Option<TaskQueue>, kind: Kind) -> Result<QueueId, Status> {
        let queue = queue.ok_or_else(|| Status::invalid_argument("TaskQueue is not set on request."))?;
        if queue.name.is_empty() {
            return Err(Status::invalid_argument("TaskQueue is not set on request."));
        }
        self.check_length("TaskQueue", &queue.name)?;
        Ok(QueueId {
            namespace: namespace.name.clone(),
            name: queue.name.into(),
            kind,
        })
    }
}
