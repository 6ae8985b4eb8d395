//! gRPC server reflection: tools such as grpcurl learn from it what the other services are made of.

use std::{convert::Infallible, sync::Arc};

use helve_protocol::DESCRIPTORS;
use tonic::{
    body::Body,
    codec::CompressionEncoding,
    codegen::{
        BoxFuture, Service,
        http::{Request, Response},
    },
};
use tonic_reflection::server::Builder;

/// One service as a function. The reflection servers' types have no names.
type Call = Arc<dyn Fn(Request<Body>) -> BoxFuture<Response<Body>, Infallible> + Send + Sync>;

/// Both versions of the reflection service, with the same content.
#[derive(Clone)]
pub(crate) struct Reflection {
    v1: Call,
    v1alpha: Call,
}

impl Reflection {
    pub(crate) fn new() -> Self {
        let builder = || Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS);
        const COMPILED_IN: &str = "the descriptors are compiled in, and a test reads them";
        Reflection {
            v1: as_function(
                builder()
                    .build_v1()
                    .expect(COMPILED_IN)
                    .accept_compressed(CompressionEncoding::Gzip),
            ),
            v1alpha: as_function(
                builder()
                    .build_v1alpha()
                    .expect(COMPILED_IN)
                    .accept_compressed(CompressionEncoding::Gzip),
            ),
        }
    }

    /// The service of that name, if it is one of these.
    pub(crate) fn service(&self, name: &str) -> Option<&Call> {
        match name {
            "grpc.reflection.v1.ServerReflection" => Some(&self.v1),
            "grpc.reflection.v1alpha.ServerReflection" => Some(&self.v1alpha),
            _ => None,
        }
    }
}

fn as_function<S>(server: S) -> Call
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    Arc::new(move |request| {
        let mut server = server.clone();
        Box::pin(async move { server.call(request).await })
    })
}
