//! Who may call what over a network. The engine asks; it knows neither tokens nor roles.
//!
//! Calls without a transport and those over connections that the owner serves as trusted ([`crate::Engine::serve`]) are not
//! asked about. Of the others every one is: [`Access::identify`] before it is read, [`Caller::may`] when it is known what it is
//! about.

use std::{fmt, net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;
use temporalio_protos::temporal::api::{
    enums::v1::{TaskQueueKind, WorkflowIdConflictPolicy, WorkflowIdReusePolicy},
    operatorservice::v1 as operator,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{execute_multi_operation_request::operation::Operation, *},
};
use tonic::{
    Request, Status,
    codegen::http::{self, HeaderMap},
    transport::server::TcpConnectInfo,
};

/// What somebody has to be allowed for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// Nothing: whoever is known may ask.
    Known,
    /// To see what every worker needs of its namespace, and what is good for readers too.
    Look,
    /// To read everything in the namespace.
    Read,
    /// To start executions, and to talk to those that run.
    Start,
    /// To stop, reset, delete and schedule executions.
    Operate,
    /// To take tasks, and to say how they ended.
    Work,
    /// To change namespaces and their settings.
    Administer,
}

/// A call, as far as a decision about it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// What it needs.
    pub need: Need,
    /// In which namespace; none: it is about all of them, or about the server. Empty when the request left it out.
    pub namespace: Option<&'a str>,
    /// From which task queue it takes tasks or to which one its answer belongs; or to which it sends what it starts. Of a worker's
    /// own sticky queue, the queue that it belongs to.
    pub queue: Option<&'a str>,
}

/// A change that somebody is about to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done<'a> {
    /// The call, as `terminate_workflow_execution`.
    pub rpc: &'a str,
    /// In which namespace; none: it is about the server.
    pub namespace: Option<&'a str>,
    /// The workflow, schedule, queue or namespace that it is about; empty where the call names none.
    pub what: &'a str,
}

/// Why somebody may not. The texts are for the person who reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied {
    /// Nobody knows who they are.
    Unknown(String),
    /// They may not do that.
    Forbidden(String),
    /// They were wrong too often.
    TooOften(String),
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Status {
        match denied {
            Denied::Unknown(why) => Status::unauthenticated(why),
            Denied::Forbidden(why) => Status::permission_denied(why),
            Denied::TooOften(why) => Status::resource_exhausted(why),
        }
    }
}

/// Decides who comes in. Asked for every call, so it must not wait for anything.
pub trait Access: Send + Sync + 'static {
    /// Who calls, by the headers of the call, what its connection left in `extensions`, and the address it comes from.
    ///
    /// # Errors
    ///
    /// The call is answered with it.
    fn identify(
        &self,
        headers: &HeaderMap,
        extensions: &http::Extensions,
        peer: Option<IpAddr>,
    ) -> Result<Arc<dyn Caller>, Denied>;
}

/// Somebody who came in.
pub trait Caller: Send + Sync + 'static {
    /// Whether they may do that.
    ///
    /// # Errors
    ///
    /// The call is answered with it. It must not depend on whether the namespace exists.
    fn may(&self, wanted: Wanted<'_>) -> Result<(), Denied>;

    /// Whether there are queues whose tasks they may not answer: then every answer is asked about with the queue of its task.
    fn is_limited_to_queues(&self) -> bool {
        true
    }

    /// Writes down that the caller is about to do this. Called before the change, after [`may`](Caller::may), for what operates or
    /// administers; without a row there is no change.
    fn record<'a>(&'a self, done: Done<'a>) -> BoxFuture<'a, Result<(), String>> {
        let _ = done;
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Who came in, in the extensions of a request. Without it nobody is asked.
#[derive(Clone)]
pub(crate) struct Called(Arc<dyn Caller>);

impl fmt::Debug for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Called")
    }
}

impl Called {
    /// Lets a call in, or says why not.
    pub(crate) fn identify<B>(access: &dyn Access, request: &mut http::Request<B>) -> Result<(), Status> {
        let peer = request.extensions().get::<TcpConnectInfo>();
        let peer = peer.and_then(|info| info.remote_addr).map(|address| address.ip());
        let caller = access.identify(request.headers(), request.extensions(), peer)?;
        request.extensions_mut().insert(Called(caller));
        Ok(())
    }

    pub(crate) fn sees(&self, namespace: &str) -> bool {
        let wanted = Wanted {
            need: Need::Look,
            namespace: Some(namespace),
            queue: None,
        };
        self.0.may(wanted).is_ok()
    }

