//! Namespaces: made, described, changed, deprecated, listed.

use std::{sync::Arc, time::Duration};

use prost::Message;
use temporalio_protos::temporal::api::{
    enums::v1::{ArchivalState, NamespaceState},
    namespace::v1::{NamespaceConfig, NamespaceInfo, namespace_info},
    replication::v1::{ClusterReplicationConfig, NamespaceReplicationConfig},
    workflowservice::v1::*,
};
use tonic::{Request, Status};

use super::{Frontend, convert::duration, status, system::CLUSTER};
use crate::access::Called;
use crate::namespaces::{Namespace, Settings};

/// Closed executions are kept at least this long, unless they are kept for ever.
const LEAST_RETENTION: Duration = Duration::from_secs(3600);
/// Largest completion of a workflow task, as clients are told: below what one request may have.
const COMPLETION_SIZE: i64 = 40 << 20;
/// Namespaces on a page, unless the client wants fewer.
const PAGE: usize = 100;

/// The last namespace of the page before. Opaque to clients.
#[derive(Clone, PartialEq, Eq, Message)]
struct PageToken {
    #[prost(string, tag = "1")]
    name: String,
}

impl Frontend {
    /// A namespace that may be used, though perhaps not for new executions.
    pub(super) fn namespace(&self, name: &str) -> Result<Arc<Namespace>, Status> {
        let namespace = self.any_namespace(name)?;
        match namespace.settings().state {
            NamespaceState::Deleted => Err(status::namespace_state(
                &namespace.name,
                NamespaceState::Deleted,
                &[NamespaceState::Registered, NamespaceState::Deprecated],
            )),
            _ => Ok(namespace),
        }
    }

    /// A namespace in which executions may be started.
    pub(super) fn namespace_for_starts(&self, name: &str) -> Result<Arc<Namespace>, Status> {
        let namespace = self.any_namespace(name)?;
        match namespace.settings().state {
            NamespaceState::Registered => Ok(namespace),
            state => Err(status::namespace_state(
                &namespace.name,
                state,
                &[NamespaceState::Registered],
            )),
        }
    }

    /// A namespace in whatever state.
    pub(super) fn any_namespace(&self, name: &str) -> Result<Arc<Namespace>, Status> {
        if name.is_empty() {
            return Err(Status::invalid_argument("Namespace not set on request."));
        }
        self.check_length("Namespace", name)?;
        self.shell
            .namespaces
            .by_name(name)
            .ok_or_else(|| status::namespace_not_found(name))
    }

    pub(super) async fn register_namespace(
        &self,
        request: Request<RegisterNamespaceRequest>,
    ) -> Result<RegisterNamespaceResponse, Status> {
        let request = request.into_inner();
        let name = request.namespace;
        if name.is_empty() {
            return Err(Status::invalid_argument("Namespace not set on request."));
        }
        self.check_length("Namespace", &name)?;
        if request.is_global_namespace || request.clusters.len() > 1 {
            return Err(Status::invalid_argument(
                "Cannot register global namespace when not enabled",
            ));
        }
        check_clusters(&request.active_cluster_name, &request.clusters)?;
        refuse_archival(request.history_archival_state)?;
        refuse_archival(request.visibility_archival_state)?;
        let settings = Settings {
            retention: Some(retention(request.workflow_execution_retention_period.as_ref())?),
            description: request.description,
            owner_email: request.owner_email,
            data: request.data.into_iter().collect(),
            ..Settings::default()
        };
        if self.shell.register_namespace(&name, settings).await? {
            Ok(RegisterNamespaceResponse {})
        } else {
            Err(status::namespace_already_exists(&name))
        }
    }

    pub(super) async fn describe_namespace(
        &self,
        request: Request<DescribeNamespaceRequest>,
    ) -> Result<DescribeNamespaceResponse, Status> {
        let DescribeNamespaceRequest { namespace, id, .. } = request.into_inner();
        let namespace = self.namespace_by(&namespace, &id)?;
        Ok(self.describe(&namespace))
    }

    /// A namespace in whatever state, by its name or else by its id.
    pub(super) fn namespace_by(&self, name: &str, id: &str) -> Result<Arc<Namespace>, Status> {
        if name.is_empty() && !id.is_empty() {
            self.shell
                .namespaces
                .by_uuid(id)
                .ok_or_else(|| status::namespace_not_found(id))
        } else {
            self.any_namespace(name)
        }
    }

    pub(super) async fn list_namespaces(
        &self,
        request: Request<ListNamespacesRequest>,
    ) -> Result<ListNamespacesResponse, Status> {
        // Whoever may not see a namespace is not told of it.
        let caller = request.extensions().get::<Called>().cloned();
        let request = request.into_inner();
        let after = match request.next_page_token.as_slice() {
            [] => String::new(),
            token => PageToken::decode(token)
                .ok()
                .map(|token| token.name)
                .filter(|name| !name.is_empty())
                .ok_or_else(|| Status::invalid_argument("Invalid NextPageToken."))?,
        };
        let size = usize::try_from(request.page_size)
            .ok()
            .filter(|size| *size > 0)
            .unwrap_or(PAGE)
            .min(PAGE);
        let with_deleted = request.namespace_filter.is_some_and(|filter| filter.include_deleted);
        let mut found = self.shell.namespaces.all();
        found.retain(|namespace| *namespace.name > *after && (with_deleted || !namespace.is_deleted()));
        found.retain(|namespace| caller.as_ref().is_none_or(|caller| caller.sees(&namespace.name)));
        let next_page_token = if found.len() > size {
            found.truncate(size);
            found
                .last()
                .map(|last| {
                    PageToken {
                        name: last.name.to_string(),
                    }
                    .encode_to_vec()
                })
                .unwrap_or_default()
        } else {
            Vec::new()
        };
        Ok(ListNamespacesResponse {
            namespaces: found.iter().map(|namespace| self.describe(namespace)).collect(),
            next_page_token,
        })
    }

