//! Queries and their answers.

use prost::Message;
use temporalio_protos::temporal::api::{
    common::v1::Payloads,
    enums::v1::{QueryResultType, ResourceExhaustedCause},
    query::v1::{QueryRejected, WorkflowQueryResult},
    workflowservice::v1::*,
};
use tonic::{Request, Status};

use super::{Frontend, client_timeout, convert::QueryToken, status};
use crate::queries::{Queried, QueryEnd, QueryRefused};

const BLOB_TOO_LARGE: &str = "Blob data size exceeds limit.";

impl Frontend {
    pub(super) async fn query_workflow(
        &self,
        request: Request<QueryWorkflowRequest>,
    ) -> Result<QueryWorkflowResponse, Status> {
        let usual = client_timeout(request.metadata()).unwrap_or(self.shell.options.query_timeout);
        let deadline = self.shell.now() + self.patience(request.metadata(), usual);
        let request = request.into_inner();
        let condition = request.query_reject_condition();
        let namespace = self.namespace(&request.namespace)?;
        let target = self.target(request.execution)?;
        let query = request
            .query
            .ok_or_else(|| Status::invalid_argument("WorkflowQuery is not set on request."))?;
        if query.query_type.is_empty() {
            return Err(Status::invalid_argument("QueryType is not set on request."));
        }
        if self.is_too_large(query.query_args.as_ref()) {
            return Err(Status::invalid_argument(BLOB_TOO_LARGE));
        }
        let slot = self.shell.find(&namespace, &target).await?;
        match self.shell.query(&slot, query, condition, deadline).await {
            Ok(Queried::Answered(query_result)) => Ok(QueryWorkflowResponse {
                query_result,
                ..Default::default()
            }),
            Ok(Queried::Rejected(rejected)) => Ok(QueryWorkflowResponse {
                query_rejected: Some(QueryRejected {
                    status: rejected as i32,
                }),
                ..Default::default()
            }),
            Err(refused) => Err(refusal(refused)),
        }
    }

    pub(super) async fn respond_query_task_completed(
        &self,
        request: Request<RespondQueryTaskCompletedRequest>,
    ) -> Result<RespondQueryTaskCompletedResponse, Status> {
        let request = request.into_inner();
        let token = QueryToken::decode(request.task_token.as_slice())
            .ok()
            .filter(|token| !token.query_id.is_empty())
            .ok_or_else(|| Status::invalid_argument("Invalid TaskToken."))?;
        self.namespace(&token.namespace)?;
        let end = match request.completed_type() {
            QueryResultType::Answered => self.answered(request.query_result),
            QueryResultType::Failed | QueryResultType::Unspecified => QueryEnd::Failed {
                message: request.error_message,
                failure: request.failure.map(Box::new),
            },
        };
        if self.shell.direct_queries.finish(&token.query_id, end) {
            Ok(RespondQueryTaskCompletedResponse::default())
        } else {
            Err(status::not_found("query task not found, or already expired"))
        }
    }
}

impl Frontend {
    fn is_too_large(&self, payloads: Option<&Payloads>) -> bool {
        payloads.map_or(0, Message::encoded_len) > self.shell.options.limits.blob_size_max
    }

    /// An answer that came with a workflow task; one that is too large fails the query.
    pub(super) fn bounded(&self, result: WorkflowQueryResult) -> WorkflowQueryResult {
        if self.is_too_large(result.answer.as_ref()) {
            WorkflowQueryResult {
                result_type: QueryResultType::Failed as i32,
                error_message: BLOB_TOO_LARGE.to_owned(),
                ..WorkflowQueryResult::default()
            }
        } else {
            result
        }
    }

    /// A worker's answer; one that is too large fails the query.
    pub(super) fn answered(&self, result: Option<Payloads>) -> QueryEnd {
        if self.is_too_large(result.as_ref()) {
            QueryEnd::Failed {
                message: BLOB_TOO_LARGE.to_owned(),
                failure: None,
            }
        } else {
            QueryEnd::Answered(result)
        }
    }
}

fn refusal(refused: QueryRefused) -> Status {
    match refused {
        QueryRefused::Failed(failed) => failed.into(),
        QueryRefused::NotReady(why) => status::workflow_not_ready(why),
        QueryRefused::QueryFailed { message, failure } => {
            status::query_failed(message, failure.map(|failure| *failure))
        }
        QueryRefused::TimedOut => Status::deadline_exceeded("no worker answered the query in time"),
        QueryRefused::NoWorker => {
            Status::failed_precondition("no poller seen for task queue recently, worker may be down")
        }
        QueryRefused::TooMany => status::from_rejection(helve_history::Rejection::Busy {
            cause: ResourceExhaustedCause::BusyWorkflow,
            message: "consistent query buffer is full, cannot accept new consistent queries".to_owned(),
        }),
    }
}
