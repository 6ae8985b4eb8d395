//! The few calls of Temporal's workflow service that are needed, on whatever engine.

use std::collections::HashMap;
use std::time::Duration;

use helve_toolbox::run::{RunInput, RunView, STATUS_QUERY, WORKFLOW_QUEUE};
use serde::Serialize;
use serde_json::Value;
use temporalio_client::Connection;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{IntoRequest, Status};
use temporalio_protos::temporal::api::common::v1::{Header, Memo, Payload, Payloads, WorkflowExecution, WorkflowType};
use temporalio_protos::temporal::api::enums::v1::{
    EventType, HistoryEventFilterType, TaskQueueKind, TaskQueueType, WorkflowIdConflictPolicy, WorkflowIdReusePolicy,
};
use temporalio_protos::temporal::api::history::v1::HistoryEvent;
use temporalio_protos::temporal::api::namespace::v1::NamespaceInfo;
use temporalio_protos::temporal::api::query::v1::WorkflowQuery;
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_protos::temporal::api::worker::v1::WorkerHeartbeat;
use temporalio_protos::temporal::api::workflow::v1::WorkflowExecutionInfo;
use temporalio_protos::temporal::api::workflowservice::v1 as service;

/// Longer than any server lets a call for news wait.
const LONG_POLL: Duration = Duration::from_secs(70);

/// Executions in a page, where nobody cares.
const LIST_PAGE: i32 = 200;

/// A connection with its namespace.
#[derive(Clone)]
pub struct Client {
    /// To the engine.
    pub connection: Connection,
    /// Where the runs are.
    pub namespace: String,
}

/// What a run is started with.
pub struct StartRun<'a> {
    /// Temporal's workflow id.
    pub run_id: &'a str,
    /// Temporal's workflow type.
    pub workflow: &'a str,
    /// The argument.
    pub input: &'a RunInput,
    /// Shown in lists.
    pub memo: &'a [(&'static str, Value)],
    /// After this time the run ends, whatever it does.
    pub timeout: Option<Duration>,
}

/// What waits in a task queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queue {
    /// Tasks that wait for a worker, about.
    pub depth: i64,
    /// How long the oldest of them has waited.
    pub oldest: Duration,
    /// Workers that poll it.
    pub pollers: usize,
}

/// How the steps of a run learn of the trace in which it was started, as SDKs of Temporal do it: it is in the history, so that it
/// outlives every process.
fn trace_header(context: &str) -> Header {
    let fields = serde_json::json!({helve_trace::HEADER: context});
    Header {
        fields: [(helve_trace::TEMPORAL_HEADER.to_owned(), json_payload(&fields))].into(),
    }
}

/// A page of history and the token of the next one.
pub type HistoryPage = (Vec<HistoryEvent>, Vec<u8>);

/// Whether a call for history returns at once or waits for what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// At once.
    No,
    /// Until there is something, for as long as a server lets a call wait.
    ForNews,
}