    pub(super) async fn update_namespace(
        &self,
        request: Request<UpdateNamespaceRequest>,
    ) -> Result<UpdateNamespaceResponse, Status> {
        let request = request.into_inner();
        let namespace = self.namespace(&request.namespace)?;
        let replication = request.replication_config.unwrap_or_default();
        check_clusters(&replication.active_cluster_name, &replication.clusters)?;
        if request.promote_namespace || replication.clusters.len() > 1 {
            return Err(Status::invalid_argument(
                "Cannot promote or replicate a namespace: this version of Helve has one cluster.",
            ));
        }
        let info = request.update_info.unwrap_or_default();
        let config = request.config.unwrap_or_default();
        refuse_archival(config.history_archival_state)?;
        refuse_archival(config.visibility_archival_state)?;
        if !config.custom_search_attribute_aliases.is_empty() {
            return Err(Status::invalid_argument(
                "CustomSearchAttributeAliases cannot be set: search attributes are added with AddSearchAttributes.",
            ));
        }
        let retention = match &config.workflow_execution_retention_ttl {
            None => None,
            // For ever, as it is: clients send back what they were told when they change something else.
            Some(zero) if zero.seconds == 0 && zero.nanos == 0 && namespace.settings().retention.is_none() => None,
            given => Some(retention(given.as_ref())?),
        };
        let state = match info.state() {
            NamespaceState::Unspecified => None,
            state @ (NamespaceState::Registered | NamespaceState::Deprecated) => Some(state),
            NamespaceState::Deleted => {
                return Err(Status::invalid_argument(
                    "Invalid namespace state update: a namespace is deleted with DeleteNamespace.",
                ));
            }
        };
        self.shell
            .update_namespace(&namespace, move |settings| {
                if state == Some(NamespaceState::Registered) && settings.state != NamespaceState::Registered {
                    return Err("Invalid namespace state update: a deprecated namespace stays so.".to_owned());
                }
                settings.state = state.unwrap_or(settings.state);
                settings.retention = retention.or(settings.retention);
                if !info.description.is_empty() {
                    settings.description = info.description;
                }
                if !info.owner_email.is_empty() {
                    settings.owner_email = info.owner_email;
                }
                settings.data.extend(info.data);
                Ok(())
            })
            .await?;
        let described = self.describe(&namespace);
        Ok(UpdateNamespaceResponse {
            namespace_info: described.namespace_info,
            config: described.config,
            replication_config: described.replication_config,
            ..Default::default()
        })
    }

    pub(super) async fn deprecate_namespace(
        &self,
        request: Request<DeprecateNamespaceRequest>,
    ) -> Result<DeprecateNamespaceResponse, Status> {
        let namespace = self.namespace(&request.get_ref().namespace)?;
        self.shell
            .update_namespace(&namespace, |settings| {
                settings.state = NamespaceState::Deprecated;
                Ok(())
            })
            .await?;
        Ok(DeprecateNamespaceResponse {})
    }

    fn describe(&self, namespace: &Namespace) -> DescribeNamespaceResponse {
        let limits = &self.shell.options.limits;
        let settings = namespace.settings();
        DescribeNamespaceResponse {
            namespace_info: Some(NamespaceInfo {
                name: namespace.name.to_string(),
                state: settings.state as i32,
                description: settings.description.clone(),
                owner_email: settings.owner_email.clone(),
                data: settings.data.clone().into_iter().collect(),
                id: namespace.uuid.clone(),
                // Only what works. A worker that is told otherwise calls what is not there.
                capabilities: Some(namespace_info::Capabilities {
                    worker_heartbeats: true,
                    worker_poll_complete_on_shutdown: true,
                    eager_workflow_start: true,
                    sync_update: true,
                    async_update: true,
                    standalone_activities: true,
                    standalone_activity_start_delay: true,
                    standalone_activity_operator_commands: true,
                    standalone_activity_batch_operations: true,
                    reported_problems_search_attribute: true,
                    ..Default::default()
                }),
                supports_schedules: true,
                limits: Some(namespace_info::Limits {
                    blob_size_limit_error: limits.blob_size_max as i64,
                    memo_size_limit_error: limits.memo_size_max as i64,
                    workflow_task_completion_size_limit_error: COMPLETION_SIZE,
                }),
            }),
            config: Some(NamespaceConfig {
                // Zero is for ever.
                workflow_execution_retention_ttl: Some(duration(settings.retention.unwrap_or_default())),
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
}

fn retention(given: Option<&prost_types::Duration>) -> Result<Duration, Status> {
    given
        .and_then(|given| {
            Some(Duration::new(
                given.seconds.try_into().ok()?,
                given.nanos.try_into().ok()?,
            ))
        })
        .filter(|given| *given >= LEAST_RETENTION)
        .ok_or_else(|| {
            Status::invalid_argument("A valid retention period is not set on request: it must be at least one hour.")
        })
}

/// There is one cluster.
fn check_clusters(active: &str, all: &[ClusterReplicationConfig]) -> Result<(), Status> {
    let names = all.iter().map(|cluster| cluster.cluster_name.as_str());
    match names.chain([active]).find(|name| !name.is_empty() && *name != CLUSTER) {
        Some(unknown) => Err(Status::invalid_argument(format!("Invalid cluster name: {unknown}"))),
        None => Ok(()),
    }
}

fn refuse_archival(state: i32) -> Result<(), Status> {
    if state == ArchivalState::Enabled as i32 {
        return Err(Status::invalid_argument(
            "Archival cannot be enabled: this version of Helve has none.",
        ));
    }
    Ok(())
}
