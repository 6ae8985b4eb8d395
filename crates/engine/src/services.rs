//! The gRPC services as one stack, the same for every way in: TCP, another transport, or no transport at all.

use std::{convert::Infallible, panic, sync::Arc, task, time::Instant};

use bytes::Bytes;
use helve_protocol::{
    health::health_server::HealthServer, operatorservice::operator_service_server::OperatorServiceServer,
    workflowservice::workflow_service_server::WorkflowServiceServer,
};
use http_body_util::{BodyExt, Full};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tonic::{
    Status,
    body::Body,
    codec::CompressionEncoding,
    codegen::{
        BoxFuture, Service,
        http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header},
    },
    server::NamedService,
};
use tracing::{Instrument, Span, field::Empty};

use crate::{
    access::{Access, Called},
    frontend::Frontend,
    left_out::feature_of,
    reflection,
    shell::Shell,
};

/// Largest request that is read. Temporal's own limit for the completion of a workflow task is 40 MiB.
const MAX_REQUEST: usize = 64 << 20;

/// All services of the engine, as a `tower` service to be put into any HTTP/2 server.
#[derive(Clone)]
pub struct Services {
    workflow: WorkflowServiceServer<Frontend>,
    operator: OperatorServiceServer<Frontend>,
    health: HealthServer<Frontend>,
    /// Who is asked about calls; none: all of them are let in.
    access: Option<Arc<dyn Access>>,
    shell: Arc<Shell>,
}

/// What makes the generated servers alike, which have no common trait for it.
macro_rules! configured {
    ($server:ident, $frontend:expr) => {
        $server::new($frontend)
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(MAX_REQUEST)
            .max_encoding_message_size(usize::MAX)
    };
}

impl Services {
    pub(crate) fn new(frontend: Frontend, shell: Arc<Shell>) -> Self {
        Services {
            workflow: configured!(WorkflowServiceServer, frontend.clone()),
            operator: configured!(OperatorServiceServer, frontend.clone()),
            health: configured!(HealthServer, frontend),
            access: None,
            shell,
        }
    }

    /// The same, with every call asked about.
    pub(crate) fn guarded(mut self, access: Arc<dyn Access>) -> Self {
        self.access = Some(access);
        self
    }

    async fn route(self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let (shell, began) = (self.shell.clone(), Instant::now());
        let rpc = path.rsplit('/').next().unwrap_or_default();
        let span = span(rpc, request.headers());
        let response = self.answer(&path, request).instrument(span).await;
        shell
            .figures
            .rpc(rpc)
            .answered(code(response.headers()), began.elapsed());
        response
    }

    async fn answer(mut self, path: &str, mut request: Request<Body>) -> Response<Body> {
        let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        // What is answered from memory may be old from here on. Asked before anything is read, so what is read has every write
        // that was acknowledged before the call came.
        if !self.shell.store.may_read() {
            return Status::unavailable(
                "this node does not lead the cluster any more: call again, and the one that leads will answer",
            )
            .into_http();
        }
        // Whether the server lives is no secret.
        if let Some(access) = self
            .access
            .as_deref()
            .filter(|_| service != HealthServer::<Frontend>::NAME)
            && let Err(status) = Called::identify(access, &mut request)
        {
            return status.into_http();
        }
        // The generated services are always ready and cannot fail.
        let answer = if service == WorkflowServiceServer::<Frontend>::NAME {
            self.workflow.call(request).await
        } else if service == OperatorServiceServer::<Frontend>::NAME {
            self.operator.call(request).await
        } else if service == HealthServer::<Frontend>::NAME {
            self.health.call(request).await
        } else if let Some(reflection) = reflection::service(service) {
            reflection(request).await
        } else {
            Ok(Status::unimplemented(format!("unknown service {service}")).into_http())
        };
        match answer {
            Ok(mut response) => {
                name_unimplemented(path, response.headers_mut());
                response
            }
            Err(never) => match never {},
        }
    }
}

/// The call in the trace of its caller, if that has one: most calls are polls, and a trace of each is none of anything.
fn span(rpc: &str, headers: &HeaderMap) -> Span {
    let Some(parent) = headers.get(helve_trace::HEADER) else {
        return Span::none();
    };
    let span = tracing::debug_span!(target: "trace", "rpc", traced = Empty, rpc.method = rpc);
    helve_trace::adopt(&span, parent.to_str().ok().and_then(|parent| parent.parse().ok()));
    helve_trace::rename(&span, || rpc.to_owned());
    span
}