    /// Whether they may answer tasks of this queue.
    pub(crate) fn may_answer(&self, namespace: &str, queue: &str) -> Result<(), Status> {
        let wanted = Wanted {
            need: Need::Work,
            namespace: Some(namespace),
            queue: Some(queue),
        };
        Ok(self.0.may(wanted)?)
    }
}

/// Whether whoever makes the call may make it. What operates or administers is written down.
pub(crate) async fn check<T: Scoped>(request: &Request<T>, rpc: &str, need: Need) -> Result<(), Status> {
    let Some(Called(caller)) = request.extensions().get() else {
        return Ok(());
    };
    let message = request.get_ref();
    let need = message.need(need);
    let wanted = Wanted {
        need,
        namespace: message.namespace(),
        queue: message.queue(),
    };
    caller.may(wanted)?;
    if !matches!(need, Need::Operate | Need::Administer) {
        return Ok(());
    }
    let done = Done {
        rpc,
        namespace: message.namespace(),
        what: message.what(),
    };
    let recorded = caller.record(done).await;
    recorded.map_err(|why| Status::unavailable(format!("nothing was changed, since it cannot be written down: {why}")))
}

/// Who calls, if there are queues whose tasks they may not answer.
pub(crate) fn limited<T>(request: &Request<T>) -> Option<Called> {
    let called: &Called = request.extensions().get()?;
    called.0.is_limited_to_queues().then(|| called.clone())
}

/// What a request is about.
pub(crate) trait Scoped {
    /// None: all namespaces, or the server.
    fn namespace(&self) -> Option<&str>;

    /// The queue that it takes tasks from, or sends what it starts to.
    fn queue(&self) -> Option<&str> {
        None
    }

    /// What it needs, where such calls need `usual`.
    fn need(&self, usual: Need) -> Need {
        usual
    }

    /// What it changes.
    fn what(&self) -> &str {
        ""
    }
}

macro_rules! scoped {
    (in a namespace, about $field:ident: $($request:ty),* $(,)?) => {
        $(impl Scoped for $request {
            fn namespace(&self) -> Option<&str> {
                Some(&self.namespace)
            }

            fn what(&self) -> &str {
                &self.$field
            }
        })*
    };
    (in a namespace, about the execution $field:ident: $($request:ty),* $(,)?) => {
        $(impl Scoped for $request {
            fn namespace(&self) -> Option<&str> {
                Some(&self.namespace)
            }

            fn what(&self) -> &str {
                self.$field.as_ref().map_or("", |execution| &execution.workflow_id)
            }
        })*
    };
    (in a namespace: $($request:ty),* $(,)?) => {
        $(impl Scoped for $request {
            fn namespace(&self) -> Option<&str> {
                Some(&self.namespace)
            }
        })*
    };
    (of the server: $($request:ty),* $(,)?) => {
        $(impl Scoped for $request {
            fn namespace(&self) -> Option<&str> {
                None
            }
        })*
    };
    (taking tasks: $($request:ty),* $(,)?) => {
        $(impl Scoped for $request {
            fn namespace(&self) -> Option<&str> {
                Some(&self.namespace)
            }

            fn queue(&self) -> Option<&str> {
                self.task_queue.as_ref().map(name)
            }
        })*
    };
}

/// A sticky queue has a name that its worker made up; it belongs to the queue that the worker polls beside it.
fn name(queue: &TaskQueue) -> &str {
    match queue.kind() {
        TaskQueueKind::Sticky => &queue.normal_name,
        _ => &queue.name,
    }
}

scoped!(of the server:
    GetSystemInfoRequest, GetClusterInfoRequest, ListNamespacesRequest, GetSearchAttributesRequest,
);
scoped!(taking tasks: PollWorkflowTaskQueueRequest, PollActivityTaskQueueRequest);
scoped!(in a namespace:
    DescribeTaskQueueRequest, ListTaskQueuePartitionsRequest,
    RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskFailedRequest, ResetStickyTaskQueueRequest,
    ShutdownWorkerRequest, RecordWorkerHeartbeatRequest, ListWorkersRequest, CountWorkersRequest,
    DescribeWorkerRequest,
    RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatByIdRequest,
    RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedByIdRequest,
    RespondActivityTaskFailedRequest, RespondActivityTaskFailedByIdRequest,
    RespondActivityTaskCanceledRequest, RespondActivityTaskCanceledByIdRequest,
    DescribeActivityExecutionRequest, PollActivityExecutionRequest,
    ListActivityExecutionsRequest, CountActivityExecutionsRequest,
    PauseActivityRequest, UnpauseActivityRequest, ResetActivityRequest, UpdateActivityOptionsRequest,
    SignalWorkflowExecutionRequest, DescribeWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest, PollWorkflowExecutionUpdateRequest,
    QueryWorkflowRequest, RespondQueryTaskCompletedRequest,
    GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryReverseRequest,
    DescribeBatchOperationRequest,
    ListBatchOperationsRequest,
    ListWorkflowExecutionsRequest, ScanWorkflowExecutionsRequest, ListOpenWorkflowExecutionsRequest,
    ListClosedWorkflowExecutionsRequest, CountWorkflowExecutionsRequest,
    DescribeScheduleRequest, ListScheduleMatchingTimesRequest, ListSchedulesRequest, CountSchedulesRequest,
    operator::AddSearchAttributesRequest, operator::RemoveSearchAttributesRequest,
    operator::ListSearchAttributesRequest,
);

