//! What the server is and can: system, cluster, namespaces.

use temporalio_protos::temporal::api::workflowservice::v1::*;
use tonic::{Request, Status};

use super::{Frontend, operator::system_attributes};

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "-helve");
/// The name under which clients know a cluster that has no others.
pub(super) const CLUSTER: &str = "active";

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
                eager_workflow_start: true,
                supports_schedules: true,
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

    pub(super) async fn get_search_attributes(
        &self,
        _: Request<GetSearchAttributesRequest>,
    ) -> Result<GetSearchAttributesResponse, Status> {
        Ok(GetSearchAttributesResponse {
            keys: system_attributes(),
        })
    }
}
