//! gRPC server reflection: tools such as grpcurl learn from it what the other services are made of.

use std::{convert::Infallible, sync::LazyLock};

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
type Call = Box<dyn Fn(Request<Body>) -> BoxFuture<Response<Body>, Infallible> + Send + Sync>;

/// The service of that name, if it is one of these.
pub(crate) fn service(name: &str) -> Option<&'static Call> {
    match name {
        "grpc.reflection.v1.ServerReflection" => Some(&V1),
        "grpc.reflection.v1alpha.ServerReflection" => Some(&V1_ALPHA),
        _ => None,
    }
}

// Both versions have the same content. They are made when somebody asks first: few do, and reading the descriptors takes
// longer than opening a small engine.
static V1: LazyLock<Call> = LazyLock::new(|| {
    let server = builder().build_v1().expect(COMPILED_IN);
    as_function(server.accept_compressed(CompressionEncoding::Gzip))
});
static V1_ALPHA: LazyLock<Call> = LazyLock::new(|| {
    let server = builder().build_v1alpha().expect(COMPILED_IN);
    as_function(server.accept_compressed(CompressionEncoding::Gzip))
});

const COMPILED_IN: &str = "the descriptors are compiled in, and a test reads them";

fn builder() -> Builder<'static> {
    Builder::configure().register_encoded_file_descriptor_set(DESCRIPTORS)
}

fn as_function<S>(server: S) -> Call
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    Box::new(move |request| {
        let mut server = server.clone();
        Box::pin(async move { server.call(request).await })
    })
}
