//! OperatorService: what people ask about the server, and change of it, with a command line.

use std::collections::{BTreeMap, HashMap};

use helve_protocol::operatorservice::operator_service_server::OperatorService;
use helve_visibility::{
    Attributes, ValueType,
    workflows::{PREDEFINED, SYSTEM},
};
use temporalio_protos::temporal::api::operatorservice::v1::*;
use tonic::{Request, Response, Status};

use super::Frontend;
use crate::access::{self, Need};

/// The attributes that every namespace has, with their types.
pub(super) fn system_attributes() -> HashMap<String, i32> {
    let system = SYSTEM.iter().copied();
    let predefined = PREDEFINED.iter().map(|p| (p.name, p.definition.value_type));
    system
        .chain(predefined)
        .map(|(name, value_type)| (name.to_owned(), value_type.to_proto() as i32))
        .collect()
}

#[tonic::async_trait]
impl OperatorService for Frontend {
    async fn add_search_attributes(
        &self,
        request: Request<AddSearchAttributesRequest>,
    ) -> Result<Response<AddSearchAttributesResponse>, Status> {
        access::check(&request, "add_search_attributes", Need::Administer).await?;
        let request = request.into_inner();
        let mut wanted = BTreeMap::new();
        for (name, value_type) in request.search_attributes {
            if Attributes::is_reserved(&name) {
                return Err(Status::invalid_argument(format!(
                    "Search attribute {name} is reserved by system."
                )));
            }
            if name.trim().is_empty() || name.contains('`') {
                return Err(Status::invalid_argument(format!(
                    "Invalid search attribute name {name:?}: it must not be empty, nor contain `."
                )));
            }
            self.check_length("SearchAttribute name", &name)?;
            let value_type = ValueType::from_proto(value_type)
                .ok_or_else(|| Status::invalid_argument(format!("Unknown search attribute type: {value_type}.")))?;
            wanted.insert(name, value_type);
        }
        if wanted.is_empty() {
            return Err(Status::invalid_argument("SearchAttributes are not set on request."));
        }
        let namespace = self.operated(&request.namespace)?;
        self.shell.add_search_attributes(&namespace, wanted).await?;
        Ok(Response::new(AddSearchAttributesResponse {}))
    }

    async fn remove_search_attributes(
        &self,
        request: Request<RemoveSearchAttributesRequest>,
    ) -> Result<Response<RemoveSearchAttributesResponse>, Status> {
        access::check(&request, "remove_search_attributes", Need::Administer).await?;
        let request = request.into_inner();
        if request.search_attributes.is_empty() {
            return Err(Status::invalid_argument("SearchAttributes are not set on request."));
        }
        let namespace = self.operated(&request.namespace)?;
        self.shell
            .remove_search_attributes(&namespace, request.search_attributes)
            .await?;
        Ok(Response::new(RemoveSearchAttributesResponse {}))
    }

    async fn delete_namespace(
        &self,
        request: Request<DeleteNamespaceRequest>,
    ) -> Result<Response<DeleteNamespaceResponse>, Status> {
        access::check(&request, "delete_namespace", Need::Administer).await?;
        let request = request.into_inner();
        let namespace = self.namespace_by(&request.namespace, &request.namespace_id)?;
        let deleted_namespace = self.shell.delete_namespace(&namespace).await?;
        Ok(Response::new(DeleteNamespaceResponse { deleted_namespace }))
    }

    async fn list_search_attributes(
        &self,
        request: Request<ListSearchAttributesRequest>,
    ) -> Result<Response<ListSearchAttributesResponse>, Status> {
        access::check(&request, "list_search_attributes", Need::Look).await?;
        let namespace = self.operated(&request.get_ref().namespace)?;
        let custom = namespace
            .settings()
            .attributes
            .custom()
            .map(|(name, definition)| (name.to_owned(), definition.value_type.to_proto() as i32))
            .collect();
        Ok(Response::new(ListSearchAttributesResponse {
            custom_attributes: custom,
            system_attributes: system_attributes(),
            storage_schema: HashMap::new(),
        }))
    }
}

impl Frontend {
    fn operated(&self, namespace: &str) -> Result<std::sync::Arc<crate::namespaces::Namespace>, Status> {
        if namespace.is_empty() {
            return Err(Status::invalid_argument("Namespace is not set on request."));
        }
        self.namespace(namespace)
    }
}
