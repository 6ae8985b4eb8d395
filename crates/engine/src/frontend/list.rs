//! Lists and counts of workflow executions and standalone activities.

use helve_history::RunKind;
use helve_visibility::{Param, Query, Relation, Schema, activities, workflows};
use temporalio_protos::temporal::api::{
    common::v1::Payload,
    enums::v1::WorkflowExecutionStatus,
    filter::v1::{StartTimeFilter, WorkflowExecutionFilter, WorkflowTypeFilter},
    workflow::v1::WorkflowExecutionInfo,
    workflowservice::v1::{
        count_workflow_executions_response::AggregationGroup, list_closed_workflow_executions_request as closed,
        list_open_workflow_executions_request as open, *,
    },
};
use tonic::{Request, Status};

use super::Frontend;
use crate::{
    error::{Failed, Fault},
    namespaces::Namespace,
    search_attributes::attribute,
    visibility::{self, ACTIVITY_COLUMNS, COLUMNS, activity_info, execution_info},
};

/// Executions on a page, unless the client wants fewer.
pub(super) const PAGE: usize = 1000;

/// What a page of a list is asked for by.
struct Asked {
    namespace: String,
    page_size: i32,
    token: Vec<u8>,
    query: String,
}

type Found = (Vec<WorkflowExecutionInfo>, Vec<u8>);

impl Frontend {
    pub(super) async fn list_workflow_executions(
        &self,
        request: Request<ListWorkflowExecutionsRequest>,
    ) -> Result<ListWorkflowExecutionsResponse, Status> {
        let ListWorkflowExecutionsRequest {
            namespace,
            page_size,
            next_page_token: token,
            query,
        } = request.into_inner();
        let (executions, next_page_token) = self
            .find_executions(Asked {
                namespace,
                page_size,
                token,
                query,
            })
            .await?;
        Ok(ListWorkflowExecutionsResponse {
            executions,
            next_page_token,
        })
    }

    pub(super) async fn scan_workflow_executions(
        &self,
        request: Request<ScanWorkflowExecutionsRequest>,
    ) -> Result<ScanWorkflowExecutionsResponse, Status> {
        let ScanWorkflowExecutionsRequest {
            namespace,
            page_size,
            next_page_token: token,
            query,
        } = request.into_inner();
        let (executions, next_page_token) = self
            .find_executions(Asked {
                namespace,
                page_size,
                token,
                query,
            })
            .await?;
        Ok(ScanWorkflowExecutionsResponse {
            executions,
            next_page_token,
        })
    }

    pub(super) async fn list_open_workflow_executions(
        &self,
        request: Request<ListOpenWorkflowExecutionsRequest>,
    ) -> Result<ListOpenWorkflowExecutionsResponse, Status> {
        let request = request.into_inner();
        let mut conditions = vec!["CloseTime IS NULL".to_owned()];
        conditions.extend(time_between("StartTime", request.start_time_filter.as_ref())?);
        conditions.extend(request.filters.as_ref().map(|filters| match filters {
            open::Filters::ExecutionFilter(filter) => named(filter),
            open::Filters::TypeFilter(filter) => typed(filter),
        }));
        let (executions, next_page_token) = self
            .find_executions(Asked {
                namespace: request.namespace,
                page_size: request.maximum_page_size,
                token: request.next_page_token,
                query: conditions.join(" AND "),
            })
            .await?;
        Ok(ListOpenWorkflowExecutionsResponse {
            executions,
            next_page_token,
        })
    }

    pub(super) async fn list_closed_workflow_executions(
        &self,
        request: Request<ListClosedWorkflowExecutionsRequest>,
    ) -> Result<ListClosedWorkflowExecutionsResponse, Status> {
        let request = request.into_inner();
        let mut conditions = vec!["CloseTime IS NOT NULL".to_owned()];
        // The filter is named after the start, but closed executions are looked for by their end.
        conditions.extend(time_between("CloseTime", request.start_time_filter.as_ref())?);
        conditions.extend(match &request.filters {
            None => None,
            Some(closed::Filters::ExecutionFilter(filter)) => Some(named(filter)),
            Some(closed::Filters::TypeFilter(filter)) => Some(typed(filter)),
            Some(closed::Filters::StatusFilter(filter)) => match filter.status() {
                WorkflowExecutionStatus::Unspecified | WorkflowExecutionStatus::Running => {
                    return Err(Status::invalid_argument(
                        "StatusFilter must be specified and must be not Running.",
                    ));
                }
                status => Some(format!("ExecutionStatus = {}", status as i32)),
            },
        });
        let (executions, next_page_token) = self
            .find_executions(Asked {
                namespace: request.namespace,
                page_size: request.maximum_page_size,
                token: request.next_page_token,
                query: conditions.join(" AND "),
            })
            .await?;
        Ok(ListClosedWorkflowExecutionsResponse {
            executions,
            next_page_token,
        })
    }

