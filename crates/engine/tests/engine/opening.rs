//! Opening a data directory, and serving it over a real connection.

use std::sync::Arc;

use crate::client::*;
use helve_engine::{Engine, EngineOptions, Holder, ManualClock, OpenError, Timestamp};

fn manual() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)))
}

async fn refused(options: EngineOptions) -> OpenError {
    match Engine::open(options).await {
        Ok(_) => panic!("was opened"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_engine_is_refused_and_told_who_holds_the_directory() {
    let world = World::new().await;
    world.engine.announce("127.0.0.1:7233").unwrap();
    let error = refused(options(world.dir.path(), &world.clock)).await;
    let holder = error.holder().unwrap();
    assert_eq!(
        *holder,
        Holder {
            pid: std::process::id(),
            role: "a test".to_owned(),
            grpc: Some("127.0.0.1:7233".to_owned())
        }
    );
    assert!(error.to_string().contains("temporal://127.0.0.1:7233"), "{error}");
    world.engine.shutdown().await;
    Engine::open(options(world.dir.path(), &world.clock))
        .await
        .unwrap()
        .shutdown()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("engine.db");
    std::fs::write(&database, b"this is no database").unwrap();
    let error = refused(options(dir.path(), &manual())).await;
    assert!(matches!(error, OpenError::Corrupt(_)), "{error}");
    assert!(error.to_string().contains("restore it from a backup"));
    assert_eq!(std::fs::read(&database).unwrap(), b"this is no database");
    // The lock went with the failed attempt.
    std::fs::remove_file(&database).unwrap();
    Engine::open(options(dir.path(), &manual()))
        .await
        .unwrap()
        .shutdown()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_used_says_which_and_why() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = refused(options(&file.join("data"), &manual())).await;
    assert!(matches!(error, OpenError::Io { .. }));
    assert!(error.to_string().contains("file/data"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_over_the_network_sees_the_same_engine() {
    use temporalio_protos::temporal::api::workflowservice::v1::{
        GetSystemInfoRequest, StartWorkflowExecutionResponse, workflow_service_client::WorkflowServiceClient,
    };
    use tonic::codec::CompressionEncoding::Gzip;

    let world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn({
        let engine = world.engine.clone();
        async move { engine.serve_tcp(listener, async { stopped.await.unwrap() }).await }
    });
    let channel = tonic::transport::Endpoint::new(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut client = WorkflowServiceClient::new(channel)
        .send_compressed(Gzip)
        .accept_compressed(Gzip)
        .max_decoding_message_size(64 << 20);
    let info = client
        .get_system_info(GetSystemInfoRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(info.capabilities.unwrap().internal_error_differentiation);
    let started: StartWorkflowExecutionResponse = client
        .start_workflow_execution(start_request("w"))
        .await
        .unwrap()
        .into_inner();
    assert!(started.started);
    let again = client.start_workflow_execution(start_request("w")).await.unwrap_err();
    assert_eq!(again.code(), tonic::Code::AlreadyExists);
    assert!(!again.details().is_empty());
    assert_eq!(
        world.client.poll().await.workflow_execution.unwrap().run_id,
        started.run_id
    );
    drop(client);
    world.engine.shutdown().await;
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_only_dropped_frees_its_directory_when_nobody_uses_it() {
    let World {
        dir,
        clock,
        engine,
        client,
    } = World::new().await;
    let run_id = client.start("w").await;
    let poll = client.polling("elsewhere");
    drop(engine);
    poll.await.unwrap();
    assert!(
        matches!(refused(options(dir.path(), &clock)).await, OpenError::Locked { .. }),
        "the client is still there"
    );
    drop(client);
    let mut again = None;
    eventually("the directory is free", async || {
        again = Engine::open(options(dir.path(), &clock)).await.ok();
        again.is_some()
    })
    .await;
    let again = again.unwrap();
    let client = Client {
        call: again.in_process(),
    };
    assert_eq!(client.poll().await.workflow_execution.unwrap().run_id, run_id);
}
