//! Workers, as they say what they are.

use std::sync::Arc;

use helve_visibility::{FieldKind, FieldValue, Filter};
use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::WorkerStatus,
    worker::v1::{WorkerHeartbeat, WorkerInfo, WorkerListInfo},
    workflowservice::v1::*,
};
use tonic::{Request, Status};

use super::{Frontend, status::not_found};
use crate::namespaces::Namespace;

/// What a list of workers may be filtered by.
const FIELDS: &[(&str, FieldKind)] = &[
    ("WorkerInstanceKey", FieldKind::Text),
    ("WorkerIdentity", FieldKind::Text),
    ("HostName", FieldKind::Text),
    ("TaskQueue", FieldKind::Text),
    ("DeploymentName", FieldKind::Text),
    ("BuildId", FieldKind::Text),
    ("SdkName", FieldKind::Text),
    ("SdkVersion", FieldKind::Text),
    ("WorkerStatus", FieldKind::Text),
    ("Status", FieldKind::Text),
    ("StartTime", FieldKind::Time),
    ("HeartbeatTime", FieldKind::Time),
];

/// The last worker of the page before. Opaque to clients.
#[derive(Clone, PartialEq, Eq, Message)]
struct PageToken {
    #[prost(string, tag = "1")]
    instance_key: String,
}

impl Frontend {
    pub(super) async fn record_worker_heartbeat(
        &self,
        request: Request<RecordWorkerHeartbeatRequest>,
    ) -> Result<RecordWorkerHeartbeatResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        for heartbeat in &request.worker_heartbeat {
            self.check_length("WorkerInstanceKey", &heartbeat.worker_instance_key)?;
        }
        let now = self.shell.now();
        self.shell.workers.note(&namespace.name, request.worker_heartbeat, now);
        Ok(RecordWorkerHeartbeatResponse::default())
    }

    #[expect(deprecated, reason = "Temporal's command line still reads the older list")]
    pub(super) async fn list_workers(
        &self,
        request: Request<ListWorkersRequest>,
    ) -> Result<ListWorkersResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let after = match request.next_page_token.as_slice() {
            [] => String::new(),
            token => PageToken::decode(token)
                .ok()
                .map(|token| token.instance_key)
                .filter(|key| !key.is_empty())
                .ok_or_else(|| Status::invalid_argument("Invalid NextPageToken."))?,
        };
        let mut workers = self.workers(&namespace, &after, &request.query)?;
        let size = usize::try_from(request.page_size).unwrap_or(0);
        let mut next_page_token = Vec::new();
        if size > 0 && workers.len() > size {
            workers.truncate(size);
            let instance_key = workers[size - 1].worker_instance_key.clone();
            next_page_token = PageToken { instance_key }.encode_to_vec();
        }
        Ok(ListWorkersResponse {
            workers: workers.iter().map(|worker| listed(worker)).collect(),
            workers_info: workers.iter().map(|worker| info(worker)).collect(),
            next_page_token,
        })
    }

    pub(super) async fn count_workers(
        &self,
        request: Request<CountWorkersRequest>,
    ) -> Result<CountWorkersResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let count = self.workers(&namespace, "", &request.query)?.len();
        Ok(CountWorkersResponse {
            count: i64::try_from(count).unwrap_or(i64::MAX),
        })
    }

    pub(super) async fn describe_worker(
        &self,
        request: Request<DescribeWorkerRequest>,
    ) -> Result<DescribeWorkerResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let key = &request.worker_instance_key;
        let worker = self.shell.workers.get(&namespace.name, key, self.shell.now());
        let worker = worker.ok_or_else(|| not_found(format!("Worker {key} not found")))?;
        Ok(DescribeWorkerResponse {
            worker_info: Some(info(&worker)),
        })
    }

    fn workers(&self, namespace: &Namespace, after: &str, query: &str) -> Result<Vec<Arc<WorkerHeartbeat>>, Status> {
        let filter = Filter::parse(query, FIELDS).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let mut workers = self.shell.workers.after(&namespace.name, after, self.shell.now());
        workers.retain(|worker| filter.matches(|field| value(worker, FIELDS[field].0)));
        Ok(workers)
    }
}

fn value(worker: &WorkerHeartbeat, field: &str) -> FieldValue {
    let deployment = worker.deployment_version.as_ref();
    let time = |time: Option<prost_types::Timestamp>| {
        let nanos = time.and_then(|time| {
            time.seconds
                .checked_mul(1_000_000_000)?
                .checked_add(i64::from(time.nanos))
        });
        nanos.map_or(FieldValue::Absent, FieldValue::Time)
    };
    FieldValue::Text(match field {
        "WorkerInstanceKey" => worker.worker_instance_key.clone(),
        "WorkerIdentity" => worker.worker_identity.clone(),
        "HostName" => worker
            .host_info
            .as_ref()
            .map(|host| host.host_name.clone())
            .unwrap_or_default(),
        "TaskQueue" => worker.task_queue.clone(),
        "DeploymentName" => deployment
            .map(|version| version.deployment_name.clone())
            .unwrap_or_default(),
        "BuildId" => deployment.map(|version| version.build_id.clone()).unwrap_or_default(),
        "SdkName" => worker.sdk_name.clone(),
        "SdkVersion" => worker.sdk_version.clone(),
        "WorkerStatus" | "Status" => match worker.status() {
            WorkerStatus::Running => "Running",
            WorkerStatus::ShuttingDown => "ShuttingDown",
            WorkerStatus::Shutdown => "Shutdown",
            WorkerStatus::Unspecified => "Unspecified",
        }
        .to_owned(),
        "StartTime" => return time(worker.start_time),
        "HeartbeatTime" => return time(worker.heartbeat_time),
        _ => String::new(),
    })
}

fn info(worker: &WorkerHeartbeat) -> WorkerInfo {
    WorkerInfo {
        worker_heartbeat: Some(worker.clone()),
    }
}

fn listed(worker: &WorkerHeartbeat) -> WorkerListInfo {
    let host = worker.host_info.clone().unwrap_or_default();
    WorkerListInfo {
        worker_instance_key: worker.worker_instance_key.clone(),
        worker_identity: worker.worker_identity.clone(),
        task_queue: worker.task_queue.clone(),
        deployment_version: worker.deployment_version.clone(),
        sdk_name: worker.sdk_name.clone(),
        sdk_version: worker.sdk_version.clone(),
        status: worker.status,
        start_time: worker.start_time,
        host_name: host.host_name,
        worker_grouping_key: host.worker_grouping_key,
        process_id: host.process_id,
        plugins: worker.plugins.clone(),
        drivers: worker.drivers.clone(),
    }
}
