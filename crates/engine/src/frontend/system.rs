//! What the server is and can: system, cluster, namespaces, health.

use helve_protocol::health::health_server::Health;
use temporalio_protos::{
    grpc::health::v1::{HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus},
    temporal::api::{
        enums::v1::{ArchivalState, NamespaceState},
        namespace::v1::{NamespaceConfig, NamespaceInfo, namespace_info},
        replication::v1::{ClusterReplicationConfig, NamespaceReplicationConfig},
        workflowservice::v1::*,
    },
};
use tonic::{Request, Response, Status};

use super::{Frontend, operator::system_attributes, status};
use crate::namespaces::Namespace;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-helve");
/// The name under which clients know a cluster that has no others.
const CLUSTER: &str = "active";
/// Largest completion of a workflow task, as clients are told: below what one request may have.
const COMPLETION_SIZE: i64 = 40 << 20;

impl Frontend {
    pub(super) async fn get_system_info(
        &self,
        _: Request<GetSystemInfoRequest>,
    ) -> Result<GetSystemInfoResponse, Status> {
        Ok(GetSystemInfoResponse {
            server_version: VERSION.to_owned(),
            capabilities: Some(get_system_info_response::Capabilities {
                signal_and_query_header: true,
                internal_error_differentiation: true,
                activity_failure_include_heartbeat: true,
                encoded_failure_attributes: true,
                upsert_memo: true,
                sdk_metadata: true,
                count_group_by_execution_status: true,
                ..Default::default()
            }),
        })
    }

    pub(super) async fn get_cluster_info(
        &self,
        _: Request<GetClusterInfoRequest>,
    ) -> Result<GetClusterInfoResponse, Status> {
        Ok(GetClusterInfoResponse {
            server_version: VERSION.to_owned(),
            cluster_id: "helve".to_owned(),
            cluster_name: CLUSTER.to_owned(),
            history_shard_count: 1,
            persistence_store: "sqlite".to_owned(),
            visibility_store: "sqlite".to_owned(),
            ..Default::default()
        })
    }

    pub(super) async fn describe_namespace(
        &self,
        request: Request<DescribeNamespaceRequest>,
    ) -> Result<DescribeNamespaceResponse, Status> {
        let DescribeNamespaceRequest { namespace, id, .. } = request.into_inner();
        if namespace.is_empty() && !id.is_empty() {
            let found = self
                .shell
                .namespaces
                .by_uuid(&id)
                .ok_or_else(|| status::namespace_not_found(&id))?;
            return Ok(self.describe(&found));
        }
        Ok(self.describe(&*self.namespace(&namespace)?))
    }

    pub(super) async fn list_namespaces(
        &self,
        _: Request<ListNamespacesRequest>,
    ) -> Result<ListNamespacesResponse, Status> {
        // All at once: there are as many as the options name.
        let namespaces = self
            .shell
            .namespaces
            .all()
            .iter()
            .map(|namespace| self.describe(namespace))
            .collect();
        Ok(ListNamespacesResponse {
            namespaces,
            next_page_token: Vec::new(),
        })
    }

    pub(super) async fn get_search_attributes(
        &self,
        _: Request<GetSearchAttributesRequest>,
    ) -> Result<GetSearchAttributesResponse, Status> {
        Ok(GetSearchAttributesResponse {
            keys: system_attributes(),
        })
    }

    fn describe(&self, namespace: &Namespace) -> DescribeNamespaceResponse {
        let limits = &self.shell.options.limits;
        DescribeNamespaceResponse {
            namespace_info: Some(NamespaceInfo {
                name: namespace.name.to_string(),
                state: NamespaceState::Registered as i32,
                id: namespace.uuid.clone(),
                // Only what works. A worker that is told otherwise calls what is not there.
                capabilities: Some(namespace_info::Capabilities {
                    worker_poll_complete_on_shutdown: true,
                    ..Default::default()
                }),
                limits: Some(namespace_info::Limits {
                    blob_size_limit_error: limits.blob_size_max as i64,
                    memo_size_limit_error: limits.memo_size_max as i64,
                    workflow_task_completion_size_limit_error: COMPLETION_SIZE,
                }),
                ..Default::default()
            }),
            config: Some(NamespaceConfig {
                // Closed executions are kept.
                workflow_execution_retention_ttl: Some(Default::default()),
                history_archival_state: ArchivalState::Disabled as i32,
                visibility_archival_state: ArchivalState::Disabled as i32,
                ..Default::default()
            }),
            replication_config: Some(NamespaceReplicationConfig {
                active_cluster_name: CLUSTER.to_owned(),
                clusters: vec![ClusterReplicationConfig {
                    cluster_name: CLUSTER.to_owned(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn serving(&self) -> ServingStatus {
        if self.shell.stopping.is_cancelled() {
            ServingStatus::NotServing
        } else {
            ServingStatus::Serving
        }
    }

    fn check_service(service: &str) -> Result<(), Status> {
        let known = [
            "",
            "temporal.api.workflowservice.v1.WorkflowService",
            "temporal.api.operatorservice.v1.OperatorService",
        ];
        if known.contains(&service) {
            Ok(())
        } else {
            Err(Status::not_found(format!("unknown service {service}")))
        }
    }
}

#[tonic::async_trait]
impl Health for Frontend {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Self::check_service(&request.get_ref().service)?;
        Ok(Response::new(HealthCheckResponse {
            status: self.serving() as i32,
        }))
    }
}
