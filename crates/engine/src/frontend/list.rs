//! Lists and counts of executions.

use temporalio_protos::temporal::api::{
    common::v1::Payload,
    workflowservice::v1::{count_workflow_executions_response::AggregationGroup, *},
};
use tonic::{Request, Status};

use super::Frontend;
use crate::{
    error::{Failed, Fault},
    visibility::{self, Filter, PageToken},
};

/// Executions on a page when the client does not say how many.
const USUAL_PAGE: usize = 1000;

impl Frontend {
    pub(super) async fn list_workflow_executions(
        &self,
        request: Request<ListWorkflowExecutionsRequest>,
    ) -> Result<ListWorkflowExecutionsResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?.id;
        let filter = compile(&request.query)?;
        if filter.grouping.is_some() {
            return Err(invalid("GROUP BY is only for counts"));
        }
        let after = PageToken::parse(&request.next_page_token)?;
        let size = usize::try_from(request.page_size)
            .ok()
            .filter(|size| *size > 0)
            .unwrap_or(USUAL_PAGE)
            .min(USUAL_PAGE);
        let page = self
            .shell
            .store
            .read(move |db| visibility::list(db, namespace, &filter, after, size))
            .await;
        let page = page.map_err(|error| Failed::Fault(Fault::from(error)))?;
        Ok(ListWorkflowExecutionsResponse {
            executions: page.executions,
            next_page_token: page.next,
        })
    }

    pub(super) async fn count_workflow_executions(
        &self,
        request: Request<CountWorkflowExecutionsRequest>,
    ) -> Result<CountWorkflowExecutionsResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?.id;
        let filter = compile(&request.query)?;
        let is_grouped = filter.grouping.is_some();
        let counts = self
            .shell
            .store
            .read(move |db| visibility::count(db, namespace, &filter))
            .await;
        let counts = counts.map_err(|error| Failed::Fault(Fault::from(error)))?;
        let count = counts.iter().map(|(_, count)| count).sum();
        let groups = if is_grouped {
            counts.into_iter().map(|(name, count)| group(&name, count)).collect()
        } else {
            Vec::new()
        };
        Ok(CountWorkflowExecutionsResponse { count, groups })
    }
}

fn compile(query: &str) -> Result<Filter, Status> {
    Filter::compile(query).map_err(|reason| invalid(&reason))
}

fn invalid(reason: &str) -> Status {
    Status::invalid_argument(format!("invalid query: {reason}"))
}

/// The value of a group is a payload as a search attribute of type Keyword has it.
fn group(name: &str, count: i64) -> AggregationGroup {
    let metadata = [("encoding", "json/plain"), ("type", "Keyword")];
    let payload = Payload {
        metadata: metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()))
            .collect(),
        data: format!("\"{name}\"").into_bytes(),
        ..Default::default()
    };
    AggregationGroup {
        group_values: vec![payload],
        count,
    }
}
