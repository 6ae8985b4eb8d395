//! Namespaces: registered, described, changed, deprecated, deleted; each its own world.

use crate::{
    client::*,
    schedules::every_minute,
    search_attributes::{json, operator},
    standalone::start_activity_request,
};
use prost::Message;
use std::collections::HashMap;
use temporalio_protos::{
    google::rpc,
    temporal::api::{
        enums::v1::*,
        errordetails::v1::{NamespaceAlreadyExistsFailure, NamespaceInvalidStateFailure},
        namespace::v1::*,
        operatorservice::v1::*,
        schedule::v1::{SchedulePatch, TriggerImmediatelyRequest},
        workflowservice::v1::*,
    },
};
use tonic::{Code, Status};

fn days(count: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration {
        seconds: count * 86_400,
        nanos: 0,
    })
}

pub(crate) fn registration(name: &str) -> RegisterNamespaceRequest {
    RegisterNamespaceRequest {
        namespace: name.to_owned(),
        workflow_execution_retention_period: days(3),
        ..Default::default()
    }
}

impl World {
    pub(crate) async fn register(&self, request: RegisterNamespaceRequest) -> Result<(), Status> {
        let answer: Result<RegisterNamespaceResponse, _> = self.client.rpc("RegisterNamespace", request).await;
        answer.map(|_| ())
    }

    async fn describe_namespace(&self, name: &str, id: &str) -> Result<DescribeNamespaceResponse, Status> {
        let request = DescribeNamespaceRequest {
            namespace: name.to_owned(),
            id: id.to_owned(),
            ..Default::default()
        };
        self.client.rpc("DescribeNamespace", request).await
    }

    async fn update_namespace(&self, request: UpdateNamespaceRequest) -> Result<UpdateNamespaceResponse, Status> {
        self.client.rpc("UpdateNamespace", request).await
    }

    async fn delete_namespace(&self, name: &str) -> Result<String, Status> {
        let request = DeleteNamespaceRequest {
            namespace: name.to_owned(),
            ..Default::default()
        };
        let answer: DeleteNamespaceResponse = operator(&self.client.call, "DeleteNamespace", request).await?;
        Ok(answer.deleted_namespace)
    }

    async fn names(&self, page_size: i32) -> Vec<String> {
        let mut names = Vec::new();
        let mut token = Vec::new();
        loop {
            let request = ListNamespacesRequest {
                page_size,
                next_page_token: token,
                ..Default::default()
            };
            let page: ListNamespacesResponse = self.client.rpc("ListNamespaces", request).await.unwrap();
            names.extend(page.namespaces.into_iter().map(|n| n.namespace_info.unwrap().name));
            token = page.next_page_token;
            if token.is_empty() {
                return names;
            }
        }
    }
}

pub(crate) fn start_in(namespace: &str, id: &str) -> StartWorkflowExecutionRequest {
    StartWorkflowExecutionRequest {
        namespace: namespace.to_owned(),
        ..start_request(id)
    }
}