impl Client {
    /// Starts a run. An id that was ever used is refused.
    pub async fn start(&self, run: StartRun<'_>) -> Result<(), Status> {
        let trace = helve_trace::current().map(|context| context.to_string());
        let request = service::StartWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_id: run.run_id.to_owned(),
            workflow_type: Some(WorkflowType {
                name: run.workflow.to_owned(),
            }),
            task_queue: Some(TaskQueue {
                name: WORKFLOW_QUEUE.to_owned(),
                kind: TaskQueueKind::Normal.into(),
                ..Default::default()
            }),
            input: Some(Payloads {
                payloads: vec![json_payload(run.input)],
            }),
            workflow_execution_timeout: run.timeout.and_then(|timeout| timeout.try_into().ok()),
            identity: self.connection.identity().to_owned(),
            request_id: uuid::Uuid::new_v4().to_string(),
            workflow_id_reuse_policy: WorkflowIdReusePolicy::RejectDuplicate.into(),
            workflow_id_conflict_policy: WorkflowIdConflictPolicy::Fail.into(),
            memo: Some(Memo {
                fields: run
                    .memo
                    .iter()
                    .map(|(key, v)| ((*key).to_owned(), json_payload(v)))
                    .collect(),
            }),
            header: trace.as_deref().map(trace_header),
            ..Default::default()
        };
        let mut request = request.into_request();
        if let Some(context) = trace.as_deref().and_then(|context| context.parse().ok()) {
            request.metadata_mut().insert(helve_trace::HEADER, context);
        }
        self.connection
            .clone()
            .start_workflow_execution(request)
            .await
            .map(drop)
    }

    /// What each worker said of itself last.
    #[expect(deprecated, reason = "the newer list leaves out how busy they are")]
    pub async fn workers(&self) -> Result<Vec<WorkerHeartbeat>, Status> {
        let mut workers = Vec::new();
        let mut token = Vec::new();
        loop {
            let request = service::ListWorkersRequest {
                namespace: self.namespace.clone(),
                page_size: 500,
                next_page_token: token,
                ..Default::default()
            };
            let page = self
                .connection
                .clone()
                .list_workers(request.into_request())
                .await?
                .into_inner();
            workers.extend(page.workers_info.into_iter().filter_map(|info| info.worker_heartbeat));
            if page.next_page_token.is_empty() {
                return Ok(workers);
            }
            token = page.next_page_token;
        }
    }

    /// What the engine knows of a run now.
    pub async fn describe(&self, run_id: &str) -> Result<service::DescribeWorkflowExecutionResponse, Status> {
        let request = service::DescribeWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            execution: Some(execution(run_id)),
        };
        Ok(self
            .connection
            .clone()
            .describe_workflow_execution(request.into_request())
            .await?
            .into_inner())
    }

    /// What a run says of itself, which a worker has to answer.
    pub async fn status(&self, run_id: &str, patience: Duration) -> Result<RunView, Status> {
        let mut request = service::QueryWorkflowRequest {
            namespace: self.namespace.clone(),
            execution: Some(execution(run_id)),
            query: Some(WorkflowQuery {
                query_type: STATUS_QUERY.to_owned(),
                ..Default::default()
            }),
            ..Default::default()
        }
        .into_request();
        request.set_timeout(patience);
        let answer = self.connection.clone().query_workflow(request).await?.into_inner();
        from_payloads(answer.query_result.as_ref())
            .ok_or_else(|| Status::data_loss("the answer is not the status of a run of Helve's"))
    }

    /// One page. An empty token in the answer means that the run has ended, or, without waiting, that this is all.
    pub async fn history(&self, run_id: &str, token: Vec<u8>, wait: Wait) -> Result<HistoryPage, Status> {
        let request = service::GetWorkflowExecutionHistoryRequest {
            namespace: self.namespace.clone(),
            execution: Some(execution(run_id)),
            next_page_token: token,
            wait_new_event: wait == Wait::ForNews,
            history_event_filter_type: HistoryEventFilterType::AllEvent.into(),
            skip_archival: true,
            ..Default::default()
        };
        let mut request = request.into_request();
        if wait == Wait::ForNews {
            request.set_timeout(LONG_POLL);
        }
        let page = self
            .connection
            .clone()
            .get_workflow_execution_history(request)
            .await?
            .into_inner();
        Ok((page.history.unwrap_or_default().events, page.next_page_token))
    }

    /// Waits until a run has ended; fails unless it has completed.
    pub async fn completed(&self, run_id: &str) -> Result<(), Status> {
        let mut next_page_token = Vec::new();
        loop {
            let request = service::GetWorkflowExecutionHistoryRequest {
                namespace: self.namespace.clone(),
                execution: Some(execution(run_id)),
                next_page_token,
                wait_new_event: true,
                history_event_filter_type: HistoryEventFilterType::CloseEvent.into(),
                skip_archival: true,
                ..Default::default()
            };
            let mut request = request.into_request();
            request.set_timeout(LONG_POLL);
            let mut connection = self.connection.clone();
            let page = connection.get_workflow_execution_history(request).await?.into_inner();
            // A long poll that found nothing new names where to go on; the close event is the last of all.
            match page.history.unwrap_or_default().events.last() {
                Some(event) if event.event_type() == EventType::WorkflowExecutionCompleted => return Ok(()),
                Some(event) if page.next_page_token.is_empty() => {
                    let how = event.event_type().as_str_name();
                    return Err(Status::aborted(format!("run {run_id} ended with {how}")));
                }
                _ => next_page_token = page.next_page_token,
            }
        }
    }

    /// The same engine in another namespace.
    pub fn of_namespace(&self, namespace: &str) -> Self {
        Self {
            connection: self.connection.clone(),
            namespace: namespace.to_owned(),
        }
    }

    /// Whether the namespace is there.
    ///
    /// # Errors
    ///
    /// `NotFound` when it is not.
    pub async fn check_namespace(&self) -> Result<(), Status> {
        let request = service::DescribeNamespaceRequest {
            namespace: self.namespace.clone(),
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        connection.describe_namespace(request.into_request()).await.map(drop)
    }

    /// How much waits in a queue, of workflow tasks or of activities. One that nobody ever used is empty.
    pub async fn queue(&self, name: &str, of_workflows: bool) -> Result<Queue, Status> {
        let kind = match of_workflows {
            true => TaskQueueType::Workflow,
            false => TaskQueueType::Activity,
        };
        let request = service::DescribeTaskQueueRequest {
            namespace: self.namespace.clone(),
            task_queue: Some(TaskQueue {
                name: name.to_owned(),
                kind: TaskQueueKind::Normal.into(),
                ..Default::default()
            }),
            task_queue_type: kind.into(),
            report_stats: true,
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        let described = connection
            .describe_task_queue(request.into_request())
            .await?
            .into_inner();
        let stats = described.stats.unwrap_or_default();
        let age = stats.approximate_backlog_age.and_then(|age| age.try_into().ok());
        Ok(Queue {
            depth: stats.approximate_backlog_count,
            oldest: age.unwrap_or_default(),
            pollers: described.pollers.len(),
        })
    }

    /// Makes a namespace whose closed runs are kept for so long.
    pub async fn create_namespace(&self, name: &str, description: &str, retention: Duration) -> Result<(), Status> {
        let request = service::RegisterNamespaceRequest {
            namespace: name.to_owned(),
            description: description.to_owned(),
            workflow_execution_retention_period: retention.try_into().ok(),
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        connection.register_namespace(request.into_request()).await.map(drop)
    }

    /// All namespaces of the engine, with the data that their owners keep with them.
    pub async fn namespaces(&self) -> Result<Vec<NamespaceInfo>, Status> {
        let mut namespaces = Vec::new();
        let mut next_page_token = Vec::new();
        loop {
            let request = service::ListNamespacesRequest {
                page_size: 100,
                next_page_token,
                ..Default::default()
            };
            let mut connection = self.connection.clone();
            let page = connection.list_namespaces(request.into_request()).await?.into_inner();
            namespaces.extend(
                page.namespaces
                    .into_iter()
                    .filter_map(|described| described.namespace_info),
            );
            next_page_token = page.next_page_token;
            if next_page_token.is_empty() {
                return Ok(namespaces);
            }
        }
    }

    /// All events of one execution.
    pub async fn events_of(&self, execution: &WorkflowExecution) -> Result<Vec<HistoryEvent>, Status> {
        let mut events = Vec::new();
        let mut next_page_token = Vec::new();
        loop {
            let request = service::GetWorkflowExecutionHistoryRequest {
                namespace: self.namespace.clone(),
                execution: Some(execution.clone()),
                next_page_token,
                history_event_filter_type: HistoryEventFilterType::AllEvent.into(),
                skip_archival: true,
                ..Default::default()
            };
            let mut connection = self.connection.clone();
            let page = connection
                .get_workflow_execution_history(request.into_request())
                .await?
                .into_inner();
            events.extend(page.history.unwrap_or_default().events);
            next_page_token = page.next_page_token;
            if next_page_token.is_empty() {
                return Ok(events);
            }
        }
    }

    /// One page of executions, newest first.
    pub async fn list(&self, token: Vec<u8>) -> Result<(Vec<WorkflowExecutionInfo>, Vec<u8>), Status> {
        self.list_matching(String::new(), LIST_PAGE, token).await
    }

    /// One page, of at most so many, of the executions that a filter lets through.
    pub async fn list_matching(
        &self,
        query: String,
        page_size: i32,
        token: Vec<u8>,
    ) -> Result<(Vec<WorkflowExecutionInfo>, Vec<u8>), Status> {
        let request = service::ListWorkflowExecutionsRequest {
            namespace: self.namespace.clone(),
            page_size,
            next_page_token: token,
            query,
        };
        let page = self
            .connection
            .clone()
            .list_workflow_executions(request.into_request())
            .await?
            .into_inner();
        Ok((page.executions, page.next_page_token))
    }

    /// How many executions have not ended.
    pub async fn running(&self) -> Result<u64, Status> {
        let request = service::CountWorkflowExecutionsRequest {
            namespace: self.namespace.clone(),
            query: "ExecutionStatus = 'Running'".to_owned(),
        };
        let mut connection = self.connection.clone();
        let counted = connection.count_workflow_executions(request.into_request()).await?;
        Ok(u64::try_from(counted.into_inner().count).unwrap_or(0))
    }

    /// Asks a run to stop; `reason` is for its history.
    pub async fn cancel(&self, run_id: &str, reason: &str) -> Result<(), Status> {
        let request = service::RequestCancelWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_execution: Some(execution(run_id)),
            identity: self.connection.identity().to_owned(),
            request_id: uuid::Uuid::new_v4().to_string(),
            reason: reason.to_owned(),
            ..Default::default()
        };
        self.connection
            .clone()
            .request_cancel_workflow_execution(request.into_request())
            .await
            .map(drop)
    }

    /// Ends a run at once; `reason` is for its history.
    pub async fn terminate(&self, run_id: &str, reason: &str) -> Result<(), Status> {
        let request = service::TerminateWorkflowExecutionRequest {
            namespace: self.namespace.clone(),
            workflow_execution: Some(execution(run_id)),
            reason: reason.to_owned(),
            identity: self.connection.identity().to_owned(),
            ..Default::default()
        };
        self.connection
            .clone()
            .terminate_workflow_execution(request.into_request())
            .await
            .map(drop)
    }
}

fn execution(run_id: &str) -> WorkflowExecution {
    WorkflowExecution {
        workflow_id: run_id.to_owned(),
        run_id: String::new(),
    }
}

/// A value as every SDK writes it.
pub fn json_payload(value: &impl Serialize) -> Payload {
    Payload {
        metadata: HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]),
        data: serde_json::to_vec(value).expect("plain data is always JSON"),
        ..Default::default()
    }
}

/// The first payload as a value, if it is JSON of that shape.
pub fn from_payloads<T: serde::de::DeserializeOwned>(payloads: Option<&Payloads>) -> Option<T> {
    from_payload(payloads?.payloads.first()?)
}

/// A payload as a value, if it is JSON of that shape.
pub fn from_payload<T: serde::de::DeserializeOwned>(payload: &Payload) -> Option<T> {
    serde_json::from_slice(&payload.data).ok()
}
