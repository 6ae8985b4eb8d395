//! The table of what is served, compared with the code; reflection; health.

use std::collections::BTreeMap;

use helve_engine::Services;
use helve_protocol::RPCS;
use http_body_util::{BodyExt, Full};
use prost::Message;
use temporalio_protos::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse};
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
    codegen::{Bytes, Service},
};

use crate::client::*;

const TABLE: &str = include_str!("../../../../docs/temporal-compatibility.md");

/// The rows of the document's tables: service and RPC, whether it is served, and what is said about it.
fn documented() -> BTreeMap<(String, String), (bool, String)> {
    let mut service = String::new();
    let mut rows = BTreeMap::new();
    for line in TABLE.lines() {
        if let Some(heading) = line.strip_prefix("## `") {
            service = heading.trim_end_matches('`').to_owned();
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [rpc, served, words] = cells[..] else { continue };
        let Some(rpc) = rpc.strip_prefix('`').and_then(|rpc| rpc.strip_suffix('`')) else {
            continue;
        };
        let served = match served {
            "yes" | "differs" => true,
            "no" => false,
            other => panic!("{rpc}: {other:?} is neither yes, nor differs, nor no"),
        };
        let before = rows.insert((service.clone(), rpc.to_owned()), (served, words.to_owned()));
        assert!(before.is_none(), "{rpc} stands there twice");
    }
    rows
}

/// Calls an RPC with the given frames. Streams need not end.
async fn call(services: &Services, service: &str, rpc: &str, frames: Vec<u8>) -> Response<Body> {
    let request = Request::post(format!("/{service}/{rpc}"))
        .header("content-type", "application/grpc")
        .body(Body::new(Full::new(Bytes::from(frames))))
        .unwrap();
    services.clone().call(request).await.unwrap()
}

/// The status that an RPC answers an empty message with, if its headers tell one.
async fn call_empty(services: &Services, service: &str, rpc: &str) -> Option<Status> {
    Status::from_header_map(call(services, service, rpc, vec![0; 5]).await.headers())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_says_of_every_rpc_whether_it_is_served() {
    let world = World::new().await;
    let services = world.engine.routes();
    let mut documented = documented();
    for (service, rpc) in RPCS {
        let status = call_empty(&services, service, rpc).await;
        let is_served = status
            .as_ref()
            .is_none_or(|status| status.code() != Code::Unimplemented);
        let name = ((*service).to_owned(), (*rpc).to_owned());
        let (says_served, words) = documented
            .remove(&name)
            .unwrap_or_else(|| panic!("{service}/{rpc} is missing in docs/temporal-compatibility.md"));
        assert_eq!(
            says_served, is_served,
            "docs/temporal-compatibility.md is wrong about {rpc}"
        );
        if !is_served {
            let message = status.unwrap().message().to_owned();
            let feature = message.split_once("this server does not support ");
            let (_, feature) = feature.unwrap_or_else(|| panic!("{rpc} does not name the feature: {message:?}"));
            assert_eq!(
                words, feature,
                "docs/temporal-compatibility.md names another feature for {rpc}"
            );
        }
    }
    assert!(documented.is_empty(), "there is no such RPC: {:?}", documented.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rpc_answers_an_empty_request_with_a_server_s_error() {
    let world = World::new().await;
    let services = world.engine.routes();
    for (service, rpc) in RPCS {
        if let Some(status) = call_empty(&services, service, rpc).await {
            let fine = [
                Code::Ok,
                Code::InvalidArgument,
                Code::NotFound,
                Code::FailedPrecondition,
                Code::PermissionDenied,
                Code::Unimplemented,
            ];
            assert!(fine.contains(&status.code()), "{rpc}: {status:?}");
        }
    }
}

async fn health(world: &World, service: &str) -> Result<i32, Status> {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let message = request.encode_to_vec().into();
    let call = &world.client.call;
    let (_, answer) = call
        .call("grpc.health.v1.Health", "Check", HeaderMap::new(), message)
        .await?;
    Ok(HealthCheckResponse::decode(answer.as_slice()).unwrap().status)
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_serving_until_the_engine_stops() {
    let world = World::new().await;
    for service in ["", "temporal.api.workflowservice.v1.WorkflowService"] {
        assert_eq!(health(&world, service).await.unwrap(), 1);
    }
    assert_code(health(&world, "no.such.Service").await, Code::NotFound);
    world.engine.shutdown().await;
    assert_eq!(health(&world, "").await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_watch_tells_the_end_and_then_ends() {
    let world = World::new().await;
    let answer = call(&world.engine.routes(), "grpc.health.v1.Health", "Watch", vec![0; 5]).await;
    let mut body = answer.into_body();
    assert_eq!(next_status(&mut body).await, Some(1));
    world.engine.shutdown().await;
    assert_eq!(next_status(&mut body).await, Some(2));
    assert_eq!(next_status(&mut body).await, None);
}

/// The next message of a health watch: one frame of the body each.
async fn next_status(body: &mut Body) -> Option<i32> {
    let frame = body.frame().await?.unwrap().into_data().ok()?;
    Some(HealthCheckResponse::decode(&frame[5..]).unwrap().status)
}

/// A reflection request for the list of services: field 7, an empty string.
const LIST_SERVICES: &[u8] = &[0, 0, 0, 0, 2, 0x3a, 0];

#[tokio::test(flavor = "multi_thread")]
async fn reflection_lists_the_services_in_both_versions() {
    let world = World::new().await;
    for version in ["v1", "v1alpha"] {
        let service = format!("grpc.reflection.{version}.ServerReflection");
        let answer = call(
            &world.engine.routes(),
            &service,
            "ServerReflectionInfo",
            LIST_SERVICES.to_vec(),
        )
        .await;
        let frame = answer.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
        let text = String::from_utf8_lossy(&frame);
        let mut services: Vec<&str> = RPCS.iter().map(|(service, _)| *service).collect();
        services.dedup();
        assert_eq!(services.len(), 3);
        for service in services {
            assert!(text.contains(service), "{version}: {service} is not in {text:?}");
        }
    }
}
