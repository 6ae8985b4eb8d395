//! Temporal's service traits, generated from the descriptors in temporalio-protos.
//!
//! This crate exists for compile time: the generated handlers are large and change only with the protocol.
//!
//! Answers with a history are the one exception to temporalio-protos' messages: see [`WithHistory`].
#![allow(missing_docs)] // generated code; each RPC is documented in Temporal's API

mod codec;
mod with_history;

pub use codec::{Fitting, FittingEncoder};
pub use with_history::{CarriesHistory, WithHistory};

/// The gRPC surface of Temporal's WorkflowService.
pub mod workflowservice {
    #![allow(clippy::all)] // generated code
    include!(concat!(env!("OUT_DIR"), "/temporal.api.workflowservice.v1.rs"));
}
/// The gRPC surface of Temporal's OperatorService.
pub mod operatorservice {
    #![allow(clippy::all)] // generated code
    include!(concat!(env!("OUT_DIR"), "/temporal.api.operatorservice.v1.rs"));
}
/// The standard gRPC health service.
pub mod health {
    #![allow(clippy::all)] // generated code
    include!(concat!(env!("OUT_DIR"), "/grpc.health.v1.rs"));
}

/// Every RPC of the services above, whether served or not: the service's full name, and the RPC's.
pub const RPCS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/rpcs.rs"));

/// What the services above are made of, an encoded `google.protobuf.FileDescriptorSet`: for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
