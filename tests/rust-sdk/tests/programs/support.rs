//! An engine, a client and a worker for one test.

use std::time::Duration;

use helve_engine::{Engine, EngineOptions};
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions, Url};
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio::net::TcpListener;

use crate::workflows::{Activities, Countdown, Counter, Family, Greeting, Patient, Resting, Steps};

pub(crate) const QUEUE: &str = "programs";
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test with a client, while a worker with all workflows and activities polls.
pub(crate) async fn with_worker(test: impl AsyncFnOnce(Client)) {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(EngineOptions::new(folder.path())).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = engine.serve_tcp(listener, async {
        stopped.await.ok();
        engine.shutdown().await;
    });
    let session = async {
        let options = ConnectionOptions::new(url)
            .identity("test".to_owned())
            .dns_load_balancing(None)
            .build();
        let connection = Connection::connect(options).await.unwrap();
        let client = Client::new(connection, ClientOptions::new("default").build()).unwrap();
        let runtime = Runtime::from_current_tokio(Default::default()).unwrap();
        let mut worker = Worker::new(&runtime, client.clone(), worker_options()).unwrap();
        let finish = worker.shutdown_handle();
        let (ran, ()) = tokio::join!(worker.run(), async {
            tokio::time::timeout(LIMIT, test(client))
                .await
                .expect("the test takes too long");
            finish();
        });
        ran.unwrap();
        stop.send(()).unwrap();
    };
    let (served, ()) = tokio::join!(serving, session);
    served.unwrap();
}

fn worker_options() -> WorkerOptions {
    WorkerOptions::new(QUEUE)
        .register_activities(Activities)
        .register_workflow::<Counter>()
        .and_then(|options| options.register_workflow::<Countdown>())
        .and_then(|options| options.register_workflow::<Family>())
        .and_then(|options| options.register_workflow::<Greeting>())
        .and_then(|options| options.register_workflow::<Patient>())
        .and_then(|options| options.register_workflow::<Resting>())
        .and_then(|options| options.register_workflow::<Steps>())
        .unwrap()
        .build()
}

/// Asks until the answer is yes; `with_worker` limits how long.
pub(crate) async fn eventually(mut condition: impl AsyncFnMut() -> bool) {
    while !condition().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
