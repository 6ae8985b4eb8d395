//! Requests by somebody who means harm, or whose client is broken: answered with Temporal's codes, and survived.
//!
//! Requests are made from the protocol's own descriptors, so that every RPC and every field is reached, also those that are
//! new. `PROPTEST_CASES` makes it run longer.

use std::{collections::HashMap, time::Duration};

use helve_engine::{Engine, EngineOptions, InProcess};
use helve_protocol::{DESCRIPTORS, RPCS};
use proptest::prelude::*;
use prost::Message;
use prost_types_plain::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use temporalio_protos::temporal::api::{
    common::v1::{ActivityType, WorkflowType},
    enums::v1::*,
    schedule::v1::{Schedule, ScheduleAction, schedule_action},
    workflow::v1::NewWorkflowExecutionInfo,
    workflowservice::v1::*,
};
use tonic::{Code, Status, codegen::http::HeaderMap};

use crate::client::*;

/// How often every RPC is called, each time in another order, per run of this test.
const CASES: u32 = 16;
/// No request keeps its caller waiting for so long: long polls end almost at once here.
const PATIENCE: Duration = Duration::from_secs(60);
/// The namespace that requests may change or delete. The other one is asked afterwards whether the engine is well.
const VICTIM: &str = "helve";

/// All messages of the protocol by their full names, and the messages that the RPCs take.
struct Schema {
    messages: HashMap<String, DescriptorProto>,
    requests: Vec<(&'static str, &'static str, String)>,
}

impl Schema {
    fn read() -> Schema {
        fn collect(messages: &mut HashMap<String, DescriptorProto>, prefix: &str, message: &DescriptorProto) {
            let name = format!("{prefix}.{}", message.name());
            for nested in &message.nested_type {
                collect(messages, &name, nested);
            }
            messages.insert(name, message.clone());
        }
        let files = FileDescriptorSet::decode(DESCRIPTORS).unwrap().file;
        let mut messages = HashMap::new();
        let mut inputs = HashMap::new();
        for file in &files {
            for message in &file.message_type {
                collect(&mut messages, &format!(".{}", file.package()), message);
            }
            for service in &file.service {
                for rpc in &service.method {
                    let service = format!("{}.{}", file.package(), service.name());
                    inputs.insert((service, rpc.name().to_owned()), rpc.input_type().to_owned());
                }
            }
        }
        let requests = RPCS
            .iter()
            // A stream without end.
            .filter(|(_, rpc)| *rpc != "Watch")
            .map(|(service, rpc)| {
                let input = inputs[&((*service).to_owned(), (*rpc).to_owned())].clone();
                (*service, *rpc, input)
            })
            .collect();
        Schema { messages, requests }
    }
}

/// Makes requests from a seed.
struct Maker<'a> {
    schema: &'a Schema,
    random: u64,
    /// Task and page tokens of real answers.
    tokens: &'a [Vec<u8>],
    namespace: &'a str,
}

const TEXTS: &[&str] = &[
    "",
    "w",
    "q",
    "s",
    "\0",
    "a\0b",
    "'; DROP TABLE runs; --",
    "\" OR 1=1 --",
    "%_\\",
    "\u{202e}drawkcab",
    "\u{1f9a8}\u{10ffff}",
    "e\u{301}\u{feff}",
    "../../etc/passwd",
    "WorkflowId = 'w' AND",
    "ExecutionStatus = \"Running\" ORDER BY StartTime",
    "GROUP BY ExecutionStatus",
    "StartTime BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59Z'",
    "0 0 31 2 *",
    "@every 999999999999h",
    "CRON_TZ=Nowhere/Land * * * * *",
    "00000000-0000-0000-0000-000000000000",
    "not-a-uuid",
    "default",
];