    pub(super) async fn count_workflow_executions(
        &self,
        request: Request<CountWorkflowExecutionsRequest>,
    ) -> Result<CountWorkflowExecutionsResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let (count, groups) = self
            .count_runs(&namespace, RunKind::Workflow, &workflows::RELATION, &request.query)
            .await?;
        let group = |(value, count)| AggregationGroup {
            group_values: vec![value],
            count,
        };
        Ok(CountWorkflowExecutionsResponse {
            count,
            groups: groups.into_iter().map(group).collect(),
        })
    }

    pub(super) async fn list_activity_executions(
        &self,
        request: Request<ListActivityExecutionsRequest>,
    ) -> Result<ListActivityExecutionsResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let query = compile(&activities::RELATION, &request.query, &namespace)?;
        let after = query
            .token(&request.next_page_token)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let size = page_size(request.page_size);
        let (scope, settings) = (scope(&namespace, RunKind::Activity), namespace.settings());
        let page = self
            .shell
            .store
            .read(move |db| {
                visibility::list(db, &query, ACTIVITY_COLUMNS, &scope, after.as_ref(), size, |row| {
                    activity_info(row, &settings.attributes)
                })
            })
            .await;
        let page = page.map_err(|error| Failed::Fault(Fault::from(error)))?;
        Ok(ListActivityExecutionsResponse {
            executions: page.rows,
            next_page_token: page.next,
        })
    }

    pub(super) async fn count_activity_executions(
        &self,
        request: Request<CountActivityExecutionsRequest>,
    ) -> Result<CountActivityExecutionsResponse, Status> {
        use count_activity_executions_response::AggregationGroup;
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let (count, groups) = self
            .count_runs(&namespace, RunKind::Activity, &activities::RELATION, &request.query)
            .await?;
        let group = |(value, count)| AggregationGroup {
            group_values: vec![value],
            count,
        };
        Ok(CountActivityExecutionsResponse {
            count,
            groups: groups.into_iter().map(group).collect(),
        })
    }

    /// How many runs there are, and how many in each group if the query names one.
    async fn count_runs(
        &self,
        namespace: &Namespace,
        kind: RunKind,
        relation: &'static Relation,
        query: &str,
    ) -> Result<(i64, Vec<(Payload, i64)>), Status> {
        let query = compile(relation, query, namespace)?;
        if !query.order.is_empty() {
            return Err(Status::invalid_argument(
                "invalid query: operation is not supported: 'ORDER BY' clause in a count",
            ));
        }
        let is_grouped = query.group.is_some();
        let scope = scope(namespace, kind);
        let counts = self
            .shell
            .store
            .read(move |db| visibility::count(db, &query, &scope))
            .await;
        let counts = counts.map_err(|error| Failed::Fault(Fault::from(error)))?;
        let total = counts.iter().map(|(_, count)| count).sum();
        let groups = counts
            .into_iter()
            .filter(|_| is_grouped)
            .map(|(name, count)| (attribute(&name, "Keyword"), count))
            .collect();
        Ok((total, groups))
    }

    async fn find_executions(&self, asked: Asked) -> Result<Found, Status> {
        let namespace = self.namespace(&asked.namespace)?;
        let query = compile(&workflows::RELATION, &asked.query, &namespace)?;
        let after = query
            .token(&asked.token)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let size = page_size(asked.page_size);
        let (scope, settings) = (scope(&namespace, RunKind::Workflow), namespace.settings());
        let page = self
            .shell
            .store
            .read(move |db| {
                visibility::list(db, &query, COLUMNS, &scope, after.as_ref(), size, |row| {
                    execution_info(row, &settings.attributes)
                })
            })
            .await;
        let page = page.map_err(|error| Failed::Fault(Fault::from(error)))?;
        Ok((page.rows, page.next))
    }
}

pub(super) fn compile(relation: &'static Relation, query: &str, namespace: &Namespace) -> Result<Query, Status> {
    let settings = namespace.settings();
    Query::compile(query, &Schema::new(relation, &settings.attributes))
        .map_err(|error| Status::invalid_argument(error.to_string()))
}

fn scope(namespace: &Namespace, kind: RunKind) -> [(&'static str, Param); 2] {
    [
        ("namespace", Param::Integer(namespace.id)),
        ("kind", Param::Integer(kind as i64)),
    ]
}

/// How many rows a page has for which a client asked so many.
pub(super) fn page_size(asked: i32) -> usize {
    usize::try_from(asked)
        .ok()
        .filter(|size| *size > 0)
        .unwrap_or(PAGE)
        .min(PAGE)
}

fn named(filter: &WorkflowExecutionFilter) -> String {
    let mut condition = format!("WorkflowId = {}", quoted(&filter.workflow_id));
    if !filter.run_id.is_empty() {
        condition.push_str(&format!(" AND RunId = {}", quoted(&filter.run_id)));
    }
    condition
}

fn typed(filter: &WorkflowTypeFilter) -> String {
    format!("WorkflowType = {}", quoted(&filter.name))
}

fn time_between(attribute: &str, filter: Option<&StartTimeFilter>) -> Result<Vec<String>, Status> {
    let (earliest, latest) = filter.map_or((None, None), |filter| (filter.earliest_time, filter.latest_time));
    // Compared as they are: what no clock of ours can show is still earlier or later.
    let exact = |time: prost_types::Timestamp| (time.seconds, time.nanos);
    if earliest
        .zip(latest)
        .is_some_and(|(earliest, latest)| exact(earliest) > exact(latest))
    {
        return Err(Status::invalid_argument(
            "EarliestTime in StartTimeFilter should not be larger than LatestTime.",
        ));
    }
    let bound = |sign, time: Option<prost_types::Timestamp>| {
        let nanos = helve_history::Timestamp::from(time?).as_nanos();
        Some(format!("{attribute} {sign} {nanos}"))
    };
    Ok([bound(">=", earliest), bound("<=", latest)]
        .into_iter()
        .flatten()
        .collect())
}

/// A text as the query language writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
