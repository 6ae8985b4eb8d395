//! Custom search attributes: added, set, found, shown, removed.

use crate::client::*;
use helve_engine::InProcess;
use prost::Message;
use std::collections::HashMap;
use temporalio_protos::temporal::api::{
    command::v1::{Command, UpsertWorkflowSearchAttributesCommandAttributes, command::Attributes},
    common::v1::*,
    enums::v1::*,
    operatorservice::v1::*,
    workflowservice::v1::*,
};
use tonic::{Code, Status, codegen::http::HeaderMap};

pub(crate) async fn operator<A: Message + Default>(
    call: &InProcess,
    rpc: &str,
    request: impl Message,
) -> Result<A, Status> {
    let service = "temporal.api.operatorservice.v1.OperatorService";
    let (_, bytes) = call
        .call(service, rpc, HeaderMap::new(), request.encode_to_vec().into())
        .await?;
    Ok(A::decode(bytes.as_slice()).unwrap())
}

pub(crate) fn json(data: &str) -> Payload {
    Payload {
        metadata: HashMap::from([("encoding".to_owned(), b"json/plain".to_vec())]),
        data: data.as_bytes().to_vec(),
        ..Default::default()
    }
}

fn fields(set: &[(&str, &str)]) -> Option<SearchAttributes> {
    Some(SearchAttributes {
        indexed_fields: set
            .iter()
            .map(|(name, data)| ((*name).to_owned(), json(data)))
            .collect(),
    })
}

async fn add(world: &World, names: &[(&str, IndexedValueType)]) {
    let request = AddSearchAttributesRequest {
        namespace: NAMESPACE.to_owned(),
        search_attributes: names
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), *kind as i32))
            .collect(),
    };
    let _: AddSearchAttributesResponse = operator(&world.client.call, "AddSearchAttributes", request)
        .await
        .unwrap();
}

async fn start(world: &World, id: &str, set: &[(&str, &str)]) -> Result<StartWorkflowExecutionResponse, Status> {
    let request = StartWorkflowExecutionRequest {
        search_attributes: fields(set),
        ..start_request(id)
    };
    world.client.start_with(request).await
}

async fn ids(world: &World, query: &str) -> Vec<String> {
    let listed = world.client.list(query).await.unwrap().executions;
    listed
        .into_iter()
        .map(|info| info.execution.unwrap().workflow_id)
        .collect()
}

