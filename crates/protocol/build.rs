//! Generates the server traits from the descriptors that temporalio-protos exports, so that no `.proto` file and no
//! protoc is needed. Messages are not generated again: they are the ones of temporalio-protos.

use std::{collections::HashSet, env, error::Error, fs};

use prost::Message;
use prost_types_plain::FileDescriptorSet;

/// The services Helve serves, by proto package and name.
const SERVE: &[(&str, &str)] = &[
    ("temporal.api.workflowservice.v1", "WorkflowService"),
    ("temporal.api.operatorservice.v1", "OperatorService"),
    ("grpc.health.v1", "Health"),
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH");
    let path = env::var("DEP_TEMPORALIO_PROTOS_DESCRIPTOR_PATH")?;
    println!("cargo:rerun-if-changed={path}");
    let mut descriptors = FileDescriptorSet::decode(fs::read(&path)?.as_slice())?;

    let packages: HashSet<&str> = SERVE.iter().map(|(package, _)| *package).collect();
    for file in &mut descriptors.file {
        let package = file.package().to_string();
        if packages.contains(package.as_str()) {
            file.service
                .retain(|service| SERVE.contains(&(package.as_str(), service.name())));
        } else {
            file.service.clear();
        }
    }
    tonic_prost_build::configure()
        .build_server(true)
        .build_client(false)
        // Every RPC without an implementation answers UNIMPLEMENTED.
        .generate_default_stubs(true)
        .extern_path(".temporal", "::temporalio_protos::temporal")
        .extern_path(".grpc", "::temporalio_protos::grpc")
        .extern_path(".google.rpc", "::temporalio_protos::google::rpc")
        .compile_fds(descriptors)?;
    Ok(())
}