impl Maker<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn message(&mut self, name: &str, depth: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let schema = self.schema;
        let Some(message) = schema.messages.get(name) else {
            return bytes;
        };
        for field in &message.field {
            // Most top-level fields, and ever fewer below: sub-messages are often missing.
            if self.below(4 + 2 * u64::from(depth)) >= 3 {
                continue;
            }
            let times = match field.label() {
                Label::Repeated => self.below(3),
                _ => 1,
            };
            for _ in 0..times {
                self.field(field, depth, &mut bytes);
            }
        }
        bytes
    }

    fn field(&mut self, field: &FieldDescriptorProto, depth: u32, bytes: &mut Vec<u8>) {
        let number = field.number() as u32;
        match field.r#type() {
            Type::Message | Type::Group => {
                if depth < 7 {
                    let value = self.message(field.type_name(), depth + 1);
                    delimited(number, &value, bytes);
                }
            }
            Type::String => {
                let value = self.text(field.name());
                delimited(number, value.as_bytes(), bytes);
            }
            Type::Bytes => {
                let value = self.bytes();
                delimited(number, &value, bytes);
            }
            Type::Double | Type::Fixed64 | Type::Sfixed64 => {
                let value = self.one_of(&[0.0, 1.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 1e300]);
                prost::encoding::double::encode(number, &value, bytes);
            }
            Type::Float | Type::Fixed32 | Type::Sfixed32 => {
                let value = self.one_of(&[0.0, 1.0, -1.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, 1e30]);
                prost::encoding::float::encode(number, &value, bytes);
            }
            // All the others are variable-length integers on the wire.
            _ => {
                let extremes = [
                    i64::MAX,
                    i64::MIN,
                    -1,
                    i64::from(i32::MAX),
                    i64::from(i32::MIN),
                    999_999_999,
                    1_000_000_000,
                    315_576_000_000,
                    -62_135_596_801,
                ];
                let value = if self.below(3) == 0 {
                    self.one_of(&extremes)
                } else {
                    self.below(12) as i64
                };
                prost::encoding::int64::encode(number, &value, bytes);
            }
        }
    }

    fn text(&mut self, field: &str) -> String {
        match field {
            "namespace" => match self.one_of(TEXTS) {
                // Never the one that is asked afterwards whether the engine is well.
                text if text != NAMESPACE && self.below(20) == 0 => text.to_owned(),
                _ => self.namespace.to_owned(),
            },
            "workflow_id" | "activity_id" | "schedule_id" if self.below(2) == 0 => "w".to_owned(),
            _ if self.below(60) == 0 => self.one_of(&["x", "\u{1f600}"]).repeat(1_000),
            _ => self.one_of(TEXTS).to_owned(),
        }
    }

    /// A token, maybe of something else, cut short, with a bit turned over; or no token at all.
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes = match self.below(4) {
            0 => (0..self.below(40)).map(|_| self.below(256) as u8).collect(),
            1 => return b"\"w\"".to_vec(),
            _ if self.tokens.is_empty() => Vec::new(),
            _ => self.tokens[self.below(self.tokens.len() as u64) as usize].clone(),
        };
        match self.below(3) {
            0 => bytes.truncate(self.below(bytes.len() as u64 + 1) as usize),
            1 if !bytes.is_empty() => {
                let at = self.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << self.below(8);
            }
            _ => {}
        }
        bytes
    }
}

fn delimited(number: u32, value: &[u8], bytes: &mut Vec<u8>) {
    prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, bytes);
    prost::encoding::encode_varint(value.len() as u64, bytes);
    bytes.extend_from_slice(value);
}

/// An engine whose long polls end almost at once.
async fn engine(dir: &std::path::Path) -> Engine {
    let soon = Duration::from_millis(3);
    let options = EngineOptions {
        poll_timeout: soon,
        history_wait: soon,
        query_timeout: soon,
        role: "a test".to_owned(),
        ..EngineOptions::new(dir)
    };
    Engine::open(options).await.unwrap()
}

/// Runs a workflow from its start to its end, on a queue that no request knows.
async fn is_well(call: InProcess, id: &str) {
    let client = Client { call };
    let queue = format!("queue-of-{id}");
    let request = StartWorkflowExecutionRequest {
        task_queue: normal_queue(&queue),
        ..start_request(id)
    };
    client.start_with(request).await.unwrap();
    let task = loop {
        let task = client.poll_on(&queue).await;
        if !task.task_token.is_empty() {
            break task;
        }
    };
    client.complete(&task, vec![complete_workflow("well")]).await;
}

