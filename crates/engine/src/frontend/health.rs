//! The standard gRPC health service.

use futures_util::{StreamExt, stream};
use helve_protocol::health::health_server::{Health, HealthServer};
use helve_protocol::{
    operatorservice::operator_service_server::OperatorServiceServer,
    workflowservice::workflow_service_server::WorkflowServiceServer,
};
use temporalio_protos::grpc::health::v1::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
};
use tonic::{Request, Response, Status, codegen::BoxStream, server::NamedService};

use super::Frontend;

/// The names one can ask for. The empty one means the server.
const SERVICES: &[&str] = &[
    "",
    WorkflowServiceServer::<Frontend>::NAME,
    OperatorServiceServer::<Frontend>::NAME,
    HealthServer::<Frontend>::NAME,
];

impl Frontend {
    fn health_of(&self, service: &str) -> Option<ServingStatus> {
        SERVICES.contains(&service).then(|| {
            if self.shell.stopping.is_cancelled() {
                ServingStatus::NotServing
            } else {
                ServingStatus::Serving
            }
        })
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

#[tonic::async_trait]
impl Health for Frontend {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        match self.health_of(service) {
            Some(status) => Ok(Response::new(answer(status))),
            None => Err(Status::not_found(format!("unknown service {service}"))),
        }
    }

    /// Tells the status now and whenever it changes. As the health protocol wants it, one may also watch a service that
    /// is not there.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<BoxStream<HealthCheckResponse>>, Status> {
        let known = self.health_of(&request.get_ref().service);
        let now = known.unwrap_or(ServingStatus::ServiceUnknown);
        let stopping = self.shell.stopping.clone();
        let later = async move {
            stopping.cancelled().await;
            (now == ServingStatus::Serving).then(|| Ok(answer(ServingStatus::NotServing)))
        };
        let changes = stream::once(later).filter_map(async |change| change);
        Ok(Response::new(Box::pin(stream::iter([Ok(answer(now))]).chain(changes))))
    }
}
