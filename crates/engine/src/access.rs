//! Who may call what over a network. The engine asks; it knows neither tokens nor roles.
//!
//! Calls without a transport and those over connections that the owner serves as trusted ([`crate::Engine::serve`]) are not
//! asked about. Of the others every one is: [`Access::identify`] before it is read, [`Caller::may`] when it is known what it is
//! about.

use std::{fmt, net::IpAddr, sync::Arc};

use temporalio_protos::temporal::api::{
    enums::v1::TaskQueueKind, operatorservice::v1 as operator, taskqueue::v1::TaskQueue, workflowservice::v1::*,
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
    /// From which task queue, where it takes tasks. Of a worker's own sticky queue, the queue that it belongs to.
    pub queue: Option<&'a str>,
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
}

/// Whether whoever makes the call may make it.
pub(crate) fn check<T: Scoped>(request: &Request<T>, need: Need) -> Result<(), Status> {
    let Some(Called(caller)) = request.extensions().get() else {
        return Ok(());
    };
    let message = request.get_ref();
    let wanted = Wanted {
        need,
        namespace: message.namespace(),
        queue: message.queue(),
    };
    Ok(caller.may(wanted)?)
}

/// What a request is about.
pub(crate) trait Scoped {
    /// None: all namespaces, or the server.
    fn namespace(&self) -> Option<&str>;

    /// The queue that it takes tasks from.
    fn queue(&self) -> Option<&str> {
        None
    }
}

macro_rules! scoped {
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
    RegisterNamespaceRequest,
);
scoped!(taking tasks: PollWorkflowTaskQueueRequest, PollActivityTaskQueueRequest);
scoped!(in a namespace:
    UpdateNamespaceRequest, DeprecateNamespaceRequest,
    StartWorkflowExecutionRequest, SignalWithStartWorkflowExecutionRequest,
    DescribeTaskQueueRequest, UpdateTaskQueueConfigRequest, ListTaskQueuePartitionsRequest,
    RespondWorkflowTaskCompletedRequest, RespondWorkflowTaskFailedRequest, ResetStickyTaskQueueRequest,
    ShutdownWorkerRequest, RecordWorkerHeartbeatRequest, ListWorkersRequest, CountWorkersRequest,
    DescribeWorkerRequest,
    RecordActivityTaskHeartbeatRequest, RecordActivityTaskHeartbeatByIdRequest,
    RespondActivityTaskCompletedRequest, RespondActivityTaskCompletedByIdRequest,
    RespondActivityTaskFailedRequest, RespondActivityTaskFailedByIdRequest,
    RespondActivityTaskCanceledRequest, RespondActivityTaskCanceledByIdRequest,
    StartActivityExecutionRequest, DescribeActivityExecutionRequest, PollActivityExecutionRequest,
    DeleteActivityExecutionRequest, ListActivityExecutionsRequest, CountActivityExecutionsRequest,
    RequestCancelActivityExecutionRequest, TerminateActivityExecutionRequest,
    PauseActivityRequest, UnpauseActivityRequest, ResetActivityRequest, UpdateActivityOptionsRequest,
    PauseActivityExecutionRequest, UnpauseActivityExecutionRequest, ResetActivityExecutionRequest,
    UpdateActivityExecutionOptionsRequest,
    SignalWorkflowExecutionRequest, RequestCancelWorkflowExecutionRequest, TerminateWorkflowExecutionRequest,
    ResetWorkflowExecutionRequest, UpdateWorkflowExecutionOptionsRequest, DescribeWorkflowExecutionRequest,
    DeleteWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest, PollWorkflowExecutionUpdateRequest, ExecuteMultiOperationRequest,
    QueryWorkflowRequest, RespondQueryTaskCompletedRequest,
    GetWorkflowExecutionHistoryRequest, GetWorkflowExecutionHistoryReverseRequest,
    StartBatchOperationRequest, StopBatchOperationRequest, DescribeBatchOperationRequest,
    ListBatchOperationsRequest,
    ListWorkflowExecutionsRequest, ScanWorkflowExecutionsRequest, ListOpenWorkflowExecutionsRequest,
    ListClosedWorkflowExecutionsRequest, CountWorkflowExecutionsRequest,
    CreateScheduleRequest, DescribeScheduleRequest, UpdateScheduleRequest, PatchScheduleRequest,
    ListScheduleMatchingTimesRequest, DeleteScheduleRequest, ListSchedulesRequest, CountSchedulesRequest,
    operator::AddSearchAttributesRequest, operator::RemoveSearchAttributesRequest,
    operator::ListSearchAttributesRequest,
);

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
}