/// Things that exist, for requests to hit; answers with tokens of them.
async fn furnish(call: InProcess, namespace: &str) -> Vec<Vec<u8>> {
    let client = Client { call };
    let mut tokens = Vec::new();
    for id in ["w", "s"] {
        let request = StartWorkflowExecutionRequest {
            namespace: namespace.to_owned(),
            ..start_request(id)
        };
        client.start_with(request).await.unwrap();
    }
    let request = PollWorkflowTaskQueueRequest {
        namespace: namespace.to_owned(),
        ..poll_request(QUEUE)
    };
    for _ in 0..2 {
        let task = loop {
            let task: PollWorkflowTaskQueueResponse =
                client.rpc("PollWorkflowTaskQueue", request.clone()).await.unwrap();
            if !task.task_token.is_empty() {
                break task;
            }
        };
        tokens.push(task.task_token.clone());
        if tokens.len() == 1 {
            let commands = vec![start_timer("t", 1000), schedule_activity("w"), start_child("child")];
            let request = RespondWorkflowTaskCompletedRequest {
                namespace: namespace.to_owned(),
                ..completion(&task, commands)
            };
            let _: RespondWorkflowTaskCompletedResponse =
                client.rpc("RespondWorkflowTaskCompleted", request).await.unwrap();
        }
    }
    let request = PollActivityTaskQueueRequest {
        namespace: namespace.to_owned(),
        ..poll_activity_request(QUEUE)
    };
    loop {
        let task: PollActivityTaskQueueResponse = client.rpc("PollActivityTaskQueue", request.clone()).await.unwrap();
        if !task.task_token.is_empty() {
            tokens.push(task.task_token);
            break;
        }
    }
    let request = GetWorkflowExecutionHistoryRequest {
        namespace: namespace.to_owned(),
        execution: execution("w"),
        maximum_page_size: 1,
        ..Default::default()
    };
    let page: GetWorkflowExecutionHistoryResponse = client.rpc("GetWorkflowExecutionHistory", request).await.unwrap();
    tokens.push(page.next_page_token);
    let request = ListWorkflowExecutionsRequest {
        namespace: namespace.to_owned(),
        page_size: 1,
        ..Default::default()
    };
    let page: ListWorkflowExecutionsResponse = client.rpc("ListWorkflowExecutions", request).await.unwrap();
    tokens.push(page.next_page_token);
    tokens
}

fn is_the_caller_s_fault(status: &Status) -> bool {
    !matches!(
        status.code(),
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Unavailable | Code::Ok
    )
}

async fn survive(schema: &Schema, requests: &[(usize, u64)]) {
    let dir = tempfile::tempdir().unwrap();
    let first = engine(dir.path()).await;
    let call = first.in_process();
    let tokens = furnish(call.clone(), VICTIM).await;
    for (at, seed) in requests {
        let (service, rpc, input) = &schema.requests[*at];
        let mut maker = Maker {
            schema,
            random: *seed,
            tokens: &tokens,
            namespace: VICTIM,
        };
        let message = maker.message(input, 0);
        let answer = call.call(service, rpc, HeaderMap::new(), message.clone().into());
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap_or_else(|_| panic!("{rpc} with seed {seed} is not answered; the message was {message:?}"));
        if let Err(status) = answer {
            assert!(
                is_the_caller_s_fault(&status),
                "{rpc} with seed {seed} was answered {status:?}; the message was {message:?}"
            );
        }
    }
    is_well(call.clone(), "before").await;
    first.shutdown().await;
    drop((first, call));
    let second = engine(dir.path()).await;
    is_well(second.in_process(), "after").await;
    second.shutdown().await;
}