scoped!(in a namespace, about namespace: UpdateNamespaceRequest, DeprecateNamespaceRequest);
scoped!(in a namespace, about schedule_id:
    CreateScheduleRequest, UpdateScheduleRequest, PatchScheduleRequest, DeleteScheduleRequest,
);
scoped!(in a namespace, about job_id: StartBatchOperationRequest, StopBatchOperationRequest);
scoped!(in a namespace, about task_queue: UpdateTaskQueueConfigRequest);
scoped!(in a namespace, about activity_id:
    DeleteActivityExecutionRequest, RequestCancelActivityExecutionRequest, TerminateActivityExecutionRequest,
    PauseActivityExecutionRequest, UnpauseActivityExecutionRequest, ResetActivityExecutionRequest,
    UpdateActivityExecutionOptionsRequest,
);
scoped!(in a namespace, about the execution workflow_execution:
    RequestCancelWorkflowExecutionRequest, TerminateWorkflowExecutionRequest, ResetWorkflowExecutionRequest,
    UpdateWorkflowExecutionOptionsRequest, DeleteWorkflowExecutionRequest,
);

/// What begins an execution may also end another one, or go on for ever.
macro_rules! starting {
    ($($request:ty),* $(,)?) => {
        $(impl Scoped for $request {
            fn namespace(&self) -> Option<&str> {
                Some(&self.namespace)
            }

            fn queue(&self) -> Option<&str> {
                self.task_queue.as_ref().map(name)
            }

            fn need(&self, usual: Need) -> Need {
                #[expect(deprecated, reason = "the older way to say it is heard still")]
                let ends_another = self.workflow_id_reuse_policy() == WorkflowIdReusePolicy::TerminateIfRunning
                    || self.workflow_id_conflict_policy() == WorkflowIdConflictPolicy::TerminateExisting;
                match ends_another || !self.cron_schedule.is_empty() {
                    true => Need::Operate,
                    false => usual,
                }
            }

            fn what(&self) -> &str {
                &self.workflow_id
            }
        })*
    };
}

starting!(StartWorkflowExecutionRequest, SignalWithStartWorkflowExecutionRequest);

impl Scoped for StartActivityExecutionRequest {
    fn namespace(&self) -> Option<&str> {
        Some(&self.namespace)
    }

    fn queue(&self) -> Option<&str> {
        self.task_queue.as_ref().map(name)
    }

    fn what(&self) -> &str {
        &self.activity_id
    }
}

/// As much as the part of it that needs most.
impl Scoped for ExecuteMultiOperationRequest {
    fn namespace(&self) -> Option<&str> {
        Some(&self.namespace)
    }

    fn queue(&self) -> Option<&str> {
        self.started().find_map(Scoped::queue)
    }

    fn need(&self, usual: Need) -> Need {
        self.started().fold(usual, |need, start| start.need(need))
    }

    fn what(&self) -> &str {
        self.started().map(Scoped::what).next().unwrap_or_default()
    }
}

trait Parts {
    fn started(&self) -> impl Iterator<Item = &StartWorkflowExecutionRequest>;
}

impl Parts for ExecuteMultiOperationRequest {
    fn started(&self) -> impl Iterator<Item = &StartWorkflowExecutionRequest> {
        self.operations
            .iter()
            .filter_map(|operation| match &operation.operation {
                Some(Operation::StartWorkflow(start)) => Some(start),
                _ => None,
            })
    }
}

impl Scoped for RegisterNamespaceRequest {
    fn namespace(&self) -> Option<&str> {
        None
    }

    fn what(&self) -> &str {
        &self.namespace
    }
}

/// It may be named by its id: whoever sees some namespaces only has to name it.
impl Scoped for DescribeNamespaceRequest {
    fn namespace(&self) -> Option<&str> {
        Some(&self.namespace)
    }
}

impl Scoped for operator::DeleteNamespaceRequest {
    fn namespace(&self) -> Option<&str> {
        None
    }

    fn what(&self) -> &str {
        match self.namespace.as_str() {
            "" => &self.namespace_id,
            name => name,
        }
    }
}