/// The code of an answer: a refusal has it in its headers, anything else behind its message.
fn code(headers: &HeaderMap) -> usize {
    let code = headers.get(Status::GRPC_STATUS);
    code.map_or(0, |code| {
        code.to_str().ok().and_then(|code| code.parse().ok()).unwrap_or(2)
    })
}

/// The generated stubs do not say what is missing.
fn name_unimplemented(path: &str, headers: &mut HeaderMap) {
    let unimplemented = headers.get(Status::GRPC_STATUS).is_some_and(|code| code == "12");
    let is_stub = |message: &HeaderValue| message.is_empty() || message.as_bytes() == b"Not%20yet%20implemented";
    if unimplemented && headers.get(Status::GRPC_MESSAGE).is_none_or(is_stub) {
        let rpc = path.rsplit('/').next().unwrap_or_default();
        let status = Status::unimplemented(match feature_of(rpc) {
            Some(feature) => format!("{rpc}: this server does not support {feature}"),
            None => format!("unknown method {rpc}: this version of Helve does not implement it"),
        });
        // Fails only for a message that is no header value, and this one is encoded as one.
        let _ = status.add_header(headers);
    }
}

impl Service<Request<Body>> for Services {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Infallible>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let services = self.clone();
        Box::pin(async move { Ok(services.route(request).await) })
    }
}

/// The engine without a transport: raw messages go through the same stack as those from the network.
#[derive(Clone)]
pub struct InProcess {
    services: Services,
}

impl InProcess {
    pub(crate) fn new(services: Services) -> Self {
        InProcess { services }
    }

    /// Calls `rpc` of `service` (its full name, as in `temporal.api.workflowservice.v1.WorkflowService`) with an encoded
    /// message; answers with the response's headers and encoded message. Dropping the future withdraws the call.
    pub async fn call(
        &self,
        service: &str,
        rpc: &str,
        headers: HeaderMap,
        message: Bytes,
    ) -> Result<(HeaderMap, Vec<u8>), Status> {
        let services = self.services.clone();
        let route = services.route(request(service, rpc, headers, message)?);
        let response = match rpc {
            // Whoever withdraws a poll before it gave the task up gives the task back: nothing may be in between.
            "PollWorkflowTaskQueue" | "PollActivityTaskQueue" => route.await,
            // A task of its own, as over a network: a caller that keeps this future and polls another one for a while must
            // not keep what the engine has locked for it, since the other one may be waiting for just that.
            _ => {
                let routed = AbortOnDropHandle::new(tokio::spawn(route.in_current_span()));
                routed.await.map_err(ended)?
            }
        };
        let (parts, body) = response.into_parts();
        if let Some(status) = refused(&parts.headers) {
            return Err(status);
        }
        let body = body.collect().await?;
        if let Some(status) = body.trailers().and_then(refused) {
            return Err(status);
        }
        Ok((parts.headers, unframe(&body.to_bytes())?))
    }
}

/// A call that did not come to its end.
fn ended(error: JoinError) -> Status {
    match error.try_into_panic() {
        Ok(panic) => panic::resume_unwind(panic),
        Err(_) => Status::unavailable("the process is ending"),
    }
}

fn request(service: &str, rpc: &str, mut headers: HeaderMap, message: Bytes) -> Result<Request<Body>, Status> {
    let length = u32::try_from(message.len()).map_err(|_| Status::resource_exhausted("the message is over 4 GiB"))?;
    let mut frame = Vec::with_capacity(message.len() + 5);
    frame.push(0);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&message);
    // Nothing is compressed between two parts of one process.
    for name in [
        HeaderName::from_static("grpc-encoding"),
        HeaderName::from_static("grpc-accept-encoding"),
    ] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut request = Request::post(format!("/{service}/{rpc}"))
        .body(Body::new(Full::new(Bytes::from(frame))))
        .map_err(|_| Status::invalid_argument(format!("{service}/{rpc} is no name of an RPC")))?;
    *request.headers_mut() = headers;
    Ok(request)
}

fn refused(headers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(headers).filter(|status| status.code() != tonic::Code::Ok)
}

fn unframe(body: &[u8]) -> Result<Vec<u8>, Status> {
    match body.split_at_checked(5) {
        Some(([0, a, b, c, d], message)) if u32::from_be_bytes([*a, *b, *c, *d]) as usize == message.len() => {
            Ok(message.to_vec())
        }
        _ => Err(Status::internal("the engine's answer is not one uncompressed message")),
    }
}
