//! The way to the engine.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use prost_types::Timestamp as ProtoTime;
use temporalio_client::Connection;
use temporalio_client::grpc::WorkflowService;
use temporalio_client::tonic::{Code, IntoRequest, Status};
use temporalio_protos::temporal::api::activity::v1::{ActivityExecutionInfo, ActivityExecutionListInfo};
use temporalio_protos::temporal::api::enums::v1::{TaskQueueKind, TaskQueueType};
use temporalio_protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_protos::temporal::api::workflowservice::v1 as service;

use crate::claim::ClaimKey;
use crate::error::{Error, Result};
use crate::known::Known;
use crate::name::JOB_TYPE;

/// Calls of a batch that are under way at a time: their commits share syncs.
pub(crate) const AT_ONCE: usize = 128;

/// How far away the engine is: what happens to a poll that is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// In this process. Polls can be given up at any time, and nothing bounds their time but themselves.
    InProcess,
    /// Behind a socket or a network. A poll that is given up may take a job with it until its lease ends.
    Network,
}

/// Jobs of one namespace. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    pub(crate) connection: Connection,
    pub(crate) namespace: String,
    pub(crate) reach: Reach,
    pub(crate) key: ClaimKey,
    pub(crate) known: Arc<Known>,
}

/// How much waits in a task queue.
pub(crate) struct Backlog {
    pub(crate) waiting: u64,
    pub(crate) oldest: std::time::Duration,
    pub(crate) pollers: usize,
}

impl Jobs {
    /// Jobs of a namespace. Claims are sealed with `key`.
    pub fn new(connection: Connection, namespace: &str, reach: Reach, key: ClaimKey) -> Self {
        Self {
            connection,
            namespace: namespace.to_owned(),
            reach,
            key,
            known: Arc::default(),
        }
    }

    /// The same engine in another namespace.
    pub fn of_namespace(&self, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..self.clone()
        }
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(crate) async fn describe(
        &self,
        id: &str,
        run_id: &str,
    ) -> Result<(ActivityExecutionInfo, service::DescribeActivityExecutionResponse)> {
        let missing = || Error::NoJob(id.to_owned());
        let request = service::DescribeActivityExecutionRequest {
            namespace: self.namespace.clone(),
            activity_id: id.to_owned(),
            run_id: run_id.to_owned(),
            include_input: true,
            include_outcome: true,
            include_heartbeat_details: true,
            include_last_failure: true,
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        let described = connection.describe_activity_execution(request.into_request()).await;
        let mut described = described
            .map_err(Error::of_job("the job cannot be looked up", id))?
            .into_inner();
        let info = described.info.take().ok_or_else(missing)?;
        match info.activity_type.as_ref().is_some_and(|kind| kind.name == JOB_TYPE) {
            true => Ok((info, described)),
            // A standalone activity of somebody else's.
            false => Err(missing()),
        }
    }

    pub(crate) async fn page(
        &self,
        query: String,
        size: i32,
        token: Vec<u8>,
    ) -> Result<(Vec<ActivityExecutionListInfo>, Vec<u8>)> {
        let request = service::ListActivityExecutionsRequest {
            namespace: self.namespace.clone(),
            page_size: size,
            next_page_token: token,
            query,
        };
        let mut connection = self.connection.clone();
        let page = connection.list_activity_executions(request.into_request()).await;
        let page = page.map_err(Error::engine("the jobs cannot be listed"))?.into_inner();
        Ok((page.executions, page.next_page_token))
    }

    pub(crate) async fn count(&self, query: String) -> Result<service::CountActivityExecutionsResponse> {
        let request = service::CountActivityExecutionsRequest {
            namespace: self.namespace.clone(),
            query,
        };
        let mut connection = self.connection.clone();
        let counted = connection.count_activity_executions(request.into_request()).await;
        Ok(counted
            .map_err(Error::engine("the jobs cannot be counted"))?
            .into_inner())
    }

    pub(crate) async fn backlog(&self, task_queue: &str) -> Result<Backlog> {
        let request = service::DescribeTaskQueueRequest {
            namespace: self.namespace.clone(),
            task_queue: Some(normal(task_queue)),
            task_queue_type: TaskQueueType::Activity.into(),
            report_stats: true,
            ..Default::default()
        };
        let mut connection = self.connection.clone();
        let described = connection.describe_task_queue(request.into_request()).await;
        let described = described
            .map_err(Error::engine("the queue cannot be looked at"))?
            .into_inner();
        let stats = described.stats.unwrap_or_default();
        let age = stats.approximate_backlog_age.and_then(|age| age.try_into().ok());
        Ok(Backlog {
            waiting: u64::try_from(stats.approximate_backlog_count).unwrap_or(0),
            oldest: age.unwrap_or_default(),
            pollers: described.pollers.len(),
        })
    }

    pub(crate) async fn delete(&self, id: &str, run_id: &str) -> Result<()> {
        let request = service::DeleteActivityExecutionRequest {
            namespace: self.namespace.clone(),
            activity_id: id.to_owned(),
            run_id: run_id.to_owned(),
        };
        let mut connection = self.connection.clone();
        match connection.delete_activity_execution(request.into_request()).await {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) => Err(Error::engine("the job cannot be removed")(status)),
        }
    }

    pub(crate) fn identity(&self) -> String {
        self.connection.identity().to_owned()
    }
}

/// Makes calls, some at a time; answers in their order.
pub(crate) async fn together<T: Send>(calls: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    stream::iter(calls).buffered(AT_ONCE).collect().await
}

pub(crate) fn normal(name: &str) -> TaskQueue {
    TaskQueue {
        name: name.to_owned(),
        kind: TaskQueueKind::Normal.into(),
        ..Default::default()
    }
}

pub(crate) fn time(given: Option<&ProtoTime>) -> Option<jiff::Timestamp> {
    given.and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok())
}

pub(crate) fn duration(given: Option<&prost_types::Duration>) -> Option<std::time::Duration> {
    given.and_then(|duration| (*duration).try_into().ok())
}

/// A poll that was refused for a reason that passes by itself.
pub(crate) fn is_nothing(status: &Status) -> bool {
    matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled)
}
