//! Generates the server traits from the descriptors that temporalio-protos exports, so that no `.proto` file and no
//! protoc is needed. Messages are not generated again: they are the ones of temporalio-protos.

use std::{collections::HashSet, env, error::Error, fs};

use prost::Message;
use prost_types_plain::FileDescriptorSet;

/// Answers that carry a history as it is stored.
const WITH_HISTORY: &[&str] = &[
    "GetWorkflowExecutionHistoryResponse",
    "GetWorkflowExecutionHistoryReverseResponse",
    "PollWorkflowTaskQueueResponse",
];

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
    describe(&descriptors, &packages)?;
    let mut generator = tonic_prost_build::configure();
    for name in WITH_HISTORY {
        generator = generator.extern_path(
            format!(".temporal.api.workflowservice.v1.{name}"),
            format!("crate::WithHistory<::temporalio_protos::temporal::api::workflowservice::v1::{name}>"),
        );
    }
    generator
        .build_server(true)
        .build_client(false)
        .codec_path("crate::Fitting")
        // Every RPC without an implementation answers UNIMPLEMENTED.
        .generate_default_stubs(true)
        .extern_path(".temporal", "::temporalio_protos::temporal")
        .extern_path(".grpc", "::temporalio_protos::grpc")
        .extern_path(".google.rpc", "::temporalio_protos::google::rpc")
        .compile_fds(descriptors)?;
    Ok(())
}

/// Writes down what is served: the files that the services need, for reflection, and the names of their RPCs.
fn describe(descriptors: &FileDescriptorSet, packages: &HashSet<&str>) -> Result<(), Box<dyn Error>> {
    let mut served = FileDescriptorSet::default();
    let mut wanted: Vec<&str> = Vec::new();
    for file in &descriptors.file {
        if packages.contains(file.package()) && !file.service.is_empty() {
            wanted.push(file.name());
        }
    }
    let mut seen: HashSet<&str> = wanted.iter().copied().collect();
    while let Some(name) = wanted.pop() {
        let file = descriptors.file.iter().find(|file| file.name() == name);
        let file = file.ok_or_else(|| format!("the descriptors lack {name}"))?;
        wanted.extend(
            file.dependency
                .iter()
                .map(String::as_str)
                .filter(|name| seen.insert(name)),
        );
    }
    // In their order: a file comes after those it imports.
    for file in descriptors.file.iter().filter(|file| seen.contains(file.name())) {
        let mut file = file.clone();
        file.source_code_info = None;
        served.file.push(file);
    }
    let mut rpcs = String::from("&[\n");
    for file in &served.file {
        for service in &file.service {
            for rpc in &service.method {
                rpcs += &format!("    (\"{}.{}\", \"{}\"),\n", file.package(), service.name(), rpc.name());
            }
        }
    }
    rpcs += "]";
    let out = std::path::PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), served.encode_to_vec())?;
    fs::write(out.join("rpcs.rs"), rpcs)?;
    Ok(())
}
