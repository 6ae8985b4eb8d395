//! OperatorService: what people ask about the server with a command line.

use std::collections::HashMap;

use helve_protocol::operatorservice::operator_service_server::OperatorService;
use temporalio_protos::temporal::api::operatorservice::v1::{
    ListSearchAttributesRequest, ListSearchAttributesResponse,
};
use tonic::{Request, Response, Status};

use super::{Frontend, system::SYSTEM_SEARCH_ATTRIBUTES};

#[tonic::async_trait]
impl OperatorService for Frontend {
    async fn list_search_attributes(
        &self,
        request: Request<ListSearchAttributesRequest>,
    ) -> Result<Response<ListSearchAttributesResponse>, Status> {
        let namespace = &request.get_ref().namespace;
        if !namespace.is_empty() {
            self.namespace(namespace)?;
        }
        let system_attributes = SYSTEM_SEARCH_ATTRIBUTES
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), *kind as i32))
            .collect();
        Ok(Response::new(ListSearchAttributesResponse {
            custom_attributes: HashMap::new(),
            system_attributes,
            storage_schema: HashMap::new(),
        }))
    }
}