fn details<T: Message + Default>(status: &Status) -> T {
    let details = rpc::Status::decode(status.details()).unwrap();
    T::decode(details.details[0].value.as_slice()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_namespace_is_there_after_a_crash_and_found_by_name_and_id() {
    let world = World::new().await;
    world
        .register(RegisterNamespaceRequest {
            description: "for tests".to_owned(),
            owner_email: "me@here".to_owned(),
            data: HashMap::from([("team".to_owned(), "a".to_owned())]),
            ..registration("mine")
        })
        .await
        .unwrap();
    let again = assert_code(world.register(registration("mine")).await, Code::AlreadyExists);
    let _: NamespaceAlreadyExistsFailure = details(&again);
    let world = world.crash().await;
    let described = world.describe_namespace("mine", "").await.unwrap();
    let info = described.namespace_info.unwrap();
    assert_eq!(
        (info.description.as_str(), info.owner_email.as_str()),
        ("for tests", "me@here")
    );
    assert_eq!(info.data["team"], "a");
    assert_eq!(described.config.unwrap().workflow_execution_retention_ttl, days(3));
    let by_id = world.describe_namespace("", &info.id).await.unwrap();
    assert_eq!(by_id.namespace_info.unwrap().name, "mine");
    assert_eq!(world.names(1).await, ["default", "helve", "mine"]);
    world.client.start_with(start_in("mine", "w")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_namespace_is_refused() {
    let world = World::new().await;
    for request in [
        registration(""),
        registration(&"n".repeat(1001)),
        RegisterNamespaceRequest {
            workflow_execution_retention_period: None,
            ..registration("n")
        },
        RegisterNamespaceRequest {
            workflow_execution_retention_period: Some(seconds(10)),
            ..registration("n")
        },
        RegisterNamespaceRequest {
            is_global_namespace: true,
            ..registration("n")
        },
        RegisterNamespaceRequest {
            history_archival_state: ArchivalState::Enabled as i32,
            ..registration("n")
        },
    ] {
        assert_code(world.register(request).await, Code::InvalidArgument);
    }
    assert_code(world.describe_namespace("nowhere", "").await, Code::NotFound);
    assert_code(world.describe_namespace("", "no-id").await, Code::NotFound);
    assert_code(world.describe_namespace("", "").await, Code::InvalidArgument);
}

/// As the command line does, which sends back the whole configuration that it was told.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_for_ever_stays_so_when_something_else_is_changed() {
    let world = World::new().await;
    let told = world.describe_namespace(NAMESPACE, "").await.unwrap().config;
    let update = UpdateNamespaceRequest {
        namespace: NAMESPACE.to_owned(),
        update_info: Some(UpdateNamespaceInfo {
            data: HashMap::from([("k".to_owned(), "v".to_owned())]),
            ..Default::default()
        }),
        config: told.clone(),
        ..Default::default()
    };
    let updated = world.update_namespace(update).await.unwrap();
    assert_eq!(updated.namespace_info.unwrap().data["k"], "v");
    assert_eq!(updated.config, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_changes_what_it_names_and_a_deprecated_namespace_takes_no_new_executions() {
    let world = World::new().await;
    world.register(registration("mine")).await.unwrap();
    world.client.start_with(start_in("mine", "w")).await.unwrap();
    let update = UpdateNamespaceRequest {
        namespace: "mine".to_owned(),
        update_info: Some(UpdateNamespaceInfo {
            description: "changed".to_owned(),
            data: HashMap::from([("k".to_owned(), "v".to_owned())]),
            ..Default::default()
        }),
        config: Some(NamespaceConfig {
            workflow_execution_retention_ttl: days(7),
            ..Default::default()
        }),
        ..Default::default()
    };
    let updated = world.update_namespace(update).await.unwrap();
    assert_eq!(updated.namespace_info.unwrap().description, "changed");
    assert_eq!(updated.config.unwrap().workflow_execution_retention_ttl, days(7));
    let short = UpdateNamespaceRequest {
        namespace: "mine".to_owned(),
        config: Some(NamespaceConfig {
            workflow_execution_retention_ttl: Some(seconds(1)),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_code(world.update_namespace(short).await, Code::InvalidArgument);

    let request = DeprecateNamespaceRequest {
        namespace: "mine".to_owned(),
        ..Default::default()
    };
    let _: DeprecateNamespaceResponse = world.client.rpc("DeprecateNamespace", request).await.unwrap();
    let world = world.restart().await;
    let refused = world.client.start_with(start_in("mine", "v")).await;
    let refused = assert_code(refused, Code::FailedPrecondition);
    let failure: NamespaceInvalidStateFailure = details(&refused);
    assert_eq!(failure.state, NamespaceState::Deprecated as i32);
    // What runs goes on.
    let request = SignalWorkflowExecutionRequest {
        namespace: "mine".to_owned(),
        ..signal_request("w", "s")
    };
    let _: SignalWorkflowExecutionResponse = world.client.rpc("SignalWorkflowExecution", request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_namespace_is_gone_at_once_and_its_name_is_free() {
    let world = World::new().await;
    world.register(registration("mine")).await.unwrap();
    let add = AddSearchAttributesRequest {
        namespace: "mine".to_owned(),
        search_attributes: HashMap::from([("Color".to_owned(), 2)]),
    };
    let _: AddSearchAttributesResponse = operator(&world.client.call, "AddSearchAttributes", add).await.unwrap();
    for n in 0..5 {
        let mut request = start_in("mine", &format!("w{n}"));
        request
            .search_attributes
            .get_or_insert_default()
            .indexed_fields
            .insert("Color".to_owned(), json("\"red\""));
        world.client.start_with(request).await.unwrap();
    }
    let id = world
        .describe_namespace("mine", "")
        .await
        .unwrap()
        .namespace_info
        .unwrap()
        .id;
    let renamed = world.delete_namespace("mine").await.unwrap();
    assert!(renamed.starts_with("mine-deleted-"), "{renamed}");
    assert_code(world.describe_namespace("mine", "").await, Code::NotFound);
    assert_code(world.client.start_with(start_in("mine", "x")).await, Code::NotFound);
    assert_code(world.delete_namespace("mine").await, Code::NotFound);

    world.register(registration("mine")).await.unwrap();
    world.client.start_with(start_in("mine", "w0")).await.unwrap();
    let world = world.restart().await;
    // All that belonged to it goes by and by.
    eventually("the namespace is deleted", async || {
        world.describe_namespace("", &id).await.is_err()
    })
    .await;
    assert_eq!(world.names(100).await, ["default", "helve", "mine"]);
    let request = ListWorkflowExecutionsRequest {
        namespace: "mine".to_owned(),
        ..Default::default()
    };
    let listed: ListWorkflowExecutionsResponse = world.client.rpc("ListWorkflowExecutions", request).await.unwrap();
    assert_eq!(listed.executions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deprecated_namespace_takes_no_new_executions_of_any_kind() {
    let world = World::new().await;
    world.register(registration("mine")).await.unwrap();
    let schedule = CreateScheduleRequest {
        namespace: "mine".to_owned(),
        ..every_minute("nightly", ScheduleOverlapPolicy::AllowAll)
    };
    let _: CreateScheduleResponse = world.client.rpc("CreateSchedule", schedule.clone()).await.unwrap();
    let request = DeprecateNamespaceRequest {
        namespace: "mine".to_owned(),
        ..Default::default()
    };
    let _: DeprecateNamespaceResponse = world.client.rpc("DeprecateNamespace", request).await.unwrap();

    let another = CreateScheduleRequest {
        schedule_id: "another".to_owned(),
        ..schedule
    };
    let refused = world
        .client
        .rpc::<CreateScheduleResponse>("CreateSchedule", another)
        .await;
    assert_code(refused, Code::FailedPrecondition);
    let activity = StartActivityExecutionRequest {
        namespace: "mine".to_owned(),
        ..start_activity_request("a")
    };
    let refused = world
        .client
        .rpc::<StartActivityExecutionResponse>("StartActivityExecution", activity)
        .await;
    assert_code(refused, Code::FailedPrecondition);
    let start_and_update = ExecuteMultiOperationRequest {
        namespace: "mine".to_owned(),
        ..Default::default()
    };
    let refused = world
        .client
        .rpc::<ExecuteMultiOperationResponse>("ExecuteMultiOperation", start_and_update)
        .await;
    assert_code(refused, Code::FailedPrecondition);

    // The schedule goes on, and starts nothing: a description waits for what was asked for.
    let trigger = PatchScheduleRequest {
        namespace: "mine".to_owned(),
        schedule_id: "nightly".to_owned(),
        patch: Some(SchedulePatch {
            trigger_immediately: Some(TriggerImmediatelyRequest::default()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let _: PatchScheduleResponse = world.client.rpc("PatchSchedule", trigger).await.unwrap();
    let request = DescribeScheduleRequest {
        namespace: "mine".to_owned(),
        schedule_id: "nightly".to_owned(),
    };
    let described: DescribeScheduleResponse = world.client.rpc("DescribeSchedule", request).await.unwrap();
    let info = described.info.unwrap();
    assert_eq!((info.action_count, info.buffer_size), (0, 0));
    let request = ListWorkflowExecutionsRequest {
        namespace: "mine".to_owned(),
        ..Default::default()
    };
    let listed: ListWorkflowExecutionsResponse = world.client.rpc("ListWorkflowExecutions", request).await.unwrap();
    assert!(listed.executions.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_namespace_leaves_nothing_behind() {
    let world = World::new().await;
    world.register(registration("mine")).await.unwrap();
    world.client.start_with(start_in("mine", "w")).await.unwrap();
    let schedule = CreateScheduleRequest {
        namespace: "mine".to_owned(),
        ..every_minute("nightly", ScheduleOverlapPolicy::Skip)
    };
    let _: CreateScheduleResponse = world.client.rpc("CreateSchedule", schedule).await.unwrap();
    let activity = StartActivityExecutionRequest {
        namespace: "mine".to_owned(),
        ..start_activity_request("a")
    };
    let _: StartActivityExecutionResponse = world.client.rpc("StartActivityExecution", activity).await.unwrap();
    let batch = StartBatchOperationRequest {
        namespace: "mine".to_owned(),
        job_id: "job".to_owned(),
        reason: "a test".to_owned(),
        visibility_query: "WorkflowId = 'w'".to_owned(),
        operation: Some(start_batch_operation_request::Operation::SignalOperation(
            temporalio_protos::temporal::api::batch::v1::BatchOperationSignal {
                signal: "s".to_owned(),
                ..Default::default()
            },
        )),
        ..Default::default()
    };
    let _: StartBatchOperationResponse = world.client.rpc("StartBatchOperation", batch).await.unwrap();
    let add = AddSearchAttributesRequest {
        namespace: "mine".to_owned(),
        search_attributes: HashMap::from([("Color".to_owned(), 2)]),
    };
    let _: AddSearchAttributesResponse = operator(&world.client.call, "AddSearchAttributes", add).await.unwrap();

    let renamed = world.delete_namespace("mine").await.unwrap();
    eventually("the namespace is deleted", async || {
        world.describe_namespace(&renamed, "").await.is_err()
    })
    .await;
    world.engine.shutdown().await;
    let database = helve_db::rusqlite::Connection::open(world.dir.path().join("engine.db")).unwrap();
    let number: i64 = database
        .query_row("SELECT max(id) FROM namespaces", [], |row| row.get(0))
        .unwrap();
    let tables: Vec<String> = database
        .prepare(
            "SELECT t.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c ON c.name = 'namespace'
             WHERE t.type = 'table'",
        )
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(tables.len() >= 4, "{tables:?}");
    for table in tables {
        let left = format!("SELECT count(*) FROM {table} WHERE namespace > {number}");
        let left: i64 = database.query_row(&left, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
    for table in ["history", "search_attribute_values"] {
        let left: i64 = database
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 0, "{table}");
    }
}