fn upsert(set: &[(&str, &str)]) -> Command {
    Command {
        command_type: CommandType::UpsertWorkflowSearchAttributes as i32,
        attributes: Some(Attributes::UpsertWorkflowSearchAttributesCommandAttributes(
            UpsertWorkflowSearchAttributesCommandAttributes {
                search_attributes: fields(set),
            },
        )),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attribute_is_found_from_the_start_through_upserts_and_restarts() {
    let world = World::new().await;
    add(
        &world,
        &[("Color", IndexedValueType::Keyword), ("Size", IndexedValueType::Int)],
    )
    .await;
    start(&world, "w", &[("Color", "\"red\""), ("Size", "3")])
        .await
        .unwrap();
    let world = world.crash().await;
    assert_eq!(ids(&world, "Color = 'red' AND Size > 2").await, ["w"]);

    let task = world.client.poll().await;
    world
        .client
        .complete(&task, vec![upsert(&[("Color", "\"blue\""), ("Size", "null")])])
        .await;
    assert_eq!(ids(&world, "Color = 'red'").await, [""; 0]);
    assert_eq!(ids(&world, "Color = 'blue' AND Size IS NULL").await, ["w"]);

    let shown = &world.client.list("").await.unwrap().executions[0];
    let shown = &shown.search_attributes.as_ref().unwrap().indexed_fields;
    assert_eq!(shown["Color"].metadata["type"], b"Keyword");
    assert_eq!(shown.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_namespace_does_not_have_is_refused_at_the_start_and_fails_the_task_of_a_workflow() {
    let world = World::new().await;
    add(&world, &[("Size", IndexedValueType::Int)]).await;
    let unknown = assert_code(start(&world, "w", &[("Color", "\"red\"")]).await, Code::InvalidArgument);
    assert!(
        unknown
            .message()
            .contains("no mapping defined for search attribute Color"),
        "{unknown}"
    );
    let ill_typed = assert_code(start(&world, "w", &[("Size", "\"big\"")]).await, Code::InvalidArgument);
    assert!(
        ill_typed.message().contains("invalid value for search attribute Size"),
        "{ill_typed}"
    );

    start(&world, "w", &[]).await.unwrap();
    let task = world.client.poll().await;
    let refused = world.client.try_complete(&task, vec![upsert(&[("Color", "1")])]).await;
    assert_code(refused, Code::InvalidArgument);
    let failed = world.client.history("w").await.into_iter().find_map(|event| match event.attributes {
        Some(temporalio_protos::temporal::api::history::v1::history_event::Attributes::WorkflowTaskFailedEventAttributes(
            failed,
        )) => Some(failed.cause()),
        _ => None,
    });
    assert_eq!(failed, Some(WorkflowTaskFailedCause::BadSearchAttributes));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_attribute_is_neither_found_nor_shown_and_one_of_its_name_begins_empty() {
    let world = World::new().await;
    add(&world, &[("Color", IndexedValueType::Keyword)]).await;
    start(&world, "w", &[("Color", "\"red\"")]).await.unwrap();
    let remove = RemoveSearchAttributesRequest {
        namespace: NAMESPACE.to_owned(),
        search_attributes: vec!["Color".to_owned(), "NeverWas".to_owned()],
    };
    let _: RemoveSearchAttributesResponse = operator(&world.client.call, "RemoveSearchAttributes", remove)
        .await
        .unwrap();
    assert_code(world.client.list("Color = 'red'").await, Code::InvalidArgument);
    let shown = &world.client.list("").await.unwrap().executions[0];
    assert!(shown.search_attributes.as_ref().unwrap().indexed_fields.is_empty());

    add(&world, &[("Color", IndexedValueType::Int)]).await;
    assert_eq!(ids(&world, "Color IS NULL").await, ["w"]);
    let world = world.restart().await;
    start(&world, "v", &[("Color", "7")]).await.unwrap();
    assert_eq!(ids(&world, "Color = 7").await, ["v"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_listed_by_namespace_and_reserved_names_are_refused() {
    let world = World::new().await;
    add(&world, &[("Color", IndexedValueType::Keyword)]).await;
    add(&world, &[("Color", IndexedValueType::Int)]).await;
    let list = |namespace: &str| {
        let request = ListSearchAttributesRequest {
            namespace: namespace.to_owned(),
        };
        let call = world.client.call.clone();
        async move { operator::<ListSearchAttributesResponse>(&call, "ListSearchAttributes", request).await }
    };
    let listed = list(NAMESPACE).await.unwrap();
    assert_eq!(listed.custom_attributes, HashMap::from([("Color".to_owned(), 2)]));
    assert_eq!(
        listed.system_attributes["ExecutionDuration"],
        IndexedValueType::Int as i32
    );
    assert!(list("helve").await.unwrap().custom_attributes.is_empty());
    assert_code(list("").await, Code::InvalidArgument);
    assert_code(list("nowhere").await, Code::NotFound);

    for (name, kind) in [
        ("WorkflowId", 2),
        ("TemporalAnything", 2),
        ("", 2),
        ("Fine", 0),
        ("Fine", 99),
    ] {
        let request = AddSearchAttributesRequest {
            namespace: NAMESPACE.to_owned(),
            search_attributes: HashMap::from([(name.to_owned(), kind)]),
        };
        let added = operator::<AddSearchAttributesResponse>(&world.client.call, "AddSearchAttributes", request).await;
        assert_code(added, Code::InvalidArgument);
    }
}