#[test]
fn no_request_makes_the_engine_panic_or_blame_itself() {
    let schema = Schema::read();
    let cases = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let every = schema.requests.len();
    let order = Just((0..every).collect::<Vec<_>>()).prop_shuffle();
    let seeds = proptest::collection::vec(any::<u64>(), every);
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&(order, seeds), |(order, seeds)| {
        let requests: Vec<_> = order.into_iter().zip(seeds).collect();
        runtime.block_on(survive(&schema, &requests));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let engine = engine(dir.path()).await;
        (dir, engine)
    });
    let call = world.1.in_process();
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(256)
    };
    let bytes = (any::<usize>(), proptest::collection::vec(any::<u8>(), 0..120));
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let outcome = runner.run(&bytes, |(at, bytes)| {
        let rpcs: Vec<_> = RPCS.iter().filter(|(_, rpc)| *rpc != "Watch").collect();
        let (service, rpc) = rpcs[at % rpcs.len()];
        let answer = runtime.block_on(call.call(service, rpc, HeaderMap::new(), bytes.into()));
        // tonic says INTERNAL of a message that cannot be decoded, as Go's gRPC does.
        if let Err(status) = answer {
            let undecodable = status.code() == Code::Internal && status.message().contains("decode");
            prop_assert!(undecodable || is_the_caller_s_fault(&status), "{rpc}: {status:?}");
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    runtime.block_on(world.1.shutdown());
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_every_kind_come_back_as_they_were() {
    let world = World::new().await;
    for id in TEXTS.iter().filter(|id| !id.is_empty()) {
        world.client.start(id).await;
        let info = world.client.describe(id).await.workflow_execution_info.unwrap();
        assert_eq!(info.execution.unwrap().workflow_id, *id);
        world.client.signal(id, id).await.unwrap();
        let task = world.client.poll().await;
        assert_eq!(task.workflow_execution.as_ref().unwrap().workflow_id, *id);
        world.client.complete(&task, vec![complete_workflow(id)]).await;
    }
    for (id, code) in [
        ("x".repeat(1001), Code::InvalidArgument),
        ("\u{1f600}".repeat(300), Code::InvalidArgument),
    ] {
        assert_code(world.client.start_with(start_request(&id)).await, code);
    }
    world.client.start(&"x".repeat(1000)).await;
}

/// A text as the query language writes it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_an_id_is_filters_find_it_and_nothing_else() {
    let world = World::new().await;
    let client = &world.client;
    let ids: Vec<&str> = TEXTS.iter().filter(|id| !id.is_empty()).copied().collect();
    for id in &ids {
        client.start(id).await;
        let request = StartActivityExecutionRequest {
            namespace: NAMESPACE.to_owned(),
            activity_id: (*id).to_owned(),
            activity_type: Some(ActivityType { name: (*id).to_owned() }),
            task_queue: normal_queue(id),
            start_to_close_timeout: Some(seconds(60)),
            ..Default::default()
        };
        let _: StartActivityExecutionResponse = client.rpc("StartActivityExecution", request).await.unwrap();
        let request = CreateScheduleRequest {
            namespace: NAMESPACE.to_owned(),
            schedule_id: (*id).to_owned(),
            request_id: (*id).to_owned(),
            schedule: Some(Schedule {
                action: Some(ScheduleAction {
                    action: Some(schedule_action::Action::StartWorkflow(NewWorkflowExecutionInfo {
                        workflow_id: (*id).to_owned(),
                        workflow_type: Some(WorkflowType { name: (*id).to_owned() }),
                        task_queue: normal_queue(id),
                        ..Default::default()
                    })),
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let _: CreateScheduleResponse = client.rpc("CreateSchedule", request).await.unwrap();
    }
    for id in ids {
        for operator in ["=", "STARTS_WITH"] {
            let query = format!("WorkflowId {operator} {}", quoted(id));
            let found = client.list(&query).await.unwrap().executions;
            let found: Vec<_> = found
                .into_iter()
                .map(|info| info.execution.unwrap().workflow_id)
                .collect();
            assert!(found.iter().any(|found| found == id), "{query:?} finds {found:?}");
            assert!(
                found.iter().all(|found| found.starts_with(id)),
                "{query:?} finds {found:?}"
            );
            assert!(
                operator == "STARTS_WITH" || found.len() == 1,
                "{query:?} finds {found:?}"
            );
        }
        let request = ListActivityExecutionsRequest {
            namespace: NAMESPACE.to_owned(),
            query: format!(
                "ActivityId = {0} AND ActivityType = {0} AND TaskQueue = {0}",
                quoted(id)
            ),
            ..Default::default()
        };
        let found: ListActivityExecutionsResponse = client.rpc("ListActivityExecutions", request).await.unwrap();
        assert_eq!(found.executions.len(), 1, "{id:?}");
        let request = PollActivityTaskQueueRequest {
            task_queue: normal_queue(id),
            ..poll_activity_request(QUEUE)
        };
        let task: PollActivityTaskQueueResponse = client.rpc("PollActivityTaskQueue", request).await.unwrap();
        assert_eq!(task.activity_id, *id);
        let request = DescribeScheduleRequest {
            namespace: NAMESPACE.to_owned(),
            schedule_id: id.to_owned(),
        };
        let described: DescribeScheduleResponse = client.rpc("DescribeSchedule", request).await.unwrap();
        let action = described.schedule.unwrap().action.unwrap().action.unwrap();
        let schedule_action::Action::StartWorkflow(action) = action;
        assert_eq!(action.workflow_id, *id);
    }
}

/// Requests for a page of everything that comes in pages, made from the protocol's descriptors.
#[tokio::test(flavor = "multi_thread")]
async fn every_list_refuses_a_page_token_that_it_never_gave() {
    let schema = Schema::read();
    let world = World::new().await;
    world.client.start("w").await;
    let mut lists = 0;
    for (service, rpc, input) in &schema.requests {
        let fields = &schema.messages[input].field;
        let Some(token) = fields.iter().find(|field| field.name() == "next_page_token") else {
            continue;
        };
        for garbage in [&b"garbage"[..], &[0xff; 9], &[8], &[0; 3]] {
            let mut message = Vec::new();
            for field in fields {
                match field.name() {
                    "namespace" => delimited(field.number() as u32, NAMESPACE.as_bytes(), &mut message),
                    "execution" => {
                        let execution = execution("w").unwrap().encode_to_vec();
                        delimited(field.number() as u32, &execution, &mut message);
                    }
                    _ => {}
                }
            }
            delimited(token.number() as u32, garbage, &mut message);
            let answer = world
                .client
                .call
                .call(service, rpc, HeaderMap::new(), message.into())
                .await;
            let status = answer.expect_err(rpc);
            if status.code() != Code::Unimplemented {
                assert_eq!(
                    status.code(),
                    Code::InvalidArgument,
                    "{rpc} and {garbage:?}: {status:?}"
                );
                lists += 1;
            }
        }
    }
    assert!(lists >= 4 * 10, "only {lists} were asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_huge_or_deep_is_refused_quickly() {
    let world = World::new().await;
    world.client.start("w").await;
    for query in [
        "(".repeat(200_000),
        "NOT ".repeat(200_000) + "WorkflowId = 'w'",
        vec!["WorkflowId = 'w'"; 50_000].join(" OR "),
        format!("WorkflowId IN ({})", vec!["'w'"; 100_000].join(", ")),
        format!("WorkflowId = '{}", "'".repeat(1_000_001)),
        "`".repeat(1_000_000),
    ] {
        let start = query.chars().take(40).collect::<String>();
        let status = world.client.list(&query).await.expect_err(&start);
        assert_eq!(status.code(), Code::InvalidArgument, "{start}: {status:?}");
        assert!(
            status.message().len() < 2_000,
            "{start}: the answer is as long as the question"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workers_and_clients_name_is_bounded() {
    let world = World::new().await;
    let long = "x".repeat(1_001);
    let request = ShutdownWorkerRequest {
        namespace: NAMESPACE.to_owned(),
        worker_instance_key: long.clone(),
        ..Default::default()
    };
    let refused: Result<ShutdownWorkerResponse, _> = world.client.rpc("ShutdownWorker", request).await;
    assert_code(refused, Code::InvalidArgument);
    let request = PollWorkflowTaskQueueRequest {
        identity: long.clone(),
        ..poll_request(QUEUE)
    };
    let refused: Result<PollWorkflowTaskQueueResponse, _> = world.client.rpc("PollWorkflowTaskQueue", request).await;
    assert_code(refused, Code::InvalidArgument);
    let request = UpdateWorkflowExecutionOptionsRequest {
        namespace: NAMESPACE.to_owned(),
        workflow_execution: execution("w"),
        workflow_execution_options: Some(Default::default()),
        update_mask: Some(prost_types::FieldMask::default()),
        identity: long,
    };
    let refused: Result<UpdateWorkflowExecutionOptionsResponse, _> =
        world.client.rpc("UpdateWorkflowExecutionOptions", request).await;
    assert_code(refused, Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_is_too_large_is_refused_and_leaves_nothing_behind() {
    let world = World::new().await;
    let request = StartWorkflowExecutionRequest {
        input: payloads(&"x".repeat(3 << 20)),
        ..start_request("w")
    };
    assert_code(world.client.start_with(request).await, Code::InvalidArgument);
    world.client.start("w").await;
    let request = SignalWorkflowExecutionRequest {
        input: payloads(&"x".repeat(3 << 20)),
        ..signal_request("w", "s")
    };
    let refused: Result<SignalWorkflowExecutionResponse, _> =
        world.client.rpc("SignalWorkflowExecution", request).await;
    assert_code(refused, Code::InvalidArgument);
    assert_eq!(world.client.history("w").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_namespace_is_refused() {
    let world = World::new().await;
    world.client.start("w").await;
    let task = world.client.poll().await;
    let request = RespondWorkflowTaskCompletedRequest {
        namespace: VICTIM.to_owned(),
        ..completion(&task, vec![complete_workflow("done")])
    };
    let refused: Result<RespondWorkflowTaskCompletedResponse, _> =
        world.client.rpc("RespondWorkflowTaskCompleted", request).await;
    assert_code(refused, Code::InvalidArgument);
    world.client.complete(&task, vec![complete_workflow("done")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_features_that_are_left_out_is_refused() {
    use temporalio_protos::temporal::api::{common::v1::Callback, deployment::v1::*, workflow::v1::VersioningOverride};
    let world = World::new().await;
    let request = StartWorkflowExecutionRequest {
        versioning_override: Some(VersioningOverride::default()),
        ..start_request("w")
    };
    let refused = assert_code(world.client.start_with(request).await, Code::Unimplemented);
    assert!(refused.message().contains("worker versioning"));
    let request = StartWorkflowExecutionRequest {
        completion_callbacks: vec![Callback::default()],
        ..start_request("w")
    };
    assert_code(world.client.start_with(request).await, Code::InvalidArgument);
    let request = PollWorkflowTaskQueueRequest {
        deployment_options: Some(WorkerDeploymentOptions {
            deployment_name: "d".to_owned(),
            build_id: "1".to_owned(),
            worker_versioning_mode: WorkerVersioningMode::Versioned as i32,
        }),
        ..poll_request(QUEUE)
    };
    let refused: Result<PollWorkflowTaskQueueResponse, _> = world.client.rpc("PollWorkflowTaskQueue", request).await;
    assert_code(refused, Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_pollers_starve_nobody_and_leave_nothing_behind() {
    const POLLS: usize = 2_000;
    let world = World::new().await;
    // As many on one queue as on queues of their own.
    let crowd: Vec<_> = (0..POLLS).map(|_| world.client.polling("crowded")).collect();
    let scattered: Vec<_> = (0..POLLS).map(|n| world.client.polling(&format!("q{n}"))).collect();
    wait_for_poller(&world, &format!("q{}", POLLS - 1)).await;
    for n in 0..20 {
        let on = |queue: &str, id: String| StartWorkflowExecutionRequest {
            task_queue: normal_queue(queue),
            ..start_request(&id)
        };
        world.client.start_with(on("crowded", format!("c{n}"))).await.unwrap();
        world
            .client
            .start_with(on(&format!("q{n}"), format!("s{n}")))
            .await
            .unwrap();
    }
    let (mut served, mut waiting) = (0, Vec::new());
    for (n, poll) in scattered.into_iter().enumerate() {
        if n < 20 {
            assert_eq!(
                poll.await.unwrap().workflow_execution.unwrap().workflow_id,
                format!("s{n}")
            );
        } else {
            waiting.push(poll);
        }
    }
    let (sender, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let crowd: Vec<_> = crowd
        .into_iter()
        .map(|poll| {
            let sender = sender.clone();
            tokio::spawn(async move { drop(sender.send(poll.await)) })
        })
        .collect();
    while served < 20 {
        let task = answers.recv().await.unwrap().unwrap();
        assert!(!task.task_token.is_empty());
        served += 1;
    }
    world.engine.shutdown().await;
    for poll in waiting {
        assert!(
            poll.await.unwrap().task_token.is_empty(),
            "it was answered with nothing"
        );
    }
    for poll in crowd {
        poll.await.unwrap();
    }
}
